//! A dry run: what reads is carried out, what writes is kept as what would have been written, and counts as made.
//!
//! So a verb goes through the same lines whether it writes or not, and shows itself what it would do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::ip::link::{self, LinkRecord};
use crate::ip::{IfName, Netns};
use crate::plan::{Fact, Observed, Side, Step};

/// One line of what would have been written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noted {
    /// What it is about.
    Remark(String),
    /// A changing command, with its namespace.
    Command(Vec<String>),
}

/// Keeps what a verb would have written.
#[derive(Debug, Clone, Default)]
pub struct DryRun {
    has_no_pod: bool,
    lease: Option<Value>,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    lines: Vec<Noted>,
    /// The remark above the next command.
    heading: Option<String>,
    /// What counts as made; of the pod's side, in which namespace.
    made: Vec<(Netns, Fact)>,
    /// The devices of pods as they were seen last, by namespace and name.
    devices: BTreeMap<(Netns, String), LinkRecord>,
    /// The numbers of the vxlans below those that would have been removed while they listened.
    left: Vec<u32>,
}

impl DryRun {
    /// The same for a pod that is not there yet: of its side nothing is seen.
    pub fn without_pod(self) -> Self {
        Self {
            has_no_pod: true,
            ..self
        }
    }

    /// The same with a substitute for the IPAM's answer, as the IPAM would print it.
    pub fn leasing(self, lease: Value) -> Self {
        Self {
            lease: Some(lease),
            ..self
        }
    }

    /// Whether there is a pod to look into.
    pub fn has_pod(&self) -> bool {
        !self.has_no_pod
    }

    /// The substitute for the IPAM's answer.
    pub fn lease(&self) -> Option<&Value> {
        self.lease.as_ref()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything so far, in order.
    pub fn lines(&self) -> Vec<Noted> {
        self.kept().lines.clone()
    }

    /// Keeps a remark.
    pub fn remark(&self, text: &str) {
        self.kept().lines.push(Noted::Remark(text.to_owned()));
    }

    /// Keeps a remark for when a command follows.
    pub fn heading(&self, text: &str) {
        self.kept().heading = Some(text.to_owned());
    }

    /// Keeps changes that would have been made in a namespace; from here on they count as made, in that pod.
    pub fn note(&self, steps: &[Step], netns: &Netns, pod: &Netns) {
        let mut kept = self.kept();
        for step in steps {
            let heading = kept.heading.take().map(Noted::Remark);
            kept.lines.extend(heading);
            let argv = step.command.argv_in(netns);
            kept.lines.push(Noted::Command(argv));
            let made = step.makes.iter().map(|fact| (pod.clone(), fact.clone()));
            kept.made.extend(made);
            if step.side == Side::Pod {
                kept.leave(step, pod);
            }
        }
    }

    /// Tells of what was seen of the node and a pod what would be made by now, and keeps in mind which devices the pod has.
    pub fn suppose(&self, seen: &mut Observed, pod: &Netns) {
        let mut kept = self.kept();
        let devices = seen.links(Side::Pod).cloned();
        let devices = devices.map(|device| ((pod.clone(), device.ifname.clone()), device));
        kept.devices.extend(devices);
        let made = kept.made.iter();
        let made = made.filter(|(of, fact)| fact.side() == Side::Host || of == pod);
        seen.suppose(made.map(|(_, fact)| fact.clone()).collect(), &kept.left);
    }
}

impl Kept {
    /// A macvlan that is removed does not listen any more.
    fn leave(&mut self, step: &Step, pod: &Netns) {
        let is_removed = |name: &str| {
            let name = IfName::new(name);
            name.is_ok_and(|name| step.command == link::del(&name))
        };
        let left = &mut self.left;
        self.devices.retain(|(of, name), device| {
            let goes = of == pod && is_removed(name);
            let listens = goes && device.flag("UP");
            left.extend(device.link_index.filter(|_| listens));
            !goes
        });
    }
}
