//! Owner records: whose address it is, written before the claim and removed after it.
//!
//! One file for each address, by two names: `dataDir/address/ADDRESS.json`, which only one can make, so
//! that it is the lock for the address on this node, and `dataDir/owner/CONTAINER:IFNAME/ADDRESS.json`,
//! by which a DEL finds what is its own without looking at other owners'. The names alone tell address
//! and owner, so a file cut short still frees the right address.

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::ip::route::Route;
use crate::store::{StoreError, list, make_dir, present, safe, write_durably};

/// The ending of a record's name.
const ENDING: &str = ".json";

/// Whose an address is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// Name of the CNI network, which is the configuration's.
    pub name: String,
    /// `CNI_CONTAINERID`.
    pub container: String,
    /// `CNI_IFNAME`.
    pub ifname: String,
    /// `NAMESPACE/NAME` of the pod, where the runtime told.
    pub pod: Option<String>,
    /// The boot in which it was claimed: with the kernel, the routes of an earlier one are gone.
    pub boot: String,
    /// When, RFC 3339.
    pub since: String,
    /// The claim.
    pub route: Route,
}

impl Owner {
    /// `CONTAINER/IFNAME`, with the pod where it is known.
    pub fn shown(&self) -> String {
        let pod = self.pod.as_ref().map(|pod| format!("pod {pod}, "));
        format!(
            "{}container {}/{}",
            pod.unwrap_or_default(),
            self.container,
            self.ifname
        )
    }
}

/// One address of an owner, as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The address.
    pub address: IpAddr,
    /// The record; none where it is cut short.
    pub owner: Option<Owner>,
}

/// The folder of the records.
#[derive(Debug, Clone)]
pub struct Owners {
    dir: PathBuf,
}

impl Owners {
    /// The records in a folder, which is made when it is first written to.
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    fn addresses(&self) -> PathBuf {
        self.dir.join("address")
    }

    fn owned(&self, container: &str, ifname: &str) -> PathBuf {
        self.dir.join("owner").join(format!("{container}:{ifname}"))
    }

    fn by_address(&self, address: IpAddr) -> PathBuf {
        self.addresses().join(format!("{address}{ENDING}"))
    }

    fn by_owner(&self, container: &str, ifname: &str, address: IpAddr) -> PathBuf {
        self.owned(container, ifname)
            .join(format!("{address}{ENDING}"))
    }

    /// Takes an address for an owner on this node. `false` where another owner of this boot has it.
    ///
    /// # Errors
    /// [`StoreError::File`]; nothing is taken then.
    pub fn take(&self, owner: &Owner) -> Result<bool, StoreError> {
        let address = owner.route.dst.ip();
        let dir = self.owned(&owner.container, &owner.ifname);
        make_dir(&dir)?;
        make_dir(&self.addresses())?;
        let (own, common) = (
            self.by_owner(&owner.container, &owner.ifname, address),
            self.by_address(address),
        );
        let failed = |source| StoreError::File {
            what: "write",
            path: common.clone(),
            source,
        };
        let text = serde_json::to_vec(owner).map_err(|source| failed(source.into()))?;
        let taken = write_durably(&own, &text).and_then(|_| link_alone(&own, &common, owner));
        let lasting =
            taken.and_then(|taken| File::open(self.addresses())?.sync_all().map(|()| taken));
        match lasting {
            Ok(true) => Ok(true),
            other => {
                self.give_back(&owner.container, &owner.ifname, address)?;
                other.map_err(failed)
            }
        }
    }

    /// Frees an address, where it is this owner's. Nothing there is fine.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn give_back(
        &self,
        container: &str,
        ifname: &str,
        address: IpAddr,
    ) -> Result<(), StoreError> {
        let (own, common) = (
            self.by_owner(container, ifname, address),
            self.by_address(address),
        );
        if same_file(&own, &common) {
            remove(&common)?;
        }
        remove(&own)?;
        // Refused while another address is in it, which is right.
        let _ = std::fs::remove_dir(self.owned(container, ifname));
        Ok(())
    }

    /// The addresses that are this owner's.
    ///
    /// # Errors
    /// [`StoreError::File`] where they are there and cannot be read.
    pub fn held_by(&self, container: &str, ifname: &str) -> Result<Vec<Held>, StoreError> {
        let mut held = Vec::new();
        for address in addresses_in(&self.owned(container, ifname))? {
            let own = self.by_owner(container, ifname, address);
            // A record without its other name is of a claim that is not made yet, or is freed already.
            if same_file(&own, &self.by_address(address)) {
                let owner = read(&own);
                held.push(Held { address, owner });
            }
        }
        Ok(held)
    }

    /// Removes what an ADD or a DEL of this owner has left that was killed half-way, when neither is at
    /// work any more: records without their other name, and a folder without any.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn sweep(&self, container: &str, ifname: &str) -> Result<(), StoreError> {
        let dir = self.owned(container, ifname);
        for address in addresses_in(&dir)? {
            let own = self.by_owner(container, ifname, address);
            if !same_file(&own, &self.by_address(address)) {
                remove(&own)?;
            }
        }
        // Refused while a record is in it, which is right.
        let _ = std::fs::remove_dir(&dir);
        Ok(())
    }

    /// Every address that an attachment on this node has.
    ///
    /// # Errors
    /// [`StoreError::File`] where the records are there and cannot be read.
    pub fn claimed(&self) -> Result<Vec<Held>, StoreError> {
        let held = |address| {
            let owner = read(&self.by_address(address));
            Held { address, owner }
        };
        let mut addresses = addresses_in(&self.addresses())?;
        addresses.sort();
        Ok(addresses.into_iter().map(held).collect())
    }

    /// Whether an address has a record on this node, be it one that cannot be read.
    pub fn is_recorded(&self, address: IpAddr) -> bool {
        self.by_address(address).symlink_metadata().is_ok()
    }

    /// The owner of an address on this node.
    pub fn holder(&self, address: IpAddr) -> Option<Owner> {
        read(&self.by_address(address))
    }

    /// Every owner, as container and interface.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn all(&self) -> Result<Vec<(String, String)>, StoreError> {
        let names = list(&self.dir.join("owner"))?;
        let split = |name: &String| {
            let (container, ifname) = name.split_once(':')?;
            Some((container.to_owned(), ifname.to_owned()))
        };
        Ok(names.iter().filter_map(split).collect())
    }
}

/// Gives a record its second name, unless another owner of the same boot has it.
fn link_alone(own: &Path, common: &Path, owner: &Owner) -> io::Result<bool> {
    loop {
        match std::fs::hard_link(own, common) {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Err(_) if is_of_another_boot(common, owner) => {
                present(std::fs::remove_file(common))?;
            }
            Err(_) => return Ok(false),
        }
    }
}

/// Whether a record tells of a boot other than this one; one that cannot be read tells nothing.
fn is_of_another_boot(common: &Path, owner: &Owner) -> bool {
    matches!(read(common), Some(other) if other.boot != owner.boot)
}

/// A record; none where it is not there, is no record, or is not whole: the owner of the address is unknown then, and its
/// name still says that it is taken.
fn read(path: &Path) -> Option<Owner> {
    let bytes = safe::read(path).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn remove(path: &Path) -> Result<(), StoreError> {
    present(std::fs::remove_file(path))
        .map(|_| ())
        .map_err(|source| StoreError::File {
            what: "remove",
            path: path.to_owned(),
            source,
        })
}

/// The addresses that a folder has records of.
fn addresses_in(dir: &Path) -> Result<Vec<IpAddr>, StoreError> {
    let address = |name: &String| name.strip_suffix(ENDING)?.parse().ok();
    Ok(list(dir)?.iter().filter_map(address).collect())
}

/// Whether two names are of one file that is there.
fn same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |path| {
        std::fs::symlink_metadata(path)
            .ok()
            .map(|meta| (meta.dev(), meta.ino()))
    };
    id(one).is_some() && id(one) == id(other)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::tests::Folder;

    fn owner(container: &str, address: &str, boot: &str) -> Owner {
        let address: IpAddr = address.parse().unwrap();
        Owner {
            name: "net".into(),
            container: container.into(),
            ifname: "eth0".into(),
            pod: Some("shop/web".into()),
            boot: boot.into(),
            since: String::new(),
            route: Route::new(address.into(), None, &"mv_blue".parse().unwrap()),
        }
    }

    #[test]
    fn r8_an_address_has_one_owner_on_a_node() {
        let folder = Folder::new("one");
        let owners = Owners::new(&folder.0);
        assert!(owners.take(&owner("a", "10.1.0.9", "now")).unwrap());
        assert!(!owners.take(&owner("b", "10.1.0.9", "now")).unwrap());
        assert!(owners.take(&owner("a", "fd10::9", "now")).unwrap());
        assert_eq!(owners.held_by("a", "eth0").unwrap().len(), 2);
        assert!(owners.held_by("b", "eth0").unwrap().is_empty());
        assert_eq!(owners.all().unwrap(), [("a".into(), "eth0".into())]);
        let holder = owners.holder("10.1.0.9".parse().unwrap()).unwrap();
        assert_eq!(holder.shown(), "pod shop/web, container a/eth0");
    }

    #[test]
    fn r1_only_the_owner_frees_an_address_and_freeing_twice_frees_nobody_elses() {
        let folder = Folder::new("late");
        let owners = Owners::new(&folder.0);
        let address: IpAddr = "10.1.0.9".parse().unwrap();
        assert!(owners.take(&owner("a", "10.1.0.9", "now")).unwrap());
        owners.give_back("b", "eth0", address).unwrap();
        assert!(owners.holder(address).is_some());
        owners.give_back("a", "eth0", address).unwrap();
        assert!(owners.take(&owner("b", "10.1.0.9", "now")).unwrap());
        owners.give_back("a", "eth0", address).unwrap();
        assert_eq!(owners.holder(address).unwrap().container, "b");
        assert!(owners.held_by("a", "eth0").unwrap().is_empty());
    }

    #[test]
    fn a_record_of_an_earlier_boot_holds_nothing() {
        let folder = Folder::new("boot");
        let owners = Owners::new(&folder.0);
        assert!(owners.take(&owner("a", "10.1.0.9", "before")).unwrap());
        assert!(owners.take(&owner("b", "10.1.0.9", "now")).unwrap());
        // The earlier owner's late DEL finds that it is no longer its own.
        assert!(owners.held_by("a", "eth0").unwrap().is_empty());
        assert_eq!(owners.held_by("b", "eth0").unwrap().len(), 1);
    }

    #[test]
    fn a_record_cut_short_still_tells_whose_address_it_is() {
        let folder = Folder::new("short");
        let owners = Owners::new(&folder.0);
        assert!(owners.take(&owner("a", "fd10::9", "now")).unwrap());
        std::fs::write(folder.0.join("address/fd10::9.json"), "{").unwrap();
        let held = owners.held_by("a", "eth0").unwrap();
        assert_eq!(
            (held[0].address.to_string(), &held[0].owner),
            ("fd10::9".into(), &None)
        );
        assert!(!owners.take(&owner("b", "fd10::9", "now")).unwrap());
        owners
            .give_back("a", "eth0", "fd10::9".parse().unwrap())
            .unwrap();
        assert!(owners.take(&owner("b", "fd10::9", "now")).unwrap());
    }
}
