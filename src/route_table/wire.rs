//! The wire as evidence: whoever has an address on the network answers for it, and so does a claim.
//!
//! A container that is not up yet cannot answer for its address, and the node must not take its traffic.
//! So a claim puts another address up, its beacon, which follows from the claimed one, which nobody
//! sends anything to, and which answers for the claim until the container does. The kernel takes it off
//! again by itself.
//!
//! The kernel is told to resolve address and beacon on the claim's device (ARP, neighbour solicitation)
//! and asked after a while whether somebody answered; nothing of that stays behind.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipnetwork::IpNetwork;

use super::config::Ipam;
use crate::cni::CniError;
use crate::exec::System;
use crate::ip::batch::Mood;
use crate::ip::stderr::Kind;
use crate::ip::sysctl::{self, SysctlKey};
use crate::ip::{Command, Family, IfName, addr, neigh};
use crate::ops::converge::Hands;
use crate::ops::lines::{Failed, Line, Outcome};
use crate::plan::{Observed, Read, Side, Step};

/// Whether the wire is asked.
pub fn is_asked(ipam: &Ipam) -> bool {
    ipam.probe
}

/// For how long at the least a beacon answers for a claim: until the container is up and answers by
/// itself. The kernel counts whole seconds.
const BEACON: Duration = Duration::from_secs(30);

/// Where beacons are: `240.0.0.0/4`, which nobody's traffic goes to (RFC 1112, "reserved"), which Linux
/// resolves and answers for like any other, and which BIRD and FRR do not spread.
const BEACONS: u32 = 0xf000_0000;

/// The beacon of an address: its last 28 bits, or those of a hash of an IPv6 address (FNV-1a, 32 bits).
/// It is an IPv4 address for both: the kernel ignores a neighbour advertisement for an address that it
/// has itself (`ndisc_recv_na`, `net/ipv6/ndisc.c`), so that of two claims neither would see the other;
/// it takes an ARP answer.
pub fn beacon(address: IpAddr) -> IpAddr {
    let low = match address {
        IpAddr::V4(address) => u32::from(address),
        IpAddr::V6(address) => address.octets().iter().fold(0x811c_9dc5, |hash, byte| {
            (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
        }),
    };
    // The last one is the broadcast address.
    Ipv4Addr::from((BEACONS | low).min(u32::MAX - 1)).into()
}

/// Puts the beacon of a claim up, for as long as it may take to be seen and answered for.
pub fn hold(hands: &Hands<'_>, address: IpAddr, dev: &IfName, ipam: &Ipam) -> Line {
    let time = BEACON + ipam.propagation + ipam.contest();
    let seconds = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    let [lo, dev] = posts(dev);
    let post = if ipam.is_bridge || answers_for_lo(hands, &dev) {
        lo
    } else {
        dev
    };
    line(
        addr::lend(IpNetwork::from(beacon(address)), &post, seconds),
        format!("the claim of {address} answers for itself"),
    )
}

/// Takes the beacon of a claim off.
pub fn release(address: IpAddr, dev: &IfName) -> [Command; 2] {
    posts(dev).map(|post| addr::del(IpNetwork::from(beacon(address)), &post))
}

/// Where a beacon may be. The loopback device is as good as the claim's where the node answers for all of its
/// addresses on each device, and leaves that as it is: the reference plugin `bridge` refuses a bridge
/// that has an address which is not its own.
fn posts(dev: &IfName) -> [IfName; 2] {
    [
        IfName::new("lo").unwrap_or_else(|_| dev.clone()),
        dev.clone(),
    ]
}

/// Whether a device answers for addresses of others (`arp_ignore` 0; the higher of the two counts).
fn answers_for_lo(hands: &Hands<'_>, dev: &IfName) -> bool {
    let name = "arp_ignore";
    let keys = [
        SysctlKey::All(Family::V4, name),
        SysctlKey::Device(Family::V4, dev.clone(), name),
    ];
    !keys.iter().any(|key| {
        let value = hands.exec.sysctl(key).ok().flatten();
        value.is_some_and(|value| value.trim() != "0")
    })
}

/// A change as a line of a batch. What takes it back depends on how far a claim has come, not on the line.
pub fn line(command: Command, because: String) -> Line {
    Line::Write(Step {
        side: Side::Host,
        command,
        undo: None,
        because,
    })
}

/// Runs lines, then asks who has each of some addresses and who else claims it. What is known is forgotten
/// first: a container that has just gone must not answer from memory.
///
/// # Errors
/// When a process cannot be run.
pub fn run_and_ask<'a>(
    hands: &Hands<'_>,
    lines: Vec<Line>,
    asked: impl Iterator<Item = (IpAddr, &'a IfName)> + Clone,
) -> Result<Outcome, CniError> {
    let asks = |question: Question| {
        asked
            .clone()
            .flat_map(move |(address, dev)| ask(address, dev, question))
    };
    let all = lines.into_iter().chain(asks(neigh::ask)).collect();
    let mut outcome = hands.run(all, Mood::TryAll)?;
    let lacking = |failed: &Failed| neigh::lacks_use(&failed.failure.message);
    // That ends the process at the first question; what comes before the questions has run.
    if let Some(at) = outcome.failures.iter().position(lacking) {
        outcome.failures.remove(at);
        take_answers_at_once(hands, asked.clone().map(|(_, dev)| dev))?;
        let rest = hands.run(asks(neigh::probe).collect(), Mood::TryAll)?;
        outcome.failures.extend(rest.failures);
    }
    Ok(outcome)
}

/// A command that has the kernel ask.
type Question = fn(IpAddr, &IfName) -> Command;

fn ask(address: IpAddr, dev: &IfName, question: Question) -> Vec<Line> {
    let ask = |who: IpAddr| {
        let because = || format!("whoever has or claims {address} answers");
        [
            line(neigh::forget(who, dev), because()),
            line(question(who, dev), because()),
        ]
    };
    [address, beacon(address)]
        .into_iter()
        .flat_map(ask)
        .collect()
}

/// Has answers count over a MAC that was only just set, which is what [`neigh::probe`] needs.
fn take_answers_at_once<'a>(
    hands: &Hands<'_>,
    devices: impl Iterator<Item = &'a IfName>,
) -> Result<(), CniError> {
    let key = |dev: &IfName| SysctlKey::Neighbours(Family::V4, dev.clone(), neigh::LOCKTIME);
    let is_set = |key: &SysctlKey| hands.exec.sysctl(key).ok().flatten().as_deref() == Some("0");
    let keys: BTreeSet<SysctlKey> = devices.map(key).filter(|key| !is_set(key)).collect();
    let settings: Vec<(SysctlKey, String)> =
        keys.into_iter().map(|key| (key, "0".to_owned())).collect();
    if settings.is_empty() {
        return Ok(());
    }
    let because = "an answer counts at once".to_owned();
    let lines = vec![line(sysctl::write(&settings), because)];
    match hands.run(lines, Mood::StopAtFirst)?.failures.first() {
        Some(failed) => Err(failed.error("the wire cannot be asked")),
        None => Ok(()),
    }
}

/// Reads the answers.
pub fn answers(address: IpAddr, dev: &IfName) -> [Line; 2] {
    [address, beacon(address)].map(|who| Line::Read(Read::Neigh(dev.clone(), who)))
}

/// Removes what asking leaves.
pub fn clear(address: IpAddr, dev: &IfName) -> [Command; 2] {
    [address, beacon(address)].map(|who| neigh::del(who, dev))
}

/// Reads the answers to several questions, then removes them.
pub fn answers_at_last<'a>(asked: impl Iterator<Item = (IpAddr, &'a IfName)> + Clone) -> Vec<Line> {
    let read = asked
        .clone()
        .flat_map(|(address, dev)| answers(address, dev));
    let clear = asked.flat_map(|(address, dev)| clear(address, dev));
    read.chain(clear.map(|command| line(command, String::new())))
        .collect()
}

/// Runs lines that look and clean up behind themselves; an answer that has gone by itself is no failure.
///
/// # Errors
/// When something cannot be looked at.
pub fn look(hands: &Hands<'_>, lines: Vec<Line>) -> Result<Observed, CniError> {
    told(hands.run(lines, Mood::TryAll)?)
}

/// What lines that look and clean up have seen.
///
/// # Errors
/// As [`look`].
pub fn told(outcome: Outcome) -> Result<Observed, CniError> {
    let gone = |failed: &&Failed| failed.failure.kind() == Kind::NotFound;
    match outcome.failures.iter().find(|failed| !gone(failed)) {
        Some(failed) => Err(failed.error("a claim cannot be looked at")),
        None => Ok(outcome.seen),
    }
}

/// Whether both questions about an address are still there: another claim on this node that looked for
/// free addresses may have removed them with the answers, and so may a kernel whose table is full.
pub fn is_told(address: IpAddr, dev: &IfName, seen: &Observed) -> bool {
    let entry = |who| seen.neighbour(dev, who).is_some();
    entry(address) && entry(beacon(address))
}

/// Whether nobody can be asked on a device: it is known, and it has no neighbours (`arp_constructor`,
/// `net/ipv4/arp.c`). Then only the table tells.
pub fn is_silent(dev: &IfName, seen: &Observed) -> bool {
    const SILENT: [&str; 2] = ["LOOPBACK", "POINTOPOINT"];
    let silent = |flag: &String| SILENT.contains(&&**flag);
    seen.link(Side::Host, dev)
        .is_some_and(|link| link.flags.iter().any(silent))
}

/// Who has an address: only a container or another host answers for it.
pub fn who(address: IpAddr, dev: &IfName, seen: &Observed) -> Option<String> {
    let mac = seen.neighbour(dev, address)?.answered()?;
    Some(format!("{mac} answers for it on {dev}"))
}

/// The MAC of the device on which somebody else claims an address.
pub fn rival(address: IpAddr, dev: &IfName, seen: &Observed) -> Option<String> {
    let mac = seen.neighbour(dev, beacon(address))?.answered()?;
    Some(mac.to_owned())
}

/// Asks about many addresses at once, waits, and tells which of them somebody has or claims.
///
/// # Errors
/// When the wire cannot be asked.
pub fn sift(
    system: &System,
    hands: &Hands<'_>,
    wait: Duration,
    asked: &[(IpAddr, IfName)],
) -> Result<BTreeSet<IpAddr>, CniError> {
    if asked.is_empty() {
        return Ok(BTreeSet::new());
    }
    let each = asked.iter().map(|(address, dev)| (*address, dev));
    let outcome = run_and_ask(hands, Vec::new(), each.clone())?;
    if let Some(failed) = outcome.failures.first() {
        return Err(failed.error("the wire cannot be asked"));
    }
    system.pause(wait)?;
    let answers = answers_at_last(each);
    let seen = look(hands, answers)?;
    let has = |(address, dev): &&(IpAddr, IfName)| {
        who(*address, dev, &seen).is_some() || rival(*address, dev, &seen).is_some()
    };
    Ok(asked
        .iter()
        .filter(has)
        .map(|(address, _)| *address)
        .collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeSet;

    fn shown(address: &str) -> String {
        beacon(address.parse().unwrap()).to_string()
    }

    #[test]
    fn a_beacon_follows_from_the_address_and_is_no_address_that_anybody_has() {
        for (address, beacon) in [
            ("10.1.0.23", "250.1.0.23"),
            ("172.16.3.9", "252.16.3.9"),
            ("192.168.3.9", "240.168.3.9"),
            ("15.255.255.255", "255.255.255.254"),
        ] {
            assert_eq!(shown(address), beacon);
        }
        // Pinned: nodes with different releases must see each other's.
        assert_eq!(shown("fd10::23"), shown("fd10:0::23"));
        let many: BTreeSet<String> = (0..1000).map(|n| shown(&format!("fd10::{n:x}"))).collect();
        assert_eq!(many.len(), 1000);
    }
}
