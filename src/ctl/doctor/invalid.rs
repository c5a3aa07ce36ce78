//! A firewall that drops what conntrack takes for INVALID, as kube-proxy does in iptables mode: of a TCP connection whose
//! answers do not come back through this node it sees but one half, and drops its second packet.

use std::collections::BTreeMap;

use super::probe::{ask, said};
use super::report::{Finding, Id};
use crate::exec::{System, is_installed};

/// The switch by which kube-proxy does without that rule, when it starts.
const LIBERAL: &str = "/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal";

/// Looks for such a rule in what is forwarded; `runs` tells of a routing daemon, whose routes bring answers back.
pub fn invalid(system: &System, runs_a_daemon: bool) -> Finding {
    let drops = by_iptables(system).or_else(|| by_nftables(system));
    let Some(inspect) = drops else {
        return Finding::ok(
            Id::ConntrackInvalid,
            "no firewall drops what conntrack takes for INVALID",
        );
    };
    let liberal = std::fs::read_to_string(LIBERAL).unwrap_or_default();
    if runs_a_daemon || liberal.trim() == "1" {
        let because = if runs_a_daemon {
            "a routing daemon brings answers back, but for a NodePort that is asked by another node's gateway address"
        } else {
            "conntrack is liberal"
        };
        return Finding::ok(
            Id::ConntrackInvalid,
            format!("a firewall drops INVALID packets, and {because}"),
        );
    }
    Finding::failed(Id::ConntrackInvalid, "a firewall drops what conntrack takes for INVALID: TCP from a pod fails to pods of other networks on other nodes",
    )
    .inspect(inspect)
    .fix(
        "run a routing daemon on the nodes, or, where it is kube-proxy's rule: sysctl -w \
         net.netfilter.nf_conntrack_tcp_be_liberal=1, also in /etc/sysctl.d, and start kube-proxy anew",
    )
}

fn by_iptables(system: &System) -> Option<String> {
    let programs = ["iptables-save", "ip6tables-save"].into_iter();
    let drops = |program: &&str| {
        let ask = || said(&ask(system, &[program, "-t", "filter"]));
        let rules = is_installed(program)
            .then(ask)
            .flatten()
            .unwrap_or_default();
        rules.lines().any(is_iptables_drop)
    };
    let found = programs.into_iter().find(drops)?;
    Some(format!("{found} -t filter | grep INVALID"))
}

fn is_iptables_drop(rule: &str) -> bool {
    // What comes in to the node itself is another matter.
    let own = rule.starts_with("-A INPUT ") || rule.starts_with("-A OUTPUT ");
    !own && rule.contains("--ctstate INVALID") && rule.ends_with("-j DROP")
}

fn by_nftables(system: &System) -> Option<String> {
    is_installed("nft").then_some(())?;
    let rules = said(&ask(system, &["nft", "list", "ruleset"]))?;
    drops_in_forward(&rules).then(|| "nft list ruleset | grep 'ct state invalid'".to_owned())
}

/// A chain of `nft list ruleset`.
#[derive(Default)]
struct Chain<'a> {
    is_forward: bool,
    drops: bool,
    targets: Vec<&'a str>,
}

/// Whether a chain of the hook `forward` drops them, or one of its table to which it leads.
fn drops_in_forward(rules: &str) -> bool {
    let chains = chains(rules);
    let mut led_to: Vec<(&str, &str)> = chains
        .iter()
        .filter(|(_, chain)| chain.is_forward)
        .map(|(name, _)| *name)
        .collect();
    let mut at = 0;
    while let Some(name) = led_to.get(at).copied() {
        at += 1;
        let Some(chain) = chains.get(&name) else {
            continue;
        };
        if chain.drops {
            return true;
        }
        for target in &chain.targets {
            let next = (name.0, *target);
            if !led_to.contains(&next) {
                led_to.push(next);
            }
        }
    }
    false
}

/// The chains by table and name.
fn chains(rules: &str) -> BTreeMap<(&str, &str), Chain<'_>> {
    let mut chains: BTreeMap<(&str, &str), Chain<'_>> = BTreeMap::new();
    let (mut table, mut within) = ("", None);
    for line in rules.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("table ") {
            table = name.trim_end_matches(" {");
        } else if let Some(name) = line.strip_prefix("chain ") {
            within = Some(name.trim_end_matches(" {"));
        } else if line == "}" {
            within = None;
        } else if let Some(name) = within {
            let chain = chains.entry((table, name)).or_default();
            chain.is_forward |= line.contains(" hook forward ");
            chain.drops |= line.contains("ct state invalid") && line.ends_with("drop");
            chain.targets.extend(targets(line));
        }
    }
    chains
}

/// Where a rule leads to, be it by a map: `jump NAME`, `goto NAME`.
fn targets(rule: &str) -> impl Iterator<Item = &str> {
    let words = rule.split([' ', ',']).filter(|word| !word.is_empty());
    let next = words.clone().skip(1);
    let pairs = words.zip(next);
    pairs.filter_map(|(word, name)| ["jump", "goto"].contains(&word).then_some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_forwarded_counts() {
        let kube = "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP";
        assert!(is_iptables_drop(kube));
        assert!(!is_iptables_drop(
            "-A INPUT -m conntrack --ctstate INVALID -j DROP"
        ));
        let chain = |hook: &str| {
            format!(
                "table inet f {{\n\tchain c {{\n\t\ttype filter hook {hook} priority filter; policy accept;\n\t\tct state invalid drop\n\t}}\n}}\n"
            )
        };
        assert!(drops_in_forward(&chain("forward")));
        assert!(!drops_in_forward(&chain("input")));
        let led = |by: &str| {
            format!(
                "table inet f {{\n\tchain a {{\n\t\tct state invalid drop\n\t}}\n\n\tchain b {{\n\t\tjump a\n\t}}\n\n\
                 \tchain c {{\n\t\ttype filter hook forward priority filter; policy accept;\n\t\t{by}\n\t}}\n}}\n"
            )
        };
        assert!(drops_in_forward(&led("jump b")));
        assert!(drops_in_forward(&led(
            "iifname vmap { \"eth0\" : goto b, \"eth1\" : accept }"
        )));
        assert!(!drops_in_forward(&led("jump elsewhere")));
    }
}
