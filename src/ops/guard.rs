//! The packet filter's table, which the networks of a node share: made and taken away under a lock of its own.

use crate::cni::CniError;
use crate::config::Network;
use crate::exec;
use crate::ip::{Command, Program};
use crate::nft::{self, Ruleset, Table};
use crate::plan::{self, Fact, Observed, Read, Side, Step, Verdict};
use crate::session::Session;
use crate::store::Store;

/// Makes facts true; where the guard is among what is missing, no other network's is changed meanwhile.
///
/// # Errors
/// As [`Session::converge`], and when the lock is not to be had.
pub fn converge(
    session: &Session<'_>,
    store: &Store,
    network: &Network,
    facts: &[Fact],
    seen: Observed,
    done: &mut Vec<Step>,
) -> Result<Observed, CniError> {
    let is_missing =
        |fact: &&Fact| matches!(fact, Fact::Guard { .. }) && fact.verdict(&seen) != Verdict::Holds;
    let lock = match facts.iter().any(|fact| is_missing(&fact)) {
        true => Some(store.hold_shared_table()?),
        false => None,
    };
    if lock.is_some() {
        // Until it is made: where this is killed behind the change, the next ADD looks at the table itself.
        store.forget_filter(&network.name);
    }
    let made = session.converge(facts, seen, done);
    if let Some(lock) = lock {
        lock.remove();
    }
    let seen = made?;
    if network.guard {
        store.note_filter(&network.name, &network.filter)?;
    }
    Ok(seen)
}

/// Takes a network's chains away, and the table with the last network. Tells what could not be done.
pub fn remove(session: &Session<'_>, store: &Store, network: &Network) -> Vec<String> {
    let Some(question) = question(store, network) else {
        store.forget_filter(&network.name);
        if network.guard {
            let text = format!("nft is not installed: the chains of {} stay", network.mv);
            session.remark(&text);
        }
        return Vec::new();
    };
    let left = remove_by(session, store, question, |seen| {
        removals(store, network, seen)
    });
    // Only now: where something is left, this tells the next try that there are chains.
    if left.is_empty() {
        store.forget_filter(&network.name);
    }
    left
}

/// Takes the chain away that only a shared gateway has. Tells what could not be done.
pub fn remove_what_is_shared(
    session: &Session<'_>,
    store: &Store,
    network: &Network,
) -> Vec<String> {
    let Some(question) = question(store, network) else {
        return Vec::new();
    };
    let shared = plan::guard::shared(network);
    remove_by(session, store, question, |seen| {
        let table = seen.ruleset(&Table::Node);
        let is_there = table.is_some_and(|table| table.names().any(|name| name == shared));
        let command = || nft::delete_chains(&Table::Node, &[shared.as_str()]);
        is_there.then(command).into_iter().collect()
    })
}

/// Runs what a look at the table gives rise to, while no other network changes it. Tells what could not be done.
fn remove_by(
    session: &Session<'_>,
    store: &Store,
    question: Read,
    commands: impl FnOnce(&Observed) -> Vec<Command>,
) -> Vec<String> {
    let lock = match store.hold_shared_table() {
        Ok(lock) => lock,
        Err(error) => return vec![error.to_string()],
    };
    let left = match session.observe(vec![question]) {
        Err(error) => vec![format!("{}; {}", error.msg, error.details)],
        Ok(seen) => {
            let all = commands(&seen).into_iter();
            session.remove(all.map(|command| (Side::Host, command)).collect())
        }
    };
    lock.remove();
    left
}

/// What tells whether chains of a network are there; nothing where it has no guard and had none, or nothing can tell.
pub fn question(store: &Store, network: &Network) -> Option<Read> {
    let has_one = network.guard || store.filter(&network.name).is_some();
    let can_tell = has_one && exec::is_installed(Program::Nft.name());
    can_tell.then_some(Read::Nft(Table::Node))
}

/// The commands that take a network's chains away: none where there are none.
pub fn removals(store: &Store, network: &Network, seen: &Observed) -> Vec<Command> {
    let Some(ruleset) = seen.ruleset(&Table::Node) else {
        return Vec::new();
    };
    let own = own(network, ruleset);
    if own.is_empty() {
        return Vec::new();
    }
    let only = ruleset.names().count() == own.len();
    // A table whose other networks have all gone, by whatever means, goes too.
    let last = || store.is_last(&network.name).unwrap_or(false);
    match only || last() {
        true => vec![nft::delete_table(&Table::Node)],
        false => vec![nft::delete_chains(&Table::Node, &own)],
    }
}

/// The chains of a network that are there.
pub fn own<'a>(network: &Network, ruleset: &'a Ruleset) -> Vec<&'a str> {
    let own = plan::guard::names(network);
    ruleset
        .names()
        .filter(|name| own.iter().any(|of| of == name))
        .collect()
}
