//! A node that a runtime lives in: the node's network, and a `/run`, a `/var/lib`, a `/dev/shm`, an
//! `/opt` and a list of processes of its own.
//!
//! Everything in it ends with the process that keeps it, also when the test is killed; what the kernel
//! keeps outside of namespaces, the cgroups, has the house's name.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Once;

use serde_json::Value;

use crate::support::lab::ask::CNI_PLUGINS;
use crate::support::lab::{Node, PREFIX};
use crate::support::plugin::Program;

/// Programs of busybox that containers use.
const PROGRAMS: [&str; 8] = ["sh", "ip", "ping", "cat", "sleep", "true", "echo", "nc"];

/// Keeps the house: tells its number outside, furnishes, and waits for the end of its stdin. It is the
/// first of its processes and collects those that nobody waits for.
const KEEPER: &str = r#"
set -eu
read -r pid _ </proc/self/stat
home=$1
for plugin in vxlan route-table; do
    touch "$home/bin/$plugin"
    mount --bind "$2/$plugin" "$home/bin/$plugin"
done
mount -t proc proc /proc
for dir in /run /var/lib /dev/shm /opt; do mount -t tmpfs tmpfs "$dir"; done
mkdir -p /run/netns /run/lock /opt/cni/bin
mount --rbind "$home/bin" /opt/cni/bin
mount --bind "$home/lists" /etc/cni/net.d
echo "$pid"
read -r _ || :
"#;

/// A furnished node.
pub struct House<'a> {
    /// The node.
    pub node: &'a Node,
    keeper: Child,
    /// The keeper's number outside.
    pid: u32,
}

impl<'a> House<'a> {
    /// Furnishes a node, with lists of plugins by the names of their files.
    pub fn new(node: &'a Node, lists: &[(&str, Value)]) -> Self {
        static SWEEP: Once = Once::new();
        SWEEP.call_once(sweep);
        let home = node.dir();
        for folder in ["bin", "lists"] {
            std::fs::create_dir_all(home.join(folder)).unwrap();
        }
        for plugin in ["loopback", "host-local"] {
            std::os::unix::fs::symlink(
                Path::new(CNI_PLUGINS).join(plugin),
                home.join("bin").join(plugin),
            )
            .unwrap();
        }
        for (name, list) in lists {
            std::fs::write(
                home.join(format!("lists/{name}.conflist")),
                list.to_string(),
            )
            .unwrap();
        }
        root_file_system(&home.join("rootfs"));
        let built = Path::new(Program::Vxlan.path()).parent().unwrap();
        let unshare = [
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--ipc",
        ];
        let bash = [
            "bash",
            "-c",
            KEEPER,
            "house",
            home.to_str().unwrap(),
            built.to_str().unwrap(),
        ];
        let mut command = node.command(&[&unshare[..], &bash].concat());
        let mut keeper = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = keeper.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let pid = line.trim().parse().expect("the house is furnished");
        Self { node, keeper, pid }
    }

    /// The name of its cgroups, and whatever else needs one that no other house has.
    pub fn name(&self) -> String {
        let name = self.node.path().rsplit('/').next().unwrap();
        name.to_owned()
    }

    /// A process in it, not started.
    pub fn command(&self, argv: &[&str]) -> Command {
        let mut command = Command::new("/usr/bin/nsenter");
        command
            .args([
                "--target",
                &self.pid.to_string(),
                "--mount",
                "--pid",
                "--net",
                "--ipc",
                "--",
            ])
            .args(argv)
            .env_clear()
            // A runtime is started by systemd with such a PATH.
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .stdin(Stdio::null());
        command
    }

    /// Runs a program in it, whatever comes of it.
    pub fn exec(&self, argv: &[&str]) -> Output {
        self.command(argv).output().unwrap()
    }

    /// Runs a program that must succeed and tells what it printed.
    pub fn run(&self, argv: &[&str]) -> String {
        let output = self.exec(argv);
        assert!(output.status.success(), "{argv:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A busybox root file system.
    pub fn rootfs(&self) -> PathBuf {
        self.node.dir().join("rootfs")
    }

    /// A file as it is seen in it.
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.pid))
    }

    /// The result of ADD that the runtime's library keeps; none before ADD and after DEL.
    pub fn result(&self, list: &str, container: &str, ifname: &str) -> Option<Value> {
        let file = self.path(&format!("/var/lib/cni/results/{list}-{container}-{ifname}"));
        let kept: Value = serde_json::from_slice(&std::fs::read(file).ok()?).unwrap();
        Some(kept["result"].clone())
    }

    /// Results and namespaces that the runtime has not taken away.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        let folders = ["/var/lib/cni/results", "/run/netns"].map(|dir| self.path(dir));
        let entries = folders
            .iter()
            .filter_map(|dir| std::fs::read_dir(dir).ok())
            .flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drop for House<'_> {
    fn drop(&mut self) {
        // With the first process go all; the kernel waits for them.
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
        for hierarchy in hierarchies() {
            remove_folders(&hierarchy.join(self.name()));
        }
    }
}

/// Where cgroups are: one place, or one a controller.
fn hierarchies() -> Vec<PathBuf> {
    let root = PathBuf::from("/sys/fs/cgroup");
    let entries = std::fs::read_dir(&root).into_iter().flatten().flatten();
    let controllers = entries.map(|entry| entry.path()).filter(|dir| dir.is_dir());
    std::iter::once(root.clone()).chain(controllers).collect()
}

/// Removes the cgroups of runs that were killed.
fn sweep() {
    let dead = |name: &str| {
        let owner = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next());
        let owner = owner.and_then(|digits| digits.parse::<u32>().ok());
        owner.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
    };
    for hierarchy in hierarchies() {
        for entry in std::fs::read_dir(hierarchy).into_iter().flatten().flatten() {
            if entry.file_name().to_str().is_some_and(dead) {
                remove_folders(&entry.path());
            }
        }
    }
}

/// Removes folders that have no files of their own, the innermost first.
fn remove_folders(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_folders(&entry.path());
        }
    }
    let _ = std::fs::remove_dir(dir);
}

/// Busybox and the folders that a runtime mounts over.
fn root_file_system(root: &Path) {
    for folder in ["bin", "proc", "sys", "dev", "etc", "tmp", "run"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    std::fs::copy("/usr/bin/busybox", root.join("bin/busybox")).unwrap();
    for program in PROGRAMS {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(program)).unwrap();
    }
}
