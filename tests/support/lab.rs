//! A cluster of network namespaces, made by the test that needs it and gone with it.
//!
//! One namespace is the underlay's switch (a bridge), each node is one with `eth0` on it, each pod is
//! one more. A node has folders of its own for records, locks, journal and IPAM, so nodes share nothing
//! but the underlay. Names hold the test process's number: labs of several tests and of several test
//! programs stand side by side.
//!
//! ```ignore
//! let lab = Lab::new(2);
//! let (one, two) = (lab.node(0), lab.node(1));
//! let (web, db) = (one.pod("web"), two.pod("db"));
//! let blue = Net::new("blue", 100);
//! one.ask(&one.config(&[&blue]), &web).add();
//! let result = two.ask(&two.config(&[&blue]), &db).add();
//! web.ping(&address(&result, 0));
//! ```

pub mod ask;
pub mod config;
pub mod ipv6;
mod needs;
pub mod nft;
pub mod node;
pub mod ns;
pub mod pod;
pub mod raw;
pub mod snapshot;
pub mod state;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub use ask::{Ask, CNI_PLUGINS, address, mac};
pub use config::{Config, Net};
pub use node::{Node, left_by_the_underlay};
pub use ns::Ns;
pub use pod::Pod;
pub use snapshot::Snapshot;

/// What every namespace and folder of a lab starts with; the number of the process follows.
pub const PREFIX: &str = "vxt";

/// How long a condition is waited for. Far above what any takes: a machine may be busy.
const LIMIT: Duration = Duration::from_secs(30);

/// A switch and the nodes on it.
pub struct Lab {
    prefix: String,
    dir: PathBuf,
    nodes: Vec<Node>,
}

impl Lab {
    /// Makes a cluster. Node `i` is 198.18.0.`i+1`/24 and fd00:198:18::`i+1`/64 on its `eth0`, without the latter
    /// where the kernel has no IPv6.
    pub fn new(nodes: usize) -> Self {
        static SWEEP: Once = Once::new();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        require_root();
        SWEEP.call_once(sweep);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("{PREFIX}{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(&prefix);
        std::fs::create_dir_all(&dir).unwrap();
        // Before anything is made: whatever fails from here on, what was made is removed.
        let mut lab = Self {
            prefix,
            dir,
            nodes: Vec::new(),
        };
        lab.make(nodes);
        lab
    }

    /// A node.
    pub fn node(&self, index: usize) -> &Node {
        &self.nodes[index]
    }

    /// All nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A folder of this lab's own, gone with it.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes a shell script as a program into a folder of this lab's and tells the folder: a stand-in
    /// for `ip` and its like (`Ask::path_first`) or for a plugin (`Ask::plugins_first`).
    pub fn script(&self, folder: &str, name: &str, body: &str) -> PathBuf {
        let dir = self.dir.join(folder);
        std::fs::create_dir_all(&dir).unwrap();
        super::program::put(format!("#!/bin/sh\n{body}\n").as_bytes(), &dir.join(name));
        dir
    }

    /// A folder with a plugin that does nothing at ADD until it is told to go on, then runs a shell's lines.
    pub fn waiting_script(&self, folder: &str, name: &str, body: &str) -> PathBuf {
        self.script_waiting_at("ADD", folder, name, body)
    }

    /// The same, waiting at another verb: `asked` is made in the folder then, and `pipe` is read for the word.
    pub fn script_waiting_at(&self, verb: &str, folder: &str, name: &str, body: &str) -> PathBuf {
        let dir = self.dir.join(folder);
        std::fs::create_dir_all(&dir).unwrap();
        let pipe = dir.join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let wait = format!(
            "test $CNI_COMMAND != {verb} || {{ : >{}/asked; read -r word <{}; }}",
            dir.display(),
            pipe.display()
        );
        self.script(folder, name, &format!("{wait}\n{body}"))
    }

    /// One more node without anything: for what is compared with a node that was never touched.
    pub fn join(&mut self) -> &Node {
        self.plug(self.nodes.len()..self.nodes.len() + 1);
        &self.nodes[self.nodes.len() - 1]
    }

    fn make(&mut self, nodes: usize) {
        let switch = self.switch();
        ns::batch(&[format!("netns add {switch}")]);
        let bridge = "link add sw type bridge mcast_snooping 0 forward_delay 0";
        Ns::named(&switch).batch(&[bridge, "link set sw up"]);
        self.plug(0..nodes);
    }

    /// The name of the namespace that is the switch.
    pub fn switch(&self) -> String {
        format!("{}-sw", self.prefix)
    }

    /// Makes nodes and plugs them into the switch: two processes, and two for each node.
    fn plug(&mut self, range: std::ops::Range<usize>) {
        let switch = self.switch();
        let name = |index: usize| format!("{}-n{}", self.prefix, index + 1);
        let made = range.clone().flat_map(|index| {
            let node = name(index);
            let mtu = node::mtu().map_or_else(String::new, |mtu| format!(" mtu {mtu}"));
            [
                format!("netns add {node}"),
                format!(
                    "link add name p{index}{mtu} netns {switch} type veth peer name eth0{mtu} netns {node}"
                ),
            ]
        });
        ns::batch(&made.collect::<Vec<_>>());
        let plugged = range
            .clone()
            .map(|index| format!("link set p{index} master sw up"));
        Ns::named(&switch).batch(&plugged.collect::<Vec<_>>());
        for index in range.clone() {
            let node = Node::new(
                index,
                &name(index),
                &self.dir.join(format!("n{}", index + 1)),
            );
            self.nodes.push(node);
        }
        self.nodes[range].iter().for_each(Node::settle);
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        remove(&self.prefix);
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Waits for a condition.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LIMIT, "waited {LIMIT:?} for: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until something looks as wanted, and tells the last look where it never does.
pub fn until_same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    wanted: &T,
    mut look: impl FnMut() -> T,
) {
    let mut seen = look();
    let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        until(what, || {
            seen = look();
            seen == *wanted
        });
    }));
    assert!(waited.is_ok(), "{what}: wanted {wanted:?}, seen {seen:?}");
}

/// Waits until a process has a file open.
pub fn until_open(process: &std::process::Child, file: &Path) {
    let fds = format!("/proc/{}/fd", process.id());
    until("a file is opened", || {
        let entries = std::fs::read_dir(&fds).into_iter().flatten().flatten();
        let mut open = entries.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        open.any(|opened| opened == file)
    });
}

/// The real kernel is not asked by halves: without the rights every test of it fails, none is skipped.
fn require_root() {
    let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    assert!(root, "the tests on the real kernel need root: sudo");
}

/// Removes what runs that were killed left behind.
fn sweep() {
    let Ok(entries) = std::fs::read_dir("/run/netns") else {
        return;
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    for name in names {
        let owner = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next())
            .filter(|digits| digits.parse::<u32>().is_ok());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            ns::try_batch(&[format!("netns del {name}")]);
        }
    }
}

/// Removes every namespace whose name starts with a prefix.
fn remove(prefix: &str) {
    let Ok(entries) = std::fs::read_dir("/run/netns") else {
        return;
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let ours = names.filter(|name| name.starts_with(&format!("{prefix}-")));
    let lines: Vec<String> = ours.map(|name| format!("netns del {name}")).collect();
    ns::try_batch(&lines);
}
