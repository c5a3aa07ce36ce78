//! `ip link`: vxlan and macvlan devices, their settings, and the record `ip -j -d` prints of one.

mod identity;
mod record;

use std::fmt;
use std::net::IpAddr;

use super::command::Command;
use super::name::{IfName, Mac, Vni};
use super::netns::Netns;
pub use identity::{
    is_changeable_macvlan, is_changeable_vxlan, macvlan_differences, options_of, vxlan_differences,
};
pub use record::{AddrRecord, LinkData, LinkInfo, LinkRecord, Maddr, MaddrRecord, PortRange};

/// A vxlan device's identity: what the kernel lets no command change once the device is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vxlan {
    /// VXLAN network identifier (`id`).
    pub vni: Vni,
    /// The underlay device (`dev`); none leaves the choice to the routing table.
    pub dev: Option<IfName>,
    /// The VTEP's own address (`local`).
    pub local: Option<IpAddr>,
    /// Where unknown destinations go: a multicast group (`group`) or one address (`remote`).
    pub group: Option<IpAddr>,
    /// Whether the VTEPs have IPv6 addresses, where neither of the two tells.
    pub v6: bool,
    /// Hop limit 1..255 of the outer packet; 0 is the kernel's choice.
    pub ttl: u8,
    /// Type of service of the outer packet; `None` of the option is 0, 1 is `inherit`.
    pub tos: u8,
    /// UDP port of the VTEPs (`dstport`).
    pub dstport: u16,
    /// Range of the source ports (`srcport LOW HIGH`); none is the kernel's range.
    pub srcport: Option<(u16, u16)>,
    /// Learn where a MAC is from the frames that come in.
    pub learning: bool,
    /// Answer ARP from the neighbour table.
    pub proxy: bool,
    /// Route short circuit.
    pub rsc: bool,
    /// Notify of unknown MAC addresses.
    pub l2miss: bool,
    /// Notify of unknown IP addresses.
    pub l3miss: bool,
    /// Group based policy extension.
    pub gbp: bool,
    /// Seconds until a learnt entry is forgotten, 1 or more.
    pub ageing: u32,
    /// Most learnt entries (`maxaddress`); 0 is unlimited.
    pub maxaddress: u32,
}

impl Vxlan {
    /// Seconds until a learnt entry is forgotten where nothing else is asked for
    /// (`FDB_AGE_DEFAULT`, `drivers/net/vxlan/vxlan_core.c`).
    pub const AGEING: u32 = 300;

    /// The longest time after which a learnt entry is forgotten, in seconds: 136 years.
    pub const NEVER: u32 = u32::MAX;

    /// Most learnt entries where nothing else is asked for. The kernel's own default is no limit: a pod that makes MACs up
    /// filled 154,000 entries in 8 seconds, of 224 bytes each, and they are listed in 16 us each (Linux 6.18). Where
    /// the table is full, what is not in it is flooded.
    pub const MAXADDRESS: u32 = 16_384;

    /// The IANA port for VXLAN (RFC 7348); the kernel's own default is 8472.
    pub const DSTPORT: u16 = 4789;

    /// Whether its outer packets are IPv6.
    pub fn is_v6(&self) -> bool {
        let addresses = [self.group, self.local].into_iter().flatten();
        self.v6 || addresses.into_iter().any(|address| address.is_ipv6())
    }

    /// Bytes of headers around a frame: outer Ethernet-less IPv4 20 or IPv6 40, UDP 8, VXLAN 8, inner Ethernet 14.
    pub fn overhead(&self) -> u32 {
        if self.is_v6() { 70 } else { 50 }
    }
}

/// A setting of a device that can be changed while it is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// Administratively up.
    Up,
    /// Largest packet in bytes.
    Mtu(u32),
    /// The device's address.
    Address(Mac),
    /// Length of the transmit queue in packets.
    TxQueueLen(u32),
    /// Neither sends nor answers ARP.
    ArpOff,
    /// No IPv6 link-local address by itself.
    AddrGenModeNone,
    /// macvlan: most broadcasts that wait (iproute2 5.11, Linux 5.11); the largest of all macvlans on a device counts.
    BcQueueLen(u32),
}

/// Says what a device with the setting is or has: `has mtu 1450`.
impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up => f.write_str("is up"),
            Self::Mtu(mtu) => write!(f, "has mtu {mtu}"),
            Self::Address(mac) => write!(f, "has address {mac}"),
            Self::TxQueueLen(length) => write!(f, "has txqueuelen {length}"),
            Self::ArpOff => f.write_str("has arp off"),
            Self::AddrGenModeNone => f.write_str("has addrgenmode none"),
            Self::BcQueueLen(length) => write!(f, "has bcqueuelen {length}"),
        }
    }
}

/// `ip link add NAME type vxlan ...`.
pub fn add_vxlan(name: &IfName, vxlan: &Vxlan) -> Command {
    let toward = match vxlan.group {
        Some(group) if group.is_multicast() => "group",
        _ => "remote",
    };
    let no = |on: bool, yes: &'static str, no: &'static str| if on { yes } else { no };
    let command = Command::ip(&["link", "add"])
        .word(name)
        .pair("type", "vxlan")
        .pair("id", vxlan.vni)
        .maybe("dev", vxlan.dev.as_ref())
        .maybe("local", vxlan.local)
        .maybe(toward, vxlan.group)
        .maybe("ttl", (vxlan.ttl > 0).then_some(vxlan.ttl))
        .maybe("tos", tos_word(vxlan.tos))
        .pair("dstport", vxlan.dstport);
    let command = match vxlan.srcport {
        Some((low, high)) => command.pair("srcport", low).word(high),
        None => command,
    };
    command
        .word(no(vxlan.learning, "learning", "nolearning"))
        .when(vxlan.proxy, "proxy")
        .when(vxlan.rsc, "rsc")
        .when(vxlan.l2miss, "l2miss")
        .when(vxlan.l3miss, "l3miss")
        .when(vxlan.gbp, "gbp")
        .maybe(
            "ageing",
            (vxlan.ageing != Vxlan::AGEING).then_some(vxlan.ageing),
        )
        .maybe(
            "maxaddress",
            (vxlan.maxaddress > 0).then_some(vxlan.maxaddress),
        )
}

/// `tos` as `ip` spells it: `inherit` for 1, hexadecimal for the rest, nothing for 0.
fn tos_word(tos: u8) -> Option<String> {
    match tos {
        0 => None,
        1 => Some("inherit".to_owned()),
        tos => Some(format!("{tos:#x}")),
    }
}

/// `ip link add name NAME link PARENT [netns NS] type macvlan mode bridge`: made straight in the
/// namespace, under its final name, so nothing has to be moved, renamed or cleaned up in the host.
///
/// A container's interface may have any name: without the word `name`, `ip` takes `net` for the start
/// of its own word `netns` (iproute2 6.1). Without an `address` the kernel draws one.
pub fn add_macvlan(name: &IfName, parent: &IfName, address: Option<Mac>, into: &Netns) -> Command {
    Command::ip(&["link", "add"])
        .pair("name", name)
        .pair("link", parent)
        .maybe("address", address)
        .maybe("netns", into.link_argument())
        .pair("type", "macvlan")
        .pair("mode", "bridge")
}

/// `ip link set dev OLD name NEW`: the device must be down (Linux before 6.3).
pub fn rename(old: &IfName, new: &IfName) -> Command {
    Command::ip(&["link", "set"])
        .pair("dev", old)
        .pair("name", new)
}

/// `ip link set dev NAME ...`, one setting.
pub fn set(name: &IfName, setting: &Setting) -> Command {
    let command = Command::ip(&["link", "set"]).pair("dev", name);
    match setting {
        Setting::Up => command.word("up"),
        Setting::Mtu(mtu) => command.pair("mtu", mtu),
        Setting::Address(mac) => command.pair("address", mac),
        Setting::TxQueueLen(length) => command.pair("txqueuelen", length),
        Setting::ArpOff => command.pair("arp", "off"),
        Setting::AddrGenModeNone => command.pair("addrgenmode", "none"),
        Setting::BcQueueLen(length) => command.pair("type", "macvlan").pair("bcqueuelen", length),
    }
}

/// `ip link set dev NAME type vxlan ...`: what can be changed of one that is in use. 0 as TTL is the kernel's choice.
pub fn change_vxlan(name: &IfName, vxlan: &Vxlan) -> Command {
    Command::ip(&["link", "set"])
        .pair("dev", name)
        .pair("type", "vxlan")
        .word(if vxlan.learning {
            "learning"
        } else {
            "nolearning"
        })
        .pair("ageing", vxlan.ageing)
        .pair("ttl", vxlan.ttl)
}

/// `ip link set dev NAME type macvlan mode bridge`: takes effect at once.
pub fn change_macvlan(name: &IfName) -> Command {
    Command::ip(&["link", "set"])
        .pair("dev", name)
        .pair("type", "macvlan")
        .pair("mode", "bridge")
}

/// `ip link set dev NAME down`.
pub fn down(name: &IfName) -> Command {
    Command::ip(&["link", "set"]).pair("dev", name).word("down")
}

/// `ip link del dev NAME`.
pub fn del(name: &IfName) -> Command {
    Command::ip(&["link", "del"]).pair("dev", name)
}

/// `ip -d link show dev NAME`: the link without its addresses.
///
/// In a batch it must come behind every [`super::addr::show`]: once `ip` has shown a link, it shows
/// no addresses in the same process any more (iproute2 6.1).
pub fn show(name: &IfName) -> Command {
    Command::ip(&["link", "show"]).pair("dev", name).detailed()
}

/// `ip -d link show type vxlan`: the vxlan devices; the kernel leaves the others out.
pub fn show_vxlans() -> Command {
    Command::ip(&["link", "show"])
        .pair("type", "vxlan")
        .detailed()
}

/// `ip -d link show type macvlan`: the macvlans of a namespace.
pub fn show_macvlans() -> Command {
    Command::ip(&["link", "show"])
        .pair("type", "macvlan")
        .detailed()
}

/// `ip maddr show dev NAME`: which multicast addresses a device listens to, and for how many.
pub fn maddr(name: &IfName) -> Command {
    Command::ip(&["maddr", "show"]).pair("dev", name)
}
