//! `ip addr`: addresses of a device. What `ip -j addr show` prints is [`super::link::LinkRecord`].

use ipnetwork::IpNetwork;

use super::command::Command;
use super::name::IfName;

/// `ip addr replace ADDRESS/LENGTH dev NAME [nodad]`: idempotent. IPv6 comes without duplicate
/// address detection, which would keep the address unusable for about a second.
pub fn replace(address: IpNetwork, dev: &IfName) -> Command {
    Command::ip(&["addr", "replace"])
        .word(address)
        .pair("dev", dev)
        .when(address.is_ipv6(), "nodad")
}

/// `ip addr replace ADDRESS/LENGTH dev NAME scope host valid_lft SECONDS preferred_lft SECONDS noprefixroute`:
/// an address that the kernel takes off again by itself, and that it sends nothing from.
pub fn lend(address: IpNetwork, dev: &IfName, seconds: u32) -> Command {
    Command::ip(&["addr", "replace"])
        .word(address)
        .pair("dev", dev)
        .pair("scope", "host")
        .pair("valid_lft", seconds)
        .pair("preferred_lft", seconds)
        .word("noprefixroute")
}

/// `ip addr del ADDRESS/LENGTH dev NAME`.
pub fn del(address: IpNetwork, dev: &IfName) -> Command {
    Command::ip(&["addr", "del"]).word(address).pair("dev", dev)
}

/// `ip -d addr show dev NAME`: the link and its addresses.
pub fn show(dev: &IfName) -> Command {
    Command::ip(&["addr", "show"]).pair("dev", dev).detailed()
}
