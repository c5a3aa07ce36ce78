//! The questions that facts ask, each with the command that asks it.

use std::net::IpAddr;

use crate::ip::route::Lookup;
use crate::ip::sysctl::SysctlKey;
use crate::ip::{Command, Family, IfName, Mac, TableId, addr, fdb, link, neigh, route, rule};
use crate::nft::{self, Table};
use crate::plan::Side;

/// One question. The order is that in which a batch may ask: see [`link::show`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Read {
    /// A device with its addresses.
    Addr(Side, IfName),
    /// Every device of the container, by each of its names.
    Links,
    /// The routes of a table over a device.
    Routes(Side, Family, TableId, IfName),
    /// Every route of a table that a protocol made, on the host.
    Claims(Family, TableId, u8),
    /// The one route the kernel would take, from a source if given.
    Lookup(Side, Lookup),
    /// The address that the host would send from, to an address by a device.
    Source(IpAddr, IfName),
    /// Which neighbour has an address on a device.
    Neigh(Side, IfName, IpAddr),
    /// The rules at one place.
    Rules(Family, u32),
    /// Who listens through a device.
    Maddr(IfName),
    /// Where a vxlan device sends what it has not learnt.
    Flood(IfName),
    /// Where a vxlan device sends what; grows with what it has learnt.
    Fdb(IfName),
    /// Where it sends what is for one MAC.
    Vtep(IfName, Mac),
    /// A device without its addresses; tells more of the device.
    Link(Side, IfName),
    /// The vxlan devices of the host: a node has few, whatever else it has.
    Vxlans,
    /// The devices of the host that have learnt a route from a router's advertisement.
    Learnt,
    /// The devices of the host that have learnt an address from one.
    Dynamic,
    /// The macvlans of the container, under any name.
    Macvlans,
    /// The neighbours that were set by hand.
    Permanent(Side),
    /// A table of ours in the packet filter.
    Nft(Table),
    /// A switch.
    Sysctl(Side, SysctlKey),
}

impl Read {
    /// Where it is asked.
    pub fn side(&self) -> Side {
        match self {
            Self::Addr(side, _)
            | Self::Routes(side, ..)
            | Self::Lookup(side, ..)
            | Self::Link(side, _)
            | Self::Neigh(side, ..)
            | Self::Permanent(side)
            | Self::Sysctl(side, _) => *side,
            Self::Nft(table) => side_of(table),
            Self::Macvlans | Self::Links => Side::Pod,
            Self::Claims(..)
            | Self::Source(..)
            | Self::Rules(..)
            | Self::Maddr(_)
            | Self::Flood(_)
            | Self::Fdb(_)
            | Self::Vtep(..)
            | Self::Learnt
            | Self::Dynamic
            | Self::Vxlans => Side::Host,
        }
    }

    /// The command that asks it; a switch of the host's is a file.
    pub fn command(&self) -> Command {
        match self {
            Self::Addr(_, dev) => addr::show(dev),
            Self::Routes(_, family, table, dev) => route::show(*family, *table, dev),
            Self::Claims(family, table, protocol) => route::of_protocol(*family, *table, *protocol),
            Self::Lookup(_, wanted) => route::lookup(wanted),
            Self::Source(to, dev) => route::source(*to, dev),
            Self::Neigh(_, dev, address) => neigh::show(*address, dev),
            Self::Rules(family, pref) => rule::show(*family, *pref),
            Self::Maddr(dev) => link::maddr(dev),
            Self::Flood(dev) => fdb::flood(dev),
            Self::Fdb(dev) => fdb::show(dev),
            Self::Vtep(dev, mac) => fdb::get(*mac, dev),
            Self::Link(_, dev) => link::show(dev),
            Self::Vxlans => link::show_vxlans(),
            Self::Macvlans => link::show_macvlans(),
            Self::Links => addr::show_all(),
            Self::Permanent(_) => neigh::show_permanent(),
            Self::Learnt => route::show_advertised(),
            Self::Dynamic => addr::show_dynamic(),
            Self::Nft(table) => nft::list(table),
            Self::Sysctl(_, key) => crate::ip::sysctl::read(std::slice::from_ref(key)),
        }
    }
}

/// On which side a table of ours is.
pub fn side_of(table: &Table) -> Side {
    match table {
        Table::Node => Side::Host,
        Table::Pod(_) => Side::Pod,
    }
}
