//! `ip addr`: addresses of a device. What `ip -j addr show` prints is [`super::link::LinkRecord`].

use ipnetwork::IpNetwork;

use super::command::Command;
use super::name::{Family, IfName};

/// `ip addr replace ADDRESS/LENGTH dev NAME [nodad]`: idempotent. IPv6 comes without duplicate
/// address detection, which would keep the address unusable for about a second.
pub fn replace(address: IpNetwork, dev: &IfName) -> Command {
    Command::ip(&["addr", "replace"])
        .word(address)
        .pair("dev", dev)
        .when(address.is_ipv6(), "nodad")
}

/// `RT_SCOPE_HOST`, `linux/rtnetlink.h`: by number, since rt_scopes may give it another name.
const SCOPE_HOST: u8 = 254;

/// `ip addr replace ADDRESS/LENGTH dev NAME scope 254 valid_lft SECONDS preferred_lft SECONDS noprefixroute`:
/// an address that the kernel takes off again by itself, and that it sends nothing from.
pub fn lend(address: IpNetwork, dev: &IfName, seconds: u32) -> Command {
    Command::ip(&["addr", "replace"])
        .word(address)
        .pair("dev", dev)
        .pair("scope", SCOPE_HOST)
        .pair("valid_lft", seconds)
        .pair("preferred_lft", seconds)
        .word("noprefixroute")
}

/// `ip addr del ADDRESS/LENGTH dev NAME`.
pub fn del(address: IpNetwork, dev: &IfName) -> Command {
    Command::ip(&["addr", "del"]).word(address).pair("dev", dev)
}

/// `ip -d addr show`: every device with its addresses, in a namespace that has few.
pub fn show_all() -> Command {
    Command::ip(&["addr", "show"]).detailed()
}

/// `ip -6 addr show dynamic`: the devices with addresses that end by themselves, as a router advertises them.
pub fn show_dynamic() -> Command {
    Command::ip(&["addr", "show", "dynamic"]).family(Family::V6)
}

/// `ip -d addr show dev NAME`: the link and its addresses.
pub fn show(dev: &IfName) -> Command {
    Command::ip(&["addr", "show"]).pair("dev", dev).detailed()
}
