//! What was seen: the answers to the questions that facts ask. Filled by `session`, read here.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::ip::fdb::FdbRecord;
use crate::ip::link::{LinkRecord, MaddrRecord};
use crate::ip::neigh::NeighRecord;
use crate::ip::route::{Lookup, Protocol, RouteRecord};
use crate::ip::rule::RuleRecord;
use crate::ip::sysctl::SysctlKey;
use crate::ip::{Family, IfName, Mac, TableId};
use crate::nft::{Ruleset, Table};
use crate::plan::{Fact, Read, Side};

/// Why an answer cannot be taken.
#[derive(Debug, thiserror::Error)]
#[error("`{command}` printed what cannot be read: {why}")]
pub struct AnswerError {
    /// The pasteable command.
    pub command: String,
    /// What the reader says.
    pub why: String,
}

/// The answers so far. What was never asked is not here, which is not the same as "not there".
#[derive(Debug, Clone, Default)]
pub struct Observed {
    links: BTreeMap<(Side, IfName), Option<LinkRecord>>,
    vxlans: Vec<LinkRecord>,
    macvlans: Vec<LinkRecord>,
    routes: BTreeMap<(Side, Family, TableId, IfName), Vec<RouteRecord>>,
    claims: Vec<RouteRecord>,
    lookups: BTreeMap<(Side, Lookup), Option<RouteRecord>>,
    sources: BTreeMap<(IpAddr, IfName), Option<IpAddr>>,
    neighbours: BTreeMap<(Side, IfName, IpAddr), Option<NeighRecord>>,
    permanent: BTreeMap<Side, Vec<NeighRecord>>,
    rules: BTreeMap<(Family, u32), Vec<RuleRecord>>,
    maddr: BTreeMap<IfName, Option<MaddrRecord>>,
    floods: BTreeMap<IfName, Option<FdbRecord>>,
    fdb: BTreeMap<IfName, Vec<FdbRecord>>,
    vteps: BTreeMap<(IfName, Mac), Option<IpAddr>>,
    learnt: Vec<String>,
    rulesets: BTreeMap<Table, Ruleset>,
    asked: BTreeSet<Read>,
    sysctls: BTreeMap<(Side, SysctlKey), Option<String>>,
    supposed: Vec<Fact>,
    left: Vec<u32>,
}

impl Observed {
    /// Takes the answer to a question: the document printed, or none where it is not there.
    ///
    /// # Errors
    /// [`AnswerError`] when the document is not what that command prints.
    pub fn take(&mut self, read: &Read, document: Option<Value>) -> Result<(), AnswerError> {
        self.asked.insert(read.clone());
        match read {
            Read::Addr(side, dev) | Read::Link(side, dev) => {
                let seen: Vec<LinkRecord> = decode(read, document)?;
                // `addr show` of a device whose addresses are all filtered away prints `[{}]`-less lists.
                self.merge((*side, dev.clone()), seen.into_iter().next());
            }
            Read::Routes(side, family, table, dev) => {
                self.routes.insert(
                    (*side, *family, *table, dev.clone()),
                    decode(read, document)?,
                );
            }
            Read::Lookup(side, wanted) => {
                let seen: Vec<RouteRecord> = decode(read, document)?;
                self.lookups
                    .insert((*side, *wanted), seen.into_iter().next());
            }
            Read::Source(to, dev) => {
                let seen: Vec<RouteRecord> = decode(read, document)?;
                let source = seen.into_iter().next().and_then(|route| route.prefsrc);
                self.sources.insert((*to, dev.clone()), source);
            }
            Read::Neigh(side, dev, address) => {
                let seen: Vec<NeighRecord> = decode(read, document)?;
                self.take_neighbour((*side, dev.clone(), *address), seen.into_iter().next());
            }
            Read::Permanent(side) => drop(self.permanent.insert(*side, decode(read, document)?)),
            Read::Nft(table) => {
                self.rulesets
                    .insert(table.clone(), ruleset(read, table, document)?);
            }
            Read::Sysctl(side, key) => {
                let value = document.and_then(|value| value.as_str().map(str::to_owned));
                self.sysctls.insert((*side, key.clone()), value);
            }
            _ => self.take_of_host(read, document)?,
        }
        Ok(())
    }

    /// Takes the answer to a question that is asked of the host alone.
    fn take_of_host(&mut self, read: &Read, document: Option<Value>) -> Result<(), AnswerError> {
        match read {
            Read::Claims(_, table, protocol) => {
                // What the question names, the answer leaves out.
                let named = |record| RouteRecord {
                    table: Some(table.to_string()),
                    protocol: Some(Protocol::Number(*protocol)),
                    ..record
                };
                let seen: Vec<RouteRecord> = decode(read, document)?;
                self.claims.extend(seen.into_iter().map(named));
            }
            Read::Rules(family, pref) => {
                self.rules.insert((*family, *pref), decode(read, document)?);
            }
            Read::Maddr(dev) => {
                let seen: Vec<MaddrRecord> = decode(read, document)?;
                self.maddr.insert(dev.clone(), seen.into_iter().next());
            }
            Read::Flood(dev) => {
                let seen: Vec<FdbRecord> = decode(read, document)?;
                self.floods.insert(dev.clone(), seen.into_iter().next());
            }
            Read::Fdb(dev) => drop(self.fdb.insert(dev.clone(), decode(read, document)?)),
            Read::Vtep(dev, mac) => {
                let seen: Vec<FdbRecord> = decode(read, document)?;
                let vtep = seen.into_iter().find_map(|record| record.dst);
                self.vteps.insert((dev.clone(), *mac), vtep);
            }
            Read::Vxlans => self.vxlans = decode(read, document)?,
            Read::Macvlans => self.macvlans = decode(read, document)?,
            Read::Links => self.take_links(decode(read, document)?),
            Read::Learnt => {
                let seen: Vec<RouteRecord> = decode(read, document)?;
                let devices = seen.into_iter().filter_map(|route| route.dev);
                self.learnt.extend(devices);
            }
            Read::Dynamic => {
                let seen: Vec<LinkRecord> = decode(read, document)?;
                let seen = seen.into_iter().filter(|link| !link.addr_info.is_empty());
                self.learnt.extend(seen.map(|link| link.ifname));
            }
            // Those of both sides, taken already.
            Read::Addr(..)
            | Read::Link(..)
            | Read::Routes(..)
            | Read::Lookup(..)
            | Read::Source(..)
            | Read::Neigh(..)
            | Read::Permanent(..)
            | Read::Nft(..)
            | Read::Sysctl(..) => {}
        }
        Ok(())
    }

    /// A name that is none to us is none that an attachment has.
    fn take_links(&mut self, links: Vec<LinkRecord>) {
        for link in links {
            for name in link.names().filter_map(|name| IfName::new(name).ok()) {
                self.merge((Side::Pod, name), Some(link.clone()));
            }
        }
    }

    /// Asked several times in a row, what was answered once stays so.
    fn take_neighbour(&mut self, key: (Side, IfName, IpAddr), seen: Option<NeighRecord>) {
        let told = |record: &NeighRecord| record.answered().is_some();
        let before = self.neighbours.remove(&key).flatten();
        let before = before.filter(|before| told(before) && !seen.as_ref().is_some_and(told));
        self.neighbours.insert(key, before.or(seen));
    }

    /// Puts what two commands tell of one device together.
    fn merge(&mut self, key: (Side, IfName), seen: Option<LinkRecord>) {
        let merged = match (self.links.remove(&key).flatten(), seen) {
            (Some(before), Some(mut now)) => {
                now.inet6_addr_gen_mode = now.inet6_addr_gen_mode.or(before.inet6_addr_gen_mode);
                if now.addr_info.is_empty() {
                    now.addr_info = before.addr_info;
                }
                Some(now)
            }
            (_, now) => now,
        };
        self.links.insert(key, merged);
    }

    /// Adds later answers; the later one counts.
    pub fn absorb(&mut self, later: Self) {
        self.links.extend(later.links);
        if !later.vxlans.is_empty() {
            self.vxlans = later.vxlans;
        }
        if !later.macvlans.is_empty() {
            self.macvlans = later.macvlans;
        }
        self.routes.extend(later.routes);
        self.claims.extend(later.claims);
        self.lookups.extend(later.lookups);
        self.sources.extend(later.sources);
        self.neighbours.extend(later.neighbours);
        self.permanent.extend(later.permanent);
        self.rules.extend(later.rules);
        self.maddr.extend(later.maddr);
        self.floods.extend(later.floods);
        self.fdb.extend(later.fdb);
        self.vteps.extend(later.vteps);
        self.learnt.extend(later.learnt);
        self.rulesets.extend(later.rulesets);
        self.asked.extend(later.asked);
        self.sysctls.extend(later.sysctls);
        // A later one supposes all that one before it did.
        if later.supposed.len() > self.supposed.len() {
            self.supposed = later.supposed;
        }
        if later.left.len() > self.left.len() {
            self.left = later.left;
        }
    }

    /// Takes facts for true that a dry run would have made so, and as many macvlans for gone from the vxlans of these
    /// numbers.
    pub fn suppose(&mut self, made: Vec<Fact>, left: &[u32]) {
        self.supposed = made;
        self.left = left.to_vec();
    }

    /// Whether a dry run would have made it so.
    pub fn is_supposed(&self, fact: &Fact) -> bool {
        self.supposed.iter().any(|made| fact.follows_from(made))
    }

    /// A device, if it was seen.
    pub fn link(&self, side: Side, dev: &IfName) -> Option<&LinkRecord> {
        self.links.get(&(side, dev.clone()))?.as_ref()
    }

    /// The devices of one side that were seen.
    pub fn links(&self, side: Side) -> impl Iterator<Item = &LinkRecord> {
        let named = self.links.iter().filter(move |((of, _), _)| *of == side);
        let listed = self.macvlans.iter().filter(move |_| side == Side::Pod);
        named.filter_map(|(_, link)| link.as_ref()).chain(listed)
    }

    /// The vxlan devices of the host, if that was asked.
    pub fn vxlans(&self) -> &[LinkRecord] {
        &self.vxlans
    }

    /// The macvlans of the container, if that was asked.
    pub fn macvlans(&self) -> &[LinkRecord] {
        &self.macvlans
    }

    /// The routes of a table over a device; `None` where they were not asked for.
    pub fn routes(
        &self,
        side: Side,
        family: Family,
        table: TableId,
        dev: &IfName,
    ) -> Option<&[RouteRecord]> {
        self.routes
            .get(&(side, family, table, dev.clone()))
            .map(Vec::as_slice)
    }

    /// The routes of the protocols that were asked for.
    pub fn claims(&self) -> &[RouteRecord] {
        &self.claims
    }

    /// The route the kernel would take, if it was asked and there is one.
    pub fn lookup(&self, side: Side, wanted: Lookup) -> Option<&RouteRecord> {
        self.lookups.get(&(side, wanted))?.as_ref()
    }

    /// Who has an address on a device, as far as the kernel knows.
    pub fn neighbour(&self, side: Side, dev: &IfName, address: IpAddr) -> Option<&NeighRecord> {
        self.neighbours.get(&(side, dev.clone(), address))?.as_ref()
    }

    /// The neighbours that were set by hand, if that was asked.
    pub fn permanent(&self, side: Side) -> &[NeighRecord] {
        self.permanent.get(&side).map_or(&[], Vec::as_slice)
    }

    /// The rules of a family at one place; `None` where they were not asked for.
    pub fn rules(&self, family: Family, pref: u32) -> Option<&[RuleRecord]> {
        self.rules.get(&(family, pref)).map(Vec::as_slice)
    }

    /// Who listens through a device, if that was asked and it is there.
    pub fn maddr(&self, dev: &IfName) -> Option<&MaddrRecord> {
        self.maddr.get(dev)?.as_ref()
    }

    /// How many macvlans listen through a device, if that was asked and it is there.
    pub fn listeners(&self, dev: &IfName) -> Option<u32> {
        let listeners = self.maddr(dev)?.listeners();
        let number = self.link(Side::Host, dev).map(|link| link.ifindex);
        let left = self.left.iter().filter(|below| Some(**below) == number);
        Some(listeners.saturating_sub(u32::try_from(left.count()).unwrap_or(u32::MAX)))
    }

    /// Where a vxlan device sends what it has not learnt, if that was asked.
    pub fn flood(&self, dev: &IfName) -> Option<&FdbRecord> {
        self.floods.get(dev)?.as_ref()
    }

    /// Where a vxlan device sends what, if that was asked.
    pub fn fdb(&self, dev: &IfName) -> &[FdbRecord] {
        self.fdb.get(dev).map_or(&[], Vec::as_slice)
    }

    /// Whether a vxlan device sends what it has not learnt to a VTEP, among others; `None` where that was not asked.
    pub fn floods_to(&self, dev: &IfName, vtep: IpAddr) -> Option<bool> {
        let asked = self.was_asked(&Read::Fdb(dev.clone())) || self.link(Side::Host, dev).is_none();
        asked.then(|| self.fdb(dev).iter().any(|entry| entry.floods_to(vtep)))
    }

    /// The VTEP behind which a MAC is, if that was asked and is known.
    pub fn vtep(&self, dev: &IfName, mac: Mac) -> Option<IpAddr> {
        self.vteps.get(&(dev.clone(), mac)).copied().flatten()
    }

    /// The devices of the host that have learnt from a router's advertisement, as far as was asked.
    pub fn learnt(&self) -> &[String] {
        &self.learnt
    }

    /// A table of ours in the packet filter; `None` where that was not asked.
    pub fn ruleset(&self, table: &Table) -> Option<&Ruleset> {
        self.rulesets.get(table)
    }

    /// Whether a question was answered, be it by "not there".
    pub fn was_asked(&self, read: &Read) -> bool {
        self.asked.contains(read)
    }

    /// The address that the host would send from; `None` where that was not asked, `Some(None)` where it has none.
    pub fn source(&self, to: IpAddr, dev: &IfName) -> Option<Option<IpAddr>> {
        self.sources.get(&(to, dev.clone())).copied()
    }

    /// Whether a switch was looked for and is not there.
    pub fn lacks(&self, side: Side, key: &SysctlKey) -> bool {
        self.sysctls.get(&(side, key.clone())) == Some(&None)
    }

    /// A switch; `None` where it is not there or was not asked for.
    pub fn sysctl(&self, side: Side, key: &SysctlKey) -> Option<&str> {
        self.sysctls.get(&(side, key.clone()))?.as_deref()
    }
}

/// Reads what `nft` lists; none is a table that is not there.
fn ruleset(read: &Read, table: &Table, document: Option<Value>) -> Result<Ruleset, AnswerError> {
    let Some(document) = document else {
        return Ok(Ruleset::default());
    };
    Ruleset::read(&document, table).ok_or_else(|| AnswerError {
        command: read.command().to_string(),
        why: "it is no list of nftables".to_owned(),
    })
}

/// Reads a document of a command; none is an empty list.
fn decode<T: DeserializeOwned>(
    read: &Read,
    document: Option<Value>,
) -> Result<Vec<T>, AnswerError> {
    let Some(document) = document else {
        return Ok(Vec::new());
    };
    let wrong = |why: String| AnswerError {
        command: read.command().to_string(),
        why,
    };
    let Value::Array(items) = document else {
        return Err(wrong("it is no list".to_owned()));
    };
    // `ip` prints `{}` in place of what its own filter left out.
    let told = |item: &Value| item.as_object().is_none_or(|object| !object.is_empty());
    let item = |item| {
        serde_json::from_value(item).map_err(|error: serde_json::Error| wrong(error.to_string()))
    };
    items.into_iter().filter(told).map(item).collect()
}
