//! What must hold for one attachment: the host side of its network, and its own.
//!
//! CHECK and the operator's verbs ask the same: the record tells what ADD made, the result that the
//! runtime keeps tells what later plugins have changed since.

use super::host_side::HostSide;
use crate::cni::result::{Interface, Ip};
use crate::cni::{CniError, CniResult, Code};
use crate::config::Network;
use crate::ip::addr::Role;
use crate::ip::{IfName, Mac, Netns, TableId};
use crate::nft::Table;
use crate::plan::container::{self, Container};
use crate::plan::{self, Fact, Observed, Probe, Read, Side, Verdict, anycast, underlay};
use crate::session::{Session, not_true};
use crate::store::Attachment;

/// What must hold for one attachment.
pub struct Facts<'a> {
    side: &'a HostSide,
    container: Container<'a>,
    promised: Promised,
    /// The vxlan's MTU before it was mended, where it was.
    parents_mtu: Option<u32>,
}

impl<'a> Facts<'a> {
    /// Of a record, with the network it keeps, and that network as it is on this node.
    ///
    /// # Errors
    /// When the record is one of an ADD that has not ended.
    pub fn of(
        record: &'a Attachment,
        network: &'a Network,
        side: &'a HostSide,
        promised: Promised,
    ) -> Result<Self, CniError> {
        let Some(lease) = &record.lease else {
            return Err(CniError::new(
                Code::INTERNAL,
                "a record without a lease was taken for whole",
            ));
        };
        let container = Container {
            network,
            ifname: record.ifname.clone(),
            // What is made anew is made under a name that is free on every node.
            made_as: container::temporary(&record.container, &record.ifname),
            mtu: None,
            // Until the node was seen: what may be there is asked for.
            ipv6: true,
            mac: promised.mac.or(record.mac),
            // Until the node was seen.
            gateway_mac: None,
            lease,
        };
        Ok(Self {
            side,
            container,
            promised,
            parents_mtu: None,
        })
    }

    /// The same, where the vxlan had another MTU before it was mended.
    pub fn with_parents_mtu(self, parents_mtu: Option<u32>) -> Self {
        Self {
            parents_mtu,
            ..self
        }
    }

    /// Looks at both sides.
    ///
    /// # Errors
    /// When something cannot be seen.
    pub fn observe(&self, session: &Session<'_>, probe: Probe) -> Result<Observed, CniError> {
        session.observe_host(&self.side.network, self.reads(probe))
    }

    /// The questions about both sides.
    fn reads(&self, probe: Probe) -> Vec<Read> {
        let mut reads = self.side.reads(probe);
        reads.extend(self.own_reads(probe));
        // Beside the rest, and not by its look-ups alone: without the guard everything else looks well.
        reads.extend((self.side.network.guard).then_some(Read::Nft(Table::Node)));
        reads
    }

    /// The questions about the pod side.
    pub fn own_reads(&self, probe: Probe) -> Vec<Read> {
        let mut reads = plan::reads(&self.container.facts(), probe);
        reads.extend(plan::reads(&self.promised.addresses, probe));
        let (network, dev) = (self.container.network, &self.container.ifname);
        let families = self.container.families();
        reads.extend(anycast::reads_of_a_pod(network, dev, &families));
        let rules = Table::Pod(self.container.ifname.clone());
        reads.extend((self.container.network.anti_spoof).then_some(Read::Nft(rules)));
        if probe == Probe::List {
            // A later plugin may have moved our routes to another table.
            let families = self.container.families().into_iter();
            let dev = &self.container.ifname;
            reads.extend(
                families.map(|family| Read::Routes(Side::Pod, family, TableId::ALL, dev.clone())),
            );
        }
        reads
    }

    /// The facts of both sides, in the order in which they are made.
    ///
    /// # Errors
    /// When the underlay is not there or too small.
    pub fn all(&mut self, seen: &Observed) -> Result<Vec<Fact>, CniError> {
        let mut facts = self.side.facts(seen)?;
        facts.extend(self.own(seen)?);
        Ok(facts)
    }

    /// The facts of the pod side.
    ///
    /// # Errors
    /// When the underlay is not there or too small: the MTU follows from it.
    pub fn own(&mut self, seen: &Observed) -> Result<Vec<Fact>, CniError> {
        let mtu = underlay::mtu(&self.side.network, seen)?;
        self.container.mtu = self.promised.mtu.or(mtu);
        let vx = seen.link(Side::Host, &self.side.network.vx);
        let theirs = container::Theirs {
            parents_mtu: self.parents_mtu.or(vx.map(|link| link.mtu)),
            families: self.container.families(),
        };
        // As it is, where a later plugin has made it smaller.
        let link = seen.link(Side::Pod, &self.container.ifname);
        let smaller = link
            .map(|link| link.mtu)
            .filter(|mtu| theirs.may_have(*mtu));
        let least = smaller.into_iter().chain(self.container.mtu).min();
        self.container.ipv6 = underlay::has_ipv6(seen, least);
        self.container.gateway_mac = anycast::mac(self.container.network, seen);
        let mut facts = self.container.facts();
        let more = self.promised.addresses.iter();
        let more: Vec<Fact> = more.filter(|fact| !facts.contains(fact)).cloned().collect();
        facts.extend(more);
        facts.retain(|fact| !theirs.may_be(fact, seen));
        Ok(facts)
    }

    /// The error for facts that do not hold.
    pub fn explain(&self, broken: &[(&Fact, Verdict)], pod: &Netns) -> CniError {
        let error = not_true(broken, pod);
        let name = &self.side.network.name;
        let msg = format!("network \"{name}\": {}", error.msg);
        CniError::new(error.code, msg).details(error.details)
    }
}

/// What the runtime was told of the interface and keeps. A later plugin may have given it another MAC or
/// MTU, and says so in the result that it passes on (the reference `tuning` does of the MAC).
#[derive(Debug, Default)]
pub struct Promised {
    addresses: Vec<Fact>,
    mac: Option<Mac>,
    mtu: Option<u32>,
}

impl Promised {
    /// The namespace in which a result has an interface, where it names it in another one than this alone.
    pub fn elsewhere<'r>(result: &'r CniResult, netns: &str, ifname: &IfName) -> Option<&'r str> {
        let named = result.interfaces.iter();
        let named = named.filter(|one| one.name == ifname.as_str() && !one.sandbox.is_empty());
        let sandboxes: Vec<&str> = named.map(|one| one.sandbox.as_str()).collect();
        match sandboxes.contains(&netns) {
            true => None,
            false => sandboxes.first().copied(),
        }
    }

    /// By a result, of an interface in a namespace; nothing where the result does not name it.
    pub fn of(result: &CniResult, netns: &str, ifname: &IfName) -> Self {
        let ours =
            |interface: &Interface| interface.name == ifname.as_str() && interface.sandbox == netns;
        let Some(index) = result.interfaces.iter().position(ours) else {
            return Self::default();
        };
        let addresses = result.ips.iter().filter(|ip| ip.interface == Some(index));
        let fact = |ip: &Ip| Fact::Address {
            side: Side::Pod,
            dev: ifname.clone(),
            address: ip.address,
            role: Role::Own,
        };
        let interface = &result.interfaces[index];
        Self {
            addresses: addresses.map(fact).collect(),
            mac: interface.mac.parse().ok(),
            mtu: interface.mtu,
        }
    }
}
