//! `ip route`: routes, look-ups, and the record `ip -j` prints of a route.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use serde::{Deserialize, Deserializer, Serialize};

use super::command::Command;
use super::name::{Family, IfName, TableId};
use super::rule::Fwmark;

/// A route as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Destination.
    pub dst: IpNetwork,
    /// Next hop; none is on the link.
    pub via: Option<IpAddr>,
    /// Device.
    pub dev: IfName,
    /// Metric; none is the kernel's (0 for IPv4, 1024 for IPv6).
    pub metric: Option<u32>,
    /// Who made it, by number (`linux/rtnetlink.h`, `RTPROT_*`); none is `boot`.
    pub protocol: Option<u8>,
    /// Table.
    pub table: TableId,
    /// Path MTU in bytes.
    pub mtu: Option<u32>,
    /// Segment size to advertise in bytes.
    pub advmss: Option<u32>,
    /// Scope by number (`RT_SCOPE_*`); none is the kernel's choice.
    pub scope: Option<u8>,
    /// The address that the host's own packets leave with; none is the kernel's choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src: Option<IpAddr>,
}

impl Route {
    /// A plain route in table `main`.
    pub fn new(dst: IpNetwork, via: Option<IpAddr>, dev: &IfName) -> Self {
        let (metric, protocol, mtu, advmss, scope, src) = (None, None, None, None, None, None);
        Self {
            dst,
            via,
            dev: dev.clone(),
            metric,
            protocol,
            table: TableId::MAIN,
            mtu,
            advmss,
            scope,
            src,
        }
    }

    /// The family.
    pub fn family(&self) -> Family {
        Family::of(self.dst.ip())
    }

    /// The metric the kernel gives it.
    fn kernel_metric(&self) -> u32 {
        match (self.metric, self.family()) {
            (Some(metric), Family::V4) => metric,
            (None, Family::V4) => 0,
            // IP6_RT_PRIO_USER, linux/ipv6_route.h; 0 is taken as "not given".
            (None | Some(0), Family::V6) => 1024,
            (Some(metric), Family::V6) => metric,
        }
    }

    /// Whether a record of the wanted table shows this route.
    pub fn is(&self, record: &RouteRecord) -> bool {
        record.destination(self.family()) == Some(self.dst)
            && self.goes_by(record)
            && record.metric.unwrap_or(0) == self.kernel_metric()
            && self
                .protocol
                .is_none_or(|protocol| record.protocol == Some(Protocol::Number(protocol)))
            && self.src.is_none_or(|src| record.prefsrc == Some(src))
    }

    /// Whether a record's way, or one of its ways, is this one's.
    fn goes_by(&self, record: &RouteRecord) -> bool {
        let is = |gateway: Option<IpAddr>, dev: &Option<String>| {
            let same = dev.as_deref().is_none_or(|dev| dev == self.dev.as_str());
            gateway == self.via && same
        };
        let way = |way: &NextHop| is(parsed(&way.gateway), &way.dev);
        match record.nexthops.is_empty() {
            true => is(record.gateway(), &record.dev),
            false => record.nexthops.iter().any(way),
        }
    }

    /// How `ip` spells the destination: `default` for everything.
    pub fn shown_dst(&self) -> String {
        if self.dst.prefix() == 0 {
            "default".to_owned()
        } else {
            self.dst.to_string()
        }
    }

    /// The words behind `ip route add`, `replace` and `del`.
    fn words(&self, command: Command) -> Command {
        command
            .word(self.shown_dst())
            .maybe("via", self.via)
            .pair("dev", &self.dev)
            .maybe("proto", self.protocol)
            .maybe("scope", self.scope)
            .maybe("src", self.src)
            .maybe("metric", self.metric)
            .maybe("table", (self.table != TableId::MAIN).then_some(self.table))
            .maybe("mtu", self.mtu)
            .maybe("advmss", self.advmss)
    }

    /// Sets `-6` where nothing in the words tells the family: a default route without a next hop.
    fn told(&self, command: Command) -> Command {
        match self.dst.prefix() == 0 && self.via.is_none() && self.family() == Family::V6 {
            true => command.family(Family::V6),
            false => command,
        }
    }
}

/// `ip route add ...`: fails when the same destination and metric are there.
pub fn add(route: &Route) -> Command {
    route.told(route.words(Command::ip(&["route", "add"])))
}

/// `ip route append ...`: beside one of the same destination and metric; of IPv6 the two become one with several ways.
pub fn append(route: &Route) -> Command {
    route.told(route.words(Command::ip(&["route", "append"])))
}

/// `ip route replace ...`: idempotent.
pub fn replace(route: &Route) -> Command {
    route.told(route.words(Command::ip(&["route", "replace"])))
}

/// `ip route del ...`: exactly this one.
pub fn del(route: &Route) -> Command {
    route.told(route.words(Command::ip(&["route", "del"])))
}

/// `ip [-6] route show table TABLE dev NAME`: the kernel filters by table and device.
pub fn show(family: Family, table: TableId, dev: &IfName) -> Command {
    let command = Command::ip(&["route", "show"])
        .pair("table", table)
        .pair("dev", dev);
    // `ip route show` without -6 is IPv4 only, whatever it is asked for (iproute2 6.1).
    if family == Family::V6 {
        command.family(Family::V6)
    } else {
        command
    }
}

/// `ip [-6] route show table TABLE proto N`: every route of a protocol. The kernel hands the whole table
/// over and `ip` filters it, so this is for what an operator asks, never for a pod's way in or out.
pub fn of_protocol(family: Family, table: TableId, protocol: u8) -> Command {
    let command = Command::ip(&["route", "show"])
        .pair("table", table)
        .pair("proto", protocol);
    match family {
        Family::V4 => command,
        Family::V6 => command.family(Family::V6),
    }
}

/// Who makes a route that a router advertised (`RTPROT_RA`, `linux/rtnetlink.h`).
pub(crate) const ADVERTISED: u8 = 9;

/// `ip -6 route show table all proto 9`: the routes that routers advertised. The kernel hands every table
/// over and `ip` filters it, so this is asked once in a node's life: before it begins to forward.
pub fn show_advertised() -> Command {
    Command::ip(&["route", "show"])
        .pair("table", "all")
        .pair("proto", ADVERTISED)
        .family(Family::V6)
}

/// What is looked up: where a packet would go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lookup {
    /// Its destination.
    pub to: IpAddr,
    /// Its source, where rules look at that.
    pub from: Option<IpAddr>,
    /// A bit of its mark.
    pub mark: Option<Fwmark>,
}

impl Lookup {
    /// Of a packet of which the destination alone is known.
    pub const fn to(address: IpAddr) -> Self {
        Self {
            to: address,
            from: None,
            mark: None,
        }
    }

    /// The same with a source.
    pub const fn from(self, source: IpAddr) -> Self {
        Self {
            from: Some(source),
            ..self
        }
    }
}

/// `ip route get fibmatch ADDRESS [from SOURCE] [mark MARK]`: the one entry that the kernel would use, rules
/// honoured; costs the same with an empty table and with a full one.
pub fn lookup(wanted: &Lookup) -> Command {
    Command::ip(&["route", "get", "fibmatch"])
        .word(wanted.to)
        .maybe("from", wanted.from)
        .maybe("mark", wanted.mark)
}

/// Whether a look-up that failed says that no way leads there: nothing matches, or what matches is a route
/// that forbids it, `unreachable`, `prohibit` or `blackhole` (`fib_props`, `net/ipv4/fib_semantics.c`).
pub fn says_no_way(message: &str) -> bool {
    let refusals = [
        "Network is unreachable",
        "No route to host",
        "Permission denied",
        "Invalid argument",
    ];
    message
        .strip_prefix("RTNETLINK answers: ")
        .is_some_and(|answer| refusals.contains(&answer))
}

/// `ip route get ADDRESS oif NAME`: the address that the kernel would send from, by one look-up. Where the
/// device has none of its own, that is another's (an unnumbered underlay), or none.
pub fn source(address: IpAddr, dev: &IfName) -> Command {
    Command::ip(&["route", "get"])
        .word(address)
        .pair("oif", dev)
}

/// `ip route get ADDRESS`: the way the kernel would send to it.
pub fn get(address: IpAddr) -> Command {
    Command::ip(&["route", "get"]).word(address)
}

/// What `ip -j [-d] route` prints of one route; shown values are compared, never their text.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RouteRecord {
    /// `unicast`, `local`, `blackhole`, ... (`-d` only), whether printed as a word or as a number (`-N`).
    #[serde(rename = "type", default, deserialize_with = "kind")]
    pub kind: Option<String>,
    /// `default`, an address, or address/length.
    pub dst: String,
    /// Next hop.
    pub gateway: Option<String>,
    /// Device; absent where the question named it.
    pub dev: Option<String>,
    /// Table by number, or by name where `ip` was not asked for numbers; absent for `main` and where the
    /// question named it.
    pub table: Option<String>,
    /// Who made it.
    #[serde(default, deserialize_with = "protocol")]
    pub protocol: Option<Protocol>,
    /// Metric; absent is 0.
    pub metric: Option<u32>,
    /// The address that packets leave with.
    pub prefsrc: Option<IpAddr>,
    /// The ways of a route that has several.
    #[serde(default)]
    pub nexthops: Vec<NextHop>,
}

/// One way of a multipath route.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NextHop {
    /// Next hop.
    pub gateway: Option<String>,
    /// Device.
    pub dev: Option<String>,
}

/// A route's protocol: `ip` prints a name where it knows one and a number otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protocol {
    /// `RTPROT_*`.
    Number(u8),
    /// A name that is not in the table below.
    Name(String),
}

/// `rt_protos` of iproute2 6.1: the names it prints by itself, without a file of its own.
const PROTOCOLS: [(&str, u8); 20] = [
    ("unspec", 0),
    ("redirect", 1),
    ("kernel", 2),
    ("boot", 3),
    ("static", 4),
    ("gated", 8),
    ("ra", 9),
    ("mrt", 10),
    ("zebra", 11),
    ("bird", 12),
    ("dnrouted", 13),
    ("xorp", 14),
    ("ntk", 15),
    ("dhcp", 16),
    ("keepalived", 18),
    ("bgp", 186),
    ("isis", 187),
    ("ospf", 188),
    ("rip", 189),
    ("eigrp", 192),
];

/// Reads a protocol printed as a name, as a number or as a number in quotes.
fn protocol<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Protocol>, D::Error> {
    let shown = match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    let named = PROTOCOLS
        .iter()
        .find(|(name, _)| *name == shown)
        .map(|(_, number)| *number);
    Ok(Some(match named.or_else(|| shown.parse().ok()) {
        Some(number) => Protocol::Number(number),
        None => Protocol::Name(shown),
    }))
}

/// The types of routes (`RTN_*`, `linux/rtnetlink.h`), each at its number.
const KINDS: [&str; 12] = [
    "unspec",
    "unicast",
    "local",
    "broadcast",
    "anycast",
    "multicast",
    "blackhole",
    "unreachable",
    "prohibit",
    "throw",
    "nat",
    "xresolve",
];

/// Reads a type printed as a word or, with `-N`, as a number in quotes.
fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let shown = Option::<String>::deserialize(deserializer)?;
    Ok(shown.map(|shown| {
        let number = shown.parse::<usize>().ok();
        let word = number.and_then(|number| KINDS.get(number));
        word.map_or(shown, |word| (*word).to_owned())
    }))
}

fn parsed(gateway: &Option<String>) -> Option<IpAddr> {
    gateway.as_deref()?.parse().ok()
}

impl RouteRecord {
    /// The destination as a network of a family: `default` is everything, a bare address one host.
    pub fn destination(&self, family: Family) -> Option<IpNetwork> {
        let everything = match family {
            Family::V4 => IpAddr::from([0; 4]),
            Family::V6 => IpAddr::from([0; 16]),
        };
        match self.dst.as_str() {
            "default" => IpNetwork::new(everything, 0).ok(),
            shown => shown.parse().ok(),
        }
    }

    /// The route as `ip route` words it.
    pub fn shown(&self) -> String {
        let protocol = self.protocol.as_ref().map(|protocol| match protocol {
            Protocol::Number(number) => number.to_string(),
            Protocol::Name(name) => name.clone(),
        });
        let metric = self.metric.map(|metric| metric.to_string());
        let other = self.table().filter(|table| *table != TableId::MAIN);
        let table = other.map(|table| table.to_string());
        let words = [
            ("via", &self.gateway),
            ("dev", &self.dev),
            ("table", &table),
            ("proto", &protocol),
            ("metric", &metric),
        ];
        let told = words
            .into_iter()
            .filter_map(|(word, value)| Some(format!(" {word} {}", value.as_ref()?)));
        let kind = self.kind.as_deref().filter(|kind| *kind != "unicast");
        let kind = kind.map(|kind| format!("{kind} ")).unwrap_or_default();
        kind + &self.dst + &told.collect::<String>()
    }

    /// The next hop.
    pub fn gateway(&self) -> Option<IpAddr> {
        parsed(&self.gateway)
    }

    /// The table it is in.
    pub fn table(&self) -> Option<TableId> {
        self.table
            .as_deref()
            .map_or(Some(TableId::MAIN), TableId::from_shown)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn record(json: &str) -> RouteRecord {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_protocol_is_read_as_name_number_and_quoted_number() {
        for shown in [r#""eigrp""#, r#""192""#, "192"] {
            let route = record(&format!(r#"{{"dst":"10.1.0.9","protocol":{shown}}}"#));
            assert_eq!(route.protocol, Some(Protocol::Number(192)), "{shown}");
        }
        let odd = record(r#"{"dst":"10.1.0.9","protocol":"mine"}"#);
        assert_eq!(odd.protocol, Some(Protocol::Name("mine".into())));
    }

    #[test]
    fn a_type_is_read_as_word_and_as_number() {
        for shown in ["local", "2"] {
            let route = record(&format!(
                r#"{{"type":"{shown}","dst":"10.1.0.9","table":"255"}}"#
            ));
            assert_eq!(route.kind.as_deref(), Some("local"), "{shown}");
            assert_eq!(route.shown(), "local 10.1.0.9 table 255");
        }
        let plain = record(r#"{"type":"1","dst":"10.1.0.9","table":"254","protocol":"192"}"#);
        assert_eq!(plain.shown(), "10.1.0.9 proto 192");
    }

    #[test]
    fn a_host_route_is_found_whether_or_not_its_length_is_printed() {
        let wanted = Route::new(
            "10.1.0.9/32".parse().unwrap(),
            None,
            &"mv_blue".parse().unwrap(),
        );
        assert!(wanted.is(&record(r#"{"dst":"10.1.0.9","dev":"mv_blue"}"#)));
        assert!(wanted.is(&record(r#"{"dst":"10.1.0.9/32"}"#)));
        assert!(!wanted.is(&record(r#"{"dst":"10.1.0.9","dev":"eth0"}"#)));
        assert!(!wanted.is(&record(r#"{"dst":"10.1.0.9","metric":32}"#)));
    }

    #[test]
    fn an_ipv6_route_without_a_metric_has_the_kernels() {
        let wanted = Route::new(
            "::/0".parse().unwrap(),
            Some("fd00::1".parse().unwrap()),
            &"eth0".parse().unwrap(),
        );
        assert!(wanted.is(&record(
            r#"{"dst":"default","gateway":"fd00::1","metric":1024}"#
        )));
        assert_eq!(
            add(&wanted).to_string(),
            "ip route add default via fd00::1 dev eth0"
        );
    }
}
