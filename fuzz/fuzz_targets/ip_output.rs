//! What `ip` printed: stdout up to the first byte 0, then its exit code as a byte, then stderr.

#![no_main]
#![allow(clippy::unwrap_used, dead_code)]

#[path = "../../tests/properties/laws/mod.rs"]
mod laws;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|said: &[u8]| {
    let (stdout, rest) = match said.iter().position(|byte| *byte == 0) {
        Some(end) => (&said[..end], &said[end + 1..]),
        None => (said, &b""[..]),
    };
    let (code, stderr) = match rest.split_first() {
        Some((255, stderr)) => (None, stderr),
        Some((code, stderr)) => (Some(i32::from(*code)), stderr),
        None => (Some(0), rest),
    };
    laws::ip_output::holds(stdout, &String::from_utf8_lossy(stderr), code);
});
