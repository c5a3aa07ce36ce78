//! `vxlan status`: the networks of this node, and who is on them.

mod one;
pub(super) mod seen;
mod text;

use self::seen::Seen;
use super::Said;
use super::args::{Shared, StatusOptions};
use super::meant::{self, LISTED, Meant};
use super::node::{Node, Recorded, State};
use super::terminal::width;
use crate::cni::CniError;
use crate::exec::System;
use crate::store::Attachment;

/// Shows the node, or one of those on it.
///
/// # Errors
/// When the configuration, the records or the devices cannot be read, and when no attachment is what was asked for.
pub fn run(shared: &Shared, options: &StatusOptions) -> Result<Said, CniError> {
    let mut node = Node::open(shared)?;
    if let Some(wanted) = &options.of {
        only(&mut node, wanted)?;
    }
    let system = System::until_sigterm();
    let seen = Seen::of(&system, &node)?;
    let text = match (shared.json, &options.of) {
        (true, _) => String::new(),
        (false, None) => text::text(&seen, width()),
        (false, Some(_)) => one::text(&system, &seen)?,
    };
    Ok(Said::either(shared, || seen.document(), || text))
}

/// Leaves what was asked for alone.
fn only(node: &mut Node, wanted: &str) -> Result<(), CniError> {
    let meant = Meant::among(wanted, node.records());
    for network in &mut node.networks {
        let is = |record: &Attachment| meant.is(record) || is_pod_or_address(record, wanted);
        let is_wanted = |one: &Recorded| one.record().is_some_and(is);
        network.attachments.retain(is_wanted);
    }
    node.networks
        .retain(|network| !network.attachments.is_empty());
    match node.networks.is_empty() {
        false => Ok(()),
        true => Err(meant::nothing(wanted).details(LISTED)),
    }
}

/// Whether an attachment is meant by its pod or an address.
fn is_pod_or_address(record: &Attachment, wanted: &str) -> bool {
    let pod = record.pod.as_deref().unwrap_or_default();
    let by_pod = !pod.is_empty() && (pod == wanted || pod.rsplit('/').next() == Some(wanted));
    let by_address = addresses(record)
        .iter()
        .any(|address| address.split('/').next() == Some(wanted) || address == wanted);
    by_pod || by_address
}

fn addresses(record: &Attachment) -> Vec<String> {
    let ips = record.lease.iter().flat_map(|lease| &lease.ips);
    ips.map(|ip| ip.address.to_string()).collect()
}

impl State {
    /// In a word or two.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Whole(..) => "attached",
            Self::Unfinished {
                under_way: true, ..
            } => "in_progress",
            Self::Unfinished { .. } => "incomplete",
            Self::EarlierBoot(_) => "stale_boot",
            Self::Damaged(_) => "unreadable",
        }
    }
}
