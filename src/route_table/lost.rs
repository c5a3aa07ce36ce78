//! Owner records that are gone while their attachments live, as where the folder was cleaned: the attachment's own
//! record still tells which address it has, so that its claim is no orphan, and a DEL gives it back.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::at_once::take_answers_at_once;
use super::config::Ipam;
use super::owners::{Held, Owner, Owners};
use super::wire;
use crate::cni::{CniError, Request};
use crate::ip::neigh::{self, NeighRecord};
use crate::ip::route::Route;
use crate::ip::{Command, IfName};
use crate::ops::prev_result;
use crate::plan::{Read, Side};
use crate::session::Session;
use crate::session::line::{Failed, Line, Outcome};
use crate::store::{Attachment, Found, Store};

/// The addresses that attachments of this boot have of this IPAM's pools, by their records; none where no plugin of ours
/// keeps any. Reads every record of the node: for the operator's verbs alone.
///
/// # Errors
/// When the records cannot be listed.
pub fn leased(ipam: &Ipam) -> Result<Vec<(IpAddr, Attachment)>, CniError> {
    let Some(store) = attachments(ipam) else {
        return Ok(Vec::new());
    };
    let mut leased = Vec::new();
    for network in store.networks()? {
        for (_, found) in store.attachments(&network)? {
            if let Found::Whole(record) = found {
                let addresses = addresses_of(&record, ipam);
                leased.extend(addresses.map(|address| (address, (*record).clone())));
            }
        }
    }
    Ok(leased)
}

/// The attachments' records, where a plugin of ours keeps them.
fn attachments(ipam: &Ipam) -> Option<Store> {
    let folder = ipam.attachments.as_ref()?;
    Some(Store::new(folder, Path::new("")))
}

/// The addresses of this IPAM's pools that an attachment of this boot has from it.
fn addresses_of(record: &Attachment, ipam: &Ipam) -> impl Iterator<Item = IpAddr> {
    let ours = record.ipam["type"] == "route-table" && !record.is_of_an_earlier_boot();
    let ips = record.lease.iter().flat_map(|lease| &lease.ips);
    let addresses = ips.map(|ip| ip.address.ip()).filter(move |_| ours);
    addresses.filter(|address| ipam.pools.iter().any(|pool| pool.range(*address).is_some()))
}

/// The owner record that an attachment had, with the claim that the table shows.
pub fn owner(attachment: &Attachment, route: Route) -> Owner {
    Owner {
        name: attachment.name.clone(),
        container: attachment.container.clone(),
        ifname: attachment.ifname.to_string(),
        pod: attachment.pod.clone(),
        boot: attachment.boot.clone(),
        since: attachment.since.clone(),
        route,
    }
}

/// What one attachment has without an owner record; nothing that has one, its own or another's.
///
/// # Errors
/// When the attachment's record cannot be looked for.
pub fn held_by(
    ipam: &Ipam,
    owners: &Owners,
    container: &str,
    ifname: &str,
) -> Result<Vec<Held>, CniError> {
    let Some(store) = attachments(ipam) else {
        return Ok(Vec::new());
    };
    let Some(Found::Whole(record)) = store.find(container, ifname)? else {
        return Ok(Vec::new());
    };
    let lost = addresses_of(&record, ipam).filter(|address| !owners.is_recorded(*address));
    let held = lost.map(|address| Held {
        address,
        owner: None,
    });
    Ok(held.collect())
}

/// What the result of ADD tells that an attachment has, which no owner record and no attachment's record knows: as that of
/// a pod that the original started.
///
/// # Errors
/// When the records cannot be listed.
pub fn of_result(request: &Request, ipam: &Ipam, owners: &Owners) -> Result<Vec<Held>, CniError> {
    let Ok(Some(result)) = prev_result(request) else {
        return Ok(Vec::new());
    };
    let is_ours = |address: &IpAddr| {
        let of_pool = ipam.pools.iter().any(|pool| pool.range(*address).is_some());
        of_pool && !owners.is_recorded(*address)
    };
    let told = result.ips.iter().map(|ip| ip.address.ip());
    let mut told: Vec<IpAddr> = told.filter(is_ours).collect();
    if !told.is_empty() {
        let leased = leased(ipam)?;
        told.retain(|address| !leased.iter().any(|(known, _)| known == address));
    }
    let held = told.into_iter().map(|address| Held {
        address,
        owner: None,
    });
    Ok(held.collect())
}

/// Whether an ADD of ours is at work on an attachment, or has ended only since a moment: too young for a runtime's list.
///
/// # Errors
/// When its record cannot be looked for.
pub fn is_young(
    ipam: &Ipam,
    container: &str,
    ifname: &str,
    moment: SystemTime,
) -> Result<bool, CniError> {
    let Some(store) = attachments(ipam) else {
        return Ok(false);
    };
    let found = store.find(container, ifname)?;
    Ok(matches!(found, Some(Found::Whole(record)) if store.is_young(&record, moment)))
}

/// How long each of two questions waits for an answer.
const WAIT: Duration = Duration::from_millis(150);

/// How a question is put to the wire.
type Ask = fn(IpAddr, &IfName) -> Command;

/// Which of some addresses answer on their devices: their pods live, also those that another program started.
///
/// # Errors
/// When the wire cannot be asked.
pub fn answering(
    session: &Session<'_>,
    claims: &[(IpAddr, IfName)],
) -> Result<Vec<IpAddr>, CniError> {
    if claims.is_empty() {
        return Ok(Vec::new());
    }
    let lacks = |failed: &Failed| neigh::lacks_use(&failed.failure.message);
    let mut outcome = ask_all(session, claims, neigh::ask)?;
    if outcome.failures.iter().any(lacks) {
        take_answers_at_once(session, claims.iter().map(|(_, dev)| dev))?;
        outcome = ask_all(session, claims, neigh::probe_group)?;
    }
    let answers = |(address, dev): &&(IpAddr, IfName)| {
        let neighbour = outcome.seen.neighbour(Side::Host, dev, *address);
        neighbour.is_some_and(NeighRecord::is_reachable)
    };
    let all = claims.iter().filter(answers);
    Ok(all.map(|(address, _)| *address).collect())
}

fn ask_all(
    session: &Session<'_>,
    claims: &[(IpAddr, IfName)],
    ask: Ask,
) -> Result<Outcome, CniError> {
    let line = |command| wire::line(command, "a pod that lives answers".to_owned());
    let each = |make: Ask| -> Vec<Line> {
        let commands = claims.iter().map(|(address, dev)| make(*address, dev));
        commands.map(line).collect()
    };
    let mut first = each(neigh::forget);
    first.extend(each(ask));
    let reads = claims.iter();
    let reads =
        reads.map(|(address, dev)| Line::Read(Read::Neigh(Side::Host, dev.clone(), *address)));
    let mut last: Vec<Line> = reads.collect();
    last.extend(each(neigh::flush));
    session.run_paced(vec![
        (Duration::ZERO, first),
        (WAIT, each(ask)),
        (WAIT, last),
    ])
}
