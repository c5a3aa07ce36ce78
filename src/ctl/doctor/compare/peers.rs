//! Whether the nodes of a network know each other: a frame that one has heard of another, or a VTEP that it was told.

use std::net::IpAddr;

use super::{Of, device};
use crate::ctl::doctor::report::{Finding, Id};

/// A node with the address it sends from and the peers that it knows.
#[derive(Clone, Copy)]
struct Vtep<'a> {
    of: Of<'a>,
    own: IpAddr,
    peers: &'a [IpAddr],
}

impl Vtep<'_> {
    fn knows(&self, other: &Self) -> bool {
        self.peers.contains(&other.own)
    }

    /// Where its broadcasts go nowhere but to one VTEP that was named.
    fn is_unicast(&self) -> bool {
        self.of
            .part
            .group
            .is_some_and(|group| !group.is_multicast())
    }

    fn shown(&self) -> String {
        format!("{} ({})", self.of.node, self.own)
    }
}

/// All that is found of a network's nodes.
pub fn findings(on: &[Of<'_>]) -> Vec<Finding> {
    let vteps: Vec<Vtep<'_>> = on.iter().filter_map(|of| vtep(*of)).collect();
    let (mut findings, mut strangers) = (Vec::new(), Vec::new());
    for (index, one) in vteps.iter().enumerate() {
        for other in &vteps[index + 1..] {
            match (one.knows(other), other.knows(one)) {
                _ if one.own == other.own => findings.push(same(one, other)),
                (true, true) => {}
                (true, false) => findings.push(missed(other, one)),
                (false, true) => findings.push(missed(one, other)),
                (false, false) => strangers.push(format!("{} and {}", one.of.node, other.of.node)),
            }
        }
    }
    let vx = on.first().map(|of| device("vx", &of.part.name));
    let inspect = format!("bridge fdb show dev {}", vx.unwrap_or_default());
    if !strangers.is_empty() {
        let what = format!(
            "no traffic between {}, or none gets through",
            strangers.join("; ")
        );
        let finding = Finding::unknown(Id::PeerMissed, what).inspect(&inspect);
        findings.push(finding.fix("let a pod of the one ping a pod of the other, then look again"));
    }
    if findings.is_empty() && vteps.len() > 1 {
        let what = format!("the {} nodes know each other", vteps.len());
        findings.push(Finding::ok(Id::PeerMissed, what));
    }
    findings
}

fn vtep(of: Of<'_>) -> Option<Vtep<'_>> {
    let own = of.part.vtep.filter(|_| of.part.present)?;
    Some(Vtep {
        of,
        own,
        peers: of.part.peers.as_deref()?,
    })
}

/// One misses the other, which knows it.
fn missed(one: &Vtep<'_>, other: &Vtep<'_>) -> Finding {
    let (own, peer) = (one.shown(), other.shown());
    let inspect = format!("bridge fdb show dev {}", device("vx", &one.of.part.name));
    let finding = match one.is_unicast() {
        true => Finding::failed(
            Id::PeerMissed,
            format!("{own} sends nothing to {peer}, which sends to it"),
        )
        .fix(format!("name {} in the configuration of {}", other.own, one.of.node)),
        false => Finding::unknown(
            Id::PeerMissed,
            format!("{own} has heard nothing of {peer}, which has heard of it"),
        )
        .fix(format!(
            "on {}, where nothing has been sent lately: ping -I {} a gateway of {}; no answer is a way that is blocked \
             from there",
            other.of.node,
            device("mv", &other.of.part.name),
            one.of.node
        )),
    };
    finding.inspect(inspect)
}

fn same(one: &Vtep<'_>, other: &Vtep<'_>) -> Finding {
    let what = format!(
        "{} is the VTEP of {} and of {}",
        one.own, one.of.node, other.of.node
    );
    Finding::failed(Id::SourceAddress, what)
        .inspect(format!("ip -br addr | grep {}", one.own))
        .fix("give each node's underlay an address of its own, or correct options.srcaddr")
}
