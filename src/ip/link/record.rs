//! What `ip -j -d link`, `addr` and `maddr` print of a device.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use serde::{Deserialize, Deserializer};

use super::Setting;
use crate::ip::json::flag;

/// What `ip -j -d link show` and `ip -j -d addr show` print of one device.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LinkRecord {
    /// Number in its namespace.
    pub ifindex: u32,
    /// Name in its namespace.
    pub ifname: String,
    /// Its other names.
    #[serde(default)]
    pub altnames: Vec<String>,
    /// Name of the device below it, where that is in the same namespace.
    pub link: Option<String>,
    /// Name of the device that it is a part of: a bridge, a bond, a VRF.
    pub master: Option<String>,
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
    #[serde(default, deserialize_with = "addresses")]
    pub addr_info: Vec<AddrRecord>,
}

/// Reads addresses; `ip` prints `{}` in place of what its own filter left out.
fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<AddrRecord>, D::Error> {
    let shown = Vec::<serde_json::Map<String, serde_json::Value>>::deserialize(deserializer)?;
    let told = shown.into_iter().filter(|address| !address.is_empty());
    told.map(|address| AddrRecord::deserialize(serde_json::Value::Object(address)))
        .collect::<Result<_, _>>()
        .map_err(serde::de::Error::custom)
}

/// The kind of a device and its details.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LinkInfo {
    /// `vxlan`, `macvlan`, ...
    pub info_kind: Option<String>,
    /// As what kind of part it belongs to its master: `bridge`, `bond`, `vrf`, ...
    pub info_slave_kind: Option<String>,
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
    /// macvlan: most broadcasts that wait, as asked for.
    pub bcqueuelen: Option<u32>,
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
    #[serde(deserialize_with = "flag")]
    pub learning: bool,
    /// vxlan: flag.
    #[serde(deserialize_with = "flag")]
    pub proxy: bool,
    /// vxlan: flag.
    #[serde(deserialize_with = "flag")]
    pub rsc: bool,
    /// vxlan: flag.
    #[serde(deserialize_with = "flag")]
    pub l2miss: bool,
    /// vxlan: flag.
    #[serde(deserialize_with = "flag")]
    pub l3miss: bool,
    /// vxlan: flag.
    #[serde(deserialize_with = "flag")]
    pub gbp: bool,
    /// vxlan: `0x1` for `inherit`, absent for 0.
    pub tos: Option<String>,
    /// vxlan: absent for `inherit`, 0 for the kernel's choice.
    pub ttl: Option<u8>,
    /// vxlan: seconds.
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
    #[serde(default, deserialize_with = "flag")]
    pub tentative: bool,
    /// IPv6: another host has it.
    #[serde(default, deserialize_with = "flag")]
    pub dadfailed: bool,
    /// IPv6: nothing new is to be sent from it.
    #[serde(default, deserialize_with = "flag")]
    pub deprecated: bool,
    /// IPv6: one of those that change for privacy's sake.
    #[serde(default, deserialize_with = "flag")]
    pub temporary: bool,
    /// Not the first of its subnet; of IPv6 `ip` calls temporary ones so too.
    #[serde(default, deserialize_with = "flag")]
    pub secondary: bool,
    /// IPv6: it ends by itself, as one that a router advertises.
    #[serde(default, deserialize_with = "flag")]
    pub dynamic: bool,
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

impl AddrRecord {
    /// Whether it is for hosts on the link alone, whether its scope is printed as a word or as a number (`-N`).
    pub fn is_on_link(&self) -> bool {
        matches!(self.scope.as_str(), "link" | "253")
    }

    /// The same, of all other hosts.
    pub fn is_global(&self) -> bool {
        matches!(self.scope.as_str(), "global" | "0")
    }
}

impl LinkRecord {
    /// Every name by which it is found.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let own = std::iter::once(&self.ifname).chain(&self.altnames);
        own.map(String::as_str)
    }

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

    /// Whether it belongs to a VRF: the routing table of that is its own then.
    pub fn is_in_a_vrf(&self) -> bool {
        let info = self.linkinfo.as_ref();
        info.is_some_and(|info| info.info_slave_kind.as_deref() == Some("vrf"))
    }

    /// As what it belongs to a device that takes whatever arrives; `None` for one that belongs to none. A VRF
    /// only chooses the routing table.
    pub fn enslaved(&self) -> Option<&'static str> {
        let kind = self.linkinfo.as_ref()?.info_slave_kind.as_deref()?;
        match kind {
            "bridge" => Some("a port of the bridge"),
            "bond" => Some("a member of the bond"),
            "vrf" => None,
            _ => Some("a part of"),
        }
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
            Setting::BcQueueLen(length) => self.data().bcqueuelen.map(|found| found == *length),
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
            Setting::BcQueueLen(_) => match self.data().bcqueuelen {
                Some(length) => format!("bcqueuelen {length}"),
                None => "bcqueuelen unknown (Linux 5.11 or newer has it)".to_owned(),
            },
        }
    }
}
