//! What a DEL would run.

use super::script::Script;
use crate::cni::CniError;
use crate::ctl::look::{Attached, no_journal, session};
use crate::ctl::meant::{self, LISTED, Meant};
use crate::ctl::node::{Node, State};
use crate::exec::System;
use crate::ip::{Netns, link};
use crate::ops::leave::planned;
use crate::plan::{Read, Side, Verdict, anti_spoof, container};
use crate::sanitize::printable;
use crate::session::Session;

/// What a DEL of an attachment would run; every interface of a container, where none is named.
///
/// # Errors
/// When no attachment is meant, or the node cannot be looked at.
pub fn script(system: &System, node: &Node, of: &str) -> Result<Script, CniError> {
    let mut script = Script::default();
    let all = Attached::all(node);
    let meant = Meant::among(of, node.records());
    let whole: Vec<&Attached<'_>> = all.iter().filter(|one| meant.is(one.record)).collect();
    if whole.is_empty() && !damaged(node, meant, &mut script) {
        return Err(meant::nothing(of).details(LISTED));
    }
    for one in whole {
        attachment(system, node, one, &mut script)?;
    }
    Ok(script)
}

/// Records that are not whole: what a DEL does with them is unknown from here.
fn damaged(node: &Node, meant: Meant<'_>, script: &mut Script) -> bool {
    let others = node
        .attachments()
        .filter(|one| !matches!(one.state, State::Whole(..)));
    let before = script.clone();
    for one in others.filter(|one| one.record().is_some_and(|record| meant.is(record))) {
        script.remark(format!(
            "{}: {}; a DEL releases its lease and removes the record",
            one.path.display(),
            one.state.as_str()
        ));
    }
    *script != before
}

fn attachment(
    system: &System,
    node: &Node,
    one: &Attached<'_>,
    script: &mut Script,
) -> Result<(), CniError> {
    let record = one.record;
    script.remark(format!(
        "what a DEL of {} would run on this node now",
        one.shown()
    ));
    let lease = record.lease.iter().flat_map(|lease| &lease.ips);
    let addresses: Vec<String> = lease.map(|ip| ip.address.to_string()).collect();
    script.remark(format!(
        "beside it the IPAM plugin `{}` releases {}",
        printable(record.ipam["type"].as_str().unwrap_or_default()),
        addresses.join(" ")
    ));
    let journal = no_journal();
    let node_session = session(system, &journal);
    let mut own = 0;
    if let Some(netns) = &one.netns {
        let session = Session {
            pod: netns,
            ..node_session
        };
        let seen = session.observe(vec![Read::Addr(Side::Pod, record.ifname.clone())])?;
        let fact = container::link(one.network, &record.ifname, &record.ifname);
        if fact.verdict(&seen) == Verdict::Holds {
            script.command(&link::del(&record.ifname), netns);
            if one.network.anti_spoof {
                script.command(&anti_spoof::removal(&record.ifname).1, netns);
            }
            let up = seen.link(Side::Pod, &record.ifname);
            own = u32::from(up.is_some_and(|link| link.flag("UP")));
        }
    }
    let ifname = record.ifname.as_str();
    let last = planned(
        &node_session,
        &node.store,
        one.network,
        &record.container,
        ifname,
        own,
    )?;
    match last.is_empty() {
        true => script.remark("others are on the network: the host side stays"),
        false => script.remark("no other attachment is on the network: the host side goes"),
    }
    for command in &last {
        script.command(command, &Netns::Own);
    }
    Ok(())
}
