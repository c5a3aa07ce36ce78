//! `vxlan repair`: makes every fact of every record true again.
//!
//! The host side first, network by network and under its lock; then the claims; then the containers, each
//! marked so that a DEL of it waits. What holds is not touched, what is another's is not taken away, and
//! what an ADD or DEL is at work on is left to it.

use serde_json::{Value, json};

use super::Said;
use super::args::{RepairOptions, Shared};
use super::doctor::folders;
use super::look::{Attached, Found, host_facts, host_reads, look_at, session};
use super::node::{Node, OnNode};
use super::progress::Progress;
use crate::cni::CniError;
use crate::config::Network;
use crate::exec::{Exec, System};
use crate::ip::{IfName, Netns};
use crate::journal::Journal;
use crate::ops::host_side::{HostSide, Latest, forget_former};
use crate::ops::leave::take_away;
use crate::ops::status::clash;
use crate::ops::{guard, namespace_inode, peers};
use crate::plan::{self, Fact, Observed, Probe, Side, Step, Verdict, underlay};
use crate::route_table;
use crate::session::{Session, refuse_foreign};
use crate::store::{Lock, Store};

/// What was done, and what was not.
#[derive(Debug, Default)]
pub struct Done {
    /// Commands that were run, each with what it is of.
    pub made: Vec<(String, String)>,
    /// What failed, or is not this node's to mend.
    pub failed: Vec<(String, CniError)>,
    /// Attachments and networks that were looked at.
    pub looked: usize,
}

/// Mends what can be mended and tells what was done.
///
/// # Errors
/// When there is no configuration, or the folder of the records cannot be read.
pub fn run(shared: &Shared, _: &RepairOptions) -> Result<Said, CniError> {
    let node = Node::open(shared)?;
    let done = repair(&System::until_sigterm(), &node);
    let said = Said::either(shared, || done.document(), || done.text());
    Ok(said.if_well(done.failed.is_empty()))
}

/// Mends what can be mended, on a dry run in thought.
pub fn repair(system: &System, node: &Node) -> Done {
    let (mut done, seen) = sides(system, node);
    claims(system, node, &mut done);
    containers(system, node, &seen, &mut done);
    done
}

/// Mends the host sides alone.
pub fn repair_host_sides(system: &System, node: &Node) -> Done {
    sides(system, node).0
}

fn sides(system: &System, node: &Node) -> (Done, Vec<Mended>) {
    let mut done = Done::default();
    let mut seen: Vec<Mended> = Vec::new();
    for on in &node.networks {
        let Some(standing) = on.standing().filter(|_| !system.stop().is_told()) else {
            continue;
        };
        done.looked += 1;
        let mut steps = Vec::new();
        let of = format!("network {}", on.name);
        heading(system, &of);
        // Before the lock, for which pods wait.
        let (known, unasked) = peers::for_repair(
            system,
            &node.config,
            &node.store,
            &node.told,
            &standing.network,
        );
        done.failed.extend(unasked.map(|error| (of.clone(), error)));
        let mended = side(system, node, on, &known, &mut steps);
        done.tell(&of, &steps, &Netns::Own);
        match mended {
            Ok(Some(mended)) => seen.push(mended),
            Ok(None) => {}
            Err(error) => done.failed.push((of, error)),
        }
    }
    (done, seen)
}

/// The host side of a network, mended.
struct Mended {
    /// As it was when the lock was held.
    side: HostSide,
    now: Observed,
    /// The vxlan's MTU before that.
    mtu_before: Option<u32>,
}

/// Makes the host side of a network true; `None` where no attachment is on it any more.
fn side(
    system: &System,
    node: &Node,
    on: &OnNode,
    known: &Network,
    steps: &mut Vec<Step>,
) -> Result<Option<Mended>, CniError> {
    let journal = journal(node, &on.name, "-", "").of(system);
    let session = session(system, &journal);
    let alone = node.store.clone().until(system.stop()).hold(&on.name)?;
    // The last container may have left since the records were read: nothing is made for a container that has gone.
    let has_pods = node.store.is_used_by_others(&on.name, "", "")?;
    // Nor as it was then: an ADD may have brought another definition.
    let side = match has_pods {
        true => HostSide::of(&node.store, known).with_peers_of(known),
        false if on.has_pods() => return Ok(None),
        false => HostSide::alone(known.clone()),
    };
    let joined = match has_pods {
        true => Ok(()),
        false => begin(&session, &node.store, &side, &alone, steps),
    };
    let mended = joined.and_then(|()| make_side(&session, &node.store, &side, steps));
    end(&journal, steps, mended.as_ref().err());
    let (now, mtu_before) = mended?;
    node.store.note_peers(&side.network)?;
    Ok(Some(Mended {
        side,
        now,
        mtu_before,
    }))
}

/// What is to be known and noted before a node joins a network without a container. Nothing is noted of one that cannot be.
fn begin(
    session: &Session<'_>,
    store: &Store,
    side: &HostSide,
    alone: &Lock,
    steps: &mut Vec<Step>,
) -> Result<(), CniError> {
    let network = &side.network;
    // One that was made from another definition, with no container on it that would need it.
    if let Some(former) = store.definitions(&network.name).pop()
        && !former.has_the_device_of(network)
    {
        take_away(session, store, &former)?;
    }
    let mut reads = host_reads(side);
    reads.extend(underlay::overlap_reads(network));
    let seen = session.observe_host(network, reads)?;
    let facts = side.facts(&seen)?;
    underlay::check_before_joining(network, &seen)?;
    let is_new = seen.link(Side::Host, &network.vx).is_none();
    if is_new && let Some(fault) = clash(network, &seen) {
        return Err(fault);
    }
    let seen = set_back(session, &facts, seen, steps)?;
    refuse_foreign(network, &facts, &seen)?;
    if is_new {
        alone.note_made()?;
    }
    store.note_definition(network)?;
    // There is no pod that came before an edit.
    let left = forget_former(session, store, &network.name, ("", ""), Latest::Stays)?;
    left.iter().for_each(|line| session.remark(line));
    Ok(())
}

fn make_side(
    session: &Session<'_>,
    store: &Store,
    standing: &HostSide,
    steps: &mut Vec<Step>,
) -> Result<(Observed, Option<u32>), CniError> {
    let network = &standing.network;
    let seen = session.observe_host(network, host_reads(standing))?;
    let mtu_before = seen.link(Side::Host, &network.vx).map(|vx| vx.mtu);
    let facts = standing.facts(&seen)?;
    let seen = set_back(session, &facts, seen, steps)?;
    refuse_foreign(network, &facts, &seen)?;
    if seen.link(Side::Host, &network.vx).is_none()
        && let Some(fault) = clash(network, &seen)
    {
        return Err(fault);
    }
    guard::converge(session, store, network, &facts, seen, steps)?;
    // What the devices bring along is there now; looked at again, only what is still missing is made.
    let seen = session.observe(host_reads(standing))?;
    let all = host_facts(standing, &seen)?;
    session.converge(&all, seen, steps)?;
    Ok((session.observe(host_reads(standing))?, mtu_before))
}

/// Puts claims back that went with the gateway's device.
fn claims(system: &System, node: &Node, done: &mut Done) {
    let folders = folders(node);
    if folders.is_empty() {
        return;
    }
    let of = "claims";
    heading(system, of);
    match route_table::reconcile::reconcile(system, &folders) {
        Err(error) => done.failed.push((of.to_owned(), error)),
        Ok(mended) => {
            let put_back = mended
                .put_back
                .iter()
                .map(|what| format!("put back {what}"));
            let dropped = mended.dropped.iter().map(|what| format!("dropped {what}"));
            done.made
                .extend(put_back.chain(dropped).map(|what| (of.to_owned(), what)));
            done.failed.extend(mended.failed.iter().map(|what| {
                let error = CniError::new(crate::cni::Code::COMMAND_FAILED, what.clone());
                (of.to_owned(), error)
            }));
        }
    }
}

/// Looks at every container and mends those that are not as they should be.
fn containers(system: &System, node: &Node, seen: &[Mended], done: &mut Done) {
    let mended = |vx: &IfName| seen.iter().find(|mended| mended.side.network.vx == *vx);
    let host = |vx: &IfName| mended(vx).map(|mended| &mended.now);
    let attached: Vec<Attached<'_>> = Attached::all(node)
        .into_iter()
        .filter(|one| one.netns.is_some())
        .filter_map(|one| {
            let mended = mended(&one.network.vx)?;
            Some(Attached {
                side: &mended.side,
                parents_mtu: mended.mtu_before,
                ..one
            })
        })
        .collect();
    done.looked += attached.len();
    let mut progress = Progress::new(attached.len());
    let found = look_at(system, &attached, host, |one| progress.step(&one.shown()));
    for one in found.iter().filter(|one| !is_well(one)) {
        let Some(host) = host(&one.of.network.vx) else {
            continue;
        };
        let mut steps = Vec::new();
        heading(system, &one.of.shown());
        let mended = container(system, node, one.of, host, &mut steps);
        let netns = one.of.netns.as_ref().unwrap_or(&Netns::Own);
        done.tell(&one.of.shown(), &steps, netns);
        done.failed
            .extend(mended.err().map(|error| (one.of.shown(), error)));
    }
}

fn is_well(found: &Found<'_>) -> bool {
    let facts = found.facts.as_ref();
    facts.is_ok_and(|facts| facts.iter().all(|(_, verdict)| *verdict == Verdict::Holds))
}

/// Mends one container, unless another verb is at work on it or it has gone meanwhile.
fn container(
    system: &System,
    node: &Node,
    one: &Attached<'_>,
    host: &Observed,
    steps: &mut Vec<Step>,
) -> Result<(), CniError> {
    let (Some(netns), Some(_begun)) = (&one.netns, node.store.begin(one.record)) else {
        return Ok(());
    };
    if namespace_inode(one.record.netns.as_ref()) != Some(one.record.inode) {
        return Ok(());
    }
    let pod = one.record.pod.as_ref();
    let notes = pod.map_or_else(String::new, |pod| format!(" pod={pod}"));
    let journal = journal(node, &one.network.name, &one.record.id(), &notes).of(system);
    let session = Session {
        pod: netns,
        ..session(system, &journal)
    };
    let mended = make_container(&session, one, host, steps).or_else(|_| {
        // By what is so now: an ADD may have brought another MTU between the look and the change.
        let side = HostSide::of(&node.store, &one.side.network);
        let now = session.observe(host_reads(&side))?;
        let again = Attached {
            record: one.record,
            network: one.network,
            side: &side,
            netns: one.netns.clone(),
            parents_mtu: None,
            has_nft: one.has_nft,
        };
        make_container(&session, &again, &now, steps)
    });
    end(&journal, steps, mended.as_ref().err());
    mended
}

fn make_container(
    session: &Session<'_>,
    one: &Attached<'_>,
    host: &Observed,
    steps: &mut Vec<Step>,
) -> Result<(), CniError> {
    let seen = one.look(session, host)?;
    let mut all = one.facts()?;
    let facts = all.own(&seen)?;
    let seen = set_back(session, &facts, seen, steps)?;
    let foreign = plan::foreign(&facts, &seen);
    if !foreign.is_empty() {
        return Err(all
            .explain(&foreign, session.pod)
            .and("it is another's interface: remove the container and make it anew"));
    }
    session.converge(&facts, seen, steps)?;
    Ok(())
}

/// Sets back what can be set back of devices that are there, and looks again.
fn set_back(
    session: &Session<'_>,
    facts: &[Fact],
    mut seen: Observed,
    steps: &mut Vec<Step>,
) -> Result<Observed, CniError> {
    let back = plan::set_back(facts, &seen);
    if !back.is_empty() {
        session.apply(back, steps)?;
        seen.absorb(session.observe(plan::reads(facts, Probe::List))?);
    }
    Ok(seen)
}

/// What is above the commands of a dry run.
fn heading(system: &System, of: &str) {
    if let Some(dry) = system.dry_run() {
        dry.heading(of);
    }
}

/// The journal of what is mended.
fn journal(node: &Node, network: &str, id: &str, notes: &str) -> Journal {
    Journal::new(
        &node.config.log_file,
        &format!("REPAIR {network} {id}"),
        notes,
    )
}

/// Its last line; none where there was nothing to do.
fn end(journal: &Journal, steps: &[Step], failed: Option<&CniError>) {
    match failed {
        Some(error) => journal.end(&format!("failed {}: {}", error.code.0, error.msg)),
        None if steps.is_empty() => {}
        None => journal.end("ok"),
    }
}

impl Done {
    fn tell(&mut self, of: &str, steps: &[Step], pod: &Netns) {
        let shown = |step: &Step| {
            let netns = match step.side {
                Side::Host => &Netns::Own,
                Side::Pod => pod,
            };
            (of.to_owned(), step.command.shown_in(netns))
        };
        self.made.extend(steps.iter().map(shown));
    }

    /// The same for people: a line for each.
    pub fn text(&self) -> String {
        let made = self.made.iter().map(|(of, what)| format!("{of}: {what}\n"));
        let failed = self.failed.iter().map(|(of, error)| {
            let details = error.details.split("; ").filter(|line| !line.is_empty());
            let lines: String = details.map(|line| format!("  {line}\n")).collect();
            format!("FAILED {of}: {}\n{lines}", error.msg)
        });
        let text: String = made.chain(failed).collect();
        let next = match (self.made.is_empty(), self.failed.is_empty()) {
            (true, true) => "every fact holds, nothing was done\n",
            (false, true) => "",
            (_, false) => "`vxlan doctor` shows what is left and how to mend it\n",
        };
        text + next
    }

    /// `made`, a list of `of` and `command`; `failed`, a list of `of`, `msg` and `details`.
    fn document(&self) -> Value {
        let made = self.made.iter();
        let failed = self.failed.iter();
        json!({
            "made": made.map(|(of, command)| json!({"of": of, "command": command})).collect::<Vec<_>>(),
            "failed": failed
                .map(|(of, error)| json!({"of": of, "msg": error.msg, "details": error.details}))
                .collect::<Vec<_>>(),
        })
    }
}
