//! Processes that were started before what they shall do is known.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Child, Invocation, Stdin};

/// Those that were not told yet, by their argv. Ended with the last that knows of them.
#[derive(Clone, Default)]
pub(super) struct Early(Arc<Mutex<Vec<(Vec<String>, Child)>>>);

impl Early {
    /// Keeps one.
    pub fn keep(&self, argv: Vec<String>, child: Child) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push((argv, child));
    }

    /// One that can do what an invocation says; none for a plugin, which has variables of its own.
    pub fn take(&self, invocation: &Invocation) -> Option<Child> {
        if invocation.stdin == Stdin::Fed {
            return None;
        }
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = waiting
            .iter()
            .position(|(argv, _)| *argv == invocation.argv)?;
        Some(waiting.swap_remove(at).1)
    }
}

impl fmt::Debug for Early {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Early")
    }
}
