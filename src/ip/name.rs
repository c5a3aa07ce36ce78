//! Names and numbers that a command may carry, checked once where they enter the program.
//!
//! A value of one of these types can be put on a command line or into a batch file without further
//! thought: it has no control characters, no quotes, no comment signs, and never looks like an option.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::sanitize::printable;

/// The longest interface name in bytes: `IFNAMSIZ` (16, `linux/if.h`) less the closing NUL.
pub const IFNAME_MAX: usize = 15;

/// The longest other name of an interface in bytes: `ALTIFNAMSIZ` (128, `linux/if.h`) less the closing NUL.
const ALTNAME_MAX: usize = 127;

/// The largest VXLAN network identifier: 24 bits (RFC 7348, section 5), 0 left out.
pub const VNI_MAX: u32 = (1 << 24) - 1;

/// Why a text is not a name or a number of its kind.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// Not an interface name.
    #[error("`{seen}` is not an interface name: {why}")]
    IfName {
        /// The text as it came, made printable.
        seen: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// Not a VNI.
    #[error("`{seen}` is not a VNI: wanted 1..{VNI_MAX}")]
    Vni {
        /// The number as it came.
        seen: u64,
    },
    /// Not a MAC address that an interface can have.
    #[error("`{seen}` is not a usable MAC address: {why}")]
    Mac {
        /// The text as it came, made printable.
        seen: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// Not a routing table that routes can be put into.
    #[error("`{seen}` is not a routing table: wanted 1..4294967295")]
    Table {
        /// The number as it came.
        seen: u64,
    },
}

/// The name of a network interface: 1 to 15 printable ASCII bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IfName(String);

impl IfName {
    /// Takes a text as an interface name.
    ///
    /// # Errors
    /// [`NameError::IfName`] when the kernel, `ip` or a batch file would not take it as one.
    pub fn new(text: &str) -> Result<Self, NameError> {
        Self::within(text, IFNAME_MAX, "it has more than 15 bytes")
    }

    /// `lo`, which every namespace has.
    pub fn loopback() -> Self {
        Self("lo".to_owned())
    }

    /// Takes a text as a name by which `ip` finds a device: its own, or another name of it (`altname`), which
    /// may have up to 127 bytes (`ALTIFNAMSIZ`, `linux/if.h`).
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn or_altname(text: &str) -> Result<Self, NameError> {
        Self::within(text, ALTNAME_MAX, "it has more than 127 bytes")
    }

    fn within(text: &str, max: usize, too_long: &'static str) -> Result<Self, NameError> {
        let fault = if text.len() > max {
            Some(too_long)
        } else {
            Self::fault(text)
        };
        match fault {
            None => Ok(Self(text.to_owned())),
            Some(why) => Err(NameError::IfName {
                seen: printable(text),
                why,
            }),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The rule a text breaks, if it breaks one.
    ///
    /// `/`, `:`, white space, `.`, `..` and the length are the kernel's (`dev_valid_name`), as are `all` and
    /// `default`, whose switches are every device's (`sysctl_dev_name_is_allowed`); `%` is
    /// refused because the kernel takes `a%d` as a template; quotes, `#`, `\` and a leading `-`
    /// because `ip` would not read them as part of a name, `=` because `sysctl` takes it for the end of one.
    fn fault(text: &str) -> Option<&'static str> {
        match text {
            "" => Some("it is empty"),
            "." | ".." => Some("`.` and `..` are reserved"),
            "all" | "default" => {
                Some("`all` and `default` are the kernel's words for every device")
            }
            _ if text.starts_with('-') => Some("a leading `-` reads as an option"),
            _ if !text.bytes().all(|b| b.is_ascii_graphic()) => {
                Some("only printable ASCII without spaces is allowed")
            }
            _ if text.contains(['/', ':']) => Some("`/` and `:` are not allowed"),
            _ if text.contains(['%', '#', '"', '\'', '\\', '`', '$', '=']) => {
                Some("`%`, `#`, `$`, `=`, quotes and `\\` are not allowed")
            }
            _ => None,
        }
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for IfName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl TryFrom<String> for IfName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(&text)
    }
}

impl From<IfName> for String {
    fn from(name: IfName) -> Self {
        name.0
    }
}

/// A VXLAN network identifier, 1..16777215.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Vni(u32);

impl Vni {
    /// Takes a number as a VNI.
    ///
    /// # Errors
    /// [`NameError::Vni`] when it is 0 or does not fit into 24 bits.
    pub fn new(number: u64) -> Result<Self, NameError> {
        match u32::try_from(number) {
            Ok(vni @ 1..=VNI_MAX) => Ok(Self(vni)),
            _ => Err(NameError::Vni { seen: number }),
        }
    }
}

impl TryFrom<u64> for Vni {
    type Error = NameError;
    fn try_from(number: u64) -> Result<Self, NameError> {
        Self::new(number)
    }
}

impl From<Vni> for u64 {
    fn from(vni: Vni) -> Self {
        vni.0.into()
    }
}

impl fmt::Display for Vni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A unicast MAC address other than all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac([u8; 6]);

impl Mac {
    /// Takes six octets as an interface's address.
    ///
    /// # Errors
    /// [`NameError::Mac`] for a multicast address and for all zeros: the kernel gives neither to an interface.
    pub fn new(octets: [u8; 6]) -> Result<Self, NameError> {
        let refused = |why| {
            Err(NameError::Mac {
                seen: Self(octets).to_string(),
                why,
            })
        };
        match octets {
            [0, 0, 0, 0, 0, 0] => refused("it is all zeros"),
            [first, ..] if first & 1 == 1 => refused("it is a multicast address"),
            _ => Ok(Self(octets)),
        }
    }

    /// A unicast address of local administration from six octets (IEEE 802, "U/L bit").
    pub fn local([first, b, c, d, e, f]: [u8; 6]) -> Self {
        Self([first & !1 | 2, b, c, d, e, f])
    }

    /// The link-local address that the kernel gives an interface with it by default (RFC 4291, appendix A).
    pub fn link_local(self) -> std::net::Ipv6Addr {
        let [a, b, c, d, e, f] = self.0.map(u16::from);
        std::net::Ipv6Addr::new(
            0xfe80,
            0,
            0,
            0,
            (a ^ 2) << 8 | b,
            c << 8 | 0xff,
            0xfe00 | d,
            e << 8 | f,
        )
    }

    /// Its bytes, the first one first.
    pub fn octets(self) -> [u8; 6] {
        self.0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// As people and other tools write one: `c2:b0:57:49:47:f1`, `c2-b0-57-49-47-f1` (Windows), `c2b0.5749.47f1` (Cisco).
impl FromStr for Mac {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let refused = || NameError::Mac {
            seen: printable(text),
            why: "wanted six hex octets joined by `:`",
        };
        let (joint, digits) = match text.find(['-', '.']).map(|at| &text[at..=at]) {
            Some("-") => ('-', 2),
            Some(_) => ('.', 4),
            None => (':', 2),
        };
        let parts: Vec<&str> = text.split(joint).collect();
        let is_part =
            |part: &&str| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        if parts.len() * digits != 12 || !parts.iter().all(is_part) {
            return Err(refused());
        }
        let number = u64::from_str_radix(&parts.concat(), 16).map_err(|_| refused())?;
        let [_, _, octets @ ..] = number.to_be_bytes();
        Self::new(octets)
    }
}

impl TryFrom<String> for Mac {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

/// A routing table by number, 1..4294967295; 0 is "unspecified" to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct TableId(u32);

impl TableId {
    /// The table `main`, which unqualified commands work on (`RT_TABLE_MAIN`, `linux/rtnetlink.h`).
    pub const MAIN: Self = Self(254);
    /// Every table, where something is listed.
    pub const ALL: Self = Self(0);

    /// Takes a number as a routing table.
    ///
    /// # Errors
    /// [`NameError::Table`] for 0 and for what does not fit into 32 bits.
    pub fn new(number: u64) -> Result<Self, NameError> {
        match u32::try_from(number) {
            Ok(table) if table > 0 => Ok(Self(table)),
            _ => Err(NameError::Table { seen: number }),
        }
    }

    /// Reads a table as `ip -j` prints it: a number as text, or a well-known name.
    pub fn from_shown(shown: &str) -> Option<Self> {
        match shown {
            "main" => Some(Self::MAIN),
            "default" => Some(Self(253)),
            "local" => Some(Self(255)),
            number => number.parse().ok().and_then(|n| Self::new(n).ok()),
        }
    }
}

impl TryFrom<u64> for TableId {
    type Error = NameError;
    fn try_from(number: u64) -> Result<Self, NameError> {
        Self::new(number)
    }
}

impl From<TableId> for u64 {
    fn from(table: TableId) -> Self {
        table.0.into()
    }
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::MAIN => f.write_str("main"),
            Self::ALL => f.write_str("all"),
            Self(number) => number.fmt(f),
        }
    }
}

/// An address family, as `ip`'s `-4` and `-6`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: std::net::IpAddr) -> Self {
        if address.is_ipv4() {
            Self::V4
        } else {
            Self::V6
        }
    }

    /// The prefix length of a single host: 32 or 128 bits.
    pub fn host_prefix(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    /// The smallest MTU with which it works, in bytes (RFC 791; RFC 8200, section 5). Below 1280, Linux keeps
    /// IPv6 off a device (`addrconf_notify`, `net/ipv6/addrconf.c`).
    pub fn mtu_min(self) -> u32 {
        match self {
            Self::V4 => 68,
            Self::V6 => 1280,
        }
    }

    /// The option that selects it: `-4` or `-6`.
    pub fn option(self) -> &'static str {
        match self {
            Self::V4 => "-4",
            Self::V6 => "-6",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn fifteen_bytes_are_a_name_and_sixteen_are_not() {
        assert_eq!(
            IfName::new("abcdefghijklmno").unwrap().as_str(),
            "abcdefghijklmno"
        );
        let error = IfName::new("abcdefghijklmnop").unwrap_err();
        assert!(error.to_string().contains("more than 15 bytes"), "{error}");
    }

    #[test]
    fn another_name_of_a_device_may_be_long_and_is_held_to_the_same_characters() {
        let long = "enp193s0f1np1-uplink-of-the-rack";
        assert_eq!(IfName::or_altname(long).unwrap().as_str(), long);
        for wrong in [
            &"x".repeat(128),
            "a-long-name-with a space",
            "-long-long-option",
        ] {
            assert!(IfName::or_altname(wrong).is_err(), "{wrong} was taken");
        }
    }

    #[test]
    fn a_name_that_could_be_more_than_a_name_is_refused() {
        for hostile in [
            "",
            ".",
            "..",
            "a b",
            "a\nlink del eth0",
            "a/b",
            "a:b",
            "-batch",
            "a%d",
            "a#b",
            "a\"b",
            "a'b",
            "a\\",
            "\u{fc}",
            "\u{0}",
            "$(id)",
            "`id`",
            "all",
            "default",
            "a=b",
        ] {
            assert!(IfName::new(hostile).is_err(), "{hostile:?} was taken");
        }
    }

    #[test]
    fn what_is_refused_is_shown_escaped_and_cut() {
        let error = IfName::new(&"\n".repeat(500)).unwrap_err().to_string();
        assert!(!error.contains('\n') && error.len() < 250, "{error}");
    }

    #[test]
    fn a_vni_has_24_bits_and_is_not_zero() {
        assert_eq!(Vni::new(16_777_215).unwrap().to_string(), "16777215");
        for wrong in [0, 16_777_216, u64::MAX] {
            assert_eq!(Vni::new(wrong), Err(NameError::Vni { seen: wrong }));
        }
    }

    #[test]
    fn a_mac_is_unicast_and_prints_in_lower_case() {
        for written in ["0A:58:0a:01:00:17", "0a-58-0A-01-00-17", "0a58.0a01.0017"] {
            assert_eq!(
                written.parse::<Mac>().unwrap().to_string(),
                "0a:58:0a:01:00:17"
            );
        }
        for wrong in [
            "",
            "0a:58:0a:01:00",
            "0a:58:0a:01:00:17:18",
            "01:00:5e:00:00:01",
            "00:00:00:00:00:00",
            "0a:58:0a:01:00:+1",
            "0a-58:0a-01-00-17",
            "0a58:0a01:0017",
            "0a580a010017",
            "0a58.0a01",
            "0a:58:0a:01:00:1g",
            "ff:ff:ff:ff:ff:ff",
        ] {
            assert!(wrong.parse::<Mac>().is_err(), "{wrong} was taken");
        }
    }

    #[test]
    fn table_main_goes_by_its_name() {
        assert_eq!(TableId::new(254).unwrap().to_string(), "main");
        assert_eq!(TableId::from_shown("192"), Some(TableId::new(192).unwrap()));
        assert_eq!(TableId::from_shown("main"), Some(TableId::MAIN));
        assert!(TableId::new(0).is_err());
    }
}
