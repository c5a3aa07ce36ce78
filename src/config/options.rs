//! `options` of a network: the vxlan device's, by the original's names, typed and ranged.

use std::net::IpAddr;

use serde_json::Value;

use super::walk::At;
use crate::ip::link::Vxlan;
use crate::ip::{IfName, Mac, Vni};
use crate::sanitize::printable;

/// The names that are known.
const KNOWN: [&str; 20] = [
    "vxlanhardwareaddr",
    "vxlantxqlen",
    "vtepdev",
    "srcaddr",
    "group",
    "ttl",
    "tos",
    "learning",
    "proxy",
    "rsc",
    "l2miss",
    "l3miss",
    "noage",
    "gbp",
    "age",
    "limit",
    "port",
    "portlow",
    "porthigh",
    "bcqueuelen",
];

/// What is missing without an underlay device.
pub(super) const NO_DEVICE: &str = "missing: name the underlay device (ip -br link); without it the kernel \
    neither joins the group nor knows the MTU";

/// The vxlan device as the options want it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What cannot be changed later.
    pub vxlan: Vxlan,
    /// `vxlanhardwareaddr`.
    pub address: Option<Mac>,
    /// `vxlantxqlen`, in packets.
    pub txqueuelen: Option<u32>,
    /// `bcqueuelen` of the macvlans, in broadcasts; none is the kernel's.
    pub bcqueuelen: Option<u32>,
}

/// Reads the options of a network with a VNI.
pub fn read(at: &At<'_>, vni: Vni) -> Options {
    at.only(&KNOWN);
    let vxlan = Vxlan {
        vni,
        dev: parsed_by(at, "vtepdev", IfName::or_altname),
        local: parsed::<IpAddr>(at, "srcaddr"),
        group: parsed::<IpAddr>(at, "group"),
        v6: false,
        ttl: number(at, "ttl", 255) as u8,
        tos: number(at, "tos", 255) as u8,
        dstport: port(at, "port").unwrap_or(Vxlan::DSTPORT),
        srcport: source_ports(at),
        learning: flag(at, "learning", true),
        proxy: flag(at, "proxy", false),
        rsc: flag(at, "rsc", false),
        l2miss: flag(at, "l2miss", false),
        l3miss: flag(at, "l3miss", false),
        gbp: flag(at, "gbp", false),
        ageing: ageing(at),
        maxaddress: match at.value("limit") {
            Some(_) => number(at, "limit", u32::MAX.into()),
            None => Vxlan::MAXADDRESS,
        },
    };
    check_addresses(at, &vxlan);
    let txqueuelen = at
        .value("vxlantxqlen")
        // `ip` reads it as a signed number (iproute2 6.1, `iplink_parse`).
        .map(|_| number(at, "vxlantxqlen", i32::MAX as u64));
    Options {
        vxlan,
        address: parsed::<Mac>(at, "vxlanhardwareaddr"),
        txqueuelen,
        bcqueuelen: broadcasts(at),
    }
}

/// `bcqueuelen`: a queue of none would lose every broadcast, the questions for neighbours among them.
fn broadcasts(at: &At<'_>) -> Option<u32> {
    let read = |value: &Value| {
        text(value)?
            .parse::<u32>()
            .ok()
            .filter(|length| *length > 0)
    };
    at.read("bcqueuelen", "a whole number 1..4294967295", read)
}

/// A value as text: the original takes strings only, JSON writers like numbers and bools.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// A whole number up to `max`; 0 where it is not there.
fn number(at: &At<'_>, key: &str, max: u64) -> u32 {
    let wanted = format!("a whole number 0..{max}");
    let read = |value: &Value| {
        text(value)?
            .parse::<u64>()
            .ok()
            .filter(|number| *number <= max)
    };
    at.read(key, &wanted, read)
        .and_then(|number| u32::try_from(number).ok())
        .unwrap_or(0)
}

/// A UDP port.
fn port(at: &At<'_>, key: &str) -> Option<u16> {
    let read = |value: &Value| text(value)?.parse::<u16>().ok().filter(|port| *port > 0);
    at.read(key, "a port 1..65535", read)
}

/// A bool in the spellings Go's `strconv.ParseBool` takes, as the original did.
fn flag(at: &At<'_>, key: &str, default: bool) -> bool {
    let read = |value: &Value| match text(value)?.as_str() {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    };
    at.read(key, "true or false", read).unwrap_or(default)
}

/// A value that its type parses.
fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(at: &At<'_>, key: &str) -> Option<T> {
    parsed_by(at, key, str::parse::<T>)
}

/// A value that is read from text.
fn parsed_by<T, E: std::fmt::Display>(
    at: &At<'_>,
    key: &str,
    read: impl Fn(&str) -> Result<T, E>,
) -> Option<T> {
    at.parse(key, |value| {
        let text = text(value)
            .ok_or_else(|| format!("wanted a string, seen `{}`", printable(&value.to_string())))?;
        read(&text).map_err(|error| format!("{error}, seen `{}`", printable(&text)))
    })
}

/// `portlow` and `porthigh`: both or neither, in order.
fn source_ports(at: &At<'_>) -> Option<(u16, u16)> {
    let (low, high) = (port(at, "portlow"), port(at, "porthigh"));
    match (low, high) {
        (Some(low), Some(high)) if low > high => {
            at.fault("portlow", format!("{low} is above porthigh, {high}"));
            None
        }
        (Some(low), Some(high)) => Some((low, high)),
        (None, None) => None,
        (Some(_), None) => {
            at.fault("porthigh", "missing: portlow and porthigh come together");
            None
        }
        (None, Some(_)) => {
            at.fault("portlow", "missing: portlow and porthigh come together");
            None
        }
    }
}

/// `age` and `noage`. The kernel has no word for never: it takes 0 for its own default, also on a device
/// that is there (Linux 6.18, `vxlan_config_apply`), as it did when the original asked for `noage`.
fn ageing(at: &At<'_>) -> u32 {
    let never = flag(at, "noage", false);
    let age = at.value("age").map(|_| number(at, "age", u32::MAX.into()));
    match (never, age) {
        (true, Some(age)) if age > 0 => {
            at.fault("age", format!("{age} contradicts noage true"));
            Vxlan::NEVER
        }
        (true, _) => Vxlan::NEVER,
        (false, None | Some(0)) => Vxlan::AGEING,
        (false, Some(age)) => age,
    }
}

/// The addresses must be of one family; a group of several VTEPs needs a device.
fn check_addresses(at: &At<'_>, vxlan: &Vxlan) {
    if let (Some(local), Some(group)) = (vxlan.local, vxlan.group)
        && local.is_ipv4() != group.is_ipv4()
    {
        at.fault(
            "srcaddr",
            format!("{local} and group {group} are of different families"),
        );
    }
    if let Some(local) = vxlan
        .local
        .filter(|local| local.is_multicast() || local.is_unspecified())
    {
        at.fault("srcaddr", format!("{local} is not an address of this node"));
    }
    if let Some(group) = vxlan.group.filter(IpAddr::is_unspecified) {
        at.fault(
            "group",
            format!("{group} is neither a multicast group nor a VTEP's address"),
        );
    }
    if vxlan.dev.is_none() && vxlan.group.is_some_and(|group| group.is_multicast()) {
        at.fault("vtepdev", NO_DEVICE);
    }
}
