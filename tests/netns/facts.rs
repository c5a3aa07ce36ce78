//! Every fact, broken by hand in a real kernel: CHECK names it and the command that shows it, and what
//! can be mended is mended by the next ADD.
//!
//! The tables are `host` and `pod`; `identity` has what cannot be changed while the device is there. A
//! guard asks the program itself for the facts of a configuration that has everything: one without a
//! row in a table fails.

mod host;
mod identity;
mod pod;

use serde_json::{Value, json};
use vxlan_cni::config::Config as Read;
use vxlan_cni::plan::{self, Fact, Observed, Side};
use vxlan_cni::store::Attachment;

use crate::support::lab::{Config, Lab, Net, Node, Pod, ipv6, nft};

/// A way to break a fact.
#[derive(Clone, Copy)]
struct Break {
    /// The fact, as the error names it.
    fact: &'static str,
    /// The line of a shell that breaks it, on the side where it is.
    by: &'static str,
    /// What CHECK says is there instead.
    found: &'static str,
    /// The command that shows it, with `POD` for the pod's namespace.
    show: &'static str,
}

const fn broken(
    fact: &'static str,
    by: &'static str,
    found: &'static str,
    show: &'static str,
) -> Break {
    Break {
        fact,
        by,
        found,
        show,
    }
}

/// Whether there can be such a fact on this kernel: without nftables there is no guard, which marks answers.
fn can_be(row: &Break) -> bool {
    let needs_it = row.by.starts_with("nft ") || row.fact.contains(" fwmark ");
    !needs_it || nft::kernel_has_it()
}

/// A node with one pod on a network that has everything.
struct Scene {
    lab: Lab,
    pod: Pod,
    config: Config,
    result: Value,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::new(1);
        let node = lab.node(0);
        let pod = node.pod("web");
        let config = node.config(&[&everything(node)]);
        let result = node.ask(&config, &pod).add();
        let scene = Self {
            pod,
            config,
            result,
            lab,
        };
        scene.check();
        scene
    }

    fn node(&self) -> &Node {
        self.lab.node(0)
    }

    fn check(&self) {
        self.node().ask(&self.config, &self.pod).check(&self.result);
    }

    /// The command that shows a row's fact.
    fn shown(&self, row: &Break) -> String {
        let name = self.pod.path().rsplit('/').next().unwrap();
        row.show.replace("POD", name)
    }

    /// CHECK must fail, and say of a broken fact what there is and which command shows it.
    fn check_names(&self, row: &Break) {
        let ask = self.node().ask(&self.config, &self.pod);
        let said = ask.after(&self.result).say("CHECK");
        assert_ne!(said.code, 0, "CHECK is content after: {}", row.by);
        let said = said.error(101);
        assert!(said.starts_with("network \"blue\": "), "{said}");
        let show = self.shown(row);
        let wanted = format!("{}: {} (`{show}`)", row.fact, row.found);
        assert!(
            said.contains(&wanted),
            "{}\nwanted {wanted}\nin     {said}",
            row.by
        );
    }

    /// `vxlan repair`, which must succeed.
    fn repair(&self) {
        let said = self.node().operate(&self.config, &["repair"]);
        assert_eq!(said.code, 0, "{said:?}");
    }

    /// DEL of whatever is left of the pod, and a new pod with the same addresses.
    fn again(&mut self) {
        let node = self.lab.node(0);
        let ask = node.ask(&self.config, &self.pod);
        ask.after(&self.result).del();
        // host-local hands addresses out in turn: without its memory it starts anew.
        std::fs::remove_dir_all(node.ipam().join("lab")).unwrap();
        self.pod = self.pod.reborn();
        self.result = self.lab.node(0).ask(&self.config, &self.pod).add();
        self.check();
    }

    /// What must hold for this attachment, by the program itself.
    fn facts(&self) -> Vec<Fact> {
        let config = Read::read(self.config.value()).unwrap();
        let network = &config.networks[0];
        let record = self.node().record("blue", &self.pod, "eth0");
        let record: Attachment = serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
        let mut seen = Observed::default();
        let underlay = plan::Read::Link(Side::Host, "eth0".parse().unwrap());
        let shown = self.node().show("link show dev eth0");
        seen.take(&underlay, Some(shown)).unwrap();
        let container = plan::container::Container {
            network,
            ifname: record.ifname.clone(),
            made_as: record.ifname.clone(),
            mtu: network.mtu,
            ipv6: true,
            gateway_mac: None,
            mac: record.mac,
            lease: record.lease.as_ref().unwrap(),
        };
        let host = plan::host::facts(network, &seen).unwrap();
        [host, container.facts()].concat()
    }
}

/// Both families, every option, routes: a network that gives rise to every kind of fact there is.
fn everything(node: &Node) -> Net {
    ipv6::is_needed();
    Net::new("blue", 100).dual().with(json!({
        "mtu": 1400,
        "routes": [{"dst": "10.200.0.0/16", "gw": "10.100.0.7"}, {"dst": "fd20::/64"}],
        "options": {
            "vxlanhardwareaddr": "0a:00:00:00:00:64", "vxlantxqlen": 500, "srcaddr": node.underlay(),
            "ttl": 7, "tos": 16, "port": 4790, "portlow": 30000, "porthigh": 40000, "age": 600,
            "limit": 5000, "proxy": true, "rsc": true, "l2miss": true, "l3miss": true, "gbp": true,
        },
    }))
}

#[test]
fn every_fact_of_a_network_that_has_everything_is_broken_in_one_of_the_tables() {
    let scene = Scene::new();
    let facts = scene.facts();
    let told = |side: Side| facts.iter().filter(move |fact| fact.side() == side);
    let of_the_pod = [&pod::ROWS[..], &pod::LIVED_WITH].concat();
    for (side, rows) in [(Side::Host, &host::ROWS[..]), (Side::Pod, &of_the_pod)] {
        for fact in told(side).map(ToString::to_string) {
            let has = rows.iter().any(|row| row.fact == fact);
            assert!(has, "no row breaks the fact of the {side:?}: {fact}");
        }
        for row in rows.iter().filter(|row| can_be(row)) {
            let is = told(side).any(|fact| fact.to_string() == row.fact);
            assert!(is, "no such fact of the {side:?}: {}", row.fact);
        }
    }
    let no_guard = |kind: &&str| *kind != "guard" || nft::kernel_has_it();
    for kind in KINDS.into_iter().filter(no_guard) {
        let is = facts.iter().any(|fact| kind_of(fact) == kind);
        assert!(
            is,
            "a network that has everything lacks a fact of the kind {kind}"
        );
    }
}

/// The kinds of fact.
const KINDS: [&str; 8] = [
    "vxlan", "macvlan", "setting", "address", "route", "rule", "guard", "sysctl",
];

/// The kind of a fact. A new one does not compile until it is named here, and above.
fn kind_of(fact: &Fact) -> &'static str {
    match fact {
        Fact::Vxlan { .. } => "vxlan",
        Fact::Macvlan { .. } => "macvlan",
        Fact::Setting { .. } => "setting",
        Fact::Address { .. } => "address",
        Fact::Route { .. } => "route",
        Fact::Rule { .. } => "rule",
        Fact::Guard { .. } => "guard",
        Fact::Sysctl { .. } => "sysctl",
        // None of CHECK's: `tests/operator` breaks it.
        Fact::Flood { .. } => "flood",
        // Of an anycast gateway alone: `anycast` breaks it.
        Fact::Neighbour { .. } | Fact::NoAddress { .. } => "neighbour",
        // With peers alone: `peers` breaks them.
        Fact::Peer { .. } | Fact::Forgotten { .. } => "peer",
    }
}
