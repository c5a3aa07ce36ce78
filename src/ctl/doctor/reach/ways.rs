//! The ways to other nodes: how each is asked, and what comes of it.

use std::net::IpAddr;

use crate::config::Network;
use crate::ctl::doctor::echo::{Echo, Group, Heard, by};
use crate::ctl::doctor::peers::{Certainty, Peer};
use crate::ctl::doctor::report::{Finding, Id};
use crate::exec::System;
use crate::ip::{Family, IfName, Mac};

/// A family of a peer, and the addresses by which it is asked.
pub struct Way<'a> {
    /// Its network.
    pub network: &'a Network,
    /// The peer.
    pub peer: &'a Peer,
    /// The family.
    pub family: Family,
    /// Bytes of the network's largest packet.
    pub mtu: u32,
}

/// What came of a way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// An address answers; whether to a full packet too.
    Answers(IpAddr, Heard),
    /// An address is there, and answers no echo.
    There(IpAddr),
    /// None answers.
    Silent,
    /// None answers, and the same node does on another network, by this device: it may have left.
    Left(IfName),
    /// An address that was behind the node is behind another.
    Moved {
        /// Its MAC.
        mac: Mac,
        /// Where it is.
        to: IpAddr,
    },
    /// None was asked.
    Unasked(String),
}

impl Outcome {
    /// Whether nothing came back.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::Silent | Self::Left(_))
    }
}

/// The echoes of each way. One of which all addresses are doubtful is asked only where the same node answers by no other:
/// the frames are the same, and an address that was just made does not answer yet.
pub fn groups(ways: &[Way<'_>]) -> Vec<Group> {
    let other = |way: &Way<'_>| {
        let same = |one: &Way<'_>| std::ptr::eq(one.peer, way.peer) && !one.is_doubtful();
        way.is_doubtful().then(|| ways.iter().position(same))?
    };
    let group = |way: &Way<'_>| Group {
        echoes: way.small(),
        unless: other(way),
    };
    ways.iter().map(group).collect()
}

/// The questions of ARP for each way that was silent at first.
pub fn of_arp(ways: &[Way<'_>], first: &[Vec<Heard>]) -> Vec<Vec<String>> {
    let each = ways.iter().zip(first);
    let each = each.map(|(way, heard)| match way.answering(heard) {
        Some(_) => Vec::new(),
        None => way.of_arp().map(|(_, line)| line).collect(),
    });
    each.collect()
}

/// Which ways were silent at first.
pub fn silent(ways: &[Way<'_>], first: &[Vec<Heard>]) -> Vec<bool> {
    let each = ways.iter().zip(first);
    each.map(|(way, heard)| way.answering(heard).is_none())
        .collect()
}

/// What came of each: a full packet is sent where a small one came back, and where none did the link layer's answers to
/// `lines` tell, in their order.
pub fn outcomes(
    system: &System,
    ways: &[Way<'_>],
    heard: &[Vec<Heard>],
    lines: &[Vec<String>],
    there: Vec<Option<bool>>,
) -> Vec<Outcome> {
    let small: Vec<Option<IpAddr>> = ways
        .iter()
        .zip(heard)
        .map(|(way, heard)| way.answering(heard))
        .collect();
    let whole = ways.iter().zip(&small);
    let whole = whole.map(|(way, small)| small.map(|to| way.whole(to)));
    let whole: Vec<Option<Echo>> = whole.collect();
    let asked: Vec<Echo> = whole.iter().flatten().cloned().collect();
    let mut whole = Echo::send(system, &asked).into_iter();
    let mut there = there.into_iter();
    let each = ways.iter().zip(heard).zip(small.into_iter().zip(lines));
    each.map(|((way, heard), (small, lines))| {
        let mut there = there
            .by_ref()
            .take(lines.len())
            .collect::<Vec<_>>()
            .into_iter();
        if let Some(to) = small {
            return Outcome::Answers(to, whole.next().unwrap_or(Heard::Silence));
        }
        let mut there = way
            .of_arp()
            .filter(|_| there.next() == Some(Some(true)))
            .map(|(to, _)| to);
        match (there.next(), unasked(heard)) {
            (Some(to), _) => Outcome::There(to),
            (None, Some(why)) => Outcome::Unasked(why),
            (None, None) => Outcome::Silent,
        }
    })
    .collect()
}

/// How doubtful it is that a host has an address: one that follows from a MAC may be of a device that has none, as a vxlan
/// itself, but less so where the MAC is one of a container's (0a:58).
fn doubt(to: IpAddr) -> u8 {
    match to {
        IpAddr::V6(to) if to.is_unicast_link_local() => {
            let of_a_container = to.segments()[4] == 0x0858;
            if of_a_container { 1 } else { 2 }
        }
        _ => 0,
    }
}

/// Why no echo at all was sent.
fn unasked(heard: &[Heard]) -> Option<String> {
    let why = |heard: &Heard| match heard {
        Heard::Unasked(why) => Some(why.clone()),
        _ => None,
    };
    let all: Option<Vec<String>> = heard.iter().map(why).collect();
    all?.into_iter().next()
}

impl<'a> Way<'a> {
    /// The likeliest to answer first.
    fn addresses(&self) -> impl Iterator<Item = IpAddr> + 'a {
        let (family, peer) = (self.family, self.peer);
        let all = peer.behind.iter().copied();
        let mut own: Vec<IpAddr> = all.filter(|to| Family::of(*to) == family).collect();
        own.sort_by_key(|to| doubt(*to));
        own.into_iter()
    }

    fn small(&self) -> Vec<Echo> {
        let echo = |to: IpAddr| Echo::small(&to.to_string(), &by(self.network, to));
        self.addresses().map(echo).collect()
    }

    fn whole(&self, to: IpAddr) -> Echo {
        Echo::whole(&to.to_string(), &by(self.network, to), self.mtu)
    }

    fn answering(&self, heard: &[Heard]) -> Option<IpAddr> {
        let mut answers = self.addresses().zip(heard);
        answers.find_map(|(to, heard)| (*heard == Heard::Answer).then_some(to))
    }

    /// The addresses that ARP can ask for, and the commands.
    fn of_arp(&self) -> impl Iterator<Item = (IpAddr, String)> + 'a {
        let dev = &self.network.mv;
        let v4 = self.addresses().filter(IpAddr::is_ipv4);
        v4.map(move |to| (to, format!("arping -c 1 -w 1 -I {dev} {to}")))
    }

    fn is_doubtful(&self) -> bool {
        self.addresses().all(|to| doubt(to) > 0)
    }
}

impl Way<'_> {
    /// What is not as it should be.
    pub fn told(&self, outcome: &Outcome) -> Option<Finding> {
        let (vx, peer) = (&self.network.vx, self.peer.shown());
        let small = self.small();
        let inspect = small.first().map(Echo::line).unwrap_or_default();
        match outcome {
            Outcome::Answers(_, Heard::Answer) => None,
            Outcome::Answers(_, Heard::Unasked(why)) => Some(
                Finding::unknown(Id::PeerReach, format!("no full packet was sent through {vx} to {peer}: {why}")),
            ),
            Outcome::Answers(to, Heard::Silence) => Some(
                Finding::failed(Id::PeerReach, format!(
                    "packets of {} bytes do not come back through {vx} from {to} behind {peer}, small ones do",
                    self.mtu
                ))
                .inspect(self.whole(*to).line())
                .fix(format!(
                    "set mtu of network \"{}\" on every node to what the way between the nodes carries, less {}",
                    self.network.name,
                    self.network.options.vxlan.overhead()
                )),
            ),
            Outcome::There(to) => Some(
                Finding::unknown(Id::PeerReach, format!(
                    "{to} behind {peer} is there on {vx} and answers no echo: a firewall there may drop them"
                ))
                .inspect(inspect),
            ),
            Outcome::Unasked(why) => Some(
                Finding::unknown(Id::PeerReach, format!("no echo was sent through {vx} to {peer}: {why}"))
                    .inspect(inspect),
            ),
            Outcome::Silent => Some(self.silence(inspect)),
            Outcome::Left(other) => Some(
                Finding::unknown(Id::PeerReach, format!(
                    "{}; it answers through {other}, and may have left network \"{}\"", self.nothing(), self.network.name
                ))
                .inspect(inspect),
            ),
            Outcome::Moved { mac, to } => Some(
                Finding::unknown(Id::FdbEntry, format!(
                    "{vx} had learnt that {mac} is behind {peer}, where it is no more: nothing came back from there, until this look had it learnt anew behind {to}"
                ))
                .inspect(format!("bridge -s fdb get {mac} dev {vx} self"))
                .fix("let a container that moves with its address announce it: arping -U -I INTERFACE ADDRESS in its namespace"),
            ),
        }
    }

    /// What is told of all families at once.
    fn nothing(&self) -> String {
        let asked: Vec<String> = self.peer.behind.iter().map(IpAddr::to_string).collect();
        let (vx, peer) = (&self.network.vx, self.peer.shown());
        format!(
            "nothing comes back through {vx} from {peer} (asked: {})",
            asked.join(", ")
        )
    }

    fn silence(&self, inspect: String) -> Finding {
        let (what, name) = (self.nothing(), &self.network.name);
        if self.peer.certainty == Certainty::Old {
            let vxlan = "it was not heard for a minute, and may have left the network";
            return Finding::unknown(Id::PeerReach, format!("{what}; {vxlan}")).inspect(inspect);
        }
        let group = self.network.options.vxlan.group;
        let group = group
            .filter(IpAddr::is_multicast)
            .map_or_else(String::new, |group| {
                format!(", and see whether the switches between pass group {group} on")
            });
        Finding::failed(Id::PeerReach, what).inspect(inspect).fix(format!(
            "what else is crossed here tells why; else compare id, group and port of \"{name}\" on that node, and run vxlan doctor there{group}"
        ))
    }
}
