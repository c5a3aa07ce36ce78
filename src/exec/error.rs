//! Why a process did not do its work, and what the runtime is told of it.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use thiserror::Error;

use super::search::Missing;
use crate::cni::{CniError, Code};
use crate::ip::OLDEST;
use crate::ip::batch::BatchError;
use crate::ip::json::JsonError;

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
    #[error("{}", timeout(.line, *.allowed))]
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

/// A process that had next to no time is not to blame, nor is the node.
fn timeout(line: &str, allowed: Duration) -> String {
    match allowed < Duration::from_millis(50) {
        true => format!("the time was over before `{line}` could end"),
        false => format!(
            "`{line}` did not end within {:.1} s and was killed",
            allowed.as_secs_f64()
        ),
    }
}

impl From<ExecError> for CniError {
    fn from(error: ExecError) -> Self {
        let code = match error {
            ExecError::Interrupted { .. } => Code::TRY_AGAIN,
            _ => Code::COMMAND_FAILED,
        };
        Self::new(code, error.to_string()).details(advice(&error))
    }
}

/// What to do about it.
fn advice(error: &ExecError) -> Cow<'static, str> {
    match error {
        ExecError::NotInstalled { missing, .. } if !missing.passed_over.is_empty() => {
            "let the file that was passed over be executed (chmod +x), or install another: apt-get install iproute2 procps"
        }
        ExecError::NotInstalled { program, .. } if program == "nft" => {
            "install it: apt-get install nftables; or set \"guard\": false, where another firewall keeps pods from \
             sending vxlan"
        }
        ExecError::NotInstalled { .. } => "install it: apt-get install iproute2 procps",
        ExecError::Start { .. } => "run the line by hand to see why",
        ExecError::Timeout { .. } => "run the line by hand; the node may be overloaded",
        ExecError::Interrupted { .. } => "what was made is undone; try again",
        // This one says itself what helps.
        ExecError::Unreadable {
            source: BatchError::NotJson(JsonError::Broken { .. }),
            ..
        } => "ip -V tells the version",
        ExecError::Unreadable { .. } => {
            return format!(
                "run the line by hand; ip -V tells the version, {OLDEST} or newer is needed"
            )
            .into();
        }
    }
    .into()
}
