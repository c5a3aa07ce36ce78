//! The matrix: what counts as passed on another kernel and with another iproute2, and that nothing is left of it.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Folder, clone, end_of, ends_with, script, until};

const PARTS: [&str; 7] = [
    "kernel:plain",
    "kernel:no-ipv6",
    "kernel:mtu-1280",
    "ip:bullseye",
    "ip:bookworm",
    "ip:trixie",
    "ip:sid",
];

/// Stands in for a program of tests: those in the file `needs` fail where there is no IPv6 and say so to
/// whom it may concern, those in `fails` fail, and as many pass as `passes` says.
const TESTS: &str = r#"clone=${0%/*}/..
[ ! -e "$clone/hangs" ] || { echo $$ >>"$clone/hung"; exec sleep 600; }
[ ! -e "$clone/dies" ] || exit 101
failed=$(cat "$clone/fails")
if [ -n "$VXLAN_LAB_MTU$BOOT" ]; then
    cat "$clone/needs" >>"$VXLAN_LAB_NEEDS_IPV6"
    failed="$failed $(cat "$clone/needs")"
fi
[ -z "${failed# }" ] || printf '\nfailures:\n'
for each in $failed; do echo "    $each"; done
echo "test result: so and so. $(cat "$clone/passes") passed; some failed""#;

/// A clone whose tests, kernel and archive are stand-ins.
struct Clone(Folder);

impl Clone {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = Folder::new(&format!("matrix {number}"));
        for inner in ["scripts", "built", "tests/golden", "ip"] {
            std::fs::create_dir_all(folder.path(inner)).unwrap();
        }
        std::fs::copy(clone("scripts/matrix"), folder.path("scripts/matrix")).unwrap();
        folder.program("scripts/prerequisites", "true");
        folder.program("tests/golden/capture", "true");
        let built = folder.path("built");
        let line = |test: bool, name: &str| {
            let program = built.join(name);
            format!(
                r#"echo '{{"executable":"{}","profile":{{"test":{test}}},"target":{{"name":"{name}"}}}}'"#,
                program.display()
            )
        };
        let names = ["netns", "operator", "storms", "golden"];
        let ours = ["vxlan", "route-table"];
        let lines = [
            names.map(|name| line(true, name)).join("\n"),
            ours.map(|name| line(false, name)).join("\n"),
        ];
        folder.program("scripts/cargo", &lines.join("\n"));
        for name in names {
            folder.program(&format!("built/{name}"), TESTS);
        }
        for name in ours {
            folder.program(&format!("built/{name}"), "true");
        }
        folder.program(
            "scripts/uml",
            "while case $1 in --boot) export BOOT=$2 ;; --*) ;; *) false ;; esac; do shift 2; done\nexec unshare --mount \"$@\"",
        );
        folder.program(
            "scripts/other-ip",
            "first=$(dirname \"$0\")/../ip/$1\nmkdir -p \"$first\"\n\
             echo \"echo ip utility, iproute2-$1, libbpf\" >\"$first/ip\"\nchmod 755 \"$first/ip\"\necho \"$first\"",
        );
        let made = Self(folder);
        for file in ["needs", "fails"] {
            made.write(file, "");
        }
        made.write("passes", "1000");
        made
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.0.path(file), text).unwrap();
    }

    fn matrix(&self, code: i32, parts: &[&str]) -> String {
        let mut command = Command::new(self.0.path("scripts/matrix"));
        ends_with(code, command.args(parts).stdin(Stdio::null()))
    }
}

#[test]
fn every_part_says_what_it_ran_on_and_how_many_tests_passed() {
    let said = Clone::new().matrix(0, &[]);
    for part in PARTS {
        let line = said
            .lines()
            .find(|line| line.starts_with(&format!("passed {part} ")));
        let line = line.unwrap_or_else(|| panic!("{part}: {said}"));
        let version = part.strip_prefix("ip:").unwrap_or_default();
        assert!(line.contains(&format!("iproute2 {version}")), "{line}");
        assert!(line.contains("netns: 1000 tests"), "{line}");
    }
    assert!(said.contains("The matrix: 7 parts"), "{said}");
}

#[test]
fn where_there_is_no_ipv6_the_tests_that_need_it_fail_and_no_others() {
    let clone = Clone::new();
    clone.write("needs", "join::both_families\nadd::six\n");
    let said = clone.matrix(0, &[]);
    assert!(
        said.contains("1000 tests, 2 others need what this kernel has not"),
        "{said}"
    );
    clone.write("fails", "add::four\n");
    for part in PARTS {
        let said = clone.matrix(1, &[part]);
        assert!(said.contains(&format!("FAILED {part}")), "{said}");
        assert!(said.contains("FAILED netns: add::four\n"), "{said}");
        assert!(!said.contains("The matrix:"), "{said}");
    }
    // One that says that it needs IPv6 where there is some.
    clone.write("fails", "add::six\n");
    let said = clone.matrix(1, &["kernel:plain"]);
    assert!(said.contains("FAILED netns: add::six\n"), "{said}");
}

#[test]
fn tests_that_did_not_run_are_no_success() {
    let clone = Clone::new();
    clone.write("passes", "3");
    let said = clone.matrix(1, &["kernel:no-ipv6", "ip:sid"]);
    assert!(
        said.contains("FAILED netns: 3 tests passed, and at least"),
        "{said}"
    );
    assert!(
        said.contains("failed: ") && said.contains("ip:sid"),
        "{said}"
    );
    clone.write("dies", "");
    let said = clone.matrix(1, &["kernel:plain"]);
    assert!(said.contains("netns: it did not come to its end"), "{said}");
}

#[test]
fn a_version_that_cannot_be_had_or_is_no_other_is_a_failure() {
    let clone = Clone::new();
    clone.0.program("tests/golden/capture", "exit 1");
    let said = clone.matrix(1, &["ip:sid"]);
    assert!(said.contains("could not be captured"), "{said}");
    let same = "first=$(dirname \"$0\")/../ip\necho 'echo ip utility, iproute2-6.1.0' >\"$first/ip\"\n\
                chmod 755 \"$first/ip\"\necho \"$first\"";
    clone.0.program("scripts/other-ip", same);
    let said = clone.matrix(1, &["ip"]);
    assert!(said.contains("two suites have the same iproute2"), "{said}");
    clone
        .0
        .program("scripts/other-ip", "echo 'cannot be had' >&2; exit 1");
    assert!(clone.matrix(1, &["ip"]).contains("cannot be had"));
    // The real one, of an archive that is none.
    let said = ends_with(
        1,
        &mut script("other-ip", &["--mirror", "file:///nowhere", "nosuch"]),
    );
    assert!(
        said.contains("iproute2 and nftables of nosuch cannot be had"),
        "{said}"
    );
}

#[test]
fn a_part_that_is_not_there_is_told_with_where_to_look() {
    for part in ["kernel:7", "ip:jammy", "plain"] {
        let said = ends_with(1, &mut script("matrix", &[part]));
        let wanted = format!("there is no part {part}: see scripts/matrix --help");
        assert!(said.contains(&wanted), "{said}");
    }
    let said = ends_with(1, &mut script("other-ip", &["../trixie"]));
    assert!(said.contains("seen `../trixie`"), "{said}");
}

#[test]
fn an_interrupted_matrix_leaves_no_process() {
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let clone = Clone::new();
        clone.write("hangs", "");
        let mut matrix = Command::new("env")
            .arg("--default-signal=INT,TERM,HUP")
            .arg(clone.0.path("scripts/matrix"))
            .args(["kernel:plain", "ip:sid"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let hung = || std::fs::read_to_string(clone.0.path("hung")).unwrap_or_default();
        until("both parts hang", || hung().lines().count() == 2);
        ends_with(
            0,
            Command::new("kill").args(["-s", signal, &matrix.id().to_string()]),
        );
        assert_eq!(end_of("the matrix's end", &mut matrix), Some(code));
        // One of them is a number of its own namespace.
        let folder = clone.0.path("built");
        until("what it started ends", || {
            !runs_in(folder.to_str().unwrap())
        });
    }
}

/// Whether any process has a path in its environment or command line.
fn runs_in(path: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut read =
        processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    read.any(|line| String::from_utf8_lossy(&line).contains(path))
}

#[test]
fn the_second_kernel_hands_on_what_its_command_says_and_ends_with() {
    let told = "uname -r; echo $WORD >&2; touch /etc/uml 2>/dev/null || echo kept; exit 7";
    let said = ends_with(
        7,
        script("uml", &["sh", "-c", told]).env("WORD", "a 'word'"),
    );
    assert!(
        said.contains("6.") && said.contains("a 'word'") && said.contains("kept"),
        "{said}"
    );
    let said = ends_with(
        125,
        &mut script("uml", &["--boot", "init=/nowhere", "true"]),
    );
    assert!(
        said.contains("came to an end before the command did"),
        "{said}"
    );
    let said = ends_with(125, &mut script("uml", &["--limit", "3", "sleep", "600"]));
    assert!(said.contains("still at work"), "{said}");
}
