//! The bytes of a record.

#![no_main]
#![allow(clippy::unwrap_used, dead_code)]

#[path = "../../tests/properties/laws/mod.rs"]
mod laws;

use libfuzzer_sys::fuzz_target;

thread_local! {
    static FOLDER: laws::records::Folder = laws::records::Folder::new("fuzz");
}

fuzz_target!(|record: &[u8]| FOLDER.with(|folder| laws::records::holds(folder, record)));
