//! Why a process did not do its work, and what the runtime is told of it.

use std::io;
use std::time::Duration;

use thiserror::Error;

use super::search::Missing;
use crate::cni::{CniError, Code};
use crate::ip::batch::BatchError;

/// Why a process did not do its work.
#[derive(Debug, Error)]
pub enum ExecError {
    /// The program is in none of the folders.
    #[error("`{program}` is not installed: looked in {missing}")]
    NotInstalled {
        /// Its name.
        program: String,
        /// Where it was looked for.
        missing: Missing,
    },
    /// The operating system refused.
    #[error("cannot run `{line}`: {source}")]
    Start {
        /// The pasteable line.
        line: String,
        /// What it said.
        source: io::Error,
    },
    /// It did not end in time and was killed.
    #[error("`{line}` did not end within {:.1} s and was killed", .allowed.as_secs_f64())]
    Timeout {
        /// The pasteable line.
        line: String,
        /// The limit.
        allowed: Duration,
    },
    /// This program was told to end (SIGTERM).
    #[error("told to end (SIGTERM) before `{line}`")]
    Interrupted {
        /// What would have run, or was running.
        line: String,
    },
    /// What it printed cannot be read.
    #[error("`{line}`: {source}")]
    Unreadable {
        /// The pasteable line.
        line: String,
        /// Why.
        source: BatchError,
    },
}

impl From<ExecError> for CniError {
    fn from(error: ExecError) -> Self {
        let (code, advice) = match &error {
            ExecError::NotInstalled { missing, .. } => match missing.passed_over.is_empty() {
                true => (
                    Code::COMMAND_FAILED,
                    "install it: apt-get install iproute2 procps",
                ),
                false => (
                    Code::COMMAND_FAILED,
                    "give the file that was passed over execute permission (chmod +x), or install another: apt-get install iproute2 procps",
                ),
            },
            ExecError::Start { .. } => (Code::COMMAND_FAILED, "run the line by hand to see why"),
            ExecError::Timeout { .. } => (
                Code::COMMAND_FAILED,
                "run the line by hand; the node may be overloaded",
            ),
            ExecError::Interrupted { .. } => {
                (Code::TRY_AGAIN, "what was made is undone; try again")
            }
            ExecError::Unreadable { .. } => (
                Code::COMMAND_FAILED,
                "run the line by hand; ip -V tells the version, 5.3 or newer is needed",
            ),
        };
        Self::new(code, error.to_string()).details(advice)
    }
}
