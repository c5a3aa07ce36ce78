//! Looks for free addresses: exact look-ups, as many in a process as are needed, never a list.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Instant;

use super::config::Ipam;
use super::liar::{Answers, impossible};
use super::owners::{Held, Owners};
use super::pool::{Order, Pool, Seed};
use super::wire;
use crate::cni::{CniError, Code};
use crate::exec::System;
use crate::ip::route::{Lookup, RouteRecord};
use crate::ip::{Family, IfName};
use crate::plan::{Observed, Read, Side};
use crate::session::Session;

/// How many addresses are looked up by the first process. One look-up costs some 5 microseconds, a
/// process a thousand: most pools are far from full, and where one is not, the number grows.
const LOOK_FIRST: usize = 8;

/// How many at the most: what fits into memory and into a fraction of the time there is.
const LOOK_MOST: usize = 4096;

/// How many the wire is asked about at once: neighbours count against a limit that the node shares with all
/// its namespaces (`net.ipv4.neigh.default.gc_thresh3`, 1024).
const SIFT_MOST: usize = 64;

/// What one exact look-up tells of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use {
    /// No owner has it; the device through which the kernel would reach it, if it is on one.
    Free(Option<IfName>),
    /// A host route leads to it.
    Taken(RouteRecord),
}

impl Use {
    /// Reads a look-up of an address.
    pub fn of(address: IpAddr, seen: &Observed) -> Self {
        let family = Family::of(address);
        let Some(record) = seen.lookup(Side::Host, Lookup::to(address)) else {
            return Self::Free(None);
        };
        match record.destination(family) {
            // Where IPv6 routes share a nexthop object, as FRR's do, the kernel answers with the destination of
            // the route that was looked up first (seen on 6.18). The pool's subnet is on a device, so a route
            // by a nexthop object that the kernel prefers to it is a host route: a claim.
            Some(dst) if !dst.contains(address) => Self::Taken(RouteRecord {
                dst: address.to_string(),
                ..record.clone()
            }),
            Some(dst) if dst.prefix() == family.host_prefix() => Self::Taken(record.clone()),
            _ if record.gateway.is_some() => Self::Free(None),
            _ => Self::Free(record.dev.as_deref().and_then(|dev| IfName::new(dev).ok())),
        }
    }
}

/// The route that the kernel prefers to a claim: another node's. None where the record is cut short.
pub fn preferred(held: &Held, seen: &Observed) -> Option<RouteRecord> {
    let owner = held.owner.as_ref()?;
    match Use::of(held.address, seen) {
        Use::Taken(record) if !owner.route.is(&record) => Some(record),
        _ => None,
    }
}

/// A free address, and the device to claim it on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The address.
    pub address: IpAddr,
    /// The device.
    pub dev: IfName,
}

/// The search in one pool.
pub struct Search<'a> {
    pool: &'a Pool,
    walk: Box<dyn Iterator<Item = IpAddr> + 'a>,
    wanted: Option<IpAddr>,
    free: VecDeque<(IpAddr, Option<IfName>)>,
    /// The device of the last one that was free.
    dev: Option<IfName>,
    chunk: usize,
    looked_at: usize,
    deadline: Instant,
}

impl<'a> Search<'a> {
    /// A search for the address asked for, or for any in the configured order.
    pub fn new(pool: &'a Pool, ipam: &Ipam, pod: &str, deadline: Instant) -> Self {
        let wanted = ipam
            .wanted
            .iter()
            .copied()
            .find(|ip| pool.range(*ip).is_some());
        let seed = match ipam.order {
            Order::Random => Seed {
                start: fastrand::u64(..),
                stride: fastrand::u64(..),
            },
            Order::Sequential => Seed::FIRST,
            Order::Sticky => Seed::of(pod),
        };
        Self {
            pool,
            walk: match wanted {
                Some(wanted) => Box::new(std::iter::once(wanted)),
                None => Box::new(pool.walk(seed)),
            },
            wanted,
            free: VecDeque::new(),
            dev: None,
            chunk: LOOK_FIRST,
            looked_at: 0,
            deadline,
        }
    }

    /// The pool.
    pub fn pool(&self) -> &'a Pool {
        self.pool
    }

    /// The address that was asked for.
    pub fn wanted(&self) -> Option<IpAddr> {
        self.wanted
    }

    /// The next free address.
    ///
    /// # Errors
    /// Code 102 when there is none, 11 when the one asked for is taken or the time is over.
    pub fn next(
        &mut self,
        session: &Session<'_>,
        ipam: &Ipam,
        owners: &Owners,
    ) -> Result<Candidate, CniError> {
        loop {
            if let Some((address, dev)) = self.free.pop_front() {
                let dev = ipam.device.clone().or(dev);
                self.dev.clone_from(&dev);
                return dev
                    .map(|dev| Candidate { address, dev })
                    .ok_or_else(|| self.no_device(address));
            }
            self.look(session, owners)?;
        }
    }

    /// Asks the wire about all that seem free at once, and about one that none can have: where one was another's
    /// though the table does not tell, many may be, and each would cost a claim and a wait of its own.
    ///
    /// # Errors
    /// As [`Search::next`].
    pub fn sift(
        &mut self,
        system: &System,
        session: &Session<'_>,
        ipam: &Ipam,
        owners: &Owners,
        answers: &mut Answers,
    ) -> Result<(), CniError> {
        if !wire::is_asked(ipam) {
            return Ok(());
        }
        // Where there are no more, it is still asked whether a liar has them.
        let more = match self.free.is_empty() {
            true => self.look(session, owners),
            false => Ok(()),
        };
        let dev = |dev: &Option<IfName>| ipam.device.clone().or(dev.clone());
        let seeming = self.free.iter().take(SIFT_MOST);
        let mut asked: Vec<(IpAddr, IfName)> = seeming
            .filter_map(|(address, found)| Some((*address, dev(found)?)))
            .collect();
        let on = asked.first().map(|(_, dev)| dev.clone());
        let on = on.or_else(|| self.dev.clone());
        let is_ipv4 = self.pool.family() == Some(Family::V4);
        // A beacon is an IPv4 address in either family.
        let impossible = impossible(is_ipv4);
        asked.extend(on.map(|dev| (impossible, dev)));
        let answered = wire::sift(system, session, ipam, self.deadline, &asked)?;
        for (address, dev, mac) in answered {
            self.free.retain(|(free, _)| *free != address);
            match address == impossible {
                true => answers.note_impossible(&mac, &dev, address),
                false => answers.note(&mac, &dev, address),
            }
        }
        match answers.tell_of_a_liar() {
            true => Ok(()),
            false => more,
        }
    }

    /// Looks the next addresses up and keeps the free ones.
    fn look(&mut self, session: &Session<'_>, owners: &Owners) -> Result<(), CniError> {
        let next = self.step()?;
        let seen = session.observe(questions(&next))?;
        self.learn(&next, &seen, owners)
    }

    /// The next addresses to look up.
    fn step(&mut self) -> Result<Vec<IpAddr>, CniError> {
        let next: Vec<IpAddr> = self.walk.by_ref().take(self.chunk).collect();
        if next.is_empty() {
            return Err(self.exhausted());
        }
        if Instant::now() >= self.deadline {
            return Err(self.out_of_time());
        }
        Ok(next)
    }

    /// Keeps those that are free.
    fn learn(&mut self, next: &[IpAddr], seen: &Observed, owners: &Owners) -> Result<(), CniError> {
        for address in next {
            match Use::of(*address, seen) {
                Use::Free(dev) => self.free.push_back((*address, dev)),
                Use::Taken(record) if self.wanted == Some(*address) => {
                    return Err(taken(*address, &holder(*address, &record, owners)));
                }
                Use::Taken(_) => {}
            }
        }
        self.looked_at += next.len();
        self.chunk = (self.chunk * 8).min(LOOK_MOST);
        Ok(())
    }

    fn exhausted(&self) -> CniError {
        CniError::new(Code::POOL_EXHAUSTED, self.pool.exhausted(self.looked_at)).details(
            "remove containers, or enlarge the range; see what is claimed: ip route show proto",
        )
    }

    fn out_of_time(&self) -> CniError {
        let msg = format!(
            "no free address was found in time: {} of {} were looked at, all taken",
            self.looked_at,
            self.pool.shown()
        );
        CniError::new(Code::TRY_AGAIN, msg).details("raise requestTimeoutMs, or enlarge the range")
    }

    fn no_device(&self, address: IpAddr) -> CniError {
        let msg = format!("{address} is on no device of this node, so no claim can be made");
        CniError::new(Code::INVALID_CONFIGURATION, msg).details(format!(
            "`ip route get fibmatch {address}` must show the subnet on the gateway's device; bring that up, or set ipam.device"
        ))
    }
}

/// Looks up the next addresses of all searches that know of no free one, in one process.
///
/// # Errors
/// As [`Search::next`].
pub fn prepare(
    searches: &mut [Search<'_>],
    session: &Session<'_>,
    owners: &Owners,
) -> Result<(), CniError> {
    let empty = |search: &&mut Search<'_>| search.free.is_empty();
    let mut asked = Vec::new();
    for search in searches.iter_mut().filter(empty) {
        let next = search.step()?;
        asked.push((search, next));
    }
    let all: Vec<Read> = asked.iter().flat_map(|(_, next)| questions(next)).collect();
    if all.is_empty() {
        return Ok(());
    }
    let seen = session.observe(all)?;
    let learn = |(search, next): (&mut Search<'_>, Vec<IpAddr>)| search.learn(&next, &seen, owners);
    asked.into_iter().try_for_each(learn)
}

fn questions(addresses: &[IpAddr]) -> Vec<Read> {
    let question = |address: &IpAddr| Read::Lookup(Side::Host, Lookup::to(*address));
    addresses.iter().map(question).collect()
}

/// The error for an address asked for that is taken.
pub fn taken(address: IpAddr, who: &str) -> CniError {
    CniError::new(Code::TRY_AGAIN, format!("{address} is taken: {who}"))
        .details("ask for another address, or remove who has it")
}

/// Who has an address: the owner on this node, or what the table tells.
pub fn holder(address: IpAddr, record: &RouteRecord, owners: &Owners) -> String {
    match owners.holder(address) {
        Some(owner) => format!("{} on this node, since {}", owner.shown(), owner.since),
        None => format!("the route `{}`", record.shown()),
    }
}
