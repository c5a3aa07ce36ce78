//! Waiting for what goes at its own time: what the kernel takes down of a namespace that has just gone, a route
//! that a daemon is about to withdraw.

use std::time::{Duration, Instant};

/// How long it is given: it needs some tens of milliseconds, more where many namespaces go at once
/// (`cleanup_net` runs in a worker, behind RCU grace periods).
const LIMIT: Duration = Duration::from_secs(2);

/// The pause before the second look; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Tries until it is settled, or for a while: then the last try counts.
///
/// # Errors
/// Those of a try.
pub fn wait_for_release<T, E>(
    mut attempt: impl FnMut() -> Result<T, E>,
    settled: impl Fn(&T) -> bool,
) -> Result<T, E> {
    let (start, mut pause) = (Instant::now(), FIRST_PAUSE);
    loop {
        let outcome = attempt()?;
        if settled(&outcome) || start.elapsed() >= LIMIT {
            return Ok(outcome);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
