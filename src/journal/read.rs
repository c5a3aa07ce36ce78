//! A journal's file, read: whole, or as it grows.
//!
//! What was put aside as `PATH.1` comes first. Put aside by this program or logrotate, nothing
//! is lost and nothing comes twice.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::aside;
use crate::deed::{self, Deed};
use crate::store::present;

/// Every verb in a journal, by its start; none where there is no journal.
///
/// # Errors
/// When a file is there and cannot be read.
pub fn read(path: &Path) -> io::Result<Vec<Deed>> {
    let lines = Tail::new(path)?.lines()?;
    let journal = path.display().to_string();
    let of_it = |deed| Deed {
        journal: journal.clone(),
        ..deed
    };
    let deeds = deed::read(lines.iter().map(String::as_str));
    Ok(deeds.into_iter().map(of_it).collect())
}

/// A journal that is read to its end, and again when there is more.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    /// What was put aside, still to be read.
    before: Option<File>,
    file: Option<File>,
    /// What was read, up to a line that is not whole yet.
    rest: Vec<u8>,
}

impl Tail {
    /// Opens a journal, which need not be there.
    ///
    /// # Errors
    /// When a file is there and cannot be opened.
    pub fn new(path: &Path) -> io::Result<Self> {
        let file = present(File::open(path))?;
        let before = present(File::open(aside(path)))?;
        // Put aside between the two, it was opened twice.
        let twice = number(&file)? == number(&before)?;
        Ok(Self {
            path: path.to_owned(),
            before: before.filter(|_| !twice),
            file,
            rest: Vec::new(),
        })
    }

    /// The lines that have come since the last time; at first all there are.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn lines(&mut self) -> io::Result<Vec<String>> {
        if let Some(mut before) = self.before.take() {
            before.read_to_end(&mut self.rest)?;
        }
        let named = present(std::fs::metadata(&self.path))?.map(|meta| meta.ino());
        // First what was written to it before it was put aside.
        self.take()?;
        if named.is_some() && named != number(&self.file)? {
            self.file = present(File::open(&self.path))?;
            self.take()?;
        }
        let whole = self.rest.iter().rposition(|byte| *byte == b'\n');
        let lines: Vec<u8> = self
            .rest
            .drain(..whole.map_or(0, |last| last + 1))
            .collect();
        let lines = String::from_utf8_lossy(&lines);
        Ok(lines.lines().map(str::to_owned).collect())
    }

    /// Reads what the open file has more.
    fn take(&mut self) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        // Cut short in its place, as logrotate's `copytruncate` does.
        if file.metadata()?.size() < file.stream_position()? {
            file.rewind()?;
        }
        file.read_to_end(&mut self.rest)?;
        Ok(())
    }
}

fn number(file: &Option<File>) -> io::Result<Option<u64>> {
    let number = |file: &File| Ok(file.metadata()?.ino());
    file.as_ref().map(number).transpose()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::journal::Journal;

    fn folder(name: &str) -> PathBuf {
        let dir =
            std::env::temp_dir().join(format!("vxlan-cni-read-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn verb(path: &Path, rotate_at: u64, id: &str, lines: usize) {
        let journal = Journal {
            rotate_at,
            ..Journal::new(path, &format!("ADD blue {id}"), " pod=shop/web")
        };
        for number in 0..lines {
            journal.commands(&[format!("true {number}")]);
        }
        journal.end("ok 10.1.0.9/16");
    }

    #[test]
    fn a_verb_that_began_before_the_file_was_put_aside_is_read_whole() {
        let dir = folder("whole");
        let path = dir.join("log");
        assert!(read(&path).unwrap().is_empty());
        verb(&path, 1 << 20, "a/eth0", 3);
        // The file is full before its last line: the rest goes into the next one.
        verb(&path, 230, "b/eth0", 6);
        assert!(aside(&path).exists());
        let deeds = read(&path).unwrap();
        let mut shape: Vec<_> = deeds
            .iter()
            .map(|deed| (deed.id.as_deref().unwrap(), deed.lines.len()))
            .collect();
        // Both may be of one millisecond.
        shape.sort();
        assert_eq!(shape, [("a/eth0", 3), ("b/eth0", 6)]);
        assert!(deeds.iter().all(|deed| deed.end.is_some()));
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_journal_is_followed_through_being_made_put_aside_and_cut_short() {
        use std::io::Write;
        let dir = folder("follow");
        let path = dir.join("log");
        let mut tail = Tail::new(&path).unwrap();
        assert!(tail.lines().unwrap().is_empty());
        let append = |text: &str| {
            let mut options = std::fs::OpenOptions::new();
            let mut file = options.append(true).create(true).open(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        append("one\ntw");
        assert_eq!(tail.lines().unwrap(), ["one"]);
        append("o\nthree\n");
        std::fs::rename(&path, aside(&path)).unwrap();
        append("four\n");
        assert_eq!(tail.lines().unwrap(), ["two", "three", "four"]);
        std::fs::write(&path, "").unwrap();
        assert!(tail.lines().unwrap().is_empty());
        append("5\n");
        assert_eq!(tail.lines().unwrap(), ["5"]);
        let all = Tail::new(&path).unwrap().lines().unwrap();
        assert_eq!(all, ["one", "two", "three", "5"]);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_journal_that_is_not_to_be_read_is_an_error() {
        assert!(read(&std::env::temp_dir()).is_err());
    }
}
