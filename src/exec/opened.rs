//! A process that is there before it is known what it shall do.

use std::time::Duration;

use super::{Exec, ExecError, Invocation, Pending, Running, Stdin};
use crate::ip::batch::Batch;
use crate::ip::{Netns, Program};

/// How long it may wait for what it shall do and do it: as long as an IPAM plugin may take, and longer.
const TIMEOUT: Duration = Duration::from_secs(90);

/// An `nft` in a namespace, which waits for its transaction.
pub struct Opened {
    running: Box<dyn Running>,
}

impl Opened {
    /// Starts it.
    ///
    /// # Errors
    /// [`ExecError`] when it cannot be started.
    pub fn nft(exec: &dyn Exec, netns: &Netns) -> Result<Self, ExecError> {
        let mut argv = netns.entry(Program::Nft);
        argv.extend(["-f", "-"].map(str::to_owned));
        let invocation = Invocation {
            stdin: Stdin::Fed,
            ..Invocation::own(argv, TIMEOUT)
        };
        let running = exec.start(&invocation)?;
        Ok(Self { running })
    }

    /// Lets it do what the first line of a batch says.
    ///
    /// # Errors
    /// [`ExecError`] when it cannot get its commands.
    pub fn carry_out(mut self, batch: Batch) -> Result<Pending, ExecError> {
        let script = batch.lines().iter().flat_map(|line| line.words()).next();
        self.running
            .feed(script.map_or("", String::as_str).as_bytes())?;
        Ok(Pending {
            batch,
            running: self.running,
        })
    }
}
