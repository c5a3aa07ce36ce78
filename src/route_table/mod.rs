//! The companion IPAM: the kernel's routing table as the address database.
//!
//! An address is claimed by a host route (/32, /128) on the gateway's device, marked by its protocol; a
//! routing daemon that spreads those routes makes the table a cluster-wide one. A claim counts once it
//! has been seen to stand alone: in the table, where a claim heard from elsewhere is preferred to the
//! own one, and on the wire, where the host that has the address answers for it.

mod at_once;
pub mod claim;
pub mod config;
pub mod contest;
pub mod ledger;
pub mod liar;
pub mod list;
mod lost;
pub mod owners;
pub mod pool;
pub mod reconcile;
pub mod release;
pub mod search;
pub mod verify;
pub mod wire;

use std::time::Instant;

use crate::cni::{CniError, CniResult, Plugin, Request};
use crate::exec::System;
use crate::ip::Netns;
use crate::journal::Journal;
use crate::route_table::config::Ipam;
use crate::session::Session;

/// The plugin `route-table`.
#[derive(Debug, Default)]
pub struct RouteTable;

impl Plugin for RouteTable {
    fn add(&self, request: &Request) -> Result<CniResult, CniError> {
        let started = Instant::now();
        let ipam = Ipam::read(request)?;
        let system = System::until_sigterm().with_deadline(started + ipam.request);
        claim::add(&system, request, &ipam, started + ipam.request)
    }

    fn del(&self, request: &Request) -> Result<(), CniError> {
        // Giving back is carried through: a runtime that ends it half-way would only have to ask again.
        release::del(
            &System::through_sigterm(),
            request,
            &Ipam::read_leniently(request),
        )
    }

    fn check(&self, request: &Request) -> Result<(), CniError> {
        verify::check(&System::until_sigterm(), request, &Ipam::read(request)?)
    }

    fn gc(&self, request: &Request) -> Result<(), CniError> {
        release::gc(
            &System::through_sigterm(),
            request,
            &Ipam::read_leniently(request),
        )
    }

    fn status(&self, request: &Request) -> Result<(), CniError> {
        verify::status(&System::until_sigterm(), request)
    }
}

/// Session that work on the node only.
pub fn session<'a>(system: &'a System, journal: &'a Journal) -> Session<'a> {
    Session::new(system, journal, &Netns::Own)
}
