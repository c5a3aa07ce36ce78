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

/// `ip neigh del ADDRESS dev NAME`.
pub fn del(address: IpAddr, dev: &IfName) -> Command {
    Command::ip(&["neigh", "del"])
        .word(address)
        .pair("dev", dev)
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
