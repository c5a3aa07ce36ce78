//! The plugin under load on the real kernel: a hundred pods at once, races of the last DEL with the first
//! ADD, and ADD and DEL over and over; nothing is left, nothing grows.
//!
//! Needs root, and fails without it. `cargo test --test storms -- --nocapture` shows the figures;
//! `VXLAN_CNI_CYCLES=2000 VXLAN_CNI_RACES=500` runs the full numbers.

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod beside;
mod cycles;
mod ledger;
mod modes;
mod races;
mod storm;
mod troubled;

/// How often something is done: what a variable says, or fewer.
fn rounds(variable: &str, otherwise: usize) -> usize {
    match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|error| panic!("{variable}={text}: {error}")),
        Err(_) => otherwise,
    }
}
