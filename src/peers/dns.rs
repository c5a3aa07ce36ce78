//! Peers behind a DNS name, by the node's own resolver: `/etc/hosts` and all.

use std::net::{IpAddr, ToSocketAddrs};
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::cni::{CniError, Code};

/// The addresses of a name. The resolver has a time of its own; where that is longer, its thread is left alone.
///
/// # Errors
/// Code 11 where it does not answer in time, or says that there are none.
pub fn resolve(name: &str, timeout: Duration) -> Result<Vec<IpAddr>, CniError> {
    let (said, heard) = channel();
    let asked = name.to_owned();
    std::thread::spawn(move || {
        let found = (asked.as_str(), 0).to_socket_addrs();
        // Nothing listens any more where the time is over.
        let _ = said.send(found.map(|all| all.map(|one| one.ip()).collect()));
    });
    let why = match heard.recv_timeout(timeout) {
        Ok(Ok(found)) => return Ok(found),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", timeout.as_secs()),
    };
    let msg = format!("the DNS name {name} cannot be resolved: {why}");
    Err(CniError::new(Code::TRY_AGAIN, msg)
        .details(format!("getent ahosts {name}; cat /etc/resolv.conf")))
}
