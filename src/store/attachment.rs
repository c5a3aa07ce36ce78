//! The record of one attachment, and how it is read back.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::StoreError;
use crate::cni::CniResult;
use crate::config::Common;
use crate::ip::{IfName, Mac, TableId};

/// The layout of a record; a later one is not guessed at. `deploy/record-format` says the same to `scripts/install`.
const FORMAT: u32 = 1;

/// What is known of one interface of one container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attachment {
    /// Layout of the record.
    pub format: u32,
    /// Name of the CNI network, which is the configuration's.
    pub name: String,
    /// `CNI_CONTAINERID`.
    pub container: String,
    /// `CNI_IFNAME`.
    pub ifname: IfName,
    /// `CNI_NETNS`, verbatim.
    pub netns: String,
    /// The namespace's inode; another one at the same path is another container's.
    pub inode: u64,
    /// `NAMESPACE/NAME` of the pod, where the runtime told.
    pub pod: Option<String>,
    /// The network's name.
    pub network: String,
    /// What chose it.
    pub because: String,
    /// The boot in which it was made (`/proc/sys/kernel/random/boot_id`).
    pub boot: String,
    /// When, RFC 3339.
    pub since: String,
    /// The same by the time since that boot, in milliseconds, which is never set back; 0 where it is unknown.
    #[serde(default)]
    pub uptime: u64,
    /// Where ADD ran: from elsewhere its paths and processes may not be seen.
    #[serde(default)]
    pub seen_from: SeenFrom,
    /// The network's object in `vxlans` as it was then: DEL needs no configuration.
    pub definition: Value,
    /// Table of the bypass routes.
    pub table: TableId,
    /// `pref` of the bypass rules.
    pub pref: u32,
    /// Whether the packet filter guards the network; records of before it could tell have none.
    #[serde(default)]
    pub guard: bool,
    /// The UDP ports to which no pod may send; records of before it could tell have none but the network's own.
    #[serde(default)]
    pub ports: Vec<u16>,
    /// The subnets of all networks of the configuration; records of before it could tell have none but its own.
    #[serde(default)]
    pub cidrs: Vec<IpNetwork>,
    /// The IPAM's part of the configuration it was given.
    pub ipam: Value,
    /// MAC asked for.
    pub mac: Option<Mac>,
    /// What the IPAM gave; none while that is not known.
    pub lease: Option<CniResult>,
}

impl Attachment {
    /// The layout that is written.
    pub const FORMAT: u32 = FORMAT;

    /// Whether it tells of an earlier boot. With that went namespace, devices and routes; the numbers it
    /// names, and the names, may be others' by now. Where the kernel does not tell, it is of this one.
    pub fn is_of_an_earlier_boot(&self) -> bool {
        let now = super::boot_id();
        !now.is_empty() && !self.boot.is_empty() && self.boot != now
    }

    /// When, to be compared with others of the same boot: a clock may have been set back between two.
    pub fn moment(&self) -> Moment {
        Moment {
            uptime: self.uptime,
            since: self.since.clone(),
        }
    }

    /// What was the same for all networks when it was made.
    pub fn common(&self) -> Common {
        Common {
            table: self.table,
            pref: self.pref,
            guard: self.guard,
            ports: self.ports.clone(),
            cidrs: self.cidrs.clone(),
        }
    }

    /// `CONTAINER/IFNAME`, as the journal names it.
    pub fn id(&self) -> String {
        format!("{}/{}", self.container, self.ifname)
    }
}

/// The pid and the mount namespace of a process, by their numbers; 0 where they are unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenFrom {
    pid: u64,
    mnt: u64,
}

impl SeenFrom {
    /// This program's own.
    pub fn here() -> Self {
        let number = |name: &str| {
            let seen = std::fs::metadata(format!("/proc/self/ns/{name}"));
            seen.map_or(0, |seen| seen.ino())
        };
        Self {
            pid: number("pid"),
            mnt: number("mnt"),
        }
    }

    /// In which kind of namespace it differs from another.
    pub fn differs(self, other: Self) -> Option<&'static str> {
        let differ = |one, other| one > 0 && other > 0 && one != other;
        match (differ(self.pid, other.pid), differ(self.mnt, other.mnt)) {
            (true, _) => Some("pid"),
            (false, true) => Some("mount"),
            (false, false) => None,
        }
    }
}

/// When an attachment was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moment {
    uptime: u64,
    since: String,
}

impl Moment {
    /// Whether it is later than another of the same boot.
    pub fn is_after(&self, other: &Self) -> bool {
        match self.uptime > 0 && other.uptime > 0 {
            true => self.uptime > other.uptime,
            // RFC 3339 in UTC sorts as text.
            false => self.since > other.since,
        }
    }
}

/// A record as it was found.
#[derive(Debug)]
pub enum Found {
    /// Whole.
    Whole(Box<Attachment>),
    /// Cut short or not ours; the folder still tells the network.
    Damaged {
        /// The network's name.
        network: String,
        /// Why it cannot be read.
        why: StoreError,
    },
}

impl Found {
    /// Whether it may be an attachment of this boot; one that cannot be read may be.
    pub fn is_of_this_boot(&self) -> bool {
        !matches!(self, Self::Whole(record) if record.is_of_an_earlier_boot())
    }
}

/// Reads a record that was found in the folder of a network.
pub(super) fn parse(path: &Path, network: &str, bytes: &[u8]) -> Found {
    let damaged = |why: String| damaged(path, network, why);
    // Of a later layout any other key may have changed, and the record be one of this layout by accident only.
    if let Some(format) = layout(bytes).filter(|format| *format > u64::from(FORMAT)) {
        return Found::Damaged {
            network: network.to_owned(),
            why: StoreError::Newer {
                path: path.to_owned(),
                format,
            },
        };
    }
    match serde_json::from_slice::<Attachment>(bytes) {
        Ok(attachment) if attachment.format != FORMAT => {
            damaged(format!("format is {}, wanted {FORMAT}", attachment.format))
        }
        Ok(attachment) if attachment.network != network => damaged(format!(
            "it speaks of network `{}`",
            crate::sanitize::printable(&attachment.network)
        )),
        // The name is what a DEL looks for; by what is inside a GC would take another's interface away.
        Ok(attachment) if !is_named(path, &attachment) => damaged(format!(
            "it speaks of `{}`",
            crate::sanitize::printable(&attachment.id())
        )),
        Ok(attachment) => Found::Whole(Box::new(attachment)),
        Err(error) => damaged(error.to_string()),
    }
}

/// The layout that a record says it has; none of what is no record.
fn layout(bytes: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Layout {
        format: u64,
    }
    let layout = serde_json::from_slice::<Layout>(bytes).ok()?;
    Some(layout.format)
}

/// A record in the folder of a network that cannot be read.
pub(super) fn damaged(path: &Path, network: &str, why: String) -> Found {
    Found::Damaged {
        network: network.to_owned(),
        why: StoreError::Damaged {
            path: path.to_owned(),
            why,
        },
    }
}

/// Whether a file has the name of what it holds.
fn is_named(path: &Path, attachment: &Attachment) -> bool {
    let name = format!("{}:{}.json", attachment.container, attachment.ifname);
    path.file_name().is_some_and(|found| *found == *name)
}
