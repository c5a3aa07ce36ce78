//! Whether a container's address is another host's too, as it can be where nodes were cut off from each other
//! while both handed addresses out, and no routing daemon tells them afterwards.

pub mod v6;

use std::net::IpAddr;

use super::arping::{Arping, Heard, Question};
use super::report::{Finding, Id};
use crate::config::Network;
use crate::ctl::node::{OnNode, State};

/// How many addresses are asked about at a time.
const SIDE_BY_SIDE: usize = 64;

/// Asks a network's wire for the addresses of the containers that are on it here: more answers than
/// questions are from more than one owner, whatever their MACs. IPv4, as far as `arping` goes.
pub fn addresses(arping: &Arping<'_>, on: &OnNode, network: &Network) -> Vec<Finding> {
    let (owned, dev) = (owned(on), &network.mv);
    let (mut findings, mut unasked) = (Vec::new(), Vec::new());
    for wave in owned.chunks(SIDE_BY_SIDE) {
        let asked = wave.iter().map(|(address, _)| {
            let line = format!("arping -b -c 2 -w 1 -I {dev} {address}");
            arping.ask(line)
        });
        // All of a wave are under way before the first is waited for.
        let asked: Vec<Question> = asked.collect();
        for ((address, who), question) in wave.iter().zip(asked) {
            let inspect = question.line().to_owned();
            match question.answer() {
                Ok(heard) => findings.extend(judged(*address, who, inspect, &heard)),
                Err(why) => unasked.push(why),
            }
        }
    }
    let (all, silent) = (owned.len(), unasked.len());
    findings.extend(unasked.into_iter().next().map(|why| {
        let of = if silent == all {
            String::new()
        } else {
            format!("{silent} of ")
        };
        why.finding(
            Id::AddressOwner,
            &format!("{of}the {all} IPv4 addresses of containers"),
        )
    }));
    if all > 0 && findings.is_empty() {
        let what = format!("the {all} IPv4 addresses of containers have one owner on {dev}");
        findings.push(Finding::ok(Id::AddressOwner, what));
    }
    findings
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

/// What is wrong, if something is.
fn judged(address: IpAddr, who: &str, inspect: String, heard: &Heard) -> Option<Finding> {
    (heard.answered > heard.asked).then(|| {
        let macs = heard.macs.join(" and ");
        let what = format!("{address} of {who} has two owners: {macs} answer for it");
        Finding::failed(Id::AddressOwner, what)
            .inspect(inspect)
            .fix(fix(address))
    })
}

fn fix(address: IpAddr) -> String {
    format!(
        "remove one of the two containers; the other node's `vxlan status {address}` tells which it is"
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn told(asked: u32, answered: u32) -> Option<Finding> {
        let macs = vec!["0A:58:0A:01:00:09".to_owned(); 2];
        let address = "10.1.0.9".parse().unwrap();
        let heard = Heard {
            asked,
            answered,
            macs,
        };
        judged(address, "shop/web", "arping".into(), &heard)
    }

    #[test]
    fn more_answers_than_questions_are_of_two_owners() {
        let two = told(1, 2).unwrap().message;
        let macs = "0A:58:0A:01:00:09 and 0A:58:0A:01:00:09";
        assert!(two.contains(macs), "{two}");
        assert!(told(2, 4).is_some());
        // One owner that answers each question, and one that misses one.
        assert!(told(2, 2).is_none());
        assert!(told(2, 1).is_none());
    }
}
