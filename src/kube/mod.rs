//! The Kubernetes API: one GET of one pod, for its annotations, and the list of the nodes, for their addresses. The only
//! place with a network client.
//!
//! It fails closed: whatever is not the answer about this very pod, over a connection whose other end is
//! known, is an error, and the pod joins no network. ADD asks before any lock. What says who asks (tokens, keys,
//! certificates) is in no message.

pub mod client;
pub mod credentials;
pub mod entry;
pub mod error;
pub mod kubeconfig;
pub mod nodes;
pub mod plugin;
pub mod pod;
pub mod proxy;
pub mod secret;
pub mod server;
pub mod tls;
pub mod transport;
pub mod yaml;

use std::time::{Duration, Instant};

use client::{Client, POD};
use credentials::Place;
use error::LookupError;
use pod::Pod;

use crate::cni::CniError;
use crate::exec::System;

/// The annotations of a pod, as the API has them.
///
/// # Errors
/// Code 7 for a kubeconfig that cannot be, 11 for everything else, with what to check.
pub fn annotations(
    system: &System,
    place: &Place,
    pod: &Pod,
    timeout: Duration,
) -> Result<Vec<(String, String)>, CniError> {
    look_up(system, place, pod, timeout).map_err(|error| error.about(&of_pod(pod)))
}

/// What is asked about a pod, in words.
pub fn of_pod(pod: &Pod) -> String {
    format!("the annotations of pod {pod}")
}

/// Within the time: credentials, request, retries, answer.
fn look_up(
    system: &System,
    place: &Place,
    pod: &Pod,
    timeout: Duration,
) -> Result<Vec<(String, String)>, LookupError> {
    let deadline = Instant::now() + timeout;
    let access = place.access(system, deadline)?;
    let client = Client::new(system, &access, &POD)?;
    let answer = client.get(&pod.path(), deadline, timeout)?;
    pod.annotations(&answer)
        .map_err(|error| LookupError::OtherPod {
            server: access.server.to_string(),
            error,
        })
}
