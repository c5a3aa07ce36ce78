//! Whether a container's address is somebody else's too, as it can be where nodes were cut off from each other
//! while both handed addresses out, and no routing daemon tells them afterwards.

use std::net::IpAddr;

use super::probe::{Answer, start};
use super::report::Finding;
use crate::config::Network;
use crate::ctl::node::{OnNode, State};
use crate::exec::System;

/// How many addresses are asked about at a time.
const SIDE_BY_SIDE: usize = 64;

/// Asks a network's wire for the addresses of the containers that are on it here: more answers than
/// questions are from more than one owner, whatever their MACs. IPv4 only, as far as `arping` goes.
pub fn addresses(system: &System, on: &OnNode, network: &Network) -> Vec<Finding> {
    let owned = owned(on);
    let mut findings = Vec::new();
    for wave in owned.chunks(SIDE_BY_SIDE) {
        let lines = wave.iter().map(|(address, _)| {
            let dev = &network.mv;
            format!("arping -b -c 2 -w 1 -I {dev} {address}")
        });
        let started: Vec<_> = lines
            .map(|line| {
                let running = start(system, &line.split(' ').collect::<Vec<_>>());
                (line, running)
            })
            .collect();
        for ((address, who), (line, running)) in wave.iter().zip(started) {
            let answer = running.and_then(|running| running.wait());
            findings.extend(judged(*address, who, line, answer));
        }
    }
    match (owned.len(), findings.is_empty()) {
        (0, _) | (_, false) => findings,
        (count, true) => {
            let dev = &network.mv;
            let what = format!("the {count} IPv4 addresses of containers have one owner on {dev}");
            vec![Finding::well(what)]
        }
    }
}

/// The IPv4 addresses of the containers of a network, and whose they are.
fn owned(on: &OnNode) -> Vec<(IpAddr, String)> {
    let of = |state: &State| match state {
        State::Whole(record, _) => {
            let lease = record.lease.as_ref();
            let ips = lease.map_or(&[][..], |lease| &lease.ips);
            let who = record.pod.clone().unwrap_or_else(|| record.id());
            ips.iter()
                .map(|ip| ip.address.ip())
                .filter(IpAddr::is_ipv4)
                .map(|address| (address, who.clone()))
                .collect()
        }
        _ => Vec::new(),
    };
    on.attachments
        .iter()
        .flat_map(|recorded| of(&recorded.state))
        .collect()
}

/// What is wrong, if something is. Who cannot be asked is told of where the gateway's address is asked for.
fn judged(address: IpAddr, who: &str, see: String, answer: Answer) -> Option<Finding> {
    let output = answer.ok()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let (asked, answered) = (number(&said, "Sent ")?, number(&said, "Received ")?);
    let macs: Vec<&str> = said
        .lines()
        .filter_map(|line| line.split(['[', ']']).nth(1))
        .collect();
    (answered > asked).then(|| {
        let what = format!(
            "{address} of {who} has two owners: {} answer for it",
            macs.join(" and ")
        );
        Finding::wrong(what)
            .see(see)
            .mend("remove one of the two containers; the other node's `vxlan status ADDRESS` tells which it is".replace("ADDRESS", &address.to_string()))
    })
}

/// The number behind a word of `arping`'s summary.
fn number(said: &str, word: &str) -> Option<u32> {
    let line = said.lines().find_map(|line| line.strip_prefix(word))?;
    line.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::exec::Output;

    fn told(stdout: &str) -> Option<Finding> {
        let output = Output {
            code: Some(1),
            stdout: stdout.into(),
            stderr: String::new(),
        };
        let address = "10.1.0.9".parse().unwrap();
        judged(address, "shop/web", "arping".into(), Ok(output))
    }

    #[test]
    fn more_answers_than_questions_are_of_two_owners() {
        // As iputils 20221126 prints it.
        let two = "ARPING 10.1.0.9 from 10.1.0.1 mv_blue\n\
            Unicast reply from 10.1.0.9 [0A:58:0A:01:00:09]  0.546ms\n\
            Unicast reply from 10.1.0.9 [0A:58:0A:01:00:09]  0.555ms\n\
            Sent 1 probes (1 broadcast(s))\nReceived 2 response(s)\n";
        let one = "ARPING 10.1.0.9 from 10.1.0.1 mv_blue\n\
            Unicast reply from 10.1.0.9 [0A:58:0A:01:00:09]  0.546ms\n\
            Sent 2 probes (2 broadcast(s))\nReceived 1 response(s)\n";
        assert!(told(two).is_some());
        assert!(told(one).is_none());
        assert!(told("").is_none());
    }
}
