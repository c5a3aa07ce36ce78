//! The kernel's table of connections (conntrack): where it is full, new connections are dropped.

use std::path::Path;

use super::report::{Finding, Id};

/// Where the kernel tells how many there are and how many there may be.
const FOLDER: &str = "/proc/sys/net/netfilter";

/// From how many hundredths of its bound on the table is nearly full.
const NEARLY_FULL: u64 = 90;

/// Looks at the table; no finding where there is none.
pub fn connections() -> Option<Finding> {
    let number = |name: &str| {
        let text = std::fs::read_to_string(Path::new(FOLDER).join(name)).ok()?;
        text.trim().parse().ok()
    };
    Some(table(
        number("nf_conntrack_count")?,
        number("nf_conntrack_max")?,
    ))
}

fn table(count: u64, most: u64) -> Finding {
    let what = format!(
        "{count} of {most} connections that net.netfilter.nf_conntrack_max allows are known"
    );
    match most > 0 && count * 100 >= most * NEARLY_FULL {
        false => Finding::ok(Id::ConntrackTable, what),
        true => Finding::failed(
            Id::ConntrackTable,
            format!(
                "the table of connections is nearly full, and new ones are dropped then: {what}"
            ),
        )
        .inspect(
            "conntrack -S; sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max",
        )
        .fix(format!(
            "sysctl -w net.netfilter.nf_conntrack_max={}",
            most.saturating_mul(4)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctl::doctor::report::State;

    #[test]
    fn a_table_of_connections_that_is_nearly_full_is_crossed_and_one_without_a_bound_is_not() {
        for (count, most, state) in [
            (89, 100, State::Ok),
            (90, 100, State::Failed),
            (65536, 65536, State::Failed),
            (17, 0, State::Ok),
        ] {
            assert_eq!(table(count, most).state, state, "{count} of {most}");
        }
        let fix = table(95, 100).fix;
        assert_eq!(
            fix.as_deref(),
            Some("sysctl -w net.netfilter.nf_conntrack_max=400")
        );
    }
}
