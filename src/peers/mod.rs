//! The other nodes' addresses from where a network knows them: a file, a DNS name, the nodes of Kubernetes.
//!
//! No source's answer is "none": a file that is just being written is empty for a moment, and a network that would lose all its
//! peers for it is worse off than one that keeps them.

mod dns;
mod file;

use std::net::IpAddr;
use std::time::Duration;

use crate::cni::{CniError, Code};
use crate::config::{Kubernetes, Network, PeersFrom};
use crate::exec::System;
use crate::kube::nodes;

/// How long a DNS name may take to be resolved: what `resolv.conf` has at most for one server (`RES_TIMEOUT`, resolv.h).
const DNS_TIMEOUT: Duration = Duration::from_secs(5);

/// The network with its peers as its source tells them now; as it is, where it lists them or has none.
///
/// # Errors
/// Code 11 where the source does not answer, 7 where its answer cannot be: which source, what was seen, what to do.
pub fn ask(
    system: &System,
    kubernetes: &Kubernetes,
    network: &Network,
) -> Result<Network, CniError> {
    let Some(from) = &network.peers_from else {
        return Ok(network.clone());
    };
    let found = addresses(system, kubernetes, from).map_err(|error| of(network, error))?;
    known(network, from, found)
}

/// The network with what a source told.
///
/// # Errors
/// As [`ask`].
pub fn known(network: &Network, from: &PeersFrom, found: Vec<IpAddr>) -> Result<Network, CniError> {
    let mut found = match from {
        // Written by hand, or by a program that knows which family is wanted.
        PeersFrom::File(_) => found,
        PeersFrom::Dns(_) | PeersFrom::Kubernetes => network.of_the_vteps_family(found),
    };
    // Sorted, so that an answer in another order is the same list.
    found.sort_unstable();
    found.dedup();
    if found.is_empty() {
        let msg = format!(
            "network \"{}\": peers: {from} names no address",
            network.name
        );
        let error = CniError::new(Code::TRY_AGAIN, msg);
        return Err(error.details(advice(from)));
    }
    network.clone().with_peers(found).map_err(|why| {
        let msg = format!("network \"{}\": peers: {from}: {why}", network.name);
        CniError::new(Code::INVALID_CONFIGURATION, msg).details(advice(from))
    })
}

/// What a source tells, of either family.
///
/// # Errors
/// Code 11 where it does not answer, 7 where its answer cannot be.
pub fn addresses(
    system: &System,
    kubernetes: &Kubernetes,
    from: &PeersFrom,
) -> Result<Vec<IpAddr>, CniError> {
    match from {
        PeersFrom::File(path) => file::read(path),
        PeersFrom::Dns(name) => dns::resolve(system, name, DNS_TIMEOUT),
        PeersFrom::Kubernetes => {
            let place = nodes::place(kubernetes.config_path.as_deref())?;
            let nodes = nodes::list(system, &place, kubernetes.timeout)?;
            Ok(nodes.addresses.into_values().flatten().collect())
        }
    }
}

/// The error, with the network that it is about.
fn of(network: &Network, error: CniError) -> CniError {
    let msg = format!("network \"{}\": peers: {}", network.name, error.msg);
    CniError::new(error.code, msg).details(error.details)
}

/// What shows what a source tells.
fn advice(from: &PeersFrom) -> String {
    match from {
        PeersFrom::File(path) => format!(
            "cat {}: one address of a node on the underlay a line, all of one family; a network of one node has \"peers\": []",
            path.display()
        ),
        PeersFrom::Dns(name) => format!("getent ahosts {name}"),
        PeersFrom::Kubernetes => {
            "kubectl get nodes -o wide: the INTERNAL-IP of each is its address on the underlay"
                .to_owned()
        }
    }
}
