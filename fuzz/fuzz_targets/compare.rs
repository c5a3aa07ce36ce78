//! What another node tells, for `vxlan doctor --compare`.

#![no_main]
#![allow(clippy::unwrap_used, dead_code)]

#[path = "../../tests/properties/laws/mod.rs"]
mod laws;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|told: &[u8]| laws::compare::holds(told));
