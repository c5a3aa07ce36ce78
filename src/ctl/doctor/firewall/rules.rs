//! What a packet filter does with a packet, as far as its rules can be read: a drop is a finding only where it is certain.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnetwork::IpNetwork;

use crate::ip::Family;

/// How deep chains lead to each other at most (the kernel's own bound is 16).
const DEEPEST: usize = 16;

/// Whether a packet is what a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fits {
    /// It is not.
    No,
    /// It may be.
    Maybe,
    /// It is.
    Yes,
}

/// A property of packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Property {
    /// The device by which it comes in; a `*` at the end is any rest.
    In(Vec<String>),
    /// The device by which it goes out.
    Out(Vec<String>),
    /// The family: `ip` or `ip6`.
    Family(Vec<String>),
    /// The protocol, as nftables calls it.
    Protocol(Vec<String>),
    /// The port to which it goes.
    PortTo(Vec<RangeInclusive<u16>>),
    /// Its source.
    From(Vec<IpNetwork>),
    /// Its destination.
    To(Vec<IpNetwork>),
    /// What conntrack takes it for.
    State(Vec<String>),
    /// The type of a message of ICMP.
    Message(Vec<String>),
    /// A mark or a translation, which the packets that are looked at do not have.
    Marked,
    /// Something that cannot be told.
    Unknown,
}

/// A property that a packet must have, or must not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The property.
    pub property: Property,
    /// Whether it must not have it.
    pub is_not: bool,
}

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// This chain lets it pass.
    Accept,
    /// It is gone.
    Drop,
    /// Another chain tells, and then the next rule.
    Jump(String),
    /// Another chain tells.
    Goto(String),
    /// Back to the chain that led here.
    Return,
    /// One of several, by a property.
    ByProperty(Vec<(Match, Verdict)>),
    /// The next rule tells.
    Next,
    /// It cannot be told.
    Unknown,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// As it is shown.
    pub shown: String,
    /// What packets it is about.
    pub matches: Vec<Match>,
    /// What becomes of these.
    pub verdict: Verdict,
}

/// A chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chain {
    /// Where packets come into it by themselves: `input`, `forward`, ...
    pub hook: Option<String>,
    /// The devices of one that is a device's; none where they are not told.
    pub devices: Vec<String>,
    /// Whether what no rule is about is dropped.
    pub drops: bool,
    /// Its rules.
    pub rules: Vec<Rule>,
}

/// A table, and the program that shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// `nft`, `iptables` or `ip6tables`, with another word of its name behind it.
    pub program: String,
    /// Its family (`inet`, `ip`, `ip6`, `netdev`) and name.
    pub family: String,
    /// Its name.
    pub name: String,
    /// Its chains.
    pub chains: BTreeMap<String, Chain>,
}

/// A packet, as far as it is known.
#[derive(Debug, Clone, Default)]
pub struct Packet<'a> {
    /// The family.
    pub is_v6: bool,
    /// The device by which it comes in.
    pub by: Option<&'a str>,
    /// The device by which it goes out.
    pub out: Option<&'a str>,
    /// Its protocol.
    pub protocol: Option<&'a str>,
    /// The port to which it goes.
    pub port: Option<u16>,
    /// Its source.
    pub from: Option<IpAddr>,
    /// Its destination.
    pub to: Option<IpAddr>,
    /// `new` or `established`.
    pub state: &'a str,
    /// The type of a message of ICMP.
    pub message: Option<&'a str>,
}

/// Where a packet is dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped<'a> {
    /// The table.
    pub table: &'a Table,
    /// The chain into which it comes by itself.
    pub base: &'a str,
    /// The rule, or the chain's policy.
    pub by: String,
}

/// What a chain does.
enum Outcome {
    Accept,
    Drop(String),
    /// It may have been let pass.
    Unsure,
    Through,
}

impl Packet<'_> {
    fn has(&self, property: &Property) -> Fits {
        let known = |known: Option<bool>| match known {
            None => Fits::Maybe,
            Some(true) => Fits::Yes,
            Some(false) => Fits::No,
        };
        let is = |all: &[String], one: Option<&str>| {
            known(one.map(|one| all.iter().any(|pattern| is_like(pattern, one))))
        };
        let within = |all: &[IpNetwork], one: Option<IpAddr>| {
            let alike = |net: &IpNetwork| Family::of(net.ip()) == self.family();
            // A rule about the other family's addresses is about no packet of this one.
            match all.iter().any(alike) {
                false => Fits::No,
                true => known(one.map(|one| all.iter().any(|net| net.contains(one)))),
            }
        };
        match property {
            // A packet that is on its way out comes in by no device, and the other way round.
            Property::In(all) => known(Some(self.by.is_some_and(|by| like_one(all, by)))),
            Property::Out(all) => known(Some(self.out.is_some_and(|out| like_one(all, out)))),
            Property::Family(all) => {
                let own = if self.is_v6 { "ip6" } else { "ip" };
                known(Some(all.iter().any(|one| one == own)))
            }
            Property::Protocol(all) => is(all, self.protocol),
            Property::PortTo(all) => match self.protocol {
                Some("icmp" | "ipv6-icmp") => Fits::No,
                _ => known(
                    self.port
                        .map(|port| all.iter().any(|one| one.contains(&port))),
                ),
            },
            Property::From(all) => within(all, self.from),
            Property::To(all) => within(all, self.to),
            Property::State(all) => known(Some(all.iter().any(|one| one == self.state))),
            Property::Message(all) => match (self.protocol, self.message) {
                (Some("udp"), _) => Fits::No,
                (_, message) => is(all, message),
            },
            Property::Marked => Fits::No,
            Property::Unknown => Fits::Maybe,
        }
    }

    fn family(&self) -> Family {
        match self.is_v6 {
            true => Family::V6,
            false => Family::V4,
        }
    }

    fn fits(&self, wanted: &Match) -> Fits {
        match (self.has(&wanted.property), wanted.is_not) {
            (Fits::Maybe, _) => Fits::Maybe,
            (Fits::Yes, false) | (Fits::No, true) => Fits::Yes,
            (Fits::Yes, true) | (Fits::No, false) => Fits::No,
        }
    }
}

fn like_one(all: &[String], one: &str) -> bool {
    all.iter().any(|pattern| is_like(pattern, one))
}

fn is_like(pattern: &str, one: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => one.starts_with(start),
        None => pattern == one,
    }
}

impl Table {
    /// Where it drops a packet that comes by a hook.
    pub fn drops<'a>(&'a self, hook: &str, packet: &Packet<'_>) -> Option<Dropped<'a>> {
        let other = if packet.is_v6 { "ip" } else { "ip6" };
        if self.family == other {
            return None;
        }
        let bases = self.chains.iter();
        let mut bases = bases.filter(|(_, chain)| chain.hook.as_deref() == Some(hook));
        bases.find_map(|(base, chain)| {
            let dev = packet.by.or(packet.out).unwrap_or_default();
            let is_its = chain.devices.iter().any(|one| one == dev);
            // Of a chain of devices that are not told nothing is certain.
            if self.family == "netdev" && !is_its {
                return None;
            }
            let by = match self.walk(base, packet, 0) {
                Outcome::Drop(rule) => rule,
                Outcome::Through if chain.drops => "its policy".to_owned(),
                _ => return None,
            };
            Some(Dropped {
                table: self,
                base,
                by,
            })
        })
    }

    fn walk(&self, name: &str, packet: &Packet<'_>, depth: usize) -> Outcome {
        let Some(chain) = self.chains.get(name).filter(|_| depth < DEEPEST) else {
            return Outcome::Unsure;
        };
        let mut is_unsure = false;
        for rule in &chain.rules {
            let fits = rule.matches.iter().map(|one| packet.fits(one)).min();
            let fits = fits.unwrap_or(Fits::Yes);
            if fits == Fits::No {
                continue;
            }
            let step = self.step(&rule.verdict, &rule.shown, packet, depth);
            match (fits, step) {
                (Fits::Yes, Step::End(outcome)) => {
                    return match (is_unsure, outcome) {
                        (true, Outcome::Drop(_)) => Outcome::Unsure,
                        (true, Outcome::Through) => Outcome::Unsure,
                        (_, outcome) => outcome,
                    };
                }
                (_, Step::Unsure)
                | (Fits::Maybe, Step::End(Outcome::Accept | Outcome::Through)) => {
                    is_unsure = true;
                }
                (_, Step::End(_) | Step::Next) => {}
            }
        }
        match is_unsure {
            true => Outcome::Unsure,
            false => Outcome::Through,
        }
    }

    fn step(&self, verdict: &Verdict, shown: &str, packet: &Packet<'_>, depth: usize) -> Step {
        match verdict {
            Verdict::Accept => Step::End(Outcome::Accept),
            Verdict::Drop => Step::End(Outcome::Drop(shown.to_owned())),
            Verdict::Return => Step::End(Outcome::Through),
            Verdict::Next => Step::Next,
            Verdict::Unknown => Step::Unsure,
            Verdict::Jump(to) => match self.walk(to, packet, depth + 1) {
                Outcome::Through => Step::Next,
                Outcome::Unsure => Step::Unsure,
                outcome => Step::End(outcome),
            },
            Verdict::Goto(to) => match self.walk(to, packet, depth + 1) {
                Outcome::Unsure => Step::Unsure,
                outcome => Step::End(outcome),
            },
            Verdict::ByProperty(all) => {
                let fits = |(wanted, verdict)| match packet.fits(wanted) {
                    Fits::No => None,
                    Fits::Maybe => Some(Step::Unsure),
                    Fits::Yes => Some(self.step(verdict, shown, packet, depth)),
                };
                let mut steps = all.iter().map(|(wanted, verdict)| (wanted, verdict));
                steps.find_map(fits).unwrap_or(Step::Next)
            }
        }
    }
}

/// What a rule does with a packet that it is about.
enum Step {
    End(Outcome),
    Unsure,
    Next,
}
