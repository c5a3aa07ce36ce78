//! What ADD refuses because of what is there: the attachment, the interface's name, another's device.

use super::Attempt;
use crate::cni::delegate::Delegate;
use crate::cni::{CniError, Code, Verb};
use crate::ip::batch::OnError;
use crate::ip::stderr::Kind;
use crate::ip::{Netns, Program};
use crate::lease;
use crate::ops::attached_already;
use crate::plan::{Read, Side};
use crate::session::line::{Failed, Line, Outcome};
use crate::store::{Found, UnderWay};

impl Attempt<'_> {
    /// Writes the attachment down where nothing of it is there.
    pub(super) fn record_under_the_lock(&self) -> Result<UnderWay, CniError> {
        self.forget_earlier_boot()?;
        let _shared = self.store.share(&self.network.name)?;
        self.refuse_second()?;
        let written = self.write_unless_taken();
        // A folder made for this one is not left behind.
        written.inspect_err(|_| drop(self.forget()))
    }

    /// The answer about the interface's name comes beside the writing to the disk. All that is started here or later has
    /// inherited the record's lock: what it does after this program was killed is waited for by a DEL.
    fn write_unless_taken(&self) -> Result<UnderWay, CniError> {
        let mut draft = self.store.draft_of(&self.attachment)?;
        // What configures the interface later is asked now; `ip` ends at a device that is not there, a list does not.
        self.open(self.session.pod, Program::Ip);
        let taken = self
            .session
            .conversing()
            .start(vec![Line::Read(Read::Links)], OnError::Stop)?;
        self.open(&Netns::Own, Program::Ip);
        draft.write(&self.attachment)?;
        self.refuse_taken(taken.finish()?)?;
        Ok(draft.publish()?)
    }

    /// Refuses where the container has an interface of this name: its lease, if it has one, is another's.
    fn refuse_taken(&self, taken: Outcome) -> Result<(), CniError> {
        let seen = match taken.failures.first() {
            Some(failed) if failed.failure.kind() == Kind::Again => {
                self.session.observe(vec![Read::Links])?
            }
            Some(failed) => return Err(failed.error("cannot read the state")),
            None => taken.seen,
        };
        match seen.link(Side::Pod, &self.ifname) {
            Some(_) => Err(self.name_taken()),
            None => Ok(()),
        }
    }

    /// Forgets the attachment of an earlier boot. Its namespace and devices went with that; its lease goes
    /// here: an IPAM may refuse a container a second one, and no verb would ask it for the first again.
    fn forget_earlier_boot(&self) -> Result<(), CniError> {
        let (container, ifname) = (&self.request.container, &self.request.ifname);
        let Some(Found::Whole(old)) = self.store.find(container, ifname)? else {
            return Ok(());
        };
        if !old.is_of_an_earlier_boot() {
            return Ok(());
        }
        let plugin = old.ipam["type"].as_str().unwrap_or_default();
        let whole = lease::config(&self.request.config, &old.ipam, &[]);
        Delegate::find(self.system, plugin, self.request)
            .and_then(|ipam| ipam.run(self.system, Verb::Del, &whole))
            .map_err(|error| error.and("it was asked to release the lease of an earlier boot"))?;
        Ok(self.store.remove(&old.network, container, ifname)?)
    }

    /// A record of this boot means that the container has this interface.
    pub(super) fn refuse_second(&self) -> Result<(), CniError> {
        match self
            .store
            .find(&self.request.container, &self.request.ifname)?
        {
            Some(Found::Whole(old)) => {
                let (since, netns) = (&old.since, &old.netns);
                let next =
                    format!("since {since} at {netns}; a DEL has to come before another ADD");
                Err(attached_already(&old, next))
            }
            Some(Found::Damaged { network, why }) => {
                Err(CniError::from(why).and(&format!("it is of network \"{network}\"")))
            }
            None => Ok(()),
        }
    }

    /// Refuses what was configured in a namespace that is not the container's any more: the processes in it keep it, without a
    /// name, until they end.
    pub(super) fn refuse_vanished(&self) -> Result<(), CniError> {
        match self.is_there() {
            true => Ok(()),
            false => Err(CniError::new(
                Code::COMMAND_FAILED,
                format!(
                    "the namespace went while {} was configured in it",
                    self.ifname
                ),
            )),
        }
    }

    /// The error for an interface that is there already.
    pub(super) fn name_taken(&self) -> CniError {
        let msg = format!(
            "CNI_IFNAME: the container has an interface {} already",
            self.ifname
        );
        let shown = Read::Addr(Side::Pod, self.ifname.clone())
            .command()
            .shown_in(self.session.pod);
        CniError::new(Code::INVALID_ENVIRONMENT, msg)
            .details(format!("see it with `{shown}`; nothing was changed"))
    }

    /// The kernel's word that the interface's name exists, where the container has no such interface: the
    /// node has one, and the kernel is one that looks there too.
    ///
    /// # Errors
    /// When the container has it: the name was free a moment ago, and another process was faster.
    pub(super) fn name_clash<'a>(
        &self,
        outcome: &'a Outcome,
    ) -> Result<Option<&'a Failed>, CniError> {
        let exists =
            |failed: &&Failed| failed.because.is_some() && failed.failure.kind() == Kind::Exists;
        let Some(failed) = outcome.failures.iter().find(exists) else {
            return Ok(None);
        };
        let read = Read::Addr(Side::Pod, self.ifname.clone());
        let seen = self.session.observe(vec![read])?;
        match seen.link(Side::Pod, &self.ifname) {
            Some(_) => Err(self.name_taken()),
            None => Ok(Some(failed)),
        }
    }
}
