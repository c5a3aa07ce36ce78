//! Rules before ours, as a VPN sets them: what they catch of a network's packets goes by another device.

use ipnetwork::IpNetwork;

use super::probe::{ask, said};
use super::report::{Finding, Id};
use crate::config::Network;
use crate::config::hosts::{address, hosts, number};
use crate::exec::System;
use crate::ip::json::documents;
use crate::ip::route::{Lookup, RouteRecord};
use crate::ip::rule::RuleRecord;
use crate::ip::{Family, TableId};
use crate::plan::{Observed, Read, Side};

/// The questions about where packets within the network's subnets go.
pub fn reads(network: &Network) -> impl Iterator<Item = Read> + '_ {
    let cidrs = network.cidrs.iter();
    cidrs.map(|cidr| Read::Lookup(Side::Host, within(*cidr)))
}

/// From the gateway to the last host that is not the gateway: a single route to that one is unlikely.
fn within(cidr: IpNetwork) -> Lookup {
    let (first, last) = hosts(cidr);
    let other = if last == number(cidr.ip()) {
        first
    } else {
        last
    };
    Lookup::to(address(cidr, other)).from(cidr.ip())
}

/// What is found about them.
pub fn findings(system: &System, network: &Network, seen: &Observed) -> Vec<Finding> {
    let cidrs = network.cidrs.iter();
    let found = cidrs.filter_map(|cidr| finding(system, network, *cidr, seen));
    found.collect()
}

fn finding(
    system: &System,
    network: &Network,
    cidr: IpNetwork,
    seen: &Observed,
) -> Option<Finding> {
    let (subnet, wanted) = (Network::subnet(cidr), within(cidr));
    let route = seen.lookup(Side::Host, wanted)?;
    let mv = network.mv.as_str();
    let by = route.dev.as_deref()?;
    if by == mv {
        let what = format!("rules lead {subnet} to {mv}");
        return Some(Finding::ok(Id::PolicyRule, what));
    }
    let family = Family::of(cidr.ip());
    let rule = rule(system, network, family, route);
    let because = rule.as_ref().map_or_else(String::new, |rule| {
        format!(" by rule {} (table {})", rule.priority, rule.table)
    });
    let what = format!("packets to {subnet} leave by {by}, not by {mv}{because}");
    let from = wanted
        .from
        .map(|from| format!(" from {from}"))
        .unwrap_or_default();
    let finding = Finding::failed(Id::PolicyRule, what).inspect(format!(
        "ip {} rule; ip route get {}{from}",
        family.option(),
        wanted.to
    ));
    let table = if network.bypass {
        network.table
    } else {
        TableId::MAIN
    };
    let before = rule
        .map_or(network.pref, |rule| rule.priority)
        .saturating_sub(1);
    Some(match before {
        0 => finding
            .fix("let the program that made the rule give it a pref behind those of vxlan-cni"),
        before => finding.fix(format!(
            "ip rule add pref {before} to {subnet} lookup {table}"
        )),
    })
}

/// The rule that leads to a route's table, the first before ours.
fn rule(
    system: &System,
    network: &Network,
    family: Family,
    route: &RouteRecord,
) -> Option<RuleRecord> {
    let table = route.table()?;
    let argv = ["ip", family.option(), "-j", "-N", "rule", "show"];
    let listed = said(&ask(system, &argv))?;
    let listed = documents(listed.as_bytes()).ok()?.into_iter().next()?;
    let rules: Vec<RuleRecord> = serde_json::from_value(listed).ok()?;
    let mut rules = rules.into_iter();
    rules.find(|rule| {
        let same = TableId::from_shown(&rule.table) == Some(table);
        same && rule.priority < network.pref
    })
}
