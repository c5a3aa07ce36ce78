//! Programs beside this one that take away what it made, or do not see it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::invalid::invalid;
use super::probe::{ask, said};
use super::report::{Finding, Id};
use crate::ctl::node::Node;
use crate::exec::System;
use crate::route_table::ledger::ipams;

/// Protocols that FRR takes for its own: it neither redistributes them nor lets them be when it starts
/// (`RTPROT_BGP` to `RTPROT_EIGRP`, `linux/rtnetlink.h`; FRR `rt_netlink.c`).
const FRR_OWN: std::ops::RangeInclusive<u8> = 186..=198;

/// Folders of systemd-networkd's settings; a file hides those of its name behind it.
const NETWORKD: [&str; 4] = [
    "/etc/systemd",
    "/run/systemd",
    "/usr/local/lib/systemd",
    "/usr/lib/systemd",
];

/// The settings that must be off, or networkd removes what it does not know when it starts or a link changes.
const FOREIGN: [&str; 2] = ["ManageForeignRoutes", "ManageForeignRoutingPolicyRules"];

/// Looks for them.
pub fn others(system: &System, node: &Node) -> Vec<Finding> {
    let running = running_here();
    let runs = |name: &str| running.iter().any(|one| one == name);
    vec![
        networkd(runs("systemd-network")),
        network_manager(system, node, runs("NetworkManager")),
        frr(node, runs("zebra")),
        invalid(system, runs("bird") || runs("bgpd")),
    ]
}

/// The names of the processes of this network namespace; the kernel cuts them at 15 bytes.
fn running_here() -> Vec<String> {
    let inode = |path: &Path| std::fs::metadata(path).map(|meta| meta.ino()).ok();
    let Some(here) = inode(Path::new("/proc/self/ns/net")) else {
        return Vec::new();
    };
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let same = entries
        .map(|entry| entry.path())
        .filter(|path| inode(&path.join("ns/net")) == Some(here));
    same.filter_map(|path| std::fs::read_to_string(path.join("comm")).ok())
        .map(|name| name.trim().to_owned())
        .collect()
}

fn networkd(runs: bool) -> Finding {
    if !runs {
        return Finding::ok(Id::Networkd, "systemd-networkd does not run");
    }
    let lines: Vec<String> = settings().iter().flat_map(|file| lines(file)).collect();
    let on: Vec<&str> = FOREIGN
        .into_iter()
        .filter(|key| !is_off(&lines, key))
        .collect();
    if on.is_empty() {
        return Finding::ok(
            Id::Networkd,
            "systemd-networkd leaves foreign routes and rules alone",
        );
    }
    Finding::failed(
        Id::Networkd,
        format!(
            "systemd-networkd runs and removes foreign routes and rules when it starts: {} not off",
            on.join(", ")
        ),
    )
    .inspect("systemd-analyze cat-config systemd/networkd.conf")
    .fix(
        "mkdir -p /etc/systemd/networkd.conf.d && printf '[Network]\\nManageForeignRoutes=no\\n\
         ManageForeignRoutingPolicyRules=no\\n' > /etc/systemd/networkd.conf.d/vxlan-cni.conf && \
         systemctl restart systemd-networkd",
    )
}

/// The files in the order in which they are read; of several with one name the first counts.
fn settings() -> Vec<PathBuf> {
    let first = NETWORKD
        .iter()
        .map(|dir| Path::new(dir).join("networkd.conf"));
    let mut files: Vec<PathBuf> = first.filter(|file| file.is_file()).take(1).collect();
    let mut more: Vec<PathBuf> = Vec::new();
    for dir in NETWORKD {
        let entries = std::fs::read_dir(Path::new(dir).join("networkd.conf.d"));
        for file in entries
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
        {
            let known = more
                .iter()
                .any(|known| known.file_name() == file.file_name());
            if !known && file.extension().is_some_and(|ending| ending == "conf") {
                more.push(file);
            }
        }
    }
    more.sort_by(|one, other| one.file_name().cmp(&other.file_name()));
    files.extend(more);
    files
}

fn lines(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|line| line.trim().to_owned()).collect()
}

/// Whether a switch is off; the last line counts, and what no line says is on.
fn is_off(lines: &[String], key: &str) -> bool {
    let value = |line: &String| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == key).then(|| value.trim().to_lowercase())
    };
    let last = lines.iter().filter_map(value).next_back();
    last.is_some_and(|value| ["no", "false", "off", "0", "n", "f"].contains(&value.as_str()))
}

fn network_manager(system: &System, node: &Node, runs: bool) -> Finding {
    if !runs {
        return Finding::ok(Id::NetworkManager, "NetworkManager does not run");
    }
    let inspect = "nmcli -t -f DEVICE,STATE device";
    let argv: Vec<&str> = inspect.split(' ').collect();
    let Some(text) = said(&ask(system, &argv)) else {
        return Finding::unknown(
            Id::NetworkManager,
            "NetworkManager runs, and nmcli does not tell what it manages",
        )
        .inspect(inspect);
    };
    let ours: Vec<String> = node
        .networks
        .iter()
        .flat_map(|network| network.definitions())
        .flat_map(|network| [network.vx.to_string(), network.mv.to_string()])
        .collect();
    let managed: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(device, state)| ours.iter().any(|our| our == device) && *state != "unmanaged")
        .map(|(device, _)| device)
        .collect();
    if managed.is_empty() {
        return Finding::ok(
            Id::NetworkManager,
            "NetworkManager manages no device of ours",
        );
    }
    Finding::failed(
        Id::NetworkManager,
        format!("NetworkManager manages {}", managed.join(", ")),
    )
    .inspect(inspect)
    .fix(
        "printf '[keyfile]\\nunmanaged-devices=interface-name:vx_*;interface-name:mv_*\\n' > \
             /etc/NetworkManager/conf.d/vxlan-cni.conf && nmcli general reload",
    )
}

fn frr(node: &Node, runs: bool) -> Finding {
    let taken: Vec<u8> = ipams(&node.raw)
        .iter()
        .map(|ipam| ipam.protocol)
        .filter(|protocol| FRR_OWN.contains(protocol))
        .collect();
    match (runs, taken.first()) {
        (false, _) => Finding::ok(Id::Frr, "FRR does not run"),
        (true, None) => Finding::ok(Id::Frr, "FRR runs, and no claim has a protocol of its own"),
        (true, Some(protocol)) => Finding::failed(Id::Frr, format!(
            "FRR runs and takes claims of protocol {protocol} for its own: it does not spread them and may remove them"
        ))
        .inspect("ps -C zebra")
        .fix("set ipam.routeProtocol to 240"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_a_switch_counts_and_what_nobody_says_is_on() {
        let lines = |text: &str| -> Vec<String> { text.lines().map(str::to_owned).collect() };
        let key = FOREIGN[0];
        assert!(is_off(&lines("[Network]\nManageForeignRoutes = No"), key));
        assert!(!is_off(
            &lines("ManageForeignRoutes=no\nManageForeignRoutes=yes"),
            key
        ));
        assert!(!is_off(&lines("#ManageForeignRoutes=no"), key));
        assert!(!is_off(&lines("ManageForeignRoutingPolicyRules=no"), key));
    }
}
