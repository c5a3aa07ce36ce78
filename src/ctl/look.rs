//! A look at the node: every fact of every record, and whether it holds. Changes nothing.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::node::{Node, OnNode, State};
use crate::cni::{CniError, CniResult, Version};
use crate::config::Network;
use crate::exec::System;
use crate::ip::link::Vxlan;
use crate::ip::neigh::NeighRecord;
use crate::ip::{IfName, Netns};
use crate::journal::Journal;
use crate::ops::facts::{Facts, Promised};
use crate::ops::host_side::HostSide;
use crate::ops::namespace_inode;
use crate::plan::{self, Fact, Observed, Probe, Read, Side, Verdict, host};
use crate::session::{Asked, Session};
use crate::store::{Attachment, Store};

/// How many containers are looked at side by side.
const SIDE_BY_SIDE: usize = 8;

/// Where libcni keeps what it was told of an attachment (libcni, `CacheDir`).
const RESULTS: &str = "/var/lib/cni/results";

/// A fact and whether it holds.
pub type Judged = (Fact, Verdict);

/// A journal for what only looks.
pub fn no_journal() -> Journal {
    Journal::new(Path::new("/dev/null"), "", "")
}

/// Session that work on the node alone.
pub fn session<'a>(system: &'a System, journal: &'a Journal) -> Session<'a> {
    Session::new(system, journal, &Netns::Own)
}

/// Judges facts by what was seen.
pub fn judge(facts: Vec<Fact>, seen: &Observed) -> Vec<Judged> {
    let judged = facts.into_iter().map(|fact| {
        let verdict = fact.verdict(seen);
        (fact, verdict)
    });
    judged.collect()
}

/// Those of facts that can be seen: without `nft` none of the packet filter.
pub fn seen(mut facts: Vec<Fact>, has_nft: bool) -> Vec<Fact> {
    facts.retain(|fact| has_nft || !matches!(fact, Fact::Guard { .. }));
    facts
}

/// The questions about a network's host side: its facts, who listens, and which other vxlans there are.
pub fn host_reads(side: &HostSide) -> Vec<Read> {
    let network = &side.network;
    let mut reads = side.reads(Probe::List);
    reads.extend(plan::reads(
        &host::listed(network, &Observed::default()),
        Probe::List,
    ));
    reads.extend([Read::Maddr(network.vx.clone()), Read::Vxlans]);
    reads.sort();
    reads.dedup();
    reads
}

/// The facts of a network's host side, those that another program tells behind the others.
///
/// # Errors
/// When the underlay is not there or too small.
pub fn host_facts(side: &HostSide, seen: &Observed) -> Result<Vec<Fact>, CniError> {
    let mut facts = side.facts(seen)?;
    facts.extend(host::listed(&side.network, seen));
    Ok(facts)
}

/// The most entries of a vxlan device that are listed: four times what a device has by default.
pub const LISTED: u32 = 4 * Vxlan::MAXADDRESS;

/// Adds what a network's device has learnt, where its limit bounds that: a pod that makes MACs up grows the list, and a
/// list without an end holds up every look at the node.
///
/// # Errors
/// As [`Session::observe`].
pub fn list_learnt(
    session: &Session<'_>,
    network: &Network,
    mut seen: Observed,
) -> Result<Observed, CniError> {
    let limit = seen.link(Side::Host, &network.vx);
    let limit = limit.map_or(0, |link| link.data().limit);
    if (1..=LISTED).contains(&limit) {
        seen.absorb(session.observe(vec![Read::Fdb(network.vx.clone())])?);
    }
    Ok(seen)
}

/// Whether what a network's device has learnt was listed.
pub fn is_listed(network: &Network, seen: &Observed) -> bool {
    seen.was_asked(&Read::Fdb(network.vx.clone()))
}

/// One container that is attached, with what it takes to look at it.
pub struct Attached<'a> {
    /// Its record.
    pub record: &'a Attachment,
    /// Its network as it was then.
    pub network: &'a Network,
    /// Its network as it is on this node.
    pub side: &'a HostSide,
    /// Its namespace; none where it has gone, or is another container's by now.
    pub netns: Option<Netns>,
    /// The vxlan's MTU before it was mended, where it was.
    pub parents_mtu: Option<u32>,
    /// Whether its packet filter can be looked at.
    pub has_nft: bool,
}

/// What was found of one container.
pub struct Found<'a> {
    /// The container.
    pub of: &'a Attached<'a>,
    /// Its facts, or why they cannot be seen.
    pub facts: Result<Vec<Judged>, CniError>,
    /// The neighbours that were set by hand in it.
    pub permanent: Vec<NeighRecord>,
}

impl<'a> Attached<'a> {
    /// Everybody on a network.
    pub fn of(store: &Store, on: &'a OnNode) -> Vec<Self> {
        let attached = |state: &'a State| match state {
            State::Whole(record, network) => Some(Self {
                record,
                network,
                side: on.side.as_ref()?,
                netns: netns(store, record),
                parents_mtu: None,
                has_nft: true,
            }),
            _ => None,
        };
        let all = on.attachments.iter();
        all.filter_map(|one| attached(&one.state)).collect()
    }

    /// Everybody on the node.
    pub fn all(node: &'a Node) -> Vec<Self> {
        let networks = node.networks.iter();
        networks
            .flat_map(|network| Self::of(&node.store, network))
            .collect()
    }

    /// Pod, where it is known, and `CONTAINER/IFNAME`.
    pub fn shown(&self) -> String {
        shown(self.record)
    }

    /// What must hold for it.
    ///
    /// # Errors
    /// When the record is not whole.
    pub fn facts(&self) -> Result<Facts<'_>, CniError> {
        let facts = Facts::of(self.record, self.network, self.side, promised(self.record))?;
        Ok(facts.with_parents_mtu(self.parents_mtu))
    }

    /// Looks closely at it, with what was seen of the node.
    ///
    /// # Errors
    /// When it cannot be seen.
    pub fn look(&self, session: &Session<'_>, host: &Observed) -> Result<Observed, CniError> {
        let mut seen = host.clone();
        seen.absorb(session.observe(self.reads(Probe::List)?)?);
        Ok(seen)
    }

    fn reads(&self, probe: Probe) -> Result<Vec<Read>, CniError> {
        let mut reads = self.facts()?.own_reads(probe);
        reads.push(Read::Permanent(Side::Pod));
        reads.retain(|read| read.side() == Side::Pod);
        reads.retain(|read| self.has_nft || !matches!(read, Read::Nft(_)));
        reads.sort();
        reads.dedup();
        Ok(reads)
    }

    /// Judges by look-ups, and where these leave something open, by lists.
    fn judge(
        &self,
        session: &Session<'_>,
        answers: Result<Observed, CniError>,
        host: &Observed,
    ) -> Result<Vec<Judged>, CniError> {
        let mut seen = host.clone();
        match answers {
            Ok(looked_up) => seen.absorb(looked_up),
            Err(_) => return self.judge_closely(session, host),
        }
        let facts = self::seen(self.facts()?.own(&seen)?, self.has_nft);
        if plan::broken(&facts, &seen).is_empty() {
            return Ok(judge(facts, &seen));
        }
        self.judge_closely(session, host)
    }

    fn judge_closely(
        &self,
        session: &Session<'_>,
        host: &Observed,
    ) -> Result<Vec<Judged>, CniError> {
        let seen = self.look(session, host)?;
        let facts = self::seen(self.facts()?.own(&seen)?, self.has_nft);
        Ok(judge(facts, &seen))
    }
}

/// `NAMESPACE/POD CONTAINER/IFNAME`, as an operator finds it.
pub fn shown(record: &Attachment) -> String {
    match &record.pod {
        Some(pod) => format!("{pod} {}", record.id()),
        None => record.id(),
    }
}

/// The namespace of a container, while it is still its own.
fn netns(store: &Store, record: &Attachment) -> Option<Netns> {
    let same = namespace_inode(Path::new(&record.netns)) == Some(record.inode);
    let anothers = store.is_anothers(
        record.inode,
        &record.container,
        &record.ifname,
        &record.moment(),
    );
    let own = same && anothers.is_ok_and(|anothers| !anothers);
    own.then(|| Netns::from_path(&record.netns).ok()).flatten()
}

/// Looks at many containers, several at a time; `tell` hears of each that is done.
pub fn look_at<'a>(
    system: &System,
    attached: &'a [Attached<'a>],
    host: impl Fn(&IfName) -> Option<&'a Observed>,
    mut tell: impl FnMut(&Attached<'_>),
) -> Vec<Found<'a>> {
    let journal = no_journal();
    let mut found = Vec::new();
    for wave in attached.chunks(SIDE_BY_SIDE) {
        let started: Vec<_> = wave
            .iter()
            .filter_map(|one| {
                let session = Session {
                    pod: one.netns.as_ref()?,
                    ..session(system, &journal)
                };
                let asked = one
                    .reads(Probe::Lookup)
                    .and_then(|reads| session.ask(reads));
                Some((one, session, asked, host(&one.network.vx)?))
            })
            .collect();
        for (one, session, asked, host) in started {
            let answers = asked.and_then(Asked::answers);
            let permanent = answers
                .as_ref()
                .map(|seen| seen.permanent(Side::Pod).to_vec());
            found.push(Found {
                of: one,
                permanent: permanent.unwrap_or_default(),
                facts: one.judge(&session, answers, host),
            });
            tell(one);
        }
    }
    found
}

/// What the runtime keeps of an attachment: a later plugin may have changed the interface, and said so.
fn promised(record: &Attachment) -> Promised {
    let name = format!("{}-{}-{}", record.name, record.container, record.ifname);
    let file = PathBuf::from(RESULTS).join(name);
    let read = || {
        let cached: Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
        let result = &cached["result"];
        let version = Version::of(result["cniVersion"].as_str()?)?;
        CniResult::from_json(result, version).ok()
    };
    let result: Option<CniResult> = read();
    result.map_or_else(Promised::default, |result| {
        Promised::of(&result, &record.netns, &record.ifname)
    })
}
