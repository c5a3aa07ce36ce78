//! Which namespaces live: by their files, and by the processes in them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::cni::CniError;
use crate::ops::namespace_inode;
use crate::store::{Attachment, SeenFrom};

/// How many processes in one namespace are tried: a pod whose processes fork and end at once cannot hold gc up.
const LOOKS: usize = 5;

/// What has become of an attachment's namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is there.
    Alive,
    /// It is gone; how that is known.
    Gone(String),
    /// It is unknown; why.
    Unclear(String),
}

/// The namespaces that processes are in.
#[derive(Debug)]
pub struct Living {
    /// A process in each, by the namespace's number.
    processes: BTreeMap<u64, u32>,
    /// The numbers of those that records account for.
    recorded: BTreeSet<u64>,
    /// From where they are looked at.
    here: SeenFrom,
}

impl Living {
    /// Looks at every process, and sets aside the namespaces that records account for: the kernel gives
    /// the number of one that has gone to a new one.
    pub fn look<'a>(records: impl Iterator<Item = &'a Attachment>) -> Self {
        let is_at_its_place =
            |record: &&Attachment| namespace_inode(Path::new(&record.netns)) == Some(record.inode);
        let recorded = records
            .filter(|record| !record.is_of_an_earlier_boot())
            .filter(is_at_its_place)
            .map(|record| record.inode);
        let mut living = Self {
            processes: BTreeMap::new(),
            recorded: recorded.collect(),
            here: SeenFrom::here(),
        };
        living.look_at_processes();
        living
    }

    /// Finds a process for each namespace that no record accounts for. To be repeated when that process has ended:
    /// its child may still be in the namespace.
    fn look_at_processes(&mut self) {
        self.processes = of_processes();
        self.processes
            .retain(|inode, _| !self.recorded.contains(inode));
    }

    /// What has become of the namespace of an attachment of this boot. Where its place is empty or another's
    /// and a process is in a namespace with its number, that may be a new one: `is_in` tells whether the
    /// attachment's interface is in the namespace at a path.
    pub fn fate(
        &mut self,
        record: &Attachment,
        is_in: impl Fn(&str) -> Result<bool, CniError>,
    ) -> Fate {
        let shown = &record.netns;
        let why = match at(Path::new(shown)) {
            Place::Namespace(inode) if inode == record.inode => return Fate::Alive,
            Place::Unclear(why) => return Fate::Unclear(why),
            Place::Namespace(_) => format!("{shown} is another namespace by now"),
            Place::Nothing => format!("its namespace {shown} is gone"),
        };
        let mut unread = String::new();
        for _ in 0..LOOKS {
            let Some(process) = self.processes.get(&record.inode) else {
                return match record.seen_from.differs(self.here) {
                    None => Fate::Gone(why),
                    Some(kind) => Fate::Unclear(format!(
                        "{why}, seen from another {kind} namespace than ADD ran in: run this where the runtime runs"
                    )),
                };
            };
            let path = format!("/proc/{process}/ns/net");
            match is_in(&path) {
                Ok(true) => return Fate::Alive,
                Ok(false) => return Fate::Gone(why),
                Err(error) => unread = error.to_string(),
            }
            if namespace_inode(Path::new(&path)) == Some(record.inode) {
                break;
            }
            self.look_at_processes();
        }
        Fate::Unclear(unread)
    }
}

/// What is at a path.
enum Place {
    Namespace(u64),
    Nothing,
    Unclear(String),
}

fn at(path: &Path) -> Place {
    if let Some(inode) = namespace_inode(path) {
        return Place::Namespace(inode);
    }
    let shown = path.display();
    // Of a process that has gone the whole folder is gone; any other folder outlives what is in it.
    let folder_stays =
        |path: &Path| path.starts_with("/proc") || path.parent().is_some_and(Path::is_dir);
    match std::fs::metadata(path) {
        Ok(_) => Place::Unclear(format!(
            "{shown} is a file and no namespace: it was not mounted here, or only its file was left; ls -l it"
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound && folder_stays(path) => {
            Place::Nothing
        }
        Err(error) => Place::Unclear(format!("cannot tell whether {shown} is there: {error}")),
    }
}

/// The numbers of the network namespaces of all processes; one that ends meanwhile has none.
fn of_processes() -> BTreeMap<u64, u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return BTreeMap::new();
    };
    let processes = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let inode = |process: std::path::PathBuf| {
        let number = process.file_name()?.to_str()?.parse().ok()?;
        let inode = std::fs::metadata(process.join("ns/net")).ok()?.ino();
        Some((inode, number))
    };
    processes.filter_map(inode).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cni::Code;
    use serde_json::json;

    fn record(netns: &str, inode: u64) -> Attachment {
        let record = json!({
            "format": 1, "name": "net", "container": "c", "ifname": "eth0", "netns": netns, "inode": inode,
            "pod": null, "network": "blue", "because": "", "boot": crate::store::boot_id(), "since": "",
            "definition": null, "table": 192, "pref": 1, "ipam": null, "mac": null, "lease": null,
        });
        serde_json::from_value(record).unwrap()
    }

    fn fate(netns: &str, inode: u64) -> Fate {
        let record = record(netns, inode);
        Living::look(std::iter::once(&record)).fate(&record, |path| panic!("asked {path}"))
    }

    #[test]
    fn what_cannot_be_told_to_be_dead_is_not_gone() {
        let own = namespace_inode(Path::new("/proc/self/ns/net")).unwrap();
        assert_eq!(fate("/proc/self/ns/net", own), Fate::Alive);
        // Its path is gone, but a process is in a namespace with its number: the interface in there decides.
        let moved = record("/run/no-such-name", own);
        let mut living = Living::look(std::iter::once(&moved));
        let holds = |answer: bool| {
            move |path: &str| {
                assert_eq!(namespace_inode(Path::new(path)), Some(own));
                Ok(answer)
            }
        };
        assert_eq!(living.fate(&moved, holds(true)), Fate::Alive);
        let fate_without_interface = living.fate(&moved, holds(false));
        assert!(matches!(fate_without_interface, Fate::Gone(why) if why.contains("is gone")));
        let unread = |_: &str| Err(CniError::new(Code::IO, "cannot read"));
        assert!(
            matches!(living.fate(&moved, unread), Fate::Unclear(why) if why.contains("cannot read"))
        );
        assert!(matches!(fate("/etc/hostname", 1), Fate::Unclear(_)));
        assert!(matches!(fate("/no/such/folder/name", 1), Fate::Unclear(_)));
        assert!(matches!(fate("/etc/hostname/below", 1), Fate::Unclear(_)));
    }

    #[test]
    fn a_namespace_is_gone_with_its_file_or_its_process_and_when_another_has_its_place() {
        for (netns, inode, words) in [
            ("/run/no-such-name", 1, "is gone"),
            ("/proc/4194305/ns/net", 1, "is gone"),
            ("/proc/self/ns/net", 1, "another namespace"),
        ] {
            let Fate::Gone(why) = fate(netns, inode) else {
                panic!("{netns} is not gone")
            };
            assert!(why.contains(netns) && why.contains(words), "{why}");
        }
    }

    #[test]
    fn a_namespace_whose_last_process_ends_while_it_is_looked_at_is_gone() {
        let record = record("/run/no-such-name", 1);
        let ended = 4_194_305;
        let mut living = Living {
            processes: [(1, ended)].into(),
            recorded: BTreeSet::new(),
            here: SeenFrom::default(),
        };
        let asked = std::cell::Cell::new(0);
        let unread = |path: &str| {
            asked.set(asked.get() + 1);
            assert_eq!(path, format!("/proc/{ended}/ns/net"));
            Err(CniError::new(Code::IO, "cannot open"))
        };
        assert!(matches!(living.fate(&record, unread), Fate::Gone(_)));
        assert_eq!(asked.get(), 1);
    }

    #[test]
    fn a_number_that_a_new_namespace_has_is_no_sign_of_the_old_one() {
        let own = namespace_inode(Path::new("/proc/self/ns/net")).unwrap();
        let (old, new) = (
            record("/run/no-such-name", own),
            record("/proc/self/ns/net", own),
        );
        let mut living = Living::look([&old, &new].into_iter());
        let asked = |path: &str| panic!("asked {path}");
        assert!(matches!(living.fate(&old, asked), Fate::Gone(_)));
        assert_eq!(living.fate(&new, asked), Fate::Alive);
    }
}
