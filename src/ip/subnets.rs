//! Subnets side by side, as few as can say the same. `nft` shows a set of them joined where they touch.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

/// The fewest subnets that have the same addresses, sorted.
pub fn fewest(subnets: impl Iterator<Item = IpNetwork>) -> Vec<IpNetwork> {
    let mut ranges: Vec<(IpAddr, IpAddr)> = subnets
        .map(|one| (one.network(), one.broadcast()))
        .collect();
    ranges.sort();
    let mut joined: Vec<(IpAddr, IpAddr)> = Vec::new();
    for (first, last) in ranges {
        match joined.last_mut() {
            Some((_, end)) if touches(*end, first) => *end = last.max(*end),
            _ => joined.push((first, last)),
        }
    }
    joined
        .into_iter()
        .flat_map(|(first, last)| of_range(first, last))
        .collect()
}

/// The fewest subnets that are just what is between two addresses of one family, both included.
///
/// None where they are of two families.
pub fn of_range(first: IpAddr, last: IpAddr) -> Vec<IpNetwork> {
    if first.is_ipv4() != last.is_ipv4() {
        return Vec::new();
    }
    let (mut from, to) = (number(first), number(last));
    let bits: u32 = if first.is_ipv4() { 32 } else { 128 };
    let mut subnets = Vec::new();
    while from <= to {
        let aligned = from.trailing_zeros().min(bits);
        // At most 128 turns; a single address fits always.
        let fits = (0..=aligned).rev();
        let mut fits = fits.filter(|host| to - from >= hosts(*host));
        let host = fits.next().unwrap_or(0);
        let address = match first {
            IpAddr::V4(_) => IpAddr::V4((from as u32).into()),
            IpAddr::V6(_) => IpAddr::V6(from.into()),
        };
        let prefix = u8::try_from(bits - host).unwrap_or(0);
        subnets.extend(IpNetwork::new(address, prefix));
        match from
            .checked_add(hosts(host))
            .and_then(|end| end.checked_add(1))
        {
            Some(next) => from = next,
            None => break,
        }
    }
    subnets
}

/// Whether a subnet is in one of others.
pub fn is_in(subnet: IpNetwork, others: &[IpNetwork]) -> bool {
    let holds =
        |other: &IpNetwork| other.prefix() <= subnet.prefix() && other.contains(subnet.ip());
    others.iter().any(holds)
}

/// The greatest number that so many bits hold.
fn hosts(bits: u32) -> u128 {
    u128::MAX.checked_shr(128 - bits).unwrap_or(0)
}

/// Whether nothing is between the end of one range and the start of another that is not before it.
fn touches(end: IpAddr, first: IpAddr) -> bool {
    end.is_ipv4() == first.is_ipv4() && number(first) <= number(end).saturating_add(1)
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u32::from(v4).into(),
        IpAddr::V6(v6) => v6.into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(text: &str) -> Vec<IpNetwork> {
        text.split_whitespace()
            .map(|one| one.parse().unwrap())
            .collect()
    }

    #[test]
    fn subnets_that_touch_or_lie_in_each_other_become_as_few_as_can_be() {
        for (given, fewest_of_it) in [
            ("10.2.0.0/16 10.1.0.0/16", "10.1.0.0/16 10.2.0.0/16"),
            ("10.3.0.0/16 10.2.0.0/16", "10.2.0.0/15"),
            ("10.2.0.0/16 10.2.7.0/24", "10.2.0.0/16"),
            (
                "10.1.0.0/32 10.1.0.1/32 10.1.0.2/32",
                "10.1.0.0/31 10.1.0.2/32",
            ),
            ("::/0 10.0.0.0/8 fd00::/8", "10.0.0.0/8 ::/0"),
            ("0.0.0.0/1 128.0.0.0/1 ff00::/8", "0.0.0.0/0 ff00::/8"),
            (
                "255.255.255.255/32 224.0.0.0/4",
                "224.0.0.0/4 255.255.255.255/32",
            ),
        ] {
            assert_eq!(fewest(read(given).into_iter()), read(fewest_of_it));
        }
    }

    #[test]
    fn a_range_is_just_its_addresses() {
        let range =
            |first: &str, last: &str| of_range(first.parse().unwrap(), last.parse().unwrap());
        assert_eq!(
            range("10.1.0.0", "10.2.255.255"),
            read("10.1.0.0/16 10.2.0.0/16")
        );
        assert_eq!(
            range("10.0.0.1", "10.0.0.4"),
            read("10.0.0.1/32 10.0.0.2/31 10.0.0.4/32")
        );
        assert_eq!(
            range("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            read("::/0")
        );
        assert_eq!(range("0.0.0.0", "255.255.255.255"), read("0.0.0.0/0"));
    }
}
