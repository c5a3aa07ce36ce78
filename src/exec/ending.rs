//! How a process is ended: asked first, then killed, with what it had started, and waited for.

use std::time::{Duration, Instant};

use duct::unix::HandleExt;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use super::{COMMAND_TIMEOUT, Child, ExecError};

/// How long a process that is ended has to take back what it was doing, as an IPAM plugin does, before
/// it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// How long what was killed may take to be gone.
const LAST_WORDS: Duration = Duration::from_millis(500);

impl Child {
    /// Ends it and waits until it is gone, so that nothing of it runs beside the clean-up. It is asked
    /// first: killed, an IPAM plugin would leave a command of its own behind.
    pub(super) fn end(&self) -> Result<(), ExecError> {
        let ended = || {
            self.signal(Signal::TERM);
            let asked = self.handle.wait_timeout(GRACE)?;
            // Also where it has ended: something that it had started may be deaf.
            self.signal(Signal::KILL);
            if asked.is_none() {
                self.handle.wait_timeout(COMMAND_TIMEOUT)?;
            }
            self.outlast_the_group();
            Ok(())
        };
        ended().map_err(|source| self.start(source))
    }

    /// Lets it sum up, once its time for that has come.
    pub(super) fn interrupt(&mut self) {
        if self
            .interrupted_at
            .take_if(|at| *at <= Instant::now())
            .is_some()
        {
            self.signal(Signal::INT);
        }
    }

    /// What it had started may be about to end still, and carry out what it has just asked the kernel for. Where
    /// no process collects the dead it is waited for no longer than it can take.
    fn outlast_the_group(&self) {
        let until = Instant::now() + LAST_WORDS;
        while self.group
            && Instant::now() < until
            && let Some(leader) = self.leader()
            && test_kill_process_group(leader).is_ok()
        {
            std::thread::sleep(LAST_WORDS / 100);
        }
    }

    fn leader(&self) -> Option<Pid> {
        let leader = self.handle.pids().first().copied();
        leader.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?))
    }

    /// Signals it, or all of its group. Already gone is gone.
    fn signal(&self, signal: Signal) {
        match self.leader().filter(|_| self.group) {
            Some(leader) => {
                let _ = kill_process_group(leader, signal);
            }
            None => {
                let _ = self.handle.send_signal(signal.as_raw());
            }
        }
    }
}

impl Drop for Child {
    /// Where one of several that run side by side fails, the others are not waited for any more.
    fn drop(&mut self) {
        // One that cannot be ended can be reported to no caller.
        if !matches!(self.handle.try_wait(), Ok(Some(_))) {
            let _ = self.end();
        }
    }
}
