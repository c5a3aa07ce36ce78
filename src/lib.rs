//! # vxlan-cni
//!
//! A CNI plugin for layer-2 networks that span a cluster, with every node as their router and gateway.
//! It speaks to the kernel through `ip`, `bridge`, `sysctl` and `nft` only; every command that changes
//! something is in a journal that is itself a shell script.
//!
//! One ADD, in a straight line ([`ops::add`]):
//!
//! 1. [`cni::request`]: environment and stdin become a request.
//! 2. [`config`]: its JSON becomes a configuration, all faults named at once.
//!    Only if so configured, [`kube`] asks the Kubernetes API for what is not known of the pod yet.
//! 3. [`select`]: the configuration and what the pod may say become a network, an address, a reason.
//! 4. [`store`]: under the network's lock the attachment is written down, before the first change.
//! 5. [`cni::delegate`], [`lease`]: the IPAM is asked; beside it runs
//! 6. [`session`]: one batch that looks at the host side and makes the container's link. What it
//!    saw goes into [`plan`]: facts against observations give the commands that are missing.
//! 7. One batch configures the pod side and looks at it; the plan must be empty now.
//! 8. [`cni::result`]: what was seen is the result.
//!
//! Imports go leftwards only: types (`sanitize`, `table`, `ip`, `nft`, `cni`) → core (`config`, `select`, `lease`, `plan`,
//! `deed`) → io (`session`, `exec`, `outlet`, `journal`, `kube`, `peers`, `store`, `conflist`) → verbs (`ops`, `route_table`, `ctl`) → programs (`cni::serve`,
//! the programs).

// A line that cannot be written would end the program: `outlet` writes.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod cni;
pub mod config;
pub mod conflist;
pub mod ctl;
pub mod deed;
pub mod exec;
pub mod ip;
pub mod journal;
pub mod kube;
pub mod lease;
pub mod nft;
pub mod ops;
pub mod outlet;
pub mod peers;
pub mod plan;
pub mod route_table;
pub mod sanitize;
pub mod select;
pub mod session;
pub mod store;
pub mod table;
