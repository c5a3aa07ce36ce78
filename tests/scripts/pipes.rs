//! Pipes of scripts with `pipefail`: a reader that ends before its input does kills the writer with SIGPIPE, and
//! what was found counts as not found, now and then.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::lab::Lab;
use crate::{Folder, built, clone, ends_with};

/// All scripts of the clone: files that start with the line of a shell.
fn scripts(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let each = paths.flat_map(|path| match path.is_dir() {
        true => scripts(&path),
        false => vec![path],
    });
    let is_script = |path: &PathBuf| {
        let text = std::fs::read(path).unwrap_or_default();
        let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        first.starts_with(b"#!") && first.ends_with(b"sh")
    };
    each.filter(is_script).collect()
}

/// The readers behind a pipe that may end before their input does.
fn early(script: &str) -> Vec<String> {
    let lines = script
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    // A pipe goes on behind the line's end.
    let text = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let text = text.replace("||", "\0");
    let behind = text.match_indices('|').map(|(at, _)| &text[at + 1..]);
    let readers = behind.map(|rest| rest.trim_start_matches(['&', ' ', '\n', '{', '(']));
    readers.filter_map(ends_early).collect()
}

/// The command, if it may end early.
fn ends_early(reader: &str) -> Option<String> {
    let end = reader.find(['|', '\0', ';', '\n']).unwrap_or(reader.len());
    let command = &reader[..end];
    let words: Vec<&str> = command.split_whitespace().collect();
    let short = |letters: &[char]| {
        let of = |word: &&&str| word.starts_with('-') && !word.starts_with("--");
        words.iter().filter(of).any(|word| word.contains(letters))
    };
    let long = |names: &[&str]| {
        let of = |word: &&str| names.iter().any(|name| word.starts_with(name));
        words.iter().any(of)
    };
    let is_early = match *words.first()? {
        "head" | "read" | "true" | ":" | "dd" | "cmp" => true,
        "grep" | "egrep" | "fgrep" => {
            let names = ["--quiet", "--silent", "--max-count", "--files-with"];
            short(&['q', 'm', 'l', 'L']) || long(&names)
        }
        "sed" => {
            let alone = |word: &str| word.eq_ignore_ascii_case("q");
            let line = reader.lines().next().unwrap_or_default();
            line.split(|sign: char| !sign.is_ascii_alphabetic())
                .any(alone)
        }
        // Behind END all has been read.
        "awk" => {
            let program = reader.split('\'').nth(1).unwrap_or(command);
            program.split("END").next()?.contains("exit")
        }
        "jq" => short(&['n']) || long(&["--null-input"]),
        _ => false,
    };
    is_early.then(|| command.trim().to_owned())
}

#[test]
fn a_reader_that_may_end_early_is_known_and_others_are_let_pass() {
    for line in [
        "ip route | grep -q x",
        "ip route |\n    grep -Fqx x || fail",
        "ip route \\\n    | grep --quiet x",
        "ip route | grep -m1 x",
        "ip route | tr a b | head -n 1",
        "last=$(ip route | head -1)",
        "ip route | sed q",
        "ip route | sed -n '/x/{p;q}'",
        "ip route | awk '/x/ { print; exit }'",
        "ip route | awk '\n    /x/ { exit 0 }\n    END { exit 1 }'",
        "ip route | read -r first",
        "ip route | { read -r first; echo; }",
        "ip -j route | jq -n 'first(inputs)'",
        "ip route 2>&1 |& grep -q x",
    ] {
        assert_eq!(early(line).len(), 1, "{line}");
    }
    for line in [
        "# ip route | grep -q x",
        "grep -q x <<<\"$routes\" || head file",
        "grep -q x file || ip route | grep -c x",
        "ip route | sed 's/^/quick /' | sort | tail -n 1",
        "ip route | awk '{ n++ } END { exit n > 0 }'",
        "ip -j route | jq -r '.[] | .dst'",
        "ip route | while read -r line; do echo; done",
        "ip route | grep -vx -e 1",
    ] {
        assert_eq!(early(line), [""; 0], "{line}");
    }
}

#[test]
fn no_script_with_pipefail_pipes_into_what_may_end_early() {
    let all = ["scripts", ".ci", "tests", "deploy"];
    let all = all.iter().flat_map(|folder| scripts(&clone(folder)));
    let mut looked = 0;
    for path in all {
        let text = std::fs::read_to_string(&path).unwrap();
        if text.contains("pipefail") {
            looked += 1;
            assert_eq!(early(&text), [""; 0], "{}", path.display());
        }
    }
    assert!(looked > 10, "{looked} scripts");
}

#[test]
fn the_demo_finds_a_claim_however_much_is_printed_behind_it() {
    let lab = Lab::named();
    let folder = Folder::new("talkative");
    let real = ends_with(0, Command::new("sh").args(["-c", "command -v ip"]));
    // More than a pipe holds, behind the claims: whoever reads only these kills the writer.
    let talkative = format!(
        "case $* in\n    *' ip route show proto 192') {real} \"$@\" && exec seq 100000 ;;\nesac\nexec {real} \"$@\"\n",
        real = real.trim()
    );
    folder.program("ip", &talkative);
    let path = std::env::var("PATH").unwrap();
    let mut demo = Command::new("env")
        .arg("--default-signal=INT")
        .arg(clone("scripts/demo"))
        .args(["--name", &lab.0, "--from", built()])
        .env("PATH", format!("{}:{path}", folder.0.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let told = |line: &String| line.starts_with("FAILED") || line.ends_with("the claims are there");
    let told = lines.by_ref().map(Result::unwrap).find(told);
    ends_with(
        0,
        Command::new("kill").args(["-s", "INT", &demo.id().to_string()]),
    );
    lines.for_each(drop);
    demo.wait().unwrap();
    assert_eq!(told.as_deref(), Some("ok  the claims are there"));
    lab.assert_gone();
}
