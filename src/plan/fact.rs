//! A fact: something that shall be so. It knows how it is seen, what makes it so, what undoes it.

mod shown;
mod supposed;
mod undone;
mod verdict;

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::read::{Read, side_of};
use super::side::Side;
use crate::ip::link::{Setting, Vxlan};
use crate::ip::route::{Lookup, Route};
use crate::ip::rule::Rule;
use crate::ip::sysctl::SysctlKey;
use crate::ip::{Command, Family, IfName, Mac, Netns, addr, fdb, link, neigh, route, rule, sysctl};
use crate::nft::{self, Chain, Table};

/// Something that shall be so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// The vxlan device is there, with this identity.
    Vxlan {
        /// Its name.
        name: IfName,
        /// What it is.
        vxlan: Box<Vxlan>,
    },
    /// A macvlan in bridge mode is there, on this vxlan.
    Macvlan {
        /// Where.
        side: Side,
        /// Its name.
        name: IfName,
        /// The vxlan device, on the host.
        parent: IfName,
        /// The name it is made under: its own, or a temporary one, see [`super::container::temporary`].
        made_as: IfName,
        /// The MAC it is made with, where that is to be the same each time; it may have another.
        address: Option<Mac>,
    },
    /// A device has a setting.
    Setting {
        /// Where.
        side: Side,
        /// The device.
        dev: IfName,
        /// What kind of device, which decides how it is looked at.
        kind: Kind,
        /// The setting.
        setting: Setting,
    },
    /// What a vxlan device has not learnt goes to a group or a VTEP.
    Flood {
        /// The vxlan device.
        dev: IfName,
        /// The group or VTEP.
        to: IpAddr,
        /// The underlay device.
        via: Option<IfName>,
    },
    /// A vxlan device sends what it has not learnt to a peer, or does not.
    Peer {
        /// The vxlan device.
        dev: IfName,
        /// The peer's VTEP.
        to: IpAddr,
        /// Whether it is to.
        listed: bool,
    },
    /// What was learnt from a peer is forgotten, once that is none any more.
    Forgotten {
        /// The vxlan device.
        dev: IfName,
        /// The MAC.
        mac: Mac,
        /// The VTEP behind which it is.
        to: IpAddr,
    },
    /// A device has an address.
    Address {
        /// Where.
        side: Side,
        /// The device.
        dev: IfName,
        /// Address and prefix length.
        address: IpNetwork,
        /// What it is to the host. One that is there is not asked for it: the kernel changes no address's scope.
        role: addr::Role,
    },
    /// A device has an address no more.
    NoAddress {
        /// Where.
        side: Side,
        /// The device.
        dev: IfName,
        /// Address and prefix length.
        address: IpNetwork,
    },
    /// An address on the network is at a MAC, and no answer changes that. The kernel forgets it where the device goes down.
    Neighbour {
        /// Where.
        side: Side,
        /// The device by which it is reached.
        dev: IfName,
        /// The address.
        address: IpAddr,
        /// The MAC.
        mac: Mac,
    },
    /// A route is there.
    Route {
        /// Where.
        side: Side,
        /// The route.
        route: Route,
        /// A look-up that shows it without listing: destination and source.
        witness: Option<Lookup>,
        /// Whether it comes beside another of the same destination and metric.
        beside: bool,
    },
    /// A rule is there.
    Rule {
        /// The rule.
        rule: Rule,
        /// A look-up that only this rule answers from its table.
        witness: Lookup,
    },
    /// The packet filter has these chains, just so.
    Guard {
        /// The table that they are in, which tells where.
        table: Table,
        /// The device that they are about.
        dev: IfName,
        /// The chains.
        chains: Vec<Chain>,
    },
    /// A switch of the kernel stands at a value.
    Sysctl {
        /// Where.
        side: Side,
        /// The switch.
        key: SysctlKey,
        /// The value to set.
        value: &'static str,
        /// Other values that are as good.
        or: &'static [&'static str],
    },
}

/// Kinds of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// vxlan: has no addresses.
    Vxlan,
    /// macvlan.
    Macvlan,
}

/// How closely a fact is looked at. Only IPv6 makes a difference: `ip` lists its routes and rules in a
/// process of their own, while a look-up can share one with everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// By the effect, where that is cheaper; "no" then means "look closely".
    Lookup,
    /// By listing the device's routes and the rules at one `pref`.
    List,
}

/// Whether a fact holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Holds,
    /// It is not there.
    Missing,
    /// Something else is there.
    Differs {
        /// What.
        found: String,
    },
    /// The device is there, and something was changed that a command sets back while it is in use: `vxlan repair` does,
    /// ADD asks the operator, who may have made the device.
    Changed {
        /// What is otherwise.
        found: String,
    },
}

impl Fact {
    /// The questions whose answers decide it.
    pub fn reads(&self, probe: Probe) -> Vec<Read> {
        match self {
            // These cost as much as an ADD, or are as long as what was learnt, so they are listed only where the rest is.
            Self::Guard { .. } | Self::Peer { .. } | Self::Forgotten { .. }
                if probe == Probe::Lookup =>
            {
                Vec::new()
            }
            Self::Vxlan { name, .. } => vec![Read::Link(Side::Host, name.clone())],
            Self::Macvlan {
                side, name, parent, ..
            } => {
                // In the pod the parent shows as a number, which only the host can name.
                let parent = (*side == Side::Pod).then(|| Read::Link(Side::Host, parent.clone()));
                let own = Read::Addr(*side, name.clone());
                std::iter::once(own).chain(parent).collect()
            }
            Self::Setting {
                side,
                dev,
                kind: Kind::Vxlan,
                ..
            } => vec![Read::Link(*side, dev.clone())],
            Self::Flood { dev, .. } => vec![Read::Flood(dev.clone())],
            Self::Peer { dev, .. } | Self::Forgotten { dev, .. } => vec![Read::Fdb(dev.clone())],
            Self::Neighbour {
                side, dev, address, ..
            } => vec![Read::Neigh(*side, dev.clone(), *address)],
            Self::Setting { side, dev, .. }
            | Self::Address { side, dev, .. }
            | Self::NoAddress { side, dev, .. } => {
                vec![Read::Addr(*side, dev.clone())]
            }
            Self::Route {
                side,
                witness: Some(witness),
                ..
            } if probe == Probe::Lookup => vec![Read::Lookup(*side, *witness)],
            Self::Route { side, route, .. } => {
                vec![Read::Routes(
                    *side,
                    route.family(),
                    route.table,
                    route.dev.clone(),
                )]
            }
            Self::Rule { rule, witness }
                if probe == Probe::Lookup && rule.family() == Family::V6 =>
            {
                vec![Read::Lookup(Side::Host, *witness)]
            }
            Self::Rule { rule, .. } => vec![Read::Rules(rule.family(), rule.pref)],
            Self::Guard { table, .. } => vec![Read::Nft(table.clone())],
            Self::Sysctl { side, key, .. } => vec![Read::Sysctl(*side, key.clone())],
        }
    }

    /// The command that makes it so, and where it runs; `pod` is the container's namespace.
    pub fn make(&self, pod: &Netns) -> (Side, Command) {
        match self {
            Self::Vxlan { name, vxlan } => (Side::Host, link::add_vxlan(name, vxlan)),
            Self::Macvlan {
                side,
                made_as,
                parent,
                address,
                ..
            } => {
                let into = side.netns(pod);
                (
                    Side::Host,
                    link::add_macvlan(made_as, parent, *address, into),
                )
            }
            Self::Setting {
                side, dev, setting, ..
            } => (*side, link::set(dev, setting)),
            Self::Flood { dev, to, via } => {
                (Side::Host, fdb::append_peer_via(dev, *to, via.as_ref()))
            }
            Self::NoAddress { side, dev, address } => (*side, addr::del(*address, dev)),
            Self::Peer { dev, to, listed } => (Side::Host, fdb::peer(dev, *to, *listed)),
            Self::Forgotten { dev, mac, to } => (Side::Host, fdb::forget(*mac, dev, *to)),
            Self::Address {
                side,
                dev,
                address,
                role,
            } => (*side, addr::replace(*address, dev, *role)),
            Self::Neighbour {
                side,
                dev,
                address,
                mac,
            } => (*side, neigh::replace(*address, *mac, dev)),
            Self::Route {
                side,
                route,
                beside: true,
                ..
            } => (*side, route::append(route)),
            // Where another interface has the same route, replacing it would take it away from there.
            Self::Route {
                side: Side::Pod,
                route,
                ..
            } => (Side::Pod, route::add(route)),
            Self::Route {
                side: Side::Host,
                route,
                ..
            } => (Side::Host, route::replace(route)),
            Self::Rule { rule, .. } => (Side::Host, rule::add(rule)),
            Self::Guard { table, chains, .. } => (side_of(table), nft::make(table, chains)),
            Self::Sysctl {
                side, key, value, ..
            } => (*side, sysctl::write(&[(key.clone(), (*value).to_owned())])),
        }
    }

    /// The command that sets back what was changed of a device that is there ([`Verdict::Changed`]).
    pub fn set_back(&self) -> Option<(Side, Command)> {
        match self {
            Self::Vxlan { name, vxlan } => Some((Side::Host, link::change_vxlan(name, vxlan))),
            Self::Macvlan { side, name, .. } => Some((*side, link::change_macvlan(name))),
            _ => None,
        }
    }

    /// The command that undoes it, where there is something to undo once its device is gone.
    pub fn undo(&self) -> Option<(Side, Command)> {
        match self {
            Self::Vxlan { name, .. } => Some((Side::Host, link::del(name))),
            Self::Macvlan { side, made_as, .. } => Some((*side, link::del(made_as))),
            Self::Rule { rule, .. } => Some((Side::Host, rule::del(rule))),
            Self::Address {
                side, dev, address, ..
            } => Some((*side, addr::del(*address, dev))),
            Self::Route { side, route, .. } => Some((*side, route::del(route))),
            Self::Guard {
                table: table @ Table::Pod(_),
                ..
            } => Some((Side::Pod, nft::delete_table(table))),
            // Whether the table goes with the chains depends on who else is in it: `ops::guard`.
            Self::Guard { .. } => None,
            // The node's forwarding serves others too, and a device's settings go with it.
            Self::Setting { .. }
            | Self::Sysctl { .. }
            | Self::Flood { .. }
            | Self::Peer { .. }
            | Self::Forgotten { .. }
            | Self::NoAddress { .. }
            | Self::Neighbour { .. } => None,
        }
    }

    /// Where it is.
    pub fn side(&self) -> Side {
        match self {
            Self::Vxlan { .. }
            | Self::Rule { .. }
            | Self::Flood { .. }
            | Self::Peer { .. }
            | Self::Forgotten { .. } => Side::Host,
            Self::Macvlan { side, .. }
            | Self::Setting { side, .. }
            | Self::Address { side, .. }
            | Self::NoAddress { side, .. }
            | Self::Neighbour { side, .. }
            | Self::Route { side, .. }
            | Self::Sysctl { side, .. } => *side,
            Self::Guard { table, .. } => side_of(table),
        }
    }

    /// The command that shows it to a person.
    pub fn show(&self) -> Option<Command> {
        self.reads(Probe::List).first().map(Read::command)
    }
}
