//! Echoes: many at a time, each a process that has its answer in milliseconds, or none within a second.

use super::probe::{self, Answer};
use crate::config::Network;
use crate::exec::System;
use crate::ip::command::shell_line;
use crate::ip::{Family, Netns};

/// How many are under way at a time.
const SIDE_BY_SIDE: usize = 192;

/// Bytes of an echo's own headers: IPv4 20 or IPv6 40, ICMP 8.
const HEADERS: [(Family, u32); 2] = [(Family::V4, 28), (Family::V6, 48)];

/// Words in the complaint of a program that has sent nothing, as another `ping` of an option or one without the rights,
/// or `nsenter` of a namespace.
const SENT_NONE: [&str; 5] = ["option", "Usage", "BusyBox", "socket", "nsenter:"];

/// Which of a group are sent.
#[derive(Debug, Clone, Copy)]
enum Round {
    First,
    Others,
    Again,
}

/// One after the other.
const ROUNDS: [Round; 3] = [Round::First, Round::Others, Round::Again];

impl Round {
    fn of(self, count: usize) -> std::ops::Range<usize> {
        match self {
            Self::First => 0..count.min(1),
            Self::Others => count.min(1)..count,
            Self::Again => 0..count,
        }
    }
}

/// An echo that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Echo {
    argv: Vec<String>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// An answer.
    Answer,
    /// None.
    Silence,
    /// Nothing was sent, and why.
    Unasked(String),
}

impl Echo {
    /// A small one by a device or from an address.
    pub fn small(to: &str, by: &str) -> Self {
        let v6 = if to.contains(':') { "-6 " } else { "" };
        let line = format!("ping {v6}-n -q -c 1 -W 1 -I {by} {to}");
        Self {
            argv: line.split(' ').map(str::to_owned).collect(),
        }
    }

    /// The same, of so many bytes and not to be split on their way.
    pub fn whole(to: &str, by: &str, bytes: u32) -> Self {
        let family = if to.contains(':') {
            Family::V6
        } else {
            Family::V4
        };
        let headers = HEADERS.iter().find(|(of, _)| *of == family);
        let payload = bytes.saturating_sub(headers.map_or(0, |(_, bytes)| *bytes));
        let mut echo = Self::small(to, by);
        let at = echo.argv.len() - 1;
        let more = ["-M", "do", "-s", &payload.to_string()].map(str::to_owned);
        echo.argv.splice(at..at, more);
        echo
    }

    /// The same from within a namespace.
    pub fn within(self, netns: &Netns) -> Self {
        let mut argv = netns.enter();
        argv.extend(self.argv);
        Self { argv }
    }

    /// The pasteable line.
    pub fn line(&self) -> String {
        shell_line(&self.argv)
    }

    /// Sends many, and waits for what comes back; what is silent is sent once more.
    pub fn send(system: &System, echoes: &[Self]) -> Vec<Heard> {
        let alone: Vec<Vec<Self>> = echoes.iter().map(|echo| vec![echo.clone()]).collect();
        Self::send_until_answered(system, &alone).concat()
    }

    /// Sends one of each group, the others of a group where that is silent, and all of it once more where no one of it has
    /// answered, for the first may be lost to a look-up of neighbours: silence takes a second. What is not sent any more is
    /// told as silent.
    pub fn send_until_answered(system: &System, groups: &[Vec<Self>]) -> Vec<Vec<Heard>> {
        let mut heard: Vec<Vec<Heard>> = groups
            .iter()
            .map(|group| vec![Heard::Silence; group.len()])
            .collect();
        for round in ROUNDS {
            let open = groups.iter().zip(&heard).enumerate();
            let open = open.filter(|(_, (_, heard))| !heard.contains(&Heard::Answer));
            let asked: Vec<(usize, usize)> = open
                .flat_map(|(at, (group, heard))| {
                    let silent = |index: &usize| heard[*index] == Heard::Silence;
                    let its = round.of(group.len()).filter(silent);
                    its.map(move |index| (at, index)).collect::<Vec<_>>()
                })
                .collect();
            let echoes: Vec<Self> = asked
                .iter()
                .map(|(at, index)| groups[*at][*index].clone())
                .collect();
            for ((at, index), now) in asked.into_iter().zip(Self::once(system, &echoes)) {
                heard[at][index] = now;
            }
        }
        heard
    }

    fn once(system: &System, echoes: &[Self]) -> Vec<Heard> {
        let waves = echoes.chunks(SIDE_BY_SIDE);
        waves.flat_map(|wave| Self::wave(system, wave)).collect()
    }

    fn wave(system: &System, echoes: &[Self]) -> Vec<Heard> {
        let start = |echo: &Self| {
            let argv: Vec<&str> = echo.argv.iter().map(String::as_str).collect();
            probe::start(system, &argv)
        };
        let started: Vec<_> = echoes.iter().map(start).collect();
        let ended = started.into_iter().map(|one| one?.wait());
        ended.map(|answer| Heard::of(&answer)).collect()
    }
}

impl Heard {
    fn of(answer: &Answer) -> Self {
        let output = match answer {
            Err(error) => return Self::Unasked(error.to_string()),
            Ok(output) if output.code == Some(0) => return Self::Answer,
            Ok(output) => output,
        };
        let complaint = output.stderr.lines().next().unwrap_or_default();
        match SENT_NONE.iter().any(|word| complaint.contains(word)) {
            true => Self::Unasked(complaint.to_owned()),
            false => Self::Silence,
        }
    }
}

/// What an echo to an address of a network is sent by: the gateway's address, so that it goes the way of everything
/// else; its device where the address has a scope, or where routes around the network are taken.
pub fn by(network: &Network, to: std::net::IpAddr) -> String {
    let gateway = network.cidr(Family::of(to));
    match gateway.filter(|gateway| network.bypass && gateway.contains(to)) {
        Some(gateway) => gateway.ip().to_string(),
        None => network.mv.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::Output;

    #[test]
    fn an_echo_of_each_kind_is_a_line_that_can_be_pasted() {
        let v6 = Echo::whole("fd10::2", "fd10::1", 1450).line();
        assert_eq!(
            v6,
            "ping -6 -n -q -c 1 -W 1 -I fd10::1 -M do -s 1402 fd10::2"
        );
        let pod = Netns::Path("/proc/17/ns/net".to_owned());
        let v4 = Echo::small("10.1.0.1", "eth0").within(&pod).line();
        assert_eq!(
            v4,
            "nsenter --net=/proc/17/ns/net ping -n -q -c 1 -W 1 -I eth0 10.1.0.1"
        );
    }

    #[test]
    fn a_ping_that_sent_nothing_is_no_silence() {
        let heard = |code: i32, stderr: &str| {
            Heard::of(&Ok(Output {
                code: Some(code),
                stdout: Vec::new(),
                stderr: stderr.to_owned(),
            }))
        };
        assert_eq!(heard(0, ""), Heard::Answer);
        assert_eq!(heard(1, ""), Heard::Silence);
        // iputils 20221126: without a route; with a firewall on the way out; larger than the device takes.
        for said in [
            "ping: connect: Network is unreachable\n",
            "ping: sendmsg: Operation not permitted\n",
            "ping: local error: message too long, mtu=1400\n",
        ] {
            assert_eq!(heard(2, said), Heard::Silence, "{said}");
        }
        // BusyBox 1.35; iputils without CAP_NET_RAW; nsenter where a pod has just gone.
        for said in [
            "ping: invalid option -- 'M'\nBusyBox v1.35.0 multi-call binary.\n",
            "ping: socket: Operation not permitted\n",
            "nsenter: cannot open /run/netns/x: No such file or directory\n",
        ] {
            assert!(matches!(heard(1, said), Heard::Unasked(_)), "{said}");
        }
    }
}
