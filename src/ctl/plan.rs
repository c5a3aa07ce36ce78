//! `vxlan plan`: what an ADD, a DEL or a repair would run on this node now, as a script: the verb itself, on a dry run.

mod add;
mod script;

use serde_json::json;

use self::script::Script;
use super::Said;
use super::args::{PlanOf, PlanOptions, Shared};
use super::gc::request;
use super::look::shown;
use super::meant::{self, LISTED, Meant};
use super::node::Node;
use super::repair::{Done, repair};
use crate::cni::CniError;
use crate::exec::{DryRun, System};
use crate::ops::del::take_off;
use crate::sanitize::printable;
use crate::store::{Attachment, Store};

/// Plans.
///
/// # Errors
/// What the verb itself would refuse.
pub fn run(shared: &Shared, options: &PlanOptions) -> Result<Said, CniError> {
    let node = Node::open(shared)?;
    let script: Script = match &options.of {
        None => add::script(&node, &options.add)?,
        Some(PlanOf::Del { of }) => del(&node, of)?,
        Some(PlanOf::Repair) => mend(node),
    };
    Ok(Said::either(
        shared,
        || json!({"commands": script.commands()}),
        || script.text(),
    ))
}

/// What DELs of attachments would run, one after the other: of every interface of a container, where none is named.
fn del(node: &Node, of: &str) -> Result<Script, CniError> {
    let meant = Meant::among(of, node.records());
    let records: Vec<&Attachment> = node.records().filter(|one| meant.is(one)).collect();
    if records.is_empty() {
        return Err(meant::nothing(of).details(LISTED));
    }
    let dry = DryRun::default();
    let system = System::only_reading(dry.clone());
    let store = node.store.clone().only_read();
    for record in records {
        head_of_del(&dry, &store, record)?;
        take_off(&system, &node.config, &store, &request(node, record)?)?;
    }
    Ok(Script::of(dry.lines(), Vec::new()))
}

fn head_of_del(dry: &DryRun, store: &Store, record: &Attachment) -> Result<(), CniError> {
    let id = shown(record);
    dry.remark(&format!("what a DEL of {id} would run on this node now"));
    let lease = record.lease.iter().flat_map(|lease| &lease.ips);
    let addresses: Vec<String> = lease.map(|ip| ip.address.to_string()).collect();
    let ipam = printable(record.ipam["type"].as_str().unwrap_or_default());
    let released = match addresses.is_empty() {
        true => "what it gave".to_owned(),
        false => addresses.join(" "),
    };
    dry.remark(&format!(
        "beside it the IPAM plugin `{ipam}` releases {released}"
    ));
    let (network, ifname) = (&record.network, record.ifname.as_str());
    let others = store.is_used_by_others(network, &record.container, ifname)?;
    dry.remark(match others {
        true => "others are on the network: the host side stays",
        false => "no other attachment is on the network: the host side goes",
    });
    Ok(())
}

/// What `vxlan repair` would run.
fn mend(node: Node) -> Script {
    let dry = DryRun::default();
    dry.remark("what `vxlan repair` would run on this node now");
    let node = Node {
        store: node.store.only_read(),
        ..node
    };
    let done = repair(&System::only_reading(dry.clone()), &node);
    for remark in beside(&done) {
        dry.remark(&remark);
    }
    Script::of(dry.lines(), Vec::new())
}

/// What is to be told of a repair beside its commands.
fn beside(done: &Done) -> Vec<String> {
    let refused = done.failed.iter();
    let refused =
        refused.map(|(of, error)| format!("refused: {of}: {}; {}", error.msg, error.details));
    let nothing = done.made.is_empty() && done.failed.is_empty();
    let nothing = nothing.then(|| "nothing: every fact holds".to_owned());
    // Records have no command.
    let claims = done.made.iter().filter(|(of, _)| of == "claims");
    let claims = claims.map(|(of, what)| format!("{of}: {what}"));
    claims.chain(refused).chain(nothing).collect()
}
