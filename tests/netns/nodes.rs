//! Nodes as people have them: an interface of the pod's name, other names in /etc/iproute2, no IPv6, a way out
//! that a router advertised, addresses that a network must not take.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::support::lab::{Ask, Lab, Net, Node, Snapshot, address, ipv6, until};
use crate::support::plugin::{Call, Program};

/// Runs the program with files of the test's own in place of those of /etc/iproute2.
fn with_names(ask: &Ask, dir: &Path) -> Ask {
    let script = format!(
        "mount --bind {} /etc/iproute2 && exec \"$@\"",
        dir.display()
    );
    ask.clone()
        .behind(&["unshare", "--mount", "sh", "-c", &script, "sh"])
}

/// A stand-in for `ip` that says of lines with a word what another kernel or another `ip` says, and is the real
/// one for all others; none of the lines behind such a line is run.
fn other_ip(lab: &Lab, folder: &str, word: &str, told: &str, code: u8) -> std::path::PathBuf {
    let body = format!(
        r#"case " $* " in *" -batch "*) ;; *) PATH=${{PATH#*:}} exec ip "$@" ;; esac
hit=$(mktemp)
# As they come: what comes next may wait for what comes before.
hand_on() {{
  at=0
  while IFS= read -r line; do
    at=$((at + 1))
    if printf '%s\n' "$line" | grep -qE '{word}'; then echo $at >"$hit"; return; fi
    printf '%s\n' "$line"
  done
}}
hand_on | PATH=${{PATH#*:}} ip "$@"
code=$?
at=$(cat "$hit")
rm -f "$hit"
[ -n "$at" ] || exit $code
printf '{told}' "$at" >&2
exit {code}"#
    );
    lab.script(folder, "ip", &body)
}

#[test]
fn the_pods_link_is_made_under_another_name_where_the_node_has_one_of_its_own() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let blue = Net::new("blue", 100).dual();
    let before = node.snapshot();
    let pod = node.pod("web");
    let ask = node.ask(&node.config(&[&blue]), &pod);
    let result = ask.add();
    ask.check(&result);
    let journal = node.journal();
    assert!(journal.contains("ip link add name tmp"), "{journal}");
    assert!(journal.contains(" name eth0\n"), "{journal}");
    // The node has no net1: there is nothing to go round.
    let other = node.pod("db");
    let direct = node.ask(&node.config(&[&blue]), &other).ifname("net1");
    let added = direct.add();
    direct.check(&added);
    assert!(
        node.journal()
            .contains("ip link add name net1 link vx_blue netns")
    );
    direct.del();
    ask.del();
    node.snapshot().assert_same(&before);
}

#[test]
fn a_kernel_that_takes_the_nodes_devices_for_the_pods_is_gone_round_and_the_pod_has_its_interface()
{
    let lab = Lab::new(1);
    let node = lab.node(0);
    let blue = Net::new("blue", 100);
    let told = r"RTNETLINK answers: File exists\nCommand failed -:%s\n";
    let dir = other_ip(&lab, "old", "link add name net1 ", told, 1);
    let pod = node.pod("web");
    let before = node.snapshot();
    let ask = node
        .ask(&node.config(&[&blue]), &pod)
        .ifname("net1")
        .path_first(&dir);
    // As the first of its network, and beside another.
    for _ in 0..2 {
        let result = ask.add();
        ask.check(&result);
        assert_eq!(pod.device("net1")["linkinfo"]["info_kind"], "macvlan");
        ask.del();
        node.snapshot().assert_same(&before);
    }
    // Only where the pod has it is that the reason.
    pod.ip("link add name net1 type bridge");
    let said = ask.add_refused(4);
    assert!(
        said.contains("the container has an interface net1 already"),
        "{said}"
    );
    assert_eq!(pod.device("net1")["linkinfo"]["info_kind"], "bridge");
    node.snapshot().assert_same(&before);
}

#[test]
fn no_name_in_etc_iproute2_matters() {
    let lab = Lab::new(2);
    let node = lab.node(0);
    let dir = lab.dir().join("names");
    std::fs::create_dir_all(&dir).unwrap();
    for (file, text) in [
        ("rt_tables", "192 vxlans\n255 lokal\n254 haupt\n253 rest\n"),
        ("rt_protos", "192 claims\n2 kern\n3 anlauf\n"),
        ("rt_scopes", "0 alle\n253 leitung\n254 haus\n255 nichts\n"),
        ("rt_dsfield", "0x10 leise\n"),
        ("group", "0 keine\n"),
        ("rt_marks", "0x1000 anders\n"),
    ] {
        std::fs::write(dir.join(file), text).unwrap();
    }
    let blue = Net::new("blue", 100).dual().with(json!({
        "routes": [{"dst": "10.200.0.0/16", "scope": 0}],
        "options": {"tos": 16},
    }));
    let before = node.snapshot();
    let pod = node.pod("web");
    let config = node.config(&[&blue]).ipam(node.route_table());
    let ask = with_names(&node.ask(&config, &pod), &dir);
    let result = ask.add();
    ask.check(&result);
    // The IPAM's own answers are read alike: the address has an owner.
    let other = node.pod("db");
    let wanted = format!("IP={}", address(&result, 0));
    let said = with_names(&node.ask(&config, &other), &dir)
        .args(&wanted)
        .add_refused(11);
    assert!(said.contains("is taken"), "{said}");
    ask.after(&result).del();
    node.snapshot().assert_same(&before);
}

#[test]
fn an_ip_without_the_word_use_asks_the_wire_all_the_same() {
    ipv6::is_needed();
    let lab = Lab::new(2);
    let (one, two) = (lab.node(0), lab.node(1));
    let told = r#"Error: either "to" is duplicate, or "use" is a garbage.\n"#;
    let dir = other_ip(&lab, "old", " use$", told, 255);
    let blue = Net::new("blue", 100)
        .dual()
        .with(json!({"excludeFirst": 256, "excludeLast": 256}));
    let ask = |node: &Node, pod| {
        // The stand-in is slow on a slow machine.
        let mut ipam = node.route_table();
        ipam["requestTimeoutMs"] = json!(30_000);
        let config = node.config(&[&blue]).ipam(ipam);
        node.ask(&config, pod).path_first(&dir)
    };
    let before = [one.snapshot(), two.snapshot()];
    let (web, thief) = (one.pod("web"), two.pod("thief"));
    let first = ask(one, &web);
    let result = first.add();
    for n in 0..2 {
        let wanted = address(&result, n);
        let said = ask(two, &thief)
            .args(&format!("IP={wanted}"))
            .add_refused(11);
        assert!(said.contains(&format!("{wanted} is taken")), "{said}");
    }
    let second = ask(two, &thief);
    second.add();
    second.del();
    first.del();
    for (node, before) in [one, two].into_iter().zip(&before) {
        node.snapshot().assert_same(before);
    }
}

#[test]
fn over_an_underlay_of_1280_an_ipv4_network_has_1230_and_one_with_ipv6_is_refused() {
    ipv6::is_needed();
    let lab = Lab::new(2);
    for node in lab.nodes() {
        node.ip("link set dev eth0 mtu 1280");
    }
    let (one, two) = (lab.node(0), lab.node(1));
    let blue = Net::new("blue", 100);
    let before = one.snapshot();
    let (web, db) = (one.pod("web"), two.pod("db"));
    let ask = one.ask(&one.config(&[&blue]), &web);
    let result = ask.add();
    let other = two.ask(&two.config(&[&blue]), &db).add();
    assert_eq!(web.device("eth0")["mtu"], 1230);
    web.ping(&address(&other, 0));
    assert!(web.ping_whole(&address(&other, 0), 1230 - 28));
    ask.check(&result);
    assert_refused_whole(
        one,
        &Net::new("red", 200).dual(),
        "IPv6 needs an MTU of 1280",
    );
    ask.del();
    one.snapshot().assert_same(&before);
}

/// A network is refused with error 7 before anything is made, and STATUS names it too.
fn assert_refused_whole(node: &Node, net: &Net, words: &str) {
    let before = node.snapshot();
    let pod = node.pod("refused");
    let empty = Snapshot::of_namespace(&pod);
    let config = node.config(&[net]).ipam(node.route_table());
    let said = node.ask(&config, &pod).add_refused(7);
    assert!(said.contains(words), "{said}\nlacks {words}");
    assert!(said.contains(&format!("\"{}\"", net.name)), "{said}");
    node.snapshot().assert_same(&before);
    Snapshot::of_namespace(&pod).assert_same(&empty);
    // STATUS, which is asked all the time, looks at less: it may name another way in which they overlap.
    let short = words.split(' ').next().filter(|first| *first == "overlaps");
    assert_status(node, net, short.unwrap_or(words));
    let told = doctor(node, net);
    assert!(told.contains(words), "{told}\nlacks {words}");
}

/// What doctor says of a network.
fn doctor(node: &Node, net: &Net) -> String {
    let config = node.config(&[net]).ipam(node.route_table());
    node.operate(&config, &["doctor"]).stdout
}

/// STATUS is 50, with these words.
fn assert_status(node: &Node, net: &Net, words: &str) {
    let config = node
        .config(&[net])
        .ipam(node.route_table())
        .with(json!({"cniVersion": "1.1.0"}));
    let pod = node.pod("asks-nothing");
    let said = node.ask(&config, &pod).say("STATUS").error(50);
    assert!(said.contains(words), "{said}\nlacks {words}");
    let told = doctor(node, net);
    assert!(told.contains(words), "{told}\nlacks {words}");
}

#[test]
fn where_ipv6_is_switched_off_ipv4_networks_work_and_others_are_refused_by_name() {
    ipv6::is_needed();
    let lab = Lab::new(1);
    let node = lab.node(0);
    let off = "net.ipv6.conf.all.disable_ipv6=1";
    node.set(&[off, "net.ipv6.conf.default.disable_ipv6=1"]);
    let before = node.snapshot();
    let pod = node.pod("web");
    let ask = node.ask(&node.config(&[&Net::new("blue", 100)]), &pod);
    let result = ask.add();
    ask.check(&result);
    let words = "this node has none: net.ipv6.conf.all.disable_ipv6 is 1";
    for net in [Net::new("red", 200).dual(), Net::new("red", 200).v6()] {
        assert_refused_whole(node, &net, words);
    }
    // An IPv6 underlay is IPv6 too.
    let outer = Net::new("red", 200).with(json!({"options": {"group": "ff05::200"}}));
    assert_refused_whole(node, &outer, words);
    ask.del();
    node.snapshot().assert_same(&before);
}

#[test]
fn a_cidr_that_the_node_is_in_itself_is_refused_and_cuts_nothing_off() {
    ipv6::is_needed();
    let lab = Lab::new(2);
    let node = lab.node(0);
    node.ip("route add default via 203.0.113.1 dev eth0 onlink");
    node.ip("-6 route add default via fd00:198:99::1 dev eth0 onlink");
    node.ip("link add name cni0 type bridge");
    node.ip("addr add 172.30.0.1/16 dev cni0");
    node.ip("link set dev cni0 up");
    for (cidr, words) in [
        ("198.18.0.129/25", "overlaps 198.18.0.0/24 of eth0"),
        ("198.18.0.250/24", "overlaps 198.18.0.0/24 of eth0"),
        ("198.0.0.1/8", "overlaps 198.18.0.0/24 of eth0"),
        (
            "203.0.113.9/28",
            "overlaps 203.0.113.1, this node's gateway",
        ),
        (
            "172.30.5.1/24",
            "overlaps the route `172.30.0.0/16 dev cni0",
        ),
        ("fd00:198:18::9:1/112", "overlaps fd00:198:18::/64 of eth0"),
        (
            "fd00:198:99::9/64",
            "overlaps fd00:198:99::1, this node's gateway",
        ),
    ] {
        let net =
            Net::new("blue", 100).with(json!({"cidr": cidr, "excludeFirst": 1, "excludeLast": 1}));
        assert_refused_whole(node, &net, words);
        assert!(node.reaches("198.18.0.2"), "{cidr} cut the node off");
    }
}

#[test]
fn what_a_routing_daemon_knows_of_the_network_is_no_overlap() {
    let lab = Lab::new(2);
    let node = lab.node(0);
    let blue = Net::new("blue", 100);
    node.ip("route add 10.100.0.0/16 via 198.18.0.2 proto 186 metric 32");
    let pod = node.pod("web");
    let ask = node.ask(&node.config(&[&blue]), &pod);
    let result = ask.add();
    ask.check(&result);
    ask.del();
}

#[test]
fn the_underlay_may_go_by_another_name_of_its_device() {
    ipv6::is_needed();
    let lab = Lab::new(1);
    let node = lab.node(0);
    let name = "enp193s0f1np1-uplink-of-the-rack";
    node.ip(&format!("link property add dev eth0 altname {name}"));
    let blue = Net::new("blue", 100)
        .dual()
        .with(json!({"options": {"vtepdev": name}}));
    let before = node.snapshot();
    let (web, db) = (node.pod("web"), node.pod("db"));
    let config = node.config(&[&blue]);
    let (first, second) = (node.ask(&config, &web), node.ask(&config, &db));
    let result = first.add();
    first.check(&result);
    assert_eq!(
        node.device("vx_blue")["linkinfo"]["info_data"]["link"],
        "eth0"
    );
    assert_eq!(node.sysctl("net/ipv6/conf/eth0/accept_ra"), "2");
    let made = |journal: String| journal.matches("\nsysctl -qw net").count();
    let cold = made(node.journal());
    let result = second.add();
    second.check(&result);
    // The second one finds the host side as it should be: only the pod's own switches are set.
    assert_eq!(made(node.journal()), cold);
    let config = node
        .config(&[&blue])
        .ipam(node.route_table())
        .with(json!({"cniVersion": "1.1.0"}));
    node.ask(&config, &web).say("STATUS").ok();
    first.del();
    second.del();
    node.snapshot().assert_same(&before);
}

#[test]
fn an_underlay_device_that_cannot_carry_a_network_is_named() {
    ipv6::is_needed();
    let lab = Lab::new(1);
    let node = lab.node(0);
    let blue = Net::new("blue", 100);
    node.ip("link add name br0 type bridge");
    node.ip("link set dev br0 up");
    node.ip("link set dev eth0 master br0");
    let words = "the underlay device `eth0` is a port of the bridge br0";
    assert_status(node, &blue, words);
    node.ip("link set dev eth0 nomaster");
    node.ip("addr flush dev eth0");
    assert_status(
        node,
        &blue,
        "the underlay device `eth0` has no IPv4 address to send from",
    );
    let outer = Net::new("blue", 100).with(json!({"options": {"group": "ff05::100"}}));
    assert_status(node, &outer, "`eth0` has no IPv6 address to send from");
    node.ip("addr add 198.18.0.1/32 dev lo");
    let loopback = json!({"options": {"srcaddr": "198.18.0.1"}});
    let config = node
        .config(&[&Net::new("blue", 100).with(loopback)])
        .ipam(node.route_table())
        .with(json!({"cniVersion": "1.1.0"}));
    let pod = node.pod("asks-nothing");
    node.ask(&config, &pod).say("STATUS").ok();
}

/// A router that advertises itself on a device: BIRD, ended with this.
struct Router(Child);

impl Router {
    fn on(node: &Node, dev: &str) -> Self {
        let dir = node.dir();
        let config = format!(
            "router id 1.2.3.4;\nprotocol device {{ }}\nprotocol radv {{ interface \"{dev}\" {{ min ra interval 3; \
             max ra interval 4; default lifetime 1800; prefix ::/0 {{ autonomous yes; }}; }}; }}\n"
        );
        let file = dir.join("bird.conf");
        std::fs::write(&file, config).unwrap();
        let [nsenter, net] = node.enter();
        let child = Command::new(nsenter)
            .args([&net, "/usr/sbin/bird", "-f", "-c"])
            .arg(&file)
            .arg("-s")
            .arg(dir.join("bird.ctl"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_first_pod_of_an_ipv6_network_leaves_the_node_the_way_out_that_a_router_advertised() {
    ipv6::is_needed();
    let lab = Lab::new(2);
    let (node, router) = (lab.node(0), lab.node(1));
    router.set(&["net.ipv6.conf.all.forwarding=1"]);
    router.ip(&format!(
        "link add name up0 type veth peer name wan0 netns {}",
        node.path()
    ));
    router.ip("link set dev up0 up");
    router.ip("addr add fd77::1/64 dev up0 nodad");
    // One that listens and has heard nothing, and one that was told not to listen.
    for name in ["idle0", "deaf0"] {
        node.ip(&format!("link add name {name} type bridge"));
        node.ip(&format!("link set dev {name} up"));
    }
    node.set(&["net.ipv6.conf.deaf0.accept_ra=0"]);
    node.ip("link set dev wan0 up");
    let _router = Router::on(router, "up0");
    let way_out = || {
        let routes = node.questions(&["-6"], &["route show default dev wan0"]);
        routes[0]
            .as_array()
            .is_some_and(|routes| !routes.is_empty())
    };
    until("the router's advertisement has come", way_out);
    let accepts = |dev: &str| node.sysctl(&format!("net/ipv6/conf/{dev}/accept_ra"));
    assert_eq!(accepts("wan0"), "1");
    let pod = node.pod("web");
    let ask = node.ask(&node.config(&[&Net::new("blue", 100).dual()]), &pod);
    let result = ask.add();
    assert!(way_out(), "the default route is gone");
    assert_eq!(accepts("wan0"), "2");
    assert_eq!(
        (accepts("idle0"), accepts("deaf0")),
        ("1".into(), "0".into())
    );
    ask.check(&result);
    ask.del();
    // Others may rely on it by now.
    assert_eq!(node.sysctl("net/ipv6/conf/all/forwarding"), "1");
    assert!(way_out(), "the default route is gone with the last pod");
}

#[test]
fn a_length_of_0_is_refused_in_a_network_and_in_the_ipams_ranges() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let pod = node.pod("web");
    let before = node.snapshot();
    for cidr in ["0.0.0.1/0", "fd10::1/0"] {
        let net =
            Net::new("blue", 100).with(json!({"cidr": cidr, "excludeFirst": 1, "excludeLast": 1}));
        let said = node.ask(&node.config(&[&net]), &pod).add_refused(7);
        assert!(said.contains("is every address there is"), "{said}");
    }
    let config = json!({"cniVersion": "1.0.0", "name": "lab", "type": "x",
        "ipam": {"type": "route-table", "subnet": "0.0.0.0/0"}});
    let call =
        Call::verb(Program::RouteTable, "ADD", &config).attachment("a", "/proc/1/ns/net", "eth0");
    let said = call.run().error(7);
    assert!(said.contains("is every address there is"), "{said}");
    node.snapshot().assert_same(&before);
}
