//! The result of the plugins before, as JSON.

#![no_main]
#![allow(clippy::unwrap_used, dead_code)]

#[path = "../../tests/properties/laws/mod.rs"]
mod laws;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|result: &[u8]| laws::prev_result::holds(result));
