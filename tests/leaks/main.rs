//! No fault leaves a trace: every external command made to fail in every way, disks that are full, logs
//! that cannot be written, records that are cut short.
//!
//! The real kernel, as root; fails without. `cargo test --test leaks`; how many points were tried is
//! printed whether the tests pass or not.

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod commands;
mod disk;
mod fault;
mod patience;
mod records;
mod scene;
mod stand_in;

/// Prints a line also where the test passes: how much was tried is part of what is shown.
fn print(line: &str) {
    let line = format!("{line}\n");
    std::io::Write::write_all(&mut std::io::stdout(), line.as_bytes()).unwrap();
}
