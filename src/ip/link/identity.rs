//! In what a device differs from a wanted one that no command makes of it.

use serde_json::{Map, Value};

use super::{LinkData, LinkRecord, Vxlan};
use crate::ip::IfName;

/// A point of identity: the word `ip` has for it, how it is found, how it is wanted.
type Point = (&'static str, String, String);

/// Names every point of identity in which a device differs from a wanted vxlan, as `ip` spells it.
pub fn vxlan_differences(record: &LinkRecord, wanted: &Vxlan) -> Vec<String> {
    if record.kind() != "vxlan" {
        return vec![format!("it is a `{}`, not a vxlan", record.kind())];
    }
    let differing = differing(record, wanted).into_iter();
    differing
        .map(|(word, found, wanted)| format!("{word} is {found}, wanted {wanted}"))
        .collect()
}

fn differing(record: &LinkRecord, wanted: &Vxlan) -> Vec<Point> {
    let found = record.data();
    let points = [
        places(&found, wanted),
        numbers(&found, wanted),
        flags(&found, wanted),
    ];
    let points = points.into_iter().flatten();
    points
        .filter(|(_, found, wanted)| found != wanted)
        .collect()
}

/// The `options` by which a vxlan that is there would be the wanted one; none where it cannot be, or is.
pub fn options_of(record: &LinkRecord, wanted: &Vxlan) -> Option<Value> {
    let differing = differing(record, wanted);
    if record.kind() != "vxlan" || differing.is_empty() {
        return None;
    }
    let options: Option<Map<String, Value>> = differing
        .into_iter()
        .map(|(word, found, _)| {
            let key = match word {
                "dstport" => "port",
                "ageing" => "age",
                "maxaddress" => "limit",
                "local" => "srcaddr",
                "dev" => "vtepdev",
                "group" | "ttl" | "learning" | "proxy" | "rsc" | "l2miss" | "l3miss" | "gbp" => {
                    word
                }
                _ => return None,
            };
            let value = match (&*found, found.parse::<u64>()) {
                ("none", _) => return None,
                ("on", _) => Value::Bool(true),
                ("off", _) => Value::Bool(false),
                (_, Ok(number)) => number.into(),
                (text, _) => text.into(),
            };
            Some((key.to_owned(), value))
        })
        .collect();
    options.map(Value::Object)
}

/// Whether a vxlan that is there becomes the wanted one by [`super::change_vxlan`]: the kernel changes little of one
/// that is in use (`vxlan_changelink`, `drivers/net/vxlan/vxlan_core.c`).
pub fn is_changeable_vxlan(record: &LinkRecord, wanted: &Vxlan) -> bool {
    let differing = differing(record, wanted);
    let mut words = differing.iter().map(|(word, ..)| *word);
    record.kind() == "vxlan"
        && !differing.is_empty()
        && words.all(|word| ["learning", "ageing", "ttl"].contains(&word))
}

/// Whether a macvlan that is there differs by its mode alone, and that can be changed: one in mode passthru has its parent
/// for itself.
pub fn is_changeable_macvlan(
    record: &LinkRecord,
    parent: &IfName,
    parent_index: Option<u32>,
) -> bool {
    let mode = record.data().mode.unwrap_or_default();
    let differences = macvlan_differences(record, parent, parent_index);
    differences.len() == 1 && mode != "bridge" && mode != "passthru" && record.kind() == "macvlan"
}

/// Where a vxlan is and where it leads. The device is the kernel's choice where none is wanted.
fn places(found: &LinkData, wanted: &Vxlan) -> Vec<Point> {
    let local = found.local.or(found.local6);
    let group = found.group.or(found.group6);
    let toward = group.or(found.remote).or(found.remote6);
    let mut places = vec![
        ("id", or_none(found.id), wanted.vni.to_string()),
        ("local", or_none(local), or_none(wanted.local)),
        ("group", or_none(toward), or_none(wanted.group)),
    ];
    places.extend(
        wanted
            .dev
            .as_ref()
            .map(|dev| ("dev", or_none(found.link.as_ref()), dev.to_string())),
    );
    places
}

/// Ports, and what goes into a packet's header or the forwarding table.
fn numbers(found: &LinkData, wanted: &Vxlan) -> Vec<Point> {
    let range = |(low, high): (u16, u16)| format!("{low} {high}");
    let srcport = found
        .port_range
        .map_or((0, 0), |range| (range.low, range.high));
    // It cannot be changed (`Cannot change limit`), and an edition that set none may have made the device: its pods
    // go on.
    let maxaddress = match (found.limit, wanted.maxaddress) {
        (0, Vxlan::MAXADDRESS) => 0,
        (_, wanted) => wanted,
    };
    let tos = found.tos.clone().unwrap_or_else(|| shown_tos(0));
    vec![
        ("dstport", or_none(found.port), wanted.dstport.to_string()),
        (
            "srcport",
            range(srcport),
            range(wanted.srcport.unwrap_or((0, 0))),
        ),
        ("ttl", or_none(found.ttl), wanted.ttl.to_string()),
        ("tos", tos, shown_tos(wanted.tos)),
        (
            "ageing",
            found.ageing.to_string(),
            wanted.ageing.to_string(),
        ),
        (
            "maxaddress",
            found.limit.to_string(),
            maxaddress.to_string(),
        ),
    ]
}

/// What is on or off.
fn flags(found: &LinkData, wanted: &Vxlan) -> Vec<Point> {
    let point = |(word, found, wanted)| (word, on_off(found), on_off(wanted));
    [
        ("learning", found.learning, wanted.learning),
        ("proxy", found.proxy, wanted.proxy),
        ("rsc", found.rsc, wanted.rsc),
        ("l2miss", found.l2miss, wanted.l2miss),
        ("l3miss", found.l3miss, wanted.l3miss),
        ("gbp", found.gbp, wanted.gbp),
    ]
    .map(point)
    .to_vec()
}

/// A value as text, `none` where there is none.
fn or_none(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

/// `tos` as `ip -j` prints it.
fn shown_tos(tos: u8) -> String {
    if tos == 0 {
        "0".to_owned()
    } else {
        format!("{tos:#x}")
    }
}

/// A flag in words.
fn on_off(on: bool) -> String {
    if on { "on" } else { "off" }.to_owned()
}

/// Names every point in which a device differs from a macvlan in bridge mode on `parent`.
///
/// In another namespace than its parent, a macvlan shows the parent's number in place of its name;
/// `parent_index` is then what it must be, where that is known.
pub fn macvlan_differences(
    record: &LinkRecord,
    parent: &IfName,
    parent_index: Option<u32>,
) -> Vec<String> {
    if record.kind() != "macvlan" {
        return vec![format!("it is a `{}`, not a macvlan", record.kind())];
    }
    let mut differences = Vec::new();
    let mode = record.data().mode.unwrap_or_default();
    if mode != "bridge" {
        differences.push(format!("mode is {mode}, wanted bridge"));
    }
    match (&record.link, record.link_index, parent_index) {
        (Some(link), _, _) if link != parent.as_str() => {
            differences.push(format!("link is {link}, wanted {parent}"));
        }
        (None, Some(found), Some(wanted)) if found != wanted => {
            differences.push(format!(
                "link is device {found}, wanted {parent} (device {wanted})"
            ));
        }
        (None, None, _) => differences.push(format!("it has no parent, wanted {parent}")),
        _ => {}
    }
    differences
}
