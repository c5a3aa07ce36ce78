//! Whether a frame arrives: echoes through the vxlan to other nodes and back, from the node to its containers, and from
//! each container to its gateway. What answers is the verdict; the other findings tell why.

mod flood;
mod pods;

use std::net::IpAddr;

use super::arping::Arping;
use super::asked::Wire;
use super::echo::{Echo, Heard, by};
use super::fixed;
use super::peers::{Known, Peer, peers};
use super::report::{Finding, Id};
use super::switches;
use crate::config::Network;
use crate::ctl::look::is_listed;
use crate::exec::System;
use crate::ip::Family;
use crate::plan::Side;

/// What came of a network's echoes.
#[derive(Debug, Default)]
pub struct Reached {
    /// To other nodes.
    pub peers: Vec<Finding>,
    /// To containers of this node, and theirs to the gateway.
    pub pods: Vec<Finding>,
}

/// A network that is asked about.
struct Asked<'a> {
    wire: &'a Wire<'a>,
    known: Known,
    peers: Vec<Peer>,
    pods: Vec<pods::Question>,
}

/// A family of a peer, and the addresses by which it is asked.
struct Way<'a> {
    network: &'a Network,
    peer: &'a Peer,
    family: Family,
    mtu: u32,
}

/// What came of a way.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// An address answers; whether to a full packet too.
    Answers(IpAddr, Heard),
    /// An address is there, and answers no echo.
    There(IpAddr),
    /// None answers.
    Silent,
    /// None was asked.
    Unasked(String),
}

/// Asks of all networks at once; `named`: addresses of other nodes. One answer for each; nothing is asked of one that
/// has no attachment.
pub fn ask(
    system: &System,
    arping: &Arping<'_>,
    named: &[IpAddr],
    wires: &[Option<Wire<'_>>],
) -> Vec<Reached> {
    let asked: Vec<Option<Asked<'_>>> = wires
        .iter()
        .map(|wire| Some(Asked::of(system, named, wire.as_ref()?)))
        .collect();
    let all = || asked.iter().flatten();
    let ways: Vec<Way<'_>> = all().flat_map(Asked::ways).collect();
    let pods: Vec<&pods::Question> = all().flat_map(|one| &one.pods).collect();
    // All small ones side by side, then what only their answers tell to ask.
    let small = ways.iter().map(Way::small);
    let small: Vec<Vec<Echo>> = small
        .chain(pods.iter().map(|pod| vec![pod.echo()]))
        .collect();
    let heard = Echo::send_until_answered(system, &small);
    let (of_ways, of_pods) = heard.split_at(ways.len().min(heard.len()));
    let outcomes = outcomes(system, arping, &ways, of_ways);
    let states = pods::states(system, arping, &pods, &of_pods.concat());
    let mut deaf = deaf(system, arping, &ways, &outcomes).into_iter();
    let (mut outcomes, mut states) = (outcomes.into_iter(), states.into_iter());
    let reached = asked.iter().map(|one| {
        let Some(one) = one else {
            return Reached::default();
        };
        let ways = one.ways();
        let count = ways.len();
        let ways = ways.into_iter().zip(outcomes.by_ref().take(count));
        let mut peers = one.told(ways.collect());
        peers.extend(deaf.by_ref().take(count).flatten());
        peers.extend(one.fixed(system));
        let states = states.by_ref().take(one.pods.len()).collect::<Vec<_>>();
        Reached {
            peers,
            pods: pods::told(one.wire.network, &one.pods, &states),
        }
    });
    reached.collect()
}

/// The finding of each way by which frames arrive that are sent to an address alone, and none that is sent to all.
fn deaf(
    system: &System,
    arping: &Arping<'_>,
    ways: &[Way<'_>],
    outcomes: &[Outcome],
) -> Vec<Option<Finding>> {
    let answers = ways
        .iter()
        .zip(outcomes)
        .map(|(way, outcome)| match outcome {
            // One family tells: the other's frames go the same way.
            Outcome::Answers(to, _) if way.network.families().next() == Some(way.family) => {
                Some((way.network, *to))
            }
            _ => None,
        });
    let answers: Vec<_> = answers.collect();
    let asked: Vec<_> = answers.iter().flatten().copied().collect();
    let mut deaf = flood::deaf(system, arping, &asked).into_iter();
    let told = ways.iter().zip(answers).map(|(way, asked)| {
        let (network, to) = asked?;
        deaf.next()?
            .then(|| flood::told(network, &way.peer.shown(), to))
    });
    told.collect()
}

/// The second round: a full packet where a small one came back, and the link layer where none did.
fn outcomes(
    system: &System,
    arping: &Arping<'_>,
    ways: &[Way<'_>],
    heard: &[Vec<Heard>],
) -> Vec<Outcome> {
    let first: Vec<Option<IpAddr>> = ways
        .iter()
        .zip(heard)
        .map(|(way, heard)| way.answering(heard))
        .collect();
    let silent = ways.iter().zip(&first).map(|(way, first)| match first {
        Some(_) => Vec::new(),
        None => way.of_arp().collect(),
    });
    let silent: Vec<Vec<(IpAddr, String)>> = silent.collect();
    let lines: Vec<String> = silent
        .iter()
        .flatten()
        .map(|(_, line)| line.clone())
        .collect();
    let mut there = arping.answers(&lines).into_iter();
    let whole = ways.iter().zip(&first);
    let whole: Vec<Vec<Echo>> = whole
        .map(|(way, first)| first.map(|to| way.whole(to)).into_iter().collect())
        .collect();
    let whole = Echo::send_until_answered(system, &whole);
    let each = first
        .into_iter()
        .zip(heard)
        .zip(whole.into_iter().zip(silent));
    each.map(|((first, heard), (whole, silent))| {
        if let Some(to) = first {
            let whole = whole.into_iter().next();
            return Outcome::Answers(to, whole.unwrap_or(Heard::Silence));
        }
        let its: Vec<Option<bool>> = there.by_ref().take(silent.len()).collect();
        let mut its = silent
            .into_iter()
            .zip(its)
            .filter(|(_, is_there)| *is_there == Some(true));
        match (its.next(), unasked(heard)) {
            (Some(((to, _), _)), _) => Outcome::There(to),
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
}

impl<'a> Asked<'a> {
    fn of(system: &System, named: &[IpAddr], wire: &'a Wire<'a>) -> Self {
        let network = wire.network;
        let own: Vec<IpAddr> = wire.attached.iter().flat_map(pods::addresses).collect();
        let known = Known::of(system, network);
        let peers = wire
            .seen
            .map(|seen| peers(network, seen, &known, &own, named));
        Self {
            known,
            peers: peers.unwrap_or_default(),
            pods: pods::questions(wire),
            wire,
        }
    }

    /// What was set by hand on the node and leads nowhere.
    fn fixed(&self, system: &System) -> Vec<Finding> {
        let of = |seen| fixed::of_the_node(system, self.wire.network, seen, &self.known);
        self.wire.seen.map(of).unwrap_or_default()
    }

    /// Each peer by each family of the network, and by a link-local address whatever the network has: it may be all that
    /// is left where containers have gone.
    fn ways(&self) -> Vec<Way<'_>> {
        let network = self.wire.network;
        let mv = self
            .wire
            .seen
            .and_then(|seen| seen.link(Side::Host, &network.mv));
        let mtu = mv.map_or(0, |mv| mv.mtu);
        let way = |peer, family| Way {
            network,
            peer,
            family,
            mtu,
        };
        let of = |peer: &'_ Peer| {
            let has = |family: &Family| peer.behind.iter().any(|to| Family::of(*to) == *family);
            [Family::V4, Family::V6]
                .into_iter()
                .filter(has)
                .collect::<Vec<_>>()
        };
        let peers = self.peers.iter();
        peers
            .flat_map(|peer| of(peer).into_iter().map(move |family| way(peer, family)))
            .collect()
    }

    fn told(&self, outcomes: Vec<(Way<'_>, Outcome)>) -> Vec<Finding> {
        let network = self.wire.network;
        let mut findings = Vec::new();
        let mut well: Vec<&Peer> = Vec::new();
        let answers = |of: &Peer| {
            let mut its = outcomes.iter().filter(|(way, _)| way.peer == of);
            its.any(|(_, outcome)| matches!(outcome, Outcome::Answers(..) | Outcome::There(_)))
        };
        let mut silent: Vec<&Peer> = Vec::new();
        for (way, outcome) in &outcomes {
            let Some(finding) = way.told(outcome) else {
                if !well.contains(&way.peer) {
                    well.push(way.peer);
                }
                continue;
            };
            if *outcome != Outcome::Silent {
                findings.push(finding);
            // What is behind a node in this family may have gone, where frames reach it in the other.
            } else if !answers(way.peer) && !silent.contains(&way.peer) {
                silent.push(way.peer);
                findings.push(finding);
                findings.extend(self.way(way.peer));
            }
        }
        let nameless = self.peers.iter().filter(|peer| peer.behind.is_empty());
        findings.extend(nameless.filter(|peer| peer.is_certain).map(|peer| {
            let what = format!(
                "no address of network \"{}\" is known behind {}",
                network.name,
                peer.shown()
            );
            Finding::unknown(Id::PeerReach, what)
                .inspect(format!("bridge fdb show dev {}", network.vx))
                .fix(how_to_name(network))
        }));
        match (well.len(), findings.is_empty()) {
            (0, true) => vec![self.none_is_known()],
            (0, false) => findings,
            (1, _) => {
                let what = format!("{} answers through {}", well[0].shown(), network.vx);
                findings.insert(0, Finding::ok(Id::PeerReach, what));
                findings
            }
            (count, _) => {
                let what = format!("{count} other nodes answer through {}", network.vx);
                findings.insert(0, Finding::ok(Id::PeerReach, what));
                findings
            }
        }
    }

    /// Whether what is sent to a silent node leaves elsewhere.
    fn way(&self, peer: &Peer) -> Option<Finding> {
        switches::way(self.wire.network, self.wire.seen?, peer.vtep?)
    }

    fn none_is_known(&self) -> Finding {
        let network = self.wire.network;
        let what = match self.wire.seen {
            Some(seen) if !is_listed(network, seen) => format!(
                "no other node was asked through {0}: {0} may learn without limit, so it was not listed",
                network.vx
            ),
            _ => format!(
                "no other node was asked through {}: none is known yet",
                network.vx
            ),
        };
        Finding::unknown(Id::PeerReach, what)
            .inspect(format!("bridge fdb show dev {}", network.vx))
            .fix(how_to_name(network))
    }
}

/// How to have another node asked that is not known.
fn how_to_name(network: &Network) -> String {
    let subnet = network
        .cidrs
        .first()
        .map(|cidr| Network::subnet(*cidr).to_string());
    let subnet = subnet.unwrap_or_default();
    format!(
        "vxlan doctor --peer ADDRESS, where ADDRESS is in {subnet} and another node's or its container's"
    )
}

impl Way<'_> {
    /// What is not as it should be.
    fn told(&self, outcome: &Outcome) -> Option<Finding> {
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
        }
    }

    /// The finding for all families at once.
    fn silence(&self, inspect: String) -> Finding {
        let (vx, peer, name) = (&self.network.vx, self.peer.shown(), &self.network.name);
        let asked: Vec<String> = self.peer.behind.iter().map(IpAddr::to_string).collect();
        let what = format!(
            "nothing comes back through {vx} from {peer} (asked: {})",
            asked.join(", ")
        );
        match self.peer.is_certain {
            true => Finding::failed(Id::PeerReach, what).inspect(inspect).fix(format!(
                "what else is crossed here tells why; else compare id, group and port of \"{name}\" on that node, and run vxlan doctor there"
            )),
            false => {
                let vxlan = "it was not heard for a minute, and may have left the network";
                Finding::unknown(Id::PeerReach, format!("{what}; {vxlan}")).inspect(inspect)
            }
        }
    }
}
