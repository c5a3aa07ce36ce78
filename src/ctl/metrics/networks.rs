//! Each network in numbers: its attachments, its claims, its devices.

use super::family::{Family, Kind, Labels};
use crate::config::Network;
use crate::ctl::node::OnNode;
use crate::ctl::status::seen::{Counted, Seen, network};
use crate::ip::IfName;
use crate::plan::Side;

/// The states of an attachment.
const STATES: [&str; 5] = [
    "attached",
    "in_progress",
    "incomplete",
    "stale_boot",
    "unreadable",
];

/// The states of a claim.
const CLAIMS: [&str; 6] = [
    "ok",
    "missing",
    "unrecorded",
    "claimed_elsewhere",
    "stale_boot",
    "unreadable",
];

/// One direction of a device's traffic: a counter's name and help, and which.
type Direction = (&'static str, &'static str, fn(&Counted) -> u64);

const RECEIVED: [Direction; 4] = [
    (
        "vxlan_device_receive_packets_total",
        "Packets that came in by the vxlan device, from other nodes.",
        |one| one.packets,
    ),
    (
        "vxlan_device_receive_bytes_total",
        "Bytes of these.",
        |one| one.bytes,
    ),
    (
        "vxlan_device_receive_errors_total",
        "Packets with errors that came in by the vxlan device.",
        |one| one.errors,
    ),
    (
        "vxlan_device_receive_dropped_total",
        "Packets that came in by the vxlan device and were dropped.",
        |one| one.dropped,
    ),
];

const SENT: [Direction; 4] = [
    (
        "vxlan_device_transmit_packets_total",
        "Packets that went out by the vxlan device, to other nodes.",
        |one| one.packets,
    ),
    (
        "vxlan_device_transmit_bytes_total",
        "Bytes of these.",
        |one| one.bytes,
    ),
    (
        "vxlan_device_transmit_errors_total",
        "Packets that could not go out by the vxlan device, as where no way leads to the peer.",
        |one| one.errors,
    ),
    (
        "vxlan_device_transmit_dropped_total",
        "Packets that were to go out by the vxlan device and were dropped.",
        |one| one.dropped,
    ),
];

/// A label of a network.
pub fn of(network: &str) -> Labels {
    vec![("network", network.to_owned())]
}

/// A label more.
pub fn with(mut labels: Labels, name: &'static str, value: &str) -> Labels {
    labels.push((name, value.to_owned()));
    labels
}

/// Everything that was seen.
pub fn families(seen: &Seen<'_>) -> Vec<Family> {
    let mut families = vec![definitions(seen), attachments(seen), claims(seen)];
    families.extend(devices(seen));
    families.extend(peers(seen));
    families.extend(traffic(seen, RECEIVED, |counters| counters.rx));
    families.extend(traffic(seen, SENT, |counters| counters.tx));
    families
}

fn gauge(name: &'static str, help: &'static str) -> Family {
    Family::new(Kind::Gauge, name, help)
}

fn networks<'a>(seen: &'a Seen<'_>) -> impl Iterator<Item = (&'a OnNode, &'a Network)> {
    let all = seen.node.networks.iter();
    all.filter_map(|on| Some((on, network(on)?)))
}

fn definitions(seen: &Seen<'_>) -> Family {
    let info = networks(seen).map(|(on, network)| {
        let vxlan = &network.options.vxlan;
        let group = vxlan.group.map(|group| group.to_string());
        let labels = with(of(&on.name), "vni", &vxlan.vni.to_string());
        let labels = with(labels, "port", &vxlan.dstport.to_string());
        (with(labels, "group", &group.unwrap_or_default()), 1.0)
    });
    gauge("vxlan_network_info", "What a network is made of.").with(info)
}

fn attachments(seen: &Seen<'_>) -> Family {
    let help = "Attachments on record, by state; docs/json.md says what each is.";
    let mut family = gauge("vxlan_attachments", help);
    for on in &seen.node.networks {
        for state in STATES {
            let is = on.attachments.iter();
            let count = is.filter(|one| one.state.as_str() == state).count();
            family.put(with(of(&on.name), "state", state), count as f64);
        }
    }
    family
}

/// None where no address is `route-table`'s.
fn claims(seen: &Seen<'_>) -> Family {
    let help = "Claims of route-table, by state; docs/json.md says what each is.";
    let family = gauge("vxlan_claims", help);
    if seen.claims.is_empty() && seen.orphaned == 0 {
        return family;
    }
    let count = |state| {
        let of = seen.claims.iter().filter(|entry| entry.state() == state);
        of.count()
    };
    let counts = CLAIMS.map(|state| (state, count(state)));
    let all = counts.into_iter().chain([("orphaned", seen.orphaned)]);
    family.with(all.map(|(state, count)| (with(Vec::new(), "state", state), count as f64)))
}

/// Of a network without an attachment on this node neither vxlan nor gateway need be there.
fn devices(seen: &Seen<'_>) -> [Family; 2] {
    let help = "Whether a device is there, up and, if it has one, its carrier.";
    let mut up = gauge("vxlan_device_up", help);
    let mut mtu = gauge("vxlan_device_mtu_bytes", "The MTU of a device.");
    for (on, network) in networks(seen) {
        let own = [("vxlan", &network.vx), ("gateway", &network.mv)];
        let own = own.into_iter().filter(|_| on.standing().is_some());
        let under = network.options.vxlan.dev.as_ref();
        for (role, dev) in own.chain(under.map(|dev| ("underlay", dev))) {
            let labels = with(with(of(&on.name), "device", dev.as_str()), "role", role);
            up.put(labels.clone(), f64::from(u8::from(is_up(seen, dev))));
            let link = seen.devices.link(Side::Host, dev);
            mtu = mtu.with(link.map(|link| (labels, f64::from(link.mtu))));
        }
    }
    [up, mtu]
}

fn is_up(seen: &Seen<'_>, dev: &IfName) -> bool {
    let link = seen.devices.link(Side::Host, dev);
    link.is_some_and(|link| link.flag("UP") && !link.flag("NO-CARRIER"))
}

fn peers(seen: &Seen<'_>) -> [Family; 3] {
    let mut peers = gauge(
        "vxlan_peers",
        "VTEPs that are known, by learning or by hand.",
    );
    let help = "MACs and flood entries that a vxlan device has.";
    let mut entries = gauge("vxlan_fdb_entries", help);
    let mut most = gauge("vxlan_fdb_entries_max", "The most that it may have.");
    for (on, network) in networks(seen).filter(|(on, _)| on.standing().is_some()) {
        let Some(link) = seen.devices.link(Side::Host, &network.vx) else {
            continue;
        };
        // Without a limit they are not listed.
        let Some(known) = seen.peers(network) else {
            continue;
        };
        peers.put(of(&on.name), known.len() as f64);
        entries.put(of(&on.name), seen.devices.fdb(&network.vx).len() as f64);
        most.put(of(&on.name), f64::from(link.data().limit));
    }
    [peers, entries, most]
}

fn traffic(
    seen: &Seen<'_>,
    of_it: [Direction; 4],
    side: fn(&crate::ctl::status::seen::Counters) -> Counted,
) -> [Family; 4] {
    of_it.map(|(name, help, count)| {
        let each = seen.node.networks.iter().zip(&seen.counters);
        let values = each.filter_map(|(on, counters)| {
            let (network, counted) = (network(on)?, side(counters.as_ref()?));
            let labels = with(of(&on.name), "device", network.vx.as_str());
            Some((labels, count(&counted) as f64))
        });
        Family::new(Kind::Counter, name, help).with(values)
    })
}
