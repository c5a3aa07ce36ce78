//! Processes that were started before what they shall do is known.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::pacer::Pacer;
use super::{COMMAND_TIMEOUT, Child, ExecError, Invocation, Stdin, System};

/// Those that were not told yet, by their argv. Ended with the last that knows of them.
#[derive(Clone, Default)]
pub(super) struct Early(Arc<Mutex<Vec<Waiting>>>);

/// One, with its argv.
type Waiting = (Vec<String>, Child);

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

impl Early {
    /// Ends them all.
    fn end(&self) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.clear();
    }
}

impl fmt::Debug for Early {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Early")
    }
}

impl System {
    /// Starts a process that is told what to do later, by [`super::Exec::start`] with the same argv: its start is half of
    /// what a short process costs, and can run beside something else. One that is never told does nothing. Where it
    /// cannot be started [`super::Exec::start`] says why.
    pub fn start_early(&self, argv: Vec<String>) {
        let invocation = Invocation {
            stdin: Stdin::Fed,
            ..Invocation::own(argv, COMMAND_TIMEOUT)
        };
        if let Ok(child) = self.spawn(&invocation) {
            self.early.keep(invocation.argv, child);
        }
    }

    /// Ends the processes that were started early and were not told anything. They have done nothing, but until one is
    /// itself it still has what this program has open, locks among it.
    pub fn end_early(&self) {
        self.early.end();
    }

    /// Tells a process that was started early what it shall do; its time counts from now on.
    pub(super) fn tell(
        &self,
        mut child: Child,
        invocation: &Invocation,
    ) -> Result<Child, ExecError> {
        if let Some(pipe) = child.feed.take() {
            let pacer = match &invocation.stdin {
                Stdin::Bytes(bytes) => Pacer::on(pipe, bytes, &[]),
                Stdin::Paced(first, later) => Pacer::on(pipe, first, later),
                Stdin::Fed => {
                    child.feed = Some(pipe);
                    Ok(Pacer::default())
                }
            };
            child.pacer = pacer.map_err(|source| child.start(source))?;
        }
        child.started = Instant::now();
        child.deadline = self.deadline_of(invocation);
        child.system = self.alone();
        Ok(child)
    }

    /// What a process needs of it: not the processes that were started early, which would keep themselves.
    pub(super) fn alone(&self) -> Self {
        Self {
            early: Early::default(),
            ..self.clone()
        }
    }
}
