//! Which attachment an operator means by a word.

use crate::store::Attachment;

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

fn is_exactly(record: &Attachment, word: &str) -> bool {
    record.container == word || record.id() == word
}
