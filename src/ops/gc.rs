//! GC: removes what belongs to no attachment on the runtime's list, and the host side of networks
//! without attachments.

use std::time::SystemTime;

use super::del::take_off;
use super::ipams::ask_ipams;
use super::leave::leave_if_idle;
use super::{all, journal, store};
use crate::cni::attachments::{Listed, NO_LIST, add_valid, valid_attachments};
use crate::cni::{CniError, Request, Verb};
use crate::config::{Config, Network};
use crate::exec::System;
use crate::ip::Netns;
use crate::journal::Journal;
use crate::session::Session;
use crate::store::{Attachment, Found, Store};

/// Removes every attachment of this CNI network that is not on the list, then asks the IPAM to do the same.
///
/// # Errors
/// Code 7 for what is no list, changing nothing; else what could not be removed, after everything was tried.
pub fn gc(system: &System, request: &Request) -> Result<(), CniError> {
    let began = SystemTime::now();
    let config = Config::read_leniently(&request.config);
    let Some(valid) = valid_attachments(&request.config)? else {
        Journal::new(&config.log_file, "GC", "").remark(NO_LIST);
        return Ok(());
    };
    let store = store(&config);
    let mut errors = Vec::new();
    let stale = stale(&store, request, &valid, began)?;
    for (container, ifname) in &stale {
        let one = request.of_attachment(container.clone(), ifname.clone());
        // The lease too: an IPAM may take GC and do nothing, as host-local does.
        errors.extend(take_off(system, &config, &store, &one).err());
    }
    let stays = unlisted(&store, request, &valid)?.into_iter();
    let stays = stays.map(|record| key(&record));
    let request = &with_more(request, stays.filter(|key| !stale.contains(key)));
    let refused = ask_ipams(system, &config, request, Verb::Gc).into_iter();
    errors.extend(refused.map(|(_, error)| error));
    let idle = |network| leave_idle(system, &config, &store, request, network).err();
    let may_go = config.networks.iter();
    let may_go = may_go.filter(|network| !network.is_always());
    errors.extend(may_go.filter_map(idle));
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

/// The attachments to be removed. One that an ADD is at work on is too young for the list, and so is one whose ADD has ended
/// only since this GC began.
fn stale(
    store: &Store,
    request: &Request,
    valid: &Listed,
    began: SystemTime,
) -> Result<Vec<(String, String)>, CniError> {
    let unlisted = unlisted(store, request, valid)?.into_iter();
    Ok(unlisted
        .filter(|record| !store.is_young(record, began))
        .map(|record| key(&record))
        .collect())
}

/// The recorded attachments of this CNI network that are not on the list. What cannot be read is left:
/// its owner is unknown, and a DEL of its container removes it.
fn unlisted(store: &Store, request: &Request, valid: &Listed) -> Result<Vec<Attachment>, CniError> {
    let mut unlisted = Vec::new();
    for network in store.networks()? {
        let found = store.attachments(&network)?.into_iter();
        unlisted.extend(found.filter_map(|(_, found)| match found {
            Found::Whole(record)
                if record.name == request.name && !valid.contains(&key(&record)) =>
            {
                Some(*record)
            }
            _ => None,
        }));
    }
    Ok(unlisted)
}

fn key(record: &Attachment) -> (String, String) {
    (record.container.clone(), record.ifname.to_string())
}

/// The request with more on the runtime's list: what stays keeps its lease.
fn with_more(request: &Request, more: impl Iterator<Item = (String, String)>) -> Request {
    let mut request = request.clone();
    add_valid(&mut request.config, more);
    request
}
