//! The journal is a shell script: an ADD's lines, run by `sh` on a blank node, rebuild its state.

use serde_json::{Value, json};

use crate::support::lab::{Lab, Net, Node, Ns};

/// What differs between any two namespaces, and what the kernel draws at random.
const OWN: [&str; 6] = [
    "ifindex",
    "link_index",
    "link_netnsid",
    "operstate",
    "address",
    "flags",
];

/// Devices, addresses, routes of all tables and rules, without what is a namespace's own. A pod's MAC
/// stays, since it is derived from its address.
fn state(ns: &Ns, keep: &[&str]) -> Vec<String> {
    let four = ["addr show", "route show table all", "rule show"];
    let mut all = ns.questions(&[], &four);
    all.extend(ns.questions(&["-6"], &["route show table all", "rule show"]));
    let items = all.iter().filter_map(Value::as_array).flatten();
    let mut lines: Vec<String> = items.filter_map(|item| line(item.clone(), keep)).collect();
    lines.sort();
    lines
}

fn line(mut item: Value, keep: &[&str]) -> Option<String> {
    let object = item.as_object_mut()?;
    let dst = object.get("dst").and_then(Value::as_str).unwrap_or("");
    // Link-local ones come and settle at a time of their own; eth0 is the node's own business.
    let own = object.get("ifname").or(object.get("dev")) == Some(&json!("eth0")) && keep.is_empty();
    if dst.starts_with("fe80") || dst.starts_with("ff00") || object.is_empty() || own {
        return None;
    }
    object.retain(|key, _| keep.contains(&&**key) || !OWN.contains(&&**key));
    if let Some(addresses) = object.get_mut("addr_info").and_then(Value::as_array_mut) {
        addresses.retain(|address| address["scope"] != "link");
    }
    Some(item.to_string())
}

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
    let made = state(one, &[]);
    assert!(made.iter().any(|line| line.contains("vx_blue")), "{made:?}");
    assert_eq!(made, state(blank, &[]));
    assert_eq!(
        state(&pod, &["address", "flags"]),
        state(&twin, &["address", "flags"])
    );
    assert!(
        state(&pod, &["address"])
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
    let blue = Net::new("blue", 100).dual().with(json!({
        "mtu": 1400,
        "routes": [{"dst": "192.168.7.0/24"}, {"dst": "fd77::/64"}],
        "options": {"port": 4999, "ttl": 9, "proxy": true, "portlow": 30000, "porthigh": 40000, "age": 77},
    }));
    rebuilds(&blue, json!({"routeTable": 77, "rulePriority": 777}));
}
