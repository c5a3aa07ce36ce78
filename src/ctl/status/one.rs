//! Status of one attachment: everything that is known of it, and whether its facts hold.

use super::seen::{Seen, age};
use super::text::shown_age;
use crate::cni::CniError;
use crate::ctl::look::{Attached, Found, host_reads, look_at, no_journal, session};
use crate::ctl::node::{OnNode, Recorded};
use crate::exec::System;
use crate::plan::Verdict;

/// Everybody who was meant, one behind the other.
///
/// # Errors
/// When the node cannot be looked at.
pub fn text(system: &System, seen: &Seen<'_>) -> Result<String, CniError> {
    let mut parts = Vec::new();
    for on in &seen.node.networks {
        let facts = facts(system, seen, on)?;
        for one in &on.attachments {
            parts.push(attachment(seen, on, one, &facts));
        }
    }
    Ok(parts.join("\n"))
}

/// What is to be said of the facts of each, by its id.
fn facts(system: &System, seen: &Seen<'_>, on: &OnNode) -> Result<Vec<(String, String)>, CniError> {
    let Some(side) = on.standing() else {
        return Ok(Vec::new());
    };
    let journal = no_journal();
    let host = session(system, &journal).observe_host(&side.network, host_reads(side))?;
    let attached = Attached::of(&seen.node.store, on);
    let found = look_at(system, &attached, |_| Some(&host), |_| {});
    let told = |found: &Found<'_>| match &found.facts {
        Err(error) => error.msg.clone(),
        Ok(judged) => {
            let broken: Vec<String> = judged
                .iter()
                .filter(|(_, verdict)| *verdict != Verdict::Holds)
                .map(|(fact, _)| fact.to_string())
                .collect();
            match broken.is_empty() {
                true => format!("all {} hold", judged.len()),
                false => format!("not so: {}; see `vxlan doctor`", broken.join(", ")),
            }
        }
    };
    let gone = attached.iter().filter(|one| one.netns.is_none());
    let gone = gone.map(|one| (one.record.id(), "the namespace is gone".to_owned()));
    let found = found.iter().map(|one| (one.of.record.id(), told(one)));
    Ok(found.chain(gone).collect())
}

fn attachment(seen: &Seen<'_>, on: &OnNode, one: &Recorded, facts: &[(String, String)]) -> String {
    let mut rows = vec![
        ("network", on.name.clone()),
        ("state", one.state.as_str().to_owned()),
    ];
    if let Some(record) = one.record() {
        let facts = facts.iter().find(|(id, _)| *id == record.id());
        let aged =
            age(&record.since).map_or_else(String::new, |age| format!(" ({})", shown_age(age)));
        let lease = record.lease.iter().flat_map(|lease| &lease.ips);
        let gateways: Vec<String> = lease
            .filter_map(|ip| ip.gateway)
            .map(|gateway| gateway.to_string())
            .collect();
        rows.extend([
            ("pod", record.pod.clone().unwrap_or_default()),
            ("container", record.id()),
            ("namespace", record.netns.clone()),
            ("addresses", super::addresses(record).join(" ")),
            ("gateway", gateways.join(" ")),
            ("claim", seen.claim(one).unwrap_or_default()),
            ("since", format!("{}{aged}", record.since)),
            ("because", record.because.clone()),
            (
                "facts",
                facts.map(|(_, told)| told.clone()).unwrap_or_default(),
            ),
        ]);
    }
    rows.push(("record", one.path.display().to_string()));
    let rows = rows.iter().filter(|(_, text)| !text.is_empty());
    rows.map(|(word, text)| format!("{word:<9}  {text}\n"))
        .collect()
}
