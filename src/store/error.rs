//! What can fail in the store, and what the runtime is told of it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use super::Attachment;
use crate::cni::{CniError, Code};

/// What failed, and where.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A file or folder could not be used.
    #[error("cannot {what} {path}: {source}")]
    File {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A record is not what this program writes.
    #[error("the record {path} cannot be read: {why}")]
    Damaged {
        /// The record.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A record has a later layout than this program reads: the program is older than the one that wrote it.
    #[error(
        "the record {path} cannot be read: it has format {format}, and vxlan {} reads format {} and older; a newer vxlan wrote it",
        env!("CARGO_PKG_VERSION"),
        Attachment::FORMAT
    )]
    Newer {
        /// The record.
        path: PathBuf,
        /// Its layout.
        format: u64,
    },
    /// This program was told to end while it waited for a lock.
    #[error("told to end (SIGTERM) while others held the lock {path}")]
    Interrupted {
        /// The lock.
        path: PathBuf,
    },
    /// An ADD of the same attachment, or what is left of it, was at work all the time.
    #[error("an ADD of {record} was still under way after {} s", .waited.as_secs())]
    UnderWay {
        /// The attachment's record.
        record: PathBuf,
        /// How long.
        waited: Duration,
    },
    /// Another process held the lock all the time.
    #[error("the lock {path} was held by others for {} s", .waited.as_secs())]
    Locked {
        /// The lock.
        path: PathBuf,
        /// How long.
        waited: Duration,
    },
}

impl StoreError {
    /// Whether a later version of this program wrote what cannot be read.
    pub fn is_of_a_newer_version(&self) -> bool {
        matches!(self, Self::Newer { .. })
    }
}

impl From<StoreError> for CniError {
    fn from(error: StoreError) -> Self {
        let (code, advice) = match &error {
            StoreError::File { .. } => (Code::IO, "make room and check the rights: df; ls -ld"),
            StoreError::Damaged { .. } => (Code::IO, "a DEL of that attachment removes it"),
            StoreError::Newer { .. } => (
                Code::IO,
                "nothing was changed; install that vxlan again, which takes the attachment off",
            ),
            StoreError::Interrupted { .. } => {
                (Code::TRY_AGAIN, "what was made is undone; try again")
            }
            StoreError::UnderWay { .. } => (
                Code::TRY_AGAIN,
                "a process of it is left, an IPAM plugin or a command: fuser -v on the file; try again",
            ),
            StoreError::Locked { .. } => {
                (Code::TRY_AGAIN, "see who holds it: fuser -v on the file")
            }
        };
        Self::new(code, error.to_string()).details(advice)
    }
}
