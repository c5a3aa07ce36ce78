//! One network of `vxlans`, checked and with every default filled in.

mod filter;
mod keys;
mod peers;

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use filter::Filter;
pub use peers::PeersFrom;

use super::hosts::{address, hosts, number};
use super::options::{self, Options};
use super::walk::At;
use crate::cni::result::{Dns, Route};
use crate::ip::subnets::fewest;
use crate::ip::{Family, IfName, TableId, Vni};

/// The keys of a network.
const KNOWN: [&str; 22] = [
    "id",
    "name",
    "device",
    "cidr",
    "gateway",
    "excludeFirst",
    "excludeLast",
    "mtu",
    "options",
    "peers",
    "join",
    "bypass",
    "serviceMasquerade",
    "ipMasq",
    "antiSpoof",
    "defaultRoute",
    "routes",
    "dns",
    "mac",
    "requestMac",
    "allowedNamespaces",
    "ipam",
];

/// A layer-2 network that spans the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// The vxlan device, `vx_NAME`.
    pub vx: IfName,
    /// The gateway: the host's macvlan, `mv_NAME`.
    pub mv: IfName,
    /// The node's address in each family: the containers' gateway, with the network's prefix length.
    pub cidrs: Vec<IpNetwork>,
    /// Which nodes have that address.
    pub gateway: Gateway,
    /// Addresses from the start, the network's own counted, that are never handed out.
    pub exclude_first: u128,
    /// Addresses from the end, the broadcast's counted, that are never handed out.
    pub exclude_last: u128,
    /// Addresses of nodes on the underlay, in the place of a group; this node's own may be among them. None too where they are
    /// not known yet.
    pub peers: Option<Vec<IpAddr>>,
    /// Where they are known from, where the configuration does not list them.
    pub peers_from: Option<PeersFrom>,
    /// How long a node is on it.
    pub join: Join,
    /// MTU in bytes; none is what the underlay leaves.
    pub mtu: Option<u32>,
    /// The vxlan device.
    pub options: Options,
    /// Whether bypass route and rule are set.
    pub bypass: bool,
    /// Table of the bypass routes.
    pub table: TableId,
    /// `pref` of the bypass rules.
    pub pref: u32,
    /// Whether the packet filter guards the network on each node.
    pub guard: bool,
    /// The UDP ports to which no pod may send, sorted: those of all networks of the configuration.
    pub ports: Vec<u16>,
    /// What its guard is made from.
    pub filter: Filter,
    /// Whether a pod may send nothing but frames with its own MAC and addresses.
    pub anti_spoof: bool,
    /// The containers' default route.
    pub default_route: DefaultRoute,
    /// More routes of the containers.
    pub routes: Vec<Route>,
    /// Name resolution of the containers.
    pub dns: Option<Dns>,
    /// Where a container's MAC comes from.
    pub mac: MacChoice,
    /// Whether a container may ask for a MAC.
    pub request_mac: bool,
    /// Globs of namespaces whose pods may join; none lets all.
    pub allowed_namespaces: Option<Vec<String>>,
    /// The IPAM configuration of its own, in place of the plugin-wide one.
    pub ipam: Option<Value>,
    /// The object it was read from: what a record keeps of it.
    pub raw: Value,
}

/// Which nodes have the gateway's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gateway {
    /// This node's: each has a configuration of its own.
    Static,
    /// Every node's, each with a MAC of its own.
    Anycast,
}

/// How long a node is on a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// While it has a pod of it.
    Pod,
    /// Always, so that it and its other pods reach the network's pods without a routing daemon.
    Always,
}

/// The containers' default route through their node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DefaultRoute {
    /// With the kernel's metric.
    Yes,
    /// None.
    No,
    /// With this metric.
    Metric(u32),
}

/// Where a container's MAC comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MacChoice {
    /// From its address.
    Ip,
    /// From the kernel.
    Random,
}

/// What the plugin's configuration says for all its networks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Common {
    /// Table of the bypass routes.
    pub table: TableId,
    /// `pref` of the bypass rules.
    pub pref: u32,
    /// Whether the packet filter guards the networks.
    pub guard: bool,
    /// The UDP ports of the other networks.
    pub ports: Vec<u16>,
    /// The subnets of the other networks.
    pub cidrs: Vec<IpNetwork>,
}

impl Network {
    /// Says which UDP ports and subnets the other networks of the configuration have.
    pub fn beside(self, ports: &[u16], cidrs: &[IpNetwork]) -> Self {
        let mut ports = [ports, &[self.options.vxlan.dstport]].concat();
        ports.sort_unstable();
        ports.dedup();
        let filter = Filter {
            ports: ports.clone(),
            all: fewest(cidrs.iter().chain(&self.cidrs).copied()),
            ..self.filter
        };
        Self {
            ports,
            filter,
            ..self
        }
    }

    /// Whether a node is on it without a container too.
    pub fn is_always(&self) -> bool {
        self.join == Join::Always
    }

    /// Whether its vxlan device could be another definition's: of devices the kernel changes neither VNI nor port, group or underlay.
    pub fn has_the_device_of(&self, other: &Self) -> bool {
        let identity = |one: &Self| {
            let vxlan = &one.options.vxlan;
            let made_by = (
                vxlan.vni,
                vxlan.dstport,
                vxlan.group,
                vxlan.dev.clone(),
                vxlan.local,
            );
            (
                one.vx.clone(),
                one.peers.is_some() || one.peers_from.is_some(),
                made_by,
            )
        };
        identity(self) == identity(other)
    }

    /// Whether it is by the same words of the configuration, but for what those say of other networks.
    pub fn is_defined_as(&self, other: &Self) -> bool {
        let words = |network: &Self| (network.table, network.pref, network.guard);
        self.raw == other.raw && words(self) == words(other)
    }

    /// Reads a network; `None` where so much is wrong that nothing can be said of it.
    pub fn read(at: &At<'_>, common: &Common) -> Option<Self> {
        at.only(&KNOWN);
        let gateway = keys::gateway(at);
        let vni = at.number("id", 1..=crate::ip::name::VNI_MAX.into());
        let name = at.string("name");
        for key in ["id", "name", "cidr"]
            .into_iter()
            .filter(|key| at.value(key).is_none())
        {
            at.fault(key, "missing");
        }
        let (vx, mv) = keys::device_names(at, name?)?;
        let cidrs = keys::cidrs(at);
        let bypass = at.bool("bypass", true);
        let mut network = Self {
            name: name?.to_owned(),
            vx,
            mv,
            exclude_first: at.number("excludeFirst", 0..=u64::MAX).unwrap_or(0).into(),
            exclude_last: at.number("excludeLast", 0..=u64::MAX).unwrap_or(0).into(),
            mtu: keys::mtu(at, &cidrs),
            options: options::read(&at.inner("options"), Vni::new(vni?).ok()?),
            peers: None,
            peers_from: None,
            join: keys::join(at),
            bypass,
            table: common.table,
            pref: common.pref,
            guard: common.guard,
            ports: Vec::new(),
            filter: Filter {
                subnets: cidrs.iter().copied().map(Self::subnet).collect(),
                service_masquerade: at.bool("serviceMasquerade", true),
                ip_masq: at.bool("ipMasq", false),
                two_ways: bypass,
                ..Filter::default()
            },
            anti_spoof: at.bool("antiSpoof", false),
            default_route: keys::default_route(at),
            routes: at.decode("routes").unwrap_or_default(),
            dns: at.decode("dns"),
            mac: keys::mac(at),
            request_mac: at.bool("requestMac", true),
            allowed_namespaces: at.decode("allowedNamespaces"),
            ipam: at.read("ipam", "an object", |value| {
                value.is_object().then(|| value.clone())
            }),
            raw: at.raw(),
            gateway,
            cidrs,
        };
        (network.peers, network.peers_from) = peers::read(at, &network.options.vxlan);
        network.options.vxlan.v6 = network.peers.iter().flatten().any(IpAddr::is_ipv6);
        network.check_underlay(at);
        network.check_pools(at);
        Some(network.beside(&common.ports, &common.cidrs))
    }

    /// The families it has.
    pub fn families(&self) -> impl Iterator<Item = Family> {
        self.cidrs.iter().map(|cidr| Family::of(cidr.ip()))
    }

    /// The node's address of a family, if the network has that family.
    pub fn cidr(&self, family: Family) -> Option<IpNetwork> {
        self.cidrs
            .iter()
            .copied()
            .find(|cidr| Family::of(cidr.ip()) == family)
    }

    /// The network of a family without the node's part: `10.1.0.1/16` is in `10.1.0.0/16`.
    pub fn subnet(cidr: IpNetwork) -> IpNetwork {
        IpNetwork::new(cidr.network(), cidr.prefix()).unwrap_or(cidr)
    }

    /// The addresses that may be handed out, `(first, last)`; `None` where none is left.
    ///
    /// Only [`hosts`], whatever is excluded.
    pub fn pool(&self, cidr: IpNetwork) -> Option<(IpAddr, IpAddr)> {
        let (first, last) = (number(cidr.network()), number(cidr.broadcast()));
        let (host_first, host_last) = hosts(cidr);
        let low = self.exclude_first.max(host_first - first);
        let high = self.exclude_last.max(last - host_last);
        let (first, last) = (first.checked_add(low)?, last.checked_sub(high)?);
        (first <= last).then(|| (address(cidr, first), address(cidr, last)))
    }

    /// Says why a container may not ask for an address here; `None` when it may.
    pub fn refuses(&self, wanted: IpAddr) -> Option<String> {
        let cidr = self.cidrs.iter().find(|cidr| cidr.contains(wanted));
        self.is_no_host(wanted).or_else(|| {
            let subnet = Self::subnet(*cidr?);
            match self.pool(*cidr?) {
                Some((first, last)) if first <= wanted && wanted <= last => None,
                Some((first, last)) => Some(format!(
                    "it is excluded: {subnet} hands out {first} to {last}"
                )),
                None => Some(format!("{subnet} hands out no address at all")),
            }
        })
    }

    /// Says why an address can be no container's here, wherever it comes from; `None` when it can.
    pub fn is_no_host(&self, wanted: IpAddr) -> Option<String> {
        let Some(cidr) = self.cidrs.iter().find(|cidr| cidr.contains(wanted)) else {
            let subnets = self
                .cidrs
                .iter()
                .map(|cidr| Self::subnet(*cidr).to_string());
            let subnets = subnets.collect::<Vec<_>>().join(", ");
            return Some(format!("it is outside of {subnets}"));
        };
        let subnet = Self::subnet(*cidr);
        let bits = Family::of(wanted).host_prefix();
        let small = cidr.prefix() >= bits - 1;
        match wanted {
            _ if wanted == cidr.ip() => Some("it is the gateway".to_owned()),
            _ if !small && wanted == cidr.network() => {
                Some(format!("it is the network address of {subnet}"))
            }
            _ if !small && bits == 32 && wanted == cidr.broadcast() => {
                Some(format!("it is the broadcast address of {subnet}"))
            }
            _ => None,
        }
    }

    /// The other nodes are found by the underlay, not by the network itself, and the MTU is what it leaves.
    fn check_underlay(&self, at: &At<'_>) {
        let peers = self.peers.as_deref().unwrap_or_default();
        if let Some(why) = self.within(peers) {
            at.fault("peers", why);
        }
        let knows = !peers.is_empty() || self.peers_from.is_some();
        let is_needed = self.mtu.is_none() || knows;
        if is_needed && self.options.vxlan.dev.is_none() {
            at.inner("options").fault("vtepdev", options::NO_DEVICE);
        }
    }

    /// A network that can hand out nothing is a mistake.
    fn check_pools(&self, at: &At<'_>) {
        for cidr in &self.cidrs {
            match self.pool(*cidr) {
                None => at.fault(
                    "cidr",
                    format!("excludeFirst and excludeLast leave no address of {cidr}"),
                ),
                Some((first, last)) if first == last && first == cidr.ip() => {
                    at.fault("cidr", format!("{cidr} has no address but the gateway's"));
                }
                Some(_) => {}
            }
        }
    }
}
