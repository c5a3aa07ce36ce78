//! A MAC on request: refused where it is a gateway's, a pod's of this node, or something on the network answers
//! with it. Only an ADD that asks for one pays: the wire is asked twice, beside the IPAM.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Attempt, Made};
use crate::cni::{CniError, Code};
use crate::config::hosts::addresses_of;
use crate::config::{MacChoice, Network};
use crate::exec::Exec;
use crate::ip::batch::OnError;
use crate::ip::neigh::{self, NeighRecord};
use crate::ip::stderr::Kind;
use crate::ip::sysctl::SysctlKey;
use crate::ip::{Command, Family, IfName, Mac};
use crate::lease;
use crate::ops::namespace_inode;
use crate::plan::container::mac_of_record;
use crate::plan::{Observed, Read, Side, Step};
use crate::session::Session;
use crate::session::line::{Failed, Line};
use crate::store::{Attachment, Found};

/// How long each of two questions waits for an answer: as long as `route-table` does by default.
const WAIT: Duration = Duration::from_millis(100);

/// Rules about a MAC need one that is known, and an IPAM that leases by the link one that no lease tells: then it is drawn
/// here in place of the kernel.
pub(super) fn chosen(network: &Network, ipam: &Value) -> Option<Mac> {
    let drawn = || Mac::local(std::array::from_fn(|_| fastrand::u8(..)));
    let ruled = network.anti_spoof && network.mac == MacChoice::Random;
    (ruled || lease::is_by_the_link(ipam)).then(drawn)
}

/// A question on the wire for a MAC that a pod asks for.
pub(super) struct MacQuestion {
    mac: Mac,
    /// The address that IPv6 makes of the MAC, where the gateway's device has IPv6 to ask with.
    own: Option<IpAddr>,
    /// The addresses of the network from which the MAC would be derived, but for those that the pod asks for.
    derived: Vec<IpAddr>,
    since: Instant,
}

impl Attempt<'_> {
    /// Refuses a MAC that this node knows to be taken, and asks the wire about any other; nothing where none was
    /// asked for.
    ///
    /// # Errors
    /// Code 7 for a gateway's, 11 for one that is taken, and when the wire cannot be asked.
    pub(super) fn ask_for_mac(&self, seen: &Observed, made: &mut Made) -> Result<(), CniError> {
        let Some(mac) = self.asked_mac else {
            return Ok(());
        };
        self.refuse_own_devices(mac, seen)?;
        self.refuse_neighbours(mac)?;
        if let Some(dry) = self.system.dry_run() {
            dry.remark(&format!(
                "beside it the wire is asked twice whether {mac} is taken"
            ));
            return Ok(());
        }
        let question = MacQuestion {
            mac,
            own: self.speaks_ipv6()?.then(|| IpAddr::V6(mac.link_local())),
            derived: self.derived(mac),
            since: Instant::now(),
        };
        // By unicast first: a flood of broadcasts does not drown it.
        let unicast = question
            .own
            .map(|own| self.line(neigh::probe(own, mac, &self.network.mv)));
        let asked = question.derived.clone();
        made.mac = Some(question);
        self.ask(mac, unicast.into_iter().collect(), &asked)
    }

    /// Waits for the answer, asks everybody, and waits again.
    ///
    /// # Errors
    /// Code 11 where something answers, and when the wire cannot be asked.
    pub(super) fn settle_mac(&self, made: &mut Made) -> Result<(), CniError> {
        let Some(question) = &made.mac else {
            return Ok(());
        };
        self.system
            .pause(WAIT.saturating_sub(question.since.elapsed()))?;
        self.refuse_answered(question)?;
        let all: Vec<IpAddr> = question.asked().copied().collect();
        self.ask(question.mac, Vec::new(), &all)?;
        self.system.pause(WAIT)?;
        self.refuse_answered(question)?;
        made.mac = None;
        Ok(())
    }

    /// After an ADD that failed between its questions: takes away what asking leaves. Tells what could not be done.
    pub(super) fn forget_asked(
        &self,
        session: &Session<'_>,
        question: &MacQuestion,
    ) -> Option<String> {
        let lines: Vec<Line> = self.flushes(question).collect();
        if lines.is_empty() {
            return None;
        }
        let outcome = match session.run(lines, OnError::Continue) {
            Err(error) => return Some(error.msg),
            Ok(outcome) => outcome,
        };
        let failed = but_gone(outcome.failures)?;
        Some(
            failed
                .error("the question for the MAC is not forgotten")
                .msg,
        )
    }

    /// The node's own devices of the network: a pod with the MAC of one would take its traffic.
    fn refuse_own_devices(&self, mac: Mac, seen: &Observed) -> Result<(), CniError> {
        let has = |dev: &&IfName| {
            let link = seen.link(Side::Host, dev);
            link.is_some_and(|link| link.address == mac.to_string())
        };
        let Some(dev) = [&self.network.mv, &self.network.vx].into_iter().find(has) else {
            return Ok(());
        };
        let name = &self.network.name;
        let msg = format!(
            "network \"{name}\": the pod asks for the MAC {mac}, which is {dev}'s on this node"
        );
        Err(CniError::new(Code::INVALID_CONFIGURATION, msg)
            .details("ask for another one, or for none"))
    }

    /// The pods of this node, by their records.
    fn refuse_neighbours(&self, mac: Mac) -> Result<(), CniError> {
        for (_, found) in self.store.attachments(&self.network.name)? {
            let Found::Whole(record) = found else {
                continue;
            };
            if record.id() != self.attachment.id() && has(&record, mac) && lives(&record) {
                let pod = record.pod.clone().unwrap_or_else(|| record.id());
                return Err(self.taken(mac, &format!("{pod} of this node has it")));
            }
        }
        Ok(())
    }

    pub(super) fn taken(&self, mac: Mac, who: &str) -> CniError {
        let name = &self.network.name;
        let msg =
            format!("network \"{name}\": the pod asks for the MAC {mac}, which is taken: {who}");
        CniError::new(Code::TRY_AGAIN, msg).details(
            "wait until that one is gone, ask for another MAC, or for none (requestMac: false forbids to ask)",
        )
    }

    /// Whether the gateway's device can ask by IPv6, whatever the network has.
    fn speaks_ipv6(&self) -> Result<bool, CniError> {
        let key = SysctlKey::Device(Family::V6, self.network.mv.clone(), "disable_ipv6");
        let seen = self
            .session
            .host_switches(&[Read::Sysctl(Side::Host, key.clone())])?;
        Ok(seen.sysctl(Side::Host, &key) == Some("0"))
    }

    /// What the IPAM claims for this pod it asks the wire about itself.
    fn derived(&self, mac: Mac) -> Vec<IpAddr> {
        let own = |address: &IpAddr| self.addresses.iter().any(|asked| asked.ip() == *address);
        let cidrs = self.network.cidrs.iter();
        let all = cidrs.filter_map(|cidr| addresses_of(mac, *cidr));
        all.filter(|address| !own(address)).collect()
    }

    fn line(&self, command: Command) -> Line {
        Line::Write(Step {
            side: Side::Host,
            command,
            undo: None,
            makes: Vec::new(),
            because: "what has the MAC that is asked for answers".to_owned(),
        })
    }

    /// Runs lines, then asks everybody for addresses. What is known is forgotten first.
    fn ask(&self, mac: Mac, lines: Vec<Line>, asked: &[IpAddr]) -> Result<(), CniError> {
        let dev = &self.network.mv;
        let each = asked.iter().flat_map(|address| {
            [neigh::forget(*address, dev), neigh::ask(*address, dev)].map(|one| self.line(one))
        });
        let failed = self.failure(lines.into_iter().chain(each).collect())?;
        match failed {
            Some(failed) if neigh::lacks_use(&failed.failure.message) => {
                let each = asked.iter().map(|address| self.without_use(*address, mac));
                refuse_failed(self.failure(each.collect())?)
            }
            failed => refuse_failed(failed),
        }
    }

    /// For an `ip` without `use`: the group of the address that follows from the MAC, or the MAC itself.
    fn without_use(&self, address: IpAddr, mac: Mac) -> Line {
        let dev = &self.network.mv;
        self.line(match address == IpAddr::V6(mac.link_local()) {
            true => neigh::probe_group(address, dev),
            false => neigh::probe(address, mac, dev),
        })
    }

    fn failure(&self, lines: Vec<Line>) -> Result<Option<Failed>, CniError> {
        if lines.is_empty() {
            return Ok(None);
        }
        let outcome = self.session.run(lines, OnError::Continue)?;
        Ok(outcome.failures.into_iter().next())
    }

    /// Takes away what asking leaves.
    fn flushes(&self, question: &MacQuestion) -> impl Iterator<Item = Line> {
        let dev = &self.network.mv;
        let asked = question.asked();
        asked.map(move |address| self.line(neigh::flush(*address, dev)))
    }

    /// Reads the answers, takes away what asking leaves, and refuses where something answered.
    fn refuse_answered(&self, question: &MacQuestion) -> Result<(), CniError> {
        let dev = &self.network.mv;
        let asked = question.asked();
        let reads = asked.map(|address| Line::Read(Read::Neigh(Side::Host, dev.clone(), *address)));
        let lines: Vec<Line> = reads.chain(self.flushes(question)).collect();
        if lines.is_empty() {
            return Ok(());
        }
        let outcome = self.session.run(lines, OnError::Continue)?;
        refuse_failed(but_gone(outcome.failures))?;
        let is_answered = |address: &&IpAddr| {
            let neighbour = outcome.seen.neighbour(Side::Host, dev, **address);
            neighbour.is_some_and(|neighbour| question.is_answered(**address, neighbour))
        };
        match question.asked().find(is_answered) {
            Some(address) => {
                let who = format!("a host on the network answers for {address} with it");
                Err(self.taken(question.mac, &who))
            }
            None => Ok(()),
        }
    }
}

impl MacQuestion {
    /// Every address that the wire is asked for.
    fn asked(&self) -> impl Iterator<Item = &IpAddr> {
        self.derived.iter().chain(&self.own)
    }

    /// Whether a neighbour tells that something has the MAC: the address that follows from it is its owner's, any other
    /// is so only with this MAC.
    fn is_answered(&self, address: IpAddr, neighbour: &NeighRecord) -> bool {
        let with_it = neighbour.lladdr.as_deref() == Some(&*self.mac.to_string());
        neighbour.is_reachable() && (with_it || self.own == Some(address))
    }
}

/// The first failure but for entries that are gone: a claim on this node that asked for the same address may have taken
/// the question away with its own.
fn but_gone(failures: Vec<Failed>) -> Option<Failed> {
    let mut failures = failures.into_iter();
    failures.find(|failed| failed.failure.kind() != Kind::NotFound)
}

fn refuse_failed(failed: Option<Failed>) -> Result<(), CniError> {
    failed.map_or(Ok(()), |failed| {
        Err(failed.error("the wire cannot be asked for the MAC"))
    })
}

/// Whether a record's pod has a MAC: the one that it asked for, or the one that follows from its address.
fn has(record: &Attachment, mac: Mac) -> bool {
    mac_of_record(record.mac, &record.definition, record.lease.as_ref()) == Some(mac)
}

/// Whether a record's namespace is still there.
fn lives(record: &Attachment) -> bool {
    !record.is_of_an_earlier_boot()
        && namespace_inode(Path::new(&record.netns)) == Some(record.inode)
}
