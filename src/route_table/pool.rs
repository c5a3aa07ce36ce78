//! Which addresses there are to hand out, and in which order they are tried. No I/O.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use crate::config::hosts::{address, hosts, number};
use crate::ip::Family;

/// Addresses that are tried at the most: no walk through a /64 ends, so it may as well end here.
const WALK_MAX: u128 = 1 << 64;

/// A part of a network whose addresses are handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The network: its length goes with every address.
    pub subnet: IpNetwork,
    /// The first address handed out.
    pub first: IpAddr,
    /// The last one.
    pub last: IpAddr,
    /// Their gateway, which is never handed out.
    pub gateway: Option<IpAddr>,
}

/// Ranges of which a container gets one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// The ranges, all of one family.
    pub ranges: Vec<Range>,
    /// Networks within them that are never handed out.
    pub exclude: Vec<IpNetwork>,
}

/// The order in which free addresses are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// From anywhere: two nodes seldom try the same.
    Random,
    /// From the first.
    Sequential,
    /// From where the pod's name points: it gets the same again when that is free.
    Sticky,
}

/// The numbers that an order starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed {
    /// Where to start.
    pub start: u64,
    /// How far to go from one to the next.
    pub stride: u64,
}

impl Seed {
    /// What a name points at (FNV-1a, 64 bits): the same on every node and in every release.
    pub fn of(name: &str) -> Self {
        let hash = |start: u64| {
            name.bytes().fold(start, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            })
        };
        Self {
            start: hash(0xcbf2_9ce4_8422_2325),
            stride: hash(0x8422_2325_cbf2_9ce4),
        }
    }

    /// From the first, one by one.
    pub const FIRST: Self = Self {
        start: 0,
        stride: 1,
    };
}

impl Range {
    /// A range of a network; the ends default to the network's hosts.
    ///
    /// # Errors
    /// Why it is none.
    pub fn new(
        subnet: IpNetwork,
        first: Option<IpAddr>,
        last: Option<IpAddr>,
        gateway: Option<IpAddr>,
    ) -> Result<Self, String> {
        if subnet.prefix() == 0 {
            return Err(format!("{subnet} is every address there is"));
        }
        let network = IpNetwork::new(subnet.network(), subnet.prefix()).unwrap_or(subnet);
        let (low, high) = hosts(network);
        let end = |given: Option<IpAddr>, default: u128| match given {
            Some(given) if !network.contains(given) => Err(format!("{given} is not in {network}")),
            Some(given) => Ok(number(given).clamp(low, high)),
            None => Ok(default),
        };
        let (first, last) = (end(first, low)?, end(last, high)?);
        if first > last {
            return Err(format!("it ends before it starts in {network}"));
        }
        Ok(Self {
            subnet: network,
            first: address(network, first),
            last: address(network, last),
            gateway,
        })
    }

    /// Whether it shares an address with another.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// Whether an address is in it.
    fn has(&self, wanted: IpAddr) -> bool {
        self.subnet.contains(wanted) && self.first <= wanted && wanted <= self.last
    }
}

impl Pool {
    /// The first address that it shares with another.
    pub fn shares(&self, other: &Self) -> Option<IpAddr> {
        let pairs = self
            .ranges
            .iter()
            .flat_map(|own| other.ranges.iter().map(move |theirs| (own, theirs)));
        let mut shared = pairs.filter(|(own, theirs)| own.overlaps(theirs));
        shared
            .next()
            .map(|(own, theirs)| own.first.max(theirs.first))
    }

    /// The family of its addresses.
    pub fn family(&self) -> Option<Family> {
        self.ranges
            .first()
            .map(|range| Family::of(range.subnet.ip()))
    }

    /// Its ranges in words.
    pub fn shown(&self) -> String {
        let shown = |range: &Range| format!("{} to {}", range.first, range.last);
        let ranges: Vec<String> = self.ranges.iter().map(shown).collect();
        ranges.join(", ")
    }

    /// Says that all of its addresses are used.
    pub fn exhausted(&self, count: usize) -> String {
        format!(
            "pool exhausted: {count} of {count} addresses used in {}",
            self.shown()
        )
    }

    /// The range that an address belongs to.
    pub fn range(&self, wanted: IpAddr) -> Option<&Range> {
        self.ranges.iter().find(|range| range.has(wanted))
    }

    /// An address with its network's length, and its gateway.
    pub fn lease(&self, wanted: IpAddr) -> Option<(IpNetwork, Option<IpAddr>)> {
        let range = self.range(wanted)?;
        let network = IpNetwork::new(wanted, range.subnet.prefix()).ok()?;
        Some((network, range.gateway))
    }

    /// Why an address is never handed out; `None` when it can be.
    pub fn refuses(&self, wanted: IpAddr) -> Option<String> {
        let Some(range) = self.range(wanted) else {
            return Some(format!("it is outside of {}", self.shown()));
        };
        if range.gateway == Some(wanted) {
            return Some("it is the gateway".to_owned());
        }
        let excluded = self.exclude.iter().find(|net| net.contains(wanted));
        excluded.map(|net| format!("it is excluded by {net}"))
    }

    /// Every address that can be handed out, each once: first the one that the start points at, whatever
    /// else is excluded, then from there in strides over what is left.
    pub fn walk(&self, seed: Seed) -> impl Iterator<Item = IpAddr> + use<'_> {
        let preferred = self.preferred(seed.start);
        let spans: Vec<Span> = self
            .ranges
            .iter()
            .flat_map(|range| self.free(range))
            .collect();
        let count = spans.iter().map(Span::size).fold(0, u128::saturating_add);
        let count = count.min(WALK_MAX);
        let size = count.max(1);
        let stride = coprime(u128::from(seed.stride) % size, size);
        let start = u128::from(seed.start) % size;
        // Both factors are below 2^64.
        let index = move |step: u128| (start + (step * stride) % size) % size;
        let others = (0..count)
            .filter_map(move |step| nth(&spans, index(step)))
            .filter(move |address| Some(*address) != preferred);
        preferred.into_iter().chain(others)
    }

    /// The address that a start points at, where it can be handed out.
    fn preferred(&self, start: u64) -> Option<IpAddr> {
        let whole: Vec<Span> = self.ranges.iter().map(Span::of).collect();
        let size = whole.iter().map(Span::size).fold(0, u128::saturating_add);
        let index = u128::from(start) % size.clamp(1, WALK_MAX);
        nth(&whole, index).filter(|address| self.refuses(*address).is_none())
    }

    /// What is left of a range: a walk that passed over what is excluded would not end where that is most of a /64.
    fn free(&self, range: &Range) -> Vec<Span> {
        let own = range.gateway.map(IpNetwork::from);
        let within = |net: &IpNetwork| net.is_ipv4() == range.subnet.is_ipv4();
        let holes = self.exclude.iter().copied().chain(own).filter(within);
        let mut holes: Vec<(u128, u128)> = holes
            .map(|net| (number(net.network()), number(net.broadcast())))
            .collect();
        holes.sort_unstable();
        let whole = Span::of(range);
        let (mut spans, mut next) = (Vec::new(), Some(whole.first));
        for (first, last) in holes {
            let Some(low) = next.filter(|low| *low <= last) else {
                continue;
            };
            if first > low {
                spans.extend(whole.part(low, first - 1));
            }
            next = last.checked_add(1);
        }
        spans.extend(next.and_then(|low| whole.part(low, whole.last)));
        spans
    }
}

/// Addresses one behind the other.
#[derive(Debug, Clone, Copy)]
struct Span {
    subnet: IpNetwork,
    first: u128,
    last: u128,
}

impl Span {
    fn of(range: &Range) -> Self {
        Self {
            subnet: range.subnet,
            first: number(range.first),
            last: number(range.last),
        }
    }

    /// The part between two addresses, as far as they are in it.
    fn part(self, first: u128, last: u128) -> Option<Self> {
        let (first, last) = (first.max(self.first), last.min(self.last));
        (first <= last).then_some(Self {
            first,
            last,
            ..self
        })
    }

    fn size(&self) -> u128 {
        (self.last - self.first).saturating_add(1)
    }
}

/// The address at an index over all spans.
fn nth(spans: &[Span], mut index: u128) -> Option<IpAddr> {
    for span in spans {
        if index < span.size() {
            return Some(address(span.subnet, span.first + index));
        }
        index -= span.size();
    }
    None
}

/// The next number from `from` on that shares no factor with `size`: strides of it meet every index.
fn coprime(from: u128, size: u128) -> u128 {
    let gcd = |mut a: u128, mut b: u128| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    (from.max(1)..)
        .find(|stride| gcd(*stride, size) == 1)
        .unwrap_or(1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeSet;

    fn range(subnet: &str, first: &str, last: &str, gateway: &str) -> Range {
        let end = |text: &str| text.parse().ok();
        Range::new(subnet.parse().unwrap(), end(first), end(last), end(gateway)).unwrap()
    }

    fn pool(ranges: Vec<Range>, exclude: &[&str]) -> Pool {
        let exclude = exclude.iter().map(|net| net.parse().unwrap()).collect();
        Pool { ranges, exclude }
    }

    fn all(pool: &Pool, seed: Seed) -> Vec<String> {
        pool.walk(seed).map(|a| a.to_string()).collect()
    }

    #[test]
    fn r9_network_broadcast_gateway_and_excluded_addresses_are_never_handed_out() {
        let pool = pool(
            vec![range("10.1.0.0/29", "10.1.0.0", "10.1.0.7", "10.1.0.1")],
            &["10.1.0.4/31"],
        );
        assert_eq!(
            all(&pool, Seed::FIRST),
            ["10.1.0.2", "10.1.0.3", "10.1.0.6"]
        );
        for (wanted, why) in [
            ("10.1.0.0", "outside"),
            ("10.1.0.7", "outside"),
            ("10.1.0.1", "gateway"),
            ("10.1.0.5", "excluded by 10.1.0.4/31"),
            ("10.2.0.1", "outside"),
            ("fd00::1", "outside"),
        ] {
            let said = pool.refuses(wanted.parse().unwrap()).unwrap();
            assert!(said.contains(why), "{wanted}: {said}");
        }
        assert_eq!(pool.refuses("10.1.0.6".parse().unwrap()), None);
    }

    #[test]
    fn r10_the_last_usable_address_is_handed_out_and_the_smallest_networks_work() {
        let last = |subnet: &str| all(&pool(vec![range(subnet, "", "", "")], &[]), Seed::FIRST);
        assert_eq!(last("10.1.0.0/24").last().unwrap(), "10.1.0.254");
        assert_eq!(last("10.1.0.0/24").len(), 254);
        assert_eq!(last("10.1.0.6/31"), ["10.1.0.6", "10.1.0.7"]);
        assert_eq!(last("10.1.0.6/32"), ["10.1.0.6"]);
    }

    #[test]
    fn r12_ipv6_networks_of_every_length_have_addresses() {
        for (subnet, first) in [
            ("fd10::/64", "fd10::1"),
            ("fd10::/112", "fd10::1"),
            ("fd10::/127", "fd10::"),
            ("fd10::7/128", "fd10::7"),
            ("fd00::/8", "fd00::1"),
        ] {
            let pool = pool(vec![range(subnet, "", "", "")], &[]);
            assert_eq!(pool.walk(Seed::FIRST).next().unwrap().to_string(), first);
            let seed = Seed {
                start: u64::MAX,
                stride: u64::MAX - 1,
            };
            let some: BTreeSet<IpAddr> = pool.walk(seed).take(1000).collect();
            assert_eq!(
                some.len() as u128,
                Span::of(&pool.ranges[0]).size().min(1000),
                "{subnet}"
            );
        }
    }

    #[test]
    fn every_walk_meets_every_address_once_wherever_it_starts() {
        let pool = pool(
            vec![
                range("10.1.0.0/24", "10.1.0.10", "10.1.0.39", ""),
                range("10.2.0.0/24", "10.2.0.250", "", ""),
            ],
            &[],
        );
        for start in [0, 1, 34, 35, 1 << 40] {
            for stride in [0, 1, 5, 7, 35, u64::MAX] {
                let walked: Vec<String> = all(&pool, Seed { start, stride });
                assert_eq!(walked.len(), 35);
                assert_eq!(walked.iter().collect::<BTreeSet<_>>().len(), 35);
            }
        }
    }

    #[test]
    fn a_walk_ends_where_most_of_a_large_network_is_excluded() {
        let whole = || vec![range("fd10::/64", "", "", "fd10::1")];
        let none = pool(whole(), &["fd10::/64"]);
        assert_eq!(all(&none, Seed::of("shop/web-1")), [""; 0]);
        let few = pool(
            whole(),
            &["fd10:0:0:0:8000::/65", "10.0.0.0/8", "fd10::/126"],
        );
        assert_eq!(few.walk(Seed::FIRST).next().unwrap().to_string(), "fd10::4");
        let last = vec![range("fd10::/64", "fd10::4", "fd10::7", "fd10::5")];
        let last = pool(last, &["fd10::6/127", "fd10::7/128"]);
        for start in 0..9 {
            assert_eq!(all(&last, Seed { start, stride: 3 }), ["fd10::4"]);
        }
    }

    #[test]
    fn a_name_keeps_its_address_when_others_are_excluded() {
        let first = |exclude: &[&str]| {
            let pool = pool(vec![range("10.1.0.0/24", "", "", "")], exclude);
            pool.walk(Seed::of("shop/web-1"))
                .next()
                .unwrap()
                .to_string()
        };
        let found = first(&[]);
        let other = if first(&["10.1.0.0/25"]) == found {
            "10.1.0.0/25"
        } else {
            "10.1.0.128/25"
        };
        assert_eq!(first(&[other]), found);
        assert_ne!(first(&[&format!("{found}/32")]), found);
    }

    #[test]
    fn a_name_points_at_the_same_address_each_time_and_names_point_apart() {
        let pool = pool(vec![range("10.1.0.0/16", "", "", "")], &[]);
        let first = |name: &str| pool.walk(Seed::of(name)).next().unwrap().to_string();
        // Pinned: another release must not move every pod.
        assert_eq!(first("shop/web-1"), first("shop/web-1"));
        let hundred: BTreeSet<String> = (0..100).map(|n| first(&format!("shop/web-{n}"))).collect();
        assert!(hundred.len() > 95, "{}", hundred.len());
    }

    #[test]
    fn an_address_comes_with_the_length_and_gateway_of_its_own_range() {
        let pool = pool(
            vec![
                range("10.1.0.0/24", "", "", "10.1.0.1"),
                range("10.2.0.0/16", "", "", "10.2.0.1"),
            ],
            &[],
        );
        let (address, gateway) = pool.lease("10.2.0.9".parse().unwrap()).unwrap();
        assert_eq!(
            (address.to_string(), gateway.unwrap().to_string()),
            ("10.2.0.9/16".into(), "10.2.0.1".into())
        );
    }

    #[test]
    fn a_range_that_cannot_be_is_refused() {
        let end = |text: &str| Some(text.parse().unwrap());
        let subnet: IpNetwork = "10.1.0.0/24".parse().unwrap();
        assert!(Range::new(subnet, end("10.1.0.9"), end("10.1.0.8"), None).is_err());
        assert!(Range::new(subnet, end("10.2.0.9"), None, None).is_err());
        assert!(Range::new(subnet, end("fd00::1"), None, None).is_err());
    }
}
