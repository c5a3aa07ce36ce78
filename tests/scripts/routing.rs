//! The lab with a routing daemon on every node: claims are heard, and nothing is left.

use std::process::Stdio;

use crate::lab::Lab;
use crate::{built, end_of, ends_with, until};

/// The routing daemons of a lab.
fn daemons(lab: &Lab) -> Vec<String> {
    lab.processes("/run/routing/")
}

/// How many lines of a status tell something.
fn count(status: &str, what: &str) -> usize {
    status.lines().filter(|line| line.contains(what)).count()
}

fn claims_are_heard(bgp: &str, daemons_of_a_node: usize) {
    let lab = Lab::named();
    let up = |nodes| lab.run(&["up", "--nodes", nodes, "--from", built(), "--bgp", bgp]);
    up("1");
    lab.run(&["-q", "add", "1", "early"]);
    // One that grows: the first node's daemon gets another neighbour.
    up("2");
    lab.run(&["-q", "add", "2", "late"]);
    for (node, other, pod) in [("1", "2", "late"), ("2", "1", "early")] {
        let addresses = lab.run(&["addr", other, pod]);
        assert_eq!(addresses.lines().count(), 2, "{addresses}");
        for address in addresses.lines() {
            until("the claim is in the other node's table", || {
                let route = lab.run(&["exec", node, "ip", "route", "get", "fibmatch", address]);
                route.contains(&format!("{address} ")) && route.contains("dev eth0")
            });
        }
    }
    let status = lab.run(&["status"]);
    assert_eq!(count(&status, " Established"), 2, "{status}");
    assert_eq!(count(&status, "heard "), 4, "{status}");
    let running = daemons(&lab);
    assert_eq!(running.len(), 2 * daemons_of_a_node, "{running:#?}");
    up("2");
    assert_eq!(daemons(&lab), running, "one that stands was started anew");
    lab.run(&["down"]);
    lab.assert_gone();
    assert_eq!(daemons(&lab), [""; 0]);
}

#[test]
fn bird_tells_claims_to_the_other_nodes_and_goes_with_the_lab() {
    claims_are_heard("bird", 1);
}

#[test]
fn frr_tells_claims_to_the_other_nodes_and_goes_with_the_lab() {
    claims_are_heard("frr", 2);
}

#[test]
fn a_lab_with_routing_that_was_interrupted_goes_down_whole() {
    for bgp in ["bird", "frr"] {
        let lab = Lab::named();
        let mut up = lab.command(&["up", "--nodes", "2", "--from", built(), "--bgp", bgp]);
        let mut up = up
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until("the first daemon runs", || !daemons(&lab).is_empty());
        ends_with(
            0,
            std::process::Command::new("kill").arg(up.id().to_string()),
        );
        end_of("the end of `up`", &mut up);
        lab.run(&["down"]);
        lab.assert_gone();
        until("no daemon is left", || daemons(&lab).is_empty());
    }
}

#[test]
fn another_labs_daemons_are_left_alone() {
    let (one, two) = (Lab::named(), Lab::named());
    for lab in [&one, &two] {
        lab.run(&["up", "--nodes", "2", "--from", built(), "--bgp", "bird"]);
    }
    let running = daemons(&two);
    one.run(&["down"]);
    assert_eq!(daemons(&two), running);
    let unknown = ends_with(
        1,
        &mut one.command(&["up", "--from", built(), "--bgp", "quagga"]),
    );
    assert!(unknown.contains("bird or frr"), "{unknown}");
    one.assert_gone();
}
