//! What an ADD would run: the same facts against the same look, with stand-ins for what the IPAM would say.

use std::path::Path;

use ipnetwork::IpNetwork;

use super::script::{Script, Variable};
use crate::cni::result::Ip;
use crate::cni::{Args, CniError, CniResult, Code};
use crate::config::hosts::mac_of;
use crate::config::{Config, MacChoice, Network};
use crate::ctl::args::PlanAdd;
use crate::ctl::look::{no_journal, session};
use crate::ctl::node::Node;
use crate::exec::System;
use crate::ip::{Family, IfName, Netns};
use crate::lease;
use crate::ops::add::with_annotations;
use crate::ops::status::clash;
use crate::ops::{attached_already, namespace_inode};
use crate::plan::container::{self, Container};
use crate::plan::{self, Fact, Observed, Probe, Read, Side, anycast, host, underlay};
use crate::sanitize::printable;
use crate::select::{Selection, select};
use crate::session::{Session, refuse_foreign};
use crate::store::Found;

/// The name of a namespace that is not known yet.
const POD: &str = "POD";

/// What an ADD would run.
///
/// # Errors
/// What an ADD would refuse.
pub fn script(system: &System, node: &Node, options: &PlanAdd) -> Result<Script, CniError> {
    let args = Args::parse(options.args.as_deref().unwrap_or_default())?;
    let config = with_annotations(Config::read(&node.raw)?, system, &args)?;
    let config = choosing(config, options.network.as_deref())?;
    let selection = select(&config, &args)?;
    let ifname = IfName::new(options.interface())
        .map_err(|error| CniError::new(Code::INVALID_ENVIRONMENT, format!("--ifname: {error}")))?;
    refuse_second(node, options)?;
    let pod = netns(options)?;
    let journal = no_journal();
    let session = Session {
        pod: &pod,
        ..session(system, &journal)
    };
    if options.netns.is_some() {
        refuse_taken(&session, &ifname)?;
    }
    let stand_in = StandIn::of(&selection);
    let mut script = Script::with(stand_in.variables(&selection, options));
    head(&mut script, &config, &selection, options);
    let seen = host_side(&session, selection.network, &ifname, &mut script)?;
    let container = options.container.as_deref().unwrap_or(POD);
    let names = Names {
        made_as: container::made_as(container, &ifname, &seen),
        ifname,
    };
    container_side(&mut script, &selection, names, &stand_in, &seen, &pod)?;
    Ok(script)
}

/// The configuration for which a network is chosen already.
fn choosing(mut config: Config, network: Option<&str>) -> Result<Config, CniError> {
    let Some(name) = network else {
        return Ok(config);
    };
    if config.network(name).is_none() {
        let msg = format!("there is no network `{}` in vxlans", printable(name));
        let known: Vec<&str> = config
            .networks
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        return Err(CniError::new(Code::INVALID_CONFIGURATION, msg)
            .details(format!("there are {}", known.join(", "))));
    }
    // The first source of all.
    let key = config.keys.network.clone();
    config.args_annotations.retain(|(known, _)| *known != key);
    config.args_annotations.push((key, name.to_owned()));
    Ok(config)
}

/// A container that is attached gets no second ADD.
fn refuse_second(node: &Node, options: &PlanAdd) -> Result<(), CniError> {
    let Some(container) = &options.container else {
        return Ok(());
    };
    match node.store.find(container, options.interface())? {
        Some(Found::Whole(old)) if !old.is_of_an_earlier_boot() => {
            let next = format!("since {}; `vxlan plan del {}`", old.since, old.id());
            Err(attached_already(&old, next))
        }
        _ => Ok(()),
    }
}

fn netns(options: &PlanAdd) -> Result<Netns, CniError> {
    let Some(path) = &options.netns else {
        return Ok(Netns::Named(POD.to_owned()));
    };
    if namespace_inode(Path::new(path)).is_none() {
        let msg = format!("--netns `{}` is no network namespace", printable(path));
        return Err(CniError::new(Code::UNKNOWN_CONTAINER, msg).details("ls -l it"));
    }
    Netns::from_path(path)
        .map_err(|error| CniError::new(Code::INVALID_ENVIRONMENT, format!("--netns: {error}")))
}

fn refuse_taken(session: &Session<'_>, ifname: &IfName) -> Result<(), CniError> {
    let read = Read::Addr(Side::Pod, ifname.clone());
    let shown = read.command().shown_in(session.pod);
    match session.observe(vec![read])?.link(Side::Pod, ifname) {
        None => Ok(()),
        Some(_) => {
            let msg = format!("the container has an interface {ifname} already");
            Err(CniError::new(Code::INVALID_ENVIRONMENT, msg)
                .details(format!("see it with `{shown}`")))
        }
    }
}

/// What stands for the lease: the addresses asked for, or one of each pool.
struct StandIn {
    lease: CniResult,
}

impl StandIn {
    fn of(selection: &Selection<'_>) -> Self {
        let network = selection.network;
        let of = |cidr: &IpNetwork| {
            let asked = selection
                .addresses
                .iter()
                .find(|one| Family::of(one.ip()) == Family::of(cidr.ip()));
            let (first, last) = network.pool(*cidr)?;
            let free = if last == cidr.ip() { first } else { last };
            asked
                .copied()
                .or_else(|| IpNetwork::new(free, cidr.prefix()).ok())
        };
        let ip = |address| Ip {
            address,
            gateway: None,
            interface: None,
        };
        let lease = CniResult {
            ips: network.cidrs.iter().filter_map(of).map(ip).collect(),
            ..CniResult::default()
        };
        Self { lease }
    }

    /// Variables for the words that only the IPAM and the runtime know.
    fn variables(&self, selection: &Selection<'_>, options: &PlanAdd) -> Vec<Variable> {
        let variable = |name, word, what| Variable { name, word, what };
        let mut variables = Vec::new();
        if options.netns.is_none() {
            let what = "the name of the namespace, below /var/run/netns";
            variables.push(variable("POD", POD.to_owned(), what));
        }
        for ip in &self.lease.ips {
            let (name, what) = match Family::of(ip.address.ip()) {
                Family::V4 => (
                    "ADDRESS4",
                    "the IPv4 address that the IPAM gives, with its length",
                ),
                Family::V6 => (
                    "ADDRESS6",
                    "the IPv6 address that the IPAM gives, with its length",
                ),
            };
            if !selection.addresses.contains(&ip.address) {
                variables.push(variable(name, ip.address.to_string(), what));
            }
        }
        let first = self.lease.ips.first();
        let asked = first.is_some_and(|ip| selection.addresses.contains(&ip.address));
        let derived = self
            .lease
            .ips
            .first()
            .and_then(|ip| mac_of(ip.address.ip()));
        let by_ip = selection.mac.is_none() && selection.network.mac == MacChoice::Ip;
        if let Some(mac) = derived.filter(|_| by_ip && !asked) {
            variables.push(variable("MAC", mac.to_string(), "a MAC for the interface"));
        }
        variables
    }
}

fn head(script: &mut Script, config: &Config, selection: &Selection<'_>, options: &PlanAdd) {
    let network = selection.network;
    let of = match &options.container {
        Some(container) => format!("{}/{}", printable(container), options.interface()),
        None => format!("any container's {}", options.interface()),
    };
    script.remark(format!(
        "what an ADD of {of} to network \"{}\" would run on this node now ({})",
        network.name,
        options
            .network
            .as_ref()
            .map_or(selection.because.as_str(), |_| "--network")
    ));
    let ipam = lease::ipam(config.ipam.as_ref(), network);
    let name = ipam["type"].as_str().unwrap_or_default();
    script.remark(format!(
        "beside it the IPAM plugin `{}` gives the address, and the attachment is recorded in {}",
        printable(name),
        config.data_dir.join(&network.name).display()
    ));
}

/// The host side: only what is missing.
fn host_side(
    session: &Session<'_>,
    network: &Network,
    ifname: &IfName,
    script: &mut Script,
) -> Result<Observed, CniError> {
    let mut reads = host::reads(network, Probe::List);
    reads.push(Read::Vxlans);
    reads.push(container::namesake(ifname));
    reads.extend(underlay::overlap_reads(network));
    let seen = session.observe_host(network, reads)?;
    let facts = host::facts(network, &seen)?;
    underlay::check_before_joining(network, &seen)?;
    refuse_foreign(network, &facts, &seen)?;
    if seen.link(Side::Host, &network.vx).is_none()
        && let Some(fault) = clash(network, &seen)
    {
        return Err(fault);
    }
    script.steps(&plan::plan(&facts, &seen, session.pod), session.pod);
    Ok(seen)
}

/// The name of the container's interface, and the one it is made under.
struct Names {
    ifname: IfName,
    made_as: IfName,
}

/// The pod side, from nothing.
fn container_side(
    script: &mut Script,
    selection: &Selection<'_>,
    names: Names,
    stand_in: &StandIn,
    seen: &Observed,
    pod: &Netns,
) -> Result<(), CniError> {
    let mtu = underlay::mtu(selection.network, seen)?;
    let container = Container {
        network: selection.network,
        ifname: names.ifname,
        made_as: names.made_as,
        mtu,
        ipv6: underlay::has_ipv6(seen, mtu),
        mac: selection.mac,
        gateway_mac: anycast::mac(selection.network, seen),
        lease: &stand_in.lease,
    };
    let facts: Vec<Fact> = container.facts();
    script.steps(&plan::plan(&facts, &Observed::default(), pod), pod);
    Ok(())
}
