//! Network configurations, as one would write them for a node.

use serde_json::{Value, json};

use super::node::Node;
use super::{ipv6, nft};

/// The newest version that the IPAM plugins of Debian 12 speak.
pub const VERSION: &str = "1.0.0";

/// A network, the same on every node but for the gateway's address.
#[derive(Debug, Clone)]
pub struct Net {
    /// Its name.
    pub name: String,
    /// Its VNI; 10.`id % 256`.0.0/16 and fd10:`id`::/112 are its subnets.
    pub id: u32,
    families: &'static [u8],
    is_shared: bool,
    more: Value,
}

impl Net {
    /// An IPv4 network whose VTEPs find each other by multicast.
    pub fn new(name: &str, id: u32) -> Self {
        Self {
            name: name.to_owned(),
            id,
            families: &[4],
            is_shared: false,
            more: json!({}),
        }
    }

    /// With the addresses of so many nodes in the place of a group, or what IPv6 gives of them.
    pub fn peers(self, nodes: usize, v6: bool) -> Self {
        let address = |node: usize| match v6 {
            true => format!("fd00:198:18::{node}"),
            false => format!("198.18.0.{node}"),
        };
        let peers: Vec<String> = (1..=nodes).map(address).collect();
        self.with(json!({"peers": peers, "options": {"group": null}}))
    }

    /// With one gateway address for all nodes.
    pub fn anycast(mut self) -> Self {
        self.is_shared = true;
        self.with(json!({"gateway": "anycast"}))
    }

    /// IPv6 only.
    pub fn v6(mut self) -> Self {
        ipv6::is_needed();
        self.families = &[6];
        self
    }

    /// Both; IPv4 alone where no network can have IPv6, so a test that looks at IPv6 says that it needs it.
    pub fn dual(mut self) -> Self {
        if ipv6::networks_have_it() {
            self.families = &[4, 6];
        }
        self
    }

    /// Sets keys of the network; `options` are added to those that are there.
    pub fn with(mut self, more: Value) -> Self {
        merge(&mut self.more, more);
        self
    }

    /// The vxlan device.
    pub fn vx(&self) -> String {
        format!("vx_{}", self.name)
    }

    /// The gateway's device.
    pub fn mv(&self) -> String {
        format!("mv_{}", self.name)
    }

    /// Its IPv4 subnet.
    pub fn subnet_v4(&self) -> String {
        format!("10.{}.0.0/16", self.id % 256)
    }

    /// Its IPv6 subnet.
    pub fn subnet_v6(&self) -> String {
        format!("fd10:{:x}::/112", self.id)
    }

    /// The address of a node on it.
    pub fn gateway_v4(&self, node: usize) -> String {
        format!("10.{}.0.{}", self.id % 256, self.host(node))
    }

    /// The IPv6 address of a node on it.
    pub fn gateway_v6(&self, node: usize) -> String {
        format!("fd10:{:x}::{:x}", self.id, self.host(node))
    }

    fn host(&self, node: usize) -> usize {
        if self.is_shared { 1 } else { node + 1 }
    }

    /// An address that no IPAM of the lab hands out on its own.
    pub fn spare_v4(&self, last: u8) -> String {
        format!("10.{}.200.{last}", self.id % 256)
    }

    /// The network's object for a node. Each node hands out 256 addresses of its own, so that IPAM
    /// plugins that know of one node only never collide.
    fn object(&self, node: usize) -> Value {
        let of = |family: &u8| match family {
            4 => format!("{}/16", self.gateway_v4(node)),
            _ => format!("{}/112", self.gateway_v6(node)),
        };
        let mut object = json!({
            "id": self.id,
            "name": self.name,
            "cidr": self.families.iter().map(of).collect::<Vec<_>>(),
            "excludeFirst": 256 * (node + 1),
            "excludeLast": 65536 - 256 * (node + 2),
            "options": {"vtepdev": "eth0", "group": format!("239.1.1.{}", self.id % 256)},
        });
        merge(&mut object, self.more.clone());
        object
    }
}

/// A node's configuration.
#[derive(Debug, Clone)]
pub struct Config(Value);

impl Config {
    /// Networks with host-local; the first one is the default.
    pub(super) fn of(node: &Node, nets: &[&Net]) -> Self {
        let text = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
        Self(json!({
            "cniVersion": VERSION,
            "name": "lab",
            "type": "vxlan",
            "dataDir": text(node.data()),
            "runDir": text(node.run_dir()),
            "logFile": text(node.log()),
            "ipam": {"type": "host-local", "dataDir": text(node.ipam())},
            "defaultNetwork": nets.first().map(|net| net.name.clone()),
            "vxlans": nets.iter().map(|net| net.object(node.index)).collect::<Vec<_>>(),
            "guard": nft::kernel_has_it(),
        }))
    }

    /// Sets keys; objects are merged, anything else (`null` too) replaces what is there.
    pub fn with(mut self, more: Value) -> Self {
        merge(&mut self.0, more);
        self
    }

    /// Pods join this network.
    pub fn joining(self, net: &Net) -> Self {
        self.with(json!({"defaultNetwork": net.name}))
    }

    /// The IPAM, in place of the one that is there.
    pub fn ipam(mut self, ipam: Value) -> Self {
        self.0["ipam"] = ipam;
        self
    }

    /// With the result of ADD, as libcni hands it to CHECK and DEL.
    pub fn after(&self, result: &Value) -> Self {
        let mut after = self.clone();
        after.0["prevResult"] = result.clone();
        after
    }

    /// The JSON.
    pub fn value(&self) -> &Value {
        &self.0
    }
}

/// Puts an object's keys into another, recursively.
fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more,
    }
}
