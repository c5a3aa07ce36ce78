//! Who answers for what is not its own.
//!
//! A container may answer for every address, or for every beacon, and no address would ever be free. It is told from
//! honest ones by an address that none can have, and by the number of addresses it answers for, and named:
//! by its MAC, and by the container or the node that has it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use super::owners::Owners;
use crate::cni::{CniError, Code};
use crate::config::hosts::mac_of;
use crate::exec::System;
use crate::ip::{IfName, Mac};
use crate::plan::{Read, Side};
use crate::session::Session;
use crate::store::{Found, Store};

/// How many addresses one MAC answers for, and no other is free, until it is taken for a liar: with a few hundred
/// milliseconds for each 64 of them, an ADD ends within a second or so.
const LIES_MOST: usize = 128;

/// How many MACs it is looked up of where they are.
const MACS_MOST: usize = 256;

/// What was answered for in one ADD.
#[derive(Debug, Default)]
pub struct Answers {
    by: BTreeMap<String, (IfName, BTreeSet<IpAddr>)>,
    impossible: Option<(String, IfName, IpAddr)>,
}

impl Answers {
    /// A MAC answers on a device for an address or for a claim on it.
    pub fn note(&mut self, mac: &str, dev: &IfName, address: IpAddr) {
        let of = self.by.entry(mac.to_owned());
        let (_, addresses) = of.or_insert_with(|| (dev.clone(), BTreeSet::new()));
        addresses.insert(address);
    }

    /// A MAC answers for an address that none can have.
    pub fn note_impossible(&mut self, mac: &str, dev: &IfName, address: IpAddr) {
        self.impossible = Some((mac.to_owned(), dev.clone(), address));
    }

    /// The MAC that answers for most, with how many that are.
    fn most(&self) -> Option<(&str, &IfName, usize)> {
        let all = self.by.iter();
        let all = all.map(|(mac, (dev, addresses))| (&**mac, dev, addresses.len()));
        all.max_by_key(|(_, _, count)| *count)
    }

    /// Whether the search has become pointless.
    pub fn tell_of_a_liar(&self) -> bool {
        let many = self.most().is_some_and(|(_, _, count)| count >= LIES_MOST);
        self.impossible.is_some() || many
    }

    /// The error for a liar.
    pub fn error(&self, who: &Whereabouts<'_>) -> CniError {
        let (mac, dev, lie) = match (&self.impossible, self.most()) {
            (Some((mac, dev, address)), _) => (
                &**mac,
                dev,
                format!("also for {address}, which none can have"),
            ),
            (None, Some((mac, dev, count))) => {
                (mac, dev, format!("for all {count} that it was asked about"))
            }
            (None, None) => return CniError::new(Code::TRY_AGAIN, "no address is free"),
        };
        let msg = format!(
            "no address is seen to be free on {dev}: {mac} answers for whatever is asked, {lie}; it is {}",
            who.of(mac, dev)
        );
        CniError::new(Code::TRY_AGAIN, msg).details(
            "remove the container that has this MAC, or what makes it answer (proxy_arp, proxy_ndp); antiSpoof keeps \
             containers from it",
        )
    }

    /// Who answered for most, for an error that has another cause; where each MAC answered for one address, where these
    /// are: what forges a MAC for each is still in one place.
    pub fn shown(&self, who: &Whereabouts<'_>) -> String {
        match self.most() {
            Some((mac, dev, count)) if count > 1 => {
                let of = who.of(mac, dev);
                format!(
                    "{mac} answers on {dev} for {count} of the addresses tried, or claims them; it is {of}"
                )
            }
            Some((_, dev, _)) if self.by.len() > 1 => {
                let places = who.places(self.by.keys().take(MACS_MOST), dev);
                let shown: Vec<String> = places
                    .iter()
                    .map(|(place, count)| format!("{count} {place}"))
                    .collect();
                format!(
                    "{} MACs answer on {dev}, each for one of the addresses tried: {}",
                    self.by.len(),
                    shown.join(", ")
                )
            }
            _ => String::new(),
        }
    }
}

/// An address of the family that none can have: of those reserved for the future, or a random one of a size
/// that no accident finds.
pub fn impossible(is_ipv4: bool) -> IpAddr {
    match is_ipv4 {
        true => Ipv4Addr::from(0xf000_0000 | fastrand::u32(1..0x0fff_fffe)).into(),
        false => Ipv6Addr::from(0xfd << 120 | fastrand::u128(..) >> 8).into(),
    }
}

/// What tells where a MAC is.
pub struct Whereabouts<'a> {
    /// Starts processes, also when the time of the ADD is over.
    pub system: &'a System,
    /// Asks the kernel.
    pub session: &'a Session<'a>,
    /// The folder of the attachments' records, where there is one.
    pub attachments: Option<&'a Path>,
    /// The claims of this node's containers.
    pub owners: Option<&'a Owners>,
}

impl Whereabouts<'_> {
    /// Where a MAC is, in words. What cannot be found out is not told: there is an error to tell already.
    pub fn of(&self, mac: &str, dev: &IfName) -> String {
        let Ok(mac) = mac.parse::<Mac>() else {
            return "not known where".to_owned();
        };
        let here = self.attachment(mac).or_else(|| self.owner(mac));
        let here = here.map(|container| format!("{container} on this node"));
        here.or_else(|| self.vtep(mac, dev)).unwrap_or_else(|| {
            format!("no MAC that a container of this node was given, nor learnt from another node: most likely forged by a container of this node; see `ip -d neigh` and the devices on {dev}'s parent")
        })
    }

    /// Where MACs are that answer on a device, each place with how many of them.
    fn places<'m>(
        &self,
        macs: impl Iterator<Item = &'m String>,
        dev: &IfName,
    ) -> BTreeMap<String, usize> {
        let macs: Vec<Mac> = macs.filter_map(|mac| mac.parse().ok()).collect();
        let vteps = self.vteps(&macs, dev).unwrap_or_default();
        let mut places = BTreeMap::new();
        for mac in macs {
            let place = vteps.get(&mac).map_or_else(
                || "learnt from no other node, so most likely of this one".to_owned(),
                |vtep| behind(*vtep),
            );
            *places.entry(place).or_default() += 1;
        }
        places
    }

    /// The container that has it by a record of the plugin `vxlan`.
    fn attachment(&self, mac: Mac) -> Option<String> {
        let store = Store::new(self.attachments?, Path::new(""));
        let networks = store.networks().ok()?.into_iter();
        let mut all = networks.flat_map(|network| store.attachments(&network).unwrap_or_default());
        all.find_map(|(_, found)| match found {
            Found::Whole(record) => {
                let lease = record.lease.as_ref();
                let first = lease.and_then(|lease| lease.ips.first());
                let derived = first.and_then(|ip| mac_of(ip.address.ip()));
                let pod = record.pod.as_ref().map(|pod| format!("pod {pod}, "));
                let pod = pod.unwrap_or_default();
                (record.mac.or(derived) == Some(mac))
                    .then(|| format!("{pod}container {}", record.id()))
            }
            Found::Damaged { .. } => None,
        })
    }

    /// The container whose claimed address it follows from.
    fn owner(&self, mac: Mac) -> Option<String> {
        let held = self.owners?.claimed().ok()?;
        let held = held
            .into_iter()
            .find(|held| mac_of(held.address) == Some(mac))?;
        Some(held.owner?.shown())
    }

    /// The node that has it.
    fn vtep(&self, mac: Mac, dev: &IfName) -> Option<String> {
        let vteps = self.vteps(&[mac], dev)?;
        vteps.get(&mac).map(|vtep| behind(*vtep))
    }

    /// The nodes that have them, where the device's parent is a vxlan that has learnt them.
    fn vteps(&self, macs: &[Mac], dev: &IfName) -> Option<BTreeMap<Mac, IpAddr>> {
        let link = Read::Link(Side::Host, dev.clone());
        let uninterruptible = self.system.uninterruptible();
        let session = self.session.with(&uninterruptible);
        let seen = session.observe(vec![link]).ok()?;
        let parent = seen.link(Side::Host, dev)?.link.as_deref()?;
        let parent = IfName::new(parent).ok()?;
        let question = |mac: &Mac| Read::Vtep(parent.clone(), *mac);
        let seen = session.observe(macs.iter().map(question).collect()).ok()?;
        let vtep = |mac: &Mac| Some((*mac, seen.vtep(&parent, *mac)?));
        Some(macs.iter().filter_map(vtep).collect())
    }
}

/// Where another node is.
fn behind(vtep: IpAddr) -> String {
    format!("behind {vtep}, another node's address on the underlay")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn many_addresses_of_one_mac_or_one_that_none_can_have_tell_of_a_liar() {
        let dev: IfName = "mv_blue".parse().unwrap();
        let address = |n: u32| IpAddr::from(Ipv4Addr::from(0x0a01_0000 + n));
        let mut answers = Answers::default();
        for n in 0..1000 {
            answers.note(
                &format!("02:00:00:00:{:02x}:{:02x}", n / 100, n % 100),
                &dev,
                address(n),
            );
        }
        assert!(!answers.tell_of_a_liar());
        for n in 0..127 {
            answers.note("02:00:00:00:ff:ff", &dev, address(n));
        }
        assert!(!answers.tell_of_a_liar());
        answers.note("02:00:00:00:ff:ff", &dev, address(127));
        assert!(answers.tell_of_a_liar());
        let mut answers = Answers::default();
        answers.note_impossible("02:00:00:00:ff:ff", &dev, impossible(true));
        assert!(answers.tell_of_a_liar());
    }

    #[test]
    fn an_impossible_address_is_reserved_or_a_random_one() {
        for _ in 0..100 {
            let IpAddr::V4(v4) = impossible(true) else {
                panic!()
            };
            assert!(v4.octets()[0] >= 240 && !v4.is_broadcast(), "{v4}");
            let IpAddr::V6(v6) = impossible(false) else {
                panic!()
            };
            assert_eq!(v6.octets()[0], 0xfd);
        }
        assert_ne!(impossible(false), impossible(false));
    }
}
