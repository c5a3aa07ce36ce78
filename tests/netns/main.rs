//! The plugin on the real kernel: network namespaces, `ip`, `sysctl`, and reference IPAM plugins.
//!
//! Needs root, and fails without it. `cargo test --test netns`.

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod agent;
mod always;
mod anti_spoof;
mod anycast;
mod asked;
mod check;
mod del;
mod encrypted;
mod facts;
mod guard;
mod idle;
mod interrupted;
mod iproute2;
mod join;
mod leave;
mod listens;
mod moves;
mod nodes;
mod options;
mod path;
mod peers;
mod readme;
mod reboot;
mod reconcile;
mod refuse;
mod regressions;
mod replay;
mod route_table;
mod streams;
mod together;
mod upgrade;
