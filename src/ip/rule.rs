//! `ip rule`: which table a packet is looked up in.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};

use super::command::Command;
use super::json::flag;
use super::name::{Family, TableId};

/// A rule: packets within one network are looked up in a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its place among all rules. Always given: without it the kernel accepts the same rule twice
    /// and puts it before the lowest of the others (iproute2 6.1).
    pub pref: u32,
    /// Source.
    pub from: IpNetwork,
    /// Destination.
    pub to: IpNetwork,
    /// Table.
    pub lookup: TableId,
}

impl Rule {
    /// The family.
    pub fn family(&self) -> Family {
        Family::of(self.from.ip())
    }

    /// Whether a record shows this rule.
    pub fn is(&self, record: &RuleRecord) -> bool {
        // Everything is printed as `all`, or not at all.
        let same = |address: Option<IpAddr>, length: Option<u8>, wanted: IpNetwork| match address {
            None => wanted.prefix() == 0,
            Some(address) => {
                let length = length.unwrap_or(Family::of(address).host_prefix());
                IpNetwork::new(address, length).ok() == Some(wanted)
            }
        };
        let every_packet = !record.not
            && [&record.iif, &record.oif, &record.fwmark, &record.tos]
                .into_iter()
                .all(Option::is_none);
        every_packet
            && record.priority == self.pref
            && same(record.src, record.srclen, self.from)
            && same(record.dst, record.dstlen, self.to)
            && TableId::from_shown(&record.table) == Some(self.lookup)
    }

    fn words(&self, verb: &str) -> Command {
        told(self.family(), Command::ip(&["rule", verb]))
            .pair("pref", self.pref)
            .pair("from", self.from)
            .pair("to", self.to)
            .pair("lookup", self.lookup)
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
            from: net,
            to: net,
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
            from: "0.0.0.0/0".parse().unwrap(),
            to: "0.0.0.0/0".parse().unwrap(),
            ..rule
        };
        let all = r#"{"priority":19200,"src":"all","table":"192"}"#;
        assert!(everything.is(&serde_json::from_str(all).unwrap()));
    }
}
