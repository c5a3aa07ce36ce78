//! `vxlan doctor`: every prerequisite and every fact, ticked or crossed, each cross with the command that
//! shows it and the one that mends it. Changes nothing.

mod arping;
mod asked;
mod claims;
mod compare;
mod echo;
mod firewall;
mod invalid;
mod learnt;
mod macs;
mod made_of;
mod neighbours;
mod networks;
mod others;
mod peers;
mod places;
pub(super) mod probe;
mod programs;
mod reach;
mod report;
mod shared;
mod underlay;
mod wire;

pub use claims::folders;
pub use programs::Filters;

use std::net::IpAddr;

use self::firewall::Firewalls;
use self::networks::Beside;
use self::report::{Report, Section};
use super::Said;
use super::args::{DoctorOptions, Shared};
use super::look::{Attached, no_journal, session};
use super::node::Node;
use super::progress::Progress;
use crate::cni::CniError;
use crate::exec::System;

/// Looks at everything.
///
/// # Errors
/// When there is no configuration, or the folder of the records cannot be read; with `--compare` when a file cannot.
pub fn run(shared: &Shared, options: &DoctorOptions) -> Result<Said, CniError> {
    if !options.compare.is_empty() {
        return compare::run(shared, &options.compare, is_plain(), options.verbose);
    }
    let node = Node::open(shared)?;
    let system = System::until_sigterm();
    let report = examine(&system, &node, &options.peers);
    let said = Said::either(
        shared,
        || made_of::put_into(report.document(), &system, &node),
        || report.text(is_plain(), options.verbose),
    );
    Ok(said.if_well(report.is_ok()))
}

fn examine(system: &System, node: &Node, peers: &[IpAddr]) -> Report {
    let mut here = programs::programs(system, node.filters());
    here.extend(places::places(node));
    here.extend(others::others(system, node));
    here.extend(neighbours::neighbours());
    let firewalls = Firewalls::of(system);
    here.extend(firewalls.read());
    let mut sections = vec![Section::new("this node", here)];
    if networks::can_look(system) {
        let journal = no_journal();
        let count = node.networks.iter().map(|one| one.attachments.len()).sum();
        let mut progress = Progress::new(count);
        let tell = |one: &Attached<'_>| progress.step(&one.shown());
        sections.extend(networks::networks(
            system,
            &session(system, &journal),
            node,
            &Beside {
                peers,
                firewalls: &firewalls,
            },
            tell,
        ));
        sections.extend(claims::claims(system, node));
    }
    Report(sections)
}

/// Whether the terminal knows ASCII only: the first of these that is set says (POSIX, locale).
fn is_plain() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|value| !value.is_empty());
    let utf8 = |locale: String| {
        let locale = locale.to_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    };
    !set.is_some_and(utf8)
}
