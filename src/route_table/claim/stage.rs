//! One claim: how far it has come, and what takes it back.

use std::net::IpAddr;

use crate::ip::route::Route;
use crate::ip::{Command, route};
use crate::plan::Side;
use crate::route_table::wire::{self, Asked};
use crate::session::line::Line;

/// A claim and how far it has come.
pub struct Claim {
    /// The route that claims the address.
    pub route: Route,
    /// How far it has come.
    pub state: State,
}

/// How far a claim has come, which is what there is to take back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The owner record is written.
    Recorded,
    /// The route is there too.
    Routed,
    /// Seen to have no other claimant.
    Stands,
    /// Withdrawn: the address is free for others, so nothing of it is touched any more.
    GivenUp,
}

impl Claim {
    /// What the wire is asked of it, beside others that are claimed for the same container.
    pub fn asked(&self, all: &[IpAddr]) -> Asked {
        Asked::new(self.address(), &self.route.dev, all)
    }

    /// The address.
    pub fn address(&self) -> IpAddr {
        self.route.dst.ip()
    }

    /// Whether there is something of it.
    pub fn is_open(&self) -> bool {
        self.state != State::GivenUp
    }
}

/// The line that claims the address.
pub fn add_route(claim: &Claim) -> Line {
    wire::line(
        route::add(&claim.route),
        format!("{} is claimed", claim.address()),
    )
}

/// What takes a claim back. A route that was there before it is another's and stays.
pub fn undo(claim: &Claim) -> Vec<(Side, Command)> {
    let (address, dev) = (claim.address(), &claim.route.dev);
    let ours = claim.state != State::Recorded;
    let route = ours.then(|| route::del(&claim.route));
    let beacon = ours.then(|| wire::release(address, dev));
    let commands = route.into_iter().chain(beacon.into_iter().flatten());
    let commands = commands.chain(wire::clear_all(address, dev));
    commands.map(|command| (Side::Host, command)).collect()
}
