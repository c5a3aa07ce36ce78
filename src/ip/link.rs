//! `ip link`: vxlan and macvlan devices, their settings, and the record `ip -j -d` prints of one.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use serde::Deserialize;

use super::command::Command;
use super::name::{IfName, Mac, Vni};
use super::netns::Netns;

/// A vxlan device's identity: what the kernel lets nobody change once the device is there.
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
    /// Seconds until a learnt entry is forgotten; 0 is never.
    pub ageing: u32,
    /// Most learnt entries (`maxaddress`); 0 is unlimited.
    pub maxaddress: u32,
}

impl Vxlan {
    /// Seconds until a learnt entry is forgotten where nothing else is asked for
    /// (`FDB_AGE_DEFAULT`, `drivers/net/vxlan/vxlan_core.c`).
    pub const AGEING: u32 = 300;

    /// The IANA port for VXLAN (RFC 7348); the kernel's own default is 8472.
    pub const DSTPORT: u16 = 4789;

    /// Bytes of headers around a frame: outer Ethernet-less IPv4 20 or IPv6 40, UDP 8, VXLAN 8, inner Ethernet 14.
    pub fn overhead(&self) -> u32 {
        let v6 = [self.group, self.local]
            .into_iter()
            .flatten()
            .any(|address| address.is_ipv6());
        if v6 { 70 } else { 50 }
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

/// `ip link add NAME link PARENT [netns NS] type macvlan mode bridge`: made straight in the
/// namespace, under its final name, so nothing has to be moved, renamed or cleaned up in the host.
pub fn add_macvlan(name: &IfName, parent: &IfName, into: &Netns) -> Command {
    Command::ip(&["link", "add"])
        .word(name)
        .pair("link", parent)
        .maybe("netns", into.link_argument())
        .pair("type", "macvlan")
        .pair("mode", "bridge")
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
    }
}

/// `ip link del dev NAME`.
pub fn del(name: &IfName) -> Command {
    Command::ip(&["link", "del"]).pair("dev", name)
}

/// `ip link show dev NAME`: the link without its addresses.
///
/// In a batch it must come behind every [`super::addr::show`]: once `ip` has shown a link, it shows
/// no addresses in the same process any more (iproute2 6.1).
pub fn show(name: &IfName) -> Command {
    Command::ip(&["link", "show"]).pair("dev", name)
}

/// `ip maddr show dev NAME`: which multicast addresses a device listens to, and for how many.
pub fn maddr(name: &IfName) -> Command {
    Command::ip(&["maddr", "show"]).pair("dev", name)
}

/// What `ip -j -d link show` and `ip -j -d addr show` print of one device.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LinkRecord {
    /// Number in its namespace.
    pub ifindex: u32,
    /// Name in its namespace.
    pub ifname: String,
    /// Name of the device below it, where that is in the same namespace.
    pub link: Option<String>,
    /// Number of the device below it in the namespace [`LinkRecord::link_netnsid`].
    pub link_index: Option<u32>,
    /// The namespace of the device below it, where that is another one.
    pub link_netnsid: Option<i32>,
    /// `UP`, `LOWER_UP`, `NOARP`, ...
    #[serde(default)]
    pub flags: Vec<String>,
    /// Largest packet in bytes.
    pub mtu: u32,
    /// Length of the transmit queue in packets; absent for 0.
    #[serde(default)]
    pub txqlen: u32,
    /// MAC address as text.
    #[serde(default)]
    pub address: String,
    /// Kind and its details (`-d`).
    pub linkinfo: Option<LinkInfo>,
    /// `none`, `eui64`, ... (`ip link show` only).
    pub inet6_addr_gen_mode: Option<String>,
    /// Addresses (`ip addr show` only).
    #[serde(default)]
    pub addr_info: Vec<AddrRecord>,
}

/// The kind of a device and its details.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LinkInfo {
    /// `vxlan`, `macvlan`, ...
    pub info_kind: Option<String>,
    /// What that kind has to say; fields of other kinds are left out.
    #[serde(default)]
    pub info_data: LinkData,
}

/// The details of a vxlan or macvlan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct LinkData {
    /// macvlan: `bridge`, `private`, ...
    pub mode: Option<String>,
    /// vxlan: VNI.
    pub id: Option<u32>,
    /// vxlan: IPv4 multicast group.
    pub group: Option<IpAddr>,
    /// vxlan: IPv6 multicast group.
    pub group6: Option<IpAddr>,
    /// vxlan: one IPv4 VTEP.
    pub remote: Option<IpAddr>,
    /// vxlan: one IPv6 VTEP.
    pub remote6: Option<IpAddr>,
    /// vxlan: underlay device.
    pub link: Option<String>,
    /// vxlan: own IPv4 address.
    pub local: Option<IpAddr>,
    /// vxlan: own IPv6 address.
    pub local6: Option<IpAddr>,
    /// vxlan: UDP port.
    pub port: Option<u16>,
    /// vxlan: UDP source ports.
    pub port_range: Option<PortRange>,
    /// vxlan: flag; absent is false, as for the four behind it.
    pub learning: bool,
    /// vxlan: flag.
    pub proxy: bool,
    /// vxlan: flag.
    pub rsc: bool,
    /// vxlan: flag.
    pub l2miss: bool,
    /// vxlan: flag.
    pub l3miss: bool,
    /// vxlan: flag.
    pub gbp: bool,
    /// vxlan: `0x1` for `inherit`, absent for 0.
    pub tos: Option<String>,
    /// vxlan: absent for `inherit`, 0 for the kernel's choice.
    pub ttl: Option<u8>,
    /// vxlan: seconds; absent for never.
    pub ageing: u32,
    /// vxlan: most entries, absent for unlimited.
    pub limit: u32,
}

/// A range of UDP ports as `ip -j` prints it; 0 to 0 is "the kernel's".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct PortRange {
    /// The lowest.
    pub low: u16,
    /// The highest.
    pub high: u16,
}

/// One address of a device.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AddrRecord {
    /// The address.
    pub local: IpAddr,
    /// Length of its network's prefix.
    pub prefixlen: u8,
    /// `global`, `link`, ...
    #[serde(default)]
    pub scope: String,
    /// IPv6: duplicate address detection has not ended.
    #[serde(default)]
    pub tentative: bool,
    /// IPv6: somebody else has it.
    #[serde(default)]
    pub dadfailed: bool,
}

/// What `ip -j maddr show` prints of one device.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MaddrRecord {
    /// Name.
    pub ifname: String,
    /// Link-layer and network-layer groups.
    #[serde(default)]
    pub maddr: Vec<Maddr>,
}

/// One group that a device listens to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Maddr {
    /// The link-layer group, for entries of that kind.
    pub link: Option<String>,
    /// The network-layer group, for entries of that kind.
    pub address: Option<IpAddr>,
    /// How many asked for it; absent is 1.
    pub users: Option<u32>,
}

impl MaddrRecord {
    /// How many other devices listen through this one, in whatever namespace: each macvlan that is
    /// up asks the device below it for the Ethernet group of 224.0.0.1 (RFC 1112, 6.4), once; the
    /// device itself asks once more where it is in the group on its own account.
    pub fn listeners(&self) -> u32 {
        let all_hosts = |maddr: &&Maddr| maddr.link.as_deref() == Some("01:00:5e:00:00:01");
        let asked = self
            .maddr
            .iter()
            .find(all_hosts)
            .map_or(0, |maddr| maddr.users.unwrap_or(1));
        let own = self
            .maddr
            .iter()
            .any(|maddr| maddr.address == Some([224, 0, 0, 1].into()));
        asked.saturating_sub(own.into())
    }
}

impl LinkRecord {
    /// Whether a flag is set.
    pub fn flag(&self, flag: &str) -> bool {
        self.flags.iter().any(|f| f == flag)
    }

    /// Kind, `` where `ip` prints none (a physical device).
    pub fn kind(&self) -> &str {
        self.linkinfo
            .as_ref()
            .and_then(|info| info.info_kind.as_deref())
            .unwrap_or("")
    }

    /// The details of its kind; empty ones for a device without.
    pub fn data(&self) -> LinkData {
        self.linkinfo
            .as_ref()
            .map(|info| info.info_data.clone())
            .unwrap_or_default()
    }

    /// Whether it has an address of this length.
    pub fn has_address(&self, wanted: IpNetwork) -> bool {
        let same = |a: &AddrRecord| a.local == wanted.ip() && a.prefixlen == wanted.prefix();
        self.addr_info.iter().any(same)
    }

    /// Whether a setting is as wanted; `None` where this record does not tell.
    pub fn holds(&self, setting: &Setting) -> Option<bool> {
        match setting {
            Setting::Up => Some(self.flag("UP")),
            Setting::Mtu(mtu) => Some(self.mtu == *mtu),
            Setting::Address(mac) => Some(self.address == mac.to_string()),
            Setting::TxQueueLen(length) => Some(self.txqlen == *length),
            Setting::ArpOff => Some(self.flag("NOARP")),
            Setting::AddrGenModeNone => self
                .inet6_addr_gen_mode
                .as_deref()
                .map(|mode| mode == "none"),
        }
    }

    /// How a setting is found, as one would say it.
    pub fn found(&self, setting: &Setting) -> String {
        match setting {
            Setting::Up => "down".to_owned(),
            Setting::Mtu(_) => format!("mtu {}", self.mtu),
            Setting::Address(_) => format!("address {}", self.address),
            Setting::TxQueueLen(_) => format!("txqueuelen {}", self.txqlen),
            Setting::ArpOff => "arp on".to_owned(),
            Setting::AddrGenModeNone => {
                format!(
                    "addrgenmode {}",
                    self.inet6_addr_gen_mode.as_deref().unwrap_or("unknown")
                )
            }
        }
    }
}

/// Names every point of identity in which a device differs from a wanted vxlan, as `ip` spells it.
pub fn vxlan_differences(record: &LinkRecord, wanted: &Vxlan) -> Vec<String> {
    if record.kind() != "vxlan" {
        return vec![format!("it is a `{}`, not a vxlan", record.kind())];
    }
    let found = record.data();
    let mut differences = Vec::new();
    let mut compare = |word: &str, found: String, wanted: String| {
        if found != wanted {
            differences.push(format!("{word} is {found}, wanted {wanted}"));
        }
    };
    let or_none = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
    let address = |a: Option<IpAddr>| or_none(a.map(|a| a.to_string()));
    compare(
        "id",
        or_none(found.id.map(|id| id.to_string())),
        wanted.vni.to_string(),
    );
    if let Some(dev) = &wanted.dev {
        compare("dev", or_none(found.link), dev.to_string());
    }
    compare(
        "local",
        address(found.local.or(found.local6)),
        address(wanted.local),
    );
    let toward = found
        .group
        .or(found.group6)
        .or(found.remote)
        .or(found.remote6);
    compare("group", address(toward), address(wanted.group));
    compare(
        "dstport",
        or_none(found.port.map(|p| p.to_string())),
        wanted.dstport.to_string(),
    );
    let range = |low: u16, high: u16| format!("{low} {high}");
    let (low, high) = wanted.srcport.unwrap_or((0, 0));
    let seen = found.port_range.unwrap_or(PortRange { low: 0, high: 0 });
    compare("srcport", range(seen.low, seen.high), range(low, high));
    compare(
        "ttl",
        or_none(found.ttl.map(|t| t.to_string())),
        wanted.ttl.to_string(),
    );
    compare(
        "tos",
        found.tos.unwrap_or_else(|| "0".to_owned()),
        shown_tos(wanted.tos),
    );
    compare(
        "ageing",
        found.ageing.to_string(),
        wanted.ageing.to_string(),
    );
    compare(
        "maxaddress",
        found.limit.to_string(),
        wanted.maxaddress.to_string(),
    );
    for (word, found, wanted) in [
        ("learning", found.learning, wanted.learning),
        ("proxy", found.proxy, wanted.proxy),
        ("rsc", found.rsc, wanted.rsc),
        ("l2miss", found.l2miss, wanted.l2miss),
        ("l3miss", found.l3miss, wanted.l3miss),
        ("gbp", found.gbp, wanted.gbp),
    ] {
        compare(word, on_off(found), on_off(wanted));
    }
    differences
}

/// `tos` as `ip -j` prints it.
fn shown_tos(tos: u8) -> String {
    if tos == 0 {
        "0".to_owned()
    } else {
        format!("{tos:#x}")
    }
}

/// A flag in words.
fn on_off(on: bool) -> String {
    if on { "on" } else { "off" }.to_owned()
}

/// Names every point in which a device differs from a macvlan in bridge mode on `parent`.
///
/// In another namespace than its parent, a macvlan shows the parent's number in place of its name;
/// `parent_index` is then what it must be, where that is known.
pub fn macvlan_differences(
    record: &LinkRecord,
    parent: &IfName,
    parent_index: Option<u32>,
) -> Vec<String> {
    if record.kind() != "macvlan" {
        return vec![format!("it is a `{}`, not a macvlan", record.kind())];
    }
    let mut differences = Vec::new();
    let mode = record.data().mode.unwrap_or_default();
    if mode != "bridge" {
        differences.push(format!("mode is {mode}, wanted bridge"));
    }
    match (&record.link, record.link_index, parent_index) {
        (Some(link), _, _) if link != parent.as_str() => {
            differences.push(format!("link is {link}, wanted {parent}"));
        }
        (None, Some(found), Some(wanted)) if found != wanted => {
            differences.push(format!(
                "link is device {found}, wanted {parent} (device {wanted})"
            ));
        }
        (None, None, _) => differences.push(format!("it has no parent, wanted {parent}")),
        _ => {}
    }
    differences
}
