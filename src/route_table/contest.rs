//! Who keeps an address that several nodes claim at the same moment: never two of them, and one.
//!
//! Each compares a number that both know: on the wire the MACs of the two devices, in the table the two
//! next hops. Whose is higher gives way: at once by the MACs, after half of the time by the table, which
//! may still show one who has given way. Whose is lower does not just keep: a claim that was made
//! before this one has not seen it and will not give way, so the lower one looks again until the
//! other has gone, and gives way itself when that does not happen in time.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipnetwork::IpNetwork;

use super::config::Ipam;
use super::search::Use;
use super::wire::{self, Asked, Questions};
use crate::cni::CniError;
use crate::exec::System;
use crate::ip::IfName;
use crate::ip::batch::OnError;
use crate::ip::link::{AddrRecord, LinkRecord};
use crate::ip::route::{Lookup, Route};
use crate::plan::{Observed, Read, Side};
use crate::session::Session;
use crate::session::line::Line;

/// How often it is looked again within the time a claim takes to be seen.
const LOOKS: u32 = 4;

/// How often the claimant with the lower number looks at the least before it withdraws, however long a look takes: on a
/// busy node the rival takes as long to withdraw, and else no claim would be kept.
const LOOKS_LEAST: u32 = 8;

/// The shortest and the longest time between two looks.
const STEP: (Duration, Duration) = (
    Duration::from_millis(2 * wire::WAY_LEAST.as_millis() as u64),
    Duration::from_millis(100),
);

/// What came of a claim once everybody could see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// It is seen, and no other owner has or claims the address.
    Alone,
    /// Another owner has it.
    Taken(Taker),
    /// It is not seen at all.
    Unseen,
}

/// Another owner or claimant of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taker {
    /// The MAC that answered, where one did.
    pub mac: Option<String>,
    /// In words.
    pub shown: String,
}

impl Taker {
    /// One that the table tells of.
    pub fn told(shown: String) -> Self {
        Self { mac: None, shown }
    }
}

/// Another claimant of the same address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rival {
    /// By an answer on the wire: the MAC of their device.
    Mac(String),
    /// By a route that came from elsewhere.
    Hop {
        /// The next hop.
        via: IpAddr,
        /// The device to it.
        dev: Option<IfName>,
        /// The route in words.
        shown: String,
    },
    /// It is unknown: the answers were removed before they were read.
    Unknown,
}

impl Rival {
    fn taker(&self, dev: &IfName) -> Taker {
        match self {
            Self::Mac(mac) => Taker {
                mac: Some(mac.clone()),
                shown: format!("{mac} claims it on {dev}"),
            },
            Self::Hop { shown, .. } => Taker::told(format!("the route `{shown}`")),
            Self::Unknown => Taker::told(format!("{dev} does not tell who else claims it")),
        }
    }

    /// What tells the own number.
    fn question(&self, dev: &IfName) -> Option<Read> {
        match self {
            Self::Mac(_) | Self::Unknown => Some(Read::Link(Side::Host, dev.clone())),
            Self::Hop { dev, .. } => Some(Read::Addr(Side::Host, dev.clone()?)),
        }
    }

    /// Whether they give way: this node's number is lower than theirs. One that is unknown is not.
    fn gives_way(&self, dev: &IfName, seen: &Observed) -> bool {
        let order = match self {
            Self::Mac(theirs) => seen
                .link(Side::Host, dev)
                .map(|link| link.address.cmp(theirs)),
            Self::Hop { via, dev, .. } => dev
                .as_ref()
                .and_then(|dev| seen.link(Side::Host, dev))
                .and_then(|link| towards(*via, link))
                .map(|own| own.cmp(via)),
            Self::Unknown => Some(Ordering::Less),
        };
        order == Some(Ordering::Less)
    }
}

/// The own address on the network of a next hop.
fn towards(via: IpAddr, link: &LinkRecord) -> Option<IpAddr> {
    let network = |address: &&AddrRecord| {
        IpNetwork::new(address.local, address.prefixlen).is_ok_and(|net| net.contains(via))
    };
    let own = link.addr_info.iter().find(network)?;
    Some(own.local)
}

/// What is seen of a claim. The wire comes first: there both have the same two numbers to compare.
///
/// # Errors
/// Another claimant of the address at this moment: [`Contest::settle`] tells what comes of that.
pub fn evidence(route: &Route, ipam: &Ipam, seen: &Observed) -> Result<Evidence, Rival> {
    let (address, dev) = (route.dst.ip(), &route.dev);
    if let Some(mac) = wire::holder(address, dev, seen) {
        return Ok(Evidence::Taken(Taker {
            mac: Some(mac.to_owned()),
            shown: format!("{mac} answers for it on {dev}"),
        }));
    }
    if let Some(mac) = wire::rival(address, dev, seen) {
        return Err(Rival::Mac(mac.to_owned()));
    }
    let told = wire::is_told(address, dev, seen) || wire::is_silent(dev, seen);
    if wire::is_asked(ipam) && !told {
        return Err(Rival::Unknown);
    }
    match Use::of(address, seen) {
        Use::Taken(record) if route.is(&record) => Ok(Evidence::Alone),
        Use::Taken(record) => match record.gateway() {
            Some(via) => Err(Rival::Hop {
                via,
                dev: record.dev.as_deref().and_then(|dev| IfName::new(dev).ok()),
                shown: record.shown(),
            }),
            None => {
                let shown = format!("the route `{}`", record.shown());
                Ok(Evidence::Taken(Taker::told(shown)))
            }
        },
        Use::Free(_) => Ok(Evidence::Unseen),
    }
}

/// One address that is contested, and what it takes to look again.
pub struct Contest<'a> {
    /// Waits, and is told to end.
    pub system: &'a System,
    /// Looks.
    pub session: &'a Session<'a>,
    /// How.
    pub ipam: &'a Ipam,
    /// The claim.
    pub route: &'a Route,
    /// What the wire is asked of it.
    pub asked: Asked,
    /// When the ADD ends.
    pub deadline: Instant,
}

impl Contest<'_> {
    /// Looks again until it is clear who keeps the address.
    ///
    /// # Errors
    /// When something cannot be looked at, or this program is told to end.
    pub fn settle(&self, mut rival: Rival) -> Result<Evidence, CniError> {
        let dev = &self.route.dev;
        let start = Instant::now();
        let until = |time: Duration| self.deadline.min(start + time);
        let (half, end) = (until(self.ipam.contest() / 2), until(self.ipam.contest()));
        let mut seen = self.numbers(&rival)?;
        if wire::is_silent(dev, &seen)
            && let Ok(settled) = evidence(self.route, self.ipam, &seen)
        {
            return Ok(settled);
        }
        let mut looks = 0;
        loop {
            let patience = match (&rival, rival.gives_way(dev, &seen)) {
                (_, true) if looks < LOOKS_LEAST => self.deadline,
                (_, true) => end,
                // A daemon takes its time to withdraw the route of one who gave way, who may be the last
                // one; whose is lower waits for longer, so that of two who are both there one stays.
                (Rival::Hop { .. }, false) => half,
                (Rival::Mac(_) | Rival::Unknown, false) => start,
            };
            // What cannot end in time is not begun.
            let step = self.step(&rival);
            if Instant::now() >= patience || Instant::now() + step >= self.deadline {
                return Ok(Evidence::Taken(rival.taker(dev)));
            }
            looks += 1;
            seen.absorb(self.look(&rival, step)?);
            let mut found = evidence(self.route, self.ipam, &seen);
            if found == Ok(Evidence::Alone) && matches!(rival, Rival::Mac(_)) {
                // The answer of one look may be late or lost: a claim that has gone answers to none of as many questions
                // as a claim is asked about at first.
                seen.absorb(self.look(&rival, self.ipam.propagation.max(step))?);
                found = evidence(self.route, self.ipam, &seen);
            }
            match found {
                Err(other) if other == rival => {}
                Err(other) => {
                    rival = other;
                    seen.absorb(self.numbers(&rival)?);
                }
                Ok(settled) => return Ok(settled),
            }
        }
    }

    /// How long a look takes: as long as before, where the first look told nothing.
    fn step(&self, rival: &Rival) -> Duration {
        match rival {
            Rival::Unknown => self.ipam.propagation,
            _ => (self.ipam.propagation / LOOKS).clamp(STEP.0, STEP.1),
        }
    }

    /// What tells which of the two numbers is lower, and the route.
    fn numbers(&self, rival: &Rival) -> Result<Observed, CniError> {
        let lookup = Read::Lookup(Side::Host, Lookup::to(self.route.dst.ip()));
        let question = rival.question(&self.route.dev);
        self.session
            .observe(std::iter::once(lookup).chain(question).collect())
    }

    /// Looks again: asks the wire once more, for some time, and reads what came of it. Whose claim is known is
    /// asked by its MAC too: a broadcast that is lost would look as if it had gone.
    fn look(&self, rival: &Rival, time: Duration) -> Result<Observed, CniError> {
        let lookup = Line::Read(Read::Lookup(Side::Host, Lookup::to(self.route.dst.ip())));
        if !wire::is_asked(self.ipam) {
            self.system.pause(time)?;
            return wire::told(self.session.run(vec![lookup], OnError::Continue)?);
        }
        let mac = match rival {
            Rival::Mac(mac) => mac.parse().ok(),
            Rival::Hop { .. } | Rival::Unknown => None,
        };
        let asked = [Asked {
            rival: mac,
            ..self.asked.clone()
        }];
        let questions = Questions {
            asked: &asked,
            times: match time >= self.ipam.propagation {
                true => wire::TIMES,
                false => wire::TWICE,
            },
            wait: time,
            deadline: self.deadline,
        };
        let (session, system) = (self.session, self.system);
        wire::told(wire::run_and_ask(
            session,
            system,
            Vec::new(),
            questions,
            &[lookup],
        )?)
    }
}
