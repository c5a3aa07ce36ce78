//! Each network: its underlay, who else has its VNI, the facts of its host side and of everybody on it.

use std::net::IpAddr;

use super::arping::{Arping, Question};
use super::asked::{self, Wire};
use super::cause::{self, Root};
use super::firewall::Firewalls;
use super::reach::{self, Reached};
use super::report::{self, Cause, Finding, Id, Section};
use super::text::HOST_SIDE;
use super::{fixed, hidden, learnt, peers, policy, probe, sources, switches, underlay, wire};
use crate::cni::CniError;
use crate::config::Network;
use crate::ctl::look::{
    self, Attached, Found, Judged, host_facts, host_reads, judge, look_at, shown,
};
use crate::ctl::node::{Node, OnNode, Recorded, State};
use crate::exec::System;
use crate::ip::route::Lookup;
use crate::ip::{IfName, Netns, link::Setting};
use crate::plan::underlay::overlap_reads;
use crate::plan::{Fact, Observed, Read, Side, Verdict};
use crate::route_table::liar::Whereabouts;
use crate::session::Session;

/// What removes what only a record tells of.
const GONE: &str = "let the runtime remove the container (its DEL), or: vxlan gc";

/// What is known beside a network itself.
pub struct Beside<'a> {
    /// Other nodes that the operator names.
    pub peers: &'a [IpAddr],
    /// This node's firewalls.
    pub firewalls: &'a Firewalls,
    /// By which wires are asked.
    pub arping: &'a Arping<'a>,
    /// Whether the packet filter can be looked at.
    pub has_nft: bool,
}

/// A network as it was looked at.
struct Looked<'a> {
    on: &'a OnNode,
    network: Option<&'a Network>,
    seen: Result<Observed, CniError>,
    attached: Vec<Attached<'a>>,
    /// The facts of the host side; none where it has no attachment.
    host: Result<Vec<Judged>, CniError>,
    /// What is missing or down of these.
    roots: Vec<Root>,
    /// What keeps its device from being made.
    hidden: Option<Finding>,
}

/// Looks at every network. `tell` hears of each container that is done.
pub fn networks(
    system: &System,
    session: &Session<'_>,
    node: &Node,
    beside: &Beside<'_>,
    mut tell: impl FnMut(&Attached<'_>),
) -> (Vec<Section>, Vec<Root>) {
    let networks = node.networks.iter();
    let looked = networks.map(|on| Looked::of(system, session, node, on, beside.has_nft));
    let looked: Vec<Looked<'_>> = looked.collect();
    // Under way while everything else is looked at.
    let arping = beside.arping;
    let probes: Vec<Option<Question>> = looked
        .iter()
        .map(|one| wire::probe(arping, one.standing()?))
        .collect();
    let impossible: Vec<Option<Question>> = looked
        .iter()
        .map(|one| Some(wire::impossible(arping, one.standing()?)))
        .collect();
    let whereabouts = Whereabouts {
        system,
        session,
        attachments: Some(&node.config.data_dir),
        owners: None,
    };
    let wires: Vec<Option<Wire<'_>>> = looked.iter().map(Looked::wire).collect();
    // Before the others: an answer to the kernel, which asks for neighbours on an echo's behalf, is heard by whatever
    // waits for one.
    let reached = reach::ask(system, arping, beside.peers, &wires);
    let asked = asked::ask(system, arping, &wires);
    let each = looked.iter().zip(probes).zip(impossible);
    let each = each.zip(reached.into_iter().zip(asked));
    let roots = looked.iter().flat_map(|one| one.roots.clone()).collect();
    let sections = each.map(|(((one, probe), impossible), (reached, asked))| {
        let mut section = one.section(system, asked.crossing, reached, beside);
        section.facts.extend(one.facts(system, &mut tell));
        let answer = one.standing().zip(probe);
        let answer = answer.map(|(network, probe)| wire::alone(network, probe));
        section.findings.extend(answer);
        let lies = one.standing().zip(impossible);
        let lies = lies.and_then(|(network, asked)| wire::liar(network, asked, &whereabouts));
        section.findings.extend(lies);
        section.findings.extend(asked.addresses);
        section.findings.extend(asked.macs);
        let source = one.standing();
        let source = source.and_then(|known| sources::finding(system, &node.config, known));
        section.findings.extend(source);
        cause::fold(&mut section.findings, &one.roots);
        section.findings.extend(one.records());
        section
    });
    (sections.collect(), roots)
}

impl<'a> Looked<'a> {
    fn of(
        system: &System,
        session: &Session<'_>,
        node: &'a Node,
        on: &'a OnNode,
        has_nft: bool,
    ) -> Self {
        let network = on.side.as_ref().map(|side| &side.network);
        let seen = match &on.side {
            None => Ok(Observed::default()),
            Some(side) => {
                let network = &side.network;
                let mut reads = host_reads(side);
                let local = network.options.vxlan.local;
                reads.extend(local.map(|local| Read::Lookup(Side::Host, Lookup::to(local))));
                reads.extend(switches::reads(network));
                reads.extend(policy::reads(network));
                reads.extend(overlap_reads(network));
                reads.extend(learnt::reads(network));
                // One program that is missing hides nothing but what it would show.
                reads.retain(|read| has_nft || !matches!(read, Read::Nft(_)));
                let seen = session.observe_host(network, reads);
                let seen = seen.and_then(|seen| learnt::look(session, network, seen));
                let seen = seen.map(|seen| peers::learnt(system, network, seen));
                seen.and_then(|mut seen| {
                    let ways = switches::ways(network, &seen);
                    seen.absorb(session.observe(ways)?);
                    Ok(seen)
                })
            }
        };
        let mut attached = Attached::of(&node.store, on);
        attached.iter_mut().for_each(|one| one.has_nft = has_nft);
        let host = match (&on.side, &seen) {
            (Some(side), Ok(seen)) if on.standing().is_some() => {
                let facts = host_facts(side, seen);
                facts.map(|facts| judge(look::seen(facts, has_nft), seen))
            }
            _ => Ok(Vec::new()),
        };
        let judged = host.as_deref().unwrap_or_default();
        let mut roots = cause::roots(HOST_SIDE, judged, &[]);
        let hidden = network.zip(seen.as_ref().ok()).and_then(|(network, seen)| {
            hidden::finding(system, network, seen, &node.config.log_file)
        });
        if let Some(hidden) = &hidden {
            cause::because_of(hidden, &mut roots);
        }
        Self {
            on,
            network,
            seen,
            attached,
            roots,
            host,
            hidden,
        }
    }

    /// The network, where it has an attachment or is to be there without.
    fn standing(&self) -> Option<&'a Network> {
        self.network.filter(|_| self.on.standing().is_some())
    }

    /// What its wire is asked about, where it has an attachment.
    fn wire(&self) -> Option<Wire<'_>> {
        Some(Wire {
            on: self.on,
            network: self.standing()?,
            seen: self.seen.as_ref().ok(),
            attached: &self.attached,
        })
    }

    fn section(
        &self,
        system: &System,
        crossing: Vec<Finding>,
        reached: Reached,
        beside: &Beside<'_>,
    ) -> Section {
        let about = match self.network {
            Some(network) => format!(
                "network {} (VNI {}, {})",
                network.name, network.options.vxlan.vni, network.vx
            ),
            None => format!("network {}", self.on.name),
        };
        let mut section = Section::new(about, Vec::new());
        let (Some(network), Ok(seen)) = (self.network, &self.seen) else {
            let why = self.seen.as_ref().err();
            section.findings.extend(why.map(failed));
            return section;
        };
        section.findings.extend(underlay::findings(network, seen));
        if let Some(hidden) = &self.hidden {
            // In the place of what tells that no device has the VNI.
            section.findings.retain(|finding| finding.id != hidden.id);
            section.findings.push(hidden.clone());
        }
        section.findings.extend(limit(network, seen));
        if self.standing().is_some() {
            section.findings.extend(switches::findings(network, seen));
            section
                .findings
                .extend(policy::findings(system, network, seen));
            section.findings.extend(learnt::findings(network, seen));
            section
                .findings
                .extend(beside.firewalls.findings(network, seen));
            section.findings.extend(crossing);
            section.findings.extend(reached.peers);
            section.findings.extend(reached.pods);
            let facts = match &self.host {
                Ok(judged) => findings(HOST_SIDE, judged, &Netns::Own, &self.roots),
                Err(error) => vec![failed(error)],
            };
            section.facts.push((HOST_SIDE.to_owned(), facts));
        }
        section
    }

    /// The facts of all attachments, and the devices on it that no record knows of.
    fn facts(
        &self,
        system: &System,
        tell: &mut impl FnMut(&Attached<'_>),
    ) -> Vec<(String, Vec<Finding>)> {
        let (Some(network), Ok(seen)) = (self.network, &self.seen) else {
            return Vec::new();
        };
        let found = look_at(system, &self.attached, |_| Some(seen), tell);
        let told = |found| told(found, &self.roots);
        let mut facts: Vec<_> = found.iter().map(told).collect();
        let fixed = fixed::of_containers(system, &found).into_iter();
        facts.extend(fixed.map(|finding| ("neighbours".to_owned(), vec![finding])));
        let strangers = strangers(network, seen, &found);
        facts.extend(strangers.map(|finding| ("others".to_owned(), vec![finding])));
        facts
    }

    /// Records that are not whole, or whose container has gone.
    fn records(&self) -> Vec<Finding> {
        let gone = self.attached.iter().filter(|one| one.netns.is_none());
        let gone = gone.map(|one| {
            let netns = &one.record.netns;
            Finding::failed(
                Id::Namespace,
                format!("{}: its namespace {netns} is gone", one.shown()),
            )
            .inspect(format!("ls -l {netns}"))
            .fix(GONE)
        });
        let others = self.on.attachments.iter().filter_map(record);
        gone.chain(others).collect()
    }
}

/// An error as a finding.
fn failed(error: &CniError) -> Finding {
    let finding = Finding::failed(Id::Network, error.msg.clone());
    match error.details.is_empty() {
        true => finding,
        false => finding.fix(error.details.clone()),
    }
}

/// A device that an earlier edition made has no limit, and none can be set while it is there.
fn limit(network: &Network, seen: &Observed) -> Option<Finding> {
    let wanted = network.options.vxlan.maxaddress;
    let found = seen.link(Side::Host, &network.vx)?.data().limit;
    (found == 0 && wanted > 0).then(|| {
        let vx = &network.vx;
        Finding::unknown(Id::FdbLimit, format!(
            "{vx} may learn MACs without limit (wanted {wanted}): a pod can fill the node's memory with them"
        ))
        .inspect(crate::ip::link::show(vx).to_string())
        .fix("the device gets its limit when it is made anew: with the first pod after the last one of the network has left this node")
    })
}

/// Facts as findings, each with the command that shows it and the one that mends it.
fn findings(of: &str, judged: &[Judged], pod: &Netns, roots: &[Root]) -> Vec<Finding> {
    let each = judged.iter().map(|(fact, verdict)| {
        let finding = finding(fact, verdict, pod);
        match cause::of_fact(fact, roots) {
            Some(root)
                if finding.state != report::State::Ok
                    && !matches!(verdict, Verdict::Changed { .. })
                    && root.cause != Cause::new(of, &finding.message) =>
            {
                let finding = finding.follows_from(root.cause.clone());
                match root.is_missing {
                    // By itself its command would only fail.
                    true => finding.fix("vxlan repair"),
                    false => finding,
                }
            }
            _ => finding,
        }
    });
    each.collect()
}

fn finding(fact: &Fact, verdict: &Verdict, pod: &Netns) -> Finding {
    let netns = |side| match side {
        Side::Host => &Netns::Own,
        Side::Pod => pod,
    };
    let what = match verdict {
        Verdict::Holds => return Finding::ok(Id::Fact, fact.to_string()),
        Verdict::Missing => format!("{fact}: missing"),
        Verdict::Differs { found } | Verdict::Changed { found } => {
            format!("{fact}: found {found}")
        }
    };
    let finding = Finding::failed(Id::Fact, what).by_repair();
    let finding = match fact.show() {
        Some(command) => finding.inspect(command.shown_in(netns(fact.side()))),
        None => finding,
    };
    let (side, make) = fact.make(pod);
    if let (Verdict::Changed { .. }, Some((side, back))) = (verdict, fact.set_back()) {
        return finding.fix(back.shown_in(netns(side)));
    }
    match (fact, verdict) {
        (Fact::Vxlan { name, .. } | Fact::Macvlan { name, .. }, Verdict::Differs { .. }) => {
            let shown = netns(fact.side());
            let finding = Finding {
                by_repair: false,
                ..finding
            };
            finding.fix(format!(
                "correct the configuration, or, when the device is in use no longer: {}",
                crate::ip::link::del(name).shown_in(shown)
            ))
        }
        // It takes more than one command.
        (Fact::Macvlan { name, made_as, .. }, _) if name != made_as => finding.fix("vxlan repair"),
        _ => finding.fix(make.shown_in(netns(side))),
    }
}

fn told(found: &Found<'_>, host: &[Root]) -> (String, Vec<Finding>) {
    let pod = found.of.netns.as_ref().unwrap_or(&Netns::Own);
    let of = found.of.shown();
    let findings = match &found.facts {
        Ok(judged) => findings(&of, judged, pod, &cause::roots(&of, judged, host)),
        Err(error) => vec![failed(error)],
    };
    (of, findings)
}

/// Macvlans on the vxlan that no record knows of: a record that was deleted, or another program's.
fn strangers(network: &Network, seen: &Observed, found: &[Found<'_>]) -> Option<Finding> {
    let listeners = seen.maddr(&network.vx)?.listeners();
    let is_up = |dev: &IfName, judged: &[Judged]| {
        let holds = |wanted: &dyn Fn(&Fact) -> bool| {
            let mut those = judged.iter().filter(|(fact, _)| wanted(fact));
            those.all(|(_, verdict)| *verdict == Verdict::Holds)
        };
        let up = |fact: &Fact| matches!(fact, Fact::Setting { dev: of, setting: Setting::Up, .. } if of == dev);
        holds(&|fact| matches!(fact, Fact::Macvlan { .. })) && holds(&up)
    };
    let known = found.iter().filter(|one| {
        let judged = one.facts.as_ref();
        judged.is_ok_and(|judged| is_up(&one.of.record.ifname, judged))
    });
    let gateway = seen.link(Side::Host, &network.mv);
    let gateway = gateway.is_some_and(|mv| mv.flag("UP") && mv.kind() == "macvlan");
    let known = u32::try_from(known.count()).unwrap_or(u32::MAX);
    let more = listeners
        .saturating_sub(known)
        .saturating_sub(gateway.into());
    let what = match more {
        0 => return None,
        1 => format!("a macvlan on {} has no record", network.vx),
        more => format!("{more} macvlans on {} have no record", network.vx),
    };
    let fix = "make its container anew: a DEL and an ADD write the record; what is needed no longer: vxlan gc";
    Some(
        Finding::failed(Id::UnrecordedLinks, what)
            .inspect(crate::ip::link::maddr(&network.vx).to_string())
            .fix(fix),
    )
}

/// What is wrong with a record by itself.
fn record(recorded: &Recorded) -> Option<Finding> {
    Some(match &recorded.state {
        State::Whole(..) => return None,
        State::Damaged(error) => Finding::failed(Id::Record, error.msg.clone())
            .inspect(format!("jq . '{}'", recorded.path.display()))
            .fix(GONE),
        State::EarlierBoot(record) => Finding::failed(
            Id::Record,
            format!(
                "{} is of an earlier boot: only its lease is left",
                shown(record)
            ),
        )
        .inspect(format!("jq .since '{}'", recorded.path.display()))
        .fix(GONE),
        State::Unfinished {
            record,
            under_way: true,
        } => Finding::unknown(
            Id::Record,
            format!("{}: a verb is in progress for it", shown(record)),
        ),
        State::Unfinished { record, .. } => Finding::failed(
            Id::Record,
            format!("{}: its ADD was ended half-way", shown(record)),
        )
        .inspect(format!("jq .lease '{}'", recorded.path.display()))
        .fix(GONE),
    })
}

/// Whether anything that is asked can be asked at all.
pub fn can_look(system: &System) -> bool {
    probe::said(&probe::ask(system, &["ip", "-V"])).is_some()
}
