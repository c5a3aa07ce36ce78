//! A vxlan device that was moved into another namespace keeps its VNI where it was made, and is not seen there: Docker's
//! overlay networks are such ones. The namespaces of the machine are looked through only where the
//! kernel has just refused ours: one of another node that is a namespace too looks the same from here.

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::probe::{Answer, said, start};
use super::report::{Finding, Id};
use crate::config::Network;
use crate::exec::{ExecError, Running, System};
use crate::ip::command::shell_line;
use crate::ip::json::documents;
use crate::ip::link::LinkRecord;
use crate::ip::{IfName, Netns};
use crate::ops::status::clash;
use crate::plan::{Observed, Side, underlay};

/// How many namespaces are looked into at a time.
const SIDE_BY_SIDE: usize = 64;

/// How much of the journal's end is read, in bytes.
const TAIL: i64 = 1 << 16;

/// What the kernel says of a VNI that a device has (`vxlan_dev_configure`), and did before it said why.
const TAKEN: [&str; 2] = ["VNI already exists", "File exists"];

/// Looks for the device that keeps a network's from being made; `journal` of the node tells what came of the last try.
pub fn finding(
    system: &System,
    network: &Network,
    seen: &Observed,
    journal: &Path,
) -> Option<Finding> {
    let is_there = seen.link(Side::Host, &network.vx).is_some();
    if is_there || clash(network, seen).is_some() || !has_failed(network, journal) {
        return None;
    }
    let all: Vec<Netns> = namespaces().into_values().collect();
    let mut waves = all.chunks(SIDE_BY_SIDE);
    let (netns, dev) = waves.find_map(|wave| {
        let started: Vec<_> = wave.iter().map(|netns| look(system, netns)).collect();
        let answers = started.into_iter().map(|running| running?.wait());
        let mut found = wave.iter().zip(answers);
        found.find_map(|(netns, answer)| Some((netns, taken(network, seen, &answer)?)))
    })?;
    let vxlan = &network.options.vxlan;
    let what = format!(
        "network \"{}\": {dev} has VNI {} on port {} already: it was made here and moved into the namespace {}",
        network.name,
        vxlan.vni,
        vxlan.dstport,
        shown(netns)
    );
    let within = |command: &str| format!("{} {command} dev {dev}", shell_line(&netns.enter()));
    Some(
        Finding::failed(Id::Vni, what)
            .inspect(within("ip -d link show"))
            .fix(format!(
                "give the network another id or options.port, or, when it is in use no longer: {}",
                within("ip link del")
            )),
    )
}

/// Whether the network's last ADD or repair failed for it.
fn has_failed(network: &Network, journal: &Path) -> bool {
    let tail = || -> std::io::Result<String> {
        let mut file = std::fs::File::open(journal)?;
        let length = i64::try_from(file.metadata()?.len()).unwrap_or(i64::MAX);
        file.seek(SeekFrom::End(-length.min(TAIL)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = tail().unwrap_or_default();
    let heads = ["ADD", "REPAIR"].map(|verb| format!(" {verb} {} ", network.name));
    let ends = |line: &&str| {
        let is_its = line.starts_with("# ") && heads.iter().any(|head| line.contains(head));
        is_its && (line.contains(" failed ") || line.contains(" ok "))
    };
    let last = text.lines().rfind(ends);
    last.is_some_and(|line| TAKEN.iter().any(|words| line.contains(words)))
}

/// The namespaces of the machine but this one, by their inodes: those that are mounted somewhere, which are all without a
/// process, and those of processes.
fn namespaces() -> BTreeMap<u64, Netns> {
    let mut found = BTreeMap::new();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    // `36 35 0:4 net:[4026532201] /run/netns/blue rw shared:5 - nsfs nsfs rw` (proc_pid_mountinfo(5))
    for line in mounts.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let inode = words.get(3).and_then(|root| {
            let number = root.strip_prefix("net:[")?.strip_suffix(']')?;
            number.parse::<u64>().ok()
        });
        let netns = words.get(4).and_then(|path| Netns::from_path(path).ok());
        found.extend(inode.zip(netns));
    }
    let inode = |path: &str| std::fs::metadata(path).map(|meta| meta.ino()).ok();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes {
        let path = format!("{}/ns/net", process.path().display());
        if let Some(inode) = inode(&path)
            && let Ok(netns) = Netns::from_path(&path)
        {
            found.entry(inode).or_insert(netns);
        }
    }
    if let Some(own) = inode("/proc/self/ns/net") {
        found.remove(&own);
    }
    found
}

fn look(system: &System, netns: &Netns) -> Result<Box<dyn Running>, ExecError> {
    let mut argv = netns.enter();
    argv.extend(
        "ip -j -d link show type vxlan"
            .split(' ')
            .map(str::to_owned),
    );
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    start(system, &argv)
}

/// The device among those of a namespace that has a network's VNI where it was made, if that is where the network's
/// underlay is.
fn taken(network: &Network, seen: &Observed, answer: &Answer) -> Option<IfName> {
    let document = documents(said(answer)?.as_bytes())
        .ok()?
        .into_iter()
        .next()?;
    let devices: Vec<LinkRecord> = serde_json::from_value(document).ok()?;
    let wanted = &network.options.vxlan;
    let below = underlay::device(network, seen).map(|link| link.ifindex);
    let is_it = |link: &&LinkRecord| {
        let found = link.data();
        // One that was made where it is has none: it is another node's, as where nodes are containers.
        let was_moved = link.link_netnsid.is_some();
        let same = found.id.map(u64::from) == Some(wanted.vni.into())
            && found.port == Some(wanted.dstport);
        // `if2`, where no device of its namespace has the number.
        let number = found
            .link
            .as_deref()
            .and_then(|link| link.strip_prefix("if"));
        let number = number.and_then(|number| number.parse::<u32>().ok());
        was_moved && same && number.is_none_or(|number| below.is_none_or(|below| below == number))
    };
    let found = devices.iter().find(is_it)?;
    IfName::new(&found.ifname).ok()
}

fn shown(netns: &Netns) -> String {
    match netns {
        Netns::Named(name) => name.clone(),
        Netns::Path(path) => path.clone(),
        Netns::Own => String::new(),
    }
}
