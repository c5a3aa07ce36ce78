//! `vxlan metrics`: this node in numbers, in the text format of Prometheus.

mod facts;
pub mod family;
mod networks;
pub mod tally;

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use self::family::{Family, Kind};
use self::tally::Tally;
use super::Said;
use super::args::{MetricsOptions, Shared};
use super::node::Node;
use super::status::seen::Seen;
use crate::cni::{CniError, Code};
use crate::exec::System;

/// Looks at the node and tells, or writes, what it found.
///
/// # Errors
/// When the configuration, the records, the devices or the journal cannot be read, or the file cannot be written.
pub fn run(shared: &Shared, options: &MetricsOptions) -> Result<Said, CniError> {
    let node = Node::open(shared)?;
    let families = families(&System::until_sigterm(), &node, options)?;
    let said = Said::either(
        shared,
        || family::document(&families),
        || family::text(&families),
    );
    match &options.output {
        None => Ok(said),
        Some(file) => put(file, &said.text).map(|()| Said::well("")),
    }
}

/// What the agent tells a scrape: itself, and this node without a look into the pods, which starts four processes for each.
///
/// # Errors
/// As [`run`].
pub fn of_the_agent(
    system: &System,
    shared: &Shared,
    own: Vec<Family>,
) -> Result<String, CniError> {
    let options = MetricsOptions {
        output: None,
        no_pods: true,
    };
    let mut families = families(system, &Node::open(shared)?, &options)?;
    families.extend(own);
    Ok(family::text(&families))
}

/// Beside its place and renamed, so that no reader sees a part of it; a reader of the folder may read it.
fn put(file: &Path, text: &str) -> Result<(), CniError> {
    // node_exporter reads files that end in `.prom` alone.
    let draft = file.with_extension(format!("prom.{}", std::process::id()));
    let written = tally::write(&draft, text.as_bytes(), 0o644);
    let renamed = written.and_then(|()| std::fs::rename(&draft, file));
    renamed.map_err(|error| {
        let _ = std::fs::remove_file(&draft);
        let msg = format!("cannot write {}: {error}", file.display());
        CniError::new(Code::IO, msg)
            .details("its folder must be there, and this user's to write to")
    })
}

fn families(
    system: &System,
    node: &Node,
    options: &MetricsOptions,
) -> Result<Vec<Family>, CniError> {
    let seen = Seen::of(system, node)?;
    let tally = Tally::up_to_now(&node.config)?;
    let mut families = about(node);
    families.extend(networks::families(&seen));
    families.extend(facts::families(system, node, !options.no_pods));
    families.extend(tally.families());
    Ok(families)
}

/// The program itself in numbers.
fn about(node: &Node) -> Vec<Family> {
    let gauge = |name, help| Family::new(Kind::Gauge, name, help);
    let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs_f64();
    let valid = f64::from(u8::from(node.faults.is_none()));
    vec![
        gauge("vxlan_build_info", "The version of vxlan.").with([(version, 1.0)]),
        gauge(
            "vxlan_collected_timestamp_seconds",
            "When these metrics were collected.",
        )
        .with([(Vec::new(), now)]),
        gauge(
            "vxlan_configuration_valid",
            "Whether the network configuration can be used.",
        )
        .with([(Vec::new(), valid)]),
    ]
}
