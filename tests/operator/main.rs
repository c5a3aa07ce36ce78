//! The operator's verbs on nodes of a lab: what is broken by hand is found, explained and mended, and nobody
//! else notices.
//!
//! Needs root, and fails without it. `cargo test --test operator`.

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod arrives;
mod beside;
mod broken;
mod compare;
mod doctor;
mod edits;
mod examples;
mod gc;
mod graph;
mod lacking;
mod limits;
mod log;
mod many;
mod metrics;
mod migration;
mod plan;
mod refused;
mod replay;
mod same;
mod stage;
mod status;
mod typed;
mod units;
