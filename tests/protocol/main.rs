//! The protocol, asked of the built programs as a runtime asks: environment and stdin in, stdout and exit
//! code out. No root and no kernel: `ip`, `bridge`, `sysctl` and the IPAM are stand-ins (`stand_in`).
//!
//! Each test is named after its item of the conformance checklist; tests/README.md has the table.

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod arguments;
mod bad_input;
mod delegation;
mod environment;
mod output;
mod records;
mod stand_in;
mod status;
mod streams;
mod versions;
