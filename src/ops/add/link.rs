//! How the container's link comes to be: in one process with the look at the node, under a name that is free
//! on the node too, its switches before its own name.

use super::{Attempt, Made};
use crate::cni::CniError;
use crate::ip::batch::{self, OnError};
use crate::ip::link::{self, Setting};
use crate::ip::stderr::Kind;
use crate::ip::{IfName, Netns, Program};
use crate::lease;
use crate::plan::{self, Fact, Observed, Probe, Read, Side, Step, container, host};
use crate::session::line::{Failed, Line};

/// The steps by which the container's interface comes to be, as [`plan::plan`] has them.
pub(super) struct Birth {
    /// Makes the link.
    pub(super) add: Step,
    /// The name it is made under.
    made_as: IfName,
    /// Gives it its own name, where it was made under another.
    pub(super) rename: Option<Step>,
    /// Whether it has its own name by now.
    pub(super) is_named: bool,
}

impl Birth {
    /// Whether a step makes the link or names it: with the link goes everything else.
    pub(super) fn has(&self, step: &Step) -> bool {
        *step == self.add || self.rename.as_ref() == Some(step)
    }
}

/// Facts that stand once the link and its switches are made.
pub(super) fn comes_with_it(fact: &Fact) -> bool {
    matches!(fact, Fact::Macvlan { .. } | Fact::Sysctl { .. })
}

impl Attempt<'_> {
    /// Starts a process for changes, which need not be waited for then. Each as soon as nothing that is waited for sooner
    /// is left to be started, and with the record's lock.
    pub(super) fn open(&self, netns: &Netns, program: Program) {
        let argv = batch::argv(netns, (program, None), OnError::Stop);
        self.system.open(argv);
    }

    /// Beside the IPAM: what sets the interface's switches, and its rules.
    pub(super) fn open_in_the_pod(&self) {
        let pod = self.session.pod;
        self.open(pod, Program::Sysctl);
        if self.network.anti_spoof {
            self.open(pod, Program::Nft);
        }
    }

    /// In one process: looks at the host side and makes the container's link. Where a look fails, the
    /// batch stops before the link, and both are done one after the other.
    pub(super) fn observe_and_link(&self, made: &mut Made) -> Result<Observed, CniError> {
        let mut birth = self.birth(&self.made_as()?);
        let (switches, questions): (Vec<Read>, Vec<Read>) =
            host::reads(self.network, Probe::Lookup)
                .into_iter()
                .partition(|read| matches!(read, Read::Sysctl(..)));
        let mut lines: Vec<Line> = questions.into_iter().map(Line::Read).collect();
        lines.push(Line::Write(birth.add.clone()));
        let outcome = self.session.make(lines, &mut made.steps)?;
        if let Some(failed) = self.name_clash(&outcome)? {
            if birth.rename.is_some() {
                return Err(failed.error("a command failed"));
            }
            birth = self.birth(&self.temporary());
        }
        let linked = !outcome.done.is_empty();
        let mut seen = outcome.seen;
        seen.absorb(self.session.host_switches(&switches)?);
        let behind = host::reads_behind(self.network, &seen);
        seen.absorb(self.session.host_switches(&behind)?);
        let standing = linked
            && host::facts(self.network, &seen)
                .is_ok_and(|facts| plan::broken(&facts, &seen).is_empty());
        if !standing {
            seen.absorb(self.converge_host(made)?);
        }
        let add = birth.add.clone();
        made.birth = Some(birth);
        if !linked {
            self.session.apply(vec![add], &mut made.steps)?;
        }
        Ok(seen)
    }

    /// The name to make the interface under. Where the look at the node misses a device of the same name, the
    /// kernel says so, and [`Self::temporary`] is the other way.
    fn made_as(&self) -> Result<IfName, CniError> {
        let seen = self
            .session
            .host_switches(&[container::namesake(&self.ifname)])?;
        let (container, ifname) = (&self.request.container, &self.ifname);
        Ok(container::made_as(container, ifname, &seen))
    }

    pub(super) fn temporary(&self) -> IfName {
        container::temporary(&self.request.container, &self.ifname)
    }

    /// How the interface comes to be under a name.
    fn birth(&self, made_as: &IfName) -> Birth {
        let mut steps = self.steps(&[container::link(self.network, &self.ifname, made_as)]);
        let add = steps.remove(0);
        Birth {
            add,
            made_as: made_as.clone(),
            rename: steps.pop(),
            is_named: *made_as == self.ifname,
        }
    }

    /// Gives the interface its name and its MAC before there is a lease, for an IPAM that leases by them.
    pub(super) fn name_and_address(&self, made: &mut Made) -> Result<(), CniError> {
        self.name_early(made)?;
        let address = self.attachment.mac.map(|mac| Fact::Setting {
            side: Side::Pod,
            dev: self.ifname.clone(),
            kind: plan::Kind::Macvlan,
            setting: Setting::Address(mac),
        });
        let steps = self.steps(address.as_slice());
        let lines = steps.into_iter().map(Line::Write).collect();
        let outcome = self.session.conversing().make(lines, &mut made.steps)?;
        match outcome.failures.first() {
            Some(failed) => Err(self.explain(failed, None)),
            None => Ok(()),
        }
    }

    /// Such an IPAM has brought the interface up to lease: it comes up again with its addresses, which it announces then.
    pub(super) fn comes_up_anew(&self) -> Option<Step> {
        lease::is_by_the_link(&self.attachment.ipam).then(|| Step {
            side: Side::Pod,
            command: link::down(&self.ifname),
            undo: None,
            makes: Vec::new(),
            because: format!("{} announces its addresses", self.ifname),
        })
    }

    /// Gives the interface its own name, where it has not yet.
    pub(super) fn name_early(&self, made: &mut Made) -> Result<(), CniError> {
        let birth = made.birth.as_mut().filter(|birth| !birth.is_named);
        let Some(rename) = birth.and_then(|birth| {
            birth.is_named = true;
            birth.rename.clone()
        }) else {
            return Ok(());
        };
        let line = vec![Line::Write(rename.clone())];
        let outcome = self.session.conversing().make(line, &mut made.steps)?;
        match outcome.failures.first() {
            Some(failed) => Err(self.explain(failed, Some(&rename))),
            None => Ok(()),
        }
    }

    /// What sets the interface's switches while it is still under the name that it was made under.
    fn switching(&self, birth: &Birth, switches: &[Fact]) -> Vec<Step> {
        let link = container::link(self.network, &self.ifname, &birth.made_as);
        let facts: Vec<Fact> = std::iter::once(link)
            .chain(switches.iter().cloned())
            .collect();
        let mut steps = self.steps(&facts);
        steps.retain(|step| !birth.has(step));
        steps
    }

    /// Sets the container's switches; `sysctl` has no batch to share. What it accepted stands.
    pub(super) fn switch(
        &self,
        seen: &mut Observed,
        made: &mut Made,
        ipv6: bool,
    ) -> Result<(), CniError> {
        let switches = container::switches(self.network, &self.ifname, ipv6);
        let birth = made.birth.as_ref();
        let steps = birth.map(|birth| self.switching(birth, &switches));
        self.session
            .apply(steps.unwrap_or_default(), &mut made.steps)?;
        for fact in switches {
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

    /// A route that is there already is another interface's: the way out is in the configuration.
    pub(super) fn explain(&self, failed: &Failed, rename: Option<&Step>) -> CniError {
        let named = rename.map(|step| step.command.shown_in(self.session.pod));
        if named.as_ref() == Some(&failed.command) && failed.failure.kind() == Kind::Exists {
            return self.name_taken();
        }
        let error = failed.error(&format!(
            "network \"{}\": cannot configure {}",
            self.network.name, self.ifname
        ));
        match (failed.failure.kind(), self.asked_mac) {
            (Kind::Busy, Some(mac)) => self
                .taken(mac, "another device on this node has it")
                .and(&error.details),
            (Kind::Exists, _) if failed.command.contains(" route add default") => error.and(
                "another interface of the container has the default route: set defaultRoute to false or to a metric",
            ),
            _ => error,
        }
    }
}
