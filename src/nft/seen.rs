//! What `nft -j list table` prints, read back into the types of a rule.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use ipnetwork::IpNetwork;
use serde_json::Value;

use super::rule::{GATEWAYS, Is, L3, Match, Place, Rule, Verdict, words};
use super::{Chain, Hook, Table};
use crate::ip::rule::Fwmark;
use crate::ip::subnets::{fewest, of_range};
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
    /// Reads the document about a table; `None` when it is none of `nft -j`.
    pub fn read(document: &Value, table: &Table) -> Option<Self> {
        let of = match table {
            Table::Node => None,
            Table::Pod(dev) => Some(dev.clone()),
        };
        let mut chains: BTreeMap<String, Seen> = BTreeMap::new();
        for item in document.get("nftables")?.as_array()? {
            if let Some(chain) = item.get("chain") {
                let name = chain["name"].as_str()?.to_owned();
                chains.entry(name).or_default().hook = hook(chain, &of);
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

    /// Whether a chain is there and just as wanted; it may be about more ports and destinations.
    pub fn has(&self, wanted: &Chain) -> bool {
        self.chains.get(&wanted.name).is_some_and(|seen| {
            let found: Option<Vec<&Rule>> = seen.rules.iter().map(Option::as_ref).collect();
            let covers = |rules: &[&Rule]| {
                rules.len() == wanted.rules.len()
                    && std::iter::zip(rules, &wanted.rules)
                        .all(|(rule, wanted)| rule.covers(wanted))
            };
            seen.hook.as_ref() == Some(&wanted.hook) && found.is_some_and(|rules| covers(&rules))
        })
    }
}

fn hook(chain: &Value, of: &Option<IfName>) -> Option<Hook> {
    let word = |key: &str| chain[key].as_str();
    match (word("type")?, word("hook")?, chain["prio"].as_i64()?) {
        ("filter", "prerouting", -300) => Some(Hook::Prerouting),
        ("filter", "prerouting", -90) => Some(Hook::Translated),
        ("route", "output", -150) => Some(Hook::Output),
        ("nat", "postrouting", 99) => Some(Hook::BeforePostrouting),
        ("nat", "postrouting", 100) => Some(Hook::Postrouting),
        // nft 1.0.6 does not say of which device.
        ("filter", "egress", 0) => Some(Hook::Egress(match chain.get("dev") {
            Some(dev) => device(dev)?,
            None => of.clone()?,
        })),
        _ => None,
    }
    .filter(|_| word("policy") == Some("accept"))
}

fn rule(shown: &Value) -> Option<Rule> {
    let mut pieces = Vec::new();
    let mut verdict = None;
    for expression in shown["expr"].as_array()? {
        let (key, value) = expression.as_object()?.iter().next()?;
        match key.as_str() {
            "match" => pieces.push(piece(value)?),
            "drop" => verdict = Some(Verdict::Drop),
            "accept" => verdict = Some(Verdict::Accept),
            "masquerade" if value.is_null() => verdict = Some(Verdict::Masquerade),
            "snat" => verdict = Some(Verdict::Snat(value["addr"].as_str()?.parse().ok()?)),
            "mangle" => verdict = Some(Verdict::Mark(mark(value)?)),
            _ => return None,
        }
    }
    Some(Rule {
        matches: together(&pieces)?,
        verdict: verdict?,
    })
}

/// What one `match` of a rule is.
enum Piece {
    /// All of a property.
    Whole(Match),
    /// 32 bits of a target's address, and where they are.
    Word(u32, u32),
}

/// Puts the words of a target together: four, one behind the other.
fn together(pieces: &[Piece]) -> Option<Vec<Match>> {
    let mut matches = Vec::new();
    let mut rest = pieces;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        matches.push(match first {
            Piece::Whole(whole) => whole.clone(),
            Piece::Word(..) => {
                let (all, behind) = pieces_of_a_target(first, behind)?;
                rest = behind;
                all
            }
        });
    }
    Some(matches)
}

fn pieces_of_a_target<'a>(first: &Piece, behind: &'a [Piece]) -> Option<(Match, &'a [Piece])> {
    let (others, behind) = behind.split_at_checked(3)?;
    let found: Vec<(u32, u32)> = std::iter::once(first)
        .chain(others)
        .filter_map(|piece| match piece {
            Piece::Word(at, word) => Some((*at, *word)),
            Piece::Whole(_) => None,
        })
        .collect();
    let bits = found
        .iter()
        .fold(0_u128, |bits, (_, word)| bits << 32 | u128::from(*word));
    let target = Ipv6Addr::from_bits(bits);
    let is_in_order = words(target).eq(found);
    is_in_order.then_some((Match::Target(target), behind))
}

fn piece(shown: &Value) -> Option<Piece> {
    let (left, right) = (&shown["left"], &shown["right"]);
    let is = match shown["op"].as_str()? {
        "==" | "in" => Is::In,
        "!=" => Is::NotIn,
        _ => return None,
    };
    if let Some(key) = left["meta"]["key"].as_str() {
        return of_meta(key, is, right).map(Piece::Whole);
    }
    if let Some(key) = left["ct"]["key"].as_str() {
        let asked = left["ct"]["dir"] == "original";
        return of_a_connection(key, asked, is, right).map(Piece::Whole);
    }
    let payload = &left["payload"];
    match (payload["protocol"].as_str(), payload["field"].as_str()) {
        // nft 1.0.8 and later know where the address is.
        (Some("icmpv6"), Some("taddr")) if is == Is::In => {
            let first = network(right).filter(|first| first.prefix() == 32)?;
            let IpNetwork::V6(first) = first else {
                return None;
            };
            words(first.ip())
                .next()
                .map(|(at, word)| Piece::Word(at, word))
        }
        (Some(protocol), Some(field)) => of_a_field(protocol, field, is, right).map(Piece::Whole),
        _ => of_bits(payload, is, right),
    }
}

fn of_meta(key: &str, is: Is, right: &Value) -> Option<Match> {
    let place = match key {
        "iifname" => Place::From,
        "oifname" => Place::To,
        "protocol" if is == Is::In => {
            let mut all = L3::ALL.into_iter();
            return all.find(|l3| right == l3.name()).map(Match::TakenFor);
        }
        _ => return None,
    };
    // A star that is not escaped.
    if right == GATEWAYS {
        return Some(Match::Gateway(place, is));
    }
    Some(Match::Device(place, is, several(right, device)?))
}

/// What conntrack knows; `asked`: of the first packet as it came.
fn of_a_connection(key: &str, asked: bool, is: Is, right: &Value) -> Option<Match> {
    match (key, asked, is) {
        ("status", false, Is::In) => (right == "dnat").then_some(Match::Translated),
        ("direction", false, Is::In) => (right == "reply").then_some(Match::Answer),
        ("ip saddr" | "ip6 saddr", true, _) => Some(Match::Asked(Place::From, is, network(right)?)),
        ("ip daddr" | "ip6 daddr", true, _) => Some(Match::Asked(Place::To, is, network(right)?)),
        _ => None,
    }
}

/// The bit that is set in the packet's mark, the others left as they are.
fn mark(mangle: &Value) -> Option<Option<Fwmark>> {
    let of_the_packet = |shown: &Value| shown["meta"]["key"] == "mark";
    let [old, bit] = mangle["value"]["|"].as_array()?.as_slice() else {
        return None;
    };
    let bit = match bit {
        Value::String(_) => None,
        number => {
            let number = u32::try_from(number.as_u64()?).ok();
            let number = number.filter(|number| number.is_power_of_two())?;
            Some(Fwmark::bit(number.trailing_zeros() as u8))
        }
    };
    (of_the_packet(&mangle["key"]) && of_the_packet(old)).then_some(bit)
}

/// A field of a header, by its names in nft.
fn of_a_field(protocol: &str, field: &str, is: Is, right: &Value) -> Option<Match> {
    let mac = || right.as_str()?.parse().ok();
    let place = match field.split(' ').next()? {
        "saddr" => Place::From,
        _ => Place::To,
    };
    match (protocol, field, is) {
        ("udp", "dport", Is::In) => Some(Match::UdpTo(several(right, port)?)),
        ("udp", "sport", Is::In) => Some(Match::UdpFrom(several(right, port)?)),
        ("ip" | "ip6", "saddr" | "daddr", _) => Some(Match::Address(place, is, networks(right)?)),
        ("ether", "saddr", _) => Some(Match::FromMac(is, mac()?)),
        ("arp", "saddr ether", _) => Some(Match::ArpFromMac(is, mac()?)),
        ("arp", "saddr ip" | "daddr ip", Is::In) => {
            let address = |shown: &Value| shown.as_str()?.parse().ok();
            Some(Match::Arp(place, several(right, address)?))
        }
        ("arp", "operation", Is::In) => (right == "request").then_some(Match::ArpRequest),
        ("icmpv6", "type", Is::In) => Some(Match::Icmp6(several(right, icmp6)?)),
        _ => None,
    }
}

/// Bits by their place.
fn of_bits(payload: &Value, is: Is, right: &Value) -> Option<Piece> {
    let number = |key: &str| u32::try_from(payload[key].as_u64()?).ok();
    let value = right.as_u64()?;
    match (payload["base"].as_str()?, number("offset")?, number("len")?) {
        ("ll", 96, 16) => {
            let mut all = L3::ALL.into_iter();
            let l3 = all.find(|l3| u64::from(l3.ethertype()) == value)?;
            Some(Piece::Whole(Match::Carries(is, l3)))
        }
        ("th", 96, 24) if is == Is::In => Some(Piece::Whole(Match::Vni(Vni::new(value).ok()?))),
        ("th", at, 32) if is == Is::In => Some(Piece::Word(at, u32::try_from(value).ok()?)),
        _ => None,
    }
}

/// The types of ICMPv6 in rules of ours, as nft calls them (IANA, "ICMPv6 Parameters").
const ICMP6: [(&str, u8); 8] = [
    ("mld-listener-report", 131),
    ("mld-listener-done", 132),
    ("nd-router-solicit", 133),
    ("nd-router-advert", 134),
    ("nd-neighbor-solicit", 135),
    ("nd-neighbor-advert", 136),
    ("nd-redirect", 137),
    ("mld2-listener-report", 143),
];

fn icmp6(shown: &Value) -> Option<u8> {
    let name = shown.as_str()?;
    ICMP6
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, number)| *number)
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

/// Networks, of which those that touch may have been joined.
fn networks(shown: &Value) -> Option<Vec<IpNetwork>> {
    let joined = several(shown, |shown| match shown.get("range") {
        None => Some(vec![network(shown)?]),
        Some(range) => {
            let end = |at: usize| range.get(at)?.as_str()?.parse().ok();
            Some(of_range(end(0)?, end(1)?))
        }
    });
    Some(fewest(joined?.into_iter().flatten()))
}

fn port(shown: &Value) -> Option<u16> {
    u16::try_from(shown.as_u64()?).ok()
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
