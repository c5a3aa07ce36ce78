//! iproute2 as types: what can be said to `ip`, `bridge` and `sysctl`, and what they say back.
//!
//! Words only: nothing here runs anything or knows what a network of ours looks like.

pub mod addr;
pub mod batch;
pub mod command;
pub mod fdb;
pub mod json;
pub mod link;
pub mod name;
pub mod neigh;
pub mod netns;
pub mod route;
pub mod rule;
pub mod stderr;
pub mod subnets;
pub mod sysctl;
pub mod version;

pub use command::{Command, Program};
pub use name::{Family, IfName, Mac, TableId, Vni};
pub use netns::Netns;
pub use version::OLDEST;
