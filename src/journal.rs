//! The log that is itself a shell script: every command that changes something, before it runs.
//!
//! One verb's lines stand between its head line and its end line. Verbs that run at the same time
//! write into the same file, so a verb whose lines were separated by another's repeats its head: every
//! line belongs to the nearest head above it. Never fatal: a journal that cannot be written is told
//! once on stderr.

pub mod read;
pub mod since;

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use crate::exec::Exec;
use crate::outlet;

/// Bytes at which the file is put aside as `PATH.1`, in place of the one before.
pub const ROTATE_AT: u64 = 16 << 20;

/// Times the lock of the file is asked for before the lines are written without it.
const LOCK_TRIES: u32 = 200;

/// One verb's part of the journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    subject: String,
    notes: String,
    is_muted: bool,
    rotate_at: u64,
    started: Instant,
    /// Inode and size of the file when this verb last wrote: still the same, no other process wrote in between.
    last: Cell<Option<(u64, u64)>>,
    told: Cell<bool>,
}

impl Journal {
    /// Starts a verb's part: `subject` is what stands behind the time in its first and last line, as
    /// `ADD blue 3f2a/eth0`, `notes` what the first adds, as ` pod=shop/web-1`.
    ///
    /// The file is touched with the first line only.
    pub fn new(path: &Path, subject: &str, notes: &str) -> Self {
        Self {
            path: path.to_owned(),
            subject: one_line(subject),
            notes: one_line(notes),
            is_muted: false,
            rotate_at: ROTATE_AT,
            started: Instant::now(),
            last: Cell::new(None),
            told: Cell::new(false),
        }
    }

    /// The same; of a dry run it writes nothing.
    pub fn of(self, exec: &dyn Exec) -> Self {
        Self {
            is_muted: exec.dry_run().is_some(),
            ..self
        }
    }

    /// Writes commands, one a line, before they run.
    pub fn commands(&self, lines: &[String]) {
        if !lines.is_empty() {
            self.write(
                &lines
                    .iter()
                    .map(|line| one_line(line) + "\n")
                    .collect::<String>(),
                Head::IfSeparated,
            );
        }
    }

    /// Writes a remark.
    pub fn remark(&self, text: &str) {
        self.write(&format!("# {}\n", one_line(text)), Head::IfSeparated);
    }

    /// Writes the end of the verb: what came of it, and how long it took.
    pub fn end(&self, outcome: &str) {
        let milliseconds = self.started.elapsed().as_secs_f64() * 1e3;
        let (word, rest) = outcome.split_once(' ').unwrap_or((outcome, ""));
        let line = format!("{} {word} {milliseconds:.1} ms {rest}", self.title());
        self.write(&format!("{}\n", one_line(line.trim_end())), Head::InTheText);
    }

    /// `# TIME SUBJECT`.
    fn title(&self) -> String {
        format!(
            "# {} {}",
            humantime::format_rfc3339_millis(SystemTime::now()),
            self.subject
        )
    }

    fn write(&self, text: &str, head: Head) {
        if self.is_muted {
            return;
        }
        if let Err(error) = self.try_write(text, head)
            && !self.told.replace(true)
        {
            outlet::remark(&format!(
                "vxlan-cni: the journal {} cannot be written: {error}\n",
                self.path.display()
            ));
        }
    }

    fn try_write(&self, text: &str, head: Head) -> io::Result<()> {
        let mut file = self.open()?;
        let size = file.seek(SeekFrom::End(0))?;
        let here = (file.metadata()?.ino(), size);
        let text = match head {
            Head::IfSeparated if self.last.get() != Some(here) => {
                format!("{}{}\n{text}", self.title(), self.notes)
            }
            _ => text.to_owned(),
        };
        file.write_all(text.as_bytes())?;
        self.last.set(Some((here.0, size + text.len() as u64)));
        Ok(())
    }

    /// Opens and locks the file, a new one where it has grown too large. The lock ends with the file.
    fn open(&self) -> io::Result<File> {
        loop {
            let file = OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .open(&self.path)?;
            lock_briefly(&file);
            let seen = file.metadata()?;
            match std::fs::metadata(&self.path) {
                // Put aside by another between opening and locking.
                Ok(named) if named.ino() != seen.ino() => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                _ if seen.size() < self.rotate_at => return Ok(file),
                _ => std::fs::rename(&self.path, aside(&self.path))?,
            }
        }
    }
}

/// Whether lines need a head before them.
#[derive(Clone, Copy)]
enum Head {
    /// Where this verb has not written the line before them.
    IfSeparated,
    /// They say themselves whose they are.
    InTheText,
}

/// `PATH.1`.
fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

/// Waits for the lock a short while; lines written without it are better than no lines.
fn lock_briefly(file: &File) {
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return,
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(1)),
        }
    }
}

/// A newline would start a command of its own: control characters become `?`.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let dir =
            std::env::temp_dir().join(format!("vxlan-cni-journal-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn a_verb_has_a_head_its_commands_and_an_end() {
        let dir = folder("plain");
        let path = dir.join("log");
        let journal = Journal::new(&path, "ADD blue 3f2a/eth0", " pod=shop/web-1");
        journal.commands(&[
            "ip link add vx_blue".into(),
            "ip link set vx_blue up".into(),
        ]);
        journal.end("ok 10.1.0.23/16");
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].starts_with("# 2")
                && lines[0].ends_with("Z ADD blue 3f2a/eth0 pod=shop/web-1"),
            "{text}"
        );
        assert_eq!(
            lines[1..3],
            ["ip link add vx_blue", "ip link set vx_blue up"]
        );
        assert!(
            lines[3].contains("ADD blue 3f2a/eth0 ok ") && lines[3].ends_with(" ms 10.1.0.23/16"),
            "{text}"
        );
        assert_eq!(lines.len(), 4);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_verb_that_was_interrupted_by_another_repeats_its_head() {
        let dir = folder("mixed");
        let path = dir.join("log");
        let (one, two) = (
            Journal::new(&path, "ADD blue a/eth0", ""),
            Journal::new(&path, "ADD blue b/eth0", ""),
        );
        one.commands(&["true 1".into()]);
        two.commands(&["true 2".into()]);
        one.commands(&["true 3".into()]);
        one.commands(&["true 4".into()]);
        let text = std::fs::read_to_string(&path).unwrap();
        let shape: Vec<&str> = text
            .lines()
            .map(|l| l.rsplit_once(' ').unwrap().1)
            .collect();
        assert_eq!(shape, ["a/eth0", "1", "b/eth0", "2", "a/eth0", "3", "4"]);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_newline_never_starts_a_second_command() {
        let dir = folder("newline");
        let path = dir.join("log");
        Journal::new(&path, "ADD x\nreboot", "").commands(&["echo a\nreboot".into()]);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            !text.lines().any(|line| line.starts_with("reboot")),
            "{text}"
        );
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_full_journal_is_put_aside_and_only_its_owner_reads_either() {
        use std::os::unix::fs::PermissionsExt;
        let dir = folder("rotate");
        let path = dir.join("log");
        let journal = Journal {
            rotate_at: 100,
            ..Journal::new(&path, "ADD blue a/eth0", "")
        };
        for number in 0..10 {
            journal.commands(&[format!("true {number}")]);
        }
        for file in [path.clone(), aside(&path)] {
            let meta = std::fs::metadata(&file).unwrap();
            assert!(meta.len() < 200);
            assert_eq!(meta.permissions().mode() & 0o777, 0o600);
            assert!(std::fs::read_to_string(&file).unwrap().starts_with("# 2"));
        }
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn b10_a_journal_that_cannot_be_written_is_no_reason_to_fail() {
        Journal::new(Path::new("/proc/no/such/log"), "ADD", "").commands(&["true".into()]);
    }
}
