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
/// keeps any.
///
/// # Errors
/// When the records cannot be listed.
pub fn leased(ipam: &Ipam) -> Result<Vec<(IpAddr, Attachment)>, CniError> {
    let Some(folder) = &ipam.attachments else {
        return Ok(Vec::new());
    };
    let store = Store::new(folder, Path::new(""));
    let mut leased = Vec::new();
    for network in store.networks()? {
        for (_, found) in store.attachments(&network)? {
            let Found::Whole(record) = found else {
                continue;
            };
            let ours = record.ipam["type"] == "route-table" && !record.is_of_an_earlier_boot();
            let ips = record.lease.iter().flat_map(|lease| &lease.ips);
            let ips = ips.map(|ip| ip.address.ip()).filter(|_| ours);
            let of_pool =
                |address: &IpAddr| ipam.pools.iter().any(|pool| pool.range(*address).is_some());
            leased.extend(ips.filter(of_pool).map(|ip| (ip, (*record).clone())));
        }
    }
    Ok(leased)
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
/// When the records cannot be listed.
pub fn held_by(
    ipam: &Ipam,
    owners: &Owners,
    container: &str,
    ifname: &str,
) -> Result<Vec<Held>, CniError> {
    let mut held = Vec::new();
    for (address, record) in leased(ipam)? {
        let its = record.container == container && record.ifname.as_str() == ifname;
        if its && !owners.is_recorded(address) {
            let owner = None;
            held.push(Held { address, owner });
        }
    }
    Ok(held)
}
