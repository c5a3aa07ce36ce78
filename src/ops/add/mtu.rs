//! An edit that lowers the MTU lowers the older pods' too: the kernel leaves no macvlan larger than the vxlan it is on, and
//! raises none again (`macvlan_device_event`, `drivers/net/macvlan.c`). Where that ADD fails, each gets back what it had.

use std::path::Path;

use super::{Attempt, Made};
use crate::cni::CniError;
use crate::ip::link::{self, Setting};
use crate::ip::{IfName, Netns};
use crate::ops::namespace_inode;
use crate::plan::{Observed, Read, Side, Step, underlay};
use crate::session::Session;
use crate::store::{Attachment, Found};

/// The MTU that an older pod's interface had.
pub(super) struct Before {
    netns: Netns,
    ifname: IfName,
    mtu: u32,
}

impl Attempt<'_> {
    /// Notes what older pods have where the vxlan's MTU is about to be lowered: one look at each, at the first ADD after such
    /// an edit alone. A pod that cannot be seen is left out.
    pub(super) fn note_mtus(&self, seen: &Observed, made: &mut Made) -> Result<(), CniError> {
        let wanted = underlay::mtu(self.network, seen)?;
        let now = seen.link(Side::Host, &self.network.vx).map(|vx| vx.mtu);
        if now.zip(wanted).is_some_and(|(now, wanted)| wanted < now) {
            let found = self.store.attachments(&self.network.name)?.into_iter();
            let records = found.filter_map(|(_, found)| match found {
                Found::Whole(record) => Some(record),
                Found::Damaged { .. } => None,
            });
            made.mtus = records.filter_map(|record| self.mtu_of(&record)).collect();
        }
        Ok(())
    }

    fn mtu_of(&self, record: &Attachment) -> Option<Before> {
        let is_there = !record.is_of_an_earlier_boot()
            && namespace_inode(Path::new(&record.netns)) == Some(record.inode);
        let netns = Netns::from_path(&record.netns).ok().filter(|_| is_there)?;
        let mtu = mtu(&self.within(&self.session, &netns), &record.ifname)?;
        let ifname = record.ifname.clone();
        Some(Before { netns, ifname, mtu })
    }

    /// Gives older pods their MTU back, as far as the vxlan has its own again. Tells what could not be done.
    pub(super) fn raise_mtus(&self, session: &Session<'_>, before: &[Before]) -> Vec<String> {
        if before.is_empty() {
            return Vec::new();
        }
        let vx = &self.network.vx;
        let seen = session.observe(vec![Read::Link(Side::Host, vx.clone())]);
        let most = seen
            .ok()
            .and_then(|seen| Some(seen.link(Side::Host, vx)?.mtu));
        let fits = |one: &&Before| most.is_some_and(|most| one.mtu <= most);
        let raised = before.iter().filter(fits).map(|one| {
            let session = self.within(session, &one.netns);
            match mtu(&session, &one.ifname).is_some_and(|now| now < one.mtu) {
                true => session.apply(vec![one.step()], &mut Vec::new()),
                false => Ok(()),
            }
        });
        raised
            .filter_map(|done| Some(done.err()?.details))
            .collect()
    }

    fn within<'s>(&self, session: &Session<'s>, netns: &'s Netns) -> Session<'s> {
        Session::new(session.exec, session.journal, netns)
    }
}

impl Before {
    fn step(&self) -> Step {
        Step {
            side: Side::Pod,
            command: link::set(&self.ifname, &Setting::Mtu(self.mtu)),
            undo: None,
            makes: Vec::new(),
            because: format!("{} has the MTU of before the edit", self.ifname),
        }
    }
}

/// The MTU of a pod's macvlan; none where there is none, or it cannot be seen.
fn mtu(session: &Session<'_>, ifname: &IfName) -> Option<u32> {
    let seen = session.observe(vec![Read::Addr(Side::Pod, ifname.clone())]);
    let seen = seen.ok()?;
    let link = seen.link(Side::Pod, ifname)?;
    (link.kind() == "macvlan").then_some(link.mtu)
}
