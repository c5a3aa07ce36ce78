//! What `nft -j list table` prints, read back into the types of a rule.

use std::collections::BTreeMap;

use ipnetwork::IpNetwork;
use serde_json::Value;

use super::rule::{GATEWAYS, Is, Match, Place, Rule, Verdict};
use super::{Chain, Hook};
use crate::ip::{IfName, Vni};

/// The chains of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ruleset {
    chains: BTreeMap<String, Seen>,
}

/// A chain as it was seen; a rule that is none of ours is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Seen {
    hook: Option<Hook>,
    rules: Vec<Option<Rule>>,
}

impl Ruleset {
    /// Reads the document; `None` when it is none of `nft -j`.
    pub fn read(document: &Value) -> Option<Self> {
        let mut chains: BTreeMap<String, Seen> = BTreeMap::new();
        for item in document.get("nftables")?.as_array()? {
            if let Some(chain) = item.get("chain") {
                let name = chain["name"].as_str()?.to_owned();
                chains.entry(name).or_default().hook = hook(chain);
            }
            if let Some(shown) = item.get("rule") {
                let name = shown["chain"].as_str()?.to_owned();
                chains.entry(name).or_default().rules.push(rule(shown));
            }
        }
        Some(Self { chains })
    }

    /// The names of the chains.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.chains.keys().map(String::as_str)
    }

    /// Whether a chain is there and just as wanted.
    pub fn has(&self, wanted: &Chain) -> bool {
        self.chains.get(&wanted.name).is_some_and(|seen| {
            let rules = wanted.rules.iter().map(Some);
            seen.hook.as_ref() == Some(&wanted.hook)
                && rules.eq(seen.rules.iter().map(Option::as_ref))
        })
    }
}

fn hook(chain: &Value) -> Option<Hook> {
    let word = |key: &str| chain[key].as_str();
    match (word("type")?, word("hook")?, chain["prio"].as_i64()?) {
        ("filter", "prerouting", -300) => Some(Hook::Prerouting),
        ("nat", "postrouting", 100) => Some(Hook::Postrouting),
        ("filter", "egress", 0) => Some(Hook::Egress(device(&chain["dev"])?)),
        _ => None,
    }
    .filter(|_| word("policy") == Some("accept"))
}

fn rule(shown: &Value) -> Option<Rule> {
    let mut matches = Vec::new();
    let mut verdict = None;
    for expression in shown["expr"].as_array()? {
        let (key, value) = expression.as_object()?.iter().next()?;
        match key.as_str() {
            "match" => matches.push(property(value)?),
            "drop" => verdict = Some(Verdict::Drop),
            "accept" => verdict = Some(Verdict::Accept),
            "masquerade" if value.is_null() => verdict = Some(Verdict::Masquerade),
            _ => return None,
        }
    }
    let verdict = verdict?;
    Some(Rule { matches, verdict })
}

fn property(shown: &Value) -> Option<Match> {
    let (left, right) = (&shown["left"], &shown["right"]);
    let is = match shown["op"].as_str()? {
        "==" | "in" => Is::In,
        "!=" => Is::NotIn,
        _ => return None,
    };
    if let Some(key) = left["meta"]["key"].as_str() {
        let place = match key {
            "iifname" => Place::From,
            "oifname" => Place::To,
            _ => return None,
        };
        // A star that is not escaped.
        if right == GATEWAYS {
            return Some(Match::Gateway(place, is));
        }
        return Some(Match::Device(place, is, several(right, device)?));
    }
    if left["ct"]["key"] == "status" {
        return (right == "dnat" && is == Is::In).then_some(Match::Translated);
    }
    let payload = &left["payload"];
    match (payload["protocol"].as_str(), payload["field"].as_str()) {
        (Some("udp"), Some("dport")) if is == Is::In => {
            Some(Match::UdpTo(u16::try_from(right.as_u64()?).ok()?))
        }
        (Some("ip" | "ip6"), Some(field @ ("saddr" | "daddr"))) => {
            let place = match field {
                "saddr" => Place::From,
                _ => Place::To,
            };
            Some(Match::Address(place, is, several(right, network)?))
        }
        (None, None) if is == Is::In => {
            let at = ["th", "96", "24"];
            let seen = [
                payload["base"].as_str()?.to_owned(),
                payload["offset"].to_string(),
                payload["len"].to_string(),
            ];
            let vni = Vni::new(right.as_u64()?).ok()?;
            (seen == at).then_some(Match::Vni(vni))
        }
        _ => None,
    }
}

/// The values of a set, or the one that is by itself; sorted, since a set has no order of its own.
fn several<T: Ord>(shown: &Value, read: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    let mut values: Vec<T> = match shown.get("set") {
        Some(set) => set.as_array()?.iter().map(read).collect::<Option<_>>()?,
        None => vec![read(shown)?],
    };
    values.sort();
    Some(values)
}

fn device(shown: &Value) -> Option<IfName> {
    let name = shown.as_str()?;
    // As it was written: an escaped star is a star.
    IfName::new(&name.replace("\\*", "*")).ok()
}

fn network(shown: &Value) -> Option<IpNetwork> {
    match shown.get("prefix") {
        Some(prefix) => {
            let address = prefix["addr"].as_str()?.parse().ok()?;
            IpNetwork::new(address, u8::try_from(prefix["len"].as_u64()?).ok()?).ok()
        }
        None => shown.as_str()?.parse().ok(),
    }
}
