//! containerd on a node, and its containers by `ctr`, the program that comes with it.

use std::cell::Cell;
use std::fs::File;
use std::process::{Child, Output};

use serde_json::Value;

use super::house::House;
use super::{Container, LIST, LIVES};
use crate::support::lab::until;

/// Everything of its own is in the house's folders. Nothing may ask for what a test machine need not
/// have: a hugetlb cgroup, AppArmor, the right to lower an OOM score.
const CONFIG: &str = r#"
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "localhost/pause:1"
disable_apparmor = true
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
"#;

/// A daemon in a house; it ends with it.
pub struct Containerd<'a> {
    /// Where it lives.
    pub house: &'a House<'a>,
    /// `nsenter`, which waits for it.
    daemon: Child,
}

impl<'a> Containerd<'a> {
    /// Starts one and waits until it answers.
    pub fn new(house: &'a House<'a>) -> Self {
        let dir = house.node.dir();
        let config = dir.join("containerd.toml");
        std::fs::write(&config, CONFIG).unwrap();
        let log = File::create(dir.join("containerd.log")).unwrap();
        let mut command = house.command(&["containerd", "--config", config.to_str().unwrap()]);
        let daemon = command
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let new = Self { house, daemon };
        until("containerd answers", || {
            new.house.exec(&["ctr", "version"]).status.success()
        });
        new
    }

    /// Runs `ctr`, whatever comes of it.
    pub fn ctr(&self, argv: &[&str]) -> Output {
        let name = self.house.name();
        self.house
            .exec(&[&["ctr", "--namespace", &name][..], argv].concat())
    }

    /// `ctr run` in the foreground, not waited for.
    pub fn start(&self, id: &str, argv: &[&str]) -> Child {
        let name = self.house.name();
        let rootfs = self.house.rootfs();
        let run = [
            "ctr",
            "--namespace",
            &name,
            "run",
            "--rm",
            "--cni",
            "--rootfs",
            rootfs.to_str().unwrap(),
            id,
        ];
        let mut command = self.house.command(&[&run[..], argv].concat());
        let output = std::process::Stdio::piped;
        command.stdout(output()).stderr(output()).spawn().unwrap()
    }

    /// A container that runs.
    pub fn run(&self, id: &str) -> CtrContainer<'_> {
        let run = self.start(id, &LIVES);
        let container = CtrContainer {
            containerd: self,
            id: id.to_owned(),
            run,
            execs: Cell::new(0),
        };
        // A task that is only created can be executed in, but has no network yet.
        until("the container runs", || {
            let tasks = String::from_utf8(self.ctr(&["task", "list"]).stdout).unwrap();
            let mut lines = tasks
                .lines()
                .map(|line| line.split_whitespace().collect::<Vec<_>>());
            lines.any(|words| words.first() == Some(&id) && words.last() == Some(&"RUNNING"))
        });
        container
    }
}

impl Drop for Containerd<'_> {
    fn drop(&mut self) {
        // The house ends the daemon; this is what waits for it.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// One of `ctr run`, which waits for it and takes it away.
pub struct CtrContainer<'a> {
    containerd: &'a Containerd<'a>,
    id: String,
    run: Child,
    execs: Cell<u32>,
}

impl CtrContainer<'_> {
    /// Its id for plugins.
    pub fn container(&self) -> String {
        format!("{}-{}", self.containerd.house.name(), self.id)
    }

    /// Sends a signal to its first process, and waits until `ctr run` has taken it away.
    pub fn end(self, signal: &str) -> Output {
        let kill = self
            .containerd
            .ctr(&["task", "kill", "--signal", signal, &self.id]);
        assert!(kill.status.success(), "{kill:?}");
        self.run.wait_with_output().unwrap()
    }
}

impl Container for CtrContainer<'_> {
    fn exec(&self, argv: &[&str]) -> Output {
        let exec = format!("exec{}", self.execs.replace(self.execs.get() + 1));
        let task = ["task", "exec", "--exec-id", &exec, &self.id];
        self.containerd.ctr(&[&task[..], argv].concat())
    }

    fn result(&self) -> Value {
        let result = self
            .containerd
            .house
            .result(LIST, &self.container(), "eth0");
        result.expect("ctr keeps the result of ADD")
    }
}
