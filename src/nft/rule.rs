//! One rule: what a packet must be like, and what becomes of it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;

use crate::ip::rule::Fwmark;
use crate::ip::subnets::is_in;
use crate::ip::{Family, IfName, Mac, Vni};

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// All of these.
    pub matches: Vec<Match>,
    /// Then this.
    pub verdict: Verdict,
}

impl Rule {
    /// Whether it is a rule, or one that is about more ports or more destinations and else the same.
    pub fn covers(&self, wanted: &Self) -> bool {
        let is_snat = matches!(wanted.verdict, Verdict::Snat(_));
        let same = |(this, wanted): (&Match, &Match)| match (this, wanted) {
            (Match::UdpTo(these), Match::UdpTo(those)) => {
                those.iter().all(|port| these.contains(port))
            }
            (Match::Address(place, is, these), Match::Address(wanted_place, wanted_is, those))
                if *place == Place::To || is_snat =>
            {
                (place, is) == (wanted_place, wanted_is)
                    && those.iter().all(|network| is_in(*network, these))
            }
            _ => this == wanted,
        };
        let verdict = self.verdict == wanted.verdict
            || self.verdict == Verdict::Mark(None) && matches!(wanted.verdict, Verdict::Mark(_));
        verdict
            && self.matches.len() == wanted.matches.len()
            && std::iter::zip(&self.matches, &wanted.matches).all(same)
    }
}

/// The names of the gateway devices of all networks.
pub(super) const GATEWAYS: &str = "mv_*";

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is gone.
    Drop,
    /// It passes.
    Accept,
    /// It gets the address of the device that it leaves by as its source.
    Masquerade,
    /// It gets this address as its source, if it is of that family; else the rule is none.
    Snat(IpAddr),
    /// This bit of its mark is set, and it goes on; none is one that the machine has a name for
    /// (/etc/iproute2/rt_marks), which alone is told then.
    Mark(Option<Fwmark>),
}

/// Which end of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Source, or the device it came in by.
    From,
    /// Destination, or the device it leaves by.
    To,
}

/// One property of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// It came in by, or leaves by, one of these devices; or by none of them.
    Device(Place, Is, Vec<IfName>),
    /// It came in by, or leaves by, a gateway of ours, whichever network's: by a device that begins with
    /// `mv_`; or by none of them.
    Gateway(Place, Is),
    /// It is UDP to one of these ports.
    UdpTo(Vec<u16>),
    /// It is UDP from one of these ports.
    UdpFrom(Vec<u16>),
    /// The kernel takes it for a packet of this protocol (`meta protocol`), as which its headers are read.
    TakenFor(L3),
    /// The frame says of itself that it carries this protocol; or it does not.
    Carries(Is, L3),
    /// Its source MAC is this one; or it is not.
    FromMac(Is, Mac),
    /// It is ARP that names this MAC as the sender's; or does not.
    ArpFromMac(Is, Mac),
    /// It is ARP whose sender or target has one of these addresses.
    Arp(Place, Vec<Ipv4Addr>),
    /// It is a question of ARP's (RFC 826, opcode 1).
    ArpRequest,
    /// It is ICMPv6 of one of these types.
    Icmp6(Vec<u8>),
    /// It is a neighbour solicitation or advertisement for this address (RFC 4861, 4.3 and 4.4): 8 bytes behind
    /// the start of ICMPv6.
    Target(Ipv6Addr),
    /// The 24 bits of a vxlan header that are the VNI (RFC 7348, section 5): behind the UDP header's 8 bytes
    /// and 4 bytes of flags.
    Vni(Vni),
    /// Its source or destination is in one of these networks; or in none of them.
    Address(Place, Is, Vec<IpNetwork>),
    /// The connection's destination was translated (`ct status dnat`): it is to a Service.
    Translated,
    /// It goes the other way than the connection's first packet.
    Answer,
    /// The connection's first packet, before anything was translated, was from or to this network; or not.
    Asked(Place, Is, IpNetwork),
}

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum L3 {
    /// IPv4.
    Ip,
    /// ARP.
    Arp,
    /// IPv6.
    Ip6,
}

impl L3 {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Ip, Self::Arp, Self::Ip6];

    /// As `nft` calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Arp => "arp",
            Self::Ip6 => "ip6",
        }
    }

    /// Its number in a frame (`ETH_P_*`, `linux/if_ether.h`).
    pub(super) fn ethertype(self) -> u16 {
        match self {
            Self::Ip => 0x0800,
            Self::Arp => 0x0806,
            Self::Ip6 => 0x86dd,
        }
    }
}

/// The four words of 32 bits of an address; where the first of them is in the transport header, in bits.
pub(super) const TARGET_AT: u32 = 64;

/// The words of a target, each with its place.
pub(super) fn words(target: Ipv6Addr) -> impl Iterator<Item = (u32, u32)> {
    let bits = target.to_bits();
    // A shift of at most 96 leaves a word.
    let word = move |index: u32| (bits >> (96 - 32 * index)) as u32;
    (0..4).map(move |index| (TARGET_AT + 32 * index, word(index)))
}

/// Whether a property must be there or must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Is {
    /// It must.
    In,
    /// It must not.
    NotIn,
}

/// A device's name as `nft` reads it. A type that has no quotes in it needs no escape but this one: at its end
/// `*` would stand for any name that begins so (nft(8), "ifname").
pub(super) fn quoted(dev: &IfName) -> String {
    match dev.as_str().strip_suffix('*') {
        Some(rest) => format!("\"{rest}\\*\""),
        None => format!("\"{dev}\""),
    }
}

/// The word for the device at an end.
fn ifname(place: Place) -> &'static str {
    match place {
        Place::From => "iifname",
        Place::To => "oifname",
    }
}

/// A network, or a host's address by itself.
fn network(network: &IpNetwork) -> String {
    let host = Family::of(network.ip()).host_prefix();
    match network.prefix() == host {
        true => network.ip().to_string(),
        false => network.to_string(),
    }
}

/// The header that a network's addresses are in.
fn family(network: &IpNetwork) -> &'static str {
    match network.is_ipv6() {
        true => "ip6",
        false => "ip",
    }
}

/// One value by itself, several as a set.
fn listed<T>(values: &[T], shown: impl Fn(&T) -> String) -> String {
    let shown: Vec<String> = values.iter().map(shown).collect();
    match &shown[..] {
        [only] => only.clone(),
        several => format!("{{ {} }}", several.join(", ")),
    }
}

impl Is {
    fn sign(self) -> &'static str {
        match self {
            Self::In => "",
            Self::NotIn => "!= ",
        }
    }
}

impl Place {
    fn field(self) -> &'static str {
        match self {
            Self::From => "saddr",
            Self::To => "daddr",
        }
    }
}

impl Match {
    /// As `nft` reads what only a pod's table has.
    fn of_a_frame(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TakenFor(l3) => write!(f, "meta protocol {}", l3.name()),
            // In bits of the frame, since `ether type` would count for what the kernel takes it for.
            Self::Carries(is, l3) => write!(f, "@ll,96,16 {}{}", is.sign(), l3.ethertype()),
            Self::FromMac(is, mac) => write!(f, "ether saddr {}{mac}", is.sign()),
            Self::ArpFromMac(is, mac) => write!(f, "arp saddr ether {}{mac}", is.sign()),
            Self::Arp(place, addresses) => {
                let shown = listed(addresses, ToString::to_string);
                write!(f, "arp {} ip {shown}", place.field())
            }
            Self::ArpRequest => f.write_str("arp operation request"),
            Self::Icmp6(types) => write!(f, "icmpv6 type {}", listed(types, u8::to_string)),
            Self::Target(target) => {
                let shown: Vec<String> = words(*target)
                    .map(|(at, word)| format!("@th,{at},32 {word}"))
                    .collect();
                f.write_str(&shown.join(" "))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(place, is, devices) => {
                let key = ifname(*place);
                write!(f, "{key} {}{}", is.sign(), listed(devices, quoted))
            }
            Self::Gateway(place, is) => {
                write!(f, "{} {}\"{GATEWAYS}\"", ifname(*place), is.sign())
            }
            Self::UdpTo(ports) => write!(f, "udp dport {}", listed(ports, u16::to_string)),
            Self::UdpFrom(ports) => write!(f, "udp sport {}", listed(ports, u16::to_string)),
            Self::Vni(vni) => write!(f, "@th,96,24 {vni}"),
            Self::Address(place, is, networks) => {
                let family = networks.first().map_or("ip", family);
                let shown = listed(networks, network);
                write!(f, "{family} {} {}{shown}", place.field(), is.sign())
            }
            Self::Translated => f.write_str("ct status dnat"),
            Self::Answer => f.write_str("ct direction reply"),
            Self::Asked(place, is, asked) => {
                let (family, field) = (family(asked), place.field());
                let shown = network(asked);
                write!(f, "ct original {family} {field} {}{shown}", is.sign())
            }
            of_a_frame => of_a_frame.of_a_frame(f),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for one in &self.matches {
            write!(f, "{one} ")?;
        }
        match self.verdict {
            Verdict::Drop => f.write_str("drop"),
            Verdict::Accept => f.write_str("accept"),
            Verdict::Masquerade => f.write_str("masquerade"),
            Verdict::Snat(to) => {
                let family = if to.is_ipv6() { "ip6" } else { "ip" };
                write!(f, "snat {family} to {to}")
            }
            Verdict::Mark(bit) => {
                let bit = bit.map_or(0, Fwmark::value);
                write!(f, "meta mark set meta mark or {bit:#x}")
            }
        }
    }
}
