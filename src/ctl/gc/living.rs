//! Which namespaces live: by their files, and by the processes in them.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::ops::namespace_inode;
use crate::store::Attachment;

/// What has become of an attachment's namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is there.
    Alive,
    /// It is gone; how that is known.
    Gone(String),
    /// Its place is empty or another's, but a process is in a namespace with its number. That may be a new
    /// one: what is in it tells. By which path, and how it is gone if it is.
    Perhaps(String, String),
    /// Nobody can tell; why.
    Unclear(String),
}

/// The namespaces that processes are in.
#[derive(Debug)]
pub struct Living {
    /// A process in each, by the namespace's number.
    processes: BTreeMap<u64, u32>,
}

impl Living {
    /// Looks at every process, and sets aside the namespaces that records account for: the kernel gives
    /// the number of one that has gone to a new one.
    pub fn look<'a>(records: impl Iterator<Item = &'a Attachment>) -> Self {
        let mut processes = of_processes();
        for record in records.filter(|record| !record.is_of_an_earlier_boot()) {
            if namespace_inode(Path::new(&record.netns)) == Some(record.inode) {
                processes.remove(&record.inode);
            }
        }
        Self { processes }
    }

    /// What has become of the namespace of an attachment of this boot.
    pub fn fate(&self, record: &Attachment) -> Fate {
        let shown = &record.netns;
        let why = match at(Path::new(shown)) {
            Place::Namespace(inode) if inode == record.inode => return Fate::Alive,
            Place::Unclear(why) => return Fate::Unclear(why),
            Place::Namespace(_) => format!("{shown} is another namespace by now"),
            Place::Nothing => format!("its namespace {shown} is gone"),
        };
        match self.processes.get(&record.inode) {
            Some(process) => Fate::Perhaps(format!("/proc/{process}/ns/net"), why),
            None => Fate::Gone(why),
        }
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
        Living::look(std::iter::once(&record)).fate(&record)
    }

    #[test]
    fn what_cannot_be_told_to_be_dead_is_not_gone() {
        let own = namespace_inode(Path::new("/proc/self/ns/net")).unwrap();
        assert_eq!(fate("/proc/self/ns/net", own), Fate::Alive);
        // A process is in one with its number, at whatever path.
        let Fate::Perhaps(path, why) = fate("/run/no-such-name", own) else {
            panic!("a process is in it")
        };
        assert_eq!(namespace_inode(Path::new(&path)), Some(own));
        assert!(why.contains("is gone"), "{why}");
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
    fn a_number_that_a_new_namespace_has_is_no_sign_of_the_old_one() {
        let own = namespace_inode(Path::new("/proc/self/ns/net")).unwrap();
        let (old, new) = (
            record("/run/no-such-name", own),
            record("/proc/self/ns/net", own),
        );
        let living = Living::look([&old, &new].into_iter());
        assert!(matches!(living.fate(&old), Fate::Gone(_)));
        assert_eq!(living.fate(&new), Fate::Alive);
    }
}
