//! `bridge fdb`: to which VTEP a MAC's frames go.

use std::net::IpAddr;

use serde::Deserialize;

use super::command::{Command, Program};
use super::name::{IfName, Mac};

/// The MAC that stands for every destination that is not learnt (head-end replication).
const UNKNOWN: &str = "00:00:00:00:00:00";

/// `bridge fdb append 00:00:00:00:00:00 dev NAME dst VTEP`: one more VTEP for what is not known.
pub fn append_peer(dev: &IfName, vtep: IpAddr) -> Command {
    Command::new(Program::Bridge, &["fdb", "append", UNKNOWN])
        .pair("dev", dev)
        .pair("dst", vtep)
}

/// The same by an underlay device, without which a group is looked for wherever the default route leads.
pub fn append_peer_via(dev: &IfName, vtep: IpAddr, via: Option<&IfName>) -> Command {
    append_peer(dev, vtep).maybe("via", via)
}

/// `bridge fdb del 00:00:00:00:00:00 dev NAME dst VTEP`.
pub fn del_peer(dev: &IfName, vtep: IpAddr) -> Command {
    Command::new(Program::Bridge, &["fdb", "del", UNKNOWN])
        .pair("dev", dev)
        .pair("dst", vtep)
}

/// One more VTEP for what is not known, or one less.
pub fn peer(dev: &IfName, vtep: IpAddr, listed: bool) -> Command {
    match listed {
        true => append_peer(dev, vtep),
        false => del_peer(dev, vtep),
    }
}

/// `bridge fdb del MAC dev NAME dst VTEP self`: what was learnt of one MAC.
pub fn forget(mac: Mac, dev: &IfName, vtep: IpAddr) -> Command {
    Command::new(Program::Bridge, &["fdb", "del"])
        .word(mac)
        .pair("dev", dev)
        .pair("dst", vtep)
        .word("self")
}

/// `bridge fdb get 00:00:00:00:00:00 dev NAME self`: the first VTEP for what is not known, by one look-up, however
/// much the device has learnt.
pub fn flood(dev: &IfName) -> Command {
    Command::new(Program::Bridge, &["fdb", "get", UNKNOWN])
        .pair("dev", dev)
        .word("self")
}

/// `bridge fdb show dev NAME`: all that it has learnt, which a pod can make much of.
pub fn show(dev: &IfName) -> Command {
    Command::new(Program::Bridge, &["fdb", "show"]).pair("dev", dev)
}

/// `bridge fdb get MAC dev NAME self`: one look-up, however many are learnt; without `self` it is looked for in
/// the bridge that the device is a port of.
pub fn get(mac: Mac, dev: &IfName) -> Command {
    Command::new(Program::Bridge, &["fdb", "get"])
        .word(mac)
        .pair("dev", dev)
        .word("self")
}

/// What `bridge -j fdb show` prints of one entry.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FdbRecord {
    /// MAC.
    pub mac: String,
    /// VTEP.
    pub dst: Option<IpAddr>,
    /// `permanent`, or empty for a learnt one.
    #[serde(default)]
    pub state: String,
    /// Seconds since it was used (`-s`).
    pub used: Option<u64>,
    /// Seconds since it was renewed (`-s`).
    pub updated: Option<u64>,
}

impl FdbRecord {
    /// Seconds since the device last heard from the MAC or sent to it. Which of the two ages an answer renews differs
    /// between kernels.
    pub fn age(&self) -> Option<u64> {
        [self.used, self.updated].into_iter().flatten().min()
    }

    /// Whether it leads what is not learnt to some VTEP.
    pub fn is_flood(&self) -> bool {
        self.mac == UNKNOWN
    }

    /// Whether it leads what is not learnt to a VTEP.
    pub fn floods_to(&self, vtep: IpAddr) -> bool {
        self.mac == UNKNOWN && self.dst == Some(vtep)
    }
}
