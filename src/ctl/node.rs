//! The node as its configuration and its records know it: which networks, and who is on them.

use std::path::PathBuf;

use serde_json::Value;

use super::args::Shared;
use super::doctor::Filters;
use super::look::shown;
use crate::cni::CniError;
use crate::config::{Config, Network};
use crate::conflist::{self, Wanted};
use crate::ops;
use crate::ops::host_side::HostSide;
use crate::ops::peers::Told;
use crate::store::{Attachment, Found, Store};
use crate::table::natural;

/// Which configuration is looked for.
pub(super) const WANTED: Wanted = Wanted {
    words: "type vxlan",
    is: |plugin| plugin["type"] == "vxlan",
};

/// The node.
#[derive(Debug)]
pub struct Node {
    /// The configuration's file.
    pub file: PathBuf,
    /// The plugin's object as a runtime would hand it over.
    pub raw: Value,
    /// The configuration, as much of it as can be read.
    pub config: Config,
    /// What is wrong with it.
    pub faults: Option<CniError>,
    /// The records.
    pub store: Store,
    /// What is known of peers without asking.
    pub told: Told,
    /// The networks of the configuration in its order, then those that only records know.
    pub networks: Vec<OnNode>,
}

/// A network, and who is on it.
#[derive(Debug)]
pub struct OnNode {
    /// Its name.
    pub name: String,
    /// As the configuration has it.
    pub configured: Option<Network>,
    /// As it is on this node where an attachment is on it, else as the next ADD would make it, or as it was made where the
    /// configuration has it no more.
    pub side: Option<HostSide>,
    /// Its attachments, by container.
    pub attachments: Vec<Recorded>,
}

/// An attachment as its record tells of it.
#[derive(Debug)]
pub struct Recorded {
    /// The record's file.
    pub path: PathBuf,
    /// What is in it.
    pub state: State,
}

/// What a record tells.
#[derive(Debug)]
pub enum State {
    /// Everything; with the network as it was when the container joined.
    Whole(Box<Attachment>, Box<Network>),
    /// An ADD is at work on it, or was when it was killed.
    Unfinished {
        /// What is known so far.
        record: Box<Attachment>,
        /// Whether a verb is in progress for it at this moment.
        under_way: bool,
    },
    /// It went with an earlier boot, but for its lease.
    EarlierBoot(Box<Attachment>),
    /// Nothing: it cannot be read.
    Damaged(CniError),
}

impl Node {
    /// What its networks need of the packet filter.
    pub fn filters(&self) -> Filters {
        let kept = self.networks.iter().filter_map(OnNode::standing);
        let kept = kept.map(|side| &side.network);
        let all: Vec<&Network> = self.config.networks.iter().chain(kept).collect();
        Filters {
            guard: all.iter().any(|network| network.guard),
            anti_spoof: all.iter().any(|network| network.anti_spoof),
        }
    }

    /// Every attachment, also one whose record cannot be read.
    pub fn attachments(&self) -> impl Iterator<Item = &Recorded> {
        self.networks
            .iter()
            .flat_map(|network| &network.attachments)
    }

    /// The records that can be read.
    pub fn records(&self) -> impl Iterator<Item = &Attachment> {
        self.attachments().filter_map(Recorded::record)
    }

    /// Reads the configuration and every record.
    ///
    /// # Errors
    /// When there is no configuration, or the folder of the records cannot be read.
    pub fn open(shared: &Shared) -> Result<Self, CniError> {
        let conf = conflist::find(shared.conf.as_deref(), WANTED)?;
        let config = Config::read_leniently(&conf.config);
        let store = ops::store(&config);
        Ok(Self {
            networks: networks(&config, &store)?,
            faults: Config::read(&conf.config).err(),
            file: conf.file,
            raw: conf.config,
            config,
            store,
            told: Told::default(),
        })
    }
}

fn networks(config: &Config, store: &Store) -> Result<Vec<OnNode>, CniError> {
    let configured = config.networks.iter().map(|network| network.name.clone());
    let mut names: Vec<String> = configured.collect();
    let recorded = store.networks()?.into_iter();
    names.extend(recorded.filter(|name| config.network(name).is_none()));
    // One that was joined for always, and is no longer in the configuration.
    let made = store.defined()?.into_iter();
    let made: Vec<String> = made.filter(|name| !names.contains(name)).collect();
    names.extend(made);
    let network = |name: String| {
        let found = store.attachments(&name)?.into_iter();
        let configured = config.network(&name).cloned();
        let configured = configured.map(|network| store.with_noted_peers(network));
        let mut attachments: Vec<Recorded> = found
            .map(|(path, found)| Recorded::of(store, path, found))
            .collect();
        attachments.sort_by(|one, other| natural(&one.name(), &other.name()));
        let kept = latest(&attachments).map(|kept| HostSide::of(store, kept));
        let left = || store.definitions(&name).pop().map(HostSide::alone);
        Ok(OnNode {
            side: kept
                .or_else(|| configured.clone().map(HostSide::alone))
                .or_else(left),
            configured,
            attachments,
            name,
        })
    };
    names.into_iter().map(network).collect()
}

/// The network of the last that joined it.
fn latest(attachments: &[Recorded]) -> Option<&Network> {
    let whole = attachments.iter().filter_map(|one| match &one.state {
        State::Whole(record, network) => Some((record.moment(), network.as_ref())),
        _ => None,
    });
    whole
        .reduce(|latest, one| match one.0.is_after(&latest.0) {
            true => one,
            false => latest,
        })
        .map(|(_, network)| network)
}

impl OnNode {
    /// The network as it is on this node, where a container is on it, or the node is always.
    pub fn standing(&self) -> Option<&HostSide> {
        self.side
            .as_ref()
            .filter(|_| self.has_pods() || self.is_always())
    }

    /// Whether a container is on it.
    pub fn has_pods(&self) -> bool {
        latest(&self.attachments).is_some()
    }

    /// Whether this node is to be on it without a container too.
    pub fn is_always(&self) -> bool {
        let configured = self.configured.as_ref();
        configured.is_some_and(Network::is_always)
    }

    /// The networks as they are on this node: as containers joined them, or as the next one would. More
    /// than one where the configuration was changed meanwhile.
    pub fn definitions(&self) -> Vec<&Network> {
        let mut found: Vec<&Network> = Vec::new();
        for recorded in &self.attachments {
            if let State::Whole(_, network) = &recorded.state
                && !found.contains(&network.as_ref())
            {
                found.push(network);
            }
        }
        match found.is_empty() {
            true => self.configured.iter().collect(),
            false => found,
        }
    }
}

impl Recorded {
    fn of(store: &Store, path: PathBuf, found: Found) -> Self {
        let state = match found {
            Found::Damaged { why, .. } => State::Damaged(why.into()),
            Found::Whole(record) if record.is_of_an_earlier_boot() => State::EarlierBoot(record),
            Found::Whole(record) => Self::of_this_boot(store, record),
        };
        Self { path, state }
    }

    fn of_this_boot(store: &Store, record: Box<Attachment>) -> State {
        let under_way = store.is_under_way(&record);
        if under_way || record.lease.is_none() {
            return State::Unfinished { record, under_way };
        }
        match ops::kept(store, &record) {
            Ok(network) => State::Whole(record, Box::new(network)),
            Err(error) => State::Damaged(error),
        }
    }

    /// What an operator looks for it by: its pod, where that is known, or the record's file.
    fn name(&self) -> String {
        match self.record() {
            Some(record) => shown(record),
            None => self.path.display().to_string(),
        }
    }

    /// The record, where it can be read.
    pub fn record(&self) -> Option<&Attachment> {
        match &self.state {
            State::Whole(record, _)
            | State::Unfinished { record, .. }
            | State::EarlierBoot(record) => Some(record),
            State::Damaged(_) => None,
        }
    }
}
