//! Pods that answer for what is not theirs: an ADD fails soon, and says which MAC answers and where it is.

use serde_json::{Value, json};

use super::Ipam;
use super::contest::knows_use;
use crate::support::frames::Forger;
use crate::support::lab::{Lab, Net, Node, Pod, ipv6, mac};
use crate::support::plugin::{Call, Program};

/// The addresses that are searched: far from those that the pods have, which must go on answering for themselves.
const SEARCHED: &str = "10.100.128.0/17";

/// Two nodes, each with a pod on the network that may be made a liar.
struct Scene {
    lab: Lab,
    blue: Net,
    pods: Vec<Pod>,
    macs: Vec<String>,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::new(2);
        let blue = Net::new("blue", 100).dual();
        let (mut pods, mut macs) = (Vec::new(), Vec::new());
        for node in lab.nodes() {
            let pod = node.pod("web");
            let ask = node.ask(&node.config(&[&blue]), &pod);
            let result = ask
                .args("IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web")
                .add();
            macs.push(mac(&result));
            pods.push(pod);
        }
        Self {
            lab,
            blue,
            pods,
            macs,
        }
    }

    fn node(&self) -> &Node {
        self.lab.node(0)
    }

    /// `route-table` on the first node, as the plugin asks it.
    fn ipam(&self, range: Value) -> Ipam<'_> {
        let more = json!({"device": self.blue.mv()});
        Ipam::new(self.node(), range, more)
            .with("/type", json!("vxlan"))
            .with("/dataDir", json!(self.node().data()))
    }

    /// Where the liar is, as the error says it.
    fn place(&self, liar: usize) -> String {
        match liar {
            0 => format!(
                "pod shop/web, container {}/eth0 on this node",
                self.pods[0].container
            ),
            _ => format!("behind {}", self.lab.node(1).underlay()),
        }
    }

    /// The first node's doctor names the MAC and where it is.
    fn named_by_doctor(&self, liar: usize) {
        let file = self.lab.dir().join("lab.conflist");
        let mut plugin = self.node().config(&[&self.blue]).value().clone();
        let version = plugin["cniVersion"].take();
        let list = json!({"cniVersion": version, "name": "lab", "plugins": [plugin]});
        std::fs::write(&file, list.to_string()).unwrap();
        let [nsenter, net] = self.node().enter();
        let doctor = Call::of(Program::Vxlan).behind(&[&nsenter, &net]);
        let doctor = doctor
            .arg("doctor")
            .arg("--conf")
            .arg(file.to_str().unwrap());
        let said = doctor.run();
        let line = said
            .stdout
            .lines()
            .find(|line| line.contains("whatever is asked"));
        let line = line.unwrap_or_else(|| panic!("{said:?}"));
        let mac = self.macs[liar].to_uppercase();
        assert!(
            line.contains(&mac) && line.contains(&self.place(liar)),
            "{line}"
        );
    }

    /// The error names the MAC and where it is, is told to be tried again, and nothing is left.
    fn refused(&self, ipam: &Ipam<'_>, said: &str, liar: usize) {
        for word in [&self.macs[liar], &self.place(liar)] {
            assert!(said.contains(word.as_str()), "{word}: {said}");
        }
        assert!(!said.contains("overloaded"), "{said}");
        ipam.assert_nothing_left();
        ipam.assert_nobody_is_asked();
    }
}

/// How many addresses were claimed before it was clear.
fn tried(ipam: &Ipam<'_>) -> usize {
    let journal = std::fs::read_to_string(ipam.node.dir().join("route-table.log"));
    let journal = journal.unwrap_or_default();
    journal
        .lines()
        .filter(|line| line.starts_with("ip route add "))
        .count()
}

#[test]
fn a_pod_that_answers_for_every_address_or_every_claim_is_named_and_add_fails_soon() {
    let scene = Scene::new();
    let lies = [
        ("every address", vec![SEARCHED, "240.0.0.0/4"]),
        ("every address of the network", vec![SEARCHED]),
        ("every claim", vec!["240.0.0.0/4"]),
    ];
    for liar in [0, 1] {
        for (lie, prefixes) in &lies {
            let of = |verb: &str| {
                let line = |prefix: &&str| format!("route {verb} local {prefix} dev lo");
                prefixes.iter().map(line).collect::<Vec<String>>()
            };
            scene.pods[liar].batch(&of("add"));
            let range = json!({"subnet": "10.100.0.0/16", "rangeStart": "10.100.129.0"});
            let ipam = scene.ipam(range);
            let before = tried(&ipam);
            let said = ipam.say("ADD", "a").error(11);
            println!("{lie}: {said}");
            scene.refused(&ipam, &said, liar);
            assert!(said.contains("answers for whatever is asked"), "{said}");
            assert!(tried(&ipam) - before <= 4, "{lie}");
            if prefixes.len() > 1 {
                scene.named_by_doctor(liar);
            }
            // One that is asked for, and one of a small pool.
            let said = ipam.wanting("a", "10.100.130.7").run().error(11);
            assert!(said.contains("10.100.130.7 is taken"), "{said}");
            scene.refused(&ipam, &said, liar);
            scene.pods[liar].batch(&of("del"));
            ipam.say("ADD", "a").ok();
            ipam.del("a");
        }
    }
}

#[test]
fn a_pod_that_answers_with_a_mac_for_each_address_is_told_by_where_these_are() {
    let scene = Scene::new();
    let range = json!({"subnet": "10.100.0.0/16", "rangeStart": "10.100.129.0"});
    for (liar, place) in [
        (0, "most likely of this one".to_owned()),
        (1, scene.place(1)),
    ] {
        // Also for what none can have: then a MAC of it is named.
        let forger = Forger::of(&scene.pods[liar], "0.0.0.0/0", "random");
        let said = scene.ipam(range.clone()).say("ADD", "a").error(11);
        println!("{said}");
        assert!(said.contains("which none can have"), "{said}");
        let of = match liar {
            0 => "most likely forged by a container of this node".to_owned(),
            _ => scene.place(1),
        };
        assert!(said.contains(&of), "{said}");
        drop(forger);
        // For what a node on the network can have too, as honest containers would.
        let forger = Forger::of(&scene.pods[liar], SEARCHED, "derived");
        let ipam = scene.ipam(range.clone());
        let ipam = ipam.with("/ipam/requestTimeoutMs", json!(1500));
        let said = ipam.say("ADD", "a").error(11);
        println!("{said}");
        let wanted = ["MACs answer on mv_blue, each for one", &place];
        assert!(wanted.iter().all(|words| said.contains(words)), "{said}");
        assert!(!said.contains("overloaded"), "{said}");
        ipam.assert_nothing_left();
        ipam.assert_nobody_is_asked();
        drop(forger);
        ipam.say("ADD", "a").ok();
        ipam.del("a");
    }
}

#[test]
fn a_pod_that_answers_for_every_ipv6_address_is_named_and_add_fails_soon() {
    ipv6::is_needed();
    let scene = Scene::new();
    if !knows_use(scene.node()) {
        // What a proxy answers does not override, and such an `ip` has the kernel ask as if it knew already.
        println!("iproute2 before 5.16 does not show the answers of a proxy");
        return;
    }
    let address = |n: u32| format!("fd10:64::{:x}", 0xa000 + n);
    for liar in [0, 1] {
        let pod = &scene.pods[liar];
        pod.ip("link set eth0 allmulticast on");
        pod.set(&[
            "net.ipv6.conf.eth0.proxy_ndp=1",
            "net.ipv6.conf.eth0.forwarding=1",
            "net.ipv6.neigh.eth0.proxy_delay=0",
        ]);
        let proxied = |n| format!("-6 neigh add proxy {} dev eth0", address(n));
        let proxied: Vec<String> = (0..256).map(proxied).collect();
        pod.sh(&proxied
            .iter()
            .map(|line| format!("ip {line}; "))
            .collect::<String>());
        let range = json!({
            "subnet": "fd10:64::/112", "rangeStart": address(0), "rangeEnd": address(255)
        });
        let ipam = scene.ipam(range).with("/ipam/order", json!("sequential"));
        let before = tried(&ipam);
        let said = ipam.say("ADD", "a").error(11);
        println!("{said}");
        scene.refused(&ipam, &said, liar);
        assert!(tried(&ipam) - before <= 4);
        pod.set(&["net.ipv6.conf.eth0.proxy_ndp=0"]);
        ipam.say("ADD", "a").ok();
        ipam.del("a");
    }
}
