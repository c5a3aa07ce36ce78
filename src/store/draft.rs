//! A record on its way to the disk.

use std::fs::File;
use std::path::PathBuf;

use super::{Attachment, Store, StoreError, UnderWay, in_a_folder, write_durably};

/// A record that is on the disk under another name, which no list has. Dropped, it goes.
#[derive(Debug)]
pub struct Draft {
    mark: UnderWay,
    unnamed: Unnamed,
    dir: PathBuf,
    path: PathBuf,
}

/// The other name, until it is dropped. Where the record has its own by then, there is nothing of this one.
#[derive(Debug)]
struct Unnamed(PathBuf);

impl Drop for Unnamed {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Store {
    /// Writes a record so that it is whole or not there: a file of its own, fsync, rename, fsync. It is
    /// under way as long as the answer lives, and the processes that are started meanwhile.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn write(&self, attachment: &Attachment) -> Result<UnderWay, StoreError> {
        self.draft_of(attachment)?.publish()
    }

    /// The first half of it, for what waits for something else meanwhile.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn draft_of(&self, attachment: &Attachment) -> Result<Draft, StoreError> {
        let (network, container) = (&attachment.network, &attachment.container);
        let ifname = attachment.ifname.as_str();
        let path = self.record(network, container, ifname);
        let failed = |source| StoreError::File {
            what: "write",
            path: path.clone(),
            source,
        };
        let text = serde_json::to_vec(attachment).map_err(|source| failed(source.into()))?;
        let dir = self.data.join(network);
        // The dot keeps half-written ones out of every list.
        let unnamed = Unnamed(self.draft(network, container, ifname));
        let record = in_a_folder(&dir, || write_durably(&unnamed.0, &text).map_err(failed))?;
        Ok(Draft {
            mark: UnderWay::mark(record).map_err(failed)?,
            unnamed,
            dir,
            path: path.clone(),
        })
    }
}

impl Draft {
    /// Gives it its name.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn publish(self) -> Result<UnderWay, StoreError> {
        let failed = |source| StoreError::File {
            what: "write",
            path: self.path.clone(),
            source,
        };
        std::fs::rename(&self.unnamed.0, &self.path).map_err(failed)?;
        File::open(&self.dir)
            .and_then(|dir| dir.sync_all())
            .map_err(failed)?;
        Ok(self.mark)
    }
}
