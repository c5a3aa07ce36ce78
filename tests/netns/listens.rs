//! What a pod says of routers: no node and no pod believes it, whatever families the network has.

use std::net::Ipv6Addr;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::lab::raw::{self, Icmp6, within};
use crate::support::lab::{Lab, Net, Node, Ns, Pod, ipv6, until};

const EVERYBODY: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ATTACKER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xbad);

/// A prefix that a pod advertises.
fn prefix(number: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfdba, 0xd, number, 0, 0, 0, 0, 0)
}

/// A macvlan of a namespace of its own that believes what it hears: what it has heard, all have.
struct Witness {
    pod: Pod,
}

impl Witness {
    fn on(node: &Node, net: &Net) -> Self {
        let pod = node.pod(&format!("witness-{}", net.name));
        let name = pod.path().rsplit('/').next().unwrap();
        node.ip(&format!(
            "link add name w0 link {} netns {name} type macvlan mode bridge",
            net.vx()
        ));
        pod.set(&[
            "net.ipv6.conf.w0.accept_ra=2",
            "net.ipv6.conf.w0.accept_dad=0",
        ]);
        pod.ip("link set dev w0 up");
        Self { pod }
    }

    fn heard(&self, prefix: Ipv6Addr) -> bool {
        let routes = self.pod.ip("-6 route show dev w0");
        let prefix = format!("{prefix}/64 proto kernel");
        routes.contains("default via fe80::bad") && routes.contains(&prefix)
    }
}

/// A pod that calls itself a router.
struct Attacker {
    pod: Pod,
    scope: u32,
}

impl Attacker {
    fn on(node: &Node, net: &Net) -> Self {
        let pod = node.pod(&format!("attacker-{}", net.name));
        let config = node.config(&[net]);
        node.ask(&config, &pod).add();
        pod.ip("-6 addr add fe80::bad/64 dev eth0 nodad");
        let scope = pod.device("eth0")["ifindex"].as_u64().unwrap();
        let scope = u32::try_from(scope).unwrap();
        Self { pod, scope }
    }

    fn advertise(&self, prefix: Ipv6Addr) {
        within(&self.pod, || {
            Icmp6::on(self.scope, ATTACKER).send(EVERYBODY, &raw::advertisement(prefix));
        });
    }

    /// Advertises until it is told to end.
    fn flood(&self, prefix: Ipv6Addr, ended: &AtomicBool) {
        within(&self.pod, || {
            let socket = Icmp6::on(self.scope, ATTACKER);
            while !ended.load(Ordering::Relaxed) {
                socket.send(EVERYBODY, &raw::advertisement(prefix));
                std::thread::yield_now();
            }
        });
    }
}

/// Routes and addresses that a namespace has learnt from a router.
fn learnt(ns: &Ns) -> Vec<String> {
    let questions = ["route show table all proto ra", "addr show dynamic"];
    let answers = ns.questions(&["-6"], &questions);
    let items = answers.iter().filter_map(Value::as_array).flatten();
    let items = items.filter(|item| item.as_object().is_some_and(|object| !object.is_empty()));
    items.map(Value::to_string).collect()
}

/// Three nodes, alike but for what their kernels tell a new device, with a pod on each of three networks.
struct Scene {
    lab: Lab,
    nets: [Net; 3],
    pods: Vec<Pod>,
}

impl Scene {
    fn new() -> Self {
        let nets = [
            Net::new("four", 104),
            Net::new("six", 106).v6(),
            Net::new("both", 110).dual(),
        ];
        let mut scene = Self {
            lab: Lab::new(3),
            nets,
            pods: Vec::new(),
        };
        for index in 0..2 {
            scene.join(index);
        }
        scene
    }

    /// The node and its pods tell new devices to believe routers in the way of their number.
    fn join(&mut self, index: usize) {
        let node = self.lab.node(index);
        let default = format!("net.ipv6.conf.default.accept_ra={index}");
        node.set(&[&default]);
        for net in &self.nets {
            let pod = node.pod(&net.name);
            pod.set(&[&default]);
            node.ask(&node.config(&[net]), &pod).add();
            self.pods.push(pod);
        }
    }

    fn fooled(&self) -> Vec<String> {
        let nodes = self.lab.nodes().iter().map(|node| &**node);
        let all = nodes.chain(self.pods.iter().map(|pod| &**pod));
        let told = |ns: &Ns| {
            learnt(ns)
                .into_iter()
                .map(|what| format!("{}: {what}", ns.path()))
                .collect::<Vec<_>>()
        };
        all.flat_map(told).collect()
    }
}

#[test]
fn no_node_and_no_pod_takes_a_pod_for_its_router() {
    ipv6::is_needed();
    let mut scene = Scene::new();
    let node = scene.lab.node(0);
    let attackers: Vec<Attacker> = scene
        .nets
        .iter()
        .map(|net| Attacker::on(node, net))
        .collect();
    let node = scene.lab.node(1);
    let witnesses: Vec<Witness> = scene
        .nets
        .iter()
        .map(|net| Witness::on(node, net))
        .collect();
    let attack = |number: u16| {
        for (attacker, witness) in attackers.iter().zip(&witnesses) {
            // What came before the last one that was heard was heard by all.
            for prefix in [prefix(number), prefix(number + 1)] {
                until("an advertisement is heard", || {
                    attacker.advertise(prefix);
                    witness.heard(prefix)
                });
            }
        }
    };
    attack(10);
    assert_eq!(scene.fooled(), [""; 0]);
    // While advertisements come without an end, a node joins, which forwards from the start, and pods.
    let ended = AtomicBool::new(false);
    std::thread::scope(|threads| {
        for attacker in &attackers {
            threads.spawn(|| attacker.flood(prefix(20), &ended));
        }
        scene.join(2);
        ended.store(true, Ordering::Relaxed);
    });
    attack(30);
    assert_eq!(scene.fooled(), [""; 0]);
    // An operator who forbids forwarding makes hosts of the nodes.
    for node in scene.lab.nodes() {
        node.set(&["net.ipv6.conf.all.forwarding=0", "net.ipv4.ip_forward=0"]);
    }
    attack(40);
    assert_eq!(scene.fooled(), [""; 0]);
}

/// The way that a namespace would send to an address.
fn way(ns: &Ns, to: &str) -> String {
    let route = &ns.show(&format!("route get {to}"))[0];
    format!("{} {}", route["gateway"], route["dev"])
}

/// What redirects are sent to, and in which router's name: its own destination for each, below a prefix.
struct Victim<'a> {
    ns: &'a Ns,
    address: String,
    router: String,
}

impl Attacker {
    /// Has a victim, and then one that believes all, told of a better way, until the latter follows.
    fn redirect(&self, victim: &Victim<'_>, fool: &Victim<'_>, destination: &str) {
        let before = way(victim.ns, destination);
        let unfooled = way(fool.ns, destination);
        until("one that believes redirects follows", || {
            self.say(victim, destination);
            self.say(fool, destination);
            way(fool.ns, destination) != unfooled
        });
        let now = way(victim.ns, destination);
        assert_eq!(now, before, "{} {}", victim.ns.path(), victim.address);
    }

    fn say(&self, victim: &Victim<'_>, destination: &str) {
        within(&self.pod, || match destination.parse() {
            Ok(destination) => {
                let socket = Icmp6::on(self.scope, victim.router.parse().unwrap());
                let message = raw::redirect6(destination, ATTACKER);
                socket.send(victim.address.parse().unwrap(), &message);
            }
            Err(_) => raw::redirect4(
                victim.router.parse().unwrap(),
                victim.address.parse().unwrap(),
                destination.parse().unwrap(),
                "10.100.200.66".parse().unwrap(),
            ),
        });
    }
}

/// An address of a device, of a family that is spelt as `ip -j` does.
fn of_device(ns: &Ns, dev: &str, family: &str) -> String {
    let device = ns.device(dev);
    let mut all = device["addr_info"].as_array().unwrap().iter();
    let is_wanted = |one: &&Value| one["family"] == family && one["scope"] == "global";
    let one = all.find(is_wanted).unwrap();
    one["local"].as_str().unwrap().to_owned()
}

#[test]
fn no_node_and_no_pod_follows_a_redirect_that_a_pod_sends_in_its_routers_name() {
    ipv6::is_needed();
    let lab = Lab::new(2);
    let blue = Net::new("blue", 100)
        .dual()
        .with(json!({"routes": [{"dst": "fd99::/64", "gw": "fe80::1:1"}]}));
    let believe = [
        "net.ipv4.conf.all.accept_redirects=1",
        "net.ipv4.conf.default.accept_redirects=1",
    ];
    let (mut pods, mut fools) = (Vec::new(), Vec::new());
    for node in lab.nodes() {
        for forwarding in ["0", "1"] {
            let pod = node.pod(&format!("forwarding-{forwarding}"));
            pod.set(&[&format!("net.ipv4.ip_forward={forwarding}")]);
            pod.set(&believe);
            node.ask(&node.config(&[&blue]), &pod).add();
            pods.push((node.index, pod));
        }
        let fool = node.pod("fool");
        node.ask(&node.config(&[&blue]), &fool).add();
        fool.set(&believe[..1]);
        let own = ["ipv4", "ipv6"].map(|stack| format!("net.{stack}.conf.eth0.accept_redirects=1"));
        fool.set(&[&own[0], &own[1]]);
        fools.push(fool);
        // What a node reaches by a machine on the network; a host where it may not forward.
        node.ip("route add 203.0.113.0/24 via 10.100.200.9 dev mv_blue");
        node.ip("-6 route add fd99::/64 via fe80::1:1 dev mv_blue");
        node.set(&[believe[0], "net.ipv6.conf.all.forwarding=0"]);
    }
    let attacker = Attacker::on(lab.node(0), &blue);
    // In whose name it speaks IPv6; what claims to be a way must not be one of the victim's own.
    attacker.pod.ip("-6 addr add fe80::1:1/64 dev eth0 nodad");
    attacker.pod.ip("addr add 10.100.200.66/16 dev eth0");
    let victim = |ns, dev, family, router: &str| Victim {
        ns,
        address: of_device(ns, dev, family),
        router: router.to_owned(),
    };
    let gateway = |index: usize| lab.node(index).gateway(&blue);
    let fools: Vec<_> = fools
        .iter()
        .enumerate()
        .map(|(index, fool)| {
            let four = victim(fool, "eth0", "inet", &gateway(index));
            (four, victim(fool, "eth0", "inet6", "fe80::1:1"))
        })
        .collect();
    let of_pods = pods.iter().map(|(index, pod)| {
        let four = victim(pod, "eth0", "inet", &gateway(*index));
        (*index, four, victim(pod, "eth0", "inet6", "fe80::1:1"))
    });
    let of_nodes = lab.nodes().iter().map(|node| {
        let four = victim(node, "mv_blue", "inet", "10.100.200.9");
        (
            node.index,
            four,
            victim(node, "mv_blue", "inet6", "fe80::1:1"),
        )
    });
    for (number, (index, four, six)) in of_pods.chain(of_nodes).enumerate() {
        let (fool4, fool6) = &fools[index];
        attacker.redirect(&four, fool4, &format!("203.0.113.{}", number + 10));
        attacker.redirect(&six, fool6, &format!("fd99::{}", number + 10));
    }
}

#[test]
fn what_a_gateways_device_has_learnt_does_not_make_it_listen_on_when_the_node_begins_to_forward() {
    ipv6::is_needed();
    let lab = Lab::new(1);
    let node = lab.node(0);
    let (blue, red) = (Net::new("blue", 100), Net::new("red", 200).dual());
    let (web, db) = (node.pod("web"), node.pod("db"));
    node.ask(&node.config(&[&blue]), &web).add();
    // As an earlier edition's heard it.
    node.ip("-6 route add default via fe80::bad dev mv_blue proto ra");
    node.set(&["net.ipv6.conf.mv_blue.accept_ra=1"]);
    node.ask(&node.config(&[&red]), &db).add();
    assert_eq!(node.sysctl("net/ipv6/conf/mv_blue/accept_ra"), "1");
    let other = node.pod("other");
    node.ask(&node.config(&[&blue]), &other).add();
    assert_eq!(node.sysctl("net/ipv6/conf/mv_blue/accept_ra"), "0");
}

#[test]
fn a_network_too_narrow_for_ipv6_works_without_the_switches_that_are_not_there() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let blue = Net::new("blue", 100).with(json!({"mtu": 1200}));
    let config = node.config(&[&blue]);
    let (web, db) = (node.pod("web"), node.pod("db"));
    let (first, second) = (node.ask(&config, &web), node.ask(&config, &db));
    let results = [first.add(), second.add()];
    first.check(&results[0]);
    second.check(&results[1]);
    assert!(!node.journal().contains("net.ipv6.conf.mv_blue"));
    first.del();
    second.del();
}
