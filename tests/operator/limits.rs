//! A table of MACs that a pod has filled: it ends somewhere, honest pods go on, and an operator is not held up.

use std::net::UdpSocket;

use serde_json::json;

use crate::stage::Stage;
use crate::support::lab::raw::within;
use crate::support::lab::{Lab, Net, Node, address, ipv6, until};
use crate::support::plugin::Said;

/// The default of `options.limit`.
const LIMIT: usize = 16_384;

/// Sends a node frames from MACs that no pod has, as another node passes them on for a pod that makes them up.
fn flood(from: &Node, to: &Node, vni: u32, macs: std::ops::Range<u32>) {
    within(from, || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        for mac in macs {
            let mut packet = vec![8, 0, 0, 0];
            packet.extend((vni << 8).to_be_bytes());
            packet.extend([0xff; 6]);
            packet.extend([2, 0x99]);
            packet.extend(mac.to_be_bytes());
            // A type of frame that means nothing (IEEE 802, local experiments).
            packet.extend([0x88, 0xb5]);
            packet.extend([0; 46]);
            socket.send_to(&packet, (to.underlay(), 4789)).unwrap();
        }
    });
}

fn learnt(node: &Node) -> usize {
    node.run(&["bridge", "fdb", "show", "dev", "vx_blue"])
        .lines()
        .count()
}

/// Has an operator's verb run with a `bridge` that writes down what it is asked.
fn asked(stage: &Stage, words: &[&str]) -> (Said, String) {
    let log = stage.lab().dir().join("asked");
    let _ = std::fs::remove_file(&log);
    let real = "PATH=${PATH#*:}";
    let body = format!(
        "echo \"$*\" >>{0}\n{real}\ntee -a {0} | bridge \"$@\"",
        log.display()
    );
    let dir = stage.lab().script("bin", "bridge", &body);
    let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap());
    let said = stage.call(words).env("PATH", &path).run();
    let asked = std::fs::read_to_string(log).unwrap_or_default();
    (said, asked)
}

#[test]
fn a_table_that_a_pod_has_filled_ends_at_the_limit_and_honest_pods_go_on() {
    ipv6::is_needed();
    let lab = Lab::new(3);
    let blue = Net::new("blue", 100);
    let mut stage = Stage::new(lab, vec![blue.clone()]);
    stage.join(0, "web", 1);
    let (node, hostile, late) = (stage.node(), stage.lab().node(1), stage.lab().node(2));
    until("the table is full", || {
        flood(hostile, node, 100, 0..20_000);
        learnt(node) == LIMIT
    });
    flood(hostile, node, 100, 20_000..21_000);
    // Of these two none is in the table: what one sends the other goes to all nodes, the answer too.
    let db = late.pod("db");
    let result = late.ask(&late.config(&[&blue]), &db).add();
    stage.members[0].pod.ping(&address(&result, 0));
    db.ping(&address(&stage.members[0].result, 0));
    assert_eq!(learnt(node), LIMIT);
    // It is listed once, and not by what mends.
    let lists = |asked: &str| asked.matches("fdb show").count();
    for (words, times) in [(["status"], 1), (["doctor"], 1), (["repair"], 0)] {
        let (said, asked) = asked(&stage, &words);
        assert_eq!((said.code, lists(&asked)), (0, times), "{asked}\n{said:?}");
    }
    let (said, _) = asked(&stage, &["status"]);
    assert!(
        said.stdout.contains("port 4789, 1 known"),
        "{}",
        said.stdout
    );
}

#[test]
fn a_device_that_an_earlier_edition_made_without_a_limit_goes_on_and_is_never_listed() {
    let lab = Lab::new(1);
    let unlimited = Net::new("blue", 100).with(json!({"options": {"limit": 0}}));
    let mut stage = Stage::new(lab, vec![unlimited]);
    stage.join(0, "web", 1);
    // As that edition wrote it down, and as the file has always been.
    let member = &stage.members[0];
    let record = stage.node().record("blue", &member.pod, "eth0");
    let text = std::fs::read_to_string(&record).unwrap();
    let mut edited: serde_json::Value = serde_json::from_str(&text).unwrap();
    let options = edited["definition"]["options"].as_object_mut().unwrap();
    assert!(options.remove("limit").is_some());
    std::fs::write(&record, edited.to_string()).unwrap();
    let node = stage.node();
    let config = node.config(&[&Net::new("blue", 100)]);
    stage.configure(config.value());
    node.ask(&config, &member.pod).check(&member.result);
    let late = node.pod("late");
    let ask = node.ask(&config, &late);
    ask.check(&ask.add());
    for (words, told) in [
        (
            ["status"],
            "port 4789, not listed: vx_blue may learn without limit",
        ),
        (
            ["doctor"],
            "vx_blue may learn MACs without limit (wanted 16384)",
        ),
        (["repair"], ""),
    ] {
        let (said, asked) = asked(&stage, &words);
        assert_eq!(said.code, 0, "{said:?}");
        assert!(said.stdout.contains(told), "{}", said.stdout);
        assert!(!asked.contains("fdb show"), "{asked}");
    }
    // With the last pod the device goes, and the next one has the limit.
    ask.del();
    node.ask(&config, &member.pod).del();
    ask.add();
    let limit = &node.show("link show dev vx_blue")[0]["linkinfo"]["info_data"]["limit"];
    assert_eq!(*limit, LIMIT);
}
