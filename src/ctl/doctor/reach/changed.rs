//! What has changed since other nodes were heard: a node that has left a network is remembered as one that is on it, and
//! a container that has moved where it was.

use std::net::IpAddr;

use super::ways::{Outcome, Way};
use crate::ctl::doctor::peers::Certainty;
use crate::ctl::doctor::probe::{ask, said};
use crate::exec::System;
use crate::ip::fdb::FdbRecord;
use crate::ip::json::documents;
use crate::ip::{IfName, Mac};

/// A VTEP that answers on some network.
struct Answers<'a> {
    vtep: IpAddr,
    port: u16,
    by: &'a IfName,
}

/// The outcomes of ways once more, with what has changed meanwhile told as such; `were_silent` at first.
pub fn looked_at(
    system: &System,
    ways: &[Way<'_>],
    outcomes: Vec<Outcome>,
    were_silent: &[bool],
) -> Vec<Outcome> {
    let each = ways.iter().zip(outcomes).zip(were_silent);
    let outcomes: Vec<Outcome> = each
        .map(|((way, outcome), was_silent)| match &outcome {
            Outcome::Answers(to, _) | Outcome::There(to) if *was_silent => {
                moved(system, way, *to).unwrap_or(outcome)
            }
            _ => outcome,
        })
        .collect();
    let answering = ways.iter().zip(&outcomes);
    let answering = answering.filter_map(|(way, outcome)| match outcome {
        Outcome::Answers(..) => Some(Answers {
            vtep: way.peer.vtep?,
            port: way.network.options.vxlan.dstport,
            by: &way.network.vx,
        }),
        _ => None,
    });
    let answering: Vec<Answers<'_>> = answering.collect();
    let each = ways.iter().zip(outcomes);
    each.map(|(way, outcome)| match outcome {
        Outcome::Silent => left(way, &answering).unwrap_or(Outcome::Silent),
        other => other,
    })
    .collect()
}

/// An answer to a question that went to all has its MAC learnt anew, wherever it was thought to be.
fn moved(system: &System, way: &Way<'_>, to: IpAddr) -> Option<Outcome> {
    let (mac, before) = (way.peer.mac_of(to)?, way.peer.vtep?);
    let now = vtep_of(system, &way.network.vx, mac).filter(|now| *now != before)?;
    Some(Outcome::Moved { mac, to: now })
}

fn vtep_of(system: &System, vx: &IfName, mac: Mac) -> Option<IpAddr> {
    let line = format!("bridge -j fdb get {mac} dev {vx} self");
    let text = said(&ask(system, &line.split(' ').collect::<Vec<_>>()))?;
    let document = documents(text.as_bytes()).ok()?.into_iter().next()?;
    let entries: Vec<FdbRecord> = serde_json::from_value(document).ok()?;
    entries.into_iter().next()?.dst
}

/// Whether a node that was heard just now, and is known by no more than that, answers on another network that takes the
/// same way: what is between them lets vxlan pass then.
fn left(way: &Way<'_>, answering: &[Answers<'_>]) -> Option<Outcome> {
    let is_heard = way.peer.certainty == Certainty::Heard;
    let vtep = way.peer.vtep.filter(|_| is_heard)?;
    let (own, port) = (&way.network.vx, way.network.options.vxlan.dstport);
    let other = answering
        .iter()
        .find(|one| one.vtep == vtep && one.port == port && one.by != own)?;
    Some(Outcome::Left(other.by.clone()))
}
