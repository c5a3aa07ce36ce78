//! Whether facts hold by what was seen of them.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::{Fact, Verdict};
use crate::ip::link::{
    LinkRecord, Vxlan, is_changeable_macvlan, is_changeable_vxlan, macvlan_differences,
    vxlan_differences,
};
use crate::ip::neigh::NeighRecord;
use crate::ip::route::{Lookup, Route};
use crate::ip::rule::Rule;
use crate::ip::{IfName, Mac, TableId};
use crate::nft::{Chain, Ruleset};
use crate::plan::{Observed, Side};

impl Fact {
    /// Whether it holds by what was seen.
    pub fn verdict(&self, seen: &Observed) -> Verdict {
        match self {
            _ if seen.is_supposed(self) => Verdict::Holds,
            Self::Vxlan { name, vxlan } => vxlan_verdict(seen.link(Side::Host, name), vxlan),
            Self::Macvlan {
                side, name, parent, ..
            } => macvlan_verdict(seen, *side, name, parent),
            Self::Setting {
                side, dev, setting, ..
            } => match seen.link(*side, dev) {
                None => Verdict::Missing,
                Some(record) if record.holds(setting) == Some(true) => Verdict::Holds,
                Some(record) => Verdict::Differs {
                    found: record.found(setting),
                },
            },
            Self::Flood { dev, to, .. } => {
                holds(seen.flood(dev).is_some_and(|record| record.floods_to(*to)))
            }
            Self::NoAddress { side, dev, address } => holds(
                !seen
                    .link(*side, dev)
                    .is_some_and(|link| link.has_address(*address)),
            ),
            Self::Peer { dev, to, listed } => peer_verdict(seen, dev, *to, *listed),
            // Where the peer has gone already, what comes in from there may be learnt again.
            Self::Forgotten { dev, to, .. } => peer_verdict(seen, dev, *to, false),
            Self::Address {
                side, dev, address, ..
            } => address_verdict(seen.link(*side, dev), *address),
            Self::Neighbour {
                side,
                dev,
                address,
                mac,
            } => neighbour_verdict(seen.neighbour(*side, dev, *address), *mac),
            Self::Route {
                side,
                route,
                witness,
                ..
            } => holds(route_is_seen(seen, *side, route, *witness)),
            Self::Rule { rule, witness } => holds(rule_is_seen(seen, rule, *witness)),
            Self::Guard { table, chains, .. } => match seen.ruleset(table) {
                None => Verdict::Holds,
                Some(ruleset) => guard_verdict(ruleset, chains),
            },
            Self::Sysctl {
                side,
                key,
                value,
                or,
            } => sysctl_verdict(seen.sysctl(*side, key), value, or),
        }
    }
}

/// A vxlan device's.
fn vxlan_verdict(seen: Option<&LinkRecord>, vxlan: &Vxlan) -> Verdict {
    let differences = |record: &LinkRecord| vxlan_differences(record, vxlan);
    judge(seen, differences, |record| {
        is_changeable_vxlan(record, vxlan)
    })
}

/// A macvlan's, on a device of the host.
fn macvlan_verdict(seen: &Observed, side: Side, name: &IfName, parent: &IfName) -> Verdict {
    let index = seen.link(Side::Host, parent).map(|record| record.ifindex);
    judge(
        seen.link(side, name),
        |record| macvlan_differences(record, parent, index),
        |record| is_changeable_macvlan(record, parent, index),
    )
}

/// A device's verdict from its differences, and whether these can be set back.
fn judge(
    seen: Option<&LinkRecord>,
    differences: impl Fn(&LinkRecord) -> Vec<String>,
    is_changeable: impl Fn(&LinkRecord) -> bool,
) -> Verdict {
    let Some(record) = seen else {
        return Verdict::Missing;
    };
    let found = differences(record).join(", ");
    match is_changeable(record) {
        _ if found.is_empty() => Verdict::Holds,
        true => Verdict::Changed { found },
        false => Verdict::Differs { found },
    }
}

/// Whether a vxlan device sends to a peer what it has not learnt, or does not, as it is to; where that was not asked, it holds.
fn peer_verdict(seen: &Observed, dev: &IfName, to: IpAddr, listed: bool) -> Verdict {
    holds(seen.floods_to(dev, to).is_none_or(|told| told == listed))
}

fn neighbour_verdict(seen: Option<&NeighRecord>, mac: Mac) -> Verdict {
    match seen {
        Some(record) if record.is_fixed_at(mac) => Verdict::Holds,
        Some(record) => Verdict::Differs {
            found: record.shown(),
        },
        None => Verdict::Missing,
    }
}

fn sysctl_verdict(seen: Option<&str>, value: &str, or: &[&str]) -> Verdict {
    match seen {
        Some(found) if found == value || or.contains(&found) => Verdict::Holds,
        Some(found) => Verdict::Differs {
            found: found.to_owned(),
        },
        None => Verdict::Missing,
    }
}

fn guard_verdict(ruleset: &Ruleset, chains: &[Chain]) -> Verdict {
    let wrong = |chain: &&Chain| !ruleset.has(chain);
    match chains.iter().find(wrong) {
        None => Verdict::Holds,
        Some(chain) if ruleset.names().any(|name| name == chain.name) => Verdict::Differs {
            found: format!("chain {} has other rules", chain.name),
        },
        Some(_) => Verdict::Missing,
    }
}

/// Whether a look-up or the list shows a route.
fn route_is_seen(seen: &Observed, side: Side, route: &Route, witness: Option<Lookup>) -> bool {
    let looked = witness.and_then(|witness| seen.lookup(side, witness));
    let shown =
        looked.is_some_and(|record| record.table() == Some(route.table) && route.is(record));
    // In another table too, where that was asked for.
    let tables = [route.table, TableId::ALL].into_iter();
    let mut listed =
        tables.filter_map(|table| seen.routes(side, route.family(), table, &route.dev));
    shown || listed.any(|listed| listed.iter().any(|record| route.is(record)))
}

/// Whether the list shows a rule; where the list was not asked for, whether the look-up ends in its table.
fn rule_is_seen(seen: &Observed, rule: &Rule, witness: Lookup) -> bool {
    match seen.rules(rule.family(), rule.pref) {
        Some(listed) => listed.iter().any(|record| rule.is(record)),
        None => seen
            .lookup(Side::Host, witness)
            .is_some_and(|record| record.table() == Some(rule.lookup)),
    }
}

fn address_verdict(seen: Option<&LinkRecord>, address: IpNetwork) -> Verdict {
    let failed = |record: &LinkRecord| {
        record
            .addr_info
            .iter()
            .any(|seen| seen.local == address.ip() && seen.dadfailed)
    };
    match seen {
        Some(record) if failed(record) => Verdict::Differs {
            found: "another host on the network has the same address (dadfailed)".to_owned(),
        },
        Some(record) => holds(record.has_address(address)),
        None => Verdict::Missing,
    }
}

fn holds(holds: bool) -> Verdict {
    if holds {
        Verdict::Holds
    } else {
        Verdict::Missing
    }
}
