//! Whether a frame arrives: echoes through the vxlan to other nodes and back, from the node to its containers, and from
//! each container to its gateway. What answers is the verdict; the other findings tell why.

mod changed;
mod flood;
mod pods;
mod ways;

use std::net::IpAddr;

use self::ways::{Outcome, Way};
use super::arping::Arping;
use super::asked::Wire;
use super::echo::Echo;
use super::fixed;
use super::peers::{Certainty, Known, Peer, peers};
use super::probe::both;
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
    let mut groups = ways::groups(&ways);
    groups.extend(pods.iter().map(|pod| pod.group()));
    let first = Echo::first(system, &groups);
    let (of_ways, of_pods) = first.split_at(ways.len().min(first.len()));
    let to_nodes = ways::of_arp(&ways, of_ways);
    let were_silent = ways::silent(&ways, of_ways);
    let to_pods = pods::of_arp(&pods, of_pods);
    let lines = [to_nodes.concat(), to_pods.concat()].concat();
    let (mut nodes_are_there, heard) = both(
        || arping.answers(&lines),
        || Echo::again(system, &groups, first),
    );
    let pods_are_there = nodes_are_there.split_off(to_nodes.iter().map(Vec::len).sum());
    let (of_ways, of_pods) = heard.split_at(ways.len().min(heard.len()));
    let outcomes = ways::outcomes(system, &ways, of_ways, &to_nodes, nodes_are_there);
    let outcomes = changed::looked_at(system, &ways, outcomes, &were_silent);
    let states = pods::states(system, &pods, of_pods, &to_pods, pods_are_there);
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
            if !outcome.is_silence() {
                // The same of the other family is told once.
                if !findings.contains(&finding) {
                    findings.push(finding);
                }
            // What is behind a node in this family may have gone, where frames reach it in the other.
            } else if !answers(way.peer) && !silent.contains(&way.peer) {
                silent.push(way.peer);
                findings.push(finding);
                let is_expected = *outcome == Outcome::Silent;
                findings.extend(is_expected.then(|| self.way(way.peer)).flatten());
            }
        }
        let nameless = self.peers.iter().filter(|peer| peer.behind.is_empty());
        findings.extend(
            nameless
                .filter(|peer| peer.certainty > Certainty::Old)
                .map(|peer| {
                    let what = format!(
                        "no address of network \"{}\" is known behind {}",
                        network.name,
                        peer.shown()
                    );
                    Finding::unknown(Id::PeerReach, what)
                        .inspect(format!("bridge fdb show dev {}", network.vx))
                        .fix(how_to_name(network))
                }),
        );
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
