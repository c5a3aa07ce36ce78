//! `vxlan gc --force`: one attachment that nothing else takes off, as when its IPAM refuses for ever.

use std::path::Path;

use serde_json::json;

use super::{Shared, is_in, own, take};
use crate::cni::{CniError, Code};
use crate::ctl::Said;
use crate::ctl::meant::Meant;
use crate::ctl::node::{Node, Recorded, State};
use crate::exec::System;
use crate::journal::Journal;
use crate::ops::leave::leave;
use crate::ops::{kept, namespace_inode};
use crate::sanitize::printable;
use crate::store::Attachment;

/// Takes the attachment off as a DEL does, and forgets it whatever the IPAM says.
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
    let all = node.networks.iter().flat_map(|on| &on.attachments);
    let records: Vec<&Attachment> = all.filter_map(Recorded::record).collect();
    let meant = Meant::among(wanted, records.iter().copied());
    let found = records.into_iter().filter(|record| meant.is(record));
    let found: Vec<&Attachment> = found.collect();
    match found[..] {
        [record] => Ok(record),
        [] => {
            let msg = format!("no attachment on this node is `{}`", printable(wanted));
            Err(CniError::new(Code::UNKNOWN_CONTAINER, msg).details(unreadable(node)))
        }
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

/// What to do where what is meant may be a record that cannot be read: its owner cannot be told.
fn unreadable(node: &Node) -> String {
    let all = node.networks.iter().flat_map(|on| &on.attachments);
    let unreadable = all.filter(|recorded| matches!(recorded.state, State::Damaged(_)));
    let files: Vec<String> = unreadable
        .map(|recorded| recorded.path.display().to_string())
        .collect();
    let hint = "`vxlan status` lists the attachments".to_owned();
    match files.is_empty() {
        true => hint,
        false => format!("{hint}; cannot be read: {}", files.join(", ")),
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

/// Forgets it, and takes the network's side of the node away where it was the last.
fn forget(system: &System, node: &Node, record: &Attachment) -> Result<(), CniError> {
    let (store, ifname) = (&node.store, record.ifname.as_str());
    let head = format!("GC {} {}", record.network, record.id());
    let journal = Journal::new(&node.config.log_file, &head, "");
    let on = node.networks.iter().find(|on| on.name == record.network);
    let configured = || on.and_then(|on| on.configured.clone());
    match kept(store, record).ok().or_else(configured) {
        Some(network) => leave(
            &own(system, &journal),
            store,
            &network,
            &record.container,
            ifname,
        ),
        None => {
            store.remove(&record.network, &record.container, ifname)?;
            store.forget_lock(&record.network);
            Ok(())
        }
    }
}
