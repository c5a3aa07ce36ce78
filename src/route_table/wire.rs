//! The wire as evidence: whoever has an address on the network answers for it.
//!
//! The kernel is told to resolve the address on the claim's device (ARP, neighbour solicitation) and
//! asked after a while whether somebody answered; nothing of that stays behind.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::config::Ipam;
use crate::cni::CniError;
use crate::exec::System;
use crate::ip::batch::Mood;
use crate::ip::stderr::Kind;
use crate::ip::{Command, IfName, neigh};
use crate::ops::converge::Hands;
use crate::ops::lines::{Failed, Line};
use crate::plan::{Observed, Read, Side, Step};

/// Whether the wire is asked: an answer needs time to come.
pub fn is_asked(ipam: &Ipam) -> bool {
    ipam.probe && !ipam.propagation.is_zero()
}

/// A change as a line of a batch. What takes it back depends on how far a claim has come, not on the line.
pub fn line(command: Command, because: String) -> Line {
    Line::Write(Step {
        side: Side::Host,
        command,
        undo: None,
        because,
    })
}

/// Asks who has an address. What is known is forgotten first: a container that has just gone must not
/// answer from memory.
pub fn ask(address: IpAddr, dev: &IfName) -> [Line; 2] {
    let because = || format!("whoever has {address} answers");
    [
        line(neigh::forget(address, dev), because()),
        line(neigh::ask(address, dev), because()),
    ]
}

/// Reads the answers, then removes them.
pub fn answers(asked: impl Iterator<Item = (IpAddr, IfName)> + Clone) -> Vec<Line> {
    let read = |(address, dev)| Line::Read(Read::Neigh(dev, address));
    let remove = |(address, dev): (_, IfName)| line(neigh::del(address, &dev), String::new());
    asked.clone().map(read).chain(asked.map(remove)).collect()
}

/// Runs lines that look and clean up behind themselves; an answer that has gone by itself is no failure.
///
/// # Errors
/// When something cannot be looked at.
pub fn look(hands: &Hands<'_>, lines: Vec<Line>) -> Result<Observed, CniError> {
    let outcome = hands.run(lines, Mood::TryAll)?;
    let gone = |failed: &&Failed| failed.failure.kind() == Kind::NotFound;
    match outcome.failures.iter().find(|failed| !gone(failed)) {
        Some(failed) => Err(failed.error("a claim cannot be looked at")),
        None => Ok(outcome.seen),
    }
}

/// Who answered for an address.
pub fn who(address: IpAddr, dev: &IfName, seen: &Observed) -> Option<String> {
    let mac = seen.neighbour(dev, address)?.answered()?;
    Some(format!("{mac} answers for it on {dev}"))
}

/// Asks about many addresses at once, waits, and tells which of them somebody has.
///
/// # Errors
/// When the wire cannot be asked.
pub fn sift(
    system: &System,
    hands: &Hands<'_>,
    wait: Duration,
    asked: &[(IpAddr, IfName)],
) -> Result<BTreeSet<IpAddr>, CniError> {
    if asked.is_empty() {
        return Ok(BTreeSet::new());
    }
    let lines = asked.iter().flat_map(|(address, dev)| ask(*address, dev));
    let outcome = hands.run(lines.collect(), Mood::TryAll)?;
    if let Some(failed) = outcome.failures.first() {
        return Err(failed.error("the wire cannot be asked"));
    }
    system.pause(wait)?;
    let seen = look(hands, answers(asked.iter().cloned()))?;
    let has = |(address, dev): &&(IpAddr, IfName)| who(*address, dev, &seen).is_some();
    Ok(asked
        .iter()
        .filter(has)
        .map(|(address, _)| *address)
        .collect())
}
