//! The sign that an ADD, or a process it started, is still at work on an attachment.
//!
//! A runtime that loses patience kills the plugin, not the plugins and commands it had started: an
//! orphaned IPAM plugin can claim an address after the DEL that follows has released everything. So the
//! record of an attachment that is being made is locked, and the lock is inherited: it is free when the
//! last of those processes is gone.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::io::{FdFlags, fcntl_setfd};

use super::lock::is_still;
use super::{StoreError, present, safe};

/// How long a DEL waits for the rest of an ADD: runtimes give a DEL at least as long.
const LIMIT: Duration = Duration::from_secs(10);

/// The longest pause between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Says, while it lives or a process started meanwhile does, that the attachment is being made.
/// Of a dry run it says nothing.
#[derive(Debug, Default)]
#[must_use]
pub struct UnderWay {
    record: Option<File>,
}

impl UnderWay {
    /// Locks a record that no other process can know of yet.
    pub(super) fn mark(record: File) -> io::Result<Self> {
        record.try_lock_shared()?;
        fcntl_setfd(&record, FdFlags::empty())?;
        Ok(Self {
            record: Some(record),
        })
    }

    /// The record, where it is written.
    pub(super) fn record(&mut self) -> Option<&mut File> {
        self.record.as_mut()
    }
}

/// Says, while it lives, that the attachment is being taken off.
#[derive(Debug)]
#[must_use]
pub struct Leaving {
    _record: File,
}

/// Marks what a record that others know of tells as being worked on; none where another verb is at work
/// on it, or it is gone.
pub(super) fn mark_if_free(record: &Path) -> Option<UnderWay> {
    let mark = UnderWay::mark(safe::open(record).ok()?).ok()?;
    let file = mark.record.as_ref()?;
    is_still(file, record).then_some(mark)
}

/// Whether a process is still at work on what a file records. One that is not there, or cannot be
/// opened, is at rest.
pub(super) fn is_under_way(record: &Path) -> bool {
    locked(record).is_some()
}

/// A file that another process has locked.
fn locked(path: &Path) -> Option<File> {
    safe::open(path)
        .ok()
        .filter(|file| file.try_lock().is_err())
}

/// Waits until no process is at work on what a file records, and keeps others from beginning; none where there
/// is no such file.
///
/// # Errors
/// [`StoreError::UnderWay`] when one was all the time.
pub(super) fn wait(record: PathBuf) -> Result<Option<Leaving>, StoreError> {
    let (start, mut pause) = (Instant::now(), Duration::from_millis(1));
    loop {
        // Looked up anew each time: an ADD that ends well replaces the file. Kept open meanwhile, so that
        // `fuser` shows who waits.
        let Ok(file) = safe::open(&record) else {
            return Ok(None);
        };
        match file.try_lock() {
            Ok(()) if is_still(&file, &record) => return Ok(Some(Leaving { _record: file })),
            Ok(()) | Err(_) => {}
        }
        if start.elapsed() >= LIMIT {
            return Err(StoreError::UnderWay {
                record,
                waited: LIMIT,
            });
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(PAUSE);
    }
}

/// Removes a draft that no process is writing any more. Nothing there is fine.
pub(super) fn remove_abandoned(draft: &Path) -> Result<(), StoreError> {
    if is_under_way(draft) {
        return Ok(());
    }
    present(std::fs::remove_file(draft))
        .map(|_| ())
        .map_err(|source| StoreError::File {
            what: "remove",
            path: draft.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::tests::Folder;
    use std::process::Command;

    #[test]
    fn a_record_is_under_way_until_the_last_process_started_meanwhile_is_gone() {
        let folder = Folder::new("under-way");
        std::fs::create_dir_all(&folder.0).unwrap();
        let path = folder.0.join("record");
        assert!(!is_under_way(&path));
        let mark = UnderWay::mark(File::create(&path).unwrap()).unwrap();
        let mut orphan = Command::new("sleep").arg("60").spawn().unwrap();
        drop(mark);
        assert!(is_under_way(&path));
        orphan.kill().unwrap();
        orphan.wait().unwrap();
        let leaving = wait(path.clone()).unwrap();
        assert!(leaving.is_some() && mark_if_free(&path).is_none());
        drop(leaving);
        assert!(mark_if_free(&path).is_some());
        std::fs::remove_file(&path).unwrap();
        assert!(wait(path).unwrap().is_none());
    }
}
