//! What a script needs is the tools, wherever they come from: they are taken as they are, and where one is missing
//! it is named before anything is installed.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::lab::Lab;
use crate::{Folder, built, clone, ends_with, script};

/// What Habets' arping 2.25 says when it is asked for its version as iputils' is.
const HABETS: &str = "\
    echo \"arping: option requires an argument -- 'V'\" >&2\n\
    echo 'ARPing 2.25, by Thomas Habets <thomas@habets.se>'\n\
    exit 1";

/// A machine's commands without Debian's package manager, and without sbin in PATH.
struct Machine(Folder);

impl Machine {
    fn without(missing: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = Folder::new(&format!("machine{number}"));
        for entry in std::fs::read_dir("/usr/bin").unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let debian = name.starts_with("apt") || name.starts_with("dpkg");
            if !debian && !missing.contains(&name.as_str()) {
                std::os::unix::fs::symlink(entry.path(), folder.path(&name)).unwrap();
            }
        }
        Self(folder)
    }

    /// The same with an apt that notes what it is asked for and brings nothing.
    fn with_apt(self) -> Self {
        let notes = self.0.path("asked");
        let body = format!("echo \"$*\" >>'{}'", notes.display());
        self.0.program("apt-get", &body);
        self
    }

    /// What apt was asked for.
    fn asked(&self) -> String {
        std::fs::read_to_string(self.0.path("asked")).unwrap_or_default()
    }

    fn run(&self, code: i32, name: &str, arguments: &[&str]) -> String {
        let mut command = script(name, arguments);
        ends_with(code, command.env("PATH", &self.0.0))
    }
}

#[test]
fn a_machine_with_every_tool_runs_lab_and_demo_without_apt_and_without_cargo() {
    let machine = Machine::without(&["cc", "gcc", "cargo"]);
    let lab = Lab::named();
    for purpose in ["node", "lab", "bird", "frr", "demo", "races", "bench"] {
        assert_eq!(machine.run(0, "prerequisites", &[purpose]), "", "{purpose}");
    }
    let mine = ["--name", lab.0.as_str()];
    let up = ["up", "--nodes", "1", "--from", built()];
    machine.run(0, "lab", &[&mine[..], &up].concat());
    machine.run(0, "lab", &[&mine[..], &["down"]].concat());
    let shown = machine.run(0, "demo", &[&mine[..], &["--from", built()]].concat());
    assert!(shown.contains("All of it holds"), "{shown}");
    lab.assert_gone();
}

#[test]
fn missing_tools_are_named_in_one_line_with_debians_packages_where_there_is_no_apt() {
    let machine = Machine::without(&["jq", "ping", "strace"]);
    for (script, arguments) in [
        ("prerequisites", vec!["bench"]),
        ("lab", vec!["--name", "missing", "up"]),
        ("demo", vec!["--name", "missing", "--from", built()]),
    ] {
        let said = machine.run(1, script, &arguments);
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines.len(), 1, "{said}");
        for words in ["missing", "ping (iputils-ping), jq", "no apt-get here"] {
            assert!(said.contains(words), "{script}: {words}: {said}");
        }
        assert_eq!(said.contains("strace"), script == "prerequisites", "{said}");
    }
}

#[test]
fn a_program_of_the_same_name_is_not_the_tool_and_is_named() {
    let machine = Machine::without(&[]);
    machine.0.program("arping", HABETS);
    let busybox = "echo \"ping: invalid option -- 'V'\" >&2; echo 'BusyBox v1.36.1 multi-call binary.' >&2; exit 1";
    machine.0.program("ping", busybox);
    machine
        .0
        .program("cc", "echo 'ld: cannot find -lc' >&2; exit 1");
    let said = machine.run(1, "prerequisites", &["test"]);
    for words in [
        "cc (gcc libc6-dev), arping (iputils-arping), ping (iputils-ping). ",
        "The arping here is another: ARPing 2.25, by Thomas Habets",
        "The ping here is another: BusyBox v1.36.1",
        "/cc, which cannot link a program",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn apt_is_asked_for_what_is_missing_alone_and_removes_nothing() {
    let machine = Machine::without(&["jq", "strace"]).with_apt();
    let said = machine.run(1, "prerequisites", &["bench", "build"]);
    assert!(said.contains("Installing with apt: jq strace\n"), "{said}");
    let asked = machine.asked();
    let line = asked.lines().last().unwrap();
    assert!(
        line.contains("install --no-install-recommends --no-remove jq strace"),
        "{asked}"
    );
    // This one brings nothing.
    assert!(said.contains("still missing is jq, strace"), "{said}");
}

#[test]
fn without_cargo_it_is_named_before_anything_is_installed() {
    let machine = Machine::without(&["jq", "cargo", "rustc"]).with_apt();
    for line in [
        "demo --name nocargo",
        "bench",
        "races 1 --with none",
        "test",
    ] {
        let mut words = line.split(' ');
        let program = clone("scripts").join(words.next().unwrap());
        // Whose home has no toolchain.
        let mut command = Command::new(program);
        command.args(words).env("SUDO_USER", "nobody");
        let said = ends_with(1, command.env("PATH", &machine.0.0));
        for words in ["there is no cargo in ", "https://rustup.rs as nobody"] {
            assert!(said.contains(words), "{line}: {said}");
        }
        assert!(!said.contains("rustup component"), "{line}: {said}");
        assert_eq!(machine.asked(), "", "{line}: {said}");
    }
    let mut command = script("cargo", &["--version"]);
    let said = ends_with(1, command.env("SUDO_USER", "is-no-user"));
    assert!(said.contains("There is no user is-no-user"), "{said}");
}

#[test]
fn a_folder_of_programs_that_is_not_there_is_told_at_once() {
    for line in ["demo", "bench", "races 1 --with none"] {
        let line = format!("exec timeout 20 scripts/{line} --from /no/such/folder");
        let mut command = Command::new("sh");
        let said = ends_with(1, command.args(["-c", &line]).current_dir(clone("")));
        assert!(
            said.contains("there is no folder /no/such/folder"),
            "{said}"
        );
    }
}
