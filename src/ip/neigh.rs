//! `ip neigh`: who has an address on a device.

use std::net::IpAddr;

use serde::Deserialize;

use super::command::Command;
use super::name::{IfName, Mac};

/// `ip neigh replace ADDRESS lladdr MAC dev NAME nud permanent`.
pub fn replace(address: IpAddr, mac: Mac, dev: &IfName) -> Command {
    Command::ip(&["neigh", "replace"])
        .word(address)
        .pair("lladdr", mac)
        .pair("dev", dev)
        .pair("nud", "permanent")
}

/// `ip neigh replace ADDRESS dev NAME nud failed`: forgets what was known, without asking.
pub fn forget(address: IpAddr, dev: &IfName) -> Command {
    on(Command::ip(&["neigh", "replace"]), address, dev).pair("nud", "failed")
}

/// `ip neigh replace ADDRESS dev NAME use`: the kernel asks the wire who has it (`NTF_USE`, linux/neighbour.h).
/// Where something is known already it does not ask at once: [`forget`] comes first.
pub fn ask(address: IpAddr, dev: &IfName) -> Command {
    on(Command::ip(&["neigh", "replace"]), address, dev).word("use")
}

/// `ADDRESS dev NAME`.
fn on(command: Command, address: IpAddr, dev: &IfName) -> Command {
    command.word(address).pair("dev", dev)
}

/// `ip neigh del ADDRESS dev NAME`.
pub fn del(address: IpAddr, dev: &IfName) -> Command {
    on(Command::ip(&["neigh", "del"]), address, dev)
}

/// `ip neigh show to ADDRESS dev NAME nud all`: also where the kind of the device asks nobody.
pub fn show(address: IpAddr, dev: &IfName) -> Command {
    Command::ip(&["neigh", "show"])
        .pair("to", address)
        .pair("dev", dev)
        .pair("nud", "all")
}

/// What `ip -j neigh show` prints of one neighbour.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NeighRecord {
    /// The address.
    pub dst: IpAddr,
    /// Its MAC, where it is known.
    pub lladdr: Option<String>,
    /// `REACHABLE`, `FAILED`, ...
    #[serde(default)]
    pub state: Vec<String>,
}

impl NeighRecord {
    /// The MAC that somebody told since it was forgotten: as an answer, or unasked as a container does that
    /// has just come up (`STALE`). What an operator or the kind of the device fixed is no answer.
    pub fn answered(&self) -> Option<&str> {
        const FIXED: [&str; 2] = ["PERMANENT", "NOARP"];
        let fixed = self.state.iter().any(|state| FIXED.contains(&&**state));
        self.lladdr.as_deref().filter(|_| !fixed)
    }
}
