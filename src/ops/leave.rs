//! How a node leaves a network: the record goes, and with the last one the host side.
//!
//! Under the network's lock, held alone: an ADD that comes meanwhile waits, and makes the host side anew.

use super::host_side::{Latest, forget_former};
use super::{ending, guard};
use crate::cni::{CniError, Code};
use crate::config::Network;
use crate::ip::IfName;
use crate::plan::{self, Fact, Observed, Probe, Read, Side, Step, host};
use crate::session::Session;
use crate::session::release::wait_for_release;
use crate::store::{Attachment, Store};

/// Forgets an attachment and, where it was the network's last, takes the host side away. Of an ADD that was killed, what
/// only its edit of the definition has brought goes, as where it fails. The record stays when that fails, so that a
/// later DEL can try again. The host side stays where the configuration has the node on the network always, too.
///
/// # Errors
/// Everything that could not be removed.
pub fn leave(
    session: &Session<'_>,
    store: &Store,
    network: &Network,
    (container, ifname): (&str, &str),
    latest: Latest,
    is_always: bool,
) -> Result<(), CniError> {
    let alone = store.hold(&network.name)?;
    if is_always
        || stays(store, &network.name)
        || store.is_used_by_others(&network.name, container, ifname)?
    {
        let (name, leaving) = (&network.name, (container, ifname));
        let left = forget_former(session, store, name, leaving, latest)?;
        if latest == Latest::Too
            && let Err(error) = restore_former(session, store, network)
        {
            // What is missing of it is repair's: the attachment is gone all the same.
            session.remark(&error.to_string());
        }
        return match left.first() {
            None => Ok(store.remove(&network.name, container, ifname)?),
            Some(_) => Err(not_removed(network, &left)),
        };
    }
    take_away(session, store, network)?;
    store.remove(&network.name, container, ifname)?;
    alone.remove();
    Ok(())
}

/// Whether the node stays on a network without attachments, as it was last made.
fn stays(store: &Store, network: &str) -> bool {
    let made = store.definitions(network);
    made.last().is_some_and(Network::is_always)
}

/// Takes the host side away of a network without attachments, neither by a record nor by what listens
/// through its device: when records were lost no DEL comes that would.
///
/// # Errors
/// Everything that could not be removed.
pub fn leave_if_idle(
    session: &Session<'_>,
    store: &Store,
    network: &Network,
) -> Result<(), CniError> {
    if !is_left_over(session, store, network)? {
        return Ok(());
    }
    let alone = store.hold(&network.name)?;
    // Another ADD may have joined meanwhile.
    if store.is_used_by_others(&network.name, "", "")? {
        return Ok(());
    }
    let taken = take_away(session, store, network);
    session.journal.end(&ending(&taken));
    if taken.is_ok() {
        alone.remove();
    }
    taken
}

/// Whether something of the host side of a network is there without attachments.
///
/// # Errors
/// When the records or the state cannot be read.
pub fn is_left_over(
    session: &Session<'_>,
    store: &Store,
    network: &Network,
) -> Result<bool, CniError> {
    Ok(!store.is_used_by_others(&network.name, "", "")? && is_idle(session, store, network)?)
}

/// Whether something of the host side is there, and nothing listens through it. One look: what is about
/// to go waits for the next time.
fn is_idle(session: &Session<'_>, store: &Store, network: &Network) -> Result<bool, CniError> {
    let facts = facts(store, network)?;
    let mut questions = questions(network, &facts);
    questions.extend(guard::question(store, network));
    let seen = session.observe(questions)?;
    let left = facts.iter().any(|fact| !fact.undone(&seen).is_empty())
        || !guard::removals(store, network, &seen).is_empty();
    Ok(other_users(network, &seen) == 0 && left)
}

/// After an ADD that failed: forgets the attachment if everything else was taken back, and takes the
/// host side back unless another attachment joined meanwhile: all of it where this program made it,
/// whichever ADD that was, else the steps of this one. Tells what could not be done.
pub fn leave_after_failure(
    session: &Session<'_>,
    store: &Store,
    network: &Network,
    attachment: &Attachment,
    steps: &[Step],
    clean: bool,
) -> Vec<String> {
    let (container, ifname) = (&attachment.container, attachment.ifname.as_str());
    let told = |error: CniError| vec![error.msg];
    let alone = match store.hold(&network.name) {
        Ok(alone) => alone,
        Err(error) => return told(error.into()),
    };
    let used = match store.is_used_by_others(&network.name, container, ifname) {
        // It was there before, and stays.
        Ok(used) => used || !makes(network, steps) && stays(store, &network.name),
        Err(error) => return told(error.into()),
    };
    let mut left = match (used, alone.is_made()) {
        (true, _) => {
            let leaving = (container.as_str(), ifname);
            take_edit_back(session, store, network, leaving).unwrap_or_else(told)
        }
        (false, true) => take_away(session, store, network)
            .err()
            .map_or(Vec::new(), told),
        (false, false) => {
            let mut left = session.undo(steps);
            left.extend(guard::remove(session, store, network));
            let forgotten = store.keep_definitions(&network.name, &[]);
            left.extend(forgotten.err().map(|error| error.to_string()));
            left
        }
    };
    if clean && left.is_empty() {
        let forgotten = store.remove(&network.name, container, ifname);
        left.extend(forgotten.err().map(|error| error.to_string()));
        if !used {
            alone.remove();
        }
    }
    left
}

/// Whether the network's device is among what was made.
fn makes(network: &Network, steps: &[Step]) -> bool {
    let device = host::device(network, &Observed::default()).undo();
    steps
        .iter()
        .any(|step| step.undo.is_some() && step.undo == device)
}

/// After an ADD that failed on a network in use: where no other attachment is by its definition, what that has brought goes,
/// and the host side is as the former one has it.
fn take_edit_back(
    session: &Session<'_>,
    store: &Store,
    network: &Network,
    leaving: (&str, &str),
) -> Result<Vec<String>, CniError> {
    let name = &network.name;
    let left = forget_former(session, store, name, leaving, Latest::Too)?;
    restore_former(session, store, network)?;
    Ok(left)
}

/// Makes the host side as the latest definition has it that is left, where a network's own is none of them any more.
fn restore_former(session: &Session<'_>, store: &Store, network: &Network) -> Result<(), CniError> {
    let all = store.definitions(&network.name);
    if let Some(former) = all.last()
        && !all.iter().any(|one| one.is_defined_as(network))
    {
        let seen = session.observe_host(former, host::reads(former, Probe::List))?;
        let facts = host::facts(former, &seen)?;
        guard::converge(session, store, former, &facts, seen, &mut Vec::new())?;
    }
    Ok(())
}

/// Takes the host side away: the rules, then the vxlan, with which the gateway and its routes go.
///
/// Looks first: a device that is another's, or through which a container without a record still
/// listens, is left alone.
///
/// # Errors
/// Everything that could not be removed.
pub fn take_away(session: &Session<'_>, store: &Store, network: &Network) -> Result<(), CniError> {
    let facts = facts(store, network)?;
    let (seen, users) = look_until_released(session, network, &facts)?;
    if users > 0 {
        session.remark(&format!(
            "{} is left alone: {users} more macvlan on it than this node has records of",
            network.vx
        ));
        return Ok(());
    }
    let device = host::device(network, &seen);
    if let Some(vx) = seen.link(Side::Host, &network.vx)
        && device.undone(&seen).is_empty()
    {
        session.remark(&format!(
            "{} is left alone: it is a {} with VNI {:?}, not the vxlan with VNI {}",
            network.vx,
            vx.kind(),
            vx.data().id,
            network.options.vxlan.vni
        ));
    }
    let undone = facts.iter().flat_map(|fact| fact.undone(&seen));
    let mut left = session.remove(undone.collect());
    // Last, so that no pod gets around it while its device is still there.
    left.extend(guard::remove(session, store, network));
    match left {
        left if left.is_empty() => Ok(store.keep_definitions(&network.name, &[])?),
        left => Err(not_removed(network, &left)),
    }
}

fn not_removed(network: &Network, left: &[String]) -> CniError {
    let msg = format!(
        "network \"{}\": the host side could not be removed: {}",
        network.name, left[0]
    );
    CniError::new(Code::COMMAND_FAILED, msg).details(left.join("; "))
}

/// Looks at the host side; where another device still listens through the vxlan, again for a while: the
/// devices of a namespace that has just gone are taken down by the kernel at its own time.
fn look_until_released(
    session: &Session<'_>,
    network: &Network,
    facts: &[Fact],
) -> Result<(Observed, u32), CniError> {
    let look = || {
        let seen = session.observe(questions(network, facts))?;
        let users = other_users(network, &seen);
        Ok((seen, users))
    };
    wait_for_release(look, |(_, users)| *users == 0)
}

/// What must be known before anything is removed.
fn questions(network: &Network, facts: &[Fact]) -> Vec<Read> {
    let mut reads = plan::reads(facts, Probe::List);
    reads.push(Read::Addr(Side::Host, network.mv.clone()));
    reads.push(Read::Maddr(network.vx.clone()));
    reads.sort();
    reads
}

/// The facts with which all of the host side but the guard goes: the rules that any of a network's definitions has brought,
/// but for those that another network on this node has too, as one that was renamed while its pods live; then its device.
fn facts(store: &Store, network: &Network) -> Result<Vec<Fact>, CniError> {
    let mut known = Vec::new();
    for other in store.definitions_of_others(&network.name)? {
        if store.is_used_by_others(&other.name, "", "")? {
            known.extend(host::rules(&other).iter().filter_map(Fact::undo));
        }
    }
    let all = store.definitions(&network.name);
    let mut facts = Vec::new();
    for rule in all.iter().chain([network]).flat_map(host::rules) {
        let Some(undo) = rule.undo().filter(|undo| !known.contains(undo)) else {
            continue;
        };
        known.push(undo);
        facts.push(rule);
    }
    facts.push(host::device(network, &Observed::default()));
    Ok(facts)
}

/// Macvlans on the vxlan in whatever namespace, the gateway not counted.
fn other_users(network: &Network, seen: &Observed) -> u32 {
    let gateway = seen.link(Side::Host, &network.mv);
    let gateway =
        gateway.is_some_and(|mv| mv.flag("UP") && mv.link.as_deref() == Some(network.vx.as_str()));
    let listeners = seen.listeners(&network.vx).unwrap_or(0);
    listeners.saturating_sub(gateway.into())
}

/// The error for a device that was there a moment ago.
pub fn vanished(name: &IfName) -> CniError {
    CniError::new(
        Code::FACTS_DO_NOT_HOLD,
        format!("{name} vanished while it was being set up"),
    )
    .details("something else removed it at the same time; try again")
}
