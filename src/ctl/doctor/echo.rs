//! Echoes: many at a time, each a process that has its answer in milliseconds, or none within a second.

use super::probe::{self, Answer};
use crate::config::Network;
use crate::exec::System;
use crate::ip::command::shell_line;
use crate::ip::{Family, Netns};
use crate::plan::anycast;

/// How many are under way at a time.
const SIDE_BY_SIDE: usize = 192;

/// Bytes of an echo's own headers: IPv4 20 or IPv6 40, ICMP 8.
const HEADERS: [(Family, u32); 2] = [(Family::V4, 28), (Family::V6, 48)];

/// Words in the complaint of a program that has sent nothing, as another `ping` of an option or one without the rights,
/// or `nsenter` of a namespace.
const SENT_NONE: [&str; 5] = ["option", "Usage", "BusyBox", "socket", "nsenter:"];

/// An echo that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Echo {
    argv: Vec<String>,
}

/// Echoes of which one has to come back, the likeliest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The echoes.
    pub echoes: Vec<Echo>,
    /// The group whose answer tells as much.
    pub unless: Option<usize>,
}

impl Group {
    /// One that is asked in any case.
    pub fn of(echoes: Vec<Echo>) -> Self {
        Self {
            echoes,
            unless: None,
        }
    }
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
    /// A small one by a device or from an address; the way of the node's own packets where neither is said.
    pub fn small(to: &str, by: &str) -> Self {
        let v6 = if to.contains(':') { "-6 " } else { "" };
        let by = match by {
            "" => String::new(),
            by => format!("-I {by} "),
        };
        let line = format!("ping {v6}-n -q -c 1 -W 1 {by}{to}");
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

    /// The same from an address of the device, whatever the route would choose.
    pub fn named(mut self, from: std::net::IpAddr) -> Self {
        let at = self.argv.len() - 1;
        self.argv
            .splice(at..at, ["-I".to_owned(), from.to_string()]);
        self
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

    /// The same, twice: what is lost to a look-up of neighbours is the first.
    fn twice(&self) -> Self {
        let mut argv = self.argv.clone();
        if let Some(at) = argv.iter().position(|word| word == "-c") {
            argv.splice(at..at + 2, ["-c", "2", "-i", "0.3"].map(str::to_owned));
        }
        Self { argv }
    }

    /// Sends many, and waits for what comes back; what is silent is sent once more.
    pub fn send(system: &System, echoes: &[Self]) -> Vec<Heard> {
        let alone = echoes.iter().map(|echo| Group::of(vec![echo.clone()]));
        let alone: Vec<Group> = alone.collect();
        let first = Self::first(system, &alone);
        Self::again(system, &alone, first).concat()
    }

    /// Sends two of each, one shortly after the other.
    pub fn send_twice(system: &System, echoes: &[Self]) -> Vec<Heard> {
        let echoes: Vec<Self> = echoes.iter().map(Self::twice).collect();
        Self::once(system, &echoes)
    }

    /// Sends the first of each group; what is not sent is told as silent. Silence takes a second.
    pub fn first(system: &System, groups: &[Group]) -> Vec<Vec<Heard>> {
        let silence = |group: &Group| vec![Heard::Silence; group.echoes.len()];
        let mut heard: Vec<Vec<Heard>> = groups.iter().map(silence).collect();
        let asked = |group: &&(usize, &Group)| group.1.unless.is_none();
        let groups: Vec<_> = groups.iter().enumerate().collect();
        let firsts = groups.iter().filter(asked);
        let firsts = firsts.filter_map(|(at, group)| Some((*at, group.echoes.first()?.clone())));
        let (places, echoes): (Vec<usize>, Vec<Self>) = firsts.unzip();
        for (at, now) in places.into_iter().zip(Self::once(system, &echoes)) {
            heard[at][0] = now;
        }
        heard
    }

    /// Sends all of each group that is silent.
    pub fn again(system: &System, groups: &[Group], mut heard: Vec<Vec<Heard>>) -> Vec<Vec<Heard>> {
        let is_silent = |at: &usize| !heard[*at].contains(&Heard::Answer);
        let open = (0..groups.len()).filter(is_silent);
        let open = open.filter(|at| groups[*at].unless.is_none_or(|other| is_silent(&other)));
        let asked: Vec<(usize, usize)> = open
            .flat_map(|at| {
                let of = heard[at].iter().enumerate();
                let silent = of.filter(|(_, heard)| **heard == Heard::Silence);
                silent.map(|(index, _)| (at, index)).collect::<Vec<_>>()
            })
            .collect();
        let echoes = asked
            .iter()
            .map(|(at, index)| groups[*at].echoes[*index].twice());
        let echoes: Vec<Self> = echoes.collect();
        for ((at, index), now) in asked.into_iter().zip(Self::once(system, &echoes)) {
            heard[at][index] = now;
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
/// else; its device where the address has a scope, or where routes around the network are taken. Nothing where the gateway's
/// address is every node's: the answer would go to another, and would not come back by the device.
pub fn by(network: &Network, to: std::net::IpAddr) -> String {
    let gateway = network.cidr(Family::of(to));
    match gateway.filter(|gateway| gateway.contains(to)) {
        Some(_) if anycast::is(network) => String::new(),
        Some(gateway) if network.bypass => gateway.ip().to_string(),
        _ => network.mv.to_string(),
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
        let again = Echo::small("10.1.0.1", "eth0").twice().line();
        assert_eq!(again, "ping -n -q -c 2 -i 0.3 -W 1 -I eth0 10.1.0.1");
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
