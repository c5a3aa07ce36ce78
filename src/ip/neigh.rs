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

/// `ip neigh show to ADDRESS dev NAME`.
pub fn show(address: IpAddr, dev: &IfName) -> Command {
    Command::ip(&["neigh", "show"])
        .pair("to", address)
        .pair("dev", dev)
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
    /// The MAC that answered, where one has just done so.
    pub fn answered(&self) -> Option<&str> {
        let reachable = self.state.iter().any(|state| state == "REACHABLE");
        self.lladdr.as_deref().filter(|_| reachable)
    }
}
