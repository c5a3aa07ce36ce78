//! Facts that do not hold, in words.

use crate::cni::{CniError, Code};
use crate::config::Network;
use crate::ip::Netns;
use crate::ip::link::{self, LinkRecord, Vxlan, options_of};
use crate::plan::{self, Fact, Observed, Side};

/// A device of ours that is another than wanted is refused, never made anew under running containers.
///
/// # Errors
/// Code 101 that names the device, what it is, and what to do.
pub fn refuse_foreign(network: &Network, facts: &[Fact], seen: &Observed) -> Result<(), CniError> {
    let foreign = plan::foreign(facts, seen);
    let Some((first @ (Fact::Vxlan { name, .. } | Fact::Macvlan { name, .. }), _)) =
        foreign.first()
    else {
        return Ok(());
    };
    let as_it_is = match first {
        Fact::Vxlan { vxlan, .. } => seen
            .link(Side::Host, name)
            .and_then(|record| as_it_is(network, record, vxlan)),
        _ => None,
    };
    let error = not_true(&foreign, &Netns::Own);
    let msg = format!("network \"{}\": {}", network.name, error.msg);
    let back = first.set_back();
    let mend = match (&foreign[0].1, back) {
        (plan::Verdict::Changed { .. }, Some((_, command))) => {
            format!("correct the configuration, or set it back: {command}")
        }
        _ => format!(
            "correct the configuration, or, when the device is in use no longer: {}",
            link::del(name)
        ),
    };
    let error = CniError::new(error.code, msg).details(error.details);
    let error = as_it_is.iter().fold(error, |error, told| error.and(told));
    Err(error.and(&mend))
}

/// What to write so that a network takes a device as it is.
pub fn as_it_is(network: &Network, record: &LinkRecord, wanted: &Vxlan) -> Option<String> {
    let options = options_of(record, wanted)?;
    Some(format!(
        "to go on with it as it is, write into options of network \"{}\": {options}",
        network.name
    ))
}

/// The error that names every fact that does not hold, and the command that shows it.
pub fn not_true(broken: &[(&Fact, plan::Verdict)], pod: &Netns) -> CniError {
    let Some((first, others)) = broken.split_first() else {
        return CniError::new(Code::INTERNAL, "no fact is broken, but that was an error");
    };
    let msg = match others.len() {
        0 => format!("a fact does not hold: {}", told(first, pod)),
        more => format!("facts do not hold: {} and {more} more", told(first, pod)),
    };
    let others: Vec<String> = others.iter().map(|other| told(other, pod)).collect();
    CniError::new(Code::FACTS_DO_NOT_HOLD, msg).details(others.join("; "))
}

/// A fact that does not hold, what was found, and the pasteable command that shows it.
pub fn told((fact, verdict): &(&Fact, plan::Verdict), pod: &Netns) -> String {
    let found = match verdict {
        plan::Verdict::Differs { found } | plan::Verdict::Changed { found } => {
            format!("{fact}: found {found}")
        }
        _ => format!("{fact}: missing"),
    };
    let netns = match fact.side() {
        Side::Host => &Netns::Own,
        Side::Pod => pod,
    };
    match fact.show() {
        Some(command) => format!("{found} (`{}`)", command.shown_in(netns)),
        None => found,
    }
}
