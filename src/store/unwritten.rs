//! The store of a dry run: it is read as ever, and nothing is written to it. What would be is kept here, so that what reads
//! it later finds what it would find.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Store;
use crate::config::Network;

/// What would have been written.
#[derive(Debug, Clone, Default)]
pub(super) struct Unwritten(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    removed: BTreeSet<PathBuf>,
    definitions: BTreeMap<String, Vec<Network>>,
}

impl Store {
    /// The same for a dry run: what is written to it stays with it.
    pub fn only_read(self) -> Self {
        Self {
            unwritten: Some(Unwritten::default()),
            ..self
        }
    }

    /// Whether nothing is written.
    pub(super) fn is_only_read(&self) -> bool {
        self.unwritten.is_some()
    }

    /// Whether a record would be gone by now.
    pub(super) fn is_removed(&self, record: &Path) -> bool {
        let unwritten = self.unwritten.as_ref();
        unwritten.is_some_and(|unwritten| unwritten.kept().removed.contains(record))
    }
}

impl Unwritten {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes a record.
    pub(super) fn remove(&self, record: PathBuf) {
        self.kept().removed.insert(record);
    }

    /// Keeps the definitions of a network.
    pub(super) fn keep_definitions(&self, network: &str, all: &[Network]) {
        self.kept()
            .definitions
            .insert(network.to_owned(), all.to_vec());
    }

    /// The definitions of a network, where they would be others than the file has.
    pub(super) fn definitions(&self, network: &str) -> Option<Vec<Network>> {
        self.kept().definitions.get(network).cloned()
    }
}
