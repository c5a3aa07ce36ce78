//! How the container's link comes to be: in one process with the look at the node, under a name that is free
//! on the node too, its switches before its own name.

use super::{Attempt, Made};
use crate::cni::CniError;
use crate::ip::IfName;
use crate::ops::lines::Line;
use crate::plan::{self, Fact, Look, Observed, Read, Step, container, host};

/// The steps by which the container's interface comes to be, as [`plan::plan`] has them.
pub(super) struct Birth {
    /// Makes the link.
    pub(super) add: Step,
    /// Set its switches.
    pub(super) switches: Vec<Step>,
    /// Gives it its own name, where it was made under another.
    pub(super) rename: Option<Step>,
}

impl Birth {
    /// Whether a step makes the link or names it: with the link goes everything else.
    pub(super) fn has(&self, step: &Step) -> bool {
        *step == self.add || self.rename.as_ref() == Some(step)
    }
}

impl Attempt<'_> {
    /// In one process: looks at the node's side and makes the container's link. Where a look fails, the
    /// batch stops before the link, and both are done one after the other.
    pub(super) fn observe_and_link(&self, made: &mut Made) -> Result<Observed, CniError> {
        let mut birth = self.birth(&self.made_as()?);
        let (switches, questions): (Vec<Read>, Vec<Read>) = host::reads(self.network, Look::Glance)
            .into_iter()
            .partition(|read| matches!(read, Read::Sysctl(..)));
        let mut lines: Vec<Line> = questions.into_iter().map(Line::Read).collect();
        lines.push(Line::Write(birth.add.clone()));
        let outcome = self.hands.make(lines, &mut made.steps)?;
        if let Some(failed) = self.name_clash(&outcome)? {
            if birth.rename.is_some() {
                return Err(failed.error("a command failed"));
            }
            birth = self.birth(&self.temporary());
        }
        let linked = !outcome.done.is_empty();
        let mut seen = outcome.seen;
        seen.absorb(self.hands.host_switches(&switches)?);
        let behind = host::reads_behind(self.network, &seen);
        seen.absorb(self.hands.host_switches(&behind)?);
        let standing = linked
            && host::facts(self.network, &seen)
                .is_ok_and(|facts| plan::broken(&facts, &seen).is_empty());
        if !standing {
            seen.absorb(self.converge_host(made)?);
        }
        let add = birth.add.clone();
        made.birth = Some(birth);
        if !linked {
            self.hands.apply(vec![add], &mut made.steps)?;
        }
        Ok(seen)
    }

    /// The name to make the interface under. Where the look at the node misses a device of the same name, the
    /// kernel says so, and [`Self::temporary`] is the other way.
    fn made_as(&self) -> Result<IfName, CniError> {
        let seen = self
            .hands
            .host_switches(&[container::namesake(&self.ifname)])?;
        let (container, ifname) = (&self.request.container, &self.ifname);
        Ok(container::made_as(container, ifname, &seen))
    }

    pub(super) fn temporary(&self) -> IfName {
        container::temporary(&self.request.container, &self.ifname)
    }

    /// How the interface comes to be under a name.
    fn birth(&self, made_as: &IfName) -> Birth {
        let mut facts = vec![container::link(self.network, &self.ifname, made_as)];
        facts.extend(container::switches(self.network, &self.ifname));
        let mut switches = self.steps(&facts);
        let add = switches.remove(0);
        let renamed = *made_as != self.ifname;
        Birth {
            add,
            rename: renamed.then(|| switches.pop()).flatten(),
            switches,
        }
    }

    /// Sets the container's switches; `sysctl` has no batch to share. What it accepted stands.
    pub(super) fn switch(&self, seen: &mut Observed, made: &mut Made) -> Result<(), CniError> {
        let steps = made.birth.as_ref().map(|birth| birth.switches.clone());
        self.hands
            .apply(steps.unwrap_or_default(), &mut made.steps)?;
        for fact in container::switches(self.network, &self.ifname) {
            let Fact::Sysctl {
                side, key, value, ..
            } = fact
            else {
                continue;
            };
            // A text is always taken.
            let _ = seen.take(&Read::Sysctl(side, key), Some(value.into()));
        }
        Ok(())
    }
}
