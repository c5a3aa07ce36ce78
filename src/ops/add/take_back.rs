//! After an ADD that failed: what it made goes.

use super::{Attempt, Made};
use crate::cni::{CniError, Verb};
use crate::ip::Program;
use crate::lease;
use crate::ops::leave::leave_after_failure;
use crate::plan::{Side, Step};

impl Attempt<'_> {
    /// Takes back what was made, releases the lease, forgets the attachment; carries on after
    /// each failure and tells it beside the error.
    pub(super) fn take_back(&self, made: Made, error: CniError) -> CniError {
        let uninterruptible = self.system.uninterruptible();
        let session = self.session.with(&uninterruptible);
        // Those that wait end without having done anything.
        self.system.close();
        if let Some(call) = made.call {
            // Whatever it says: what it claimed is released below.
            let _ = call.wait();
        }
        let (host, pod): (Vec<Step>, Vec<Step>) = made
            .steps
            .into_iter()
            .partition(|step| matches!(step.undo, Some((Side::Host, _)) | None));
        let goes_not_with_it = |step: &Step| {
            let born = made.birth.as_ref().is_some_and(|birth| birth.has(step));
            born || step.command.program() == Program::Nft
        };
        let link = pod.iter().filter(|step| goes_not_with_it(step));
        let link: Vec<Step> = link.cloned().collect();
        let release = || {
            let whole = lease::config(&self.request.config, &self.attachment.ipam, self.addresses);
            let released = self.ipam.run(&uninterruptible, Verb::Del, &whole).err();
            // A configuration that the IPAM refuses it refuses at each verb: nothing was leased by it.
            let kept = released.filter(|error| Some(error) != made.refused.as_ref());
            kept.map(|error| error.msg)
        };
        let by_the_link = lease::is_by_the_link(&self.attachment.ipam);
        let mut left = Vec::new();
        left.extend((made.leased && by_the_link).then(release).flatten());
        left.extend(session.undo(if link.is_empty() { &pod } else { &link }));
        left.extend(
            made.mac
                .as_ref()
                .and_then(|asked| self.forget_asked(&session, asked)),
        );
        left.extend((made.leased && !by_the_link).then(release).flatten());
        left.extend(leave_after_failure(
            &session,
            &self.store.clone().until(uninterruptible.stop()),
            self.network,
            &self.attachment,
            &host,
            left.is_empty(),
        ));
        left.extend(self.raise_mtus(&session, &made.mtus));
        error.and_left(&left)
    }
}
