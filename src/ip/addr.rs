//! `ip addr`: addresses of a device. What `ip -j addr show` prints is [`super::link::LinkRecord`].

use ipnetwork::IpNetwork;

use super::command::Command;
use super::name::{Family, IfName};

/// What an address is to the host that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Its own: what leaves by the device has it as its source.
    Own,
    /// One that others have too, by which an answer would not find this host: nothing is to leave with it. Of IPv4 by its
    /// scope, which `inet_select_addr` passes over (`net/ipv4/devinet.c`), of IPv6 as a deprecated one (RFC 6724, rule 3).
    Anycast,
    /// Its own, of another device's subnet (an unnumbered device): brings no route.
    Unnumbered,
}

/// `ip addr replace ADDRESS/LENGTH dev NAME [scope 253] [nodad] [preferred_lft 0] [noprefixroute]`: idempotent. IPv6 comes
/// without duplicate address detection, which would keep the address unusable for about a second.
pub fn replace(address: IpNetwork, dev: &IfName, role: Role) -> Command {
    let v6 = address.is_ipv6();
    Command::ip(&["addr", "replace"])
        .word(address)
        .pair("dev", dev)
        .maybe("scope", (!v6 && role != Role::Own).then_some(SCOPE_LINK))
        .when(v6, "nodad")
        .maybe("preferred_lft", (v6 && role == Role::Anycast).then_some(0))
        .when(role == Role::Unnumbered, "noprefixroute")
}

/// `RT_SCOPE_LINK`, `linux/rtnetlink.h`: by number, since rt_scopes may give it another name.
pub const SCOPE_LINK: u8 = 253;

/// `RT_SCOPE_HOST`, as [`SCOPE_LINK`].
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
