//! `vxlan status`: the networks of this node, and who is on them.

use serde_json::{Value, json};

use super::Said;
use super::args::{Shared, StatusOptions};
use super::node::{Node, OnNode, Recorded, State};
use crate::cni::{CniError, Code};
use crate::columns::columns;
use crate::store::Attachment;

/// Shows the node.
///
/// # Errors
/// When the configuration or the records cannot be read, and when nobody is what was asked for.
pub fn run(shared: &Shared, options: &StatusOptions) -> Result<Said, CniError> {
    let mut node = Node::open(shared)?;
    if let Some(wanted) = &options.of {
        only(&mut node, wanted)?;
    }
    Ok(Said::either(shared, || document(&node), || text(&node)))
}

/// Leaves nobody but who was asked for.
fn only(node: &mut Node, wanted: &str) -> Result<(), CniError> {
    for network in &mut node.networks {
        let is_wanted = |one: &Recorded| one.record().is_some_and(|record| is(record, wanted));
        network.attachments.retain(is_wanted);
    }
    node.networks
        .retain(|network| !network.attachments.is_empty());
    match node.networks.is_empty() {
        false => Ok(()),
        true => {
            let msg = format!(
                "nobody on this node is `{}`",
                crate::shown::printable(wanted)
            );
            Err(CniError::new(Code::UNKNOWN_CONTAINER, msg)
                .details("`vxlan status` shows everybody"))
        }
    }
}

/// Whether an attachment is meant by a pod, the start of a container's id, or an address.
pub fn is(record: &Attachment, wanted: &str) -> bool {
    let pod = record.pod.as_deref().unwrap_or_default();
    let by_pod = pod == wanted || pod.rsplit('/').next() == Some(wanted) && !pod.is_empty();
    let by_address = addresses(record)
        .iter()
        .any(|address| address.split('/').next() == Some(wanted) || address == wanted);
    by_pod || by_address || record.id() == wanted || record.container.starts_with(wanted)
}

fn addresses(record: &Attachment) -> Vec<String> {
    let ips = record.lease.iter().flat_map(|lease| &lease.ips);
    ips.map(|ip| ip.address.to_string()).collect()
}

fn text(node: &Node) -> String {
    node.networks.iter().map(network_text).collect()
}

fn network_text(network: &OnNode) -> String {
    let head = ["POD", "CONTAINER", "ADDRESS", "SINCE"].map(str::to_owned);
    let rows = network.attachments.iter().map(row);
    let table = columns(
        &std::iter::once(head.to_vec())
            .chain(rows)
            .collect::<Vec<_>>(),
    );
    format!("{}\n{table}\n", network.name)
}

fn row(recorded: &Recorded) -> Vec<String> {
    let Some(record) = recorded.record() else {
        return vec!["?".to_owned(), recorded.path.display().to_string()];
    };
    let pod = record.pod.clone().unwrap_or_else(|| "-".to_owned());
    let addresses = addresses(record).join(" ");
    vec![pod, record.id(), addresses, record.since.clone()]
}

fn document(node: &Node) -> Value {
    let attachment = |recorded: &Recorded| {
        let record = recorded.record();
        json!({
            "container": record.map(|record| &record.container),
            "ifname": record.map(|record| &record.ifname),
            "pod": record.and_then(|record| record.pod.as_ref()),
            "addresses": record.map(addresses),
            "since": record.map(|record| &record.since),
            "state": recorded.state.as_str(),
            "record": recorded.path,
        })
    };
    let network = |network: &OnNode| {
        let attachments = network.attachments.iter().map(attachment);
        json!({"name": network.name, "attachments": attachments.collect::<Vec<_>>()})
    };
    json!({"networks": node.networks.iter().map(network).collect::<Vec<_>>()})
}

impl State {
    /// In a word or two.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Whole(..) => "attached",
            Self::Unfinished {
                under_way: true, ..
            } => "under way",
            Self::Unfinished { .. } => "unfinished",
            Self::EarlierBoot(_) => "of an earlier boot",
            Self::Damaged(_) => "unreadable record",
        }
    }
}
