//! Every way in which nodes know each other, with each kind of gateway, over each underlay: who reaches whom, and what is left.
//!
//! `VXLAN_CNI_MODES=16 cargo test --test storms modes -- --nocapture` tries all and prints the table; by default the last few.

use serde_json::{Value, json};

use crate::rounds;
use crate::support::lab::{Ask, CNI_PLUGINS, Lab, Net, Node, Pod, ipv6, left_by_the_underlay};
use crate::support::plugin::{Call, Program};

/// How many are tried by default: over IPv6, from a name, which has all that the others have.
const FEWER: usize = 2;

/// The nodes of a lab.
const NODES: usize = 3;

/// A name that no resolver knows (RFC 2606).
const NAME: &str = "nodes.modes.invalid";

/// One way.
#[derive(Debug, Clone, Copy)]
struct Mode {
    known: &'static str,
    gateway: &'static str,
    v6: bool,
}

fn modes() -> Vec<Mode> {
    let mut all = Vec::new();
    for v6 in [false, true] {
        for known in ["group", "list", "file", "dns"] {
            for gateway in ["static", "anycast"] {
                all.push(Mode { known, gateway, v6 });
            }
        }
    }
    all
}

impl Mode {
    /// The addresses of the nodes on the underlay, one a line, with a name behind each where that is wanted.
    fn lines(self, name: &str) -> String {
        let address = |node: usize| match self.v6 {
            true => format!("fd00:198:18::{node} {name}\n"),
            false => format!("198.18.0.{node} {name}\n"),
        };
        (1..=NODES).map(address).collect()
    }

    fn net(self, lab: &Lab) -> Net {
        let net = Net::new("blue", 100).dual();
        let net = match self.gateway {
            "anycast" => net.anycast(),
            _ => net,
        };
        let file = lab.node(0).dir().with_extension("modes");
        let peers = net.clone().peers(NODES, self.v6);
        match self.known {
            "group" if self.v6 => net.with(json!({"options": {"group": "ff05::100"}})),
            "group" => net,
            "list" => peers,
            "file" => {
                std::fs::write(&file, self.lines("")).unwrap();
                peers.with(json!({"peers": {"file": file}}))
            }
            _ => {
                std::fs::write(&file, self.lines(NAME)).unwrap();
                let peers = peers.with(json!({"peers": null}));
                peers.with(json!({"peers": {"dns": NAME}}))
            }
        }
    }

    /// The words behind which a program resolves the lab's name.
    fn behind(self, lab: &Lab) -> Vec<String> {
        let file = lab.node(0).dir().with_extension("modes");
        let script = format!("mount --bind {} /etc/hosts && exec \"$@\"", file.display());
        let words = ["unshare", "--mount", "sh", "-c", &script, "sh"];
        match self.known {
            "dns" => words.map(str::to_owned).to_vec(),
            _ => Vec::new(),
        }
    }
}

/// An operator's verb on a node.
fn operate(node: &Node, behind: &[&str], conf: &str, verb: &str) -> i32 {
    let [nsenter, net] = node.enter();
    let call = Call::of(Program::Vxlan)
        .behind(behind)
        .behind(&[&nsenter, &net]);
    let call = call.env("CNI_PATH", CNI_PLUGINS);
    let words = [verb, "--conf", conf];
    let said = words.iter().fold(call, |call, word| call.arg(word)).run();
    if said.code != 0 {
        eprintln!("{verb}: {}{}", said.stdout, said.stderr);
    }
    said.code
}

fn addresses(result: &Value) -> Vec<String> {
    let ips = result["ips"].as_array().unwrap().iter();
    let bare = |ip: &Value| {
        ip["address"]
            .as_str()
            .unwrap()
            .split('/')
            .next()
            .unwrap()
            .to_owned()
    };
    ips.map(bare).collect()
}

/// Tries one; a row of the table.
fn tried(mode: Mode) -> String {
    let lab = Lab::new(NODES);
    let net = mode.net(&lab);
    let behind = mode.behind(&lab);
    let behind: Vec<&str> = behind.iter().map(String::as_str).collect();
    let before: Vec<_> = lab.nodes().iter().map(Node::snapshot).collect();
    let on = |node: &Node| -> (Ask, Pod, Value) {
        let pod = node.pod("web");
        let ask = node.ask(&node.config(&[&net]), &pod).behind(&behind);
        let result = ask.add();
        (ask, pod, result)
    };
    let pods: Vec<_> = lab.nodes().iter().map(on).collect();
    let left = left_by_the_underlay() - if mode.v6 { 20 } else { 0 };
    let mut echoes = 0;
    for (.., result) in &pods {
        for address in addresses(result) {
            let headers = if address.contains(':') { 48 } else { 28 };
            for (node, (_, pod, _)) in lab.nodes().iter().zip(&pods) {
                pod.ping(&address);
                node.ping(&address);
                assert!(
                    pod.ping_whole(&address, left - headers),
                    "{mode:?} {address}"
                );
                echoes += 3;
            }
        }
    }
    for (node, (ask, pod, result)) in lab.nodes().iter().zip(&pods) {
        pod.ping(&node.gateway(&net));
        ask.check(result);
        let conf = node.dir().with_extension("conf");
        std::fs::write(&conf, node.config(&[&net]).value().to_string()).unwrap();
        assert_eq!(
            operate(node, &behind, conf.to_str().unwrap(), "doctor"),
            0,
            "{mode:?}"
        );
        echoes += 1;
    }
    pods.iter().for_each(|(ask, ..)| ask.del());
    for (node, before) in lab.nodes().iter().zip(&before) {
        node.snapshot().assert_same(before);
    }
    let _ = std::fs::remove_file(lab.node(0).dir().with_extension("modes"));
    let underlay = if mode.v6 { "IPv6" } else { "IPv4" };
    format!(
        "{:<6} {:<8} {underlay:<9} {echoes} echoes, CHECK, doctor, nothing left",
        mode.known, mode.gateway
    )
}

#[test]
fn in_every_mode_all_pods_and_nodes_reach_all_pods_and_nothing_is_left() {
    ipv6::is_needed_on_the_underlay();
    let all = modes();
    let count = rounds("VXLAN_CNI_MODES", FEWER).min(all.len());
    println!("known  gateway  underlay");
    for mode in &all[all.len() - count..] {
        println!("{}", tried(*mode));
    }
}
