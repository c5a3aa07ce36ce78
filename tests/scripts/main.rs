//! The scripts that a user meets, run as a user runs them.
//!
//! Needs root, and fails without it. `cargo test --test scripts`.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

mod install;
mod lab;
mod matrix;
mod order;
mod pages;
mod pipes;
mod prerequisites;
#[path = "../support/program.rs"]
mod program;
mod races;
mod release;
mod roots;
mod routing;
mod trace;

/// How long a condition is waited for. Far above what any takes: a machine may be busy.
const LIMIT: Duration = Duration::from_secs(60);

/// A file of the clone.
fn clone(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The folder of the programs under test.
fn built() -> &'static str {
    let program = Path::new(env!("CARGO_BIN_EXE_vxlan"));
    program.parent().and_then(Path::to_str).unwrap()
}

/// A script with its arguments.
fn script(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(clone("scripts").join(name));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// What a command printed, both ways, and that it ended with a code.
fn ends_with(code: i32, command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = both(&output);
    assert_eq!(output.status.code(), Some(code), "{command:?}: {text}");
    text
}

/// stdout, then stderr.
fn both(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// Waits for a condition.
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LIMIT, "waited {LIMIT:?} for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits for a process's end.
fn end_of(what: &str, child: &mut Child) -> Option<i32> {
    let mut status = None;
    until(what, || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    status.and_then(|status| status.code())
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("vxlan-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, inner: &str) -> PathBuf {
        self.0.join(inner)
    }

    /// Writes a program of shell lines into it; what was there under that name goes.
    fn program(&self, name: &str, body: &str) {
        let path = self.path(name);
        program::put(format!("#!/bin/sh\n{body}\n").as_bytes(), &path);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_programs_are_installed_below_destdir_and_replaced_while_they_run() {
    let folder = Folder::new("install");
    let install = |more: &[&str]| {
        let mut command = script("install", &["--from", built()]);
        ends_with(0, command.args(more).env("DESTDIR", &folder.0))
    };
    let said = install(&[]);
    let plugin = folder.path("opt/cni/bin/vxlan");
    assert!(
        said.contains(&format!("installed {}", plugin.display())),
        "{said}"
    );
    assert!(folder.path("opt/cni/bin/route-table").is_file());
    let command = folder.path("usr/local/sbin/vxlan");
    assert_eq!(
        std::fs::read_link(command).unwrap(),
        Path::new("/opt/cni/bin/vxlan")
    );
    // Runs as long as its stdin is open.
    let mut running = Command::new(&plugin)
        .env("CNI_COMMAND", "VERSION")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    install(&["--cni-bin", "/opt/cni/bin", "--prefix", "/usr"]);
    assert!(folder.path("usr/sbin/vxlan").is_symlink());
    drop(running.stdin.take());
    assert_eq!(end_of("the running program's end", &mut running), Some(0));
    let names = std::fs::read_dir(folder.path("opt/cni/bin"))
        .unwrap()
        .count();
    assert_eq!(names, 2, "a file of the installation is left");
}

#[test]
fn an_installation_onto_a_full_disk_says_so_and_leaves_no_half_a_program() {
    let folder = Folder::new("full");
    let line = r#"mount -t tmpfs -o size=64k disk "$DESTDIR"; ! "$0" --from "$1"; find "$DESTDIR" -type f"#;
    let mut disk = Command::new("unshare");
    disk.args(["--mount", "bash", "-ec", line]);
    disk.arg(clone("scripts/install")).arg(built());
    let said = ends_with(0, disk.env("DESTDIR", &folder.0));
    assert!(said.contains("cannot write "), "{said}");
    let files = said.lines().filter(|line| line.starts_with('/')).count();
    assert_eq!(files, 0, "{said}");
}

#[test]
fn every_script_says_how_it_is_used() {
    for entry in std::fs::read_dir(clone("scripts")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // No scripts: what `scripts/install` and `scripts/uml` build and use.
        if name.ends_with(".rs") || name.ends_with(".c") {
            continue;
        }
        let usage = ends_with(0, &mut script(&name, &["-h"]));
        assert!(usage.contains(&format!("scripts/{name}")), "{usage}");
    }
}

#[test]
fn a_script_that_needs_root_says_so() {
    let folder = Folder::new("nobody");
    // Nobody may read the clone, perhaps.
    ends_with(
        0,
        Command::new("cp")
            .arg("-r")
            .arg(clone("scripts"))
            .arg(&folder.0),
    );
    ends_with(0, Command::new("chmod").args(["-R", "a+rX"]).arg(&folder.0));
    for line in [
        "demo",
        "lab up",
        "lab down",
        "bench",
        "matrix ip:sid",
        "test",
        "node --number 1",
        "races 1 --with none",
        "routing --root / status",
    ] {
        let mut words = line.split(' ');
        let program = folder.path("scripts").join(words.next().unwrap());
        let mut nobody = Command::new("setpriv");
        nobody.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
        let said = ends_with(1, nobody.arg(program).args(words).current_dir("/"));
        assert!(
            said.contains("root") && said.contains("sudo"),
            "{line}: {said}"
        );
    }
}
