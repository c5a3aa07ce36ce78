//! A process to start, and what it left.

use std::borrow::Cow;
use std::ffi::OsString;
use std::time::Duration;

use super::{COMMAND_TIMEOUT, search};
use crate::ip::batch::Batch;
use crate::ip::command::shell_line;

/// A process to start.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Program and arguments. A program without `/` is looked up.
    pub argv: Vec<String>,
    /// The line to paste, where the argv is not all of it.
    pub shown: Option<String>,
    /// What it reads from stdin.
    pub stdin: Stdin,
    /// The variables that it gets beside this program's own environment, which it gets byte for byte.
    pub variables: Vec<(Cow<'static, str>, OsString)>,
    /// Whether stderr is read or passed on to this program's.
    pub stderr: Stderr,
    /// How long it may take.
    pub timeout: Duration,
    /// After which time it gets a SIGINT, if it is still at work: `arping`, which waits for whole seconds, then sums up
    /// what it has heard and ends.
    pub interrupted_after: Option<Duration>,
}

/// What a process reads from stdin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stdin {
    /// This, to its end.
    Bytes(Vec<u8>),
    /// What an invocation of the same argv hands over once it is known: starting is half of what a short process costs.
    Later,
    /// This, as one part of a conversation: once it is carried out the process waits for more. The numbers are those of
    /// its lines that print a document.
    Part(Vec<u8>, Vec<usize>),
    /// This, and more as time goes on: each part when what came before is carried out ([`crate::ip::batch::MARK`]) and
    /// so much time has passed since. It ends behind the last.
    Paced(Vec<u8>, Vec<(Duration, Vec<u8>)>),
}

/// What becomes of a process's stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stderr {
    /// It is in [`Output::stderr`].
    Read,
    /// It goes where this program's goes.
    PassedOn,
}

impl Invocation {
    /// One of the commands that this program words itself: it speaks English, and what it starts in its turn,
    /// as `ip netns exec POD sysctl` does, is looked for in the same folders as it was.
    pub fn own(argv: Vec<String>, timeout: Duration) -> Self {
        Self {
            argv,
            shown: None,
            stdin: Stdin::Bytes(Vec::new()),
            variables: vec![
                ("LC_ALL".into(), "C".into()),
                ("PATH".into(), search::path()),
            ],
            stderr: Stderr::Read,
            timeout,
            interrupted_after: None,
        }
    }

    /// The pasteable line, without stdin.
    pub fn line(&self) -> String {
        let shown = self.shown.clone();
        shown.unwrap_or_else(|| shell_line(&self.argv))
    }
}

impl From<&Batch> for Invocation {
    fn from(batch: &Batch) -> Self {
        let first = batch.stdin().into_bytes();
        let later: Vec<_> = batch
            .later()
            .into_iter()
            .map(|(pause, text)| (pause, text.into_bytes()))
            .collect();
        // The time in which it waits to be told more is not its own.
        let waits: Duration = later.iter().map(|(pause, _)| *pause).sum();
        Self {
            shown: Some(batch.shown()),
            stdin: match later.is_empty() {
                true if batch.stays_open => Stdin::Part(first, batch.reads()),
                true => Stdin::Bytes(first),
                false => Stdin::Paced(first, later),
            },
            ..Self::own(batch.argv(), COMMAND_TIMEOUT + waits)
        }
    }
}

/// What a process left.
#[derive(Debug, Clone, Default)]
pub struct Output {
    /// Exit code; `None`: killed by a signal.
    pub code: Option<i32>,
    /// Everything on stdout.
    pub stdout: Vec<u8>,
    /// Everything on stderr, unless it was passed on.
    pub stderr: String,
}
