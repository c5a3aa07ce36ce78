//! The same of IPv6 addresses: an echo to the group that an address is in (RFC 4291, 2.7.1) has all its owners answer, each
//! by its link-local address, and hosts of another address with the same end too. Which of the two a host is tells an echo
//! to it in the address's own name: its owner keeps the answer to itself.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use crate::config::Network;
use crate::ctl::doctor::asked::Wire;
use crate::ctl::doctor::echo::{Echo, Heard};
use crate::ctl::doctor::probe::{Answer, start};
use crate::ctl::doctor::report::{Finding, Id};
use crate::ctl::look::Attached;
use crate::exec::System;
use crate::plan::Side;
use crate::plan::container::mac_of_record;

/// How many addresses are asked about at a time.
const SIDE_BY_SIDE: usize = 64;

/// How many other hosts in an address's group are asked: a container can answer in any name.
const MOST: usize = 4;

/// An address of a container on this node.
struct Owned<'a> {
    address: Ipv6Addr,
    of: &'a Attached<'a>,
}

/// Another host in an address's group.
struct Other<'a> {
    owned: &'a Owned<'a>,
    host: Ipv6Addr,
    /// The echo in the address's name.
    echo: Echo,
}

/// Asks a network's wire for the IPv6 addresses of the containers that are on it here.
pub fn addresses(system: &System, wire: &Wire<'_>) -> Vec<Finding> {
    let network = wire.network;
    let owned: Vec<Owned<'_>> = wire.attached.iter().flat_map(owned).collect();
    let (mut others, mut silent) = (Vec::new(), 0);
    for wave in owned.chunks(SIDE_BY_SIDE) {
        let lines = wave.iter().map(|one| line(network, one.address));
        let started = lines.map(|line| start(system, &line.split(' ').collect::<Vec<_>>()));
        let started: Vec<_> = started.collect();
        for (one, running) in wave.iter().zip(started) {
            let hosts = answering(&running.and_then(|running| running.wait()));
            silent += usize::from(hosts.is_empty());
            let own = own(one, wire);
            let hosts = hosts.into_iter().filter(|host| !own.contains(host));
            others.extend(hosts.take(MOST).filter_map(|host| Other::of(one, host)));
        }
    }
    let echoes: Vec<Echo> = others.iter().map(|other| other.echo.clone()).collect();
    let heard = Echo::send_twice(system, &echoes);
    let judged = others.iter().zip(heard);
    let mut findings: Vec<Finding> = judged
        .filter_map(|(other, heard)| other.judged(network, &heard))
        .collect();
    let (all, dev) = (owned.len(), &network.mv);
    if silent > 0 {
        let what = format!(
            "no host was asked for {silent} of the {all} IPv6 addresses of containers: no answer on {dev}"
        );
        findings.push(Finding::unknown(Id::AddressOwner, what));
    } else if all > 0 && findings.is_empty() {
        let what = format!("the {all} IPv6 addresses of containers have one owner on {dev}");
        findings.push(Finding::ok(Id::AddressOwner, what));
    }
    findings
}

fn owned<'a>(of: &'a Attached<'a>) -> impl Iterator<Item = Owned<'a>> {
    let ips = of.record.lease.iter().flat_map(|lease| &lease.ips);
    let ips = ips.filter(|_| of.netns.is_some());
    ips.filter_map(move |ip| match ip.address.ip() {
        IpAddr::V6(address) => Some(Owned { address, of }),
        IpAddr::V4(_) => None,
    })
}

/// Two echoes: when the second one is answered, every answer to the first has come.
fn line(network: &Network, address: Ipv6Addr) -> String {
    let [.., a, b, c] = address.octets();
    let dev = &network.mv;
    format!("ping -6 -n -c 2 -i 0.2 -W 1 -I {dev} ff02::1:ff{a:02x}:{b:02x}{c:02x}")
}

/// The link-local addresses that answered: `64 bytes from fe80::858:aff:fe01:9%mv_blue: icmp_seq=1 ttl=64 time=0.1 ms`.
fn answering(answer: &Answer) -> BTreeSet<Ipv6Addr> {
    let Ok(output) = answer else {
        return BTreeSet::new();
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let from = |line: &str| {
        let (_, rest) = line.split_once(" bytes from ")?;
        let shown = rest.split([' ', '%']).next()?;
        shown.trim_end_matches(':').parse().ok()
    };
    text.lines().filter_map(from).collect()
}

/// The link-local addresses of the container and of the node itself.
fn own(one: &Owned<'_>, wire: &Wire<'_>) -> Vec<Ipv6Addr> {
    let record = one.of.record;
    let mac = mac_of_record(record.mac, &record.definition, record.lease.as_ref());
    let mv = wire
        .seen
        .and_then(|seen| seen.link(Side::Host, &wire.network.mv));
    let node = mv.into_iter().flat_map(|mv| &mv.addr_info);
    let node = node.filter_map(|address| match address.local {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(_) => None,
    });
    node.chain(mac.map(|mac| mac.link_local())).collect()
}

impl<'a> Other<'a> {
    fn of(owned: &'a Owned<'a>, host: Ipv6Addr) -> Option<Self> {
        let ifname = owned.of.record.ifname.as_str();
        let echo = Echo::small(&host.to_string(), ifname).named(owned.address.into());
        Some(Self {
            owned,
            host,
            echo: echo.within(owned.of.netns.as_ref()?),
        })
    }

    /// What is wrong, if something is.
    fn judged(&self, network: &Network, heard: &Heard) -> Option<Finding> {
        let (address, host) = (self.owned.address, self.host);
        let who = match &self.owned.of.record.pod {
            Some(pod) => pod.clone(),
            None => self.owned.of.record.id(),
        };
        let finding = match heard {
            Heard::Answer => return None,
            Heard::Silence => {
                let what = format!(
                    "{address} of {who} has two owners: {host} on {} answers for it, too",
                    network.mv
                );
                Finding::failed(Id::AddressOwner, what)
            }
            Heard::Unasked(why) => {
                let what = format!(
                    "{host} on {} has {address} of {who}, too, or another address with the same end: {why}",
                    network.mv
                );
                Finding::unknown(Id::AddressOwner, what)
            }
        };
        Some(
            finding
                .inspect(line(network, address))
                .fix(super::fix(address.into())),
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::exec::Output;

    #[test]
    fn all_that_answer_an_echo_to_a_group_are_read_once() {
        // iputils 20221126, then BusyBox 1.35.
        for (first, second) in [
            (
                "%mv_blue: icmp_seq=1 ttl=64",
                "%mv_blue: icmp_seq=1 ttl=64 time=0.5 ms (DUP!)",
            ),
            (": seq=0 ttl=64", ": seq=0 ttl=64 time=0.5 ms (DUP!)"),
        ] {
            let stdout = format!(
                "PING ff02::1:ff00:9(ff02::1:ff00:9) from fe80::1%mv_blue mv_blue: 56 data bytes\n\
                 64 bytes from fe80::858:aff:fe01:9{first}\n64 bytes from fe80::858:aff:fe01:7{second}\n\
                 64 bytes from fe80::858:aff:fe01:9{first}\n\n--- ff02::1:ff00:9 ping statistics ---\n"
            );
            let answer = Ok(Output {
                code: Some(0),
                stdout: stdout.into(),
                stderr: String::new(),
            });
            let wanted =
                ["fe80::858:aff:fe01:7", "fe80::858:aff:fe01:9"].map(|one| one.parse().unwrap());
            assert_eq!(answering(&answer), BTreeSet::from(wanted));
        }
    }
}
