//! The guard: no pod speaks vxlan, whatever it sends to and wherever it is, and other traffic is left alone.

use serde_json::json;

use crate::support::lab::{Config, Lab, Net, Node, Ns, Pod, Snapshot, address, ipv6, nft, until};
use crate::support::plugin::{Call, Program};
use crate::support::program;

/// The MAC that a forged frame comes from, by which a device that took it is known.
const FORGED: &str = "02:66:66:66:66:66";

/// A vxlan packet as `printf` writes it: flags, VNI, and a frame to everybody.
fn forged(vni: u32) -> String {
    let [_, a, b, c] = vni.to_be_bytes();
    let header = format!(r"\x08\0\0\0\x{a:02x}\x{b:02x}\x{c:02x}\0");
    let frame = r"\xff\xff\xff\xff\xff\xff\x02\x66\x66\x66\x66\x66\x08\x06";
    // An ARP question of no host, padded to a frame's least length.
    let rest = r"\0\x01\x08\0\x06\x04\0\x01".to_owned() + &r"\0".repeat(38);
    header + frame + &rest
}

/// Sends it as a user who may do nothing but open a socket; several times, since the first may wait for a neighbour.
fn attack(from: &Ns, to: &str, port: u16, vni: u32) {
    let send = format!(
        "for n in 1 2 3; do printf '{}' >/dev/udp/{to}/{port} || :; done 2>&-",
        forged(vni)
    );
    let user = [
        "setpriv",
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
    ];
    let argv = [&user[..], &["--bounding-set", "-all", "bash", "-c", &send]].concat();
    from.run(&argv);
}

/// The vxlan devices, of networks that all nodes are on or not, that have learnt a VTEP behind the forged MAC.
fn fooled(lab: &Lab, nets: &[&Net]) -> Vec<String> {
    let mut fooled = Vec::new();
    for node in lab.nodes() {
        for net in nets {
            let ask = format!("bridge fdb show dev {} 2>&1 || :", net.vx());
            if node.sh(&ask).contains(FORGED) {
                fooled.push(format!("{} on node {}", net.vx(), node.index));
            }
        }
    }
    fooled
}

/// Two nodes with a network that is attacked, one that the attacker is on, and one over IPv6.
struct Scene {
    lab: Lab,
    nets: [Net; 3],
    pods: Vec<Pod>,
    addresses: Vec<String>,
}

const BLUE: usize = 0;
const RED: usize = 1;
const OUTER: usize = 2;

impl Scene {
    fn new(guard: bool) -> Self {
        nft::is_needed();
        ipv6::is_needed();
        let lab = Lab::new(2);
        let nets = [
            Net::new("blue", 100).dual(),
            Net::new("red", 200)
                .dual()
                .with(json!({"options": {"port": 4790}})),
            Net::new("outer", 210).with(json!({"options": {"group": "ff05::210"}})),
        ];
        let mut scene = Self {
            lab,
            nets,
            pods: Vec::new(),
            addresses: Vec::new(),
        };
        for index in 0..2 {
            for which in 0..3 {
                scene.join(index, which, guard);
            }
        }
        scene
    }

    fn config(&self, node: &Node, guard: bool) -> Config {
        let nets: Vec<&Net> = self.nets.iter().collect();
        node.config(&nets).with(json!({"guard": guard}))
    }

    fn join(&mut self, index: usize, which: usize, guard: bool) {
        let node = self.lab.node(index);
        let pod = node.pod(&format!("p{which}"));
        let config = self.config(node, guard).joining(&self.nets[which]);
        let result = node.ask(&config, &pod).add();
        self.addresses.push(address(&result, 0));
        self.pods.push(pod);
    }

    fn fooled(&self) -> Vec<String> {
        let nets: Vec<&Net> = self.nets.iter().collect();
        fooled(&self.lab, &nets)
    }

    /// Where an attacker may send to: gateways of its own and of other networks, and underlays, of both nodes.
    fn targets(&self) -> Vec<String> {
        let mut targets = Vec::new();
        for node in self.lab.nodes() {
            targets.extend([node.underlay(), node.underlay_v6()]);
            for net in &self.nets[..2] {
                targets.extend([node.gateway(net), node.gateway_v6(net)]);
            }
            targets.push(node.gateway(&self.nets[OUTER]));
        }
        targets
    }

    /// Every attack that there is from one place.
    fn attack_everything(&self, from: &Ns) {
        for target in self.targets() {
            for (port, vni) in [(4790, 200), (4789, 100), (4789, 210)] {
                attack(from, &target, port, vni);
            }
        }
    }

    fn talk(&self) {
        for which in [BLUE, RED, OUTER] {
            self.pods[which].ping(&self.addresses[which + 3]);
        }
    }
}

#[test]
fn a_pod_cannot_put_frames_into_another_network_by_any_address_of_any_node() {
    let scene = Scene::new(true);
    scene.talk();
    scene.attack_everything(&scene.pods[BLUE]);
    scene.talk();
    assert_eq!(scene.fooled(), [""; 0]);
}

#[test]
fn without_the_guard_a_pod_puts_frames_into_another_network() {
    let scene = Scene::new(false);
    scene.talk();
    scene.attack_everything(&scene.pods[BLUE]);
    let fooled = scene.fooled();
    for name in ["vx_red on node 0", "vx_red on node 1", "vx_outer on node 1"] {
        assert!(fooled.iter().any(|one| one == name), "{name}: {fooled:?}");
    }
    let ruleset = scene.lab.node(0).run(&["nft", "list", "ruleset"]);
    assert_eq!(ruleset, "");
}

#[test]
fn a_pod_of_another_plugin_cannot_either_and_other_vxlan_on_the_same_port_passes() {
    let scene = Scene::new(true);
    let node = scene.lab.node(0);
    let other = node.pod("other-plugin");
    let name = other.path().rsplit('/').next().unwrap();
    node.batch(&[
        "link add name cni0 type bridge".to_owned(),
        "addr add 172.30.0.1/24 dev cni0".to_owned(),
        "link set dev cni0 up".to_owned(),
        format!("link add name veth0 type veth peer name eth0 netns {name}"),
        "link set dev veth0 master cni0 up".to_owned(),
    ]);
    other.ip("link set dev eth0 up");
    other.ip("addr add 172.30.0.2/24 dev eth0");
    other.ip("route add default via 172.30.0.1");
    node.ip("-6 addr add fd30::1/64 dev cni0 nodad");
    other.ip("-6 addr add fd30::2/64 dev eth0 nodad");
    other.ip("-6 route add default via fd30::1");
    other.ping("172.30.0.1");
    for target in [
        node.underlay(),
        node.underlay_v6(),
        node.gateway(&scene.nets[RED]),
    ] {
        for (port, vni) in [(4790, 200), (4789, 100), (4789, 210)] {
            attack(&other, &target, port, vni);
        }
    }
    assert_eq!(scene.fooled(), [""; 0]);
    // Another program's vxlan, of a VNI that is none of ours, on the port of ours.
    node.ip("link add name theirs type vxlan id 777 dev cni0 dstport 4789 learning");
    node.ip("link set dev theirs up");
    attack(&other, "172.30.0.1", 4789, 777);
    until("the other program's vxlan has learnt", || {
        let learnt = node.run(&["bridge", "fdb", "show", "dev", "theirs"]);
        learnt.contains(FORGED)
    });
}

#[test]
fn a_pod_cannot_reach_a_network_that_its_own_node_is_not_on() {
    nft::is_needed();
    for guard in [true, false] {
        let lab = Lab::new(2);
        let blue = Net::new("blue", 100);
        let red = Net::new("red", 200).with(json!({"options": {"port": 4790}}));
        let (node, other) = (lab.node(0), lab.node(1));
        let config = |node: &Node| {
            node.config(&[&blue, &red])
                .with(json!({"guard": guard && node.index == 0}))
        };
        let (attacker, victim) = (node.pod("attacker"), other.pod("victim"));
        node.ask(&config(node), &attacker).add();
        other.ask(&config(other).joining(&red), &victim).add();
        // The way back, for the kernel takes no packet from where it would not answer to.
        other.ip(&format!(
            "route add {} via {}",
            blue.subnet_v4(),
            node.underlay()
        ));
        attacker.ping(&other.underlay());
        attack(&attacker, &other.underlay(), 4790, 200);
        attacker.ping(&other.underlay());
        let expected: &[&str] = if guard { &[] } else { &["vx_red on node 1"] };
        assert_eq!(fooled(&lab, &[&red]), expected, "guard: {guard}");
    }
}

#[test]
fn where_the_other_vtep_is_named_no_third_host_puts_frames_into_a_network() {
    nft::is_needed();
    for guard in [true, false] {
        let lab = Lab::new(3);
        let mut pods = Vec::new();
        let mut blue = Net::new("blue", 100);
        for (index, peer) in [(0, 1), (1, 0)] {
            let (node, peer) = (lab.node(index), lab.node(peer).underlay());
            blue = Net::new("blue", 100).with(json!({"options": {"group": peer}}));
            let config = node.config(&[&blue]).with(json!({"guard": guard}));
            let pod = node.pod("web");
            let result = node.ask(&config, &pod).add();
            pods.push((pod, address(&result, 0)));
        }
        let talk = || {
            pods[0].0.ping(&pods[1].1);
            pods[1].0.ping(&pods[0].1);
        };
        talk();
        attack(lab.node(2), &lab.node(0).underlay(), 4789, 100);
        talk();
        let fooled: Vec<String> = fooled(&lab, &[&blue]);
        let expected: &[&str] = if guard { &[] } else { &["vx_blue on node 0"] };
        assert_eq!(fooled, expected, "guard: {guard}");
    }
}

#[test]
fn the_guard_comes_with_the_first_network_and_goes_with_the_last() {
    nft::is_needed();
    let lab = Lab::new(1);
    let node = lab.node(0);
    let (blue, red) = (Net::new("blue", 100), Net::new("red", 200).dual());
    let config = node.config(&[&blue, &red]);
    let before = node.snapshot();
    // Another program's firewall is left as it is.
    node.run(&["nft", "add table inet firewalld"]);
    let with_theirs = node.snapshot();
    let (web, db) = (node.pod("web"), node.pod("db"));
    let first = node.ask(&config, &web);
    let second = node.ask(&config.clone().joining(&red), &db);
    first.add();
    second.add();
    let chains = |node: &Node| {
        let text = node.run(&["nft", "list", "table", "inet", "vxlan_cni"]);
        let lines = text.lines().map(str::trim);
        let names = lines.filter_map(|line| line.strip_prefix("chain "));
        names
            .map(|name| name.trim_end_matches(" {").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        chains(node),
        [
            "vx_blue",
            "vx_blue/dnat",
            "vx_blue/output",
            "mv_blue",
            "vx_red",
            "vx_red/dnat",
            "vx_red/output",
            "mv_red"
        ]
    );
    first.del();
    assert_eq!(
        chains(node),
        ["vx_red", "vx_red/dnat", "vx_red/output", "mv_red"]
    );
    second.del();
    node.snapshot().assert_same(&with_theirs);
    node.run(&["nft", "delete table inet firewalld"]);
    node.snapshot().assert_same(&before);
}

#[test]
fn where_nft_is_missing_a_first_pod_is_refused_with_what_to_install_and_status_says_so() {
    nft::is_needed();
    let lab = Lab::new(1);
    let node = lab.node(0);
    // Every program but that one, wherever it is.
    let script = in_the_place_of_nft("/dev/null");
    let hide = ["unshare", "--mount", "sh", "-c", &script, "sh"];
    let blue = Net::new("blue", 100);
    let config = node.config(&[&blue]).ipam(node.route_table());
    let pod = node.pod("web");
    let before = node.snapshot();
    let empty = Snapshot::of_namespace(&pod);
    let ask = node.ask(&config, &pod).behind(&hide);
    let said = ask.add_refused(100);
    for words in ["nft", "apt-get install nftables", "\"guard\": false"] {
        assert!(said.contains(words), "{said}\nlacks {words}");
    }
    node.snapshot().assert_same(&before);
    Snapshot::of_namespace(&pod).assert_same(&empty);
    let newest = config.clone().with(json!({"cniVersion": "1.1.0"}));
    let said = ask.clone().config(&newest).say("STATUS").error(50);
    assert!(said.contains("nft is not installed"), "{said}");
    let without = config.with(json!({"guard": false}));
    let ask = ask.config(&without);
    let result = ask.add();
    ask.check(&result);
    ask.del();
    node.snapshot().assert_same(&before);
}

#[test]
fn a_network_that_is_added_to_the_configuration_has_its_port_closed_by_the_next_add() {
    nft::is_needed();
    let lab = Lab::new(1);
    let node = lab.node(0);
    let blue = Net::new("blue", 100);
    let red = Net::new("red", 200).with(json!({"options": {"port": 4790}}));
    let (web, db) = (node.pod("web"), node.pod("db"));
    let before = node.snapshot();
    let first = node.ask(&node.config(&[&blue]), &web);
    let one = first.add();
    let second = node.ask(&node.config(&[&blue, &red]), &db);
    let other = second.add();
    let rules = node.run(&["nft", "list chain inet vxlan_cni vx_blue"]);
    assert!(rules.contains("udp dport { 4789, 4790 } drop"), "{rules}");
    // Of before and of after: both are content with what is there.
    first.check(&one);
    second.check(&other);
    second.del();
    first.check(&one);
    first.del();
    node.snapshot().assert_same(&before);
}

/// The line of a shell that runs its arguments with a file in the place of `nft`, by mounts of its own.
fn in_the_place_of_nft(file: &str) -> String {
    format!(
        "for each in $(which -a nft) /usr/sbin/nft; do mount --bind {file} $each || exit 1; done; exec \"$@\""
    )
}

#[test]
fn where_the_kernel_has_no_nftables_a_first_pod_is_refused_with_what_to_do_and_doctor_names_it() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let blue = Net::new("blue", 100);
    let config = node.config(&[&blue]).with(json!({"guard": true}));
    let pod = node.pod("web");
    let before = node.snapshot();
    // What nft 1.0.6 says on Debian's User-mode Linux 6.1, which is such a kernel.
    let stand_in = lab.dir().join("nft");
    let script = "#!/bin/sh\ncase $* in *list*) echo 'Error: No such file or directory' ;; \
                  *) echo 'Error: Could not process rule: Operation not supported' ;; esac >&2\nexit 1\n";
    program::put(script.as_bytes(), &stand_in);
    let script = in_the_place_of_nft(stand_in.to_str().unwrap());
    let replace = ["unshare", "--mount", "sh", "-c", &script, "sh"];
    let said = node.ask(&config, &pod).behind(&replace).add_refused(100);
    for words in ["CONFIG_NF_TABLES_INET", "\"guard\": false"] {
        assert!(said.contains(words), "{said}\nlacks {words}");
    }
    node.snapshot().assert_same(&before);
    let file = node.dir().join("lab.conf");
    std::fs::write(&file, config.value().to_string()).unwrap();
    let [nsenter, net] = node.enter();
    let behind = [&[nsenter.as_str(), &net][..], &replace].concat();
    let doctor = Call::of(Program::Vxlan).behind(&behind);
    let doctor = doctor
        .arg("doctor")
        .arg("--conf")
        .arg(file.to_str().unwrap());
    let said = doctor.run();
    assert!(
        said.stdout
            .contains("the kernel takes no table of nftables"),
        "{said:?}"
    );
}

#[test]
fn a_guard_that_a_firewall_flushed_is_named_by_check_and_doctor_and_made_by_repair() {
    nft::is_needed();
    let lab = Lab::new(1);
    let node = lab.node(0);
    let blue = Net::new("blue", 100);
    let config = node.config(&[&blue]);
    let pod = node.pod("web");
    let ask = node.ask(&config, &pod);
    let result = ask.add();
    let operator = |verb: &str| node.operate(&config, &[verb]);
    let made = node.snapshot();
    node.run(&["nft", "flush ruleset"]);
    let words = "table inet vxlan_cni guards mv_blue: missing";
    let said = ask.check_refused(&result, 101);
    assert!(said.contains(words), "{said}");
    let said = operator("doctor");
    assert!(said.code == 1 && said.stdout.contains(words), "{said:?}");
    assert_eq!(operator("repair").code, 0);
    node.snapshot().assert_same(&made);
    ask.check(&result);
    ask.del();
}

#[test]
fn a_service_whose_port_is_that_of_vxlan_carries_none_into_a_network() {
    nft::is_needed();
    for guard in [true, false] {
        let scene = Scene::new(guard);
        let node = scene.lab.node(0);
        let to = format!("{}:4790", node.underlay());
        let chain = "{ type nat hook prerouting priority -100; }";
        node.run(&[
            "nft",
            &format!(
                "add table ip mine; add chain ip mine services {chain}; \
                 add rule ip mine services ip daddr 10.96.0.1 udp dport 53 dnat to {to}"
            ),
        ]);
        scene.talk();
        attack(&scene.pods[BLUE], "10.96.0.1", 53, 200);
        scene.talk();
        let expected: &[&str] = if guard { &[] } else { &["vx_red on node 0"] };
        assert_eq!(scene.fooled(), expected, "guard: {guard}");
    }
}

#[test]
fn what_is_sent_to_the_mac_of_a_vxlan_device_is_not_routed_past_the_firewall() {
    nft::is_needed();
    ipv6::is_needed();
    for guard in [true, false] {
        let scene = Scene::new(guard);
        let (pod, node) = (&scene.pods[BLUE], scene.lab.node(1));
        scene.talk();
        let dropped = r#"iifname "mv_blue" oifname "mv_red" drop"#;
        node.run(&[
            "nft",
            &format!(
                "add table inet mine; add chain inet mine forward {{ type filter hook forward priority 0; }}; \
                 add rule inet mine forward {dropped}; add chain inet mine seen {{ type filter hook forward priority 1; }}; \
                 add rule inet mine seen iifname \"vx_blue\" oifname \"mv_red\" counter"
            ),
        ]);
        let shown = node.sh("ip -o link show dev vx_blue");
        let after = shown.split("link/ether ").nth(1).unwrap();
        let vx = after.split(' ').next().unwrap();
        for (family, gateway, target) in [
            (
                "-4",
                node.gateway(&scene.nets[BLUE]),
                scene.addresses[RED + 3].clone(),
            ),
            (
                "-6",
                node.gateway_v6(&scene.nets[BLUE]),
                scene.pods[RED + 3].sh(
                    "ip -6 -o addr show dev eth0 scope global | awk '{print $4}' | cut -d/ -f1",
                ),
            ),
        ] {
            pod.run(&[
                "ip",
                family,
                "neigh",
                "replace",
                &gateway,
                "lladdr",
                vx,
                "dev",
                "eth0",
                "nud",
                "permanent",
            ]);
            let target = target.trim();
            let to = format!("{target}/{}", if family == "-4" { 32 } else { 128 });
            pod.run(&[
                "ip", family, "route", "replace", &to, "via", &gateway, "dev", "eth0",
            ]);
            // Whether an answer comes back is of no interest, but whether it was passed on.
            pod.exec(&["ping", "-c", "1", "-W", "1", target]);
        }
        let passed = !node
            .run(&["nft", "list chain inet mine seen"])
            .contains("packets 0 bytes 0");
        assert_eq!(passed, !guard, "guard: {guard}");
    }
}

#[test]
fn what_an_edited_configuration_wants_masked_is_masked_by_the_next_add_and_older_pods_are_content()
{
    nft::is_needed();
    let lab = Lab::new(1);
    let node = lab.node(0);
    let before = node.snapshot();
    let blue = |more| Net::new("blue", 100).with(more);
    let rules = || {
        node.run(&["nft", "list chain inet vxlan_cni mv_blue"])
            .matches("masquerade")
            .count()
    };
    let mut asks = Vec::new();
    for (name, net, guard, rules_of_it) in [
        ("straight", blue(json!({"bypass": false})), true, 2),
        ("plain", blue(json!({})), true, 2),
        ("masked", blue(json!({"ipMasq": true})), true, 3),
        ("off", blue(json!({"serviceMasquerade": false})), true, 0),
        ("again", blue(json!({})), true, 2),
        ("routed", blue(json!({"bypass": false})), true, 2),
        ("unguarded", blue(json!({})), false, 2),
    ] {
        let pod = node.pod(name);
        let config = node.config(&[&net]).with(json!({"guard": guard}));
        let ask = node.ask(&config, &pod);
        let result = ask.add();
        asks.push((ask, result, pod));
        assert_eq!(rules(), rules_of_it, "{name}");
        for (ask, result, _) in &asks {
            ask.check(result);
        }
    }
    // The last one wants no guard, and leaves none.
    for (ask, ..) in asks {
        ask.del();
    }
    node.snapshot().assert_same(&before);
}

#[test]
fn with_ip_masq_a_pod_keeps_its_address_on_the_way_to_a_network_of_ours_by_the_underlay() {
    nft::is_needed();
    let lab = Lab::new(2);
    let (node, other) = (lab.node(0), lab.node(1));
    let nets = [
        Net::new("blue", 100).with(json!({"ipMasq": true})),
        Net::new("red", 200).with(json!({"ipMasq": true})),
    ];
    let config = |node: &Node| node.config(&[&nets[0], &nets[1]]);
    let (web, db) = (node.pod("web"), other.pod("db"));
    let source = address(&node.ask(&config(node), &web).add(), 0);
    let target = address(&other.ask(&config(other).joining(&nets[1]), &db).add(), 0);
    // As a routing daemon has it.
    node.ip(&format!("route add {target}/32 via {}", other.underlay()));
    other.ip(&format!("route add {source}/32 via {}", node.underlay()));
    let chain = "{ type filter hook input priority 0; }";
    db.run(&[
        "nft",
        &format!(
            "add table ip seen; add chain ip seen input {chain}; add rule ip seen input ip saddr {source} counter"
        ),
    ]);
    web.ping(&target);
    let seen = db.run(&["nft", "list table ip seen"]);
    assert!(!seen.contains("packets 0 bytes 0"), "masked: {seen}");
    // What is nobody of ours is masked still: the underlay has no route to the pod.
    other.ip(&format!("route del {source}/32"));
    web.ping(&other.underlay());
}

#[test]
fn a_rule_of_a_firewall_keeps_two_networks_apart() {
    nft::is_needed();
    let lab = Lab::new(1);
    let node = lab.node(0);
    let nets = [Net::new("blue", 100), Net::new("red", 200)];
    let config = node.config(&[&nets[0], &nets[1]]);
    let join = |name: &str, net: &Net| {
        let pod = node.pod(name);
        let result = node.ask(&config.clone().joining(net), &pod).add();
        (pod, address(&result, 0))
    };
    let (web, other, db) = (
        join("web", &nets[0]),
        join("other", &nets[0]),
        join("db", &nets[1]),
    );
    web.0.ping(&db.1);
    let chain = "{ type filter hook forward priority 0; }";
    node.run(&[
        "nft",
        &format!("add table inet mine; add chain inet mine forward {chain}"),
    ]);
    let rule = r#"add rule inet mine forward iifname "mv_blue" oifname "mv_red" drop"#;
    node.run(&["nft", rule]);
    let reached = web.0.exec(&["ping", "-c", "1", "-W", "1", &db.1]);
    assert!(!reached.status.success(), "{reached:?}");
    web.0.ping(&other.1);
}
