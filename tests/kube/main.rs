//! The Kubernetes API, played by servers of the tests over real sockets on loopback: every answer, every kind of
//! certificate and key, every way to say who asks, every proxy. No root: `vxlan` is run up to the refusal that
//! comes next, and what that says shows which network was chosen.
//!
//! Every run is searched for every secret of its test (`scene`). What a server saw is counted; nothing is timed.

#![allow(clippy::unwrap_used)]

#[path = "../protocol/stand_in.rs"]
#[allow(
    dead_code,
    reason = "these tests use their own part of the stand-ins for `ip` and the IPAM"
)]
mod stand_in;
#[path = "../support/mod.rs"]
mod support;

mod answers;
mod api;
mod between;
mod identity;
mod nodes;
mod pki;
mod plugins;
mod scene;
mod trust;
mod way;
mod when;
