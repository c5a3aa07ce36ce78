//! When the kernel takes an answer from the wire.

use std::collections::BTreeSet;

use super::wire;
use crate::cni::CniError;
use crate::ip::batch::OnError;
use crate::ip::sysctl::{self, SysctlKey};
use crate::ip::{Family, IfName, neigh};
use crate::session::Session;

/// Has answers count over a MAC that was only just set: that of an owner with another than the one that is asked,
/// and any where [`neigh::probe_group`] asks. A process the first time that a device is claimed on.
///
/// # Errors
/// When the switch cannot be set.
pub fn take_answers_at_once<'d>(
    session: &Session<'_>,
    devs: impl Iterator<Item = &'d IfName>,
) -> Result<(), CniError> {
    let key = |dev: &IfName| SysctlKey::Neighbours(Family::V4, dev.clone(), neigh::LOCKTIME);
    let value = |key: &SysctlKey| session.exec.sysctl(key).ok().flatten();
    let is_other = |key: &SysctlKey| value(key).is_some_and(|value| value != "0");
    let keys: BTreeSet<SysctlKey> = devs.map(key).collect();
    let keys = keys.into_iter().filter(is_other);
    let settings: Vec<(SysctlKey, String)> = keys.map(|key| (key, "0".to_owned())).collect();
    if settings.is_empty() {
        return Ok(());
    }
    let because = "an answer counts at once".to_owned();
    let lines = vec![wire::line(sysctl::write(&settings), because)];
    match session.run(lines, OnError::Stop)?.failures.first() {
        Some(failed) => Err(failed.error("the wire cannot be asked")),
        None => Ok(()),
    }
}
