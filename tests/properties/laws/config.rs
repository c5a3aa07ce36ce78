//! The configuration: read the same each time, every fault with its key, and what is taken can be carried out.

use std::net::IpAddr;

use serde_json::Value;
use vxlan_cni::cni::{Code, Request};
use vxlan_cni::config::{Config, Network};
use vxlan_cni::ip::Netns;
use vxlan_cni::lease;
use vxlan_cni::plan::{self, Observed, Probe, host};
use vxlan_cni::route_table::pool::{Pool, Seed};

use super::commands;
use super::door::{ADDS, Picks, ask, env};

/// The keys at the top, for a fault names one of them.
const TOP: [&str; 14] = [
    "vxlans",
    "ipam",
    "defaultNetwork",
    "k8sNetworkFromNamespace",
    "k8sReadAnnotations",
    "annotations",
    "args",
    "runtimeConfig",
    "dns",
    "dataDir",
    "runDir",
    "logFile",
    "routeTable",
    "rulePriority",
];

/// The addresses of a walk that are looked at.
const SOME: usize = 300;

/// Keeps the law for what stands on stdin.
pub fn holds(stdin: &[u8]) {
    for verb in ["ADD", "VERSION"] {
        let _ = ask(&ADDS, &env(verb, ""), stdin);
    }
    for verb in ["ADD", "DEL", "CHECK", "GC", "STATUS"] {
        let _ = ask(&Picks, &env(verb, ""), stdin);
    }
    if let Ok(value) = serde_json::from_slice::<Value>(stdin) {
        is_read(&value);
    }
}

/// What the reader makes of a value.
fn is_read(value: &Value) {
    let lenient = Config::read_leniently(value);
    match Config::read(value) {
        Err(error) => {
            assert_eq!(error.code, Code::INVALID_CONFIGURATION);
            names_a_key(&error.msg);
        }
        Ok(config) => {
            assert_eq!(format!("{config:?}"), format!("{lenient:?}"));
            for network in &config.networks {
                can_be_carried_out(&config, network, value);
            }
        }
    }
}

/// `configuration: KEY: ...` or `configuration: N faults, the first: KEY: ...`.
fn names_a_key(msg: &str) {
    let said = msg.strip_prefix("configuration: ").unwrap();
    let fault = said
        .split_once("the first: ")
        .map_or(said, |(_, fault)| fault);
    let (path, _) = fault.split_once(": ").unwrap();
    let top = path.split(['.', '[']).next().unwrap();
    assert!(TOP.contains(&top), "{msg}");
}

/// A network that was taken.
fn can_be_carried_out(config: &Config, network: &Network, value: &Value) {
    for cidr in &network.cidrs {
        let (first, last) = network.pool(*cidr).unwrap();
        assert!(
            cidr.contains(first) && cidr.contains(last) && first <= last,
            "{network:?}"
        );
        assert_ne!(
            network.refuses(cidr.ip()),
            None,
            "the gateway is handed out"
        );
    }
    for look in [Probe::Lookup, Probe::List] {
        for read in host::reads(network, look) {
            commands::is_sound(&read.command());
        }
    }
    let seen = Observed::default();
    if let Ok(facts) = host::facts(network, &seen) {
        commands::are_sound(&plan::plan(&facts, &seen, &Netns::Own));
    }
    let ipam = lease::ipam(config.ipam.as_ref(), network);
    let told = lease::config(value, &ipam, &network.cidrs);
    assert!(
        told["ipam"]["type"]
            .as_str()
            .is_some_and(|plugin| !plugin.contains('/'))
    );
    is_understood(&told);
}

/// What the IPAM of this project makes of what it is told.
fn is_understood(told: &Value) {
    let stdin = told.to_string();
    let verb = vxlan_cni::cni::Verb::Add;
    if let Ok(request) = Request::read(verb, &env("ADD", ""), stdin.as_bytes()) {
        let _ = ask(&Picks, &env("ADD", ""), stdin.as_bytes());
        drop(request);
    }
}

/// A pool hands out nothing twice, and nothing that it refuses.
pub fn hands_out_only_its_own(pool: &Pool) {
    for seed in [Seed::FIRST, Seed::of("shop/web-1")] {
        let mut walked: Vec<IpAddr> = pool.walk(seed).take(SOME).collect();
        for address in &walked {
            let range = pool.range(*address).unwrap();
            assert!(range.subnet.contains(*address), "{pool:?} {address}");
            assert!(
                range.first <= *address && *address <= range.last,
                "{pool:?} {address}"
            );
            assert!(
                !pool.exclude.iter().any(|net| net.contains(*address)),
                "{pool:?} {address}"
            );
            assert_ne!(range.gateway, Some(*address), "{pool:?}");
        }
        let count = walked.len();
        walked.sort();
        walked.dedup();
        assert_eq!(walked.len(), count, "twice the same: {pool:?}");
    }
}
