//! Which attachment an operator means by a word.

use crate::cni::{CniError, Code};
use crate::sanitize::printable;
use crate::store::Attachment;

/// Where the attachments are shown.
pub const LISTED: &str = "`vxlan status` lists the attachments";

/// A container's id, with its interface or without; where no attachment has exactly that, the start of one.
#[derive(Debug, Clone, Copy)]
pub struct Meant<'a> {
    word: &'a str,
    by_start: bool,
}

impl<'a> Meant<'a> {
    /// What a word means among some attachments.
    pub fn among<'b>(word: &'a str, records: impl IntoIterator<Item = &'b Attachment>) -> Self {
        let mut records = records.into_iter();
        Self {
            word,
            by_start: !word.is_empty() && !records.any(|record| is_exactly(record, word)),
        }
    }

    /// Whether an attachment is meant.
    pub fn is(&self, record: &Attachment) -> bool {
        is_exactly(record, self.word) || self.by_start && record.container.starts_with(self.word)
    }
}

/// The error where no attachment is meant.
pub fn nothing(word: &str) -> CniError {
    let msg = format!("no attachment on this node is `{}`", printable(word));
    CniError::new(Code::UNKNOWN_CONTAINER, msg)
}

fn is_exactly(record: &Attachment, word: &str) -> bool {
    record.container == word || record.id() == word
}
