//! Records: what is on the disk is read as what was written, or is damaged; it never speaks for another.

use std::path::{Path, PathBuf};

use vxlan_cni::cni::version::SUPPORTED;
use vxlan_cni::cni::{CniError, Code, Version};
use vxlan_cni::config::kept_network;
use vxlan_cni::ip::Netns;
use vxlan_cni::plan::{self, Observed, Probe, host};
use vxlan_cni::route_table::owners::Owners;
use vxlan_cni::store::{Attachment, Found, Store};

use super::commands;
use super::door::presentable;

/// A folder of this process's own, gone with it.
pub struct Folder(PathBuf);

impl Folder {
    /// A new one; `name` tells apart those of one process.
    pub fn new(name: &str) -> Self {
        let name = format!("vxlan-cni-properties-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Keeps the law for the bytes of a record.
pub fn holds(folder: &Folder, bytes: &[u8]) {
    attachment(folder.path(), bytes);
    owner(folder.path(), bytes);
}

/// The record of an attachment.
fn attachment(dir: &Path, bytes: &[u8]) {
    let store = Store::new(&dir.join("data"), &dir.join("run"));
    let blue = dir.join("data").join("blue");
    std::fs::create_dir_all(&blue).unwrap();
    std::fs::write(blue.join("c1:eth0.json"), bytes).unwrap();
    let found = match store.find("c1", "eth0") {
        Ok(found) => found.unwrap(),
        // A later version's, which nothing of this one touches.
        Err(error) => {
            assert!(error.is_of_a_newer_version(), "{error}");
            presentable(&error.into());
            std::fs::remove_file(blue.join("c1:eth0.json")).unwrap();
            return;
        }
    };
    match found {
        Found::Damaged { network, why } => {
            assert_eq!(network, "blue");
            presentable(&why.into());
        }
        Found::Whole(record) => {
            assert_eq!(record.network, "blue");
            assert_eq!(
                (record.id().as_str(), record.ifname.as_str()),
                ("c1/eth0", "eth0")
            );
            can_be_undone(&record);
            drop(store.write(&record).unwrap());
            let again = store.find("c1", "eth0").unwrap();
            assert!(matches!(again, Some(Found::Whole(again)) if again == record));
        }
    }
    assert_eq!(store.attachments("blue").unwrap().len(), 1);
    store.remove("blue", "c1", "eth0").unwrap();
    assert!(store.find("c1", "eth0").unwrap().is_none());
}

/// What DEL takes from a record.
fn can_be_undone(record: &Attachment) {
    match kept_network(&record.definition, &record.common()) {
        Err(error) => presentable(&error),
        Ok(network) => {
            for read in host::reads(&network, Probe::List) {
                commands::is_sound(&read.command());
            }
            let seen = Observed::default();
            if let Ok(facts) = host::facts(&network, &seen) {
                commands::are_sound(&plan::plan(&facts, &seen, &Netns::Own));
            }
        }
    }
    for version in SUPPORTED {
        let version = Version::of(version).unwrap();
        let told = record.lease.as_ref().map(|lease| lease.to_json(version));
        assert!(
            told.is_none_or(|told| told.is_ok_and(|told| told.is_object())
                || version < Version::of("0.3.0").unwrap())
        );
    }
}

/// The record of an address: its name alone tells address and owner.
fn owner(dir: &Path, bytes: &[u8]) {
    let owners = Owners::new(&dir.join("table"));
    let address = "10.1.0.9".parse().unwrap();
    let (own, common) = (dir.join("table/owner/c1:eth0"), dir.join("table/address"));
    std::fs::create_dir_all(&own).unwrap();
    std::fs::create_dir_all(&common).unwrap();
    std::fs::write(own.join("10.1.0.9.json"), bytes).unwrap();
    std::fs::hard_link(own.join("10.1.0.9.json"), common.join("10.1.0.9.json")).unwrap();
    let [held] = &owners.held_by("c1", "eth0").unwrap()[..] else {
        panic!("not held")
    };
    assert_eq!(held.address, address);
    assert_eq!(owners.holder(address), held.owner);
    if let Some(owner) = &held.owner {
        let shown = format!("10.1.0.9 is claimed by {}", owner.shown());
        presentable(&CniError::new(Code::TRY_AGAIN, shown));
        commands::is_sound(&vxlan_cni::ip::route::del(&owner.route));
    }
    owners.give_back("c1", "eth0", address).unwrap();
    assert_eq!(owners.all().unwrap(), []);
}
