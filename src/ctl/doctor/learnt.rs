//! What the node has learnt from a router on a network of pods: of an edition or an operator's hand that let it
//! listen there. The kernel forgets none of it when it is told not to listen.

use super::report::{Finding, Id};
use crate::cni::CniError;
use crate::config::Network;
use crate::ip::route::{ADVERTISED, Protocol};
use crate::ip::{Family, IfName, TableId};
use crate::plan::{Observed, Read, Side, underlay};
use crate::session::Session;

/// The questions about the devices' addresses, beside those of the facts: a later answer of another kind would
/// stand in for what they ask.
pub fn reads(network: &Network) -> impl Iterator<Item = Read> + '_ {
    devices(network).map(|dev| Read::Addr(Side::Host, dev.clone()))
}

/// Looks at the devices' IPv6 routes, where the node has IPv6.
///
/// # Errors
/// As [`Session::observe`].
pub fn look(
    session: &Session<'_>,
    network: &Network,
    mut seen: Observed,
) -> Result<Observed, CniError> {
    if underlay::has_ipv6(&seen, None) {
        let routes =
            |dev: &IfName| Read::Routes(Side::Host, Family::V6, TableId::MAIN, dev.clone());
        seen.absorb(session.observe(devices(network).map(routes).collect())?);
    }
    Ok(seen)
}

fn devices(network: &Network) -> impl Iterator<Item = &IfName> {
    [&network.vx, &network.mv].into_iter()
}

/// A device with a route or an address that a pod's advertisement gave it, each a finding.
pub fn findings<'a>(
    network: &'a Network,
    seen: &'a Observed,
) -> impl Iterator<Item = Finding> + 'a {
    devices(network).filter_map(|dev| finding(dev, seen))
}

fn finding(dev: &IfName, seen: &Observed) -> Option<Finding> {
    let routes = seen.routes(Side::Host, Family::V6, TableId::MAIN, dev);
    let mut routes = routes.unwrap_or_default().iter();
    let routes = routes.find(|route| route.protocol == Some(Protocol::Number(ADVERTISED)));
    let mut addresses = seen.link(Side::Host, dev)?.addr_info.iter();
    let address = addresses.find(|address| address.dynamic);
    let what = match (routes, address) {
        (Some(route), _) => format!("a route to {}", route.dst),
        (None, Some(address)) => format!("the address {}", address.local),
        (None, None) => return None,
    };
    let what = format!("{dev} has {what} by an advertisement: that router is a pod");
    let inspect = format!("ip -6 route show dev {dev} proto ra; ip -6 addr show dev {dev} dynamic");
    let fix = format!("ip -6 route flush dev {dev} proto ra; ip -6 addr flush dev {dev} dynamic");
    Some(
        Finding::failed(Id::RouterAdvertisement, what)
            .inspect(inspect)
            .fix(fix),
    )
}
