//! `ip rule`: which table a packet is looked up in.

use std::fmt;
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};

use super::command::Command;
use super::json::flag;
use super::name::{Family, TableId};

/// One bit of a packet's mark, and that bit alone: the others are other programs'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fwmark(u32);

impl Fwmark {
    /// The bit at a place, 0 to 31.
    pub const fn bit(place: u8) -> Self {
        Self(1 << (place & 31))
    }

    /// The mark with no other bit set.
    pub const fn value(self) -> u32 {
        self.0
    }

    /// The bit, and the mask that looks at no other.
    fn alone(self) -> String {
        format!("{self}/{self}")
    }
}

/// As `ip` and `nft` read a number.
impl fmt::Display for Fwmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// A rule: packets from one network to another, or within one, are looked up in a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its place among all rules. Always given: without it the kernel accepts the same rule twice
    /// and puts it before the lowest of the others (iproute2 6.1).
    pub pref: u32,
    /// Source; none is any.
    pub from: Option<IpNetwork>,
    /// Destination.
    pub to: IpNetwork,
    /// A bit of the packet's mark that must be set.
    pub fwmark: Option<Fwmark>,
    /// Table.
    pub lookup: TableId,
}

impl Rule {
    /// The family.
    pub fn family(&self) -> Family {
        Family::of(self.to.ip())
    }

    /// Whether a record shows this rule.
    pub fn is(&self, record: &RuleRecord) -> bool {
        // Everything is printed as `all`, or not at all.
        let same = |address: Option<IpAddr>, length: Option<u8>, wanted: Option<IpNetwork>| {
            let wanted = wanted.filter(|wanted| wanted.prefix() > 0);
            let shown = address.and_then(|address| {
                let length = length.unwrap_or(Family::of(address).host_prefix());
                IpNetwork::new(address, length).ok()
            });
            shown == wanted && address.is_some() == wanted.is_some()
        };
        let shown = self.fwmark.map(|mark| mark.to_string());
        let marked = record.fwmark == shown && record.fwmask == shown;
        let by_nothing_else = !record.not
            && [&record.iif, &record.oif, &record.tos]
                .into_iter()
                .all(Option::is_none);
        by_nothing_else
            && marked
            && record.priority == self.pref
            && same(record.src, record.srclen, self.from)
            && same(record.dst, record.dstlen, Some(self.to))
            && TableId::from_shown(&record.table) == Some(self.lookup)
    }

    /// Any source has a word of its own.
    fn source(&self) -> String {
        self.from
            .map_or_else(|| "all".to_owned(), |from| from.to_string())
    }

    fn words(&self, verb: &str) -> Command {
        told(self.family(), Command::ip(&["rule", verb]))
            .pair("pref", self.pref)
            .pair("from", self.source())
            .pair("to", self.to)
            .maybe("fwmark", self.fwmark.map(Fwmark::alone))
            .pair("lookup", self.lookup)
    }
}

/// As `ip` reads it behind `rule add pref`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {} to {}", self.pref, self.source(), self.to)?;
        if let Some(mark) = self.fwmark {
            write!(f, " fwmark {}", mark.alone())?;
        }
        write!(f, " lookup {}", self.lookup)
    }
}

/// `ip rule` reads no family from its addresses.
fn told(family: Family, command: Command) -> Command {
    if family == Family::V6 {
        command.family(Family::V6)
    } else {
        command
    }
}

/// `ip [-6] rule add ...`.
pub fn add(rule: &Rule) -> Command {
    rule.words("add")
}

/// `ip [-6] rule del ...`: removes one match.
pub fn del(rule: &Rule) -> Command {
    rule.words("del")
}

/// `ip [-6] rule show pref N`: the rules at one place.
pub fn show(family: Family, pref: u32) -> Command {
    told(family, Command::ip(&["rule", "show"])).pair("pref", pref)
}

/// What `ip -j rule show` prints of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RuleRecord {
    /// `pref`.
    pub priority: u32,
    /// Whether it is for every other packet.
    #[serde(default, deserialize_with = "flag")]
    pub not: bool,
    /// Source; absent (`all` in text) for any.
    #[serde(default, deserialize_with = "any_or_address")]
    pub src: Option<IpAddr>,
    /// Length of the source's prefix; absent for one host.
    pub srclen: Option<u8>,
    /// Destination.
    #[serde(default, deserialize_with = "any_or_address")]
    pub dst: Option<IpAddr>,
    /// Length of the destination's prefix; absent for one host.
    pub dstlen: Option<u8>,
    /// The device that a packet came in by; a rule of ours has none, nor any of those that follow.
    pub iif: Option<String>,
    /// The device that a packet was bound to.
    pub oif: Option<String>,
    /// The packet's mark.
    pub fwmark: Option<String>,
    /// Which bits of it are looked at; absent for all.
    pub fwmask: Option<String>,
    /// The packet's type of service.
    pub tos: Option<String>,
    /// Table by number or well-known name; absent for rules that do something else.
    #[serde(default)]
    pub table: String,
}

/// `all`, or an address.
fn any_or_address<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<IpAddr>, D::Error> {
    Ok(Option::<String>::deserialize(d)?.and_then(|text| text.parse().ok()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_ipv6_rule_says_so_and_every_rule_has_its_pref() {
        let net: IpNetwork = "fd10::/64".parse().unwrap();
        let rule = Rule {
            pref: 19200,
            from: Some(net),
            to: net,
            fwmark: None,
            lookup: TableId::new(192).unwrap(),
        };
        assert_eq!(
            add(&rule).to_string(),
            "ip -6 rule add pref 19200 from fd10::/64 to fd10::/64 lookup 192"
        );
        let shown = r#"{"priority":19200,"src":"fd10::","srclen":64,"dst":"fd10::","dstlen":64,"table":"192"}"#;
        assert!(rule.is(&serde_json::from_str(shown).unwrap()));
        // iproute2 5.10 to 7.3: null where it is set.
        let other = shown.replace("\"src\"", "\"not\":null,\"src\"");
        assert!(!rule.is(&serde_json::from_str(&other).unwrap()));
        for (key, value) in [
            ("iif", "lo"),
            ("oif", "lo"),
            ("fwmark", "0x1"),
            ("tos", "0x10"),
        ] {
            let other = shown.replace("\"src\"", &format!(r#""{key}":"{value}","src""#));
            assert!(!rule.is(&serde_json::from_str(&other).unwrap()), "{other}");
        }
        let any = r#"{"priority":0,"src":"all","table":"local"}"#;
        assert!(!rule.is(&serde_json::from_str(any).unwrap()));
        let everything = Rule {
            from: None,
            to: "0.0.0.0/0".parse().unwrap(),
            ..rule
        };
        let all = r#"{"priority":19200,"src":"all","table":"192"}"#;
        assert!(everything.is(&serde_json::from_str(all).unwrap()));
    }

    #[test]
    fn a_rule_about_a_bit_of_the_mark_is_about_no_other_bit() {
        let rule = Rule {
            pref: 19201,
            from: None,
            to: "10.1.0.0/16".parse().unwrap(),
            fwmark: Some(Fwmark::bit(12)),
            lookup: TableId::new(192).unwrap(),
        };
        assert_eq!(
            del(&rule).to_string(),
            "ip rule del pref 19201 from all to 10.1.0.0/16 fwmark 0x1000/0x1000 lookup 192"
        );
        let is = |marked: &str| {
            let shown = format!(
                r#"{{"priority":19201,"src":"all","dst":"10.1.0.0","dstlen":16,{marked}"table":"192"}}"#
            );
            rule.is(&serde_json::from_str(&shown).unwrap())
        };
        assert!(is(r#""fwmark":"0x1000","fwmask":"0x1000","#));
        for other in [
            "",
            r#""fwmark":"0x1000","#,
            r#""fwmark":"0x1000","fwmask":"0x3000","#,
            r#""fwmark":"0","fwmask":"0x1000","#,
        ] {
            assert!(!is(other), "{other}");
        }
    }
}
