//! CHECK and STATUS: is every claim seen, and no other owner's; could another be made.

use std::net::IpAddr;
use std::time::Duration;

use super::config::Ipam;
use super::owners::{Held, Owners};
use super::pool::{Pool, Seed};
use super::search::{Use, preferred};
use crate::cni::{CniError, Code, Request};
use crate::exec::System;
use crate::ip::route::{self, Lookup};
use crate::journal::Journal;
use crate::ops::status::{unavailable, unwritable};
use crate::ops::{all, journal};
use crate::plan::{Observed, Read, Side};
use crate::session::release::wait_for_release;
use crate::store::boot_id;

/// The largest pool of which STATUS tells whether it is full: one process looks all of it up in a few
/// milliseconds, and STATUS is asked every few seconds.
const STATUS_POOL: usize = 256;

/// How long after its ADD a claim is young: with FRR the last of several that claimed one address at the same
/// moment was out of the tables within a second.
const YOUNG: Duration = Duration::from_secs(10);

/// Tells whether every claim of an attachment is seen.
///
/// # Errors
/// Code 101 that names every claim that is not, and what is seen in its place.
pub fn check(system: &System, request: &Request, ipam: &Ipam) -> Result<(), CniError> {
    let held = Owners::new(&ipam.data_dir).held_by(&request.container, &request.ifname)?;
    if held.is_empty() {
        let msg = format!(
            "{} has no address: there is no record of it in {}",
            request.id(),
            ipam.data_dir.display()
        );
        return Err(CniError::new(Code::FACTS_DO_NOT_HOLD, msg)
            .details("make the container anew: a DEL and an ADD claim an address again"));
    }
    let journal = journal(&ipam.log_file, request, &request.name, "");
    let look = |held: &Held| Read::Lookup(Side::Host, Lookup::to(held.address));
    let reads: Vec<Read> = held.iter().map(look).collect();
    let session = super::session(system, &journal);
    // Right after ADD a daemon may still show the route of one who has given way.
    let seen = wait_for_release(
        || session.observe(reads.clone()),
        |seen| {
            !held
                .iter()
                .any(|held| is_young(held) && preferred(held, seen).is_some())
        },
    )?;
    let broken = held.iter().filter_map(|held| broken(held, &seen));
    all(broken.collect())
}

/// Whether a claim was made so lately that others' may still be on their way out of the table.
fn is_young(held: &Held) -> bool {
    let since = held
        .owner
        .as_ref()
        .and_then(|owner| humantime::parse_rfc3339(&owner.since).ok());
    since.is_some_and(|since| since.elapsed().is_ok_and(|age| age < YOUNG))
}

/// What is wrong with one claim.
fn broken(held: &Held, seen: &Observed) -> Option<CniError> {
    let address = held.address;
    let (msg, mend) = match (Use::of(address, seen), &held.owner) {
        (Use::Taken(record), Some(owner)) if owner.route.is(&record) => return None,
        (Use::Taken(record), Some(_)) => (
            format!(
                "{address} is claimed elsewhere too: the route `{}` is preferred",
                record.shown()
            ),
            "two containers have one address: remove one of them".to_owned(),
        ),
        (Use::Free(_), Some(owner)) => (
            format!("the claim of {address} is missing"),
            format!("`{}` makes it again", route::add(&owner.route)),
        ),
        (_, None) => (
            format!("the record of {address} is cut short"),
            "make the container anew: a DEL and an ADD write it again".to_owned(),
        ),
    };
    let shows = route::lookup(&Lookup::to(address));
    Some(CniError::new(Code::FACTS_DO_NOT_HOLD, msg).details(format!("`{shows}` shows it; {mend}")))
}

/// Tells whether an address could be claimed.
///
/// # Errors
/// Code 50 with every reason.
pub fn status(system: &System, request: &Request) -> Result<(), CniError> {
    let ipam = Ipam::read(request).map_err(unavailable)?;
    let mut errors: Vec<CniError> = unwritable(&ipam.data_dir).into_iter().collect();
    let owners = Owners::new(&ipam.data_dir);
    let journal = Journal::new(&ipam.log_file, "STATUS", "");
    let session = super::session(system, &journal);
    for pool in &ipam.pools {
        let some: Vec<_> = pool.walk(Seed::FIRST).take(STATUS_POOL + 1).collect();
        let look = |address: &_| Read::Lookup(Side::Host, Lookup::to(*address));
        // Of a large pool one look-up tells that `ip` is there and answers.
        let count = if some.len() > STATUS_POOL {
            1
        } else {
            some.len()
        };
        match session.observe(some[..count].iter().map(look).collect()) {
            Err(error) => errors.push(unavailable(error)),
            Ok(seen) => {
                let free = |address: &_| matches!(Use::of(*address, &seen), Use::Free(_));
                let full = count == some.len() && !some.iter().any(free);
                errors.extend(full.then(|| exhausted(pool, count)));
                let looked_at = some[..count].iter();
                errors.extend(looked_at.filter_map(|address| two_owners(*address, &seen, &owners)));
            }
        }
    }
    all(errors)
}

/// An address that a container of this node has and a route from elsewhere leads to: both claimed it while
/// they could not see each other.
fn two_owners(address: IpAddr, seen: &Observed, owners: &Owners) -> Option<CniError> {
    let Use::Taken(record) = Use::of(address, seen) else {
        return None;
    };
    record.gateway.as_ref()?;
    let here = owners.holder(address)?;
    if here.boot != boot_id() {
        return None;
    }
    let msg = format!(
        "{address} has two owners: {} on this node, and the route `{}`",
        here.shown(),
        record.shown()
    );
    Some(CniError::new(Code::NOT_AVAILABLE, msg).details("remove one of the two containers"))
}

fn exhausted(pool: &Pool, count: usize) -> CniError {
    CniError::new(Code::NOT_AVAILABLE, pool.exhausted(count))
        .details("remove containers, or enlarge the range")
}
