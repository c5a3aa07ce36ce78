//! What firewalls of this node do with the packets of networks: vxlan itself, what containers send out and to their
//! node. One that cannot be read is said to be unknown.

mod iptables;
mod nft;
mod rules;

use std::path::Path;

use self::rules::{Dropped, Packet, Table};
use super::probe::{ask, said};
use super::programs::{NFTABLES, kernel_has};
use super::report::{Cause, Finding, Id};
use crate::config::Network;
use crate::exec::{System, is_installed};
use crate::ip::Family;
use crate::ip::json::documents;
use crate::ip::stderr::message;
use crate::plan::{Observed, underlay};

/// Where the kernel lists the tables of iptables' own filter, which nftables does not show; one for each family.
const LEGACY: [(&str, &str); 2] = [
    ("iptables", "/proc/net/ip_tables_names"),
    ("ip6tables", "/proc/net/ip6_tables_names"),
];

/// The tables of this node.
#[derive(Debug, Default)]
pub struct Firewalls {
    tables: Vec<Table>,
    unread: Vec<Finding>,
}

impl Firewalls {
    /// Reads them all; `no_nft` tells that `nft` is missing, where it does.
    pub fn of(system: &System, no_nft: Option<&Cause>) -> Self {
        let mut found = Self::default();
        found.read_nft(system, no_nft);
        for (program, names) in LEGACY {
            found.read_iptables(system, program, names);
        }
        found
    }

    fn read_nft(&mut self, system: &System, no_nft: Option<&Cause>) {
        let inspect = "nft -j list ruleset";
        let unknown = |why: String| {
            let what = format!(
                "the rules of nftables cannot be read, so what they drop is not known: {why}"
            );
            Finding::unknown(Id::Firewall, what).inspect(inspect)
        };
        if !is_installed("nft") {
            let finding = unknown("nft is not installed".to_owned());
            let finding = finding.fix("install nftables from your distribution");
            self.unread.push(match no_nft {
                Some(cause) => finding.follows_from(cause.clone()),
                None => finding,
            });
            return;
        }
        let argv: Vec<&str> = inspect.split(' ').collect();
        let answer = ask(system, &argv);
        let text = said(&answer);
        let read = text.and_then(|text| {
            let document = documents(text.as_bytes()).ok()?.into_iter().next()?;
            nft::tables(&document)
        });
        match (read, answer) {
            (Some(tables), _) => self.tables.extend(tables),
            (None, _) if !has_nftables() => {}
            (None, Err(error)) => self.unread.push(unknown(error.to_string())),
            (None, Ok(output)) => self.unread.push(unknown(message(&output.stderr))),
        }
    }

    /// Those that iptables made in nftables are read in its words, for its own are richer; those of its own filter
    /// only it can show.
    fn read_iptables(&mut self, system: &System, program: &str, names: &str) {
        let save = |which: &str| said(&ask(system, &[which]));
        let plain = format!("{program}-save");
        let saved = is_installed(&plain).then(|| save(&plain)).flatten();
        let legacy = format!("{program}-legacy-save");
        let has_legacy = std::fs::read_to_string(names).is_ok_and(|names| !names.trim().is_empty());
        let is_legacy = saved
            .as_ref()
            .is_some_and(|saved| saved.contains("(legacy)") || !saved.contains("(nf_tables)"));
        if let Some(saved) = saved {
            let tables = iptables::tables(program, &saved);
            // What nftables shows of these is the same once more.
            self.tables.retain(|shown| {
                let same = |table: &Table| {
                    shown.program == "nft"
                        && (&shown.family, &shown.name) == (&table.family, &table.name)
                };
                is_legacy || !tables.iter().any(same)
            });
            self.tables.extend(tables);
        }
        if !has_legacy || is_legacy {
            return;
        }
        match is_installed(&legacy).then(|| save(&legacy)).flatten() {
            Some(saved) => self.tables.extend(iptables::tables(&format!("{program}-legacy"), &saved)),
            None => self.unread.push(
                Finding::unknown(Id::Firewall, format!("{names} names tables, and {legacy} does not show them: what they drop is not known"))
                    .inspect(format!("cat {names}"))
                    .fix("install iptables from your distribution"),
            ),
        }
    }

    /// That they could be read, or which could not.
    pub fn read(&self) -> Vec<Finding> {
        match self.unread.is_empty() {
            true => vec![Finding::ok(
                Id::Firewall,
                format!("the {} tables of firewalls were read", self.tables.len()),
            )],
            false => self.unread.clone(),
        }
    }

    fn drops<'a>(&'a self, hooks: &[&str], packet: &Packet<'_>) -> Option<Dropped<'a>> {
        let mut hooks = hooks.iter();
        hooks.find_map(|hook| {
            self.tables
                .iter()
                .find_map(|table| table.drops(hook, packet))
        })
    }

    /// What they drop of a network's packets.
    pub fn findings(&self, network: &Network, seen: &Observed) -> Vec<Finding> {
        let mut findings = self.of_vxlan(network, seen);
        for family in network.families() {
            findings.extend(self.of_the_gateway(network, family));
            findings.extend(self.of_what_leaves(network, seen, family));
        }
        findings.dedup();
        if findings.is_empty() && self.unread.is_empty() {
            let what = format!("no firewall drops packets of {}", network.name);
            findings.push(Finding::ok(Id::Firewall, what));
        }
        findings
    }

    fn of_vxlan(&self, network: &Network, seen: &Observed) -> Vec<Finding> {
        let vxlan = &network.options.vxlan;
        let Some(dev) = underlay::name(network, seen) else {
            return Vec::new();
        };
        let port = vxlan.dstport;
        let packet = Packet {
            is_v6: vxlan.is_v6(),
            protocol: Some("udp"),
            port: Some(port),
            state: "new",
            ..Packet::default()
        };
        let comes = Packet {
            by: Some(dev.as_str()),
            ..packet.clone()
        };
        let leaves = Packet {
            out: Some(dev.as_str()),
            ..packet
        };
        let finding = |dropped: Dropped<'_>, way: &str, rule: Wanted<'_>| {
            let what = format!(
                "vxlan that {way} {dev} (UDP, port {port}) is dropped by {}",
                shown(&dropped)
            );
            let finding = Finding::failed(Id::FirewallVxlan, what);
            finding
                .inspect(inspect(&dropped))
                .fix(fix(&dropped, &[rule]))
        };
        let udp = |is_in: bool| Wanted {
            by: is_in.then_some(dev.as_str()),
            out: (!is_in).then_some(dev.as_str()),
            port: Some(port),
            is_answer: false,
        };
        let comes = self.drops(&["ingress", "prerouting", "input"], &comes);
        let leaves = self.drops(&["output", "postrouting", "egress"], &leaves);
        let comes = comes.map(|dropped| finding(dropped, "comes in by", udp(true)));
        let leaves = leaves.map(|dropped| finding(dropped, "leaves by", udp(false)));
        comes.into_iter().chain(leaves).collect()
    }

    /// Whether everything between containers and the node is dropped, or what an IPv6 gateway is found by.
    fn of_the_gateway(&self, network: &Network, family: Family) -> Vec<Finding> {
        let mv = network.mv.as_str();
        let packet = Packet {
            is_v6: family == Family::V6,
            from: network.cidr(family).map(|cidr| cidr.ip()),
            state: "new",
            ..Packet::default()
        };
        let comes = Packet {
            by: Some(mv),
            ..packet.clone()
        };
        let asks = Packet {
            protocol: Some("ipv6-icmp"),
            message: Some("nd-neighbor-solicit"),
            from: None,
            ..comes.clone()
        };
        let leaves = Packet {
            out: Some(mv),
            ..packet
        };
        let finding = |dropped: Dropped<'_>, what: String, is_in: bool| {
            let rule = Wanted {
                by: is_in.then_some(mv),
                out: (!is_in).then_some(mv),
                port: None,
                is_answer: false,
            };
            let what = format!("{what} is dropped by {}", shown(&dropped));
            let finding = Finding::failed(Id::FirewallGateway, what);
            finding
                .inspect(inspect(&dropped))
                .fix(fix(&dropped, &[rule]))
        };
        let all = self.drops(&["ingress", "prerouting", "input"], &comes);
        let asks = (family == Family::V6)
            .then(|| self.drops(&["input"], &asks))
            .flatten();
        let leaves = self.drops(&["output", "postrouting", "egress"], &leaves);
        let all = all.map(|dropped| {
            finding(
                dropped,
                format!("everything of {family} that containers send to this node by {mv}"),
                true,
            )
        });
        let asks = asks.map(|dropped| finding(dropped, format!("the question of containers for their IPv6 gateway (neighbour solicitation by {mv})"), true));
        let leaves = leaves.map(|dropped| {
            finding(
                dropped,
                format!("everything of {family} that this node sends to containers by {mv}"),
                false,
            )
        });
        all.or(asks).into_iter().chain(leaves).collect()
    }

    /// What is routed from containers to elsewhere, and what comes back.
    fn of_what_leaves(
        &self,
        network: &Network,
        seen: &Observed,
        family: Family,
    ) -> Option<Finding> {
        let mv = network.mv.as_str();
        let dev = underlay::name(network, seen)?;
        let own = network.cidr(family).map(|cidr| cidr.ip());
        let is_v6 = family == Family::V6;
        let leaves = Packet {
            is_v6,
            by: Some(mv),
            out: Some(dev.as_str()),
            from: own,
            state: "new",
            ..Packet::default()
        };
        let comes_back = Packet {
            is_v6,
            by: Some(dev.as_str()),
            out: Some(mv),
            to: own,
            state: "established",
            ..Packet::default()
        };
        let hook = ["forward"];
        let dropped = self
            .drops(&hook, &leaves)
            .or_else(|| self.drops(&hook, &comes_back))?;
        let rule = |by, out, is_answer| Wanted {
            by,
            out,
            port: None,
            is_answer,
        };
        let rules = [rule(Some(mv), None, false), rule(None, Some(mv), true)];
        let what = format!(
            "what containers send elsewhere through this node ({family}, {mv}) is dropped by {}",
            shown(&dropped)
        );
        let finding = Finding::failed(Id::FirewallForward, what);
        Some(
            finding
                .inspect(inspect(&dropped))
                .fix(fix(&dropped, &rules)),
        )
    }
}

/// Whether the kernel has nftables at all.
fn has_nftables() -> bool {
    Path::new("/sys/module/nf_tables").exists() || kernel_has(NFTABLES)
}

/// What is to be let pass.
struct Wanted<'a> {
    by: Option<&'a str>,
    out: Option<&'a str>,
    port: Option<u16>,
    /// Only what is part of a connection that is known.
    is_answer: bool,
}

fn shown(dropped: &Dropped<'_>) -> String {
    let Dropped { table, base, by } = dropped;
    let (family, name) = (&table.family, &table.name);
    match table.program.as_str() {
        "nft" => format!("the chain {base} of table {family} {name}: {by}"),
        program => format!("{program}, chain {base} of table {name}: {by}"),
    }
}

fn inspect(dropped: &Dropped<'_>) -> String {
    let Dropped { table, base, .. } = dropped;
    match table.program.as_str() {
        "nft" => format!("nft -a list table {} {}", table.family, table.name),
        program => format!("{program} -t {} -S {base}", table.name),
    }
}

/// Rules before all others that let it pass.
fn fix(dropped: &Dropped<'_>, wanted: &[Wanted<'_>]) -> String {
    let Dropped { table, base, .. } = dropped;
    let line = |wanted: &Wanted<'_>| match table.program.as_str() {
        "nft" => {
            // A chain of devices knows no name of one on its way out.
            let names = table.family != "netdev";
            let by = wanted
                .by
                .filter(|_| names)
                .map(|dev| format!(" iifname {dev}"));
            let out = wanted
                .out
                .filter(|_| names)
                .map(|dev| format!(" oifname {dev}"));
            let port = wanted.port.map(|port| format!(" udp dport {port}"));
            let answer = wanted
                .is_answer
                .then(|| " ct state established,related".to_owned());
            let words: String = [by, out, port, answer].into_iter().flatten().collect();
            format!(
                "nft insert rule {} {} {base}{words} accept",
                table.family, table.name
            )
        }
        program => {
            let by = wanted.by.map(|dev| format!(" -i {dev}"));
            let out = wanted.out.map(|dev| format!(" -o {dev}"));
            let port = wanted.port.map(|port| format!(" -p udp --dport {port}"));
            let answer = wanted
                .is_answer
                .then(|| " -m conntrack --ctstate RELATED,ESTABLISHED".to_owned());
            let words: String = [by, out, port, answer].into_iter().flatten().collect();
            format!("{program} -t {} -I {base}{words} -j ACCEPT", table.name)
        }
    };
    let lines: Vec<String> = wanted.iter().map(line).collect();
    lines.join(" && ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::config::Config;

    fn found(tables: Vec<Table>) -> Vec<String> {
        let network = json!({"id": 1, "name": "blue", "cidr": ["10.1.0.1/16", "fd10::1/64"],
            "options": {"vtepdev": "eth0", "group": "239.1.1.1"}});
        let config = json!({"ipam": {"type": "route-table"}, "vxlans": [network]});
        let config = Config::read(&config).unwrap();
        let firewalls = Firewalls {
            tables,
            unread: Vec::new(),
        };
        let found = firewalls.findings(&config.networks[0], &Observed::default());
        let failed = found.into_iter().filter(|one| one.state == State::Failed);
        failed
            .map(|one| format!("{:?} {}; {}", one.id, one.message, one.fix.unwrap()))
            .collect()
    }

    use crate::ctl::doctor::report::State;

    fn saved(rules: &str) -> Vec<Table> {
        iptables::tables("iptables", &format!("*filter\n{rules}\nCOMMIT\n"))
    }

    #[test]
    fn what_iptables_drops_for_certain_is_told_and_what_it_may_drop_is_not() {
        const ALL: &str = ":INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n";
        // As Docker 20 to 28, kube-proxy 1.3x and ufw 0.36 write them.
        let docker = ":FORWARD DROP [0:0]\n:DOCKER - [0:0]\n:DOCKER-USER - [0:0]\n\
            -A FORWARD -j DOCKER-USER\n-A FORWARD -m set --match-set docker-ext-bridges-v4 dst -j DOCKER\n\
            -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
            -A FORWARD -i docker0 ! -o docker0 -j ACCEPT\n-A DOCKER ! -i docker0 -o docker0 -j DROP\n\
            -A DOCKER-USER -j RETURN";
        let told = found(saved(docker));
        let policy = "FirewallForward what containers send elsewhere through this node (IPv4, mv_blue) is dropped by \
            iptables, chain FORWARD of table filter: its policy; iptables -t filter -I FORWARD -i mv_blue -j ACCEPT && \
            iptables -t filter -I FORWARD -o mv_blue -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT";
        assert_eq!(told, [policy]);
        let ufw = ":INPUT DROP [0:0]\n:ufw-user-input - [0:0]\n-A INPUT -j ufw-user-input\n\
            -A ufw-user-input -p udp -m multiport --dports 53,4000:4788 -j ACCEPT\n\
            -A ufw-user-input -i mv_blue -p tcp -m tcp --dport 53 -j ACCEPT";
        let told = found(saved(ufw));
        assert_eq!(told.len(), 1, "{told:#?}");
        assert!(
            told[0].starts_with("FirewallVxlan vxlan that comes in by eth0 (UDP, port 4789)"),
            "{told:#?}"
        );
        for rules in [
            // It lets pass what is asked about, in one way or another.
            &format!("{ALL}-A INPUT -p udp -m udp ! --dport 4789 -j DROP"),
            &format!(
                "{ALL}-A INPUT -i eth0 -p udp -m udp --dport 4789 -j ACCEPT\n-A INPUT -p udp -j DROP"
            ),
            &format!("{ALL}-A INPUT -s 192.0.2.0/24 -p udp -m udp --dport 4789 -j DROP"),
            &format!("{ALL}-A INPUT -p udp -m udp --dport 4789 -m limit --limit 5/sec -j DROP"),
            &format!("{ALL}-A INPUT -m conntrack --ctstate INVALID -j DROP"),
            &format!("{ALL}-A FORWARD -m mark --mark 0x4000/0x4000 -j DROP"),
            &format!("{ALL}-A FORWARD -i mv_blue -o mv_red -j DROP"),
            // It may let it pass.
            ":INPUT DROP [0:0]\n-A INPUT -m set --match-set nodes src -j ACCEPT\n-A INPUT -i mv_blue -m physdev -j ACCEPT",
            ":FORWARD DROP [0:0]\n-A FORWARD -s 10.0.0.0/8 -j ACCEPT\n-A FORWARD -d 10.0.0.0/8 -j ACCEPT",
            "",
        ] {
            assert_eq!(found(saved(rules)), [] as [&str; 0], "{rules}");
        }
    }

    /// What `nft -j list ruleset` 1.0.6 prints, less what is not read.
    fn listed(policy: &str, rules: &[serde_json::Value]) -> Vec<Table> {
        let mut all = vec![
            json!({"table": {"family": "inet", "name": "fw"}}),
            json!({"set": {"family": "inet", "name": "ports", "table": "fw", "elem": [22, {"range": [4000, 4788]}]}}),
            json!({"chain": {"family": "inet", "table": "fw", "name": "in", "type": "filter", "hook": "input", "policy": policy}}),
            json!({"chain": {"family": "inet", "table": "fw", "name": "zone"}}),
        ];
        all.extend(rules.iter().enumerate().map(|(index, rule)| {
            json!({"rule": {"family": "inet", "table": "fw", "chain": rule[0], "handle": index, "expr": rule[1]}})
        }));
        nft::tables(&json!({"nftables": all})).unwrap()
    }

    #[test]
    fn what_nftables_drops_for_certain_is_told_and_what_it_may_drop_is_not() {
        let port = |right: serde_json::Value| json!({"match": {"op": "==", "left": {"payload": {"protocol": "udp", "field": "dport"}}, "right": right}});
        let by = |right: serde_json::Value| json!({"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": right}});
        let state = |right: serde_json::Value| json!({"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": right}});
        let zones = json!({"vmap": {"key": {"meta": {"key": "iifname"}}, "data": {"set": [["eth1", {"accept": null}], ["eth0", {"goto": {"target": "zone"}}]]}}});
        let (accept, drop) = (json!({"accept": null}), json!({"drop": null}));
        let gateways = json!(["in", [by(json!("mv_*")), accept]]);
        let told = [
            (
                "accept",
                vec![json!(["in", [port(json!({"set": [53, 4789]})), {"counter": {}}, drop]])],
                1,
            ),
            (
                "accept",
                vec![
                    json!(["in", [zones]]),
                    json!(["zone", [{"reject": {"type": "icmpx"}}]]),
                ],
                1,
            ),
            (
                "drop",
                vec![
                    gateways.clone(),
                    json!(["in", [state(json!(["established", "related"])), accept]]),
                ],
                1,
            ),
            (
                "drop",
                vec![
                    gateways.clone(),
                    json!(["in", [port(json!("@ports")), accept]]),
                ],
                1,
            ),
            (
                "drop",
                vec![
                    gateways.clone(),
                    json!([
                        "in",
                        [
                            by(json!({"set": ["eth0", "eth1"]})),
                            port(json!(4789)),
                            accept
                        ]
                    ]),
                ],
                0,
            ),
            (
                "drop",
                vec![
                    gateways.clone(),
                    json!(["in", [{"match": {"op": "==", "left": {"fib": {}}, "right": "local"}}, accept]]),
                ],
                0,
            ),
            (
                "accept",
                vec![
                    json!(["in", [{"match": {"op": "==", "left": {"meta": {"key": "mark"}}, "right": 1}}, drop]]),
                ],
                0,
            ),
            (
                "accept",
                vec![json!(["in", [{"limit": {"rate": 1}}, drop]])],
                0,
            ),
            (
                "accept",
                vec![
                    json!(["in", [{"match": {"op": "!=", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": {"prefix": {"addr": "10.0.0.0", "len": 8}}}}, drop]]),
                ],
                0,
            ),
        ];
        for (policy, rules, wanted) in told {
            let found = found(listed(policy, &rules));
            assert_eq!(found.len(), wanted, "{policy} {rules:?}: {found:#?}");
        }
        let told = found(listed("drop", &[gateways]));
        let wanted = "FirewallVxlan vxlan that comes in by eth0 (UDP, port 4789) is dropped by the chain in of table inet fw: \
            its policy; nft insert rule inet fw in iifname eth0 udp dport 4789 accept";
        assert_eq!(told, [wanted]);
        // Of IPv6 a policy drops the question for the gateway, too, once nothing lets it pass.
        let none = found(listed("drop", &[]));
        assert_eq!(none.len(), 3, "{none:#?}");
    }
}
