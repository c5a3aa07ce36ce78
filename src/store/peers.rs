//! By which peers the host side of a network was last made, where the configuration says from where they are known: a file in
//! `runDir`, which goes with the boot as the devices do. CHECK and the operator's verbs know them by it, and an ADD sees by it
//! whether its source tells others by now.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Store, StoreError, make_dir, safe, write_whole};
use crate::config::Network;

/// From how many sources of a network it is kept what they told.
const KEPT: usize = 4;

/// What one source told; the file has a list of them.
#[derive(Debug, Serialize, Deserialize)]
struct Noted {
    /// `peers` of the definition.
    from: Value,
    /// What that told.
    addresses: Vec<IpAddr>,
}

impl Store {
    /// The network with the peers by which it was last made; as it is, where it lists them, or none are known by the same source.
    pub fn with_noted_peers(&self, network: Network) -> Network {
        if network.peers_from.is_none() {
            return network;
        }
        let mut noted = self.noted(&network.name).into_iter();
        let noted = noted.find(|noted| noted.from == network.raw["peers"]);
        match noted.map(|noted| network.clone().with_peers(noted.addresses)) {
            Some(Ok(known)) => known,
            _ => network,
        }
    }

    /// Notes by which peers a network has been made now, or that its source tells the same still.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn note_peers(&self, network: &Network) -> Result<(), StoreError> {
        let (Some(_), Some(peers)) = (&network.peers_from, &network.peers) else {
            return Ok(());
        };
        if self.is_only_read() {
            return Ok(());
        }
        make_dir(&self.run)?;
        let path = self.peers_file(&network.name);
        let draft = self.run.join(format!(".{}.peers", network.name));
        let noted = Noted {
            from: network.raw["peers"].clone(),
            addresses: peers.clone(),
        };
        let mut all = self.noted(&network.name);
        all.retain(|one| one.from != noted.from);
        // Those of former definitions too, which count again where an edit is taken back.
        all.insert(0, noted);
        all.truncate(KEPT);
        let bytes = serde_json::to_vec(&all).unwrap_or_default();
        // Read by others without a lock.
        write_whole(&path, &draft, &bytes)
    }

    /// Notes that the source was asked just now.
    pub fn peers_were_asked_for(&self, network: &str) {
        if self.is_only_read() {
            return;
        }
        // Without it the source is only asked sooner.
        if let Ok(file) = safe::open(&self.peers_file(network)) {
            let _ = file.set_modified(SystemTime::now());
        }
    }

    /// How long ago the source was asked; none where it was not, or the clock was set back since.
    pub fn age_of_peers(&self, network: &str) -> Option<Duration> {
        let noted = std::fs::metadata(self.peers_file(network)).ok()?;
        SystemTime::now()
            .duration_since(noted.modified().ok()?)
            .ok()
    }

    /// Forgets them, when the node has left the network.
    pub(super) fn forget_peers(&self, network: &str) {
        // Left behind, it goes with the boot.
        let _ = std::fs::remove_file(self.peers_file(network));
    }

    /// The latest first; what cannot be read is none.
    fn noted(&self, network: &str) -> Vec<Noted> {
        let bytes = safe::read(&self.peers_file(network)).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    fn peers_file(&self, network: &str) -> PathBuf {
        self.run.join(format!("{network}.peers"))
    }
}
