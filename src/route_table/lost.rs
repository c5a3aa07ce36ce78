//! Owner records that are gone while their attachments live, as where the folder was cleaned: the attachment's own
//! record still tells which address it has, so that its claim is no orphan, and a DEL gives it back.

use std::net::IpAddr;
use std::path::Path;

use super::config::Ipam;
use super::owners::{Held, Owner, Owners};
use crate::cni::CniError;
use crate::ip::route::Route;
use crate::store::{Attachment, Found, Store};

/// The addresses that attachments of this boot have of this IPAM's pools, by their records; none where no plugin of ours
/// keeps any. Reads every record of the node: for the operator's verbs alone.
///
/// # Errors
/// When the records cannot be listed.
pub fn leased(ipam: &Ipam) -> Result<Vec<(IpAddr, Attachment)>, CniError> {
    let Some(store) = attachments(ipam) else {
        return Ok(Vec::new());
    };
    let mut leased = Vec::new();
    for network in store.networks()? {
        for (_, found) in store.attachments(&network)? {
            if let Found::Whole(record) = found {
                let addresses = addresses_of(&record, ipam);
                leased.extend(addresses.map(|address| (address, (*record).clone())));
            }
        }
    }
    Ok(leased)
}

/// The attachments' records, where a plugin of ours keeps them.
fn attachments(ipam: &Ipam) -> Option<Store> {
    let folder = ipam.attachments.as_ref()?;
    Some(Store::new(folder, Path::new("")))
}

/// The addresses of this IPAM's pools that an attachment of this boot has from it.
fn addresses_of(record: &Attachment, ipam: &Ipam) -> impl Iterator<Item = IpAddr> {
    let ours = record.ipam["type"] == "route-table" && !record.is_of_an_earlier_boot();
    let ips = record.lease.iter().flat_map(|lease| &lease.ips);
    let addresses = ips.map(|ip| ip.address.ip()).filter(move |_| ours);
    addresses.filter(|address| ipam.pools.iter().any(|pool| pool.range(*address).is_some()))
}

/// The owner record that an attachment had, with the claim that the table shows.
pub fn owner(attachment: &Attachment, route: Route) -> Owner {
    Owner {
        name: attachment.name.clone(),
        container: attachment.container.clone(),
        ifname: attachment.ifname.to_string(),
        pod: attachment.pod.clone(),
        boot: attachment.boot.clone(),
        since: attachment.since.clone(),
        route,
    }
}

/// What one attachment has without an owner record; nothing that has one, its own or another's.
///
/// # Errors
/// When the attachment's record cannot be looked for.
pub fn held_by(
    ipam: &Ipam,
    owners: &Owners,
    container: &str,
    ifname: &str,
) -> Result<Vec<Held>, CniError> {
    let Some(store) = attachments(ipam) else {
        return Ok(Vec::new());
    };
    let Some(Found::Whole(record)) = store.find(container, ifname)? else {
        return Ok(Vec::new());
    };
    let lost = addresses_of(&record, ipam).filter(|address| !owners.is_recorded(*address));
    let held = lost.map(|address| Held {
        address,
        owner: None,
    });
    Ok(held.collect())
}
