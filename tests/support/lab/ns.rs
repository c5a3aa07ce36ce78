//! A network namespace, and what is done in one by hand.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::{ipv6, until};

/// A network namespace by its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ns {
    path: PathBuf,
}

impl Ns {
    /// One of `ip netns`.
    pub fn named(name: &str) -> Self {
        Self {
            path: Path::new("/run/netns").join(name),
        }
    }

    /// Any, by its file.
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// Its file, as `CNI_NETNS` names it.
    pub fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// The words that start a program in it.
    pub fn enter(&self) -> [String; 2] {
        [
            "/usr/bin/nsenter".to_owned(),
            format!("--net={}", self.path()),
        ]
    }

    /// A process in it, not started.
    pub fn command(&self, argv: &[&str]) -> Command {
        let [nsenter, net] = self.enter();
        let mut command = Command::new(nsenter);
        command.arg(net).args(argv).stdin(Stdio::null());
        command
    }

    /// Runs a program in it, whatever comes of it.
    pub fn exec(&self, argv: &[&str]) -> Output {
        self.command(argv).output().unwrap()
    }

    /// Runs a program that must succeed and tells what it printed.
    pub fn run(&self, argv: &[&str]) -> String {
        succeeded(&argv.join(" "), self.exec(argv))
    }

    /// Runs a line of a POSIX shell that must succeed and tells what it printed.
    pub fn sh(&self, line: &str) -> String {
        self.run(&["sh", "-ec", line])
    }

    /// `ip`, with words split at spaces.
    pub fn ip(&self, words: &str) -> String {
        let argv: Vec<&str> = std::iter::once("ip").chain(words.split(' ')).collect();
        self.run(&argv)
    }

    /// `ip -j -d`, with words split at spaces.
    pub fn show(&self, words: &str) -> Value {
        let text = self.ip(&format!("-j -d {words}"));
        if text.trim().is_empty() {
            return Value::Array(Vec::new());
        }
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{words}: {error}: {text}"))
    }

    /// One device with its addresses; `Null` where it is not there.
    pub fn device(&self, name: &str) -> Value {
        let output = self.exec(&["ip", "-j", "-d", "addr", "show", "dev", name]);
        let seen: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        seen[0].clone()
    }

    /// Several `ip` commands in one process; all must succeed.
    pub fn batch<S: AsRef<str>>(&self, lines: &[S]) {
        let [nsenter, net] = self.enter();
        let mut command = Command::new(nsenter);
        command.args([&net, "ip", "-batch", "-"]);
        succeeded("ip -batch", feed(command, lines));
    }

    /// The answers of several `ip -j -d` questions in one process, with more options as `-6`.
    pub fn questions(&self, options: &[&str], lines: &[&str]) -> Vec<Value> {
        let [nsenter, net] = self.enter();
        let mut command = Command::new(nsenter);
        command.args([&net, "ip", "-j", "-d"]);
        command.args(options).args(["-batch", "-"]);
        let text = succeeded(&lines.join("; "), feed(command, lines));
        let documents = serde_json::Deserializer::from_str(&text).into_iter();
        let answers: Vec<Value> = documents.collect::<Result<_, _>>().unwrap();
        assert_eq!(answers.len(), lines.len(), "{lines:?}: {text}");
        answers
    }

    /// A switch of the kernel, by its name with slashes below `/proc/sys`.
    pub fn sysctl(&self, key: &str) -> String {
        self.run(&["cat", &format!("/proc/sys/{key}")])
            .trim()
            .to_owned()
    }

    /// Sets switches, each `KEY=VALUE`; those of IPv6 where the kernel knows it.
    pub fn set(&self, settings: &[&str]) {
        let known = |setting: &&&str| !setting.starts_with("net.ipv6.") || ipv6::kernel_has_it();
        let known: Vec<&str> = settings.iter().filter(known).copied().collect();
        if !known.is_empty() {
            self.run(&[&["sysctl", "-qw"], &known[..]].concat());
        }
    }

    /// Whether one echo comes back within a second.
    pub fn reaches(&self, address: &str) -> bool {
        let argv = ["ping", "-n", "-q", "-c", "1", "-W", "1", address];
        self.exec(&argv).status.success()
    }

    /// An echo must come back; the first may be lost to a neighbour look-up on its way.
    pub fn ping(&self, address: &str) {
        until(&format!("{} reaches {address}", self.path()), || {
            self.reaches(address)
        });
    }

    /// An echo of a size that must not be split on its way.
    pub fn ping_whole(&self, address: &str, payload: u32) -> bool {
        let size = payload.to_string();
        let argv = [
            "ping", "-n", "-q", "-M", "do", "-s", &size, "-c", "1", "-W", "1", address,
        ];
        self.exec(&argv).status.success()
    }
}

/// Several `ip` commands in one process of the test's own namespace; all must succeed.
pub fn batch<S: AsRef<str>>(lines: &[S]) {
    let mut command = Command::new("ip");
    command.args(["-batch", "-"]);
    succeeded("ip -batch", feed(command, lines));
}

/// The same, every line tried and no failure told: for cleaning up.
pub fn try_batch<S: AsRef<str>>(lines: &[S]) {
    if lines.is_empty() {
        return;
    }
    let mut command = Command::new("ip");
    command.args(["-force", "-batch", "-"]);
    let _ = feed(command, lines);
}

/// Runs a process that reads lines from stdin.
fn feed<S: AsRef<str>>(mut command: Command, lines: &[S]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The lines are few: they fit into the pipe.
    let mut stdin = child.stdin.take().unwrap();
    let text: String = lines
        .iter()
        .map(|line| format!("{}\n", line.as_ref()))
        .collect();
    let _ = stdin.write_all(text.as_bytes());
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// What a process printed that must have succeeded.
fn succeeded(what: &str, output: Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{what}: {}: {stderr}",
        output.status
    );
    String::from_utf8(output.stdout).unwrap()
}
