//! The plugin among others: delegates that misbehave, reference plugins before and after it, every
//! version of the protocol, and real runtimes, all on the real kernel.
//!
//! Needs root and Debian's packages (`prerequisites`), and fails without them. `cargo test --test runtimes`.

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod capabilities;
mod chain;
mod chains;
mod delegation;
mod dhcp;
mod ipams;
mod misbehaving;
mod prerequisites;
mod real;
mod stand_in;
mod versions;
