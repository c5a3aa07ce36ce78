//! Processes that were started before what they shall do is known.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::pacer::Pacer;
use super::{COMMAND_TIMEOUT, Child, ExecError, Invocation, Stdin, System};

/// Those that have no commands yet, by their argv. Ended with the last that knows of them.
#[derive(Clone, Default)]
pub(super) struct Early(Arc<Mutex<Vec<Waiting>>>);

/// One, with its argv.
type Waiting = (Vec<String>, Child);

impl Early {
    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One with this argv; none for a plugin, which is never started early.
    pub fn take(&self, argv: &[String]) -> Option<Child> {
        let mut waiting = self.waiting();
        let at = waiting.iter().position(|(own, _)| own == argv)?;
        Some(waiting.swap_remove(at).1)
    }
}

impl fmt::Debug for Early {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Early")
    }
}

impl System {
    /// Starts a process that gets its commands later, by [`super::Exec::start`] with the same argv: its start is half of
    /// what a short process costs, and can run beside something else. One that gets none does nothing. Where it
    /// cannot be started [`super::Exec::start`] says why.
    pub fn start_early(&self, argv: Vec<String>) {
        let invocation = Invocation {
            stdin: Stdin::Fed,
            ..Invocation::own(argv, COMMAND_TIMEOUT)
        };
        if let Ok(child) = self.spawn(&invocation) {
            self.early.waiting().push((invocation.argv, child));
        }
    }

    /// Ends the processes that were started early and got no commands. They have done nothing, but until a child
    /// runs its own program it has what this program has open, locks among it.
    pub fn end_early(&self) {
        self.early.waiting().clear();
    }

    /// A process that was started early and gets the commands of an invocation now; its time counts from now on. None
    /// where none waits, or where the invocation has no commands yet.
    pub(super) fn take_early(&self, invocation: &Invocation) -> Result<Option<Child>, ExecError> {
        let (first, later) = match &invocation.stdin {
            Stdin::Bytes(bytes) => (bytes, &[][..]),
            Stdin::Paced(first, later) => (first, &later[..]),
            Stdin::Fed => return Ok(None),
        };
        let Some(mut child) = self.early.take(&invocation.argv) else {
            return Ok(None);
        };
        if let Some(pipe) = child.feed.take() {
            let pacer = Pacer::on(pipe, first, later);
            child.pacer = pacer.map_err(|source| child.start(source))?;
        }
        child.started = Instant::now();
        child.deadline = self.deadline_of(invocation);
        child.system = self.alone();
        Ok(Some(child))
    }

    /// What a process needs of it: not the processes that were started early, which would keep themselves.
    pub(super) fn alone(&self) -> Self {
        Self {
            early: Early::default(),
            ..self.clone()
        }
    }
}
