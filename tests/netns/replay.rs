//! The journal is a shell script: an ADD's lines, run by `sh` on a blank node, rebuild its state.

use serde_json::{Value, json};

use crate::support::lab::{Lab, Net, Node, ipv6, state};

/// The lines of the one ADD in a node's journal.
fn script(node: &Node) -> String {
    let journal = node.journal();
    assert!(
        journal.contains(" ADD blue ") && journal.contains(" ok "),
        "{journal}"
    );
    journal
}

fn rebuilds(blue: &Net, more: Value) {
    let mut lab = Lab::new(1);
    lab.join();
    let (one, blank) = (lab.node(0), lab.node(1));
    let (pod, twin) = (one.pod("web"), blank.pod("web"));
    let config = one.config(&[blue]).with(more);
    one.ask(&config, &pod).add();
    let name = |path: &str| path.strip_prefix("/run/netns/").unwrap().to_owned();
    let lines = script(one).replace(&name(pod.path()), &name(twin.path()));
    let file = lab.dir().join("add.sh");
    std::fs::write(&file, lines).unwrap();
    let file = file.to_str().unwrap();
    blank.run(&["sh", "-n", file]);
    blank.run(&["sh", "-e", file]);
    let made = state::of(one, &[]);
    assert!(made.iter().any(|line| line.contains("vx_blue")), "{made:?}");
    assert_eq!(made, state::of(blank, &[]));
    assert_eq!(
        state::of(&pod, &["address", "flags"]),
        state::of(&twin, &["address", "flags"])
    );
    assert!(
        state::of(&pod, &["address"])
            .iter()
            .any(|line| line.contains("macvlan"))
    );
}

#[test]
fn an_adds_lines_rebuild_an_ipv4_network() {
    rebuilds(&Net::new("blue", 100), json!({}));
}

#[test]
fn an_adds_lines_rebuild_both_families_with_options_and_routes() {
    ipv6::is_needed();
    let blue = Net::new("blue", 100).dual().with(json!({
        "mtu": 1400,
        "routes": [{"dst": "192.168.7.0/24"}, {"dst": "fd77::/64"}],
        "options": {"port": 4999, "ttl": 9, "proxy": true, "portlow": 30000, "porthigh": 40000, "age": 77},
    }));
    rebuilds(&blue, json!({"routeTable": 77, "rulePriority": 777}));
}
