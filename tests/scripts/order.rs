//! `scripts/test` itself, on a clone of stand-ins: what comes first, and that nothing that fails is passed over.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Folder, clone, end_of, ends_with, until};

/// Notes how it was called, and fails or hangs where `fails` or `hangs` has that line.
const STAND_IN: &str = r#"line="${0##*/} $*"
clone=${0%/*}/..
echo "$line" >>"$clone/called"
if grep -qxF -- "$line" "$clone/hangs"; then
    echo $$ >"$clone/hung"
    exec sleep 600
fi
! grep -qxF -- "$line" "$clone/fails""#;

/// A clone whose scripts and tools are stand-ins.
struct Clone(Folder);

impl Clone {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        // As a folder of somebody's documents is named.
        let folder = Folder::new(&format!("order {number}"));
        for inner in ["scripts", ".ci", "tests/leaks", "deploy"] {
            std::fs::create_dir_all(folder.path(inner)).unwrap();
        }
        std::fs::copy(clone("scripts/test"), folder.path("scripts/test")).unwrap();
        for file in ["tests/leaks/stand-in.sh", "called", "fails", "hangs"] {
            std::fs::write(folder.path(file), "").unwrap();
        }
        // Whatever scripts there are, by now or later.
        let scripts = std::fs::read_dir(clone("scripts")).unwrap();
        let scripts = scripts.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let tools = ["shellcheck", "vagrant"].map(str::to_owned);
        for name in scripts.filter(|name| name != "test").chain(tools) {
            folder.program(&format!("scripts/{name}"), STAND_IN);
        }
        Self(folder)
    }

    fn test(&self) -> Command {
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", self.0.path("scripts").display());
        let mut command = Command::new("env");
        command.arg("--default-signal=INT,TERM,HUP");
        command.arg(self.0.path("scripts/test")).env("PATH", path);
        command.current_dir("/").stdin(Stdio::null());
        command
    }

    /// Lets a call fail.
    fn failing(self, line: &str) -> Self {
        std::fs::write(self.0.path("fails"), line).unwrap();
        self
    }

    /// Lets a call never end.
    fn hanging(self, line: &str) -> Self {
        std::fs::write(self.0.path("hangs"), line).unwrap();
        self
    }

    /// What was called, in that order.
    fn called(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.0.path("called")).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// The process that hangs, once it does.
    fn hung(&self) -> Option<u32> {
        let text = std::fs::read_to_string(self.0.path("hung")).ok()?;
        text.trim().parse().ok()
    }
}

fn lives(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sleep\n")
}

const LINTS: &str = "cargo clippy --locked --all-targets -- -D warnings";
const DEBUG: &str = "cargo test --locked --no-run";
const RELEASE: &str = "cargo build --release --locked";

#[test]
fn what_is_quick_and_often_wrong_comes_first_and_what_is_slow_and_seldom_wrong_last() {
    let clone = Clone::new();
    let said = ends_with(0, &mut clone.test());
    assert!(said.contains("All tests pass"), "{said}");
    let called = clone.called();
    let place = |line: &str| {
        let found = called.iter().position(|call| call.starts_with(line));
        found.unwrap_or_else(|| panic!("{line}: {called:#?}"))
    };
    let order = [
        "cargo --version",
        "cargo fmt --check",
        "prerequisites test",
        "shellcheck",
        DEBUG,
        "cargo --root test --locked",
        "demo",
        "races 100 --with none",
        "races 100 --with bird",
        "races 100 --with frr",
        LINTS,
        "cargo doc",
    ];
    let places: Vec<usize> = order.iter().map(|line| place(line)).collect();
    assert!(places.is_sorted(), "{called:#?}");
    assert!(place("vagrant validate") < place(DEBUG), "{called:#?}");
    assert!(place(RELEASE) < place("cargo --root test"), "{called:#?}");
    assert!(place("cargo clippy --locked --manifest-path fuzz") > place("races 100 --with frr"));
    // What ran beside the others is shown with a title of its own too.
    for title in ["The scripts are sound", "The fuzz targets compile"] {
        assert_eq!(said.matches(&format!("== {title}\n")).count(), 1, "{said}");
    }
}

#[test]
fn whatever_fails_is_named_and_ends_it() {
    let whole = Clone::new();
    ends_with(0, &mut whole.test());
    let all = whole.called();
    assert!(all.len() > 15, "{all:#?}");
    for line in all {
        // The name of the lab has a number in it that is another each time.
        if line.starts_with("demo ") {
            continue;
        }
        let clone = Clone::new().failing(&line);
        let said = ends_with(1, &mut clone.test());
        assert_eq!(said.matches("\nFAILED  ").count(), 1, "{line}: {said}");
        assert!(!said.contains("All tests pass"), "{line}: {said}");
    }
}

#[test]
fn what_runs_beside_a_step_ends_with_it_when_that_fails_or_all_is_interrupted() {
    let clone = Clone::new().failing(DEBUG).hanging(RELEASE);
    ends_with(1, &mut clone.test());
    // Perhaps it had not come so far.
    if let Some(pid) = clone.hung() {
        until("what ran beside it ends", || !lives(pid));
    }
    // Beside a step, and the step itself.
    for line in [RELEASE, DEBUG] {
        let clone = Clone::new().hanging(line);
        let mut test = clone.test().stdout(Stdio::null()).spawn().unwrap();
        until("a build hangs", || clone.hung().is_some());
        let pid = clone.hung().unwrap();
        ends_with(0, Command::new("kill").arg(test.id().to_string()));
        assert_eq!(end_of("the end of it all", &mut test), Some(143));
        until("what it started ends", || !lives(pid));
    }
}
