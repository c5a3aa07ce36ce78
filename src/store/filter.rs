//! What the guard of a network on this node was last made from: a file in `runDir`, which goes with the boot as the
//! packet filter's tables do. It saves an ADD the look at them, which costs as much as the ADD, and it tells what must
//! hold where configurations differ or were edited: the latest ADD's.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use super::{Store, StoreError, make_dir};
use crate::config::Filter;

impl Store {
    /// What the guard of a network was last made from; what cannot be read is none.
    pub fn filter(&self, network: &str) -> Option<Filter> {
        let bytes = std::fs::read(self.filter_file(network)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Notes what it has been made from now.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn note_filter(&self, network: &str, filter: &Filter) -> Result<(), StoreError> {
        if self.is_only_read() {
            return Ok(());
        }
        make_dir(&self.run)?;
        let path = self.filter_file(network);
        let bytes = serde_json::to_vec(filter).unwrap_or_default();
        // Without following a link that may be in its place.
        let nofollow = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = options.custom_flags(nofollow).open(&path);
        let written = file.and_then(|mut file| file.write_all(&bytes));
        written.map_err(|source| StoreError::File {
            what: "write",
            path,
            source,
        })
    }

    /// Forgets it, when the guard has gone.
    pub fn forget_filter(&self, network: &str) {
        if self.is_only_read() {
            return;
        }
        // Left behind, it goes with the boot; the next guard writes it anew.
        let _ = std::fs::remove_file(self.filter_file(network));
    }

    fn filter_file(&self, network: &str) -> PathBuf {
        self.run.join(format!("{network}.filter"))
    }
}
