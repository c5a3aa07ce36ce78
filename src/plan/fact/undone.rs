//! What undoes a fact on a node as it was seen.

use super::super::observed::Observed;
use super::super::side::Side;
use super::{Fact, Verdict};
use crate::ip::Command;
use crate::ip::link::{LinkRecord, Vxlan};

impl Fact {
    /// The commands that undo it as it is there; none where it is not, or is another's.
    pub fn undone(&self, seen: &Observed) -> Vec<(Side, Command)> {
        let times = match self {
            Self::Vxlan { name, vxlan } => {
                let found = seen.link(Side::Host, name);
                usize::from(found.is_some_and(|found| is_that_network(found, vxlan)))
            }
            // `rule del` removes one match at a time.
            Self::Rule { rule, .. } => {
                let listed = seen.rules(rule.family(), rule.pref).unwrap_or_default();
                listed.iter().filter(|found| rule.is(found)).count()
            }
            _ => usize::from(self.verdict(seen) == Verdict::Holds),
        };
        self.undo().into_iter().cycle().take(times).collect()
    }
}

/// Kind and VNI decide which network's a device is; a changed option does not make it another's.
fn is_that_network(found: &LinkRecord, vxlan: &Vxlan) -> bool {
    found.kind() == "vxlan" && found.data().id.map(u64::from) == Some(vxlan.vni.into())
}
