//! Everything there is on a node, to be compared with what there was.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::node::Node;
use super::ns::Ns;
use super::state::is_beacon;
use super::{ipv6, nft};

/// Files of host-local's own bookkeeping, which outlive every lease.
const BOOKKEEPING: [&str; 2] = ["last_reserved_ip", "lock"];

/// What there is, one line each: devices, addresses, routes of all tables, rules, permanent
/// neighbours, forwarding entries, records, locks, leases. Each with how often it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<String, usize>);

impl Snapshot {
    /// Of a node: its namespace and its folders.
    pub(super) fn of(node: &Node) -> Self {
        let mut lines = kernel(node);
        files(&node.data(), &mut lines);
        files(&node.run_dir(), &mut lines);
        files(&node.ipam(), &mut lines);
        Self::from_lines(lines)
    }

    /// Of a namespace alone.
    pub fn of_namespace(ns: &Ns) -> Self {
        Self::from_lines(kernel(ns))
    }

    fn from_lines(lines: Vec<String>) -> Self {
        let mut counted = BTreeMap::new();
        for line in lines {
            *counted.entry(line).or_default() += 1;
        }
        Self(counted)
    }

    /// The lines that contain a text.
    pub fn with(&self, text: &str) -> Vec<&str> {
        let lines = self.0.keys().map(String::as_str);
        lines.filter(|line| line.contains(text)).collect()
    }

    /// How this one differs from an earlier one: `-` was and is no more, `+` is and was not.
    pub fn changes_since(&self, before: &Self) -> Vec<String> {
        let only = |sign: &str, these: &Self, those: &Self| {
            let other = |line: &String| those.0.get(line).copied().unwrap_or(0);
            let more = these.0.iter().filter(|(line, count)| **count > other(line));
            more.map(|(line, _)| format!("{sign} {line}"))
                .collect::<Vec<_>>()
        };
        [only("-", before, self), only("+", self, before)].concat()
    }

    /// Must be as before.
    pub fn assert_same(&self, before: &Self) {
        let changes = self.changes_since(before);
        assert!(
            changes.is_empty(),
            "the node is not as before:\n{}",
            changes.join("\n")
        );
    }
}

/// What the kernel tells of a namespace.
fn kernel(ns: &Ns) -> Vec<String> {
    [links(ns), filters(ns)].concat()
}

/// The tables of the packet filter; those of iptables (`ip`, `ip6`), which once made stays, belong to others.
fn filters(ns: &Ns) -> Vec<String> {
    if !nft::kernel_has_it() {
        return Vec::new();
    }
    let tables = ns.run(&["nft", "list", "tables"]);
    let others = |line: &&str| line.starts_with("table inet ") || line.starts_with("table netdev ");
    let mut lines = Vec::new();
    for table in tables.lines().filter(others) {
        let shown = ns.run(&["nft", &format!("list {table}")]);
        lines.extend(shown.lines().map(|line| format!("nft {line}")));
    }
    lines
}

/// What `ip` and `bridge` tell. Addresses come first: once `ip` has shown a link, it shows no address in the
/// same process any more (iproute2 6.1).
fn links(ns: &Ns) -> Vec<String> {
    let four = [
        "addr show",
        "route show table all",
        "rule show",
        "neigh show nud permanent",
        "link show",
    ];
    let six = ["route show table all", "rule show"];
    let mut lines = Vec::new();
    let families = if ipv6::kernel_has_it() { 2 } else { 1 };
    for (options, questions) in [(&[][..], &four[..]), (&["-6"], &six)]
        .into_iter()
        .take(families)
    {
        let answers = ns.questions(options, questions);
        for (question, answer) in questions.iter().zip(answers) {
            let topic = question.split(' ').next().unwrap();
            let items = answer.as_array().cloned().unwrap_or_default();
            lines.extend(items.into_iter().filter_map(|item| told(topic, item)));
        }
    }
    lines.extend(forwarding_entries(ns));
    lines
}

/// The forwarding entries that nobody learnt; without those by which a router listens (RFC 4291, 2.8):
/// IPv6 forwarding stays switched on.
fn forwarding_entries(ns: &Ns) -> Vec<String> {
    let text = ns.run(&["bridge", "-j", "fdb", "show"]);
    let entries: Vec<Value> = serde_json::from_str(&text).unwrap();
    let router = |entry: &Value| {
        let groups = ["33:33:00:00:00:02", "33:33:ff:00:00:00"];
        entry["ifname"] == "eth0" && groups.iter().any(|group| entry["mac"] == *group)
    };
    let stays = |entry: &&Value| entry["state"] == "permanent" && !router(entry);
    let entries = entries.iter().filter(stays);
    entries.map(|entry| format!("fdb {entry}")).collect()
}

/// A line for one thing; none for what comes and goes by itself.
fn told(topic: &str, mut item: Value) -> Option<String> {
    let object = item.as_object_mut().filter(|object| !object.is_empty())?;
    // The carrier is noticed some time after it is there.
    object.remove("operstate");
    if let Some(kind) = object
        .get_mut("linkinfo")
        .and_then(|info| info["info_data"].as_object_mut())
    {
        // A bridge's timers run.
        kind.retain(|key, _| !key.ends_with("_timer"));
    }
    if let Some(flags) = object.get_mut("flags").and_then(Value::as_array_mut) {
        flags.retain(|flag| flag != "LOWER_UP" && flag != "NO-CARRIER");
    }
    if let Some(addresses) = object.get_mut("addr_info").and_then(Value::as_array_mut) {
        addresses.retain(|address| address["scope"] != "link" && !is_beacon(&address["local"]));
    }
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let by_itself = topic == "route"
        && (text("dst").starts_with("fe80:")
            || is_beacon(&json!(text("dst")))
            // A router's address of a subnet (RFC 4291, 2.6.1) comes with IPv6 forwarding.
            || (text("type") == "anycast" && text("dev") == "eth0"));
    (!by_itself).then(|| format!("{topic} {item}"))
}

/// The files below a folder with their content, and the folders.
fn files(dir: &Path, lines: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };
    for entry in entries.map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_str().unwrap();
        if path.is_dir() {
            // An empty folder of the IPAM's says nothing.
            if dir.file_name().is_none_or(|parent| parent != "ipam") {
                lines.push(format!("folder {}", path.display()));
            }
            files(&path, lines);
        } else if !BOOKKEEPING.iter().any(|known| name.starts_with(known)) {
            let content = std::fs::read_to_string(&path).unwrap_or_default();
            lines.push(format!("file {} {content:?}", path.display()));
        }
    }
}
