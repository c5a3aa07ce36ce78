//! Real runtimes, each in a node of its own: containerd with `ctr` and with the interface that the
//! kubelet uses (CRI), and podman.

mod containerd;
mod cri;
mod house;
mod podman;

mod ctr_containers;
mod mixed;
mod podman_containers;
mod pods;

use std::process::Output;

use serde_json::{Value, json};

use crate::support::lab::{Config, Lab, Net, Node, Snapshot, address, mac, until};
use house::House;

/// What a container runs: it lives until it is told to end.
const LIVES: [&str; 3] = ["/bin/sh", "-c", "trap 'exit 0' TERM; sleep 10000 & wait"];

/// The name of the configuration's list of plugins.
const LIST: &str = "lab";

/// A network of the same addresses on every node, as our own IPAM hands them out.
fn shared(name: &str, id: u32) -> Net {
    Net::new(name, id).with(json!({"excludeFirst": 16, "excludeLast": 0}))
}

/// A node's configuration with our own IPAM.
fn configured(node: &Node, nets: &[&Net]) -> Config {
    node.config(nets).ipam(node.route_table())
}

/// A list of plugins as a file of a runtime's configuration folder.
fn list(name: &str, config: &Config) -> Value {
    let mut plugin = config.value().clone();
    let version = plugin["cniVersion"].take();
    let object = plugin.as_object_mut().unwrap();
    object.remove("cniVersion");
    object.remove("name");
    json!({"cniVersion": version, "name": name, "plugins": [plugin]})
}

/// A container that runs.
trait Container {
    /// Runs a program in it.
    fn exec(&self, argv: &[&str]) -> Output;

    /// What the runtime was told at ADD.
    fn result(&self) -> Value;

    /// What a program in it printed.
    fn prints(&self, argv: &[&str]) -> String {
        let output = self.exec(argv);
        assert!(output.status.success(), "{argv:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// An echo must come back.
    fn ping(&self, address: &str) {
        let argv = ["/bin/ping", "-c", "1", "-W", "1", address];
        until(&format!("the container reaches {address}"), || {
            self.exec(&argv).status.success()
        });
    }

    /// It has what its result says.
    fn has_its_result(&self) {
        let result = self.result();
        let shown = self.prints(&["/bin/ip", "addr", "show", "dev", "eth0"]);
        let cidr = result["ips"][0]["address"].as_str().unwrap();
        assert!(
            shown.contains(&format!("inet {cidr} ")),
            "{result}: {shown}"
        );
        assert!(
            shown.contains(&format!("link/ether {} ", mac(&result))),
            "{result}: {shown}"
        );
    }
}

/// Each has what its result says, and reaches the other, its gateway, and the other's.
fn meet(one: (&Node, &dyn Container), other: (&Node, &dyn Container), net: &Net) {
    for ((node, here), (there, remote)) in [(one, other), (other, one)] {
        here.has_its_result();
        here.ping(&node.gateway(net));
        here.ping(&there.gateway(net));
        here.ping(&address(&remote.result(), 0));
    }
}

/// Two nodes with a runtime's house each, and what was there before.
struct Scene {
    lab: Lab,
    before: Vec<Snapshot>,
}

impl Scene {
    fn new() -> Self {
        crate::prerequisites::require();
        let lab = Lab::new(2);
        let before = lab.nodes().iter().map(Node::snapshot).collect();
        Self { lab, before }
    }

    fn node(&self, index: usize) -> &Node {
        self.lab.node(index)
    }

    /// A house for a runtime on a node, with one list of plugins.
    fn house(&self, index: usize, config: &Config) -> House<'_> {
        House::new(self.node(index), &[(LIST, list(LIST, config))])
    }

    /// Nothing is left: the nodes are as before, the runtimes keep no result and no namespace.
    fn assert_nothing_left(&self, houses: &[&House<'_>]) {
        for house in houses {
            until("the runtime has cleaned up", || {
                house.leftovers().is_empty()
            });
        }
        for (node, before) in self.lab.nodes().iter().zip(&self.before) {
            node.snapshot().assert_same(before);
        }
    }
}
