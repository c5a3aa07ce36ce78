//! From which definitions the host side of a network was made since the node joined it: a file in `runDir`, which goes with
//! the boot as devices and rules do. A configuration is edited while pods run: the host side follows the latest ADD,
//! pods that came before need what theirs had, and with the last one goes what any of them has brought.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Store, StoreError, list, make_dir, write_whole};
use crate::config::{Common, Network, kept_network};

/// A network's object in `vxlans`, and what was the same for all networks.
#[derive(Debug, Serialize, Deserialize)]
struct Definition {
    definition: Value,
    #[serde(flatten)]
    common: Common,
}

/// What its file's name ends in.
const SUFFIX: &str = ".definitions";

impl Store {
    /// The definitions of a network, the latest last; what cannot be read is none.
    pub fn definitions(&self, network: &str) -> Vec<Network> {
        let unwritten = self.unwritten.as_ref();
        let kept = unwritten.and_then(|unwritten| unwritten.definitions(network));
        let kept = kept.unwrap_or_else(|| networks(read(&self.definitions_file(network))));
        let known = |one| self.with_noted_peers(one);
        kept.into_iter().map(known).collect()
    }

    /// Whether the host side was made from this definition last: without a look at what is in it, as each ADD asks. One that is an
    /// edit of an edit back is not.
    pub fn is_defined(&self, network: &Network) -> bool {
        let all = read(&self.definitions_file(&network.name));
        all.last().is_some_and(|latest| latest.is_of(network))
    }

    /// The networks that the node is on, by what their host sides were made from.
    ///
    /// # Errors
    /// [`StoreError::File`] when the folder cannot be listed.
    pub fn defined(&self) -> Result<Vec<String>, StoreError> {
        let names = list(&self.run)?.into_iter();
        Ok(names
            .filter_map(|name| Some(name.strip_suffix(SUFFIX)?.to_owned()))
            .collect())
    }

    /// Those of all other networks of this node.
    ///
    /// # Errors
    /// [`StoreError::File`] when the folder cannot be listed.
    pub fn definitions_of_others(&self, network: &str) -> Result<Vec<Network>, StoreError> {
        let own = format!("{network}{SUFFIX}");
        let names = list(&self.run)?.into_iter();
        let others = names.filter(|name| name.ends_with(SUFFIX) && *name != own);
        Ok(others
            .flat_map(|name| networks(read(&self.run.join(name))))
            .collect())
    }

    /// Notes, before anything is made from it, which definition is the latest.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn note_definition(&self, network: &Network) -> Result<(), StoreError> {
        let mut all = self.definitions(&network.name);
        if all
            .last()
            .is_some_and(|latest| latest.is_defined_as(network))
        {
            return Ok(());
        }
        all.retain(|one| !one.is_defined_as(network));
        all.push(network.clone());
        self.keep_definitions(&network.name, &all)
    }

    /// Forgets all but these, the latest last.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn keep_definitions(&self, network: &str, kept: &[Network]) -> Result<(), StoreError> {
        if let Some(unwritten) = &self.unwritten {
            unwritten.keep_definitions(network, kept);
            return Ok(());
        }
        let file = self.definitions_file(network);
        let draft = self.run.join(format!(".{network}{SUFFIX}"));
        if kept.is_empty() {
            // Left behind, they go with the boot.
            let _ = std::fs::remove_file(file);
            let _ = std::fs::remove_file(draft);
            self.forget_peers(network);
            return Ok(());
        }
        make_dir(&self.run)?;
        let all: Vec<Definition> = kept.iter().map(Definition::of).collect();
        let bytes = serde_json::to_vec(&all).unwrap_or_default();
        // Read by an ADD that has no lock yet: whole at every moment.
        write_whole(&file, &draft, &bytes)
    }

    fn definitions_file(&self, network: &str) -> PathBuf {
        self.run.join(format!("{network}{SUFFIX}"))
    }
}

impl Definition {
    /// Whether it is a network's, as [`Network::is_defined_as`].
    fn is_of(&self, network: &Network) -> bool {
        let common = &self.common;
        self.definition == network.raw
            && (common.table, common.pref, common.guard)
                == (network.table, network.pref, network.guard)
    }

    fn of(network: &Network) -> Self {
        Self {
            definition: network.raw.clone(),
            common: Common {
                table: network.table,
                pref: network.pref,
                guard: network.guard,
                ports: network.ports.clone(),
                cidrs: network.filter.all.clone(),
            },
        }
    }
}

fn read(file: &Path) -> Vec<Definition> {
    let bytes = super::safe::read(file).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

fn networks(definitions: Vec<Definition>) -> Vec<Network> {
    let all = definitions.into_iter();
    all.filter_map(|one| kept_network(&one.definition, &one.common).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::ip::TableId;
    use crate::store::tests::Folder;

    fn network(cidr: &str, pref: u32) -> Network {
        let definition = json!({
            "id": 100, "name": "blue", "cidr": cidr, "options": {"vtepdev": "eth0", "group": "239.1.1.1"}
        });
        let common = Common {
            table: TableId::MAIN,
            pref,
            guard: true,
            ports: Vec::new(),
            cidrs: Vec::new(),
        };
        kept_network(&definition, &common).unwrap()
    }

    #[test]
    fn each_definition_is_kept_once_and_the_latest_is_the_last() {
        let folder = Folder::new("definitions");
        let store = Store::new(&folder.0.join("data"), &folder.0.join("run"));
        let noted = |store: &Store| -> Vec<(String, u32)> {
            let all = store.definitions("blue").into_iter();
            all.map(|one| (one.cidrs[0].to_string(), one.pref))
                .collect()
        };
        assert!(noted(&store).is_empty());
        let (small, large) = (network("10.1.0.1/24", 10), network("10.1.0.1/16", 10));
        for one in [&small, &large, &large, &network("10.1.0.1/16", 11), &small] {
            store.note_definition(one).unwrap();
        }
        let is = |cidr: &str, pref| (cidr.to_owned(), pref);
        let [a, b, c] = [
            is("10.1.0.1/16", 10),
            is("10.1.0.1/16", 11),
            is("10.1.0.1/24", 10),
        ];
        assert_eq!(noted(&store), [a.clone(), b, c]);
        store.keep_definitions("blue", &[large]).unwrap();
        assert_eq!(noted(&store), [a]);
        assert_eq!(store.definitions_of_others("green").unwrap().len(), 1);
        assert!(store.definitions_of_others("blue").unwrap().is_empty());
        store.keep_definitions("blue", &[]).unwrap();
        assert!(noted(&store).is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_none_and_is_never_followed() {
        let folder = Folder::new("definitions-damaged");
        let store = Store::new(&folder.0.join("data"), &folder.0.join("run"));
        store.note_definition(&network("10.1.0.1/24", 10)).unwrap();
        let file = store.definitions_file("blue");
        std::fs::write(&file, "[{").unwrap();
        assert!(store.definitions("blue").is_empty());
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &file).unwrap();
        assert!(store.definitions("blue").is_empty());
    }
}
