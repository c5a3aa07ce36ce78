//! The proof that an address has one owner: it counts what it should, and leaves nothing.

use std::process::{Command, Stdio};

use crate::lab::Lab;
use crate::{built, clone, end_of, ends_with, script, until};

/// Runs races; what the table says.
fn races(code: i32, arguments: &[&str]) -> String {
    let mut command = script("races", arguments);
    ends_with(code, command.args(["--from", built()]))
}

/// A row of the table: rounds, duplicates, rounds without a winner, faults that CHECK found, errors.
fn row(table: &str, title: &str) -> Vec<u32> {
    let mut lines = table.lines();
    let line = lines.find_map(|line| line.trim().strip_prefix(title));
    let words = line.unwrap_or_else(|| panic!("no row `{title}`: {table}"));
    let numbers = words.split_whitespace().take(5);
    numbers.map(|word| word.parse().unwrap()).collect()
}

#[test]
fn claims_that_nobody_looks_out_for_are_counted_as_duplicates() {
    let blind = ["3", "--with", "none", "--nodes", "2", "--blind"];
    let table = races(1, &blind);
    assert_eq!(row(&table, "two nodes, at once"), [3, 3, 0, 0, 0]);
    let pool = row(&table, "64 addresses");
    assert!(pool[1] > 0, "{table}");
}

#[test]
fn with_a_daemon_every_address_has_one_owner_and_two_sides_of_a_cut_are_told() {
    let table = races(0, &["4", "--with", "bird"]);
    for title in ["two nodes, at once", "three nodes, at once"] {
        let [rounds, duplicates, _, faults, errors] = row(&table, title)[..] else {
            panic!("{table}")
        };
        assert_eq!([rounds, duplicates, faults, errors], [4, 0, 0, 0]);
    }
    assert_eq!(row(&table, "64 addresses")[1], 0);
    assert!(table.contains("given on both sides 8"), "{table}");
    assert!(
        table.contains("shows 8 as claimed elsewhere"),
        "of each pair, the one that hears of the other's claim: {table}"
    );
}

#[test]
fn races_leave_nothing_when_they_are_interrupted() {
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        // What is ignored when a shell starts, as under nohup, it cannot listen to.
        let mut races = Command::new("env");
        let mut races = races
            .arg("--default-signal=INT,TERM,HUP")
            .arg(clone("scripts/races"))
            .args(["1000", "--with", "bird", "--from", built()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lab = Lab(format!("races{}", races.id()));
        let results = lab.folder().join("results.0");
        until("the first race is over", || {
            std::fs::metadata(&results).is_ok_and(|file| file.len() > 0)
        });
        ends_with(
            0,
            Command::new("kill").args(["-s", signal, &races.id().to_string()]),
        );
        assert_eq!(end_of("the races' end", &mut races), Some(code));
        lab.assert_gone();
        assert_eq!(lab.processes(""), [""; 0]);
    }
}
