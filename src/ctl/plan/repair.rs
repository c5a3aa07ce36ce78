//! What `vxlan repair` would run.

use super::script::Script;
use crate::cni::CniError;
use crate::ctl::doctor::folders;
use crate::ctl::look::{Attached, Found, host_facts, host_reads, look_at, no_journal, session};
use crate::ctl::node::Node;
use crate::exec::System;
use crate::ip::{IfName, Netns, route};
use crate::ops::host_side::HostSide;
use crate::ops::status::clash;
use crate::plan::{self, Fact, Observed, Plan, Side, Verdict};
use crate::route_table::ledger::{Claimed, Ledger};
use crate::session::{Session, refuse_foreign};

/// What a repair would run.
///
/// # Errors
/// When the node cannot be looked at.
pub fn script(system: &System, node: &Node) -> Result<Script, CniError> {
    let mut script = Script::default();
    script.remark("what `vxlan repair` would run on this node now");
    let journal = no_journal();
    let session = session(system, &journal);
    let mut seen: Vec<(IfName, Observed)> = Vec::new();
    for standing in node.networks.iter().filter_map(|on| on.standing()) {
        let network = &standing.network;
        let now = session.observe_host(network, host_reads(standing))?;
        match side(standing, &now) {
            Ok(steps) => {
                script.steps(&steps, &Netns::Own);
                seen.push((network.vx.clone(), now));
            }
            Err(error) => script.remark(format!("refused: {}; {}", error.msg, error.details)),
        }
    }
    claims(&session, node, &mut script)?;
    containers(system, node, &seen, &mut script)?;
    if script.is_empty() {
        script.remark("nothing: every fact holds");
    }
    Ok(script)
}

fn side(standing: &HostSide, seen: &Observed) -> Result<Plan, CniError> {
    let network = &standing.network;
    let facts = standing.facts(seen)?;
    let rest = not_set_back(facts.clone(), seen);
    refuse_foreign(network, &rest, seen)?;
    let there = seen.link(Side::Host, &network.vx).is_some();
    let all = match clash(network, seen) {
        Some(fault) if !there => return Err(fault),
        _ if there => host_facts(standing, seen)?,
        // What is listed comes with the device.
        _ => facts,
    };
    let mut steps = plan::set_back(&all, seen);
    steps.extend(plan::plan(&not_set_back(all, seen), seen, &Netns::Own));
    Ok(steps)
}

/// The facts that are not true once what can be set back is.
fn not_set_back(facts: Vec<Fact>, seen: &Observed) -> Vec<Fact> {
    let mut facts = facts;
    facts.retain(|fact| !matches!(fact.verdict(seen), Verdict::Changed { .. }));
    facts
}

fn claims(session: &Session<'_>, node: &Node, script: &mut Script) -> Result<(), CniError> {
    for ipam in folders(node) {
        let ledger = Ledger::read(session, &ipam)?;
        for entry in &ledger.entries {
            if let (Claimed::Missing, Some(owner)) = (entry.claim, &entry.held.owner) {
                script.command(&route::add(&owner.route), &Netns::Own);
            }
        }
        for orphan in &ledger.orphans {
            script.remark(format!(
                "dropped, where it is still orphaned: {}",
                orphan.shown()
            ));
        }
    }
    Ok(())
}

fn containers(
    system: &System,
    node: &Node,
    seen: &[(IfName, Observed)],
    script: &mut Script,
) -> Result<(), CniError> {
    let host = |vx: &IfName| {
        let of = seen.iter().find(|(name, _)| name == vx);
        of.map(|(_, seen)| seen)
    };
    let attached = Attached::all(node);
    for Found { of, facts, .. } in look_at(system, &attached, host, |_| {}) {
        let (Some(netns), Some(host)) = (&of.netns, host(&of.network.vx)) else {
            continue;
        };
        let broken = facts?.iter().any(|(_, verdict)| *verdict != Verdict::Holds);
        if !broken {
            continue;
        }
        let journal = no_journal();
        let session = Session {
            pod: netns,
            ..session(system, &journal)
        };
        let now = of.look(&session, host)?;
        let facts: Vec<Fact> = of.facts()?.own(&now)?;
        script.remark(of.shown());
        script.steps(&plan::set_back(&facts, &now), netns);
        let facts = not_set_back(facts, &now);
        match plan::foreign(&facts, &now).is_empty() {
            true => script.steps(&plan::plan(&facts, &now, netns), netns),
            false => script.remark("refused: it is another's interface"),
        }
    }
    Ok(())
}
