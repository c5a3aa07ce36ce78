//! What a node has of everything that could be left behind, as numbers.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::support::lab::Node;

/// Names and numbers.
pub type Ledger = BTreeMap<&'static str, u64>;

/// Everything of one node that can be counted exactly. Nothing of the machine is counted, on which others
/// are at work: what is counted belongs to this node's namespace or folder.
pub fn of(node: &Node) -> Ledger {
    let inode = std::fs::metadata(node.path()).unwrap().ino();
    let count = |words: &str| node.show(words).as_array().unwrap().len() as u64;
    // Links, addresses, routes and rules are compared as they are, by the snapshot; these are what those
    // leave in other corners of the kernel. Neighbours that it has looked up it forgets by itself.
    Ledger::from([
        ("devices", count("link show")),
        ("multicast groups on eth0", groups(node)),
        ("switches", entries(node, "/proc/sys/net/ipv4/conf")),
        (
            "neighbour tables",
            entries(node, "/proc/sys/net/ipv4/neigh"),
        ),
        ("sockets", sockets(node)),
        ("namespaces", names_of(node)),
        ("mounts of namespaces", mounts(node)),
        ("files", files(node.dir())),
        ("processes", processes(inode)),
        ("files held open", open_below(node.dir())),
    ])
}

fn groups(node: &Node) -> u64 {
    let shown = node.ip("maddr show dev eth0");
    shown.lines().count() as u64
}

fn entries(node: &Node, folder: &str) -> u64 {
    node.run(&["ls", folder]).lines().count() as u64
}

/// Sockets of the namespace, whoever has them: a reader of netlink that did not end has one.
fn sockets(node: &Node) -> u64 {
    let text = node.run(&["cat", "/proc/net/netlink"]);
    text.lines().count() as u64
}

/// What every name of this node's lab starts with.
fn prefix(node: &Node) -> String {
    let lab = node.dir().parent().unwrap().file_name().unwrap();
    format!("{}-", lab.to_str().unwrap())
}

fn names_of(node: &Node) -> u64 {
    let prefix = prefix(node);
    let names = std::fs::read_dir("/run/netns").unwrap().flatten();
    names
        .filter(|name| name.file_name().to_str().unwrap().starts_with(&prefix))
        .count() as u64
}

fn mounts(node: &Node) -> u64 {
    let prefix = format!("/{}", prefix(node));
    let text = std::fs::read_to_string("/proc/self/mounts").unwrap();
    text.lines().filter(|line| line.contains(&prefix)).count() as u64
}

/// Files and folders, the IPAM's own bookkeeping and the journals among them.
fn files(dir: &Path) -> u64 {
    let inside = |path: &Path| if path.is_dir() { files(path) } else { 0 };
    let entries = std::fs::read_dir(dir).unwrap();
    entries
        .map(|entry| 1 + inside(&entry.unwrap().path()))
        .sum()
}

/// The folders of all processes.
fn proc() -> impl Iterator<Item = std::path::PathBuf> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let is_process = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    entries
        .filter(move |entry| entry.file_name().to_str().is_some_and(is_process))
        .map(|entry| entry.path())
}

/// Processes in a namespace: a plugin or a command of one that has not ended.
fn processes(inode: u64) -> u64 {
    let there = |process: &std::path::PathBuf| {
        let netns = std::fs::metadata(process.join("ns/net"));
        netns.is_ok_and(|netns| netns.ino() == inode)
    };
    proc().filter(there).count() as u64
}

/// Files below a folder that any process holds open, removed ones too; who has a lock holds its file.
fn open_below(dir: &Path) -> u64 {
    let of = |process: std::path::PathBuf| std::fs::read_dir(process.join("fd"));
    let fds = proc()
        .filter_map(|process| of(process).ok())
        .flatten()
        .flatten();
    let links = fds.filter_map(|fd| std::fs::read_link(fd.path()).ok());
    links.filter(|link| link.starts_with(dir)).count() as u64
}

/// Kilobytes of the kernel's memory that cannot be reclaimed: slabs and what is kept for each CPU.
///
/// A program that starts anew each time has no memory to grow; what it can leave is in the kernel, and a
/// device, its switches, statistics and neighbour tables are of this memory.
pub fn kernel_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let kilobytes = |line: &str| {
        let (name, rest) = line.split_once(':')?;
        let counts = ["SUnreclaim", "Percpu", "KernelStack"].contains(&name);
        let number = rest.trim().strip_suffix(" kB")?;
        counts.then(|| number.parse::<u64>().unwrap())
    };
    text.lines().filter_map(kilobytes).sum()
}
