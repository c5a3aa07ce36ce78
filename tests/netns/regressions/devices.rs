//! Devices of the node and of the pod.

use serde_json::{Value, json};

use crate::support::lab::{Lab, Net, Node, Pod, Snapshot, address, ipv6, mac, until};
use crate::support::plugin::Said;

/// An IPAM whose ADD first does something to the pod; the address is one of `blue`.
fn ipam_that(lab: &Lab, does: &str) -> std::path::PathBuf {
    let said = json!({"cniVersion": "1.0.0", "ips": [{"address": "10.100.0.7/16"}]});
    let body = format!("test $CNI_COMMAND = ADD || exit 0\n{does}\necho '{said}'");
    lab.script("ipam", "told", &body)
}

#[test]
fn b29_b49_a_pod_that_vanishes_in_the_middle_of_add_changes_nothing_on_the_node() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let config = node
        .config(&[&Net::new("blue", 100)])
        .ipam(json!({"type": "told"}));
    // The node has an eth0 too: whoever loses the way configures that one.
    let before = node.snapshot();
    let pod = node.pod("web");
    let name = pod.path().rsplit('/').next().unwrap();
    let dir = ipam_that(&lab, &format!("ip netns del {name}"));
    let said = node.ask(&config, &pod).plugins_first(&dir).add_refused(100);
    // Whichever command was the first to find it gone, or just going.
    let words = [
        "Cannot open network namespace",
        "setting the network namespace",
        "nsenter: cannot open",
        "nsenter: reassociate to namespace",
        "Invalid \"netns\" value",
        // Unmounted, and its file is still there.
        "RTNETLINK answers: Invalid argument",
        // All processes were in it already, and kept it to the end.
        "the namespace went while eth0 was configured in it",
    ];
    assert!(words.iter().any(|words| said.contains(words)), "{said}");
    assert!(said.contains("the container is gone"), "{said}");
    node.snapshot().assert_same(&before);
}

#[test]
fn b29_b49_a_pod_whose_last_process_ends_in_the_middle_of_add_changes_nothing_on_the_node() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let config = node
        .config(&[&Net::new("blue", 100)])
        .ipam(json!({"type": "told"}));
    let before = node.snapshot();
    let mut pod = node.process_pod("web");
    let (asked, path) = (lab.dir().join("asked"), pod.path().to_owned());
    let wait = format!(
        ": >{}; while test -e {path}; do sleep 0.01; done",
        asked.display()
    );
    let dir = ipam_that(&lab, &wait);
    let child = node
        .ask(&config, &pod)
        .plugins_first(&dir)
        .verb("ADD")
        .start();
    until("the IPAM is asked", || asked.exists());
    pod.end();
    let said = Said::by(child).error(100);
    assert!(said.contains(&path), "{said}");
    node.snapshot().assert_same(&before);
}

/// The commands that were written into the journal behind a text.
fn commands_behind(node: &Node, before: &str) -> Vec<String> {
    let journal = node.journal();
    let new = journal.strip_prefix(before).unwrap().lines();
    new.filter(|line| !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn b30_b45_del_creates_nothing_and_the_last_one_takes_devices_rule_and_route_along() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let (pod, blue) = (node.pod("web"), Net::new("blue", 100).dual());
    let before = node.snapshot();
    let ask = node.ask(&node.config(&[&blue]), &pod);
    let result = ask.add();
    // Half of the host side is gone: DEL does not mend it first.
    node.sh("ip link del mv_blue; ip rule del pref 19200");
    let journal = node.journal();
    ask.after(&result).del();
    let commands = commands_behind(node, &journal);
    let removes = |line: &String| line.contains(" del ") || line.starts_with("nft 'delete ");
    assert!(commands.iter().all(removes), "{commands:?}");
    let last = "ip link del dev vx_blue".to_owned();
    assert!(commands.contains(&last), "{commands:?}");
    node.snapshot().assert_same(&before);
    let journal = node.journal();
    ask.after(&result).del();
    assert_eq!(commands_behind(node, &journal), [""; 0]);
}

#[test]
fn b42_a_node_that_routes_nothing_is_made_a_router_by_its_first_pod() {
    ipv6::is_needed();
    let lab = Lab::new(2);
    let (node, outside) = (lab.node(0), lab.node(1));
    let (pod, blue) = (node.pod("web"), Net::new("blue", 100).dual());
    assert_eq!(node.sysctl("net/ipv4/ip_forward"), "0");
    assert_eq!(node.sysctl("net/ipv6/conf/all/forwarding"), "0");
    node.ask(&node.config(&[&blue]), &pod).add();
    for (subnet, by) in [
        (blue.subnet_v4(), node.underlay()),
        (blue.subnet_v6(), node.underlay_v6()),
    ] {
        outside.ip(&format!("route add {subnet} via {by}"));
    }
    pod.ping(&outside.underlay());
    pod.ping(&outside.underlay_v6());
    for (key, value) in [
        ("ipv4/conf/mv_blue/forwarding", "1"),
        ("ipv4/conf/mv_blue/rp_filter", "2"),
        ("ipv6/conf/mv_blue/accept_ra", "0"),
        // A host that took its default route from advertisements still does as a router.
        ("ipv6/conf/eth0/accept_ra", "2"),
    ] {
        assert_eq!(node.sysctl(&format!("net/{key}")), value, "{key}");
    }
}

#[test]
fn b46_a_state_that_cannot_be_read_is_an_error_and_nothing_is_removed_for_it() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let (pod, other) = (node.pod("web"), node.pod("other"));
    let config = node.config(&[&Net::new("blue", 100)]);
    let ask = node.ask(&config, &pod);
    let result = ask.add();
    // Whoever asks about the vxlan device gets no answer, for no good reason.
    let real = node.sh("command -v ip");
    let body = format!(
        "lines=$(cat)\ncase $lines in *show*vx_blue*)\n  echo 'RTNETLINK answers: No buffer space available' >&2\n  exit 1;;\nesac\nprintf '%s\\n' \"$lines\" | {} \"$@\"",
        real.trim()
    );
    let dir = lab.script("bin", "ip", &body);
    let before = node.snapshot();
    let said = node.ask(&config, &other).path_first(&dir).add_refused(100);
    assert!(said.contains("No buffer space available"), "{said}");
    let unseeing = ask.clone().path_first(&dir);
    let said = unseeing.check_refused(&result, 100);
    assert!(said.contains("No buffer space available"), "{said}");
    node.snapshot().assert_same(&before);
    // DEL cannot tell who else is on the device: it leaves it, says so, and keeps the record.
    let said = unseeing.after(&result).say("DEL").error(100);
    assert!(said.contains("No buffer space available"), "{said}");
    assert_ne!(node.device("vx_blue"), Value::Null);
    assert!(node.record("blue", &pod, "eth0").exists());
    ask.after(&result).del();
    assert_eq!(node.device("vx_blue"), Value::Null);
}

#[test]
fn b50_the_interface_is_known_by_its_name_whatever_numbers_are_taken() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let (pod, blue) = (node.pod("web"), Net::new("blue", 100));
    // Every number that a device of the node has or will have is taken in the pod.
    let taken: Vec<String> = (0..12)
        .map(|number| format!("link add name taken{number} type bridge"))
        .collect();
    pod.batch(&taken);
    let before = Snapshot::of_namespace(&pod);
    let ask = node.ask(&node.config(&[&blue]), &pod);
    let result = ask.add();
    assert!(node.device("mv_blue")["ifindex"].as_u64().unwrap() <= 12);
    assert_eq!(pod.device("eth0")["address"], mac(&result));
    let changes = Snapshot::of_namespace(&pod).changes_since(&before);
    let others = |line: &String| line.contains("taken");
    assert!(!changes.iter().any(others), "{changes:?}");
    pod.ping(&node.gateway(&blue));
    ask.after(&result).del();
    Snapshot::of_namespace(&pod).assert_same(&before);
}

/// The numbers of a vxlan and of a pod's interface: what is made anew has another.
fn numbers(node: &Node, pod: &Pod) -> [Value; 2] {
    [node.device("vx_blue"), pod.device("eth0")].map(|device| device["ifindex"].clone())
}

#[test]
fn t1_a_lost_gateway_is_made_anew_without_touching_the_vxlan_and_the_pods_on_it() {
    for by in [
        "ip link del mv_blue",
        "ip addr flush dev mv_blue",
        "ip link set mv_blue down",
        "ip rule del pref 19200",
    ] {
        let lab = Lab::new(1);
        let node = lab.node(0);
        let (pod, next) = (node.pod("web"), node.pod("next"));
        let blue = Net::new("blue", 100).dual();
        let config = node.config(&[&blue]);
        let (ask, other) = (node.ask(&config, &pod), node.ask(&config, &next));
        let result = ask.add();
        let before = numbers(node, &pod);
        node.sh(by);
        let second = other.add();
        assert_eq!(numbers(node, &pod), before, "{by}");
        ask.check(&result);
        pod.ping(&node.gateway(&blue));
        pod.ping(&address(&second, 0));
        // A DEL that finds it lost takes nothing away but its own pod's.
        node.sh(by);
        other.after(&second).del();
        assert_eq!(numbers(node, &pod), before, "{by}");
    }
}

#[test]
fn t3_pods_without_a_process_count_and_numbers_that_coincide_do_not() {
    let lab = Lab::new(2);
    let (node, elsewhere) = (lab.node(0), lab.node(1));
    let blue = Net::new("blue", 100);
    // Nobody lives in a named namespace; on the other node every number is the same.
    let (one, two, far) = (node.pod("one"), node.pod("two"), elsewhere.pod("far"));
    let before = node.snapshot();
    let ask = |node: &Node, pod: &Pod| node.ask(&node.config(&[&blue]), pod);
    let away = ask(elsewhere, &far).add();
    let first = ask(node, &one).add();
    let second = ask(node, &two).add();
    assert_eq!(numbers(node, &one), numbers(elsewhere, &far));
    ask(node, &one).after(&first).del();
    ask(node, &two).check(&second);
    two.ping(&address(&away, 0));
    ask(node, &two).after(&second).del();
    node.snapshot().assert_same(&before);
    ask(elsewhere, &far).check(&away);
}

#[test]
fn t5_the_bypass_of_one_network_is_not_taken_away_with_another() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let (blue, green) = (Net::new("blue", 100).dual(), Net::new("green", 200).dual());
    let config = node.config(&[&blue, &green]);
    let (one, two) = (node.pod("one"), node.pod("two"));
    let stay = node.ask(&config, &one);
    let kept = stay.add();
    let with_blue = node.snapshot();
    assert_eq!(
        with_blue.with("rule {\"priority\":19200").len(),
        ipv6::families().len()
    );
    let go = node.ask(&config.clone().joining(&green), &two);
    let result = go.add();
    assert_eq!(
        node.snapshot().with("rule {\"priority\":19200").len(),
        2 * ipv6::families().len()
    );
    go.after(&result).del();
    node.snapshot().assert_same(&with_blue);
    stay.check(&kept);
}
