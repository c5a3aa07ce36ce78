//! What an operator sees of the claims: every owner record beside what the kernel has.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::config::Ipam;
use super::lost;
use super::owners::{Held, Owners};
use super::search::preferred;
use crate::cni::{Args, CniError};
use crate::config::Config;
use crate::conflist::Wanted;
use crate::ip::route::{Lookup, Route, RouteRecord};
use crate::ip::{Family, IfName};
use crate::lease;
use crate::plan::{Observed, Read, Side};
use crate::session::Session;
use crate::store::{Attachment, boot_id};

/// Which configurations concern this IPAM: those that name it, for one network or for all.
pub const WANTED: Wanted = Wanted {
    words: "type vxlan or ipam.type route-table",
    is: |plugin| plugin["type"] == "vxlan" || is_ours(&plugin["ipam"]),
};

fn is_ours(ipam: &Value) -> bool {
    ipam["type"] == "route-table"
}

/// What is to be told of the claims of one folder.
#[derive(Debug)]
pub struct Ledger {
    /// The owner records, by address.
    pub entries: Vec<Entry>,
    /// Claims on this node's devices without an owner record.
    pub orphans: Vec<RouteRecord>,
}

/// One owner record beside what the kernel has.
#[derive(Debug)]
pub struct Entry {
    /// The address and its owner.
    pub held: Held,
    /// Whether its claim is in the table.
    pub claim: Claimed,
    /// The route that the kernel prefers to the claim: another node's.
    pub elsewhere: Option<RouteRecord>,
}

/// What has become of a recorded claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimed {
    /// It is in the table.
    Ok,
    /// It is not.
    Missing,
    /// It went with an earlier boot.
    EarlierBoot,
    /// The record is cut short, so its owner is unknown.
    Unreadable,
    /// It is in the table and an attachment has the address, but the record is gone.
    Unrecorded,
    /// It is in the table and its address answers, but no record tells of it.
    Answering,
}

impl Claimed {
    /// As one word: docs/json.md.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Missing => "missing",
            Self::EarlierBoot => "stale_boot",
            Self::Unreadable => "unreadable",
            Self::Unrecorded | Self::Answering => "unrecorded",
        }
    }
}

/// The IPAM configurations of a plugin's that are this IPAM's, one for each folder of records.
pub fn ipams(config: &Value) -> Vec<Ipam> {
    let mut parts: Vec<Value> = Vec::new();
    if config["type"] == "vxlan" {
        let read = Config::read_leniently(config);
        let each = read.networks.iter();
        parts.extend(each.map(|network| lease::ipam(read.ipam.as_ref(), network)));
    }
    parts.push(config["ipam"].clone());
    let mut ipams: Vec<Ipam> = Vec::new();
    for part in parts.iter().filter(|part| is_ours(part)) {
        let ipam = Ipam::of(&lease::config(config, part, &[]), &Args::default());
        let same = |other: &Ipam| {
            (&other.data_dir, other.protocol, other.table)
                == (&ipam.data_dir, ipam.protocol, ipam.table)
        };
        match ipams.iter_mut().find(|other| same(other)) {
            // One folder for several networks: a claim in any of their pools is one of this folder's.
            Some(known) => known.pools.extend(ipam.pools),
            None => ipams.push(ipam),
        }
    }
    ipams
}

impl Ledger {
    /// Reads the records and what the kernel has of them.
    ///
    /// # Errors
    /// When either cannot be read.
    pub fn read(session: &Session<'_>, ipam: &Ipam) -> Result<Self, CniError> {
        let owners = Owners::new(&ipam.data_dir);
        let claimed = owners.claimed()?;
        let seen = look(session, ipam, &claimed)?;
        // Read again: a claim whose record was written meanwhile is no orphan.
        let known: Vec<_> = owners.claimed()?.iter().map(|held| held.address).collect();
        let is_known = |record: &RouteRecord| {
            let address = address(record);
            address.is_none_or(|address| known.contains(&address))
        };
        let orphans = seen.claims().iter().filter(|record| is_here(ipam, record));
        let orphans = orphans.filter(|record| !is_known(record)).cloned();
        let boot = boot_id();
        let entries = claimed.into_iter();
        let mut ledger = Self {
            entries: entries.map(|held| Entry::of(held, &seen, &boot)).collect(),
            orphans: orphans.collect(),
        };
        ledger.tell_lost_from_orphaned(ipam)?;
        ledger.tell_alive_from_orphaned(session, ipam)?;
        Ok(ledger)
    }

    /// Nor is it one where the address answers on the claim's device: as of a pod that the original started.
    fn tell_alive_from_orphaned(
        &mut self,
        session: &Session<'_>,
        ipam: &Ipam,
    ) -> Result<(), CniError> {
        let routes = self
            .orphans
            .iter()
            .filter_map(|orphan| route_of(orphan, ipam));
        let asked: Vec<_> = routes.map(|route| (route.dst.ip(), route.dev)).collect();
        let alive = lost::answering(session, &asked)?;
        let is_alive =
            |orphan: &RouteRecord| address(orphan).is_some_and(|own| alive.contains(&own));
        self.orphans.retain(|orphan| !is_alive(orphan));
        self.entries.extend(alive.iter().map(|address| Entry {
            held: Held {
                address: *address,
                owner: None,
            },
            claim: Claimed::Answering,
            elsewhere: None,
        }));
        Ok(())
    }

    /// A claim without a record is no orphan where an attachment has the address.
    fn tell_lost_from_orphaned(&mut self, ipam: &Ipam) -> Result<(), CniError> {
        if self.orphans.is_empty() {
            return Ok(());
        }
        let leased = lost::leased(ipam)?;
        let orphans = std::mem::take(&mut self.orphans);
        for orphan in orphans {
            let route = route_of(&orphan, ipam);
            let its = |(leased, _): &&(IpAddr, Attachment)| Some(*leased) == address(&orphan);
            match (leased.iter().find(its), route) {
                (Some((address, attachment)), Some(route)) => self.entries.push(Entry {
                    held: Held {
                        address: *address,
                        owner: Some(lost::owner(attachment, route)),
                    },
                    claim: Claimed::Unrecorded,
                    elsewhere: None,
                }),
                _ => self.orphans.push(orphan),
            }
        }
        Ok(())
    }
}

/// The claims of both families and, for each address on record, what the kernel prefers.
fn look(session: &Session<'_>, ipam: &Ipam, claimed: &[Held]) -> Result<Observed, CniError> {
    let claims =
        [Family::V4, Family::V6].map(|family| Read::Claims(family, ipam.table, ipam.protocol));
    let look = |held: &Held| Read::Lookup(Side::Host, Lookup::to(held.address));
    let reads = claims.into_iter().chain(claimed.iter().map(look));
    session.observe(reads.collect())
}

/// Whether a route is a claim of this node's: on a device of it, to an address of a pool.
fn is_here(ipam: &Ipam, record: &RouteRecord) -> bool {
    let of_pool = |address| ipam.pools.iter().any(|pool| pool.range(address).is_some());
    let direct = record.gateway.is_none() && record.nexthops.is_empty();
    direct && address(record).is_some_and(of_pool)
}

/// The route that a record of the table shows, as it is asked for.
pub fn route_of(record: &RouteRecord, ipam: &Ipam) -> Option<Route> {
    let dev = IfName::new(record.dev.as_deref()?).ok()?;
    Some(Route {
        metric: record.metric,
        protocol: Some(ipam.protocol),
        table: ipam.table,
        ..Route::new(address(record)?.into(), None, &dev)
    })
}

/// The one address that a claim leads to; none for a route to several.
pub fn address(record: &RouteRecord) -> Option<IpAddr> {
    // `default` is the only destination that does not tell its family, and leads to many.
    let dst = record.destination(Family::V4)?;
    (dst.prefix() == Family::of(dst.ip()).host_prefix()).then_some(dst.ip())
}

impl Entry {
    fn of(held: Held, seen: &Observed, boot: &str) -> Self {
        let claim = match &held.owner {
            None => Claimed::Unreadable,
            Some(owner) if owner.boot != boot => Claimed::EarlierBoot,
            Some(owner) if seen.claims().iter().any(|record| owner.route.is(record)) => Claimed::Ok,
            Some(_) => Claimed::Missing,
        };
        // An address that the node itself has is not claimed elsewhere.
        let elsewhere =
            preferred(&held, seen).filter(|record| record.kind.as_deref() != Some("local"));
        Self {
            held,
            claim,
            elsewhere,
        }
    }

    /// As one word, whether another node claims it too among them: docs/json.md.
    pub fn state(&self) -> &'static str {
        match &self.elsewhere {
            Some(_) => "claimed_elsewhere",
            None => self.claim.as_str(),
        }
    }

    /// Whether everything is as it should be.
    pub fn is_well(&self) -> bool {
        matches!(self.claim, Claimed::Ok | Claimed::Answering) && self.elsewhere.is_none()
    }

    /// As an object: `address`, `claim`, `elsewhere` (a route in the words of `ip route`, or null), and,
    /// where the record can be read, `pod`, `container`, `ifname`, `network` (the CNI network's name),
    /// `since` (RFC 3339), `device`.
    pub fn to_json(&self) -> Value {
        let mut value = json!({
            "address": self.held.address,
            "claim": self.claim.as_str(),
            "elsewhere": self.elsewhere.as_ref().map(RouteRecord::shown),
        });
        if let (Some(owner), Some(object)) = (&self.held.owner, value.as_object_mut()) {
            let more = [
                ("pod", json!(owner.pod)),
                ("container", json!(owner.container)),
                ("ifname", json!(owner.ifname)),
                ("network", json!(owner.name)),
                ("since", json!(owner.since)),
                ("device", json!(owner.route.dev)),
            ];
            object.extend(more.map(|(key, value)| (key.to_owned(), value)));
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_that_share_a_folder_share_what_is_looked_at_and_none_is_left_out() {
        let network = |id: u8| {
            json!({"id": id, "name": format!("n{id}"), "cidr": format!("10.{id}.0.1/16"),
                "peers": [], "options": {"vtepdev": "eth0"}})
        };
        let config = json!({"type": "vxlan", "ipam": {"type": "route-table"}, "vxlans": [network(1), network(2)]});
        let found = ipams(&config);
        assert_eq!(found.len(), 1);
        let of_pool = |address: &str| {
            let address: Option<IpAddr> = address.parse().ok();
            found[0]
                .pools
                .iter()
                .any(|pool| address.is_some_and(|address| pool.range(address).is_some()))
        };
        assert!(of_pool("10.1.0.9") && of_pool("10.2.0.9") && !of_pool("10.3.0.9"));
    }
}
