//! GC: removes what belongs to no attachment on the runtime's list, and the host side of networks
//! without attachments.

use super::del::take_off;
use super::ipams::ask_ipams;
use super::leave::leave_if_idle;
use super::{all, journal, store};
use crate::cni::attachments::{Listed, NO_LIST, valid_attachments};
use crate::cni::{CniError, Request, Verb};
use crate::config::{Config, Network};
use crate::exec::System;
use crate::ip::Netns;
use crate::journal::Journal;
use crate::session::Session;
use crate::store::{Found, Store};

/// Removes every attachment of this CNI network that is not on the list, then asks the IPAM to do the same.
///
/// # Errors
/// Code 7 for what is no list, changing nothing; else what could not be removed, after everything was tried.
pub fn gc(system: &System, request: &Request) -> Result<(), CniError> {
    let config = Config::read_leniently(&request.config);
    let Some(valid) = valid_attachments(&request.config)? else {
        Journal::new(&config.log_file, "GC", "").remark(NO_LIST);
        return Ok(());
    };
    let store = store(&config);
    let mut errors = Vec::new();
    for (container, ifname) in stale(&store, request, &valid)? {
        let one = request.of_attachment(container, ifname);
        // The lease too: an IPAM may take GC and do nothing, as host-local does.
        errors.extend(take_off(system, &config, &store, &one).err());
    }
    let refused = ask_ipams(system, &config, request, Verb::Gc).into_iter();
    errors.extend(refused.map(|(_, error)| error));
    let idle = |network| leave_idle(system, &config, &store, request, network).err();
    errors.extend(config.networks.iter().filter_map(idle));
    all(errors)
}

/// Leaves a network without attachments.
fn leave_idle(
    system: &System,
    config: &Config,
    store: &Store,
    request: &Request,
    network: &Network,
) -> Result<(), CniError> {
    let journal = journal(&config.log_file, request, &network.name, "");
    let session = Session::new(system, &journal, &Netns::Own);
    leave_if_idle(&session, store, network)
}

/// The recorded attachments of this CNI network that are not on the list. What cannot be read is left:
/// its owner is unknown, and a DEL of its container removes it. One that an ADD is at work on
/// is too young for the list.
fn stale(
    store: &Store,
    request: &Request,
    valid: &Listed,
) -> Result<Vec<(String, String)>, CniError> {
    let mut stale = Vec::new();
    for network in store.networks()? {
        for (_, found) in store.attachments(&network)? {
            let Found::Whole(record) = found else {
                continue;
            };
            let key = (record.container.clone(), record.ifname.to_string());
            let unlisted = record.name == request.name && !valid.contains(&key);
            if unlisted && !store.is_under_way(&record) {
                stale.push(key);
            }
        }
    }
    Ok(stale)
}
