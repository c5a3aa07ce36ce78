//! stdout and stderr that cannot be written to, and no stdin.

use std::process::Command;

use super::plugin::{Call, Said};

/// What a program has in place of a stream that works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// One that works.
    Whole,
    /// None at all.
    Closed,
    /// One that takes nothing, as a full disk.
    Full,
    /// A pipe whose reader has gone.
    Gone,
}

/// Every kind that takes nothing.
pub const BROKEN: [Stream; 3] = [Stream::Closed, Stream::Full, Stream::Gone];

/// Runs a program with these for stdout and stderr.
pub fn run_with(call: &Call, stdout: Stream, stderr: Stream) -> Said {
    Said::by(command_with(call, stdout, stderr).spawn().unwrap())
}

/// The same, not started.
pub fn command_with(call: &Call, stdout: Stream, stderr: Stream) -> Command {
    let redirected = |stream: Stream, number: u8| match stream {
        Stream::Closed => format!(" {number}>&-"),
        Stream::Full => format!(" {number}>/dev/full"),
        Stream::Whole | Stream::Gone => String::new(),
    };
    let line = format!("{}{}", redirected(stdout, 1), redirected(stderr, 2));
    let mut command = behind_shell(call, &line).command();
    if stdout == Stream::Gone {
        command.stdout(gone());
    }
    if stderr == Stream::Gone {
        command.stderr(gone());
    }
    command
}

/// Runs a program without a stdin.
pub fn run_without_stdin(call: &Call) -> Said {
    behind_shell(call, " <&-").run()
}

/// Behind a shell that changes streams.
fn behind_shell(call: &Call, redirections: &str) -> Call {
    let line = format!("exec \"$0\" \"$@\"{redirections}");
    call.clone().behind(&["/bin/sh", "-c", &line])
}

/// The writing end of a pipe that nothing reads from.
fn gone() -> std::io::PipeWriter {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer
}
