//! Several nodes that claim the same address: never two keep it, and one does. No routing daemon runs.

use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Ipam, lab, signal, slow};
use crate::support::lab::{Lab, Node, address, until};
use crate::support::plugin::Said;

/// The address that everybody wants.
const WANTED: &str = "10.9.0.60";

/// How many claims at the same moment are made by two and by three nodes.
const ROUNDS: usize = 20;

/// `route-table` on each node, with a short wait.
fn everywhere(lab: &Lab, wait: u64) -> Vec<Ipam<'_>> {
    let more = json!({"propagationTimeoutMs": wait, "requestTimeoutMs": 10_000});
    let ipam = |node| Ipam::new(node, json!({"subnet": super::SUBNET}), more.clone());
    lab.nodes().iter().map(ipam).collect()
}

/// Tells which of those who asked for the wanted address have it, after giving it back everywhere.
fn winners(ipams: &[Ipam<'_>], children: Vec<Child>) -> Vec<usize> {
    let said: Vec<Said> = children.into_iter().map(Said::by).collect();
    let mut won = Vec::new();
    for (index, said) in said.iter().enumerate() {
        if said.code == 0 {
            assert_eq!(address(&said.ok(), 0), WANTED);
            assert_eq!(ipams[index].claims(), [WANTED]);
            won.push(index);
        } else {
            let why = said.error(11);
            assert!(why.contains("is taken"), "{why}");
            assert!(ipams[index].claims().is_empty(), "{why}");
        }
    }
    for ipam in ipams {
        ipam.del("a");
        ipam.assert_nothing_left();
        ipam.assert_nobody_is_asked();
    }
    won
}

/// Claims the wanted address on all nodes, each so much later than the one before.
fn claim_everywhere(ipams: &[Ipam<'_>], offset: Duration) -> Vec<Child> {
    let start = Instant::now();
    let mut children = Vec::new();
    for (index, ipam) in (0u32..).zip(ipams) {
        until("the offset is over", || start.elapsed() >= offset * index);
        children.push(ipam.wanting("a", WANTED).start());
    }
    children
}

#[test]
fn of_nodes_that_claim_one_address_at_the_same_moment_exactly_one_gets_it() {
    for nodes in [2, 3] {
        let lab = lab(nodes);
        let ipams = everywhere(&lab, 40);
        let start = Instant::now();
        let mut won = vec![0; nodes];
        for round in 0..ROUNDS {
            let winners = winners(&ipams, claim_everywhere(&ipams, Duration::ZERO));
            assert_eq!(winners.len(), 1, "round {round}: {winners:?}");
            won[winners[0]] += 1;
        }
        println!(
            "{nodes} nodes, {ROUNDS} rounds, won {won:?}, {:?}",
            start.elapsed()
        );
    }
}

#[test]
fn of_nodes_that_claim_one_address_one_after_the_other_exactly_one_gets_it() {
    let lab = lab(3);
    // The first is done before the second begins from 40 ms on: what is left then is its beacon.
    let ipams = everywhere(&lab, 40);
    for offset in [1, 3, 10, 25, 38, 41, 45, 60, 90] {
        let offset = Duration::from_millis(offset);
        let winners = winners(&ipams, claim_everywhere(&ipams, offset));
        assert_eq!(winners.len(), 1, "{offset:?}: {winners:?}");
    }
}

#[test]
fn a_claim_that_answers_only_every_third_question_is_not_taken_for_gone() {
    let lab = lab(2);
    let ipams = everywhere(&lab, 40);
    for (first, second) in [(0, 1), (1, 0)] {
        // As where the node is so busy that its answer comes late.
        let rules = "add table arp busy; \
                     add chain arp busy input { type filter hook input priority 0; }; \
                     add rule arp busy input arp daddr ip 250.9.0.60 numgen inc mod 3 != 0 drop";
        lab.node(first).run(&["nft", rules]);
        ipams[first].wanting("a", WANTED).run().ok();
        let said = ipams[second].wanting("a", WANTED).run().error(11);
        assert!(said.contains("claims it on eth0"), "{said}");
        ipams[second].assert_nothing_left();
        lab.node(first).run(&["nft", "delete table arp busy"]);
        ipams[first].del("a");
    }
}

#[test]
fn an_address_is_not_lost_between_the_result_and_the_containers_own_answer() {
    let lab = lab(2);
    // A node that answers only for the addresses of the device itself, as kube-proxy wants it.
    lab.node(1).set(&["net.ipv4.conf.all.arp_ignore=1"]);
    for family in [
        json!({"subnet": super::SUBNET}),
        json!({"subnet": "fd09::/64"}),
    ] {
        let wanted = match family["subnet"].as_str() {
            Some(super::SUBNET) => WANTED,
            _ => "fd09::60",
        };
        let [first, second] = [0, 1].map(|node| {
            Ipam::new(
                lab.node(node),
                family.clone(),
                json!({"propagationTimeoutMs": 20}),
            )
        });
        for (first, second) in [(&first, &second), (&second, &first)] {
            first.wanting("a", wanted).run().ok();
            let said = second.wanting("b", wanted).run().error(11);
            assert!(said.contains("claims it on eth0"), "{said}");
            second.assert_nothing_left();
            // Given back, it is free for everybody at once.
            first.del("a");
            first.assert_nothing_left();
            second.wanting("b", wanted).run().ok();
            second.del("b");
        }
    }
}

#[test]
fn an_established_container_keeps_its_address_whatever_its_mac_is() {
    let lab = lab(3);
    let holder = lab.node(2);
    holder.ip("link add pod type veth peer name other");
    for mac in ["02:00:00:00:00:01", "fe:ff:ff:ff:ff:ff"] {
        holder.ip(&format!("link set eth0 address {mac}"));
        holder.ip(&format!("addr add {WANTED}/32 dev eth0"));
        let ipams = everywhere(&lab, 40);
        let two = &ipams[..2];
        for _ in 0..3 {
            let winners = winners(two, claim_everywhere(two, Duration::ZERO));
            assert!(winners.is_empty(), "{mac}: {winners:?}");
        }
        holder.ip(&format!("addr del {WANTED}/32 dev eth0"));
    }
}

#[test]
fn a_pool_that_three_nodes_hand_out_at_once_has_no_duplicates() {
    let lab = lab(3);
    let more = json!({"propagationTimeoutMs": 40, "requestTimeoutMs": 20_000});
    let range =
        json!({"subnet": super::SUBNET, "rangeStart": "10.9.0.100", "rangeEnd": "10.9.0.115"});
    let ipams: Vec<Ipam<'_>> = lab
        .nodes()
        .iter()
        .map(|node| Ipam::new(node, range.clone(), more.clone()))
        .collect();
    let mut children = Vec::new();
    for container in ["a", "b", "c", "d"] {
        for ipam in &ipams {
            children.push(ipam.call("ADD", container).start());
        }
    }
    let said = children.into_iter().map(Said::by);
    let mut got: Vec<String> = said.map(|said| address(&said.ok(), 0)).collect();
    got.sort();
    let count = got.len();
    got.dedup();
    assert_eq!((count, got.len()), (12, 12), "{got:?}");
}

#[test]
fn families_are_claimed_together_and_a_contest_of_one_is_one_of_both() {
    let lab = lab(2);
    let ranges = json!([[{"subnet": super::SUBNET}], [{"subnet": "fd09::/64"}]]);
    let ipams: Vec<Ipam<'_>> = everywhere(&lab, 40)
        .into_iter()
        .map(|ipam| ipam.with("/ipam/ranges", ranges.clone()))
        .collect();
    for round in 0..5 {
        let both = format!("{WANTED},fd09::60");
        let children: Vec<Child> = ipams
            .iter()
            .map(|ipam| ipam.wanting("a", &both).start())
            .collect();
        let codes: Vec<i32> = children
            .into_iter()
            .map(|child| Said::by(child).code)
            .collect();
        let won = codes.iter().filter(|code| **code == 0).count();
        assert_eq!(won, 1, "round {round}: {codes:?}");
        for ipam in &ipams {
            ipam.del("a");
            ipam.assert_nothing_left();
        }
    }
}

#[test]
fn a_route_that_comes_while_claiming_wins_unless_it_gives_way_to_the_lower_next_hop() {
    let lab = lab(2);
    // The node, the other's next hop, and whether that route goes again.
    for (node, hop, goes) in [
        (0, "198.18.0.2", true),
        (0, "198.18.0.2", false),
        (1, "198.18.0.1", false),
    ] {
        let node = lab.node(node);
        let ipam = slow(node).with("/ipam/propagationTimeoutMs", json!(400));
        let child = ipam.wanting("a", WANTED).start();
        until("the route is there", || ipam.claims().len() == 1);
        let route = format!("{WANTED} via {hop} proto 186 metric 32");
        node.ip(&format!("route add {route}"));
        if goes {
            let asked = || journal(&ipam).matches("use").count() > 2;
            until("it looks again", asked);
            node.ip(&format!("route del {route}"));
        }
        let said = Said::by(child);
        if goes {
            assert_eq!(address(&said.ok(), 0), WANTED);
        } else {
            assert!(said.error(11).contains(hop), "{said:?}");
            node.ip(&format!("route del {route}"));
        }
        ipam.del("a");
        ipam.assert_nothing_left();
    }
}

fn journal(ipam: &Ipam<'_>) -> String {
    std::fs::read_to_string(ipam.node.dir().join("route-table.log")).unwrap_or_default()
}

#[test]
fn what_a_sigkill_in_the_middle_of_a_contest_leaves_is_freed_by_del() {
    let lab = lab(2);
    let ipam = slow(lab.node(0)).with("/ipam/propagationTimeoutMs", json!(1000));
    // One that has an address and does not give way.
    let beacon = "addr add 250.9.0.60/32 dev eth0 scope host";
    lab.node(1).ip("link set eth0 address fe:ff:ff:ff:ff:ff");
    lab.node(0).ip("link set eth0 address 02:00:00:00:00:01");
    lab.node(1).ip(beacon);
    let child = ipam.wanting("a", WANTED).start();
    let beacons = ["250.9.0.60"];
    until("its beacon is up", || ipam.beacons() == beacons);
    signal(&child, "KILL");
    assert_eq!(Said::by(child).code, -1);
    assert_eq!(ipam.beacons(), beacons);
    ipam.del("a");
    ipam.assert_nothing_left();
}

#[test]
fn an_entry_that_another_process_flushes_meanwhile_is_no_fault_and_no_question_stays() {
    let lab = lab(1);
    if !knows_use(lab.node(0)) {
        println!("iproute2 before 5.16 ends at the first question, where the stand-in goes on");
        return;
    }
    let ipam = slow(lab.node(0)).with("/ipam/propagationTimeoutMs", json!(100));
    let asked = lab.dir().join("asked");
    // As iproute2 ends where an entry goes between its list and its flush (`flush_update`, ip/ipneigh.c).
    let body = format!(
        "PATH=${{PATH#*:}}\ncase $* in *batch*) ;; *) exec ip \"$@\" ;; esac\n\
         sed -u '/^neigh flush/{{w {0}\nq\n}}' | ip \"$@\" || exit\n\
         [ -s {0} ] || exit 0\n\
         echo 'Failed to send flush request: No such file or directory' >&2\nexit 1",
        asked.display()
    );
    let dir = lab.script("bin", "ip", &body);
    let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap());
    let said = ipam.wanting("a", WANTED).env("PATH", &path).run();
    assert_eq!(address(&said.ok(), 0), WANTED);
    assert!(!std::fs::read_to_string(asked).unwrap().is_empty());
    ipam.assert_nobody_is_asked();
    ipam.del("a");
    ipam.assert_nothing_left();
}

/// Whether this `ip` can be told to have the kernel ask: 5.16 and later.
pub fn knows_use(node: &Node) -> bool {
    let words = "ip neigh replace 198.18.0.250 dev eth0";
    let argv: Vec<&str> = words.split(' ').chain(["use"]).collect();
    let knows = node.exec(&argv).status.success();
    if knows {
        node.ip("neigh del 198.18.0.250 dev eth0");
    }
    knows
}

#[test]
fn an_uncontested_add_is_two_processes_with_and_without_a_wait() {
    let lab = lab(1);
    let node = lab.node(0);
    // One more puts the questions in other words.
    let processes = 2 + usize::from(!knows_use(node));
    let log = node.dir().join("calls");
    let body = format!(
        "export PATH={}\necho \"$@\" >>{}\nexec ip \"$@\"",
        std::env::var("PATH").unwrap(),
        log.display()
    );
    let stand_in = lab.script("bin", "ip", &body);
    let path = format!("{}:{}", stand_in.display(), std::env::var("PATH").unwrap());
    for (wait, both) in [(20, false), (0, false), (20, true)] {
        let mut ipam = everywhere(&lab, wait).remove(0);
        if both {
            ipam = ipam.with(
                "/ipam/ranges",
                json!([[{"subnet": super::SUBNET}], [{"subnet": "fd09::/64"}]]),
            );
        }
        std::fs::write(&log, "").unwrap();
        ipam.call("ADD", "a").env("PATH", &path).run().ok();
        let calls = std::fs::read_to_string(&log).unwrap();
        assert_eq!(calls.lines().count(), processes, "{calls}");
        std::fs::write(&log, "").unwrap();
        let said: Value = ipam.call("DEL", "a").env("PATH", &path).run().ok();
        assert_eq!(said, Value::Null);
        let calls = std::fs::read_to_string(&log).unwrap();
        assert_eq!(calls.lines().count(), 1 + usize::from(both), "{calls}");
        ipam.assert_nothing_left();
    }
}

#[test]
fn c58_check_right_after_add_waits_for_the_route_of_one_who_has_given_way() {
    let lab = lab(1);
    let node = lab.node(0);
    let ipam = Ipam::small(node, 60, 60).with("/ipam/propagationTimeoutMs", json!(0));
    let theirs = "10.9.0.60 via 10.9.0.2 dev eth0 proto bgp metric 20";
    ipam.say("ADD", "a").ok();
    // One that a daemon has not withdrawn yet, and withdraws when it has been looked at once.
    node.ip(&format!("route add {theirs}"));
    let calls = lab.dir().join("calls");
    let body = format!(
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin\n\
         echo >>{0}\n\
         test \"$(wc -l <{0})\" -ne 2 || ip route del {theirs}\n\
         exec ip \"$@\"",
        calls.display()
    );
    let dir = lab.script("withdrawing", "ip", &body);
    let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap());
    ipam.call("CHECK", "a").env("PATH", &path).run().ok();
    assert_eq!(std::fs::read_to_string(&calls).unwrap().lines().count(), 2);
    // One that stays is named.
    node.ip(&format!("route add {theirs}"));
    let said = ipam.say("CHECK", "a").error(101);
    assert!(said.contains("claimed elsewhere too"), "{said}");
    node.ip(&format!("route del {theirs}"));
    ipam.del("a");
    ipam.assert_nothing_left();
}
