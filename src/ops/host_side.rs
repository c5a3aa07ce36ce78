//! A network as it is on this node, the same for each of its attachments: by the latest ADD's definition, and by what pods of
//! former ones need.

use super::{guard, guarded_as_now, kept};
use crate::cni::CniError;
use crate::config::Network;
use crate::ip::sysctl::{self, SysctlKey};
use crate::ip::{Command, Family, Netns};
use crate::plan::{self, Fact, Observed, Probe, Read, Side, anycast, host};
use crate::session::Session;
use crate::store::{Found, Store};

/// A network as it is on this node.
#[derive(Debug, Clone)]
pub struct HostSide {
    /// By the latest ADD's definition.
    pub network: Network,
    /// By those of former ones, of which pods may be left.
    pub former: Vec<Network>,
}

impl HostSide {
    /// Of what one attachment's record keeps, where nothing tells of later ones.
    pub fn of(store: &Store, kept: &Network) -> Self {
        let mut former = store.definitions(&kept.name);
        let latest = former.pop().unwrap_or_else(|| kept.clone());
        Self {
            network: guarded_as_now(store, latest),
            former,
        }
    }

    /// The same with the peers of a network, where its definition knows them from the same source.
    pub fn with_peers_of(self, known: &Network) -> Self {
        let same = self.network.raw["peers"] == known.raw["peers"];
        match known.peers.clone().filter(|_| same) {
            Some(peers) if known.peers_from.is_some() => Self {
                network: self
                    .network
                    .clone()
                    .with_peers(peers)
                    .unwrap_or(self.network),
                ..self
            },
            _ => self,
        }
    }

    /// As the next ADD would have it, where there is none yet.
    pub fn alone(network: Network) -> Self {
        Self {
            network,
            former: Vec::new(),
        }
    }

    /// The questions about the host side.
    pub fn reads(&self, probe: Probe) -> Vec<Read> {
        let mut reads = host::reads(&self.network, probe);
        reads.extend(plan::reads(&self.needed_by_former(&[]), probe));
        reads
    }

    /// The facts of the host side.
    ///
    /// # Errors
    /// When the underlay is not there or too small.
    pub fn facts(&self, seen: &Observed) -> Result<Vec<Fact>, CniError> {
        let mut facts = host::facts(&self.network, seen)?;
        let more = self.needed_by_former(&facts);
        facts.extend(more);
        Ok(facts)
    }

    fn needed_by_former(&self, known: &[Fact]) -> Vec<Fact> {
        let mut facts: Vec<Fact> = Vec::new();
        for fact in self.former.iter().flat_map(host::for_its_pods) {
            // Two definitions may look at one rule in two ways.
            let make = fact.make(&Netns::Own);
            let is_made =
                |other: &Fact| other.make(&Netns::Own) == make || is_the_same_of_ipv6(other, &fact);
            if !known.iter().chain(&facts).any(is_made) {
                facts.push(fact);
            }
        }
        facts
    }
}

/// Whether two facts are one address of IPv6 with two lengths: the kernel has one alone, which serves both.
fn is_the_same_of_ipv6(one: &Fact, other: &Fact) -> bool {
    let of = |fact: &Fact| match fact {
        Fact::Address { dev, address, .. } if address.is_ipv6() => {
            Some((dev.clone(), address.ip()))
        }
        _ => None,
    };
    of(one).is_some() && of(one) == of(other)
}

/// Whether the latest definition stays without an attachment that is by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Latest {
    /// The next ADD will be by it.
    Stays,
    /// It is that of an ADD that failed.
    Too,
}

/// The definitions of a network by whether anything needs them still.
struct Parted {
    stays: Vec<Network>,
    gone: Vec<Network>,
    /// By which the other attachments joined; none where a record cannot be read.
    others: Vec<Option<Network>>,
}

/// Parts the definitions of a network that an attachment leaves; nothing where none is of no use.
fn part(
    store: &Store,
    network: &str,
    (container, ifname): (&str, &str),
    latest: Latest,
) -> Result<Option<Parted>, CniError> {
    let all = store.definitions(network);
    if all.len() < 2 {
        return Ok(None);
    }
    let records = store.attachments(network)?.into_iter();
    // By which definitions the others joined; unknown where a record cannot be read.
    let others: Vec<Option<Network>> = records
        .filter_map(|(_, found)| match found {
            Found::Whole(record) => {
                let leaves = record.container == container && record.ifname.as_str() == ifname;
                let stays = !leaves && !record.is_of_an_earlier_boot();
                stays.then(|| kept(store, &record).ok())
            }
            Found::Damaged { .. } => Some(None),
        })
        .collect();
    let may_be_by = |one: &Network| {
        let is =
            |other: &Option<Network>| other.as_ref().is_none_or(|other| other.is_defined_as(one));
        others.iter().any(is)
    };
    let is_needed = |one: &&Network| {
        let stays = latest == Latest::Stays && all.last() == Some(*one);
        stays || may_be_by(one)
    };
    let (stays, gone): (Vec<&Network>, Vec<&Network>) = all.iter().partition(is_needed);
    // Where none is needed the others' records are of before definitions were noted.
    if gone.is_empty() || stays.is_empty() {
        return Ok(None);
    }
    let owned = |some: Vec<&Network>| some.into_iter().cloned().collect();
    Ok(Some(Parted {
        stays: owned(stays),
        gone: owned(gone),
        others,
    }))
}

/// Takes away what only former definitions of a network have brought, once their last pod is gone; under the network's
/// lock, held alone, before the record of the one that leaves is removed. Tells what could not be done.
///
/// # Errors
/// When the node or the records cannot be looked at.
pub fn forget_former(
    session: &Session<'_>,
    store: &Store,
    network: &str,
    leaving: (&str, &str),
    latest: Latest,
) -> Result<Vec<String>, CniError> {
    let Some(Parted {
        stays,
        gone,
        others,
    }) = part(store, network, leaving, latest)?
    else {
        return Ok(Vec::new());
    };
    // Also what attachments of before definitions were noted need.
    let needed = stays.iter().chain(others.iter().flatten());
    let wanted = needed.flat_map(host::for_its_pods);
    let wanted: Vec<_> = wanted.filter_map(|fact| fact.undo()).collect();
    let is_wanted = |fact: &Fact| fact.undo().is_some_and(|undo| wanted.contains(&undo));
    let brought = gone.iter().flat_map(host::for_its_pods);
    let mut brought: Vec<Fact> = brought.filter(|fact| !is_wanted(fact)).collect();
    // A gateway that no node shares any more answers for its own address alone.
    let shared = gone.iter().find(|one| anycast::is(one));
    let shared = shared.filter(|_| !stays.iter().any(anycast::is));
    if let Some(shared) = shared {
        let seen = session.observe_host(shared, host::reads(shared, Probe::List))?;
        brought.extend(anycast::beside_its_address(shared, &seen));
    }
    let seen = session.observe(plan::reads(&brought, Probe::List))?;
    let there = brought
        .iter()
        .filter(|fact| fact.verdict(&seen) == plan::Verdict::Holds);
    let mut commands: Vec<(Side, Command)> = there.filter_map(Fact::undo).collect();
    if !commands.is_empty() {
        // Else the kernel takes the other addresses of a subnet along with its first one.
        let key = SysctlKey::Device(Family::V4, stays[0].mv.clone(), "promote_secondaries");
        commands.insert(0, (Side::Host, sysctl::write(&[(key, "1".to_owned())])));
    }
    if shared.is_some() {
        // Which a shared gateway's has replaced.
        let own = stays.iter().flat_map(anycast::routes_of_a_static);
        commands.extend(own.map(|route| route.make(&Netns::Own)));
    }
    let mut left = session.remove(commands);
    if let Some(shared) = shared {
        left.extend(guard::remove_what_is_shared(session, store, shared));
    }
    if left.is_empty() {
        store.keep_definitions(network, &stays)?;
    }
    Ok(left)
}
