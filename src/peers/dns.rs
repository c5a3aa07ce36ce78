//! Peers behind a DNS name, by the node's own resolver: `/etc/hosts` and all.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::cni::{CniError, Code};
use crate::exec::System;

/// How often a SIGTERM is looked for.
const TICK: Duration = Duration::from_millis(50);

/// The most addresses that musl's resolver tells of a name, however many it has (`MAXADDRS`, src/network/lookup.h).
const MOST: usize = 48;

/// Whether an answer may lack addresses: their nodes would be taken for gone.
fn is_cut(found: &[IpAddr]) -> bool {
    cfg!(target_env = "musl") && found.len() >= MOST
}

/// The addresses of a name. The resolver has a time of its own; where that is longer, its thread is left alone.
///
/// # Errors
/// Code 11 where it does not answer in time, or says that there are none.
pub fn resolve(system: &System, name: &str, timeout: Duration) -> Result<Vec<IpAddr>, CniError> {
    let (said, heard) = channel::<io::Result<Vec<IpAddr>>>();
    let asked = name.to_owned();
    std::thread::spawn(move || {
        let found = (asked.as_str(), 0).to_socket_addrs();
        // Nothing listens any more where the time is over.
        let _ = said.send(found.map(|all| all.map(|one| one.ip()).collect()));
    });
    let end = Instant::now() + timeout;
    let why = loop {
        match heard.recv_timeout(TICK) {
            Ok(Ok(found)) if is_cut(&found) => {
                break format!("it has {MOST} addresses or more, of which no more can be seen");
            }
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(error)) => break error.to_string(),
            Err(_) if system.stop().is_told() => break "told to end (SIGTERM)".to_owned(),
            Err(_) if Instant::now() < end => {}
            Err(_) => break format!("no answer within {} s", timeout.as_secs()),
        }
    };
    let msg = format!("the DNS name {name} cannot be resolved: {why}");
    Err(CniError::new(Code::TRY_AGAIN, msg)
        .details(format!("getent ahosts {name}; cat /etc/resolv.conf")))
}
