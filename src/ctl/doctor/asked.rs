//! What the wires of networks tell. Each question waits for an answer of which none may come, so all wait at the same
//! time.

use super::arping::Arping;
use super::report::Finding;
use super::{macs, shared, wire};
use crate::config::Network;
use crate::ctl::look::Attached;
use crate::ctl::node::OnNode;
use crate::exec::System;
use crate::plan::Observed;

/// Of how many networks the wires are asked at a time.
const SIDE_BY_SIDE: usize = 8;

/// A network that has attachments on this node, as it was seen.
pub struct Wire<'a> {
    /// Its attachments.
    pub on: &'a OnNode,
    /// The network.
    pub network: &'a Network,
    /// What was seen of the node; none where that failed.
    pub seen: Option<&'a Observed>,
    /// Its attachments that are whole.
    pub attached: &'a [Attached<'a>],
}

/// What its wire told.
#[derive(Default)]
pub struct Asked {
    /// Whether full packets reach the other nodes.
    pub crossing: Vec<Finding>,
    /// Whether containers' addresses have one owner.
    pub addresses: Vec<Finding>,
    /// Whether their MACs have.
    pub macs: Vec<Finding>,
}

/// Asks the wires of networks, one answer for each; where one has no attachment, nothing is asked.
pub fn ask(system: &System, arping: &Arping<'_>, wires: &[Option<Wire<'_>>]) -> Vec<Asked> {
    let waves = wires.chunks(SIDE_BY_SIDE);
    waves
        .flat_map(|wave| one_wave(system, arping, wave))
        .collect()
}

fn one_wave(system: &System, arping: &Arping<'_>, wave: &[Option<Wire<'_>>]) -> Vec<Asked> {
    std::thread::scope(|threads| {
        let started = wave.iter().map(|wire| {
            let &Wire {
                on, network, seen, ..
            } = wire.as_ref()?;
            let crossing = move || seen.map(|seen| wire::crossing(system, network, seen));
            let wire = wire.as_ref()?;
            Some((
                threads.spawn(move || crossing().unwrap_or_default()),
                threads.spawn(move || shared::addresses(arping, on, network)),
                threads.spawn(move || shared::v6::addresses(system, wire)),
                threads.spawn(move || macs::macs(system, on, network)),
            ))
        });
        let started: Vec<_> = started.collect();
        let joined = started.into_iter().map(|threads| {
            threads.map_or_else(Asked::default, |(crossing, v4, v6, macs)| Asked {
                crossing: joined(crossing),
                addresses: [joined(v4), joined(v6)].concat(),
                macs: joined(macs),
            })
        });
        joined.collect()
    })
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    match thread.join() {
        Ok(told) => told,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
