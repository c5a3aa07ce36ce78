//! Between a node and its containers: an echo from within each to its gateway and back; where none comes back, one from the
//! gateway, and a question to the link layer.

use std::net::IpAddr;

use crate::config::Network;
use crate::ctl::doctor::asked::Wire;
use crate::ctl::doctor::echo::{Echo, Group, Heard, by};
use crate::ctl::doctor::probe;
use crate::ctl::doctor::report::{Finding, Id};
use crate::ctl::look::Attached;
use crate::exec::System;
use crate::ip::{Family, IfName};

/// How many are named where many are alike.
const NAMED: usize = 5;

/// One address of a container.
pub struct Question {
    of: String,
    dev: IfName,
    address: IpAddr,
    gateway: IpAddr,
    there: Echo,
    back: Echo,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It answers, or asks with success itself: a container may drop echoes.
    Well,
    /// The gateway does not answer it.
    GatewaySilent,
    /// Neither answers, though the link layer does.
    NoEcho,
    /// Nothing of it answers.
    Dead,
    /// Nothing was asked.
    Unasked,
}

/// The addresses of a container.
pub fn addresses<'a>(of: &'a Attached<'_>) -> impl Iterator<Item = IpAddr> + 'a {
    let ips = of.record.lease.iter().flat_map(|lease| &lease.ips);
    ips.map(|ip| ip.address.ip())
}

/// The questions about those of a network's containers that have their namespace still.
pub fn questions(wire: &Wire<'_>) -> Vec<Question> {
    let of = |one: &Attached<'_>| {
        let Some(netns) = &one.netns else {
            return Vec::new();
        };
        let question = |address: IpAddr| {
            let gateway = one.network.cidr(Family::of(address))?.ip();
            let back = Echo::small(&gateway.to_string(), one.record.ifname.as_str());
            Some(Question {
                of: one.shown(),
                dev: one.network.mv.clone(),
                address,
                gateway,
                there: Echo::small(&address.to_string(), &by(one.network, address)),
                back: back.within(netns),
            })
        };
        addresses(one).filter_map(question).collect()
    };
    wire.attached.iter().flat_map(of).collect()
}

impl Question {
    /// From within to the gateway: what answers has sent a frame each way. Where it is silent, from the gateway, too.
    pub fn group(&self) -> Group {
        Group::of(vec![self.back.clone(), self.there.clone()])
    }
}

/// The questions of ARP for each address that was silent at first.
pub fn of_arp(questions: &[&Question], first: &[Vec<Heard>]) -> Vec<Vec<String>> {
    let each = questions.iter().zip(first);
    let each = each.map(|(question, heard)| {
        let is_asked = question.address.is_ipv4() && !heard.contains(&Heard::Answer);
        is_asked.then(|| question.by_arp()).into_iter().collect()
    });
    each.collect()
}

/// Judges what was heard; `there`: the answers of the link layer to `lines`, in their order.
pub fn states(
    system: &System,
    questions: &[&Question],
    heard: &[Vec<Heard>],
    lines: &[Vec<String>],
    there: Vec<Option<bool>>,
) -> Vec<State> {
    let mut there = there.into_iter();
    let each = questions.iter().zip(heard).zip(lines);
    each.map(|((question, heard), lines)| {
        let by_arp = there
            .by_ref()
            .take(lines.len())
            .any(|one| one == Some(true));
        match (heard.first(), heard.get(1)) {
            (Some(Heard::Answer), _) => State::Well,
            (Some(Heard::Silence), Some(Heard::Answer)) => State::GatewaySilent,
            (_, Some(Heard::Answer)) => State::Well,
            (Some(Heard::Unasked(_)), Some(Heard::Unasked(_))) => State::Unasked,
            _ if by_arp => State::NoEcho,
            _ if question.address.is_ipv6() && question.is_a_neighbour(system) => State::NoEcho,
            _ => State::Dead,
        }
    })
    .collect()
}

impl Question {
    fn by_arp(&self) -> String {
        format!("arping -c 1 -w 1 -I {} {}", self.dev, self.address)
    }

    /// What the kernel came to know by asking for the echo's sake.
    fn is_a_neighbour(&self, system: &System) -> bool {
        let line = format!("ip neigh show to {} dev {}", self.address, self.dev);
        let argv: Vec<&str> = line.split(' ').collect();
        let said = probe::said(&probe::ask(system, &argv)).unwrap_or_default();
        let mut known = ["REACHABLE", "STALE", "DELAY"].into_iter();
        known.any(|state| said.contains(state))
    }
}

/// The findings for a network's containers: those alike in one.
pub fn told(network: &Network, questions: &[Question], states: &[State]) -> Vec<Finding> {
    let of = |wanted: State| -> Vec<&Question> {
        let all = questions.iter().zip(states);
        let those = all.filter(|(_, state)| **state == wanted);
        those.map(|(question, _)| question).collect()
    };
    let mut findings = Vec::new();
    let dead = of(State::Dead);
    findings.extend(dead.first().map(|first| {
        let what = format!("{} cannot be reached on {}: neither echo nor link layer answers", named(&dead), network.mv);
        Finding::failed(Id::PodReach, what)
            .inspect(first.there.line())
            .fix("what else is crossed here tells why; else look into the container's namespace: its interface, addresses and neighbours")
    }));
    let no_echo = of(State::NoEcho);
    findings.extend(no_echo.first().map(|first| {
        let what = format!("{} and the gateway get no echo of each other, though the link layer answers: a firewall may drop them", named(&no_echo));
        Finding::unknown(Id::PodReach, what).inspect(first.there.line())
    }));
    let silent = of(State::GatewaySilent);
    findings.extend(silent.first().map(|first| {
        let what = format!(
            "the gateway {} answers no echo of {}, which answers its own: a firewall may drop them",
            first.gateway,
            named(&silent)
        );
        Finding::unknown(Id::GatewayReach, what).inspect(first.back.line())
    }));
    let unasked = of(State::Unasked);
    findings.extend(unasked.first().map(|first| {
        let what = format!("no echo was sent to {}", named(&unasked));
        Finding::unknown(Id::PodReach, what).inspect(first.there.line())
    }));
    let well = of(State::Well).len();
    if well > 0 {
        let what = format!(
            "{well} of {} addresses of containers answer on {}",
            questions.len(),
            network.mv
        );
        findings.insert(0, Finding::ok(Id::PodReach, what));
    }
    findings
}

/// The first few, and how many there are more.
fn named(those: &[&Question]) -> String {
    let shown = those.iter().take(NAMED);
    let shown: Vec<String> = shown
        .map(|one| format!("{} ({})", one.of, one.address))
        .collect();
    let more = those.len().saturating_sub(NAMED);
    match more {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
