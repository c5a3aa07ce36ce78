//! Addresses as numbers: which of a network a host can have, and the MAC that goes with one.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use crate::ip::{Family, Mac};

/// The first and the last address of a network that a host can have: never the network's own and never
/// IPv4's broadcast; in a /31, a /127 and a single-host network every address is a host's (RFC 3021, RFC 6164).
pub fn hosts(cidr: IpNetwork) -> (u128, u128) {
    let (first, last) = (number(cidr.network()), number(cidr.broadcast()));
    let small = cidr.prefix() >= Family::of(cidr.ip()).host_prefix() - 1;
    (
        first + u128::from(!small),
        last - u128::from(!small && cidr.is_ipv4()),
    )
}

/// An address as a number.
pub fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u32::from(v4).into(),
        IpAddr::V6(v6) => v6.into(),
    }
}

/// 32 bits of an address: IPv4's own, of IPv6 a hash of all of it (FNV-1a), since its last bytes may be the same in several
/// subnets.
pub fn bits32(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => v6.octets().iter().fold(0x811c_9dc5, |hash, byte| {
            (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
        }),
    }
}

/// A number as an address of a network's family.
pub fn address(cidr: IpNetwork, number: u128) -> IpAddr {
    match cidr {
        IpNetwork::V4(_) => IpAddr::V4((number as u32).into()),
        IpNetwork::V6(_) => IpAddr::V6(number.into()),
    }
}

/// An address that is asked for, and the text of its length where one is given; `None` where it is no address.
pub fn asked(text: &str) -> Option<(IpAddr, Option<&str>)> {
    let (bare, length) = match text.trim().split_once('/') {
        Some((bare, length)) => (bare, Some(length)),
        None => (text.trim(), None),
    };
    Some((bare.parse().ok()?, length))
}

/// The address of a network whose MAC by [`mac_of`] is this one; `None` where there is none. Of an IPv6 address the
/// MAC has the last five bytes, so what a short prefix leaves open is taken for zeros.
pub fn addresses_of(mac: Mac, cidr: IpNetwork) -> Option<IpAddr> {
    let [first, rest @ ..] = mac.octets();
    let address = match (cidr, first, rest) {
        (IpNetwork::V4(_), 0x0a, [0x58, a, b, c, d]) => IpAddr::from([a, b, c, d]),
        (IpNetwork::V6(cidr), 0x0e, [a, b, c, d, e]) => {
            let low = u64::from_be_bytes([0, 0, 0, a, b, c, d, e]);
            IpAddr::V6((u128::from(cidr.network()) & !0xff_ffff_ffff | u128::from(low)).into())
        }
        _ => return None,
    };
    cidr.contains(address).then_some(address)
}

/// The MAC of an address: `0a:58` and the IPv4 address, as the reference plugins do, or `0e` and the
/// last five bytes of the IPv6 address; both are locally administered and unicast.
pub fn mac_of(address: IpAddr) -> Option<Mac> {
    Mac::new(match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            [0x0a, 0x58, a, b, c, d]
        }
        IpAddr::V6(v6) => {
            let [.., a, b, c, d, e] = v6.octets();
            [0x0e, a, b, c, d, e]
        }
    })
    .ok()
}
