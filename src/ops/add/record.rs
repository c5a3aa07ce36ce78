//! The record of a new attachment.

use super::mac;
use crate::cni::Request;
use crate::ip::IfName;
use crate::ops::Sandbox;
use crate::select::Selection;
use crate::store::{Attachment, SeenFrom, boot_id, uptime};

/// The record of a new attachment.
pub(super) fn attachment(
    request: &Request,
    selection: &Selection<'_>,
    sandbox: &Sandbox,
    ifname: &IfName,
    ipam: serde_json::Value,
) -> Attachment {
    Attachment {
        format: Attachment::FORMAT,
        name: request.name.clone(),
        container: request.container.clone(),
        ifname: ifname.clone(),
        netns: request.netns.clone(),
        inode: sandbox.inode,
        pod: request.pod(),
        network: selection.network.name.clone(),
        because: selection.because.clone(),
        boot: boot_id(),
        since: humantime::format_rfc3339_millis(std::time::SystemTime::now()).to_string(),
        uptime: uptime(),
        seen_from: SeenFrom::here(),
        definition: selection.network.raw.clone(),
        table: selection.network.table,
        pref: selection.network.pref,
        guard: selection.network.guard,
        ports: selection.network.ports.clone(),
        cidrs: selection.network.filter.all.clone(),
        mac: selection
            .mac
            .or_else(|| mac::chosen(selection.network, &ipam)),
        ipam,
        lease: None,
    }
}
