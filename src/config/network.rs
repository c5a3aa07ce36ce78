//! One network of `vxlans`, checked and with every default filled in.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::hosts::{address, hosts, number};
use super::options::{self, Options};
use super::walk::At;
use crate::cni::result::{Dns, Route};
use crate::ip::{Family, IfName, TableId, Vni};
use crate::shown::printable;

/// The keys of a network.
const KNOWN: [&str; 18] = [
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
    "bypass",
    "routed",
    "defaultRoute",
    "routes",
    "dns",
    "mac",
    "allowedNamespaces",
    "ipam",
];

/// Bytes left for a network's own part of `vx_NAME` and `mv_NAME`.
const NAME_MAX: usize = crate::ip::name::IFNAME_MAX - 3;

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
    /// Addresses from the start, the network's own counted, that are never handed out.
    pub exclude_first: u128,
    /// Addresses from the end, the broadcast's counted, that are never handed out.
    pub exclude_last: u128,
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
    /// The containers' default route.
    pub default_route: DefaultRoute,
    /// More routes of the containers.
    pub routes: Vec<Route>,
    /// Name resolution of the containers.
    pub dns: Option<Dns>,
    /// Where a container's MAC comes from.
    pub mac: MacChoice,
    /// Globs of namespaces whose pods may join; none lets all.
    pub allowed_namespaces: Option<Vec<String>>,
    /// The IPAM configuration of its own, in place of the plugin-wide one.
    pub ipam: Option<Value>,
    /// The object it was read from: what a record keeps of it.
    pub raw: Value,
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
#[derive(Debug, Clone, Copy)]
pub struct Common {
    /// Table of the bypass routes.
    pub table: TableId,
    /// `pref` of the bypass rules.
    pub pref: u32,
}

impl Network {
    /// Reads a network; `None` where so much is wrong that nothing can be said of it.
    pub fn read(at: &At<'_>, common: Common) -> Option<Self> {
        at.only(&KNOWN);
        refuse_later_stages(at);
        let vni = at.number("id", 1..=crate::ip::name::VNI_MAX.into());
        let name = at.string("name");
        for key in ["id", "name", "cidr"]
            .into_iter()
            .filter(|key| at.value(key).is_none())
        {
            at.fault(key, "missing");
        }
        let (vx, mv) = device_names(at, name?)?;
        let cidrs = cidrs(at);
        let network = Self {
            name: name?.to_owned(),
            vx,
            mv,
            exclude_first: at.number("excludeFirst", 0..=u64::MAX).unwrap_or(0).into(),
            exclude_last: at.number("excludeLast", 0..=u64::MAX).unwrap_or(0).into(),
            mtu: mtu(at, &cidrs),
            options: options::read(&at.inner("options"), Vni::new(vni?).ok()?),
            bypass: at.bool("bypass", true),
            table: common.table,
            pref: common.pref,
            default_route: default_route(at),
            routes: at.decode("routes").unwrap_or_default(),
            dns: at.decode("dns"),
            mac: mac(at),
            allowed_namespaces: at.decode("allowedNamespaces"),
            ipam: at.read("ipam", "an object", |value| {
                value.is_object().then(|| value.clone())
            }),
            raw: at.raw(),
            cidrs,
        };
        network.check_pools(at);
        if network.mtu.is_none() && network.options.vxlan.dev.is_none() {
            at.inner("options").fault("vtepdev", options::NO_DEVICE);
        }
        Some(network)
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

    /// Says why an address can be no container's here, whoever chose it; `None` when it can.
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

/// What the interface describes and this version does not do yet is refused, never ignored.
fn refuse_later_stages(at: &At<'_>) {
    let later = "this version does not do it yet; leave the key out";
    match at.string("gateway") {
        None | Some("static") => {}
        Some(other @ ("anycast" | "ipam")) => {
            at.fault(
                "gateway",
                format!("`{other}`: this version does not do it yet; use \"static\""),
            );
        }
        Some(other) => at.fault(
            "gateway",
            format!("wanted \"static\", seen `{}`", printable(other)),
        ),
    }
    if at.value("peers").is_some() {
        at.fault("peers", format!("{later}, and set options.group"));
    }
    if at.bool("routed", false) {
        at.fault("routed", later);
    }
}

/// `vx_NAME` and `mv_NAME`, where `device` replaces NAME.
fn device_names(at: &At<'_>, name: &str) -> Option<(IfName, IfName)> {
    let plain = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
    };
    if name.is_empty() || name.len() > 63 || !plain(name) || name.starts_with(['.', '-']) {
        at.fault(
            "name",
            format!(
                "`{}`: wanted 1..63 of A-Z a-z 0-9 _ . -, the first no `.` or `-`",
                printable(name)
            ),
        );
        return None;
    }
    let (key, device) = match at.string("device") {
        Some(device) => ("device", device),
        None => ("name", name),
    };
    if device.is_empty() || device.len() > NAME_MAX || !plain(device) {
        let advice = if key == "name" {
            "; set device to a shorter one"
        } else {
            ""
        };
        let shown = printable(device);
        at.fault(
            key,
            format!(
                "`{shown}`: wanted 1..{NAME_MAX} bytes of A-Z a-z 0-9 _ . - for vx_ and mv_{advice}"
            ),
        );
        return None;
    }
    let named = |prefix: &str| {
        IfName::new(&format!("{prefix}{device}"))
            .map_err(|e| at.fault(key, e))
            .ok()
    };
    Some((named("vx_")?, named("mv_")?))
}

/// `cidr`: one, or one per family, each the gateway's address.
fn cidrs(at: &At<'_>) -> Vec<IpNetwork> {
    let texts: Vec<&Value> = match at.value("cidr") {
        Some(Value::Array(list)) => list.iter().collect(),
        Some(value) => vec![value],
        None => return Vec::new(),
    };
    let wanted = "wanted the gateway's address and the network's length, as 10.1.0.1/16";
    let read = |value: &&Value| {
        let cidr = value
            .as_str()
            .filter(|text| text.contains('/'))
            .and_then(|text| text.parse().ok());
        if cidr.is_none() {
            at.fault(
                "cidr",
                format!("{wanted}, seen `{}`", printable(&value.to_string())),
            );
        }
        cidr
    };
    let cidrs: Vec<IpNetwork> = texts.iter().filter_map(read).collect();
    if texts.is_empty() {
        at.fault("cidr", wanted);
    }
    check_cidrs(at, &cidrs);
    cidrs
}

/// One per family, and each with a host part that a gateway can have.
fn check_cidrs(at: &At<'_>, cidrs: &[IpNetwork]) {
    for family in [Family::V4, Family::V6] {
        let same = cidrs
            .iter()
            .filter(|cidr| Family::of(cidr.ip()) == family)
            .count();
        if same > 1 {
            at.fault(
                "cidr",
                format!("{same} networks of {family}, wanted one per family"),
            );
        }
    }
    for cidr in cidrs {
        if cidr.prefix() == 0 {
            at.fault("cidr", format!("{cidr} is every address there is, the underlay's too: wanted a network, as 10.1.0.1/16"));
            continue;
        }
        let bits = Family::of(cidr.ip()).host_prefix();
        let small = cidr.prefix() >= bits - 1;
        if !small && cidr.ip() == cidr.network() {
            at.fault("cidr", format!("{cidr} is the network's own address: a static gateway has one of its hosts', as {}", first_host(*cidr)));
        }
        if !small && cidr.is_ipv4() && cidr.ip() == cidr.broadcast() {
            at.fault(
                "cidr",
                format!("{cidr} is the broadcast address and cannot be the gateway"),
            );
        }
        if cidr.ip().is_multicast() || cidr.ip().is_loopback() || cidr.ip().is_unspecified() {
            at.fault("cidr", format!("{cidr} is not a network of hosts"));
        }
    }
}

/// The first host's address with the length.
fn first_host(cidr: IpNetwork) -> String {
    format!(
        "{}/{}",
        address(cidr, number(cidr.network()) + 1),
        cidr.prefix()
    )
}

/// `mtu`: 0 is "what the underlay leaves".
fn mtu(at: &At<'_>, cidrs: &[IpNetwork]) -> Option<u32> {
    let mtu = u32::try_from(at.number("mtu", 0..=65_535)?)
        .ok()
        .filter(|mtu| *mtu > 0)?;
    let mut families = cidrs.iter().map(|cidr| Family::of(cidr.ip()));
    if let Some(family) = families.find(|family| mtu < family.mtu_min()) {
        let least = family.mtu_min();
        at.fault(
            "mtu",
            format!("{mtu} is too small for {family}: wanted at least {least}"),
        );
    }
    Some(mtu)
}

fn default_route(at: &At<'_>) -> DefaultRoute {
    let read = |value: &Value| match value {
        Value::Bool(true) => Some(DefaultRoute::Yes),
        Value::Bool(false) => Some(DefaultRoute::No),
        Value::Number(metric) => metric
            .as_u64()
            .and_then(|m| u32::try_from(m).ok())
            .map(DefaultRoute::Metric),
        _ => None,
    };
    at.read(
        "defaultRoute",
        "true, false or a metric 0..4294967295",
        read,
    )
    .unwrap_or(DefaultRoute::Yes)
}

fn mac(at: &At<'_>) -> MacChoice {
    let read = |value: &Value| match value.as_str() {
        Some("ip") => Some(MacChoice::Ip),
        Some("random") => Some(MacChoice::Random),
        _ => None,
    };
    at.read("mac", "\"ip\" or \"random\"", read)
        .unwrap_or(MacChoice::Ip)
}
