//! The wire as evidence: the host that has an address on the network answers for it, and so does a claim.
//!
//! A container that is not up yet cannot answer for its address, and the node must not take its traffic.
//! So a claim puts another address up, its beacon, which follows from the claimed one, to which no
//! host sends anything, and which answers for the claim until the container does. The kernel takes it off
//! again by itself.
//!
//! The kernel is told to resolve address and beacon on the claim's device (ARP, neighbour solicitation), by
//! broadcast and by unicast to the MAC that follows from the address, several times, and asked whether
//! a host answered; nothing of that stays behind.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use ipnetwork::IpNetwork;

use super::at_once::take_answers_at_once;
use super::config::Ipam;
use crate::cni::{CniError, Code};
use crate::config::hosts::{bits32, mac_of};
use crate::exec::System;
use crate::ip::sysctl::SysctlKey;
use crate::ip::{Command, Family, IfName, Mac, addr, neigh};
use crate::plan::{Observed, Read, Side, Step};
use crate::session::Session;
use crate::session::line::{Failed, Line, Outcome};

/// Whether the wire is asked.
pub fn is_asked(ipam: &Ipam) -> bool {
    ipam.probe
}

/// For how long at the least a beacon answers for a claim: until the container is up and answers by
/// itself. The kernel counts whole seconds.
const BEACON: Duration = Duration::from_secs(30);

/// Where beacons are: `240.0.0.0/4`, to which no traffic goes (RFC 1112, "reserved"), which Linux
/// resolves and answers for like any other, and which BIRD and FRR do not spread.
const BEACONS: u32 = 0xf000_0000;

/// The beacon of an address: its last 28 bits, or those of a hash of an IPv6 address ([`bits32`]).
/// It is an IPv4 address for both: the kernel ignores a neighbour advertisement for an address that it
/// has itself (`ndisc_recv_na`, `net/ipv6/ndisc.c`), so that of two claims neither would see the other;
/// it takes an ARP answer.
pub fn beacon(address: IpAddr) -> IpAddr {
    // The last one is the broadcast address.
    Ipv4Addr::from((BEACONS | bits32(address)).min(u32::MAX - 1)).into()
}

/// Puts the beacon of a claim up, for as long as it may take to be seen and answered for.
pub fn hold(session: &Session<'_>, address: IpAddr, dev: &IfName, ipam: &Ipam) -> Line {
    let time = BEACON + ipam.propagation + ipam.contest();
    let seconds = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    let [lo, dev] = posts(dev);
    let post = if ipam.is_bridge || answers_for_lo(session, &dev) {
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
fn answers_for_lo(session: &Session<'_>, dev: &IfName) -> bool {
    let name = "arp_ignore";
    let keys = [
        SysctlKey::All(Family::V4, name),
        SysctlKey::Device(Family::V4, dev.clone(), name),
    ];
    !keys.iter().any(|key| {
        let value = session.exec.sysctl(key).ok().flatten();
        value.is_some_and(|value| value.trim() != "0")
    })
}

/// A change as a line of a batch. What takes it back depends on how far a claim has come, not on the line.
pub fn line(command: Command, because: String) -> Line {
    Line::Write(Step {
        side: Side::Host,
        command,
        undo: None,
        makes: Vec::new(),
        because,
    })
}

/// An address that the wire is asked about, on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The address.
    pub address: IpAddr,
    /// The device.
    pub dev: IfName,
    /// The MACs that a container with the address has, where its MAC follows from an address.
    pub macs: Vec<Mac>,
    /// The MAC by which another node's claim was seen.
    pub rival: Option<Mac>,
}

impl Asked {
    /// With the MACs that follow from the address and from those that are claimed with it: a container's follows
    /// from its first address, whichever family that is of.
    pub fn new(address: IpAddr, dev: &IfName, beside: &[IpAddr]) -> Self {
        let mut macs: Vec<Mac> = Vec::new();
        for mac in [address].iter().chain(beside).copied().filter_map(mac_of) {
            if !macs.contains(&mac) {
                macs.push(mac);
            }
        }
        Self {
            address,
            dev: dev.clone(),
            macs,
            rival: None,
        }
    }

    /// Who is asked at a turn: about the address, and about the beacon.
    fn turn(&self, turn: u32) -> Vec<(IpAddr, Way)> {
        let own = (!self.macs.is_empty()).then(|| self.macs[turn as usize % self.macs.len()]);
        let way = |mac: Option<Mac>| match mac.filter(|_| !turn.is_multiple_of(3)) {
            Some(mac) => Way::One(mac),
            None => Way::All,
        };
        let beacon = (beacon(self.address), way(self.rival));
        // Where no MAC is known everybody has been asked already, and an answer may still come.
        let again = turn.is_multiple_of(3) || beacon.1 != Way::All;
        let address = std::iter::once((self.address, way(own)));
        address.chain(again.then_some(beacon)).collect()
    }

    /// The lines that have the kernel ask at a turn. What is known is forgotten before: a container that has just gone
    /// must not answer from memory, and what is being asked already is not asked anew.
    fn questions(&self, turn: u32, all: Everybody) -> Vec<Line> {
        let because = || format!("the owner or claimant of {} answers", self.address);
        let ask = |(who, way)| {
            let question = match way {
                Way::All => all(who, &self.dev),
                Way::One(mac) => neigh::probe(who, mac, &self.dev),
            };
            [neigh::forget(who, &self.dev), question].map(|command| line(command, because()))
        };
        self.turn(turn).into_iter().flat_map(ask).collect()
    }

    /// The lines that read what was answered by those who are asked at a turn.
    fn answers(&self, turn: u32) -> Vec<Line> {
        let read = |(who, _)| Line::Read(Read::Neigh(Side::Host, self.dev.clone(), who));
        self.turn(turn).into_iter().map(read).collect()
    }
}

/// How the wire is asked about an address at one moment. A broadcast reaches all, but waits in a queue of the other
/// node's with whatever else its containers are sent, and is lost when that is full (macvlan's, 1,000
/// packets); a question to one MAC goes by that queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Everybody is asked.
    All,
    /// The one that has it if it has the MAC that follows from it, or whose claim was seen.
    One(Mac),
}

/// How often the wire is asked at the most within the time that a claim takes to be seen; each time in one way, and
/// every third time everybody. Each time the kernel is asked anew it sends one question at once.
/// Each answer that is read costs a look at all neighbours of the device, in which `ip` finds the one.
pub const TIMES: u32 = 5;

/// The same where many addresses are asked about.
pub const FEW_TIMES: u32 = 4;

/// The same where it is looked again and again: everybody, and the one whose claim was seen.
pub const TWICE: u32 = 2;

/// The shortest time for one way: the kernel sends a question to one MAC with its next tick (up to 10 ms, `CONFIG_HZ`).
pub const WAY_LEAST: Duration = Duration::from_millis(12);

/// How long to wait before the wire is asked again where the table of neighbours is full. The kernel makes room
/// once what fills it is five seconds old (`neigh_forced_gc`), and as what failed is dropped.
const FULL_PAUSE: Duration = Duration::from_millis(200);

/// A command that has the kernel ask everybody.
type Everybody = fn(IpAddr, &IfName) -> Command;

/// What the wire is asked, and how.
#[derive(Debug, Clone, Copy)]
pub struct Questions<'a> {
    /// About what.
    pub asked: &'a [Asked],
    /// How often at the most.
    pub times: u32,
    /// For how long in all.
    pub wait: Duration,
    /// When there is no more time to try again.
    pub deadline: Instant,
}

impl Questions<'_> {
    /// The lines of a process that asks, reads what was answered, and removes what asking leaves.
    fn stages(
        &self,
        before: Vec<Line>,
        after: &[Line],
        all: Everybody,
    ) -> Vec<(Duration, Vec<Line>)> {
        let fit = self.wait.as_millis() / WAY_LEAST.as_millis();
        let times = u32::try_from(fit).unwrap_or(u32::MAX).clamp(1, self.times);
        let step = self.wait / times;
        let mut stages = vec![(Duration::ZERO, before)];
        for turn in 0..times {
            if turn > 0 {
                // What was answered is read before asking again makes it forgotten.
                let answers = self.asked.iter().flat_map(|asked| asked.answers(turn));
                stages.push((step, answers.collect()));
            }
            if let Some((_, stage)) = stages.last_mut() {
                stage.extend(
                    self.asked
                        .iter()
                        .flat_map(|asked| asked.questions(turn, all)),
                );
            }
        }
        let last = self.asked.iter().flat_map(|asked| asked.answers(0));
        let mut last: Vec<Line> = last.collect();
        last.extend(after.iter().cloned());
        last.extend(clearing(self.asked).map(|command| line(command, String::new())));
        stages.push((step, last));
        stages
    }
}

/// Runs lines, asks the wire who has each of some addresses and who else claims it, and runs more lines when the
/// time for answers is over; nothing of the questions stays behind. All in one process, where nothing goes wrong.
///
/// # Errors
/// When a process cannot be run. Code 11 when the kernel's table of neighbours stays full.
pub fn run_and_ask(
    session: &Session<'_>,
    system: &System,
    mut before: Vec<Line>,
    questions: Questions<'_>,
    after: &[Line],
) -> Result<Outcome, CniError> {
    let mut whole = Outcome::default();
    let mut all: Everybody = neigh::ask;
    let devs = || questions.asked.iter().map(|asked| &asked.dev);
    if let Err(error) = take_answers_at_once(session, devs()) {
        // Those that come while another host is asked are lost then.
        session.journal.remark(&error.msg);
    }
    loop {
        let stages = questions.stages(std::mem::take(&mut before), after, all);
        let outcome = session.run_paced(stages)?;
        whole.seen.absorb(outcome.seen);
        // The first two end the process at that question; what comes before the questions has run. By the third all that was
        // to be seen has been, as the questions are removed last, but those behind it are still there.
        let known: [fn(&str) -> bool; 3] = [
            neigh::lacks_use,
            neigh::is_full,
            neigh::was_flushed_meanwhile,
        ];
        let is = |known: &fn(&str) -> bool, failed: &Failed| known(&failed.failure.message);
        let [lacking, full, flushed] =
            known.map(|known| outcome.failures.iter().any(|failed| is(&known, failed)));
        if flushed {
            remove_questions(session, system, questions.asked);
        }
        let others = outcome.failures.into_iter();
        let others = others.filter(|failed| !known.iter().any(|known| is(known, failed)));
        whole.failures.extend(others);
        match (lacking, full) {
            (false, false) => return Ok(whole),
            (true, _) => {
                take_answers_at_once(session, devs())?;
                all = neigh::probe_group;
            }
            (false, true) if Instant::now() + FULL_PAUSE + questions.wait < questions.deadline => {
                let full = full_table(session);
                session
                    .journal
                    .remark(&format!("{full}; it is tried again"));
                system.pause(FULL_PAUSE)?;
            }
            (false, true) => {
                return Err(CniError::new(Code::TRY_AGAIN, full_table(session)).details(ROOM));
            }
        }
    }
}

/// What removes the questions about addresses.
fn clearing(asked: &[Asked]) -> impl Iterator<Item = Command> {
    asked
        .iter()
        .flat_map(|asked| clear_all(asked.address, &asked.dev))
}

/// Removes what the questions have left, whatever comes meanwhile. What is not there is removed already.
fn remove_questions(session: &Session<'_>, system: &System, asked: &[Asked]) {
    let uninterruptible = system.uninterruptible();
    let commands = clearing(asked).map(|command| (Side::Host, command));
    for left in session.with(&uninterruptible).remove(commands.collect()) {
        session.journal.remark(&left);
    }
}

/// Says that no question can be asked.
fn full_table(session: &Session<'_>) -> String {
    let key = SysctlKey::NeighbourTable(Family::V4, neigh::THRESHOLD);
    let value = session.exec.sysctl(&key).ok().flatten();
    let value = value.map_or_else(String::new, |value| format!(" = {value}"));
    format!(
        "the kernel's table of neighbours is full ({key}{value}), so the wire cannot be asked who has an address"
    )
}

/// What to do about a full table.
const ROOM: &str = "something on this node talks to more addresses than it has room for, as a container does that \
    scans its network: `ip -s neigh` in the containers' namespaces tells which; all namespaces share \
    the table; more room: sysctl -w net.ipv4.neigh.default.gc_thresh3=8192 \
    net.ipv6.neigh.default.gc_thresh3=8192";

/// Removes what asking leaves.
pub fn clear_all(address: IpAddr, dev: &IfName) -> [Command; 2] {
    [address, beacon(address)].map(|who| neigh::flush(who, dev))
}

/// What lines that look have seen.
///
/// # Errors
/// When something cannot be looked at.
pub fn told(outcome: Outcome) -> Result<Observed, CniError> {
    match outcome.failures.first() {
        Some(failed) => Err(failed.error("a claim cannot be looked at")),
        None => Ok(outcome.seen),
    }
}

/// Whether both questions about an address are still there: another claim on this node that looked for
/// free addresses may have removed them with the answers, and so may a kernel whose table is full.
pub fn is_told(address: IpAddr, dev: &IfName, seen: &Observed) -> bool {
    let entry = |who| seen.neighbour(Side::Host, dev, who).is_some();
    entry(address) && entry(beacon(address))
}

/// Whether no host can be asked on a device: it is known, and it has no neighbours (`arp_constructor`,
/// `net/ipv4/arp.c`). Then only the table tells.
pub fn is_silent(dev: &IfName, seen: &Observed) -> bool {
    const SILENT: [&str; 2] = ["LOOPBACK", "POINTOPOINT"];
    let silent = |flag: &String| SILENT.contains(&&**flag);
    seen.link(Side::Host, dev)
        .is_some_and(|link| link.flags.iter().any(silent))
}

/// The MAC of who has an address: only a container or another host answers for it.
pub fn holder<'a>(address: IpAddr, dev: &IfName, seen: &'a Observed) -> Option<&'a str> {
    seen.neighbour(Side::Host, dev, address)?.answered()
}

/// The MAC of the device on which another node claims an address.
pub fn rival<'a>(address: IpAddr, dev: &IfName, seen: &'a Observed) -> Option<&'a str> {
    seen.neighbour(Side::Host, dev, beacon(address))?.answered()
}

/// Asks about many addresses at once, waits, and tells which of them have an owner or claimant, by which MAC.
///
/// # Errors
/// When the wire cannot be asked.
pub fn sift(
    system: &System,
    session: &Session<'_>,
    ipam: &Ipam,
    deadline: Instant,
    asked: &[(IpAddr, IfName)],
) -> Result<Vec<(IpAddr, IfName, String)>, CniError> {
    let asked: Vec<Asked> = asked
        .iter()
        .map(|(address, dev)| Asked::new(*address, dev, &[]))
        .collect();
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let questions = Questions {
        asked: &asked,
        times: FEW_TIMES,
        wait: ipam.propagation,
        deadline,
    };
    let seen = run_and_ask(session, system, Vec::new(), questions, &[]);
    let seen = seen.and_then(|outcome| match outcome.failures.first() {
        Some(failed) => Err(failed.error("the wire cannot be asked")),
        None => Ok(outcome.seen),
    });
    let seen = seen.inspect_err(|_| {
        // Whatever ended it, its questions go. There is an error to tell already.
        remove_questions(session, system, &asked);
    })?;
    let answered = |asked: Asked| {
        let Asked { address, dev, .. } = asked;
        let mac = holder(address, &dev, &seen).or_else(|| rival(address, &dev, &seen));
        let mac = mac?.to_owned();
        Some((address, dev, mac))
    };
    Ok(asked.into_iter().filter_map(answered).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;
    use crate::route_table::config::PROPAGATION_MS;

    /// What is asked, stage by stage, within some milliseconds.
    fn asked(ms: u64, rival: Option<Mac>) -> Vec<Vec<String>> {
        let dev: IfName = "mv_blue".parse().unwrap();
        let beside = ["10.1.0.23".parse().unwrap(), "fd10::23".parse().unwrap()];
        let asked = [Asked {
            rival,
            ..Asked::new(beside[1], &dev, &beside)
        }];
        let questions = Questions {
            asked: &asked,
            times: TIMES,
            wait: Duration::from_millis(ms),
            deadline: Instant::now(),
        };
        let stages = questions.stages(Vec::new(), &[], neigh::ask).into_iter();
        let command = |line: Line| match line {
            Line::Write(step) => step.command.to_string(),
            Line::Read(read) => read.command().to_string(),
        };
        stages
            .map(|(_, lines)| lines.into_iter().map(command).collect())
            .collect()
    }

    #[test]
    fn the_default_time_fits_two_questions_by_broadcast_and_one_to_each_mac_a_container_may_have() {
        let turns: Vec<&str> = asked(PROPAGATION_MS, None)
            .iter()
            .take_while(|lines| lines.iter().any(|line| line.contains("replace")))
            .map(|lines| {
                let has = |word: &str| lines.iter().any(|line| line.contains(word));
                match (has("lladdr 0a:"), has("lladdr 0e:")) {
                    (true, _) => "by IPv4",
                    (_, true) => "by IPv6",
                    _ => "everybody",
                }
            })
            .collect();
        assert_eq!(turns, ["everybody", "by IPv4", "by IPv6", "everybody"]);
    }

    #[test]
    fn everybody_is_asked_and_in_between_those_whose_macs_follow_from_the_addresses() {
        let stages = asked(100, None);
        assert_eq!(stages.len(), 6);
        let of = |word: &str| {
            let stages = stages.iter().enumerate();
            let has = stages.filter(|(_, lines)| lines.iter().any(|line| line.contains(word)));
            has.map(|(index, _)| index).collect::<Vec<usize>>()
        };
        assert_eq!(of("replace fd10::23 dev mv_blue use"), [0, 3]);
        let beacon = beacon("fd10::23".parse().unwrap());
        assert_eq!(of(&format!("replace {beacon} dev mv_blue use")), [0, 3]);
        // A container with both families has the MAC of either.
        assert_eq!(of("lladdr 0a:58:0a:01:00:17"), [1]);
        assert_eq!(of("lladdr 0e:00:00:00:00:23"), [2, 4]);
        assert_eq!(of("neigh show to fd10::23"), [1, 2, 3, 4, 5]);
        assert_eq!(of("neigh flush to fd10::23"), [5]);
        assert_eq!(of(&format!("neigh flush to {beacon}")), [5]);
        for (ms, count) in [(0, 2), (23, 2), (24, 3), (59, 5), (600_000, 6)] {
            assert_eq!(asked(ms, None).len(), count, "{ms}");
        }
    }

    #[test]
    fn one_whose_claim_was_seen_is_asked_by_its_mac_too() {
        let mac: Mac = "02:00:00:00:00:07".parse().unwrap();
        let stages = asked(100, Some(mac));
        let words = "lladdr 02:00:00:00:00:07";
        let has = |lines: &Vec<String>| lines.iter().any(|line| line.contains(words));
        let asked: Vec<bool> = stages.iter().map(has).collect();
        let of_three = [false, true, true];
        let wanted = of_three.into_iter().cycle().take(5).chain([false]);
        assert_eq!(asked, wanted.collect::<Vec<bool>>());
    }

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
