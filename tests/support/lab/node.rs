//! A node: a namespace on the underlay, with folders of its own.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::ask::Ask;
use super::config::{Config, Net};
use super::ipv6;
use super::ns::Ns;
use super::pod::Pod;
use super::snapshot::Snapshot;
use crate::support::plugin::{Call, Program, Said};

/// The MTU of every device of the underlay: what `VXLAN_LAB_MTU` says, or the kernel's own.
pub(super) fn mtu() -> Option<u32> {
    let text = std::env::var("VXLAN_LAB_MTU").ok()?;
    let mtu = text.parse();
    Some(mtu.unwrap_or_else(|error| panic!("VXLAN_LAB_MTU={text}: {error}")))
}

/// The MTU that the underlay leaves a network over IPv4.
pub fn left_by_the_underlay() -> u32 {
    mtu().unwrap_or(1500) - 50
}

/// One node.
pub struct Node {
    /// Its place in the lab, from 0.
    pub index: usize,
    name: String,
    ns: Ns,
    dir: PathBuf,
}

impl Node {
    /// Sets up a namespace that has an `eth0`.
    pub(super) fn new(index: usize, name: &str, dir: &Path) -> Self {
        let node = Self {
            index,
            name: name.to_owned(),
            ns: Ns::named(name),
            dir: dir.to_owned(),
        };
        for folder in [node.data(), node.run_dir(), node.ipam()] {
            std::fs::create_dir_all(folder).unwrap();
        }
        // A namespace takes its IPv4 switches from the machine: a node of a lab starts from the same
        // ones everywhere, those of a host that routes nothing and filters strictly.
        node.set(&[
            "net.ipv4.ip_forward=0",
            "net.ipv4.conf.all.rp_filter=1",
            "net.ipv4.conf.default.rp_filter=1",
        ]);
        if ipv6::kernel_has_it() {
            // A link-local address by itself would settle at a time of its own; without one the kernel
            // asks for no neighbour on behalf of what it forwards.
            node.ip("link set eth0 addrgenmode none");
        }
        node.batch(&[
            "link set lo up".to_owned(),
            "link set eth0 up".to_owned(),
            format!("addr add {}/24 dev eth0", node.underlay()),
        ]);
        if ipv6::kernel_has_it() {
            node.batch(&[
                format!("addr add {}/64 dev eth0 nodad", node.underlay_v6()),
                format!("addr add fe80::198:18:{}/64 dev eth0 nodad", index + 1),
            ]);
        }
        node
    }

    /// Waits until the kernel has taken its addresses up, which it does for IPv6 in its own time.
    pub(super) fn settle(&self) {
        if !ipv6::kernel_has_it() {
            return;
        }
        super::until("a node's IPv6 addresses are taken up", || {
            let routes = self.questions(&["-6"], &["route show table local type local dev eth0"]);
            routes[0].as_array().is_some_and(|routes| routes.len() == 2)
        });
    }

    /// Its IPv4 address on the underlay.
    pub fn underlay(&self) -> String {
        format!("198.18.0.{}", self.index + 1)
    }

    /// Its IPv6 address on the underlay.
    pub fn underlay_v6(&self) -> String {
        format!("fd00:198:18::{}", self.index + 1)
    }

    /// Its address on a network, the containers' gateway: `10.ID.0.1` on the first node.
    pub fn gateway(&self, net: &Net) -> String {
        net.gateway_v4(self.index)
    }

    /// The same of IPv6.
    pub fn gateway_v6(&self, net: &Net) -> String {
        net.gateway_v6(self.index)
    }

    /// A pod with a named namespace.
    pub fn pod(&self, name: &str) -> Pod {
        Pod::named(&format!("{}-{name}", self.name))
    }

    /// A pod whose namespace only a process holds.
    pub fn process_pod(&self, name: &str) -> Pod {
        Pod::of_process(&format!("{}-{name}", self.name))
    }

    /// This node's configuration with networks: its own gateways, folders, and share of the addresses.
    pub fn config(&self, nets: &[&Net]) -> Config {
        Config::of(self, nets)
    }

    /// A question about a pod's `eth0`.
    pub fn ask(&self, config: &Config, pod: &Pod) -> Ask {
        Ask::new(self, config, pod)
    }

    /// What comes of a verb of `vxlan` that its operator types, with a configuration.
    pub fn operate(&self, config: &Config, words: &[&str]) -> Said {
        // Beside the node's folder, which snapshots look into.
        let file = self.dir.with_extension("conf");
        std::fs::write(&file, config.value().to_string()).unwrap();
        let [nsenter, net] = self.enter();
        let call = Call::of(Program::Vxlan).behind(&[&nsenter, &net]);
        let call = words.iter().fold(call, |call, word| call.arg(word));
        call.arg("--conf").arg(file.to_str().unwrap()).run()
    }

    /// Everything there is on it.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(self)
    }

    /// Folder of the records.
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Folder of the locks.
    pub fn run_dir(&self) -> PathBuf {
        self.dir.join("run")
    }

    /// The IPAM's folder.
    pub fn ipam(&self) -> PathBuf {
        self.dir.join("ipam")
    }

    /// Our own IPAM with folders of this node, for [`Config::ipam`].
    pub fn route_table(&self) -> Value {
        json!({
            "type": "route-table",
            "dataDir": self.ipam(),
            "logFile": self.dir.join("route-table.log"),
        })
    }

    /// The journal.
    pub fn log(&self) -> PathBuf {
        self.dir.join("vxlan.log")
    }

    /// The journal's text; empty where there is none.
    pub fn journal(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// The folder of everything of this node.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The record of a pod's attachment.
    pub fn record(&self, net: &str, pod: &Pod, ifname: &str) -> PathBuf {
        let file = format!("{}:{ifname}.json", pod.container);
        self.data().join(net).join(file)
    }

    /// The kernel's look-up for a destination.
    pub fn route_to(&self, address: &str) -> Value {
        self.show(&format!("route get fibmatch {address}"))[0].clone()
    }
}

impl Deref for Node {
    type Target = Ns;
    fn deref(&self) -> &Ns {
        &self.ns
    }
}
