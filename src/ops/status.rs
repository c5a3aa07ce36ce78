//! STATUS: whether an ADD can be served. Asked every few seconds: cheap, and without side effects.

use std::path::Path;

use rustix::fs::{Access, access};

use super::converge::Hands;
use super::gc::is_told;
use super::{all, store};
use crate::cni::delegate::Delegate;
use crate::cni::{CniError, Code, Request, Verb};
use crate::config::{Config, Network};
use crate::exec::System;
use crate::ip::Netns;
use crate::journal::Journal;
use crate::lease;
use crate::plan::{Read, Side, host};

/// Tells whether ADD can be served.
///
/// # Errors
/// Code 50 with every reason, 51 where containers that run are cut off too.
pub fn status(system: &System, request: &Request) -> Result<(), CniError> {
    let config = Config::read(&request.config)
        .map_err(|error| CniError::new(Code::NOT_AVAILABLE, error.msg).details(error.details))?;
    let folders = [&config.data_dir, &config.run_dir];
    let mut errors: Vec<CniError> = folders
        .into_iter()
        .filter_map(|dir| unwritable(dir))
        .collect();
    errors.extend(underlays(system, &config).err());
    errors.extend(ask_ipam(system, &config, request).err());
    all(errors)
}

/// Why a folder cannot take a record; `None` when it can.
pub fn unwritable(folder: &Path) -> Option<CniError> {
    let there = folder.ancestors().find(|dir| dir.exists());
    if there.is_some_and(|dir| access(dir, Access::WRITE_OK).is_ok()) {
        return None;
    }
    let msg = format!("{} cannot be written to", folder.display());
    let error = CniError::new(Code::NOT_AVAILABLE, msg);
    Some(error.details("no attachment can be recorded: ls -ld it; df"))
}

/// Each underlay device must be there, up, and large enough; where containers use it already, they are cut off.
fn underlays(system: &System, config: &Config) -> Result<(), CniError> {
    let journal = Journal::new(&config.log_file, "STATUS", "");
    let hands = Hands {
        exec: system,
        journal: &journal,
        pod: &Netns::Own,
    };
    let devices = config
        .networks
        .iter()
        .filter_map(|network| network.options.vxlan.dev.clone());
    let mut reads: Vec<Read> = devices.map(|dev| Read::Link(Side::Host, dev)).collect();
    reads.sort();
    reads.dedup();
    if reads.is_empty() {
        return Ok(());
    }
    let seen = hands.observe(reads)?;
    let store = store(config);
    let used = |network: &Network| {
        store
            .is_used_by_others(&network.name, "", "")
            .unwrap_or(false)
    };
    let fault = |network: &Network| {
        let dev = network.options.vxlan.dev.as_ref()?;
        let why = match (host::mtu(network, &seen), seen.link(Side::Host, dev)) {
            (Err(error), _) => error.to_string(),
            (Ok(_), Some(link)) if !link.flag("UP") => {
                format!(
                    "network \"{}\": the underlay device `{dev}` is down",
                    network.name
                )
            }
            _ => return None,
        };
        let code = if used(network) {
            Code::LIMITED
        } else {
            Code::NOT_AVAILABLE
        };
        Some(
            CniError::new(code, why)
                .details(format!("ip link show dev {dev}; ip link set dev {dev} up")),
        )
    };
    let mut faults: Vec<CniError> = config.networks.iter().filter_map(fault).collect();
    // The graver one is the code that is told.
    faults.sort_by_key(|fault| std::cmp::Reverse(fault.code.0));
    all(faults)
}

/// Forwards STATUS to each IPAM in use.
fn ask_ipam(system: &System, config: &Config, request: &Request) -> Result<(), CniError> {
    let mut asked = Vec::new();
    let mut errors = Vec::new();
    for network in &config.networks {
        let ipam = lease::ipam(config.ipam.as_ref(), network);
        if asked.contains(&ipam) {
            continue;
        }
        let plugin = Delegate::find(ipam["type"].as_str().unwrap_or_default(), request);
        let whole = lease::config(&request.config, &ipam, &[]);
        let said = plugin.and_then(|plugin| plugin.run(system, Verb::Status, &whole));
        errors.extend(said.err().filter(is_told).map(|error| match error.code {
            Code::NOT_AVAILABLE | Code::LIMITED => error,
            _ => CniError {
                code: Code::NOT_AVAILABLE,
                ..error
            },
        }));
        asked.push(ipam);
    }
    all(errors)
}
