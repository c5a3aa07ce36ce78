//! `vxlan gc --force`: one attachment that nothing else takes off, as when its IPAM refuses for ever.

use std::path::Path;

use serde_json::json;

use super::{Shared, is_in, own, take};
use crate::cni::{CniError, Code};
use crate::ctl::Said;
use crate::ctl::meant::{self, LISTED, Meant};
use crate::ctl::node::{Node, OnNode, Recorded, State};
use crate::exec::System;
use crate::journal::Journal;
use crate::ops::host_side::Latest;
use crate::ops::leave::leave;
use crate::ops::{ending, kept, namespace_inode};
use crate::sanitize::printable;
use crate::store::Attachment;

/// Takes the attachment off as a DEL does, and forgets it also where the IPAM refuses.
///
/// # Errors
/// When no attachment, or more than one, is meant; when it is alive; when not even its record can be removed.
pub fn run(shared: &Shared, node: &Node, wanted: &str) -> Result<Said, CniError> {
    let system = System::through_sigterm();
    let record = find(node, wanted)?;
    refuse_alive(&system, record)?;
    let left = match take(&system, node, record) {
        Ok(()) => Vec::new(),
        Err(error) => {
            forget(&system, node, record)?;
            vec![format!(
                "its lease, if it had one: the IPAM said {error}; {}",
                error.details
            )]
        }
    };
    let what = format!("{} of network {}", record.id(), record.network);
    let text = || {
        let left = left.iter().map(|left| format!("may be left: {left}\n"));
        format!("removed {what}\n{}", left.collect::<String>())
    };
    Ok(Said::either(
        shared,
        || json!({"removed": [what.clone()], "may_be_left": left}),
        text,
    ))
}

/// The one attachment that is meant by its container, or the start of it, and its interface.
fn find<'a>(node: &'a Node, wanted: &str) -> Result<&'a Attachment, CniError> {
    let meant = Meant::among(wanted, node.records());
    let found: Vec<&Attachment> = node.records().filter(|record| meant.is(record)).collect();
    match found[..] {
        [record] => Ok(record),
        [] => Err(meant::nothing(wanted).details(unreadable(node))),
        _ => {
            let ids: Vec<String> = found.iter().map(|record| record.id()).collect();
            let msg = format!(
                "`{}` is more than one attachment: {}",
                printable(wanted),
                ids.join(", ")
            );
            Err(CniError::new(Code::INVALID_ENVIRONMENT, msg)
                .details("name one of them with its interface"))
        }
    }
}

/// What to do where what is meant may be a record that cannot be read: its owner is unknown.
fn unreadable(node: &Node) -> String {
    let is_unreadable = |recorded: &&Recorded| matches!(recorded.state, State::Damaged(_));
    let files: Vec<String> = node
        .attachments()
        .filter(is_unreadable)
        .map(|recorded| recorded.path.display().to_string())
        .collect();
    match files.is_empty() {
        true => LISTED.to_owned(),
        false => format!("{LISTED}; cannot be read: {}", files.join(", ")),
    }
}

/// A running pod keeps what it has: its runtime's DEL takes the interface away first.
fn refuse_alive(system: &System, record: &Attachment) -> Result<(), CniError> {
    let lives = namespace_inode(Path::new(&record.netns)) == Some(record.inode)
        && is_in(system, record, &record.netns).unwrap_or(true);
    match lives {
        false => Ok(()),
        true => {
            let msg = format!(
                "{} is alive: its {} is in {}",
                record.id(),
                record.ifname,
                record.netns
            );
            Err(CniError::new(Code::INVALID_ENVIRONMENT, msg)
                .details("nothing was changed; end the container, or take the interface off first"))
        }
    }
}

/// Forgets it, and takes the host side of the network away where it was the last.
fn forget(system: &System, node: &Node, record: &Attachment) -> Result<(), CniError> {
    let (store, ifname) = (&node.store, record.ifname.as_str());
    let head = format!("GC {} {}", record.network, record.id());
    let journal = Journal::new(&node.config.log_file, &head, "");
    let on = node.networks.iter().find(|on| on.name == record.network);
    let configured = || on.and_then(|on| on.configured.clone());
    let Some(network) = kept(store, record).ok().or_else(configured) else {
        store.remove(&record.network, &record.container, ifname)?;
        store.forget_lock(&record.network);
        return Ok(());
    };
    let session = own(system, &journal);
    let left = leave(
        &session,
        store,
        &network,
        (&record.container, ifname),
        Latest::Stays,
        on.is_some_and(OnNode::is_always),
    );
    journal.end(&ending(&left));
    left
}
