//! Whether a container's MAC is another node's container's too: each takes part of the other's traffic. It can be
//! where two nodes were asked for one MAC at the same moment, or while they were cut off from each other.
//!
//! An echo to the group that an owner's own IPv6 address is in (RFC 4291, 2.7.1) has all owners answer, on networks of
//! IPv4 too; behind which VTEP the vxlan device has heard a MAC just now, it tells by a look-up of that one.

use super::probe::{Answer, said, start};
use super::report::{Finding, Id};
use crate::config::Network;
use crate::ctl::node::{OnNode, State};
use crate::exec::{Running, System};
use crate::ip::Mac;
use crate::ip::json::documents;
use crate::plan::container::mac_of_record;

/// How many are asked about at a time.
const SIDE_BY_SIDE: usize = 64;

/// For how long something that was heard is "just now", in seconds: a container that has moved here is remembered
/// where it was for longer.
const FRESH: u64 = 5;

/// A container's MAC and its owner.
type Owned = (Mac, String);

/// Asks for the MACs of a network's containers on this node.
pub fn macs(system: &System, on: &OnNode, network: &Network) -> Vec<Finding> {
    let owned = owned(on);
    let (mut findings, mut silent) = (Vec::new(), 0);
    for wave in owned.chunks(SIDE_BY_SIDE) {
        let echoes = all(system, wave.iter().map(|(mac, _)| echo(*mac, network)));
        let heard = all(system, wave.iter().map(|(mac, _)| look(*mac, network)));
        for ((one, echo), heard) in wave.iter().zip(echoes).zip(heard) {
            match elsewhere(&heard) {
                Some(vtep) => findings.push(wrong(one, &vtep, network)),
                None if !echo.is_ok_and(|output| output.code == Some(0)) => silent += 1,
                None => {}
            }
        }
    }
    let dev = &network.mv;
    if silent > 0 {
        findings.push(Finding::unknown(Id::MacOwner, format!(
            "{silent} of the {} MACs of containers were not asked for: no answer by IPv6 on {dev}",
            owned.len()
        )));
    } else if !owned.is_empty() && findings.is_empty() {
        findings.push(Finding::ok(
            Id::MacOwner,
            format!(
                "the {} MACs of containers have one owner on {dev}",
                owned.len()
            ),
        ));
    }
    findings
}

fn owned(on: &OnNode) -> Vec<Owned> {
    let of = |state: &State| match state {
        State::Whole(record, _) => {
            let who = record.pod.clone().unwrap_or_else(|| record.id());
            Some((
                mac_of_record(record.mac, &record.definition, record.lease.as_ref())?,
                who,
            ))
        }
        _ => None,
    };
    let all = on.attachments.iter();
    all.filter_map(|one| of(&one.state)).collect()
}

/// Two echoes: when the second one is answered, every answer to the first has come.
fn echo(mac: Mac, network: &Network) -> String {
    let [.., a, b, c] = mac.octets();
    let dev = &network.mv;
    format!("ping -6 -n -q -c 2 -i 0.2 -W 1 -I {dev} ff02::1:ff{a:02x}:{b:02x}{c:02x}")
}

fn look(mac: Mac, network: &Network) -> String {
    format!("bridge -j -s fdb get {mac} dev {} self", network.vx)
}

/// Runs commands side by side.
fn all(system: &System, lines: impl Iterator<Item = String>) -> Vec<Answer> {
    let start = |line: String| start(system, &line.split(' ').collect::<Vec<_>>());
    let started: Vec<Result<Box<dyn Running>, _>> = lines.map(start).collect();
    started.into_iter().map(|one| one?.wait()).collect()
}

/// The VTEP behind which a MAC was heard just now. Which of the two ages an answer renews differs between kernels.
fn elsewhere(heard: &Answer) -> Option<String> {
    let found = documents(said(heard)?.as_bytes()).ok()?;
    let entry = found.first()?.get(0)?;
    let age = |key: &str| entry[key].as_u64();
    let youngest = [age("used"), age("updated")].into_iter().flatten().min()?;
    let vtep = entry["dst"].as_str().filter(|_| youngest <= FRESH);
    vtep.map(str::to_owned)
}

fn wrong((mac, who): &Owned, vtep: &str, network: &Network) -> Finding {
    let what = format!("{who} has the MAC {mac}, and so has a container behind {vtep}");
    let fix = "remove one of the two containers; let none ask for a MAC that is another's, or for any (requestMac: false)";
    Finding::failed(Id::MacOwner, what)
        .inspect(look(*mac, network))
        .fix(fix)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::exec::Output;

    #[test]
    fn what_was_heard_long_ago_is_no_second_owner() {
        let heard = |used: u64, updated: u64| {
            let entry = serde_json::json!([{"mac": "02:00:00:00:00:02", "ifname": "vx_blue",
                "dst": "198.18.0.2", "used": used, "updated": updated, "flags": ["self"], "state": ""}]);
            elsewhere(&Ok(Output {
                code: Some(0),
                stdout: entry.to_string().into(),
                stderr: String::new(),
            }))
        };
        // Linux 6.18, then one before 6.15.
        assert_eq!(heard(90, 0).as_deref(), Some("198.18.0.2"));
        assert_eq!(heard(0, 90).as_deref(), Some("198.18.0.2"));
        assert_eq!(heard(90, 60), None);
        let none = Output {
            code: Some(255),
            stdout: String::new().into(),
            stderr: "Error: Fdb entry not found.\n".to_owned(),
        };
        assert_eq!(elsewhere(&Ok(none)), None);
    }
}
