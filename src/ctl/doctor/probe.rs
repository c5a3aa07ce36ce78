//! Programs that tell something of the node: started, read, and never trusted to be there.

use std::time::Duration;

use crate::exec::{Exec, ExecError, Invocation, Output, Running, System};

/// How long one may take.
const LIMIT: Duration = Duration::from_secs(5);

/// What a program said, or why it did not.
pub type Answer = Result<Output, ExecError>;

/// Starts one; its arguments are words of this program's own and values that have been checked.
///
/// # Errors
/// When it is not installed or cannot be started.
pub fn start(system: &System, argv: &[&str]) -> Result<Box<dyn Running>, ExecError> {
    system.start(&invocation(argv))
}

fn invocation(argv: &[&str]) -> Invocation {
    let argv = argv.iter().map(|&word| word.to_owned()).collect();
    Invocation::own(argv, LIMIT)
}

/// The same; after some time it is to sum up what it knows and end.
///
/// # Errors
/// As [`start`].
pub fn start_and_interrupt(
    system: &System,
    argv: &[&str],
    after: Duration,
) -> Result<Box<dyn Running>, ExecError> {
    system.start(&Invocation {
        interrupted_after: Some(after),
        ..invocation(argv)
    })
}

/// Runs one to its end.
///
/// # Errors
/// When it is not installed, or does not end.
pub fn ask(system: &System, argv: &[&str]) -> Answer {
    start(system, argv)?.wait()
}

/// What it printed, if it was content.
pub fn said(answer: &Answer) -> Option<String> {
    let output = answer
        .as_ref()
        .ok()
        .filter(|output| output.code == Some(0))?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Does two things at the same time.
pub fn both<A: Send, B>(one: impl FnOnce() -> A + Send, other: impl FnOnce() -> B) -> (A, B) {
    std::thread::scope(|threads| {
        let one = threads.spawn(one);
        let other = other();
        match one.join() {
            Ok(one) => (one, other),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
