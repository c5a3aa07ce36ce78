//! Where a network's peers are known from: whether that answers, and still tells those by which the network was made.

use std::net::IpAddr;

use super::report::{Finding, Id};
use crate::config::{Config, Network};
use crate::exec::System;
use crate::peers;

/// Asks it; none where the configuration lists them.
pub fn finding(system: &System, config: &Config, network: &Network) -> Option<Finding> {
    let from = network.peers_from.as_ref()?;
    let name = &network.name;
    Some(match peers::ask(system, &config.kubernetes, network) {
        Err(error) => Finding::failed(Id::PeersSource, error.msg).fix(error.details),
        Ok(now) if now.peers == network.peers => {
            let count = now.peers.map_or(0, |peers| peers.len());
            let what =
                format!("network {name}: {from} tells the {count} peers that the network has");
            Finding::ok(Id::PeersSource, what)
        }
        Ok(now) => {
            let differs = differs(&now, network);
            let what =
                format!("network {name}: {from} tells other peers than the network has: {differs}");
            Finding::failed(Id::PeersSource, what).fix("vxlan repair")
        }
    })
}

/// Which are new, and which are gone.
fn differs(now: &Network, was: &Network) -> String {
    let of = |network: &Network| network.peers.clone().unwrap_or_default();
    let (now, was) = (of(now), of(was));
    let told = |word: &str, some: &[IpAddr], other: &[IpAddr]| {
        let only: Vec<&IpAddr> = some.iter().filter(|one| !other.contains(one)).collect();
        let first = only.first()?;
        Some(match only.len() {
            1 => format!("{first} {word}"),
            more => format!("{first} and {} more {word}", more - 1),
        })
    };
    let both = [told("is new", &now, &was), told("is gone", &was, &now)];
    both.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
