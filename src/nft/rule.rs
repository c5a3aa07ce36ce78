//! One rule: what a packet must be like, and what becomes of it.

use std::fmt;

use ipnetwork::IpNetwork;

use crate::ip::{IfName, Vni};

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// All of these.
    pub matches: Vec<Match>,
    /// Then this.
    pub verdict: Verdict,
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
    /// It is UDP to this port.
    UdpTo(u16),
    /// The 24 bits of a vxlan header that are the VNI (RFC 7348, section 5): behind the UDP header's 8 bytes
    /// and 4 bytes of flags.
    Vni(Vni),
    /// Its source or destination is in one of these networks; or in none of them.
    Address(Place, Is, Vec<IpNetwork>),
    /// Its destination was translated (`ct status dnat`): it is to a Service.
    Translated,
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

/// One value by itself, several as a set.
fn listed<T>(values: &[T], shown: impl Fn(&T) -> String) -> String {
    let shown: Vec<String> = values.iter().map(shown).collect();
    match &shown[..] {
        [only] => only.clone(),
        several => format!("{{ {} }}", several.join(", ")),
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = |is: &Is| match is {
            Is::In => "",
            Is::NotIn => "!= ",
        };
        match self {
            Self::Device(place, is, devices) => {
                let key = ifname(*place);
                write!(f, "{key} {}{}", not(is), listed(devices, quoted))
            }
            Self::Gateway(place, is) => {
                write!(f, "{} {}\"{GATEWAYS}\"", ifname(*place), not(is))
            }
            Self::UdpTo(port) => write!(f, "udp dport {port}"),
            Self::Vni(vni) => write!(f, "@th,96,24 {vni}"),
            Self::Address(place, is, networks) => {
                let v6 = networks.first().is_some_and(|network| network.is_ipv6());
                let family = if v6 { "ip6" } else { "ip" };
                let key = match place {
                    Place::From => "saddr",
                    Place::To => "daddr",
                };
                let shown = listed(networks, ToString::to_string);
                write!(f, "{family} {key} {}{shown}", not(is))
            }
            Self::Translated => f.write_str("ct status dnat"),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for one in &self.matches {
            write!(f, "{one} ")?;
        }
        f.write_str(match self.verdict {
            Verdict::Drop => "drop",
            Verdict::Accept => "accept",
            Verdict::Masquerade => "masquerade",
        })
    }
}
