//! One verb at a time begins with an attachment, whichever network it is for.
//!
//! The lock of a network is shared by all that join it, so that two ADDs of one attachment, as a runtime sends that
//! asks again too soon, would both find no record and both write one; and the one that fails would take the other's
//! record and lease along. The lock of an attachment is held for as long as it takes to look for its record and
//! to write one: milliseconds. The record shows what is at work on it after that ([`super::under_way`]).

use std::time::SystemTime;

use super::lock::{How, Lock};
use super::{Attachment, Leaving, Store, StoreError, under_way};

impl Store {
    /// Takes the lock of an attachment. Its file goes by [`Lock::remove`].
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process held it all the time, [`StoreError::File`].
    pub fn hold_attachment(&self, container: &str, ifname: &str) -> Result<Lock, StoreError> {
        // No network's lock has a colon, and none starts with a dot.
        self.lock_file(format!(".{container}:{ifname}"), How::Alone)
    }

    /// Waits until no ADD of an attachment is at work any more, whatever became of the program that
    /// carried it out; no verb begins anything with it as long as the answer lives.
    ///
    /// # Errors
    /// [`StoreError::UnderWay`] when one was all the time, [`StoreError::File`].
    pub fn wait_for_add(&self, container: &str, ifname: &str) -> Result<Vec<Leaving>, StoreError> {
        if self.is_only_read() {
            return Ok(Vec::new());
        }
        // One that has not begun to write yet comes after this; one that writes is waited for.
        let path = self.run.join(format!(".{container}:{ifname}"));
        if path.exists() {
            self.hold_attachment(container, ifname)?.remove();
        }
        let mut leaving = Vec::new();
        for network in self.networks()? {
            leaving.extend(under_way::wait(self.record(&network, container, ifname))?);
        }
        Ok(leaving)
    }

    /// Whether an ADD is at work on an attachment, or has ended at a moment or after it. Writing its record is the last that
    /// it does.
    pub fn is_young(&self, attachment: &Attachment, moment: SystemTime) -> bool {
        let (network, ifname) = (&attachment.network, attachment.ifname.as_str());
        let record = self.record(network, &attachment.container, ifname);
        let is_written_since = |record| {
            let written = std::fs::symlink_metadata(record).and_then(|found| found.modified());
            written.is_ok_and(|written| written >= moment)
        };
        // In this order: what is at rest at the first look has been written by the second.
        under_way::is_under_way(&record) || is_written_since(record)
    }

    /// Removes what an ADD that was killed before it had written its record has left.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn sweep(&self, container: &str, ifname: &str) -> Result<(), StoreError> {
        if self.is_only_read() {
            return Ok(());
        }
        for network in self.networks()? {
            let draft = self.draft(&network, container, ifname);
            if draft.exists() {
                let alone = self.hold_attachment(container, ifname)?;
                let removed = under_way::remove_abandoned(&draft);
                alone.remove();
                removed?;
            }
            // Refused while a record is in it, which is right.
            let _ = std::fs::remove_dir(self.data.join(&network));
        }
        Ok(())
    }
}
