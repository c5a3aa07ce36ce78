//! CHECK: the plan must be empty.
//!
//! Changes nothing. Every fact that does not hold is named with what was found and the command that
//! shows it; what later plugins added is none of its business.

use super::facts::{Facts, Promised};
use super::host_side::HostSide;
use super::{Sandbox, all, journal, kept, prev_result, store};
use crate::cni::delegate::Delegate;
use crate::cni::{CniError, Code, Request, Verb};
use crate::config::Config;
use crate::exec::System;
use crate::lease;
use crate::plan::{self, Probe};
use crate::sanitize::printable;
use crate::session::Session;
use crate::store::{Attachment, Found};

/// What an operator does next.
const NEXT: &str =
    "`vxlan doctor` shows all that is wrong on this node, `vxlan repair` mends what is its own";

/// Tells whether everything is as ADD left it.
///
/// # Errors
/// Code 101 that names every fact that does not hold; the IPAM's own error where its part does not.
pub fn check(system: &System, request: &Request) -> Result<(), CniError> {
    let config = Config::read(&request.config)?;
    let Some(result) = prev_result(request)? else {
        return Err(CniError::new(
            Code::INVALID_CONFIGURATION,
            "prevResult: missing: CHECK compares with ADD's result",
        ));
    };
    let sandbox = Sandbox::of(system, request)?;
    let record = recorded(&config, request)?;
    let network = kept(&store(&config), &record)?;
    let side = HostSide::of(&store(&config), &network);
    let journal = journal(&config.log_file, request, &network.name, "");
    let session = Session::new(system, &journal, &sandbox.netns);
    let ipam = Delegate::find(
        system,
        record.ipam["type"].as_str().unwrap_or_default(),
        request,
    )?;
    let asked = ipam.start(
        system,
        Verb::Check,
        &lease::config_of(&request.config, &record.ipam, record.lease.as_ref()),
    )?;
    if let Some(other) = Promised::elsewhere(&result, &request.netns, &record.ifname) {
        let (ifname, netns) = (&record.ifname, printable(&request.netns));
        let msg = format!(
            "prevResult: {ifname} is in {}, CNI_NETNS is {netns}",
            printable(other)
        );
        return Err(CniError::new(Code::FACTS_DO_NOT_HOLD, msg)
            .details("CHECK is asked of another container than ADD"));
    }
    let promised = Promised::of(&result, &request.netns, &record.ifname);
    let mut facts = Facts::of(&record, &network, &side, promised)?;
    let held = hold(&mut facts, &session);
    all([held.err(), asked.wait().err()]
        .into_iter()
        .flatten()
        .collect())
}

/// The record that ADD left.
fn recorded(config: &Config, request: &Request) -> Result<Attachment, CniError> {
    let lost = |msg: String| {
        CniError::new(Code::FACTS_DO_NOT_HOLD, msg)
            .details("make the container anew: a DEL and an ADD write the record again")
    };
    match store(config).find(&request.container, &request.ifname)? {
        Some(Found::Whole(record)) if record.is_of_an_earlier_boot() => Err(lost(format!(
            "{} was attached before the node was booted: nothing is left of it but its lease",
            record.id()
        ))),
        Some(Found::Whole(record)) if record.lease.is_some() => Ok(*record),
        Some(Found::Whole(record)) => {
            Err(lost(format!("the ADD of {} has not ended", record.id())))
        }
        Some(Found::Damaged { why, .. }) => Err(lost(why.to_string())),
        None => {
            let folder = config.data_dir.display();
            Err(lost(format!(
                "there is no record of {}/{} in {folder}",
                request.container, request.ifname
            )))
        }
    }
}

/// Look-ups first; what they do not show is listed before it is called broken.
fn hold(facts: &mut Facts<'_>, session: &Session<'_>) -> Result<(), CniError> {
    let seen = facts.observe(session, Probe::Lookup)?;
    if plan::broken(&facts.all(&seen)?, &seen).is_empty() {
        return Ok(());
    }
    let seen = facts.observe(session, Probe::List)?;
    let all = facts.all(&seen)?;
    match plan::broken(&all, &seen) {
        broken if broken.is_empty() => Ok(()),
        broken => Err(facts.explain(&broken, session.pod).and(NEXT)),
    }
}
