//! `CNI_ARGS`.

#![no_main]
#![allow(clippy::unwrap_used, dead_code)]

#[path = "../../tests/properties/laws/mod.rs"]
mod laws;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| laws::arguments::holds(text));
