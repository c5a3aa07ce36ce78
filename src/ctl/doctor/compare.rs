//! `vxlan doctor --compare`: what several nodes told of themselves, held against each other. What one node cannot find:
//! networks that are not the same, addresses and MACs with two owners, a peer that one side misses.
//!
//! The files come from anywhere: they are read up to a limit, and no text of theirs is shown as it is.

mod files;
mod owners;
mod peers;

use std::collections::BTreeMap;
use std::path::PathBuf;

use self::files::Told;
use super::made_of::Part;
use super::report::{Finding, Id, Report, Section};
use super::text::{Style, text};
use crate::cni::CniError;
use crate::ctl::Said;
use crate::ctl::args::Shared;
use crate::sanitize::printable;

/// Reads the files and compares what is in them.
///
/// # Errors
/// When a file cannot be read, and as [`of`].
pub fn run(shared: &Shared, files: &[PathBuf], style: Style) -> Result<Said, CniError> {
    let documents: Result<Vec<_>, _> = files.iter().map(|file| files::read(file)).collect();
    let report = of(&documents?)?;
    let said = Said::either(shared, || report.document(), || text(&report, style, ""));
    Ok(said.with_code(report.exit_code()))
}

/// Compares what documents tell, each by the name of its file.
///
/// # Errors
/// When one is no output of `vxlan doctor --json`, or is of a node that another is of.
pub fn of(documents: &[(String, Vec<u8>)]) -> Result<Report, CniError> {
    Ok(report(&files::told(documents)?))
}

/// One node's part of a network.
#[derive(Debug, Clone, Copy)]
pub struct Of<'a> {
    /// The node's name, fit to be shown.
    pub node: &'a str,
    /// Its part.
    pub part: &'a Part,
}

fn report(nodes: &[Told]) -> Report {
    let mut sections = vec![Section::new("the nodes", vec![versions(nodes)])];
    let mut networks: BTreeMap<&str, Vec<Of<'_>>> = BTreeMap::new();
    for told in nodes {
        for part in &told.made_of.networks {
            let of = Of {
                node: &told.name,
                part,
            };
            networks.entry(&part.name).or_default().push(of);
        }
    }
    sections[0].findings.extend(one_name(&networks));
    sections[0].findings.extend(owners::findings(&networks));
    for (name, on) in &networks {
        let mut findings = same(on);
        findings.extend(peers::findings(on));
        let about = format!("network {} on {}", printable(name), nodes_of(on));
        sections.push(Section::new(about, findings));
    }
    Report(sections)
}

fn nodes_of(on: &[Of<'_>]) -> String {
    let nodes: Vec<&str> = on.iter().map(|of| of.node).collect();
    nodes.join(", ")
}

/// Values and the nodes that have each, in the order of the nodes.
fn by_value<T: PartialEq>(each: impl IntoIterator<Item = (T, String)>) -> Vec<(T, Vec<String>)> {
    let mut found: Vec<(T, Vec<String>)> = Vec::new();
    for (value, node) in each {
        match found.iter_mut().find(|(known, _)| *known == value) {
            Some((_, nodes)) => nodes.push(node),
            None => found.push((value, vec![node])),
        }
    }
    found
}

/// `100 on n1, n2; 101 on n3`.
fn shown(values: &[(String, Vec<String>)]) -> String {
    let each: Vec<String> = values
        .iter()
        .map(|(value, nodes)| format!("{value} on {}", nodes.join(", ")))
        .collect();
    each.join("; ")
}

fn versions(nodes: &[Told]) -> Finding {
    let each = nodes.iter().map(|told| {
        let version = printable(&told.made_of.node.version);
        (version, told.name.clone())
    });
    match &by_value(each)[..] {
        [(version, nodes)] => Finding::ok(
            Id::VersionDiffers,
            format!("the {} nodes run vxlan {version}", nodes.len()),
        ),
        several => Finding::unknown(
            Id::VersionDiffers,
            format!(
                "the nodes run several versions of vxlan: {}",
                shown(several)
            ),
        )
        .inspect("vxlan --version")
        .fix("install one version on all nodes: scripts/install"),
    }
}

/// A VNI of one port and group is one network, whatever nodes call it.
fn one_name(networks: &BTreeMap<&str, Vec<Of<'_>>>) -> Vec<Finding> {
    let all = networks.values().flatten();
    let same = |of: &&Of<'_>| {
        let part = of.part;
        (part.vni, part.port, part.group)
    };
    let each = all.map(|of| (same(&of), of));
    let mut by_wire: BTreeMap<_, Vec<&Of<'_>>> = BTreeMap::new();
    for (wire, of) in each {
        by_wire.entry(wire).or_default().push(of);
    }
    let several = by_wire.into_iter().filter_map(|((vni, port, _), of)| {
        let names = of.iter();
        let names = names.map(|of| (printable(&of.part.name), of.node.to_owned()));
        let names = by_value(names);
        (names.len() > 1).then(|| {
            Finding::failed(
                Id::NetworkDiffers,
                format!(
                    "VNI {vni} on port {port} has several names: {}",
                    shown(&names)
                ),
            )
            .inspect("vxlan status")
            .fix("give each network an id of its own, the same on every node")
        })
    });
    several.collect()
}

/// What must be the same on every node of a network: its name, and how one node has it.
type Same = (&'static str, fn(&Part) -> Option<String>);

const SAME: [Same; 10] = [
    ("VNI", |part| Some(part.vni.to_string())),
    ("port", |part| Some(part.port.to_string())),
    ("group", group),
    ("MTU", |part| part.mtu.map(|mtu| mtu.to_string())),
    ("cidr", |part| Some(subnets(part))),
    ("an anycast gateway", |part| Some(part.anycast.to_string())),
    ("guard", |part| Some(part.guard.to_string())),
    ("serviceMasquerade", |part| {
        Some(part.service_masquerade.to_string())
    }),
    ("ipMasq", |part| Some(part.ip_masq.to_string())),
    ("antiSpoof", |part| Some(part.anti_spoof.to_string())),
];

/// One VTEP in a group's place is another on each of two nodes, and rightly.
fn group(part: &Part) -> Option<String> {
    Some(match part.group {
        None => "none".to_owned(),
        Some(group) if group.is_multicast() => group.to_string(),
        Some(_) => "one VTEP".to_owned(),
    })
}

fn subnets(part: &Part) -> String {
    let subnet =
        |gateway: &ipnetwork::IpNetwork| format!("{}/{}", gateway.network(), gateway.prefix());
    let mut subnets: Vec<String> = part.gateways.iter().map(subnet).collect();
    subnets.sort();
    subnets.join(" ")
}

fn same(on: &[Of<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (key, value) in SAME {
        let each = on
            .iter()
            .filter_map(|of| Some((value(of.part)?, of.node.to_owned())));
        let values = by_value(each);
        if values.len() > 1 {
            let what = format!("{key} is {}", shown(&values));
            findings.push(Finding::failed(Id::NetworkDiffers, what));
        }
    }
    let vx = on.first().map(|of| device("vx", &of.part.name));
    for finding in &mut findings {
        finding.inspect = vx.as_ref().map(|vx| format!("ip -d link show dev {vx}"));
        let fix = "vxlan repair where a device is not as its node's configuration has it; else make that the same, and a device gets it when its network's last pod has left the node";
        finding.fix = Some(fix.to_owned());
    }
    if findings.is_empty() {
        let what = "VNI, port, group, MTU, cidr and guard are the same on every node";
        findings.push(Finding::ok(Id::NetworkDiffers, what));
    }
    findings
}

/// The device of a network by its usual name; a placeholder where a file names what a configuration would not.
fn device(kind: &str, network: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let network = match network.chars().all(fits) {
        true => network,
        false => "NETWORK",
    };
    format!("{kind}_{}", printable(network))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::super::text::tests::TICKS;
    use super::*;

    /// A node of a network, whose numbers follow from its own; it knows the other of two.
    fn node(number: u8) -> Value {
        let other = 3 - i32::from(number.min(2));
        json!({
            "node": {"name": format!("n{number}"), "version": "0.1.0", "kernel": "6.1", "ip": "ip utility, iproute2-6.1.0"},
            "networks": [{
                "name": "blue", "present": true, "vni": 100, "port": 4789, "group": "239.1.1.1", "mtu": 1450,
                "vtep": format!("198.18.0.{number}"), "peers": [format!("198.18.0.{other}")],
                "gateways": [format!("10.1.0.{number}/16")], "gateway_mac": format!("02:00:00:00:00:0{number}"),
                "guard": true, "service_masquerade": true, "ip_masq": false, "anti_spoof": false,
                "attachments": [{"pod": format!("shop/web-{number}"), "container": format!("c{number}"), "ifname": "eth0",
                    "addresses": [format!("10.1.1.{number}")], "mac": format!("0a:58:0a:01:01:0{number}")}],
            }],
        })
    }

    fn compared(nodes: &[Value]) -> Report {
        let told = nodes.iter().map(|node| {
            let made_of: crate::ctl::doctor::made_of::MadeOf =
                serde_json::from_value(node.clone()).unwrap();
            Told {
                name: made_of.node.name.clone(),
                made_of,
            }
        });
        report(&told.collect::<Vec<_>>())
    }

    /// What is not as it should be.
    fn found(nodes: &[Value]) -> Vec<String> {
        let document = compared(nodes).document();
        let findings = document["findings"].as_array().unwrap();
        let wrong = findings.iter().filter(|finding| finding["state"] != "ok");
        let words = |finding: &Value| {
            let text = |key: &str| finding[key].as_str().unwrap().to_owned();
            assert!(
                !text("inspect").is_empty() && !text("fix").is_empty(),
                "{finding}"
            );
            format!("{} {}: {}", text("state"), text("id"), text("message"))
        };
        wrong.map(words).collect()
    }

    #[test]
    fn nodes_that_fit_are_told_to() {
        let nodes = [node(1), node(2)];
        assert_eq!(found(&nodes), Vec::<String>::new());
        let text = text(&compared(&nodes), TICKS, "");
        let wanted = "\
the nodes
  ✓ the 2 nodes run vxlan 0.1.0
  ✓ each of the 4 addresses has one owner
  ✓ each of the 4 MACs has one owner
network blue on n1, n2
  ✓ VNI, port, group, MTU, cidr and guard are the same on every node
  ✓ the 2 nodes know each other
nothing is wrong: 5 of 5 are as they should be
";
        assert_eq!(text, wanted);
    }

    /// What one node has otherwise, by its place in the document, and what is found.
    const OTHERWISE: [(&str, &str, &str); 17] = [
        (
            "/networks/0/vni",
            "101",
            "failed network_differs: VNI is 100 on n1; 101 on n2",
        ),
        (
            "/networks/0/port",
            "8472",
            "failed network_differs: port is 4789 on n1; 8472 on n2",
        ),
        (
            "/networks/0/group",
            r#""239.1.1.2""#,
            "failed network_differs: group is 239.1.1.1 on n1; 239.1.1.2 on n2",
        ),
        (
            "/networks/0/group",
            "null",
            "failed network_differs: group is 239.1.1.1 on n1; none on n2",
        ),
        (
            "/networks/0/mtu",
            "8950",
            "failed network_differs: MTU is 1450 on n1; 8950 on n2",
        ),
        (
            "/networks/0/gateways",
            r#"["10.1.0.2/24"]"#,
            "failed network_differs: cidr is 10.1.0.0/16 on n1; 10.1.0.0/24 on n2",
        ),
        (
            "/networks/0/guard",
            "false",
            "failed network_differs: guard is true on n1; false on n2",
        ),
        (
            "/networks/0/ip_masq",
            "true",
            "failed network_differs: ipMasq is false on n1; true on n2",
        ),
        (
            "/networks/0/name",
            r#""red""#,
            "failed network_differs: VNI 100 on port 4789 has several names: blue on n1; red on n2",
        ),
        (
            "/node/version",
            r#""0.2.0""#,
            "unknown version_differs: the nodes run several versions of vxlan: 0.1.0 on n1; 0.2.0 on n2",
        ),
        (
            "/networks/0/gateways",
            r#"["10.1.0.1/16"]"#,
            "failed gateway_owner: the address 10.1.0.1 has 2 owners: the gateway of blue on n1, the gateway of blue on n2",
        ),
        (
            "/networks/0/gateway_mac",
            r#""02:00:00:00:00:01""#,
            "failed gateway_owner: the MAC 02:00:00:00:00:01 has 2 owners: the gateway of blue on n1, the gateway of blue on n2",
        ),
        (
            "/networks/0/attachments/0/addresses",
            r#"["10.1.1.1"]"#,
            "failed address_owner: the address 10.1.1.1 has 2 owners: shop/web-1 on n1, shop/web-2 on n2",
        ),
        (
            "/networks/0/attachments/0/addresses",
            r#"["10.1.0.1"]"#,
            "failed address_owner: the address 10.1.0.1 has 2 owners: the gateway of blue on n1, shop/web-2 on n2",
        ),
        (
            "/networks/0/attachments/0/mac",
            r#""0a:58:0a:01:01:01""#,
            "failed mac_owner: the MAC 0a:58:0a:01:01:01 has 2 owners: shop/web-1 on n1, shop/web-2 on n2",
        ),
        (
            "/networks/0/peers",
            "[]",
            "unknown peer_missed: n2 (198.18.0.2) has heard nothing of n1 (198.18.0.1), which has heard of it",
        ),
        (
            "/networks/0/vtep",
            r#""198.18.0.1""#,
            "failed source_address: 198.18.0.1 is the VTEP of n1 and of n2",
        ),
    ];

    #[test]
    fn each_thing_that_does_not_fit_is_found_by_itself_and_named_with_its_nodes() {
        for (pointer, value, wanted) in OTHERWISE {
            let mut other = node(2);
            *other.pointer_mut(pointer).unwrap() = serde_json::from_str(value).unwrap();
            assert_eq!(found(&[node(1), other]), [wanted], "{pointer}");
        }
    }

    #[test]
    fn where_one_vtep_is_named_in_a_groups_place_it_differs_rightly_and_a_missing_one_is_a_failure()
    {
        let pair = |peer_of_second: &str| {
            let (mut one, mut other) = (node(1), node(2));
            one["networks"][0]["group"] = json!("198.18.0.2");
            other["networks"][0]["group"] = json!(peer_of_second);
            other["networks"][0]["peers"] = json!([peer_of_second]);
            [one, other]
        };
        assert_eq!(found(&pair("198.18.0.1")), Vec::<String>::new());
        let wanted = "failed peer_missed: n2 (198.18.0.2) sends nothing to n1 (198.18.0.1), which sends to it";
        assert_eq!(found(&pair("198.18.0.9")), [wanted]);
    }

    #[test]
    fn what_is_not_known_is_not_held_against_a_node() {
        let mut other = node(2);
        for key in ["mtu", "vtep", "peers", "gateway_mac"] {
            other["networks"][0][key] = json!(null);
        }
        assert_eq!(found(&[node(1), other.clone()]), Vec::<String>::new());
        // A network without an attachment there: no device, so nothing that it could have heard.
        let mut idle = node(2);
        idle["networks"][0]["present"] = json!(false);
        idle["networks"][0]["peers"] = json!([]);
        assert_eq!(found(&[node(1), idle]), Vec::<String>::new());
        // The third knows the first two only, and they not it.
        let third = found(&[node(1), node(2), node(3)]);
        assert!(
            third
                .iter()
                .all(|one| one.starts_with("unknown peer_missed: ")),
            "{third:?}"
        );
    }

    #[test]
    fn hostile_names_stay_on_their_line_and_take_no_terminal_over() {
        let (mut one, mut other) = (node(1), node(2));
        let hostile = "b\u{1b}[2J\n; reboot $(x)";
        for node in [&mut one, &mut other] {
            node["networks"][0]["name"] = json!(hostile);
            node["networks"][0]["attachments"][0]["pod"] = json!(hostile);
            node["networks"][0]["attachments"][0]["addresses"] = json!(["10.1.1.9"]);
            node["node"]["version"] = json!(hostile);
        }
        other["networks"][0]["vni"] = json!(7);
        let text = super::text(
            &compared(&[one, other]),
            Style {
                plain: true,
                verbose: true,
                ..TICKS
            },
            "",
        );
        let is_foreign = |c: char| c.is_control() && c != '\n';
        assert!(!text.contains(is_foreign), "{text}");
        assert!(
            text.contains("inspect  ip -d link show dev vx_NETWORK\n"),
            "{text}"
        );
        assert!(
            !text.lines().any(|line| line.starts_with("; reboot")),
            "{text}"
        );
    }
}
