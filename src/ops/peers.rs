//! The peers of a network that knows them by a source: asked for before any lock, by which they were last
//! made where the source does not answer.

use std::net::IpAddr;
use std::time::Duration;

use crate::cni::{CniError, Code};
use crate::config::{Config, Network, PeersFrom};
use crate::exec::System;
use crate::journal::Journal;
use crate::peers;
use crate::store::Store;

/// For how long an ADD takes a list for new that costs a question to the network. A node that joins meanwhile is known to those
/// that it knows; what they miss of it is what they would ask all nodes.
const FRESH: Duration = Duration::from_secs(10);

/// The network with its peers as an ADD takes them: a file's as they are now, others as they were a moment ago.
///
/// # Errors
/// As [`peers::ask`], where no peers are known from before.
pub fn for_add(
    system: &System,
    config: &Config,
    store: &Store,
    journal: &Journal,
    network: &Network,
) -> Result<Network, CniError> {
    let noted = store.with_noted_peers(network.clone());
    let is_elsewhere = network
        .peers_from
        .as_ref()
        .is_some_and(PeersFrom::is_elsewhere);
    let age = store.age_of_peers(&network.name);
    if is_elsewhere && noted.peers.is_some() && age.is_some_and(|age| age < FRESH) {
        return Ok(noted);
    }
    match peers::ask(system, &config.kubernetes, &noted) {
        Ok(now) => {
            if now.peers == noted.peers {
                store.peers_were_asked_for(&network.name);
            }
            Ok(now)
        }
        // What is wrong may pass, and the other nodes are where they were.
        Err(error) if noted.peers.is_some() && error.code == Code::TRY_AGAIN => {
            journal.remark(&format!("{}; the peers are taken as they were", error.msg));
            store.peers_were_asked_for(&network.name);
            Ok(noted)
        }
        Err(error) => Err(error),
    }
}

/// What sources have told that are heard all the time, so that nothing need be asked.
#[derive(Debug, Clone, Default)]
pub struct Told {
    heard: Vec<(PeersFrom, Vec<IpAddr>)>,
    /// Whether sources that cost a question are asked by others, so that what they have not told yet is waited for.
    by_others: bool,
}

impl Told {
    /// Of sources that others ask.
    pub fn by_others() -> Self {
        Self {
            by_others: true,
            ..Self::default()
        }
    }

    /// Whether a network's source will tell by itself.
    fn tells(&self, network: &Network) -> bool {
        let from = network.peers_from.as_ref();
        self.by_others && from.is_some_and(PeersFrom::is_elsewhere)
    }

    /// Takes in what a source tells now; whether that is news.
    pub fn hear(&mut self, from: PeersFrom, mut found: Vec<IpAddr>) -> bool {
        found.sort_unstable();
        found.dedup();
        match self.heard.iter_mut().find(|(known, _)| *known == from) {
            Some((_, before)) if *before == found => false,
            Some((_, before)) => {
                *before = found;
                true
            }
            None => {
                self.heard.push((from, found));
                true
            }
        }
    }

    /// Whether nothing is heard.
    pub fn is_empty(&self) -> bool {
        self.heard.is_empty()
    }

    /// Forgets what is heard no more.
    pub fn keep(&mut self, mut is_heard: impl FnMut(&PeersFrom) -> bool) {
        self.heard.retain(|(from, _)| is_heard(from));
    }

    /// What is known of a network's source.
    pub fn of<'a>(&'a self, network: &'a Network) -> Option<(&'a PeersFrom, &'a [IpAddr])> {
        let wanted = network.peers_from.as_ref()?;
        let (_, found) = self.heard.iter().find(|(from, _)| from == wanted)?;
        Some((wanted, found))
    }
}

/// The same for repair: however old the list is, and with why the source did not answer.
pub fn for_repair(
    system: &System,
    config: &Config,
    store: &Store,
    told: &Told,
    network: &Network,
) -> (Network, Option<CniError>) {
    let noted = store.with_noted_peers(network.clone());
    let now = match told.of(network) {
        Some((from, found)) => peers::known(&noted, from, found.to_vec()),
        None if told.tells(network) => return (noted, None),
        None => peers::ask(system, &config.kubernetes, &noted),
    };
    match now {
        Ok(now) => (now, None),
        Err(error) => (noted, Some(error)),
    }
}

/// The networks as far as their peers are known without a question to the network, and what a file does not tell.
pub fn for_status(
    system: &System,
    config: &Config,
    store: &Store,
) -> (Vec<Network>, Vec<(String, CniError)>) {
    let mut faults = Vec::new();
    let known = config.networks.iter().map(|network| {
        let noted = || store.with_noted_peers(network.clone());
        if network
            .peers_from
            .as_ref()
            .is_none_or(PeersFrom::is_elsewhere)
        {
            return noted();
        }
        peers::ask(system, &config.kubernetes, network).unwrap_or_else(|error| {
            faults.push((network.name.clone(), error));
            noted()
        })
    });
    (known.collect(), faults)
}
