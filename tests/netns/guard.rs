//! The guard: no pod speaks vxlan, whatever it sends to and wherever it is, and nobody else notices.

use serde_json::json;

use crate::support::lab::{Config, Lab, Net, Node, Ns, Pod, Snapshot, address, until};
use crate::support::plugin::{Call, Program};

/// The MAC that a forged frame comes from, by which a device that took it is known.
const FORGED: &str = "02:66:66:66:66:66";

/// A vxlan packet as `printf` writes it: flags, VNI, and a frame to everybody.
fn forged(vni: u32) -> String {
    let [_, a, b, c] = vni.to_be_bytes();
    let header = format!(r"\x08\0\0\0\x{a:02x}\x{b:02x}\x{c:02x}\0");
    let frame = r"\xff\xff\xff\xff\xff\xff\x02\x66\x66\x66\x66\x66\x08\x06";
    // An ARP question of nobody's, padded to a frame's least length.
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

    /// What has learnt that the forged MAC is behind somebody.
    fn fooled(&self) -> Vec<String> {
        let mut fooled = Vec::new();
        for node in self.lab.nodes() {
            for net in &self.nets {
                let learnt = node.run(&["bridge", "fdb", "show", "dev", &net.vx()]);
                if learnt.contains(FORGED) {
                    fooled.push(format!("{} on node {}", net.vx(), node.index));
                }
            }
        }
        fooled
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
    // Somebody else's vxlan, of a VNI that is none of ours, on the port of ours.
    node.ip("link add name theirs type vxlan id 777 dev cni0 dstport 4789 learning");
    node.ip("link set dev theirs up");
    attack(&other, "172.30.0.1", 4789, 777);
    until("the other program's vxlan has learnt", || {
        let learnt = node.run(&["bridge", "fdb", "show", "dev", "theirs"]);
        learnt.contains(FORGED)
    });
}

#[test]
fn the_guard_comes_with_the_first_network_and_goes_with_the_last() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let (blue, red) = (Net::new("blue", 100), Net::new("red", 200).dual());
    let config = node.config(&[&blue, &red]);
    let before = node.snapshot();
    // A firewall of somebody else's is left as it is.
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
    assert_eq!(chains(node), ["vx_blue", "mv_blue", "vx_red", "mv_red"]);
    first.del();
    assert_eq!(chains(node), ["vx_red", "mv_red"]);
    second.del();
    node.snapshot().assert_same(&with_theirs);
    node.run(&["nft", "delete table inet firewalld"]);
    node.snapshot().assert_same(&before);
}

#[test]
fn where_nft_is_missing_a_first_pod_is_refused_with_what_to_install_and_status_says_so() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let dir = lab.dir().join("bin");
    std::fs::create_dir_all(&dir).unwrap();
    // Every program but that one, by a mount of the test's own.
    let script = "mount --bind /dev/null /usr/sbin/nft && exec \"$@\"";
    let hide = ["unshare", "--mount", "sh", "-c", script, "sh"];
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
fn a_guard_that_a_firewall_flushed_is_named_by_check_and_doctor_and_made_by_repair() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let blue = Net::new("blue", 100);
    let config = node.config(&[&blue]);
    let pod = node.pod("web");
    let ask = node.ask(&config, &pod);
    let result = ask.add();
    let file = node.dir().join("lab.conf");
    std::fs::write(&file, config.value().to_string()).unwrap();
    let operator = |verb: &str| {
        let [nsenter, net] = node.enter();
        let call = Call::of(Program::Vxlan).behind(&[&nsenter, &net]);
        call.arg(verb)
            .arg("--conf")
            .arg(file.to_str().unwrap())
            .run()
    };
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
