//! How many facts hold and how many do not: of each network's host side, and of each attachment.

use super::family::{Family, Kind, Labels};
use super::networks::{of, with};
use crate::cni::CniError;
use crate::ctl::look::{
    Attached, Found, Judged, host_facts, host_reads, judge, look_at, no_journal, session,
};
use crate::ctl::node::{Node, OnNode};
use crate::exec::System;
use crate::ops::host_side::HostSide;
use crate::plan::{Observed, Verdict};
use crate::session::Session;

/// How many of some facts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    ok: usize,
    failed: usize,
}

impl Count {
    /// What cannot be looked at is one that has failed.
    fn of(judged: Result<&Vec<Judged>, &CniError>) -> Self {
        let Ok(judged) = judged else {
            return Self { ok: 0, failed: 1 };
        };
        let ok = judged
            .iter()
            .filter(|(_, verdict)| *verdict == Verdict::Holds);
        let ok = ok.count();
        Self {
            ok,
            failed: judged.len() - ok,
        }
    }

    fn add(&mut self, other: Self) {
        self.ok += other.ok;
        self.failed += other.failed;
    }
}

/// Looks at every network that has an attachment on this node, and, where that is wanted, into each of its pods.
pub fn families(system: &System, node: &Node, pods: bool) -> [Family; 3] {
    let gauge = |name, help| Family::new(Kind::Gauge, name, help);
    let mut families = Families {
        pods,
        facts: gauge("vxlan_facts", "Facts of a network, by whether they hold."),
        attachments: gauge(
            "vxlan_attachment_facts_failed",
            "Facts of an attachment that do not hold.",
        ),
        gone: gauge(
            "vxlan_attachments_without_namespace",
            "Attachments whose namespace is gone, and whose DEL has not come.",
        ),
    };
    let journal = no_journal();
    let session = session(system, &journal);
    for on in &node.networks {
        if let Some(side) = on.standing() {
            families.look(system, &session, node, on, side);
        }
    }
    [families.facts, families.attachments, families.gone]
}

struct Families {
    pods: bool,
    facts: Family,
    attachments: Family,
    gone: Family,
}

impl Families {
    fn look(
        &mut self,
        system: &System,
        session: &Session<'_>,
        node: &Node,
        on: &OnNode,
        side: &HostSide,
    ) {
        let seen = session.observe_host(&side.network, host_reads(side));
        let host = seen.as_ref().map_err(Clone::clone);
        let host = host.and_then(|seen| Ok(judge(host_facts(side, seen)?, seen)));
        self.count(on, "host", Count::of(host.as_ref()));
        let attached = Attached::of(&node.store, on);
        let gone = attached.iter().filter(|one| one.netns.is_none()).count();
        self.gone.put(of(&on.name), gone as f64);
        if let (Ok(seen), true) = (&seen, self.pods) {
            self.pods_of(system, on, &attached, seen);
        }
    }

    fn pods_of(
        &mut self,
        system: &System,
        on: &OnNode,
        attached: &[Attached<'_>],
        host: &Observed,
    ) {
        let mut all = Count::default();
        for found in look_at(system, attached, |_| Some(host), |_| {}) {
            let count = Count::of(found.facts.as_ref());
            all.add(count);
            let labels = labels(on, &found);
            self.attachments.put(labels, count.failed as f64);
        }
        self.count(on, "pod", all);
    }

    fn count(&mut self, on: &OnNode, side: &str, count: Count) {
        for (state, count) in [("ok", count.ok), ("failed", count.failed)] {
            let labels = with(with(of(&on.name), "side", side), "state", state);
            self.facts.put(labels, count as f64);
        }
    }
}

fn labels(on: &OnNode, found: &Found<'_>) -> Labels {
    let record = found.of.record;
    let pod = record.pod.clone().unwrap_or_default();
    let labels = with(
        with(of(&on.name), "pod", &pod),
        "container",
        &record.container,
    );
    with(labels, "ifname", record.ifname.as_str())
}
