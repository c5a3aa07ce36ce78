//! The kernel's table of neighbours: one for all namespaces of the machine, and bounded. Where it is full, no address
//! can be asked for, and nothing new be reached.

use std::path::Path;

use super::report::{Finding, Id};
use crate::ip::Family;
use crate::ip::neigh::THRESHOLD;
use crate::ip::sysctl::SysctlKey;

/// The statistics of the tables, by family; only the machine's own namespace shows them (`net/core/neighbour.c`).
const STATISTICS: [(Family, &str); 2] = [
    (Family::V4, "/proc/net/stat/arp_cache"),
    (Family::V6, "/proc/net/stat/ndisc_cache"),
];

/// From how many hundredths of its bound on a table is nearly full.
const NEARLY_FULL: u64 = 80;

/// Looks at both tables; nothing is told of one that cannot be seen.
pub fn neighbours() -> Vec<Finding> {
    let tables = STATISTICS.into_iter();
    tables
        .filter_map(|(family, file)| {
            let statistics = std::fs::read_to_string(Path::new(file)).ok()?;
            let key = SysctlKey::NeighbourTable(family, THRESHOLD);
            let most = std::fs::read_to_string(key.path()).ok()?;
            table(&statistics, most.trim().parse().ok()?, &key)
        })
        .collect()
}

/// Judges a table by its statistics: a line of words, and for each processor one of hexadecimal numbers, of which
/// `entries` is the whole table's.
fn table(statistics: &str, most: u64, key: &SysctlKey) -> Option<Finding> {
    let mut lines = statistics.lines().map(str::split_whitespace);
    let words: Vec<&str> = lines.next()?.collect();
    let rows: Vec<Vec<&str>> = lines.map(Iterator::collect).collect();
    let column = |name: &str| {
        let index = words.iter().position(|word| *word == name)?;
        let numbers = rows.iter().filter_map(move |row| row.get(index));
        Some(numbers.filter_map(|number| u64::from_str_radix(number, 16).ok()))
    };
    let entries = column("entries")?.max()?;
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
    Some(match entries * 100 >= most * NEARLY_FULL {
        false => Finding::ok(Id::NeighbourTable, what),
        true => Finding::failed(Id::NeighbourTable, format!("the table of neighbours is nearly full: {what}"))
            .inspect("ip -s neigh, in the namespace of each container: one that scans its network has most of them")
            .fix(format!("end what scans; or sysctl -w {key}={more}")),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// As Linux 6.18 shows it, on two processors.
    fn seen(entries: &str) -> Finding {
        let statistics = format!(
            "entries  allocs   destroys forced_gc_runs unresolved_discards table_fulls\n\
             {entries} 0000362f 000037a8 00000001 00000000 00000001\n\
             {entries} 000038ef 00003766 00000005 00000000 00000003\n"
        );
        let key = SysctlKey::NeighbourTable(Family::V4, THRESHOLD);
        table(&statistics, 1024, &key).unwrap()
    }

    #[test]
    fn a_table_that_is_nearly_full_is_crossed_with_how_to_see_and_mend_it() {
        let finding = seen("00000010");
        let what = "16 of 1024 neighbours that net.ipv4.neigh.default.gc_thresh3 allows for all namespaces are \
                    taken; it was full 4 times since the machine started";
        assert_eq!(finding, Finding::ok(Id::NeighbourTable, what));
        let finding = seen("000003f0");
        assert!(
            finding
                .message
                .starts_with("the table of neighbours is nearly full: 1008 of 1024")
        );
        let fix = "end what scans; or sysctl -w net.ipv4.neigh.default.gc_thresh3=8192";
        assert_eq!(finding.fix.as_deref(), Some(fix));
        let key = SysctlKey::NeighbourTable(Family::V4, THRESHOLD);
        assert_eq!(table("no statistics", 1024, &key), None);
    }
}
