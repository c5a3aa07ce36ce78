//! The kernel's table of neighbours: one for all namespaces of the machine, and bounded. Where it is full, no address
//! can be asked for, and nothing new be reached.

use std::path::Path;

use serde_json::Value;

use super::probe::{ask, said};
use super::report::{Finding, Id};
use crate::ctl::node::{Node, State};
use crate::exec::System;
use crate::ip::Family;
use crate::ip::json::documents;
use crate::ip::neigh::THRESHOLD;
use crate::ip::sysctl::SysctlKey;
use crate::plan::anycast;

/// The statistics of the tables, by family; only the machine's own namespace shows them (`net/core/neighbour.c`).
const STATISTICS: [(Family, &str); 2] = [
    (Family::V4, "/proc/net/stat/arp_cache"),
    (Family::V6, "/proc/net/stat/ndisc_cache"),
];

/// From how many hundredths of its bound on a table is nearly full.
const NEARLY_FULL: u64 = 80;

/// Looks at both tables; nothing is told of one that cannot be seen.
pub fn neighbours(system: &System, node: &Node) -> Vec<Finding> {
    let tables = STATISTICS.into_iter();
    tables
        .filter_map(|(family, file)| {
            let statistics = std::fs::read_to_string(Path::new(file)).ok()?;
            let key = SysctlKey::NeighbourTable(family, THRESHOLD);
            let most = std::fs::read_to_string(key.path()).ok()?;
            let fixed = || fixed(system, family) + in_pods(node, family);
            table(&statistics, most.trim().parse().ok()?, &key, fixed)
        })
        .collect()
}

/// How many entries of this namespace the bound does not count, as routing daemons and eBPF datapaths set them: permanent
/// ones and those that were learnt elsewhere (`exempt_from_gc`, `net/core/neighbour.c`).
fn fixed(system: &System, family: Family) -> u64 {
    let argv = ["ip", family.option(), "-j", "neigh", "show", "nud", "all"];
    let text = said(&ask(system, &argv)).unwrap_or_default();
    let lists = documents(text.as_bytes()).unwrap_or_default();
    let entries = lists.iter().filter_map(Value::as_array).flatten();
    let is_fixed = |entry: &&Value| {
        let mut states = entry["state"].as_array().into_iter().flatten();
        // A flag is a key without a value.
        states.any(|state| state == "PERMANENT") || entry.get("extern_learn").is_some()
    };
    entries.filter(is_fixed).count() as u64
}

/// How many there are in containers: each has the address of an anycast gateway so.
fn in_pods(node: &Node, family: Family) -> u64 {
    let has_one = |state: &State| match state {
        State::Whole(_, network) => anycast::is(network) && network.cidr(family).is_some(),
        _ => false,
    };
    let all = node.attachments();
    all.filter(|one| has_one(&one.state)).count() as u64
}

/// Judges a table by its statistics: a line of words, and for each processor one of hexadecimal numbers, of which
/// `entries` is the whole table's. `fixed` counts those that the bound does not; it is asked where it matters.
fn table(statistics: &str, most: u64, key: &SysctlKey, fixed: impl Fn() -> u64) -> Option<Finding> {
    let mut lines = statistics.lines().map(str::split_whitespace);
    let words: Vec<&str> = lines.next()?.collect();
    let rows: Vec<Vec<&str>> = lines.map(Iterator::collect).collect();
    let column = |name: &str| {
        let index = words.iter().position(|word| *word == name)?;
        let numbers = rows.iter().filter_map(move |row| row.get(index));
        Some(numbers.filter_map(|number| u64::from_str_radix(number, 16).ok()))
    };
    let all = column("entries")?.max()?;
    let is_full = |entries: u64| entries * 100 >= most * NEARLY_FULL;
    let entries = match is_full(all) {
        true => all.saturating_sub(fixed()),
        false => all,
    };
    let full = match column("table_fulls").map(Iterator::sum::<u64>) {
        Some(times) if times > 0 => {
            format!("; it was full {times} times since the machine started")
        }
        _ => String::new(),
    };
    let what = format!(
        "{entries} of {most} neighbours that {key} allows for all namespaces are taken{full}"
    );
    let more = most.max(1024).saturating_mul(8);
    Some(match is_full(entries) {
        false => Finding::ok(Id::NeighbourTable, what),
        true => Finding::failed(Id::NeighbourTable, format!("the table of neighbours is nearly full, and a container that scans its network fills it: {what}"))
            .inspect("ip -s neigh, in the namespace of each container: the one that scans has most of them")
            .fix(format!("sysctl -w {key}={more}")),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ctl::doctor::report::State as Outcome;

    /// As Linux 6.18 shows it, on two processors.
    fn seen(entries: &str, fixed: u64) -> Finding {
        let statistics = format!(
            "entries  allocs   destroys forced_gc_runs unresolved_discards table_fulls\n\
             {entries} 0000362f 000037a8 00000001 00000000 00000001\n\
             {entries} 000038ef 00003766 00000005 00000000 00000003\n"
        );
        let key = SysctlKey::NeighbourTable(Family::V4, THRESHOLD);
        table(&statistics, 1024, &key, || fixed).unwrap()
    }

    #[test]
    fn a_table_that_is_nearly_full_is_crossed_with_how_to_see_and_mend_it() {
        let finding = seen("00000010", 9);
        let what = "16 of 1024 neighbours that net.ipv4.neigh.default.gc_thresh3 allows for all namespaces are \
                    taken; it was full 4 times since the machine started";
        assert_eq!(finding, Finding::ok(Id::NeighbourTable, what));
        let finding = seen("000003f0", 8);
        assert!(
            finding
                .message
                .ends_with("fills it: 1000 of 1024 neighbours that net.ipv4.neigh.default.gc_thresh3 allows for all namespaces are taken; it was full 4 times since the machine started")
        );
        let fix = "sysctl -w net.ipv4.neigh.default.gc_thresh3=8192";
        assert_eq!(finding.fix.as_deref(), Some(fix));
        // Permanent ones, as an anycast gateway's are in each container, fill no table.
        assert_eq!(seen("000003f0", 500).state, Outcome::Ok);
        let key = SysctlKey::NeighbourTable(Family::V4, THRESHOLD);
        assert_eq!(table("no statistics", 1024, &key, || 0), None);
    }
}
