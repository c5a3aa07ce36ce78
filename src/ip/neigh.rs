//! `ip neigh`: who has an address on a device.

use std::net::IpAddr;

use serde::Deserialize;

use super::command::Command;
use super::name::{IfName, Mac};

/// `ip neigh replace ADDRESS lladdr MAC dev NAME nud permanent`.
pub fn replace(address: IpAddr, mac: Mac, dev: &IfName) -> Command {
    Command::ip(&["neigh", "replace"])
        .word(address)
        .pair("lladdr", mac)
        .pair("dev", dev)
        .pair("nud", "permanent")
}

/// `ip neigh replace ADDRESS dev NAME nud failed`: forgets what was known, without asking.
pub fn forget(address: IpAddr, dev: &IfName) -> Command {
    on(Command::ip(&["neigh", "replace"]), address, dev).pair("nud", "failed")
}

/// `ip neigh replace ADDRESS dev NAME use`: the kernel asks the wire who has it (`NTF_USE`, linux/neighbour.h).
/// Where something is known already it does not ask at once: [`forget`] comes first.
pub fn ask(address: IpAddr, dev: &IfName) -> Command {
    on(Command::ip(&["neigh", "replace"]), address, dev).word("use")
}

/// `ip neigh replace ADDRESS lladdr MAC dev NAME nud probe`: the kernel asks one MAC whether it has the address,
/// by unicast, as soon as its next tick comes. What was known before is overwritten.
pub fn probe(address: IpAddr, mac: Mac, dev: &IfName) -> Command {
    probe_at(address, &mac.to_string(), dev)
}

/// [`ask`] for an `ip` that has no `use` (before 5.16): a [`probe`] of a group's MAC. Everybody in it gets the
/// question: all for IPv4, for IPv6 the address's own group (`33:33` and the last four bytes of the
/// solicited-node address, RFC 4861 and RFC 2464).
///
/// An answer counts over a MAC that was set less than [`LOCKTIME`] ago only where that is 0; an IPv6 answer to
/// such a question names no MAC.
pub fn probe_group(address: IpAddr, dev: &IfName) -> Command {
    let group = match address {
        IpAddr::V4(_) => EVERYBODY.to_owned(),
        IpAddr::V6(address) => {
            let [.., a, b, c] = address.octets();
            format!("33:33:ff:{a:02x}:{b:02x}:{c:02x}")
        }
    };
    probe_at(address, &group, dev)
}

fn probe_at(address: IpAddr, lladdr: &str, dev: &IfName) -> Command {
    Command::ip(&["neigh", "replace"])
        .word(address)
        .pair("lladdr", lladdr)
        .pair("dev", dev)
        .pair("nud", "probe")
}

/// The MAC of everybody.
const EVERYBODY: &str = "ff:ff:ff:ff:ff:ff";

/// The switch of a device for how long a MAC that is known stays whatever else is answered (`arp(7)`).
pub const LOCKTIME: &str = "locktime";

/// Whether a failure says that this `ip` has no word `use` for [`ask`].
pub fn lacks_use(message: &str) -> bool {
    message.contains("\"use\" is a garbage")
}

/// `ADDRESS dev NAME`.
fn on(command: Command, address: IpAddr, dev: &IfName) -> Command {
    command.word(address).pair("dev", dev)
}

/// Whether a failure says that the kernel's table of neighbours is full (`neigh_alloc`, `net/core/neighbour.c`).
/// It ends `ip`, also with `-force`.
pub fn is_full(message: &str) -> bool {
    message.contains("No buffer space available")
}

/// Whether a flush found an entry gone that it had just listed (`flush_update`, `ip/ipneigh.c`): another process removed it.
/// It ends `ip`, also with `-force`.
pub fn was_flushed_meanwhile(message: &str) -> bool {
    message.contains("Failed to send flush request: No such file or directory")
}

/// The switch that bounds the table of neighbours, which all namespaces share. Only the machine's own
/// namespace shows it.
pub const THRESHOLD: &str = "gc_thresh3";

/// `ip neigh flush to ADDRESS dev NAME nud all`: removes what is known of an address. Unlike `ip neigh del` it
/// does not end `ip` where there is nothing to remove.
pub fn flush(address: IpAddr, dev: &IfName) -> Command {
    Command::ip(&["neigh", "flush"])
        .pair("to", address)
        .pair("dev", dev)
        .pair("nud", "all")
}

/// `ip neigh show to ADDRESS dev NAME nud all`: also where a device of that kind asks no host.
pub fn show(address: IpAddr, dev: &IfName) -> Command {
    Command::ip(&["neigh", "show"])
        .pair("to", address)
        .pair("dev", dev)
        .pair("nud", "all")
}

/// `ip neigh show nud permanent`: those that were set by hand, of all devices and both families.
pub fn show_permanent() -> Command {
    Command::ip(&["neigh", "show"]).pair("nud", "permanent")
}

/// What `ip -j neigh show` prints of one neighbour.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NeighRecord {
    /// The address.
    pub dst: IpAddr,
    /// The device; absent where the question named it.
    pub dev: Option<String>,
    /// Its MAC, where it is known.
    pub lladdr: Option<String>,
    /// `REACHABLE`, `FAILED`, ...
    #[serde(default)]
    pub state: Vec<String>,
}

impl NeighRecord {
    /// Whether it was set by hand, and to this MAC.
    pub fn is_fixed_at(&self, mac: Mac) -> bool {
        let is_permanent = self.state.iter().any(|state| state == "PERMANENT");
        is_permanent && self.lladdr.as_deref() == Some(&mac.to_string())
    }

    /// In words: `0a:58:0a:01:00:17 (REACHABLE)`.
    pub fn shown(&self) -> String {
        let at = self.lladdr.as_deref().unwrap_or("no MAC");
        format!("{at} ({})", self.state.join(" "))
    }

    /// Whether it answered a question that was just put.
    pub fn is_reachable(&self) -> bool {
        self.state.iter().any(|state| state == "REACHABLE")
    }

    /// The MAC that was told since it was forgotten: as an answer, or unasked as a container does that
    /// has just come up (`STALE`). What an operator or the kind of the device fixed is no answer, and neither
    /// is what is being asked ([`probe`]); where a group is reachable, there was an answer without a MAC.
    pub fn answered(&self) -> Option<&str> {
        const NONE: [&str; 3] = ["PERMANENT", "NOARP", "PROBE"];
        let is = |name: &str| self.state.iter().any(|state| state == name);
        let mac = self.lladdr.as_deref()?;
        match (NONE.into_iter().any(is), is_group(mac)) {
            (true, _) => None,
            (false, false) => Some(mac),
            (false, true) => is("REACHABLE").then_some("a host that does not tell its MAC"),
        }
    }
}

/// Whether a MAC is a group's: the lowest bit of its first byte is set (IEEE 802).
fn is_group(mac: &str) -> bool {
    let first = mac.split(':').next().unwrap_or_default();
    u8::from_str_radix(first, 16).is_ok_and(|first| first & 1 == 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_being_asked_is_no_answer_until_the_address_is_reachable() {
        for (lladdr, state, answered) in [
            (
                Some("0a:58:0a:01:00:17"),
                "STALE",
                Some("0a:58:0a:01:00:17"),
            ),
            (Some("0a:58:0a:01:00:17"), "PERMANENT", None),
            (Some("0a:58:0a:01:00:17"), "PROBE", None),
            (
                Some("0a:58:0a:01:00:17"),
                "REACHABLE",
                Some("0a:58:0a:01:00:17"),
            ),
            (Some("ff:ff:ff:ff:ff:ff"), "PROBE", None),
            (Some("33:33:ff:00:00:02"), "PROBE", None),
            (
                Some("33:33:ff:00:00:02"),
                "REACHABLE",
                Some("a host that does not tell its MAC"),
            ),
            (None, "FAILED", None),
        ] {
            let record = NeighRecord {
                dst: [10, 1, 0, 9].into(),
                dev: None,
                lladdr: lladdr.map(str::to_owned),
                state: vec![state.to_owned()],
            };
            assert_eq!(record.answered(), answered, "{lladdr:?} {state}");
        }
    }

    #[test]
    fn everybody_is_asked_or_the_addresss_own_group() {
        let dev = "mv_blue".parse().unwrap();
        assert_eq!(
            probe_group("fd10::12:3456".parse().unwrap(), &dev).to_string(),
            "ip neigh replace fd10::12:3456 lladdr 33:33:ff:12:34:56 dev mv_blue nud probe"
        );
    }

    #[test]
    fn an_ip_that_has_no_use_is_known_by_its_words() {
        // iproute2 5.10 and 5.15.
        assert!(lacks_use(
            "Error: either \"to\" is duplicate, or \"use\" is a garbage."
        ));
        assert!(!lacks_use(
            "Error: either \"to\" is duplicate, or \"x\" is a garbage."
        ));
    }
}
