//! An interface without a record: which attachment it is of, and on which network.

use ipnetwork::IpNetwork;

use super::Known;
use crate::cni::Request;
use crate::config::Network;
use crate::ip::{Family, IfName};
use crate::ops::prev_result;
use crate::plan::{Read, Side, Verdict, container};
use crate::session::Session;

impl Known {
    /// The network that an interface without a record is on: a macvlan on its vxlan, with an address of the result of ADD,
    /// where there is one. So are those that the original made.
    pub(super) fn unrecorded(&self, session: &Session<'_>, request: &Request) -> Option<&Network> {
        let ifname = IfName::new(&request.ifname).ok()?;
        self.netns
            .as_ref()
            .filter(|_| !self.candidates.is_empty())?;
        let mut seen = session
            .observe(vec![Read::Addr(Side::Pod, ifname.clone())])
            .ok()?;
        let link = seen.link(Side::Pod, &ifname)?;
        let has = |address: &IpNetwork| link.has_address(*address);
        let known = prev_result(request).ok().flatten();
        let known = known.filter(|result| !result.ips.is_empty());
        if link.kind() != "macvlan"
            || known.is_some_and(|result| !result.ips.iter().any(|ip| has(&ip.address)))
        {
            return None;
        }
        let all = self.candidates.iter();
        let parents = all.map(|network| Read::Link(Side::Host, network.vx.clone()));
        seen.absorb(session.observe(parents.collect()).ok()?);
        self.candidates.iter().find(|network| {
            let fact = container::link(network, &ifname, &ifname);
            fact.verdict(&seen) == Verdict::Holds
        })
    }

    /// The network that the result of ADD has an address of: its host side may be left, where a DEL took the interface away
    /// and failed or was killed behind that.
    pub(super) fn network_of_result(&self, request: &Request) -> Option<&Network> {
        let told = prev_result(request).ok().flatten()?;
        let is_of = |network: &&Network| {
            let mut addresses = told.ips.iter().map(|ip| ip.address.ip());
            addresses.any(|address| {
                let cidr = network.cidr(Family::of(address));
                cidr.is_some_and(|cidr| cidr.contains(address))
            })
        };
        self.candidates.iter().find(is_of)
    }
}

/// The MAC of the container's macvlan of this name; `None` where there is none, or it cannot be read.
pub(super) fn macvlan(session: &Session<'_>, name: &IfName) -> Option<String> {
    let seen = session.observe(vec![Read::Addr(Side::Pod, name.clone())]);
    let seen = seen.ok()?;
    let link = seen.link(Side::Pod, name)?;
    (link.kind() == "macvlan").then(|| link.address.clone())
}

/// Whether the result of ADD names this interface with the MAC it has, and it is a macvlan.
pub(super) fn described(session: &Session<'_>, request: &Request, ifname: &IfName) -> bool {
    let Ok(Some(result)) = prev_result(request) else {
        return false;
    };
    let Some(mac) = macvlan(session, ifname) else {
        return false;
    };
    let named = result.interfaces.iter().find(|interface| {
        interface.name == ifname.as_str()
            && interface.sandbox == request.netns
            && !interface.mac.is_empty()
    });
    named.is_some_and(|interface| interface.mac == mac)
}
