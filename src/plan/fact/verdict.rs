//! Whether facts hold by what was seen of them.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::Verdict;
use crate::ip::link::LinkRecord;
use crate::ip::neigh::NeighRecord;
use crate::ip::route::{Lookup, Route};
use crate::ip::rule::Rule;
use crate::ip::{IfName, Mac, TableId};
use crate::nft::{Chain, Ruleset};
use crate::plan::{Observed, Side};

/// A device's verdict from its differences, and whether these can be set back.
pub(super) fn judge(
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
pub(super) fn peer_verdict(seen: &Observed, dev: &IfName, to: IpAddr, listed: bool) -> Verdict {
    holds(seen.floods_to(dev, to).is_none_or(|told| told == listed))
}

pub(super) fn neighbour_verdict(seen: Option<&NeighRecord>, mac: Mac) -> Verdict {
    match seen {
        Some(record) if record.is_fixed_at(mac) => Verdict::Holds,
        Some(record) => Verdict::Differs {
            found: record.shown(),
        },
        None => Verdict::Missing,
    }
}

pub(super) fn sysctl_verdict(seen: Option<&str>, value: &str, or: &[&str]) -> Verdict {
    match seen {
        Some(found) if found == value || or.contains(&found) => Verdict::Holds,
        Some(found) => Verdict::Differs {
            found: found.to_owned(),
        },
        None => Verdict::Missing,
    }
}

pub(super) fn guard_verdict(ruleset: &Ruleset, chains: &[Chain]) -> Verdict {
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
pub(super) fn route_is_seen(
    seen: &Observed,
    side: Side,
    route: &Route,
    witness: Option<Lookup>,
) -> bool {
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
pub(super) fn rule_is_seen(seen: &Observed, rule: &Rule, witness: Lookup) -> bool {
    match seen.rules(rule.family(), rule.pref) {
        Some(listed) => listed.iter().any(|record| rule.is(record)),
        None => seen
            .lookup(Side::Host, witness)
            .is_some_and(|record| record.table() == Some(rule.lookup)),
    }
}

pub(super) fn address_verdict(seen: Option<&LinkRecord>, address: IpNetwork) -> Verdict {
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

pub(super) fn holds(holds: bool) -> Verdict {
    if holds {
        Verdict::Holds
    } else {
        Verdict::Missing
    }
}
