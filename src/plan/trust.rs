//! What a device of a network takes from no pod: routers, addresses, other ways, the part of a proxy.
//!
//! On every device of a network and in both families, whichever the network has: IPv6 listens by itself, also
//! where only IPv4 was asked for. A new device takes its switches from `default`, which may say otherwise.

use super::Side;
use super::fact::Fact;
use crate::ip::sysctl::SysctlKey;
use crate::ip::{Family, IfName};

/// A switch, its value, and other values that are as good.
type Switch = (&'static str, &'static str, &'static [&'static str]);

/// What there is on every device that can carry IPv4.
///
/// - `accept_redirects`: another way to an address, believed of whatever calls itself the router.
/// - `accept_source_route`: the sender chooses the way (RFC 791, 3.1).
/// - `proxy_arp`: answers for the addresses of others, where the way there is by another device.
const V4: [Switch; 3] = [
    ("accept_redirects", "0", &[]),
    ("accept_source_route", "0", &[]),
    ("proxy_arp", "0", &[]),
];

/// What there is on every device that can carry IPv6.
///
/// - `accept_ra`: router advertisements, the class of CVE-2020-10749. A node that forwards passes over them at 1,
///   not at 2, and not once an operator has forbidden it to forward.
/// - `autoconf`: addresses from the prefixes in them.
/// - `accept_source_route`: below 0 forbids one more kind of routing header (`Documentation/networking/ip-sysctl`).
/// - `proxy_ndp`: as `proxy_arp`.
const V6: [Switch; 5] = [
    ("accept_ra", "0", &[]),
    ("autoconf", "0", &[]),
    ("accept_redirects", "0", &[]),
    ("accept_source_route", "0", &["-1"]),
    ("proxy_ndp", "0", &[]),
];

/// The switches of a device; `ipv6` says whether the device has those of IPv6: they are absent where the kernel
/// has none, and below an MTU of 1280.
pub fn switches(side: Side, dev: &IfName, ipv6: bool) -> Vec<Fact> {
    let of = |family, switches: &[Switch]| {
        let fact = |(name, value, or): &Switch| Fact::Sysctl {
            side,
            key: SysctlKey::Device(family, dev.clone(), name),
            value,
            or: match side {
                // What a plugin behind ours has it play is the pod's own business; at the start it plays none.
                Side::Pod if name.starts_with("proxy_") => &["1"],
                _ => or,
            },
        };
        switches.iter().map(fact).collect::<Vec<_>>()
    };
    let mut facts = of(Family::V4, &V4);
    if ipv6 {
        facts.extend(of(Family::V6, &V6));
    }
    facts
}

/// What a pod needs besides: where it does not forward, the kernel takes a redirect if the device's switch *or*
/// that of all devices says so (`IN_DEV_RX_REDIRECTS`, `include/linux/inetdevice.h`). Another interface of the pod's
/// still goes by its own.
pub fn of_the_whole_pod() -> Fact {
    Fact::Sysctl {
        side: Side::Pod,
        key: SysctlKey::All(Family::V4, "accept_redirects"),
        value: "0",
        or: &[],
    }
}
