//! The claims of `route-table`: every owner record beside the routing table.

use super::cause::{self, Root};
use super::report::{Finding, Id, Section};
use crate::cni::CniError;
use crate::ctl::look::{no_journal, session};
use crate::ctl::node::{Node, State};
use crate::exec::System;
use crate::route_table::config::Ipam;
use crate::route_table::ledger::{Claimed, Entry, Ledger, ipams};

/// What mends them all.
const MEND: &str = "vxlan repair, or route-table reconcile";

/// The folders of claims: those of the configuration, and those that attachments were made with.
pub fn folders(node: &Node) -> Vec<Ipam> {
    let mut found = ipams(&node.raw);
    for record in node.records() {
        let same = |one: &Ipam, other: &Ipam| {
            (&one.data_dir, one.protocol, one.table)
                == (&other.data_dir, other.protocol, other.table)
        };
        let kept = ipams(&serde_json::json!({"ipam": record.ipam}));
        for ipam in kept {
            if !found.iter().any(|known| same(known, &ipam)) {
                found.push(ipam);
            }
        }
    }
    found
}

/// Looks at them; none where this IPAM is not in use.
pub fn claims(system: &System, node: &Node, roots: &[Root]) -> Option<Section> {
    let folders = folders(node);
    if folders.is_empty() {
        return None;
    }
    let mut section = Section::new("claims of route-table", Vec::new());
    for ipam in &folders {
        let of = ipam.data_dir.display().to_string();
        section.facts.push(match folder(system, node, ipam, roots) {
            Ok(findings) => (of, findings),
            Err(error) => (
                of,
                vec![Finding::failed(Id::Claims, error.msg).fix(error.details)],
            ),
        });
    }
    Some(section)
}

fn folder(
    system: &System,
    node: &Node,
    ipam: &Ipam,
    roots: &[Root],
) -> Result<Vec<Finding>, CniError> {
    let journal = no_journal();
    let ledger = Ledger::read(&session(system, &journal), ipam)?;
    let settled = ledger.entries.iter().filter(|entry| !is_young(node, entry));
    let mut findings: Vec<Finding> = settled.map(|entry| claim(entry, ipam, roots)).collect();
    findings.extend(ledger.orphans.iter().map(|route| {
        Finding::failed(
            Id::OrphanedClaim,
            format!("the claim {} is orphaned", route.shown()),
        )
        .by_repair()
        .inspect("route-table list")
        .fix(MEND)
    }));
    Ok(findings)
}

/// Whether an ADD or DEL is at work on the container: a claim may be on its way.
fn is_young(node: &Node, entry: &Entry) -> bool {
    let Some(owner) = &entry.held.owner else {
        return false;
    };
    let all = node.attachments();
    all.filter_map(|one| match &one.state {
        State::Unfinished {
            record,
            under_way: true,
        } => Some(record),
        _ => None,
    })
    .any(|record| record.container == owner.container && record.ifname.as_str() == owner.ifname)
}

fn claim(entry: &Entry, ipam: &Ipam, roots: &[Root]) -> Finding {
    let address = entry.held.address;
    let owner = entry.held.owner.as_ref().map(|owner| owner.shown());
    let of = owner.map_or_else(String::new, |owner| format!(" of {owner}"));
    let inspect = format!("ip route show exact {address} table {}", ipam.table);
    match (&entry.elsewhere, entry.claim) {
        (Some(route), _) => Finding::failed(
            Id::Claim,
            format!("{address}{of} is claimed elsewhere too: {}", route.shown()),
        )
        .inspect(format!("ip route get fibmatch {address}"))
        .fix("remove one of the two containers"),
        (None, Claimed::Ok) => Finding::ok(Id::Claim, format!("the claim of {address}{of} stands")),
        (None, Claimed::Answering) => Finding::ok(
            Id::Claim,
            format!("the claim of {address} is of a pod that answers and that no record tells of"),
        ),
        (None, Claimed::Unreadable) => {
            Finding::failed(Id::Claim, format!("the record of {address} is cut short"))
                .inspect("route-table list")
                .fix("the DEL of its container removes it")
        }
        (None, state) => {
            let what = format!("the claim of {address}{of} is {}", state.as_str());
            let finding = Finding::failed(Id::Claim, what)
                .by_repair()
                .inspect(inspect)
                .fix(MEND);
            // The kernel drops the routes of a device that goes down.
            let owner = entry.held.owner.as_ref();
            match owner.and_then(|owner| cause::of_device(&owner.route.dev, roots)) {
                Some(cause) => finding.follows_from(cause.clone()),
                None => finding,
            }
        }
    }
}
