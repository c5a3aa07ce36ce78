//! STATUS: whether an ADD can be served. Asked every few seconds: cheap, and without side effects.

use std::path::Path;

use rustix::fs::{Access, access};

use super::ipams::ask_ipams;
use super::{all, peers as peers_of, store};
use crate::cni::{CniError, Code, Request, Verb};
use crate::config::{Config, Network};
use crate::exec::{self, System};
use crate::ip::link::{LinkRecord, vxlan_differences};
use crate::ip::{Netns, Program};
use crate::journal::Journal;
use crate::plan::{Observed, Read, Side, host, peers, underlay};
use crate::session::{Session, as_it_is};

/// Tells whether ADD can be served: for pods that name no network, and for at least one network. A runtime takes the whole
/// node out of service where it is not, so that one network of several is no reason; it is in the journal.
///
/// # Errors
/// Code 50 with every reason, 51 where containers that run are cut off too.
pub fn status(system: &System, request: &Request) -> Result<(), CniError> {
    let mut config = Config::read(&request.config).map_err(unavailable)?;
    let (known, no_peers) = peers_of::for_status(system, &config, &store(&config));
    config.networks = known;
    let config = config;
    let folders = [&config.data_dir, &config.run_dir];
    let mut errors: Vec<CniError> = folders
        .into_iter()
        .filter_map(|dir| unwritable(dir))
        .collect();
    errors.extend(no_guard(&config));
    let no_peers = no_peers.iter();
    let no_peers = no_peers.map(|(name, error)| (name.as_str(), unavailable(error.clone())));
    let mut unserved: Vec<(&str, CniError)> = no_peers.collect();
    match node(system, &config) {
        Ok(faults) => unserved.extend(faults),
        Err(error) => errors.push(unavailable(error)),
    }
    for (networks, error) in ask_ipams(system, &config, request, Verb::Status) {
        let error = unavailable(error);
        unserved.extend(networks.into_iter().map(|name| (name, error.clone())));
    }
    let refused = !errors.is_empty() || takes_the_node_out(&config, &unserved);
    let mut reasons: Vec<CniError> = Vec::new();
    for (_, error) in unserved {
        if !reasons.contains(&error) {
            reasons.push(error);
        }
    }
    if !refused {
        let journal = Journal::new(&config.log_file, "STATUS", "");
        reasons
            .iter()
            .for_each(|error| journal.remark(&format!("{error}; {}", error.details)));
        return Ok(());
    }
    errors.extend(reasons);
    // The graver one is the code of the answer.
    errors.sort_by_key(|error| std::cmp::Reverse(error.code.0));
    all(errors)
}

/// Whether the networks that cannot be joined are the default one, or all.
fn takes_the_node_out(config: &Config, unserved: &[(&str, CniError)]) -> bool {
    let is_unserved = |name: &str| unserved.iter().any(|(network, _)| *network == name);
    let default = config.default_network.as_deref();
    let mut all = config.networks.iter();
    default.is_some_and(is_unserved) || all.all(|network| is_unserved(&network.name))
}

/// Why a folder cannot take a record; `None` when it can.
pub fn unwritable(folder: &Path) -> Option<CniError> {
    let there = folder.ancestors().find(|dir| dir.exists());
    if there.is_some_and(|dir| dir.is_dir() && access(dir, Access::WRITE_OK).is_ok()) {
        return None;
    }
    let msg = format!("{} cannot be written to", folder.display());
    let error = CniError::new(Code::NOT_AVAILABLE, msg);
    Some(error.details("no attachment can be recorded: ls -ld it; df"))
}

/// The host side as far as STATUS looks at it: each underlay device must be there, up, and large
/// enough, and no other device may have a network's VNI and port.
fn node<'a>(system: &System, config: &'a Config) -> Result<Vec<(&'a str, CniError)>, CniError> {
    let journal = Journal::new(&config.log_file, "STATUS", "");
    let session = Session::new(system, &journal, &Netns::Own);
    let seen = session.observe(questions(config))?;
    let store = store(config);
    let mut faults = Vec::new();
    for network in &config.networks {
        let code = match store.is_used_by_others(&network.name, "", "") {
            // Containers use it already: they are cut off.
            Ok(true) => Code::LIMITED,
            _ => Code::NOT_AVAILABLE,
        };
        let found = underlay_fault(network, &seen);
        let found = found.map(|fault| CniError { code, ..fault });
        let not_yet = !seen
            .vxlans()
            .iter()
            .any(|vxlan| vxlan.ifname == network.vx.as_str());
        let overlap = underlay::check_overlap(network, &seen)
            .err()
            .filter(|_| not_yet);
        let overlap = overlap.map(|fault| unavailable(fault.into()));
        let all = found
            .into_iter()
            .chain(overlap)
            .chain(clash(network, &seen))
            .chain(another(network, &seen));
        faults.extend(all.map(|fault| (&*network.name, fault)));
    }
    Ok(faults)
}

/// The guard needs a program that a node may lack.
fn no_guard(config: &Config) -> Option<CniError> {
    let needed = config.networks.iter().any(|network| network.guard);
    let nft = Program::Nft.name();
    if !needed || exec::is_installed(nft) {
        return None;
    }
    let msg = format!("{nft} is not installed, so no network can be guarded");
    let advice = "apt-get install nftables; or set \"guard\": false, where another firewall keeps pods from sending vxlan";
    Some(CniError::new(Code::NOT_AVAILABLE, msg).details(advice))
}

/// What decides whether the networks can be joined: each question has one entry as its answer, but for the
/// vxlan devices, of which a node has few.
fn questions(config: &Config) -> Vec<Read> {
    let networks = config.networks.iter();
    let mut reads: Vec<Read> = networks
        .flat_map(|network| {
            let dev = network.options.vxlan.dev.clone();
            let mut reads = underlay::overlap_lookups(network);
            reads.extend(dev.map(|dev| Read::Link(Side::Host, dev)));
            reads.extend(underlay::ipv6_reads(network));
            reads.extend(peers::own_read(network));
            reads
        })
        .collect();
    reads.push(Read::Vxlans);
    reads.sort();
    reads.dedup();
    reads
}

/// What of the node keeps a network from being joined.
pub fn underlay_fault(network: &Network, seen: &Observed) -> Option<CniError> {
    let refused = underlay::mtu(network, seen).map(|_| ());
    if let Err(error) = refused.and_then(|()| underlay::check_ipv6(network, seen)) {
        return Some(unavailable(error.into()));
    }
    let (said, advice) = underlay::fault(network, seen)?;
    let msg = format!("network \"{}\": {said}", network.name);
    Some(CniError::new(Code::NOT_AVAILABLE, msg).details(advice))
}

/// Another device with the same VNI on the same port: the kernel takes only one.
pub fn clash(network: &Network, seen: &Observed) -> Option<CniError> {
    let wanted = &network.options.vxlan;
    let same = |link: &&LinkRecord| {
        let found = link.data();
        link.ifname != network.vx.as_str()
            && found.id.map(u64::from) == Some(wanted.vni.into())
            && found.port == Some(wanted.dstport)
    };
    let other = &seen.vxlans().iter().find(same)?.ifname;
    let msg = format!(
        "network \"{}\": {other} has VNI {} on port {} already",
        network.name, wanted.vni, wanted.dstport
    );
    let advice = format!(
        "`ip -d link show dev {other}` shows it; give the network another id or options.port, or, when it is in use \
         no longer: ip link del dev {other}"
    );
    Some(CniError::new(Code::NOT_AVAILABLE, msg).details(advice))
}

/// The network's own vxlan, where it is another than the configuration wants: ADD refuses it.
fn another(network: &Network, seen: &Observed) -> Option<CniError> {
    let own = |link: &&LinkRecord| link.ifname == network.vx.as_str();
    let record = seen.vxlans().iter().find(own)?;
    let wanted = host::wanted_vxlan(network, seen);
    let differs = vxlan_differences(record, &wanted);
    let first = differs.first()?;
    let msg = format!("network \"{}\": {}: {first}", network.name, network.vx);
    let error = CniError::new(Code::NOT_AVAILABLE, msg).details(differs.join("; "));
    Some(match as_it_is(network, record, &wanted) {
        Some(told) => error.and(&told),
        None => error.and("correct the configuration"),
    })
}

/// An error as STATUS tells it: the specification has two codes for it, and this is that for "no ADD".
pub fn unavailable(error: CniError) -> CniError {
    match error.code {
        Code::NOT_AVAILABLE | Code::LIMITED => error,
        _ => CniError {
            code: Code::NOT_AVAILABLE,
            ..error
        },
    }
}
