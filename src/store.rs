//! Attachment records and the per-network lock.
//!
//! A record is written before the first change and removed after the last, so whatever dies in
//! between, DEL knows what to undo. `dataDir/NETWORK/CONTAINER:IFNAME.json`; neither part can have a
//! `:`. The lock is `runDir/NETWORK.lock`, held shared while a container joins a network with a
//! complete host side, alone while that side is made or taken away.

mod attachment;
mod definitions;
mod draft;
mod error;
mod filter;
mod lock;
mod peers;
pub mod safe;
mod single;
mod under_way;
mod unwritten;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::exec::Stop;
use crate::ip::IfName;
pub use attachment::{Attachment, Found, Moment, SeenFrom};
use attachment::{damaged, parse};
pub use error::StoreError;
use lock::How;
pub use lock::Lock;
pub use under_way::{Leaving, UnderWay};
use unwritten::Unwritten;

/// The name of the lock of what all networks of a node share, the packet filter's table; no network has it.
const SHARED: &str = ".node";

/// How often a folder is made that vanishes again; who takes it away does so once.
const FOLDER_TRIES: usize = 100;

/// The folders.
#[derive(Debug, Clone)]
pub struct Store {
    data: PathBuf,
    run: PathBuf,
    stop: Stop,
    /// Where nothing is written.
    unwritten: Option<Unwritten>,
}

impl Store {
    /// The store in these folders, which are made when they are first written to.
    pub fn new(data_dir: &Path, run_dir: &Path) -> Self {
        Self {
            data: data_dir.to_owned(),
            run: run_dir.to_owned(),
            stop: Stop::default(),
            unwritten: None,
        }
    }

    /// The same, waiting for a lock only until this program is told to end.
    pub fn until(self, stop: Stop) -> Self {
        Self { stop, ..self }
    }

    fn record(&self, network: &str, container: &str, ifname: &str) -> PathBuf {
        self.data
            .join(network)
            .join(format!("{container}:{ifname}.json"))
    }

    fn draft(&self, network: &str, container: &str, ifname: &str) -> PathBuf {
        self.data
            .join(network)
            .join(format!(".{container}:{ifname}"))
    }

    /// Marks an attachment as being worked on, so that a DEL of it waits; none where another verb is at
    /// work on it, or its record is another or gone by now.
    pub fn begin(&self, attachment: &Attachment) -> Option<UnderWay> {
        let (network, ifname) = (&attachment.network, attachment.ifname.as_str());
        let path = self.record(network, &attachment.container, ifname);
        let mark = match self.is_only_read() {
            true if under_way::is_under_way(&path) => return None,
            true => UnderWay::default(),
            false => under_way::mark_if_free(&path)?,
        };
        match read(path, network) {
            Some((_, Found::Whole(now))) if *now == *attachment => Some(mark),
            _ => None,
        }
    }

    /// Whether an ADD is at work on an attachment at this moment, by its record.
    pub fn is_under_way(&self, attachment: &Attachment) -> bool {
        under_way::is_under_way(&self.record(
            &attachment.network,
            &attachment.container,
            attachment.ifname.as_str(),
        ))
    }

    /// Removes a record and, with the last one, the network's folder. Nothing there is fine.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn remove(&self, network: &str, container: &str, ifname: &str) -> Result<(), StoreError> {
        let path = self.record(network, container, ifname);
        if let Some(unwritten) = &self.unwritten {
            unwritten.remove(path);
            return Ok(());
        }
        let dir = self.data.join(network);
        let draft = self.draft(network, container, ifname);
        for file in [&path, &draft] {
            present(std::fs::remove_file(file)).map_err(|source| StoreError::File {
                what: "remove",
                path: file.clone(),
                source,
            })?;
        }
        // Refused while another record is in it, which is right.
        let _ = std::fs::remove_dir(&dir);
        Ok(())
    }

    /// Finds a container's record, whichever network it is on.
    ///
    /// # Errors
    /// [`StoreError::File`] when the folder is there and cannot be listed; [`StoreError::Newer`] where a later version wrote
    /// the record: what it made is its to take off.
    pub fn find(&self, container: &str, ifname: &str) -> Result<Option<Found>, StoreError> {
        for network in self.networks()? {
            let path = self.record(&network, container, ifname);
            match self.read(path, &network) {
                Some((_, Found::Damaged { why, .. })) if why.is_of_a_newer_version() => {
                    return Err(why);
                }
                Some((_, found)) => return Ok(Some(found)),
                None => {}
            }
        }
        Ok(None)
    }

    /// The records of a network.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn attachments(&self, network: &str) -> Result<Vec<(PathBuf, Found)>, StoreError> {
        let dir = self.data.join(network);
        let names = list(&dir)?.into_iter();
        Ok(names
            .filter_map(|name| self.read(dir.join(name), network))
            .collect())
    }

    /// Whether a network has a record other than this one's. Those of an earlier boot hold nothing on this
    /// node, only a lease; the owner of one that cannot be read is unknown.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn is_used_by_others(
        &self,
        network: &str,
        container: &str,
        ifname: &str,
    ) -> Result<bool, StoreError> {
        let dir = self.data.join(network);
        let own = format!("{container}:{ifname}.json");
        for name in list(&dir)?.into_iter().filter(|name| *name != own) {
            if self
                .read(dir.join(name), network)
                .is_some_and(|(_, found)| found.is_of_this_boot())
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether no other network of this node is in use.
    ///
    /// # Errors
    /// [`StoreError::File`] when the records cannot be read.
    pub fn is_last(&self, network: &str) -> Result<bool, StoreError> {
        for other in self.networks()?.iter().filter(|name| *name != network) {
            if self.is_used_by_others(other, "", "")? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether an interface in a namespace is another container's, by its record of this boot, which
    /// must be later than `since`: an earlier one is of a container whose namespace has gone.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn is_anothers(
        &self,
        inode: u64,
        container: &str,
        ifname: &IfName,
        since: &Moment,
    ) -> Result<bool, StoreError> {
        let other = |record: &Attachment| {
            let same = record.inode == inode && record.ifname == *ifname;
            let later = !record.is_of_an_earlier_boot() && record.moment().is_after(since);
            same && record.container != container && later
        };
        for network in self.networks()? {
            let found = self.attachments(&network)?;
            if found
                .iter()
                .any(|(_, found)| matches!(found, Found::Whole(record) if other(record)))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The record in a file of a network; none where it is gone by now.
    fn read(&self, path: PathBuf, network: &str) -> Option<(PathBuf, Found)> {
        let is_there = !self.is_removed(&path);
        is_there.then(|| read(path, network)).flatten()
    }

    /// The networks that have a folder.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn networks(&self) -> Result<Vec<String>, StoreError> {
        list(&self.data)
    }

    /// Takes the lock of a network together with others that join it.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process held it alone all the time.
    pub fn share(&self, network: &str) -> Result<Lock, StoreError> {
        self.lock(network, How::Shared)
    }

    /// Takes the lock of a network alone.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process held it all the time.
    pub fn hold(&self, network: &str) -> Result<Lock, StoreError> {
        self.lock(network, How::Alone)
    }

    /// Takes the lock of what all networks of the node share alone.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process held it all the time.
    pub fn hold_shared_table(&self) -> Result<Lock, StoreError> {
        self.lock(SHARED, How::Alone)
    }

    /// Removes the file of the lock of what all networks share, where no process has it.
    pub fn forget_shared_lock(&self) {
        self.forget_lock(SHARED);
    }

    /// Removes the lock's file of a network that this node is not on. While another process has the lock,
    /// it is left to them; left behind, it does no harm.
    pub fn forget_lock(&self, network: &str) {
        if self.is_only_read() {
            return;
        }
        let unused = |_: &Lock| {
            self.is_used_by_others(network, "", "")
                .is_ok_and(|used| !used)
        };
        let lock = Lock::take_if_free(self.run.join(format!("{network}.lock")));
        if let Some(lock) = lock.filter(|lock| !lock.is_made()).filter(unused) {
            lock.remove();
        }
    }

    fn lock(&self, network: &str, how: How) -> Result<Lock, StoreError> {
        self.lock_file(format!("{network}.lock"), how)
    }

    /// Takes the lock in a file; of a dry run none.
    fn lock_file(&self, name: String, how: How) -> Result<Lock, StoreError> {
        if self.is_only_read() {
            return Ok(Lock::of_nothing());
        }
        make_dir(&self.run)?;
        Lock::take(self.run.join(name), how, &self.stop)
    }
}

/// The record in a file of a network; none where it is gone by now.
fn read(path: PathBuf, network: &str) -> Option<(PathBuf, Found)> {
    let found = match safe::read(&path) {
        Ok(bytes) => parse(&path, network, &bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        // It harms no other attachment.
        Err(error) => damaged(&path, network, error.to_string()),
    };
    Some((path, found))
}

/// Makes a folder and does something in it; again where the folder vanishes between the two: the
/// last attachment to leave a network takes the folder along, while another may be joining it.
fn in_a_folder<T>(dir: &Path, act: impl Fn() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let vanished = |error: &StoreError| match error {
        // A folder that was there when it was to be made, and no more when it was looked at.
        StoreError::File { source, .. } => matches!(
            source.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists
        ),
        _ => false,
    };
    for _ in 1..FOLDER_TRIES {
        match make_dir(dir).and_then(|()| act()) {
            Err(error) if vanished(&error) => {}
            done => return done,
        }
    }
    make_dir(dir).and_then(|()| act())
}

/// Makes a folder that only its owner can look into.
pub fn make_dir(path: &Path) -> Result<(), StoreError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| StoreError::File {
            what: "make the folder",
            path: path.to_owned(),
            source,
        })
}

/// Writes a file and waits until it is on the disk.
pub fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut file = create(path)?;
    fill(&mut file, bytes)?;
    Ok(file)
}

/// Writes a file anew by way of a draft beside it: whole at every moment, and no link that may be in the place of either is followed.
///
/// # Errors
/// [`StoreError::File`]; nothing is left of the draft then, as on a disk that is full.
pub fn write_whole(file: &Path, draft: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let write = || {
        present(std::fs::remove_file(draft))?;
        let mut options = OpenOptions::new();
        let mut new = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(draft)?;
        new.write_all(bytes)?;
        std::fs::rename(draft, file)
    };
    write().map_err(|source| {
        let _ = std::fs::remove_file(draft);
        StoreError::File {
            what: "write",
            path: file.to_owned(),
            source,
        }
    })
}

/// An empty file that only its owner may read.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

/// Writes a file's content through to the disk.
fn fill(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.sync_all()
}

/// The names in a folder, those with a dot in front left out; a folder that is not there has none.
pub fn list(dir: &Path) -> Result<Vec<String>, StoreError> {
    let failed = |source| StoreError::File {
        what: "list",
        path: dir.to_owned(),
        source,
    };
    let Some(entries) = present(std::fs::read_dir(dir)).map_err(failed)? else {
        return Ok(Vec::new());
    };
    let name = |entry: io::Result<std::fs::DirEntry>| match entry {
        Ok(entry) => Some(Ok(entry
            .file_name()
            .into_string()
            .ok()
            .filter(|name| !name.starts_with('.'))?)),
        Err(source) => Some(Err(failed(source))),
    };
    let mut names: Vec<String> = entries.filter_map(name).collect::<Result<_, _>>()?;
    names.sort();
    Ok(names)
}

/// Turns "not there" into `None`.
pub fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The time since this boot in milliseconds.
pub fn uptime() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let millis = now.tv_sec.saturating_mul(1000) + now.tv_nsec / 1_000_000;
    u64::try_from(millis).unwrap_or(0)
}

/// The id of this boot; empty where the kernel does not tell.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ip::TableId;
    use serde_json::Value;

    /// A folder for the files of one test, gone with it; not made, since what is tested makes its own.
    pub(crate) struct Folder(pub(crate) PathBuf);

    impl Folder {
        pub(crate) fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("vxlan-cni-store-{}-{name}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            Self(path)
        }

        fn store(&self) -> Store {
            Store::new(&self.0.join("data"), &self.0.join("run"))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn attachment(container: &str) -> Attachment {
        Attachment {
            format: Attachment::FORMAT,
            name: "net".into(),
            container: container.into(),
            ifname: "eth0".parse().unwrap(),
            netns: "/run/netns/p".into(),
            inode: 1,
            pod: None,
            network: "blue".into(),
            because: "defaultNetwork".into(),
            boot: boot_id(),
            since: String::new(),
            uptime: 0,
            seen_from: SeenFrom::default(),
            definition: Value::Null,
            table: TableId::new(192).unwrap(),
            pref: 19200,
            guard: true,
            ports: vec![4789],
            cidrs: Vec::new(),
            ipam: Value::Null,
            mac: None,
            lease: None,
        }
    }

    #[test]
    fn a_record_is_found_again_and_the_last_one_takes_its_folder_along() {
        let folder = Folder::new("records");
        let store = folder.store();
        assert!(store.find("a", "eth0").unwrap().is_none());
        drop(store.write(&attachment("a")).unwrap());
        drop(store.write(&attachment("b")).unwrap());
        assert!(
            matches!(store.find("a", "eth0").unwrap(), Some(Found::Whole(found)) if *found == attachment("a"))
        );
        assert!(store.find("a", "eth1").unwrap().is_none());
        store.remove("blue", "a", "eth0").unwrap();
        store.remove("blue", "a", "eth0").unwrap();
        assert!(store.is_used_by_others("blue", "a", "eth0").unwrap());
        assert!(!store.is_used_by_others("blue", "b", "eth0").unwrap());
        store.remove("blue", "b", "eth0").unwrap();
        assert_eq!(store.networks().unwrap(), [""; 0]);
    }

    #[test]
    fn records_of_an_earlier_boot_do_not_use_a_network() {
        let folder = Folder::new("boots");
        let store = folder.store();
        let of_boot = |container, boot: &str| Attachment {
            boot: boot.into(),
            ..attachment(container)
        };
        let used = || store.is_used_by_others("blue", "a", "eth0").unwrap();
        drop(store.write(&attachment("a")).unwrap());
        drop(store.write(&of_boot("b", "before")).unwrap());
        assert!(!used());
        // Where the kernel did not tell, nothing is known of the boot; nor is it of what cannot be read.
        drop(store.write(&of_boot("c", "")).unwrap());
        assert!(used());
        store.remove("blue", "c", "eth0").unwrap();
        std::fs::write(store.record("blue", "b", "eth0"), "{").unwrap();
        assert!(used());
    }

    #[test]
    fn a_record_is_written_though_others_take_the_empty_folder_away() {
        let folder = Folder::new("folder");
        let store = folder.store();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let sweep = || {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    store.sweep("other", "eth0").unwrap();
                }
            };
            let sweeping = [scope.spawn(sweep), scope.spawn(sweep)];
            let written = std::panic::catch_unwind(|| {
                for _ in 0..100 {
                    drop(store.write(&attachment("a")).unwrap());
                    store.remove("blue", "a", "eth0").unwrap();
                }
            });
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            for one in sweeping {
                one.join().unwrap();
            }
            written.unwrap();
        });
    }

    #[test]
    fn an_interface_is_anothers_by_the_time_since_the_boot_also_where_the_clock_stepped_back() {
        let folder = Folder::new("clock");
        let store = folder.store();
        let at = |container: &str, uptime, since: &str| Attachment {
            uptime,
            since: since.into(),
            ..attachment(container)
        };
        let eth0 = "eth0".parse().unwrap();
        for (first, second) in [
            (
                at("a", 10, "2026-01-01T12:00:00Z"),
                at("b", 20, "2026-01-01T11:00:00Z"),
            ),
            // Records of an earlier edition have the clock alone.
            (
                at("a", 0, "2026-01-01T12:00:00Z"),
                at("b", 20, "2026-01-01T13:00:00Z"),
            ),
        ] {
            drop(store.write(&second).unwrap());
            let is = |container: &str, moment: &Moment| {
                store.is_anothers(1, container, &eth0, moment).unwrap()
            };
            assert!(is("a", &first.moment()));
            assert!(!is("b", &second.moment()));
            drop(store.write(&first).unwrap());
            assert!(!is("b", &second.moment()));
            store.remove("blue", "a", "eth0").unwrap();
        }
    }

    #[test]
    fn a_record_cut_short_still_tells_its_network() {
        let folder = Folder::new("damaged");
        let store = folder.store();
        drop(store.write(&attachment("a")).unwrap());
        std::fs::write(store.record("blue", "a", "eth0"), "{\"format\":1,").unwrap();
        let Some(Found::Damaged { network, why }) = store.find("a", "eth0").unwrap() else {
            panic!()
        };
        assert_eq!(network, "blue");
        assert!(why.to_string().contains("a:eth0.json"), "{why}");
    }

    #[test]
    fn a_record_of_a_later_format_is_refused_by_name_whatever_else_is_in_it() {
        let folder = Folder::new("newer");
        let store = folder.store();
        drop(store.write(&attachment("a")).unwrap());
        let path = store.record("blue", "a", "eth0");
        let mut whole: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        whole["format"] = 2.into();
        for text in [whole.to_string(), r#"{"format": 4294967296}"#.to_owned()] {
            std::fs::write(&path, &text).unwrap();
            let why = store.find("a", "eth0").unwrap_err().to_string();
            let reads = concat!(
                "and vxlan ",
                env!("CARGO_PKG_VERSION"),
                " reads format 1 and older"
            );
            for words in ["a:eth0.json", "it has format ", reads] {
                assert!(why.contains(words), "{why}");
            }
            // Where all are looked at it is one that cannot be read.
            let all = store.attachments("blue").unwrap();
            assert!(
                matches!(&all[..], [(_, Found::Damaged { network, .. })] if network == "blue"),
                "{all:?}"
            );
            assert!(store.is_used_by_others("blue", "b", "eth0").unwrap());
        }
    }

    #[test]
    fn what_installs_knows_the_format_of_the_records() {
        let told = include_str!("../deploy/record-format");
        assert_eq!(told.trim(), Attachment::FORMAT.to_string());
    }

    #[test]
    fn a_record_under_anothers_name_speaks_for_nobody() {
        let folder = Folder::new("misnamed");
        let store = folder.store();
        drop(store.write(&attachment("a")).unwrap());
        let path = |container: &str| store.record("blue", container, "eth0");
        std::fs::copy(path("a"), path("b")).unwrap();
        let found = store.find("b", "eth0").unwrap();
        assert!(
            matches!(&found, Some(Found::Damaged { why, .. }) if why.to_string().contains("it speaks of `a/eth0`")),
            "{found:?}"
        );
        assert!(matches!(
            store.find("a", "eth0").unwrap(),
            Some(Found::Whole(_))
        ));
    }
}
