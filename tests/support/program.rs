//! Programs that tests put in a place, to be started there.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Puts a program in a place at once, instead of what was there. Written by another process: a file that is open for writing
/// cannot be started (`Text file busy`), and what another thread of this one starts meanwhile has it open too.
pub fn put(text: &[u8], place: &Path) {
    put_with_mode(text, place, 0o755);
}

/// The same with other rights.
pub fn put_with_mode(text: &[u8], place: &Path, mode: u32) {
    let draft = place.with_extension("draft");
    let mut install = Command::new("install")
        .arg("-m")
        .arg(format!("{mode:o}"))
        .arg("/proc/self/fd/0")
        .arg(&draft)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    install.stdin.take().unwrap().write_all(text).unwrap();
    assert!(install.wait().unwrap().success(), "{}", place.display());
    std::fs::rename(draft, place).unwrap();
}
