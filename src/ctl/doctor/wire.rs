//! What can only be seen on the wire: whether a full packet crosses, and who else has the gateway's address.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::arping::{Arping, Question};
use super::probe::{Answer, start};
use super::report::{Finding, Id};
use crate::config::Network;
use crate::ctl::look::is_listed;
use crate::exec::System;
use crate::ip::Family;
use crate::plan::{Observed, Side, anycast, underlay};
use crate::route_table::liar::{self, Whereabouts};

/// Bytes of an echo's own headers: IPv4 20 or IPv6 40, ICMP 8.
const ECHO: [(Family, u32); 2] = [(Family::V4, 28), (Family::V6, 48)];

/// An echo that fits everywhere.
const SMALL: u32 = 56;

/// How many are asked at a time.
const SIDE_BY_SIDE: usize = 16;

/// The VTEPs that a network's device knows: the one it was told of, and those it has learnt.
pub fn peers(network: &Network, seen: &Observed) -> BTreeSet<IpAddr> {
    let told = network.options.vxlan.group;
    let learnt = seen.fdb(&network.vx).iter().filter_map(|entry| entry.dst);
    let peers = network.peers.iter().flatten().copied();
    let own = underlay::vtep(network, seen);
    let all = told.into_iter().chain(learnt).chain(peers);
    let all = all.filter(|peer| Some(*peer) != own);
    all.filter(|address| !address.is_multicast()).collect()
}

/// Sends each peer an echo as large as the largest frame in its wrapping, which must not be split.
pub fn crossing(system: &System, network: &Network, seen: &Observed) -> Vec<Finding> {
    let Some(mtu) = seen.link(Side::Host, &network.vx).map(|link| link.mtu) else {
        return Vec::new();
    };
    if !is_listed(network, seen) {
        let what = format!(
            "no full packet was sent to other nodes: {} may learn without limit, so they were not listed",
            network.vx
        );
        return vec![Finding::unknown(Id::UnderlayMtu, what)];
    }
    let whole = mtu + network.options.vxlan.overhead();
    let peers: Vec<IpAddr> = peers(network, seen).into_iter().collect();
    if peers.is_empty() {
        let what = "no other node is known yet, so no full packet was sent to one";
        return vec![
            Finding::unknown(Id::UnderlayMtu, what)
                .inspect(format!("bridge fdb show dev {}", network.vx)),
        ];
    }
    let mut findings = Vec::new();
    for wave in peers.chunks(SIDE_BY_SIDE) {
        let large = echoes(system, network, wave, whole);
        let small = echoes(system, network, wave, SMALL);
        let each = wave.iter().zip(large.into_iter().zip(small));
        findings.extend(
            each.map(|(peer, (large, small))| crossed(network, *peer, whole, large, small)),
        );
    }
    findings
}

/// One echo to each, all at once.
fn echoes(system: &System, network: &Network, peers: &[IpAddr], whole: u32) -> Vec<Answer> {
    let started: Vec<_> = peers
        .iter()
        .map(|peer| {
            let argv = echo(network, *peer, whole);
            start(system, &argv.iter().map(String::as_str).collect::<Vec<_>>())
        })
        .collect();
    started.into_iter().map(|one| one?.wait()).collect()
}

fn echo(network: &Network, peer: IpAddr, whole: u32) -> Vec<String> {
    let family = Family::of(peer);
    let headers = ECHO.iter().find(|(of, _)| *of == family);
    let payload = whole.saturating_sub(headers.map_or(0, |(_, bytes)| *bytes));
    let mut line = format!("ping -n -q -c 1 -W 1 -M do -s {payload}");
    if let Some(local) = network.options.vxlan.local {
        line += &format!(" -I {local}");
    }
    let line = format!("{line} {peer}");
    line.split(' ').map(str::to_owned).collect()
}

fn crossed(network: &Network, peer: IpAddr, whole: u32, large: Answer, small: Answer) -> Finding {
    let came_back = |answer: &Answer| answer.as_ref().is_ok_and(|output| output.code == Some(0));
    let inspect = echo(network, peer, whole).join(" ");
    match (came_back(&large), came_back(&small), small) {
        (true, ..) => Finding::ok(Id::UnderlayMtu, format!("packets of {whole} bytes reach {peer}")),
        (false, true, _) => Finding::failed(Id::UnderlayMtu, format!(
            "packets of {whole} bytes do not reach {peer}, small ones do: the underlay's MTU is smaller somewhere between"
        ))
        .inspect(inspect)
        .fix(format!(
            "raise the MTU of the way, or set mtu of network \"{}\" to what fits, less {}",
            network.name,
            network.options.vxlan.overhead()
        )),
        (false, false, small) => Finding::unknown(Id::UnderlayMtu, silence(peer, small)).inspect(inspect),
    }
}

/// Why no echo came back: a `ping` that complains, as another program of that name does of an option, has sent none.
fn silence(peer: IpAddr, small: Answer) -> String {
    let complaint = small.map(|output| output.stderr.lines().next().map(str::to_owned));
    match complaint {
        Err(error) => error.to_string(),
        Ok(Some(said)) => format!("no echo was sent to {peer}: {said}"),
        Ok(None) => format!("{peer} answers no echo at all"),
    }
}

/// Asks a network's wire whether another host has its gateway's address: by a probe without a sender
/// (RFC 5227, 2.1.1), which changes no host's memory of the owner. Silence takes half a second.
pub fn probe(arping: &Arping<'_>, network: &Network) -> Option<Question> {
    // With an anycast gateway every node answers.
    let own = Some(network).filter(|network| !anycast::is(network));
    let gateway = own?.cidr(Family::V4)?.ip();
    let mv = &network.mv;
    Some(arping.ask(format!("arping -D -c 1 -w 1 -I {mv} {gateway}")))
}

/// Waits for the answer.
pub fn alone(network: &Network, probe: Question) -> Finding {
    let (mv, name) = (&network.mv, &network.name);
    let inspect = probe.line().to_owned();
    let macs = match probe.answer() {
        Err(unasked) => return unasked.finding(Id::GatewayOwner, "the gateway's address"),
        Ok(heard) => heard.macs.join(" and "),
    };
    if macs.is_empty() {
        let what = format!("no other host answers for the gateway's address on {mv}");
        return Finding::ok(Id::GatewayOwner, what);
    }
    let fix = format!("give each node an address of its own in cidr of network \"{name}\"");
    Finding::failed(
        Id::GatewayOwner,
        format!("{macs} answers for the gateway's address on {mv} too"),
    )
    .inspect(inspect)
    .fix(fix)
}

/// Asks a network's wire for an address that none can have.
pub fn impossible(arping: &Arping<'_>, network: &Network) -> Question {
    let (mv, address) = (&network.mv, liar::impossible(true));
    arping.ask(format!("arping -b -c 1 -w 1 -I {mv} {address}"))
}

/// What answers for it answers for every address, so that `route-table` finds none free. Silence is as it
/// should be, and where nothing can be asked another finding says why.
pub fn liar(network: &Network, asked: Question, whereabouts: &Whereabouts<'_>) -> Option<Finding> {
    let inspect = asked.line().to_owned();
    let macs = asked.answer().ok()?.macs;
    let mac = macs.first()?;
    let who = whereabouts.of(mac, &network.mv);
    let what = format!(
        "{mac} answers on {} for an address that none can have, so for whatever is asked; it is {who}",
        network.mv
    );
    let fix = "remove the container that has this MAC; antiSpoof keeps containers from it";
    Some(
        Finding::failed(Id::AnswersForAll, what)
            .inspect(inspect)
            .fix(fix),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::exec::Output;

    #[test]
    fn a_peer_is_not_blamed_for_a_ping_that_sent_nothing() {
        let told = |stdout: &str, stderr: &str| {
            let output = Output {
                code: Some(1),
                stdout: stdout.into(),
                stderr: stderr.into(),
            };
            silence("198.18.0.2".parse().unwrap(), Ok(output))
        };
        // iputils 20221126, then BusyBox 1.35, which has no -M, then iputils without a route.
        let lost = "PING 198.18.0.2 (198.18.0.2) 56(84) bytes of data.\n\n\
            --- 198.18.0.2 ping statistics ---\n1 packets transmitted, 0 received, 100% packet loss, time 0ms\n";
        assert_eq!(told(lost, ""), "198.18.0.2 answers no echo at all");
        let busybox = "ping: invalid option -- 'M'\nBusyBox v1.35.0 multi-call binary.\n";
        let sent_none = "no echo was sent to 198.18.0.2: ping: ";
        assert_eq!(
            told("", busybox),
            format!("{sent_none}invalid option -- 'M'")
        );
        let unreachable = "ping: connect: Network is unreachable\n";
        assert_eq!(
            told("", unreachable),
            format!("{sent_none}connect: Network is unreachable")
        );
    }
}
