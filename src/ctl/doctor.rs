//! `vxlan doctor`: every prerequisite and every fact, ticked or crossed, each cross with the command that
//! shows it and the one that mends it. Changes nothing.

mod arping;
mod asked;
mod cause;
mod claims;
pub mod compare;
mod connections;
mod echo;
mod firewall;
mod fixed;
mod hidden;
mod invalid;
mod learnt;
mod macs;
mod made_of;
mod neighbours;
mod networks;
mod others;
mod peers;
mod places;
mod policy;
pub(super) mod probe;
mod programs;
mod reach;
mod report;
mod shared;
mod sources;
mod switches;
pub mod text;
mod underlay;
mod wire;

pub use claims::folders;
pub use programs::Filters;

use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;

use self::arping::Arping;
use self::firewall::Firewalls;
use self::networks::Beside;
use self::report::{Finding, Id, Report, Section};
use self::text::{Style, text};
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
    let style = Style::of(options.all, options.verbose);
    if !options.compare.is_empty() {
        return compare::run(shared, &options.compare, style);
    }
    if !is_root() {
        let report = Report(vec![Section::new("this node", vec![not_root()])]);
        let said = Said::either(shared, || report.document(), || text(&report, style, ""));
        return Ok(said.with_code(report.exit_code()));
    }
    let node = Node::open(shared)?;
    let system = System::until_sigterm();
    let report = examine(&system, &node, &options.peers);
    let advice = match report.is_repairable() {
        true => "; `vxlan repair` fixes what is this node's own",
        false => "",
    };
    let said = Said::either(
        shared,
        || made_of::put_into(report.document(), &system, &node),
        || text(&report, style, advice),
    );
    Ok(said.with_code(report.exit_code()))
}

/// Whether this is root, whom the kernel names as the owner of this process.
fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn not_root() -> Finding {
    let what = "this is not root: records, namespaces and firewalls cannot be looked at";
    Finding::unknown(Id::Root, what)
        .inspect("id -u")
        .fix("run it as root: sudo vxlan doctor")
}

fn examine(system: &System, node: &Node, peers: &[IpAddr]) -> Report {
    let programs = programs::programs(system, node.filters());
    let mut here = programs.findings;
    let arping = Arping::here(system);
    let is_joined = node.networks.iter().any(|one| one.standing().is_some());
    here.extend(arping.finding().filter(|_| is_joined));
    here.extend(places::places(node));
    here.extend(others::others(system, node));
    here.extend(neighbours::neighbours(system, node));
    here.extend(connections::connections());
    let firewalls = Firewalls::of(system, programs.no_nft.as_ref());
    here.extend(firewalls.read());
    let mut sections = vec![Section::new("this node", here)];
    if networks::can_look(system) {
        let journal = no_journal();
        let count = node.networks.iter().map(|one| one.attachments.len()).sum();
        let mut progress = Progress::new(count);
        let tell = |one: &Attached<'_>| progress.step(&one.shown());
        let (of_networks, roots) = networks::networks(
            system,
            &session(system, &journal),
            node,
            &Beside {
                peers,
                firewalls: &firewalls,
                arping: &arping,
                has_nft: programs.no_nft.is_none(),
            },
            tell,
        );
        sections.extend(of_networks);
        sections.extend(claims::claims(system, node, &roots));
    }
    Report(sections)
}
