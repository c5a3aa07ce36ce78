//! The request of an ADD that is only planned, with substitutes for the words of the runtime and the IPAM.

use std::path::Path;

use ipnetwork::IpNetwork;

use super::script::{Script, Variable};
use crate::cni::result::Ip;
use crate::cni::{Args, CniError, CniResult, Code, Request, Verb};
use crate::config::hosts::mac_of;
use crate::config::{Config, MacChoice, Network};
use crate::ctl::args::PlanAdd;
use crate::ctl::look::{no_journal, session};
use crate::ctl::node::Node;
use crate::exec::{DryRun, System};
use crate::ip::{Family, IfName};
use crate::lease;
use crate::ops::add::{join, with_annotations};
use crate::ops::namespace_inode;
use crate::ops::status::clash;
use crate::plan::{Read, Side};
use crate::sanitize::printable;
use crate::select::{Selection, select};

/// The name of a namespace that is not known yet, and the id of its container.
const POD: &str = "POD";

/// What an ADD would run.
///
/// # Errors
/// What an ADD would refuse.
pub fn script(node: &Node, options: &PlanAdd) -> Result<Script, CniError> {
    let system = System::until_sigterm();
    let args = Args::parse(options.args.as_deref().unwrap_or_default())?;
    let config = with_annotations(Config::read(&node.raw)?, &system, &args)?;
    let config = choosing(config, options.network.as_deref())?;
    let selection = select(&config, &args)?;
    let request = request(node, options)?;
    refuse_clash(&system, selection.network)?;
    let lease = stand_in(&selection);
    let told = lease.to_json(request.version);
    let told = told.map_err(|error| CniError::new(Code::INTERNAL, error.to_string()))?;
    let dry = DryRun::default().leasing(told);
    let dry = match &options.netns {
        Some(_) => dry,
        None => dry.without_pod(),
    };
    head(&dry, &config, &selection, options);
    tell_of_rules(&dry, &lease, &selection);
    join(
        &System::only_reading(dry.clone()),
        &request,
        &config,
        &selection,
    )?;
    Ok(Script::of(
        dry.lines(),
        variables(&lease, &selection, options),
    ))
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

/// The question that a runtime's ADD would be.
fn request(node: &Node, options: &PlanAdd) -> Result<Request, CniError> {
    IfName::new(options.interface())
        .map_err(|error| CniError::new(Code::INVALID_ENVIRONMENT, format!("--ifname: {error}")))?;
    if let Some(path) = &options.netns
        && namespace_inode(Path::new(path)).is_none()
    {
        let msg = format!("--netns `{}` is no network namespace", printable(path));
        return Err(CniError::new(Code::UNKNOWN_CONTAINER, msg).details("ls -l it"));
    }
    let netns = options.netns.clone();
    let variables = [
        (
            "CNI_CONTAINERID",
            options.container.as_deref().unwrap_or(POD).to_owned(),
        ),
        ("CNI_IFNAME", options.interface().to_owned()),
        (
            "CNI_NETNS",
            netns.unwrap_or_else(|| format!("/var/run/netns/{POD}")),
        ),
        ("CNI_ARGS", options.args.clone().unwrap_or_default()),
    ];
    let set = |(name, value): (&str, String)| (name.to_owned(), value);
    let env = variables.map(set).into();
    Request::read(Verb::Add, &env, node.raw.to_string().as_bytes())
}

/// Refuses a vxlan that the kernel would refuse.
fn refuse_clash(system: &System, network: &Network) -> Result<(), CniError> {
    let journal = no_journal();
    let own = Read::Link(Side::Host, network.vx.clone());
    let seen = session(system, &journal).observe(vec![own, Read::Vxlans])?;
    let is_there = seen.link(Side::Host, &network.vx).is_some();
    let fault = clash(network, &seen).filter(|_| !is_there);
    fault.map_or(Ok(()), Err)
}

/// What stands for the lease: the addresses asked for, or one of each pool.
fn stand_in(selection: &Selection<'_>) -> CniResult {
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
    CniResult {
        ips: network.cidrs.iter().filter_map(of).map(ip).collect(),
        ..CniResult::default()
    }
}

/// Variables for the words that only the IPAM and the runtime know.
fn variables(lease: &CniResult, selection: &Selection<'_>, options: &PlanAdd) -> Vec<Variable> {
    let variable = |name, word, what| Variable { name, word, what };
    let mut variables = Vec::new();
    if options.netns.is_none() {
        let what = "the name of the namespace, below /var/run/netns";
        variables.push(variable("POD", POD.to_owned(), what));
    }
    if selection.network.anti_spoof {
        // Its rules name addresses and MAC in forms that no shell makes of them.
        return variables;
    }
    let given = lease.ips.iter();
    let given = given.filter(|ip| !selection.addresses.contains(&ip.address));
    variables.extend(given.map(|ip| {
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
        variable(name, ip.address.to_string(), what)
    }));
    let by_ip = selection.mac.is_none() && selection.network.mac == MacChoice::Ip;
    let first = lease.ips.first().filter(|_| by_ip);
    let first = first.filter(|ip| !selection.addresses.contains(&ip.address));
    let mac = first.and_then(|ip| mac_of(ip.address.ip()));
    variables.extend(mac.map(|mac| variable("MAC", mac.to_string(), "a MAC for the interface")));
    variables
}

/// Where the rules of `antiSpoof` name addresses that the IPAM is still to give.
fn tell_of_rules(dry: &DryRun, lease: &CniResult, selection: &Selection<'_>) {
    let given = lease.ips.iter().map(|ip| ip.address);
    let given = given.filter(|address| !selection.addresses.contains(address));
    let given: Vec<String> = given.map(|address| address.to_string()).collect();
    if selection.network.anti_spoof && !given.is_empty() {
        dry.remark(&format!(
            "antiSpoof names the addresses: here they are {}; for others, plan with --args IP=ADDRESS",
            given.join(" and ")
        ));
    }
}

fn head(dry: &DryRun, config: &Config, selection: &Selection<'_>, options: &PlanAdd) {
    let network = selection.network;
    let of = match &options.container {
        Some(container) => format!("{}/{}", printable(container), options.interface()),
        None => format!("any container's {}", options.interface()),
    };
    let because = match &options.network {
        Some(_) => "--network",
        None => &selection.because,
    };
    dry.remark(&format!(
        "what an ADD of {of} to network \"{}\" would run on this node now ({because})",
        network.name,
    ));
    let ipam = lease::ipam(config.ipam.as_ref(), network);
    let name = ipam["type"].as_str().unwrap_or_default();
    dry.remark(&format!(
        "beside it the IPAM plugin `{}` gives the address, and the attachment is recorded in {}",
        printable(name),
        config.data_dir.join(&network.name).display()
    ));
}
