//! The underlay of a network: its device, the address of the outer packets, and who else may have its vxlan or its addresses.

use super::report::{Finding, Id};
use crate::cni::CniError;
use crate::config::Network;
use crate::ip::route::Lookup;
use crate::ops::status::{clash, underlay_fault};
use crate::plan::{Observed, Side, guard, underlay};

/// All that is found about it.
pub fn findings(network: &Network, seen: &Observed) -> Vec<Finding> {
    let mut findings = vec![device(network, seen)];
    findings.extend(source(network, seen));
    findings.push(overlap(network, seen));
    findings.push(vni(network, seen));
    findings.extend(ways_in(network, seen));
    findings
}

/// Where the guard cannot tell by which device the network's vxlan comes in.
fn ways_in(network: &Network, seen: &Observed) -> Option<Finding> {
    let is_open = network.guard && guard::ways_in(network, seen).is_empty();
    let dev = network.options.vxlan.dev.as_ref().filter(|_| is_open)?;
    Some(
        Finding::unknown(Id::VxlanWaysIn, format!(
            "vxlan of {} is taken from every device: the guard cannot tell those that lead to {dev}",
            network.name
        ))
        .inspect(format!("ip -d link show dev {dev}"))
        .fix("give options.vtepdev the device that connects the nodes, and options.srcaddr the address; docs/security.md has what is open else"),
    )
}

/// The underlay device must be there, up, with a carrier, and large enough.
fn device(network: &Network, seen: &Observed) -> Finding {
    let Some(dev) = &network.options.vxlan.dev else {
        return Finding::unknown(
            Id::UnderlayDevice,
            "options.vtepdev names no underlay device",
        );
    };
    let inspect = format!("ip -d link show dev {dev}");
    if let Some(fault) = underlay_fault(network, seen) {
        return Finding::failed(Id::UnderlayDevice, fault.msg)
            .inspect(inspect)
            .fix(fault.details);
    }
    let link = seen.link(Side::Host, dev);
    if link.is_some_and(|link| link.flag("NO-CARRIER")) {
        return Finding::failed(
            Id::UnderlayDevice,
            format!("the underlay device `{dev}` has no carrier"),
        )
        .inspect(inspect)
        .fix("plug the cable in, or bring its other end up");
    }
    let mtu = link.map_or(0, |link| link.mtu);
    Finding::ok(
        Id::UnderlayDevice,
        format!("the underlay device {dev} is up, MTU {mtu}"),
    )
}

/// The network's addresses must not be the node's already.
fn overlap(network: &Network, seen: &Observed) -> Finding {
    match underlay::check_overlap(network, seen) {
        Ok(()) => Finding::ok(
            Id::AddressOverlap,
            "no subnet and no gateway of this node is in the network's cidr",
        ),
        Err(error) => {
            let told = CniError::from(error);
            Finding::failed(Id::AddressOverlap, told.msg)
                .inspect("ip -br addr; ip route")
                .fix(told.details)
        }
    }
}

/// The address of the outer packets must be this node's.
fn source(network: &Network, seen: &Observed) -> Option<Finding> {
    let local = network.options.vxlan.local?;
    let found = seen.lookup(Side::Host, Lookup::to(local));
    let own = found.is_some_and(|route| route.kind.as_deref() == Some("local"));
    Some(match own {
        true => Finding::ok(Id::SourceAddress, format!("srcaddr {local} is this node's")),
        false => Finding::failed(
            Id::SourceAddress,
            format!("options.srcaddr {local} is no address of this node"),
        )
        .inspect(format!("ip route get {local}"))
        .fix("correct options.srcaddr: ip -br addr"),
    })
}

fn vni(network: &Network, seen: &Observed) -> Finding {
    let vxlan = &network.options.vxlan;
    match clash(network, seen) {
        None => Finding::ok(
            Id::Vni,
            format!(
                "no other device has VNI {} on port {}",
                vxlan.vni, vxlan.dstport
            ),
        ),
        Some(fault) => {
            let other = fault.msg.split_once(": ").map_or("", |(_, rest)| rest);
            let other = other.split(' ').next().unwrap_or_default().to_owned();
            Finding::failed(Id::Vni, fault.msg)
                .inspect(format!("ip -d link show dev {other}"))
                .fix(format!(
                    "give the network another id or options.port, or, when it is in use no longer: ip link del dev {other}"
                ))
        }
    }
}
