//! A record on its way to the disk.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use super::{Attachment, Store, StoreError, UnderWay, create, fill, in_a_folder};

/// A record that is on the disk under another name, which no list has. Dropped, it goes.
#[derive(Debug)]
pub struct Draft {
    mark: UnderWay,
    /// None where nothing is written.
    unnamed: Option<Unnamed>,
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
        let mut draft = self.draft_of(attachment)?;
        draft.write(attachment)?;
        draft.publish()
    }

    /// Writes a record in the place of one of the same attachment: after a crash either is there, whole.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn replace(&self, attachment: &Attachment) -> Result<UnderWay, StoreError> {
        let mut draft = self.draft_of(attachment)?;
        draft.write(attachment)?;
        draft.rename()
    }

    /// Begins a record: the processes that are started from here on are known to work on it.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn draft_of(&self, attachment: &Attachment) -> Result<Draft, StoreError> {
        let (network, container) = (&attachment.network, &attachment.container);
        let ifname = attachment.ifname.as_str();
        let path = self.record(network, container, ifname);
        let dir = self.data.join(network);
        if self.is_only_read() {
            return Ok(Draft {
                mark: UnderWay::default(),
                unnamed: None,
                dir,
                path,
            });
        }
        // The dot keeps half-written ones out of every list.
        let unnamed = Unnamed(self.draft(network, container, ifname));
        let begun = in_a_folder(&dir, || {
            create(&unnamed.0)
                .and_then(UnderWay::mark)
                .map_err(|source| StoreError::File {
                    what: "write",
                    path: path.clone(),
                    source,
                })
        });
        Ok(Draft {
            mark: begun?,
            unnamed: Some(unnamed),
            dir,
            path,
        })
    }
}

impl Draft {
    fn failed(&self, source: io::Error) -> StoreError {
        StoreError::File {
            what: "write",
            path: self.path.clone(),
            source,
        }
    }

    /// Writes it, durably.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn write(&mut self, attachment: &Attachment) -> Result<(), StoreError> {
        let Some(file) = self.mark.record() else {
            return Ok(());
        };
        let written = serde_json::to_vec(attachment)
            .map_err(io::Error::from)
            .and_then(|text| fill(file, &text));
        written.map_err(|source| self.failed(source))
    }

    /// Gives it its name, durably.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn publish(self) -> Result<UnderWay, StoreError> {
        if self.unnamed.is_none() {
            return Ok(self.mark);
        }
        let dir = self.dir.clone();
        let path = self.path.clone();
        let mark = self.rename()?;
        File::open(dir)
            .and_then(|dir| dir.sync_all())
            .map_err(|source| StoreError::File {
                what: "write",
                path,
                source,
            })?;
        Ok(mark)
    }

    fn rename(self) -> Result<UnderWay, StoreError> {
        if let Some(unnamed) = &self.unnamed {
            std::fs::rename(&unnamed.0, &self.path).map_err(|source| self.failed(source))?;
        }
        Ok(self.mark)
    }
}
