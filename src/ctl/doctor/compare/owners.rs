//! Addresses and MACs that two own: gateways, and pods, on whichever node and network.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::Of;
use crate::ctl::doctor::made_of::Owner;
use crate::ctl::doctor::report::{Finding, Id};
use crate::sanitize::printable;

/// What owns something: in words, and whether it is a gateway.
type Owned = (String, bool);

/// All that is found of all networks.
pub fn findings(networks: &BTreeMap<&str, Vec<Of<'_>>>) -> Vec<Finding> {
    let (mut addresses, mut macs) = (BTreeMap::new(), BTreeMap::new());
    for of in networks.values().flatten() {
        let gateway = || {
            let network = printable(&of.part.name);
            (format!("the gateway of {network} on {}", of.node), true)
        };
        for cidr in of.part.gateways.iter().filter(|_| !of.part.anycast) {
            own(&mut addresses, cidr.ip(), gateway());
        }
        if let Some(mac) = of.part.gateway_mac {
            // A MAC is of its network alone: the same one on two of them harms nobody.
            own(&mut macs, (of.part.vni, mac.to_string()), gateway());
        }
        for owner in &of.part.attachments {
            for address in &owner.addresses {
                own(&mut addresses, *address, (shown(owner, of), false));
            }
            if let Some(mac) = owner.mac {
                let mac = (of.part.vni, mac.to_string());
                own(&mut macs, mac, (shown(owner, of), false));
            }
        }
    }
    let macs = macs.iter().map(|((_, mac), owners)| (mac, owners));
    let mut findings = shared(addresses.iter(), "address", Id::AddressOwner);
    findings.extend(shared(macs, "MAC", Id::MacOwner));
    findings
}

fn own<T: Ord>(owned: &mut BTreeMap<T, Vec<Owned>>, what: T, owner: Owned) {
    owned.entry(what).or_default().push(owner);
}

/// `shop/web-1 on n1`.
fn shown(owner: &Owner, of: &Of<'_>) -> String {
    let own = || {
        format!(
            "{}/{}",
            printable(&owner.container),
            printable(&owner.ifname)
        )
    };
    let pod = owner.pod.as_deref().map(printable);
    format!("{} on {}", pod.unwrap_or_else(own), of.node)
}

/// Those with several owners; that there is none, where that is so.
fn shared<'a, T: Display + 'a>(
    owned: impl ExactSizeIterator<Item = (T, &'a Vec<Owned>)>,
    what: &str,
    id: Id,
) -> Vec<Finding> {
    let all = owned.len();
    let several = owned.filter(|(_, owners)| owners.len() > 1);
    let findings: Vec<Finding> = several
        .map(|(value, owners)| several_own(&value.to_string(), owners, what, id))
        .collect();
    match findings.is_empty() {
        true => vec![Finding::ok(
            id,
            format!("each of the {all} {} has one owner", plural(what)),
        )],
        false => findings,
    }
}

fn plural(what: &str) -> &'static str {
    match what {
        "address" => "addresses",
        _ => "MACs",
    }
}

fn several_own(value: &str, owners: &[Owned], what: &str, id: Id) -> Finding {
    let names: Vec<&str> = owners.iter().map(|(name, _)| name.as_str()).collect();
    let count = owners.len();
    let message = format!(
        "the {what} {value} has {count} owners: {}",
        names.join(", ")
    );
    let gateways = owners.iter().all(|(_, gateway)| *gateway);
    let (id, fix) = match (gateways, what) {
        (true, "address") => (
            Id::GatewayOwner,
            "give each node an address of its own in cidr",
        ),
        (true, _) => (
            Id::GatewayOwner,
            "give each gateway a MAC of its own: ip link set dev mv_NAME address MAC",
        ),
        (false, _) => (id, "remove one of the containers"),
    };
    let inspect = match what {
        "address" => format!("vxlan status {value}"),
        _ => "ip -br link; vxlan status".to_owned(),
    };
    Finding::failed(id, message).inspect(inspect).fix(fix)
}
