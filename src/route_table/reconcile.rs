//! `route-table reconcile`: puts back claims that a link that went down, `networkctl reload` or a daemon's
//! restart has flushed, and drops what is orphaned.
//!
//! Looks twice, with a pause between: a claim that an ADD is about to make is missing only at the first
//! look, and one whose record is being removed is orphaned only at the second.

use std::time::Duration;

use serde_json::{Value, json};

use super::config::Ipam;
use super::ledger::{Claimed, Entry, Ledger, route_of};
use super::owners::{Owner, Owners};
use crate::cni::CniError;
use crate::exec::System;
use crate::ip::route::{self, Route, RouteRecord};
use crate::journal::Journal;
use crate::plan::{Side, Step};
use crate::session::Session;

/// The pause between the two looks: an ADD writes its record and makes its claim within milliseconds.
const PAUSE: Duration = Duration::from_secs(1);

/// What was done, and what could not be.
#[derive(Debug, Default)]
pub struct Done {
    /// Claims that were put back.
    pub put_back: Vec<String>,
    /// Claims without an owner, and records of an earlier boot, that were dropped.
    pub dropped: Vec<String>,
    /// What failed, with the command.
    pub failed: Vec<String>,
}

/// Makes the claims of every folder what the records say.
///
/// # Errors
/// When the records or the table cannot be read. What cannot be mended is in [`Done::failed`].
pub fn reconcile(system: &System, ipams: &[Ipam]) -> Result<Done, CniError> {
    let journal = |ipam: &Ipam| Journal::new(&ipam.log_file, "RECONCILE", "").of(system);
    // Only the wire tells what is orphaned: a dry run asks it too, as each look at the claims does.
    let asking = system.asking();
    let look = |ipam: &Ipam, journal: &Journal| {
        let session = super::session(&asking, journal);
        Ledger::read(&session, ipam)
    };
    let first = ipams.iter().map(|ipam| look(ipam, &journal(ipam)));
    let first: Vec<Ledger> = first.collect::<Result<_, _>>()?;
    let mut done = Done::default();
    if first.iter().all(is_well) {
        return Ok(done);
    }
    system.pause(PAUSE)?;
    for (ipam, before) in ipams.iter().zip(&first) {
        let journal = journal(ipam);
        let session = super::session(system, &journal);
        let now = look(ipam, &journal)?;
        mend(&session, ipam, before, &now, &mut done)?;
        if !(is_well(before) && is_well(&now)) {
            journal.end(&format!(
                "ok put back {}, dropped {}, failed {}",
                done.put_back.len(),
                done.dropped.len(),
                done.failed.len()
            ));
        }
    }
    Ok(done)
}

fn is_well(ledger: &Ledger) -> bool {
    let settled = |entry: &Entry| {
        use Claimed::{Answering, Ok, Unreadable};
        matches!(entry.claim, Ok | Unreadable | Answering)
    };
    ledger.orphans.is_empty() && ledger.entries.iter().all(settled)
}

/// Mends what both looks show.
fn mend(
    session: &Session<'_>,
    ipam: &Ipam,
    before: &Ledger,
    now: &Ledger,
    done: &mut Done,
) -> Result<(), CniError> {
    let owners = Owners::new(&ipam.data_dir);
    let writes = session.exec.dry_run().is_none();
    for entry in &now.entries {
        let same = |other: &&Entry| other.held == entry.held && other.claim == entry.claim;
        let twice = before.entries.iter().any(|other| same(&other));
        let Some(owner) = entry.held.owner.as_ref().filter(|_| twice) else {
            continue;
        };
        match entry.claim {
            Claimed::Missing => put_back(session, &owners, owner, done)?,
            Claimed::EarlierBoot => {
                if writes {
                    owners.give_back(&owner.container, &owner.ifname, entry.held.address)?;
                }
                let text = format!("{}: the record of an earlier boot", entry.held.address);
                done.dropped.push(text);
            }
            Claimed::Unrecorded => {
                if !writes || owners.take(owner)? {
                    let text = format!("{}: the record of {}", entry.held.address, owner.shown());
                    done.put_back.push(text);
                }
            }
            Claimed::Ok | Claimed::Unreadable | Claimed::Answering => {}
        }
    }
    let twice = |orphan: &&RouteRecord| before.orphans.contains(orphan);
    for orphan in now.orphans.iter().filter(twice) {
        match route_of(orphan, ipam) {
            Some(route) => drop_route(session, &route, done),
            None => done
                .failed
                .push(format!("{}: not understood", orphan.shown())),
        }
    }
    Ok(())
}

/// Adds a claim again; takes it off again where its owner has left meanwhile.
fn put_back(
    session: &Session<'_>,
    owners: &Owners,
    owner: &Owner,
    done: &mut Done,
) -> Result<(), CniError> {
    let address = owner.route.dst.ip();
    let step = Step {
        side: Side::Host,
        command: route::add(&owner.route),
        undo: None,
        makes: Vec::new(),
        because: format!("{address} is claimed"),
    };
    if let Err(error) = session.apply(vec![step], &mut Vec::new()) {
        done.failed.push(format!("{address}: {}", error.details));
        return Ok(());
    }
    match owners.holder(address).as_ref() == Some(owner) {
        true => done.put_back.push(format!("{address}: {}", owner.shown())),
        false => drop_route(session, &owner.route, done),
    }
    Ok(())
}

fn drop_route(session: &Session<'_>, route: &Route, done: &mut Done) {
    match session.remove(vec![(Side::Host, route::del(route))]) {
        left if left.is_empty() => done.dropped.push(format!("{}: orphaned", route.dst.ip())),
        left => done.failed.extend(left),
    }
}

impl Done {
    /// As text, one line for each thing that was done.
    pub fn text(&self) -> String {
        let told = |word: &str, items: &[String]| {
            let lines = items.iter().map(|item| format!("{word} {item}\n"));
            lines.collect::<String>()
        };
        let text = told("put back", &self.put_back)
            + &told("dropped", &self.dropped)
            + &told("FAILED", &self.failed);
        match text.is_empty() {
            true => "every claim is as its record says\n".to_owned(),
            false => text,
        }
    }

    /// As one JSON document: `put_back`, `dropped`, `failed`, each a list of texts.
    pub fn document(&self) -> Value {
        json!({"put_back": self.put_back, "dropped": self.dropped, "failed": self.failed})
    }
}
