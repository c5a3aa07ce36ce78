//! DEL and GC: gives addresses back, each by its owner only.
//!
//! What the owner's records name is removed and nothing else: a late or repeated DEL finds no record
//! and frees no other owner's address. Every step is tried; a record stays while its route does.

use std::net::IpAddr;
use std::time::SystemTime;

use super::config::Ipam;
use super::lost;
use super::owners::{Held, Owners};
use super::search::Use;
use super::wire;
use crate::cni::attachments::{NO_LIST, valid_attachments};
use crate::cni::{CniError, Code, Request};
use crate::exec::System;
use crate::ip::IfName;
use crate::ip::route::{self, Lookup, Protocol, Route};
use crate::journal::Journal;
use crate::ops::{all, ending, journal};
use crate::plan::{Read, Side};
use crate::session::Session;
use crate::store::boot_id;

/// Gives back what an attachment has.
///
/// # Errors
/// What could not be removed, after everything was tried.
pub fn del(system: &System, request: &Request, ipam: &Ipam) -> Result<(), CniError> {
    let owners = Owners::new(&ipam.data_dir);
    let (container, ifname) = (&request.container, &request.ifname);
    let mut held = owners.held_by(container, ifname)?;
    held.extend(lost::held_by(ipam, &owners, container, ifname)?);
    if held.is_empty() {
        held.extend(lost::of_result(request, ipam, &owners)?);
    }
    owners.sweep(&request.container, &request.ifname)?;
    if held.is_empty() {
        return Ok(());
    }
    let journal = journal(&ipam.log_file, request, &request.name, "");
    let session = super::session(system, &journal);
    let give_back = |held| give_back(&session, &owners, request, ipam, held);
    let errors = held.iter().filter_map(|held| give_back(held).err());
    let result = all(errors.collect());
    journal.end(&ending(&result));
    result
}

/// Gives back what attachments of this CNI network have that are not on the runtime's list.
///
/// # Errors
/// Code 7 for what is no list, changing nothing; else what could not be removed, after everything was tried.
pub fn gc(system: &System, request: &Request, ipam: &Ipam) -> Result<(), CniError> {
    let began = SystemTime::now();
    let Some(valid) = valid_attachments(&request.config)? else {
        Journal::new(&ipam.log_file, "GC", "").remark(NO_LIST);
        return Ok(());
    };
    let owners = Owners::new(&ipam.data_dir);
    let mut errors = Vec::new();
    for (container, ifname) in owners.all()? {
        let held = owners.held_by(&container, &ifname)?;
        // A record that cannot be read is left: its network is unknown, and a DEL frees it.
        let ours = |held: &Held| {
            let name = held.owner.as_ref().map(|owner| &owner.name);
            name == Some(&request.name)
        };
        let listed = valid.contains(&(container.clone(), ifname.clone()));
        if !listed && held.iter().any(ours) && !lost::is_young(ipam, &container, &ifname, began)? {
            let one = request.of_attachment(container, ifname);
            errors.extend(del(system, &one, ipam).err());
        }
    }
    all(errors)
}

/// Removes one claim, then its record.
///
/// # Errors
/// What could not be removed; the record stays then.
pub fn give_back(
    session: &Session<'_>,
    owners: &Owners,
    request: &Request,
    ipam: &Ipam,
    held: &Held,
) -> Result<(), CniError> {
    if let Some(route) = claim(session, ipam, held)? {
        // The beacon goes with the route: another node may have the address at once.
        let beacon = wire::release(held.address, &route.dev);
        let all = std::iter::once(route::del(&route)).chain(beacon);
        let left = session.remove(all.map(|command| (Side::Host, command)).collect());
        if !left.is_empty() {
            let msg = format!("{} could not be given back: {}", held.address, left[0]);
            return Err(CniError::new(Code::COMMAND_FAILED, msg).details(left.join("; ")));
        }
    }
    Ok(owners.give_back(&request.container, &request.ifname, held.address)?)
}

/// The route of a claim: the record's, or, where that is cut short, what the table shows of it. None
/// where there is none: the routes of an earlier boot went with it.
fn claim(session: &Session<'_>, ipam: &Ipam, held: &Held) -> Result<Option<Route>, CniError> {
    match &held.owner {
        Some(owner) if owner.boot == boot_id() => Ok(Some(owner.route.clone())),
        Some(_) => Ok(None),
        None => shown(session, ipam, held.address),
    }
}

/// A claim as the table shows it: a host route with the protocol of claims, on a device of this node.
fn shown(session: &Session<'_>, ipam: &Ipam, address: IpAddr) -> Result<Option<Route>, CniError> {
    let seen = session.observe(vec![Read::Lookup(Side::Host, Lookup::to(address))])?;
    let Use::Taken(record) = Use::of(address, &seen) else {
        return Ok(None);
    };
    let dev = record
        .dev
        .as_deref()
        .and_then(|dev| IfName::new(dev).ok())
        .filter(|_| record.gateway.is_none());
    let ours = record.protocol == Some(Protocol::Number(ipam.protocol));
    Ok(dev.filter(|_| ours).map(|dev| Route {
        metric: record.metric,
        protocol: Some(ipam.protocol),
        table: record.table().unwrap_or(ipam.table),
        ..Route::new(address.into(), None, &dev)
    }))
}
