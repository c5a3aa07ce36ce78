//! What a network's part of the node's packet filter is made from, beside the vxlan itself.

use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};

use crate::ip::subnets::is_in;

/// What a network's part of the node's packet filter is made from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Filter {
    /// The UDP ports to which no pod may send, sorted: those of all networks of the configuration, since a node
    /// that is not on a network must not carry vxlan of its pods to one that is.
    pub ports: Vec<u16>,
    /// The network's own subnets.
    pub subnets: Vec<IpNetwork>,
    /// The subnets of all networks of the configuration, as few as can be.
    pub all: Vec<IpNetwork>,
    /// Whether a Service's client is masked where the answer would not find its way back.
    pub service_masquerade: bool,
    /// Whether what leaves for elsewhere gets the node's address.
    pub ip_masq: bool,
    /// Whether there are two ways to the network's subnets, the routes' and the bypass.
    #[serde(default)]
    pub two_ways: bool,
}

impl Filter {
    /// Whether what was made from it does all that another wants: a configuration of fewer networks does not take
    /// away what one of more has closed.
    pub fn covers(&self, wanted: &Self) -> bool {
        wanted.ports.iter().all(|port| self.ports.contains(port))
            && wanted.all.iter().all(|subnet| is_in(*subnet, &self.all))
            && self.subnets == wanted.subnets
            && self.service_masquerade == wanted.service_masquerade
            && self.ip_masq == wanted.ip_masq
            && self.two_ways == wanted.two_ways
    }
}
