//! A process to start, and what it left.

use std::borrow::Cow;
use std::time::Duration;

use super::COMMAND_TIMEOUT;
use crate::ip::batch::Batch;
use crate::ip::command::shell_line;

/// A process to start.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Program and arguments. A program without `/` is looked up.
    pub argv: Vec<String>,
    /// What it reads from stdin.
    pub stdin: Vec<u8>,
    /// The variables that it gets beside this program's own environment, which it gets byte for byte.
    pub variables: Vec<(Cow<'static, str>, String)>,
    /// Whether stderr is read or passed on to this program's.
    pub stderr: Stderr,
    /// How long it may take.
    pub timeout: Duration,
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
    /// The pasteable line, without stdin.
    pub fn line(&self) -> String {
        shell_line(&self.argv)
    }
}

impl From<&Batch> for Invocation {
    fn from(batch: &Batch) -> Self {
        Self {
            argv: batch.argv(),
            stdin: batch.stdin().into_bytes(),
            variables: vec![("LC_ALL".into(), "C".to_owned())],
            stderr: Stderr::Read,
            timeout: COMMAND_TIMEOUT,
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
