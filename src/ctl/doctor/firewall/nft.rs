//! The tables of `nft -j list ruleset`.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnetwork::IpNetwork;
use serde_json::Value;

use super::rules::{Chain, Match, Property, Rule, Table, Verdict};
use crate::sanitize::printable;

/// Reads all tables; none where this is no list of nftables.
pub fn tables(document: &Value) -> Option<Vec<Table>> {
    let items = document["nftables"].as_array()?;
    let mut tables: Vec<Table> = Vec::new();
    let of = |item: &Value, tables: &mut Vec<Table>| {
        let (family, name) = (text(&item["family"])?, text(&item["table"])?);
        tables
            .iter()
            .position(|table| table.family == family && table.name == name)
    };
    for item in items {
        if let Some(table) = item.get("table") {
            tables.push(Table {
                program: "nft".to_owned(),
                family: text(&table["family"])?,
                name: text(&table["name"])?,
                chains: Default::default(),
            });
        } else if let Some(shown) = item.get("chain") {
            if let (Some(at), Some(name)) = (of(shown, &mut tables), text(&shown["name"])) {
                tables[at].chains.insert(name, chain(shown));
            }
        } else if let Some(shown) = item.get("rule")
            && let (Some(at), Some(name)) = (of(shown, &mut tables), text(&shown["chain"]))
            && let Some(rule) = rule(shown, &Sets(items))
        {
            tables[at].chains.entry(name).or_default().rules.push(rule);
        }
    }
    Some(tables)
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn chain(shown: &Value) -> Chain {
    Chain {
        // What translates addresses lets everything pass.
        hook: text(&shown["hook"]).filter(|_| shown["type"] != "nat"),
        devices: several(&shown["dev"], text).unwrap_or_default(),
        drops: shown["policy"] == "drop",
        rules: Vec::new(),
    }
}

/// The named sets among a list.
struct Sets<'a>(&'a [Value]);

impl Sets<'_> {
    /// A value, or what is in the set of the table that it names.
    fn resolved<'v>(&'v self, value: &'v Value, rule: &Value) -> &'v Value {
        let Some(name) = value.as_str().and_then(|text| text.strip_prefix('@')) else {
            return value;
        };
        let sets = self.0.iter().filter_map(|item| item.get("set"));
        let mut its = sets.filter(|set| {
            set["name"] == name && set["table"] == rule["table"] && set["family"] == rule["family"]
        });
        its.next().map_or(&Value::Null, |set| &set["elem"])
    }
}

fn rule(shown: &Value, sets: &Sets<'_>) -> Option<Rule> {
    let handle = shown["handle"].as_u64().unwrap_or_default();
    let chain = printable(shown["chain"].as_str()?);
    let mut rule = Rule {
        shown: format!("the rule with handle {handle} of its chain {chain}"),
        matches: Vec::new(),
        verdict: Verdict::Next,
    };
    for expression in shown["expr"].as_array()? {
        let (key, value) = expression.as_object()?.iter().next()?;
        match key.as_str() {
            "match" => rule.matches.extend(matches(value, shown, sets)),
            "vmap" => rule.verdict = by_property(value, shown, sets),
            "counter" | "log" | "mangle" | "notrack" | "ct helper" | "set" | "flow" => {}
            "limit" | "quota" | "ct count" => rule.matches.push(unknown()),
            _ => rule.verdict = verdict(key, value),
        }
    }
    Some(rule)
}

fn unknown() -> Match {
    Match {
        property: Property::Unknown,
        is_not: false,
    }
}

fn verdict(key: &str, value: &Value) -> Verdict {
    let target = || text(&value["target"]);
    match key {
        "accept" => Verdict::Accept,
        "drop" | "reject" => Verdict::Drop,
        "return" => Verdict::Return,
        "continue" => Verdict::Next,
        "jump" => target().map_or(Verdict::Unknown, Verdict::Jump),
        "goto" => target().map_or(Verdict::Unknown, Verdict::Goto),
        _ => Verdict::Unknown,
    }
}

/// A map from values to verdicts.
fn by_property(vmap: &Value, rule: &Value, sets: &Sets<'_>) -> Verdict {
    let data = sets.resolved(&vmap["data"], rule);
    let elements = data.get("set").unwrap_or(data).as_array();
    let one = |element: &Value| {
        let shown = serde_json::json!({"op": "==", "left": vmap["key"], "right": element[0]});
        let (key, value) = element[1].as_object()?.iter().next()?;
        let wanted = matches(&shown, rule, sets).into_iter().next();
        Some((wanted.unwrap_or_else(unknown), verdict(key, value)))
    };
    let all: Option<Vec<_>> = elements
        .map(|all| all.iter().map(one).collect())
        .unwrap_or(None);
    all.map_or(Verdict::Unknown, Verdict::ByProperty)
}

/// What a `match` is about; a field of a protocol tells the protocol, too.
fn matches(shown: &Value, rule: &Value, sets: &Sets<'_>) -> Vec<Match> {
    let right = sets.resolved(&shown["right"], rule);
    let left = &shown["left"];
    let payload = &left["payload"];
    let is_not = shown["op"] == "!=";
    let mut found = Vec::new();
    if let Some(protocol @ ("udp" | "tcp" | "sctp")) = payload["protocol"].as_str() {
        found.push(Match {
            property: Property::Protocol(vec![protocol.to_owned()]),
            is_not: false,
        });
    }
    if let Some(family @ ("ip" | "ip6")) = payload["protocol"].as_str() {
        found.push(Match {
            property: Property::Family(vec![family.to_owned()]),
            is_not: false,
        });
    }
    let known = matches!(shown["op"].as_str(), Some("==" | "!=" | "in"));
    let property = property(left, right).filter(|_| known);
    found.push(Match {
        property: property.unwrap_or(Property::Unknown),
        is_not,
    });
    found
}

fn property(left: &Value, right: &Value) -> Option<Property> {
    let words = || several(right, text);
    if let Some(key) = left["meta"]["key"].as_str() {
        return match key {
            "iifname" | "iif" => Some(Property::In(words()?)),
            "oifname" | "oif" => Some(Property::Out(words()?)),
            "l4proto" => Some(Property::Protocol(words()?)),
            "nfproto" => {
                let family = |one: String| one.replace("ipv4", "ip").replace("ipv6", "ip6");
                Some(Property::Family(words()?.into_iter().map(family).collect()))
            }
            "protocol" => Some(Property::Family(words()?)),
            "mark" => (right != 0).then_some(Property::Marked),
            _ => None,
        };
    }
    match left["ct"]["key"].as_str() {
        Some("state") => return Some(Property::State(words()?)),
        Some("status") => return (right == "dnat" || right == "snat").then_some(Property::Marked),
        Some(_) => return None,
        None => {}
    }
    let payload = &left["payload"];
    match (payload["protocol"].as_str()?, payload["field"].as_str()?) {
        ("udp" | "tcp" | "th" | "sctp", "dport") => Some(Property::PortTo(several(right, ports)?)),
        ("ip", "protocol") | ("ip6", "nexthdr") => Some(Property::Protocol(words()?)),
        ("ip" | "ip6", "saddr") => Some(Property::From(several(right, network)?)),
        ("ip" | "ip6", "daddr") => Some(Property::To(several(right, network)?)),
        ("icmp" | "icmpv6", "type") => Some(Property::Message(words()?)),
        _ => None,
    }
}

/// The values of a set, of a list, or the one that is by itself.
fn several<T>(shown: &Value, read: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    let all = shown.get("set").unwrap_or(shown);
    match all.as_array() {
        Some(all) => all.iter().map(read).collect(),
        None => Some(vec![read(all)?]),
    }
}

fn ports(shown: &Value) -> Option<RangeInclusive<u16>> {
    let port = |value: &Value| u16::try_from(value.as_u64()?).ok();
    match shown.get("range") {
        Some(range) => Some(port(&range[0])?..=port(&range[1])?),
        None => port(shown).map(|port| port..=port),
    }
}

fn network(shown: &Value) -> Option<IpNetwork> {
    match shown.get("prefix") {
        Some(prefix) => {
            let address: IpAddr = prefix["addr"].as_str()?.parse().ok()?;
            IpNetwork::new(address, u8::try_from(prefix["len"].as_u64()?).ok()?).ok()
        }
        None => shown.as_str()?.parse().ok(),
    }
}
