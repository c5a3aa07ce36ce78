//! A lock in a file that goes with what it guards.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::StoreError;
use crate::exec::Stop;

/// How long a lock is waited for. What is done under it takes milliseconds.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The longest pause between two tries at a lock.
const PAUSE: Duration = Duration::from_millis(10);

/// A lock that is held; dropped, it is free.
#[derive(Debug)]
pub struct Lock {
    /// None of a dry run's, which keeps no other process out.
    file: Option<File>,
    path: PathBuf,
}

/// How a lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Together with others.
    Shared,
    /// Alone.
    Alone,
}

impl Lock {
    /// What a dry run has in the place of a lock.
    pub(super) fn of_nothing() -> Self {
        Self {
            file: None,
            path: PathBuf::new(),
        }
    }

    /// Takes the lock in a file, which is made where it is not there.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process held it all the time, [`StoreError::Interrupted`] when
    /// this program was told to end meanwhile.
    pub(super) fn take(path: PathBuf, how: How, stop: &Stop) -> Result<Self, StoreError> {
        let failed = |source| StoreError::File {
            what: "lock",
            path: path.clone(),
            source,
        };
        let (start, mut pause) = (Instant::now(), Duration::from_micros(200));
        loop {
            let file = open(&path).map_err(failed)?;
            let held = match how {
                How::Shared => file.try_lock_shared(),
                How::Alone => file.try_lock(),
            };
            match held {
                Ok(()) if is_still(&file, &path) => {
                    let file = Some(file);
                    return Ok(Self { file, path });
                }
                // Removed by its last holder between opening and locking: the next one has a new file.
                Ok(()) => continue,
                Err(TryLockError::Error(source)) => return Err(failed(source)),
                Err(TryLockError::WouldBlock) => {}
            }
            if stop.is_told() {
                return Err(StoreError::Interrupted { path });
            }
            if start.elapsed() >= TIMEOUT {
                return Err(StoreError::Locked {
                    path,
                    waited: TIMEOUT,
                });
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE);
        }
    }

    /// Takes the lock in a file that is there alone, where it is free at this moment.
    pub(super) fn take_if_free(path: PathBuf) -> Option<Self> {
        let file = reopen(&path).ok()?;
        let free = file.try_lock().is_ok() && is_still(&file, &path);
        let file = free.then_some(file)?;
        Some(Self {
            file: Some(file),
            path,
        })
    }

    /// Notes, before it is made, that the host side is this program's work: who fails last takes it
    /// away, whichever ADD made it. Folder and note go with the boot, as the devices do.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn note_made(&self) -> Result<(), StoreError> {
        let mut file = self.file.as_ref();
        let noted = file.as_mut().map(|file| file.write_all(b"made\n"));
        noted.unwrap_or(Ok(())).map_err(|source| StoreError::File {
            what: "write",
            path: self.path.clone(),
            source,
        })
    }

    /// Whether the host side is this program's work.
    pub fn is_made(&self) -> bool {
        let metadata = self.file.as_ref().map(File::metadata);
        metadata.is_some_and(|meta| meta.is_ok_and(|meta| meta.len() > 0))
    }

    /// Removes the file of a lock that is held alone: the network is gone from this node.
    pub fn remove(self) {
        if self.file.is_some() {
            // Left behind, it does no harm.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Opens a lock's file, which is made where it is not there.
fn open(path: &Path) -> io::Result<File> {
    options().create(true).mode(0o600).open(path)
}

/// Opens a lock's file that is there.
fn reopen(path: &Path) -> io::Result<File> {
    options().open(path)
}

/// For writing, without following a link that may have been put there.
fn options() -> OpenOptions {
    let nofollow = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
    let mut options = OpenOptions::new();
    options.write(true).truncate(false).custom_flags(nofollow);
    options
}

/// Whether a path still leads to an open file.
pub(super) fn is_still(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::tests::Folder;

    fn lock(folder: &Folder) -> PathBuf {
        std::fs::create_dir_all(&folder.0).unwrap();
        folder.0.join("blue.lock")
    }

    #[test]
    fn those_who_share_a_lock_keep_out_the_one_who_wants_it_alone() {
        let folder = Folder::new("share");
        let share = || Lock::take(lock(&folder), How::Shared, &Stop::default()).unwrap();
        let (one, two) = (share(), share());
        let file = open(&lock(&folder)).unwrap();
        assert!(matches!(file.try_lock(), Err(TryLockError::WouldBlock)));
        drop((one, two));
        assert!(file.try_lock().is_ok());
    }

    #[test]
    fn a_lock_that_was_removed_is_not_mistaken_for_the_new_one() {
        let folder = Folder::new("removed");
        let path = lock(&folder);
        let take = || Lock::take(path.clone(), How::Alone, &Stop::default()).unwrap();
        take().remove();
        assert!(!path.exists());
        let stale = open(&path).unwrap();
        take().remove();
        assert!(!is_still(&stale, &path));
    }

    #[test]
    fn b55_a_link_in_the_place_of_a_lock_is_not_followed() {
        let folder = Folder::new("link");
        let target = folder.0.join("target");
        std::os::unix::fs::symlink(&target, lock(&folder)).unwrap();
        let refused = Lock::take(lock(&folder), How::Alone, &Stop::default());
        assert!(matches!(refused, Err(StoreError::File { .. })));
        assert!(!target.exists());
    }
}
