//! A map of annotations as JSON.

#![no_main]
#![allow(clippy::unwrap_used, dead_code)]

#[path = "../../tests/properties/laws/mod.rs"]
mod laws;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|map: &[u8]| laws::annotations::holds(map));
