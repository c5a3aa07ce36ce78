//! The verbs of CNI, each a straight line over facts, hands and records.

pub mod add;
pub mod check;
pub mod del;
pub mod facts;
pub mod gc;
pub mod guard;
pub mod host_side;
pub mod ipams;
pub mod leave;
pub mod peers;
pub mod status;

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::Value;

use crate::cni::result::ResultError;
use crate::cni::{CniError, CniResult, Code, Plugin, Request, Verb};
use crate::config::{Config, Network, kept_network};
use crate::exec::{Exec, System};
use crate::ip::Netns;
use crate::journal::Journal;
use crate::plan::underlay::HostError;
use crate::sanitize::printable;
use crate::store::{Attachment, Store};

/// The plugin `vxlan`.
#[derive(Debug, Default)]
pub struct Vxlan;

impl Plugin for Vxlan {
    fn add(&self, request: &Request) -> Result<CniResult, CniError> {
        add::add(&System::until_sigterm(), request)
    }

    fn del(&self, request: &Request) -> Result<(), CniError> {
        // Taking away is carried through: a runtime that ends it half-way would only have to ask again.
        del::del(&System::through_sigterm(), request)
    }

    fn check(&self, request: &Request) -> Result<(), CniError> {
        check::check(&System::until_sigterm(), request)
    }

    fn gc(&self, request: &Request) -> Result<(), CniError> {
        gc::gc(&System::through_sigterm(), request)
    }

    fn status(&self, request: &Request) -> Result<(), CniError> {
        status::status(&System::until_sigterm(), request)
    }
}

/// The network that a record keeps, with the guard as it was last made on this node, whichever configuration made it.
///
/// # Errors
/// As [`kept_network`].
pub fn kept(store: &Store, record: &Attachment) -> Result<Network, CniError> {
    let network = kept_network(&record.definition, &record.common())?;
    Ok(store.with_noted_peers(guarded_as_now(store, network)))
}

/// A network with what its guard was last made from.
fn guarded_as_now(store: &Store, network: Network) -> Network {
    match store.filter(&network.name) {
        Some(filter) => Network { filter, ..network },
        None => network,
    }
}

/// The container's namespace, looked at before anything is done.
#[derive(Debug, Clone)]
pub struct Sandbox {
    /// How commands address it.
    pub netns: Netns,
    /// Its inode.
    pub inode: u64,
}

impl Sandbox {
    /// Looks at `CNI_NETNS`; of a pod that a dry run is to do without there is no more than the name.
    ///
    /// # Errors
    /// Code 4 for a path that cannot be used, 3 for one that is not there, 8 for this program's own.
    pub fn of(exec: &dyn Exec, request: &Request) -> Result<Self, CniError> {
        let path = &request.netns;
        let netns = Netns::from_path(path).map_err(|error| {
            CniError::new(Code::INVALID_ENVIRONMENT, format!("CNI_NETNS: {error}"))
        })?;
        if exec.dry_run().is_some_and(|dry| !dry.has_pod()) {
            let inode = NO_INODE;
            return Ok(Self { netns, inode });
        }
        let shown = printable(path);
        let inode = namespace_inode(Path::new(path)).ok_or_else(|| {
            CniError::new(
                Code::UNKNOWN_CONTAINER,
                format!("CNI_NETNS `{shown}` is no network namespace"),
            )
            .details("the container is gone, or the path is wrong: ls -l it")
        })?;
        if !request.own_netns_allowed
            && namespace_inode(Path::new("/proc/self/ns/net")) == Some(inode)
        {
            let msg = format!("CNI_NETNS `{shown}` is the plugin's own network namespace");
            return Err(CniError::new(Code::OWN_NETNS, msg)
                .details("set CNI_NETNS_OVERRIDE=1 if that is meant"));
        }
        Ok(Self { netns, inode })
    }
}

/// What no namespace has for an inode.
pub const NO_INODE: u64 = 0;

/// The kind of file system a namespace's file is on (`NSFS_MAGIC`, `linux/magic.h`).
const NSFS: u64 = 0x6e73_6673;

/// The inode of a namespace's file; `None` where there is none. A plain file is none: `ip netns` leaves
/// one when it is ended half-way.
pub fn namespace_inode(path: &Path) -> Option<u64> {
    let kind = rustix::fs::statfs(path).ok()?.f_type;
    let inode = std::fs::metadata(path).ok()?.ino();
    (u64::try_from(kind).ok()? == NSFS).then_some(inode)
}

/// The store of a configuration.
pub fn store(config: &Config) -> Store {
    Store::new(&config.data_dir, &config.run_dir)
}

/// The journal of a verb on an attachment.
pub fn journal(log_file: &Path, request: &Request, network: &str, because: &str) -> Journal {
    let subject = format!("{} {network} {}", request.verb.as_str(), request.id());
    let mut notes = request
        .pod()
        .map(|pod| format!(" pod={pod}"))
        .unwrap_or_default();
    if !because.is_empty() {
        notes += &format!(" because={because}");
    }
    Journal::new(log_file, &subject, &notes)
}

/// The refusal of a second ADD while the first attachment is there.
pub fn attached_already(old: &Attachment, details: String) -> CniError {
    let (id, network) = (old.id(), &old.network);
    let msg = format!("{id} is attached to network \"{network}\" already");
    CniError::new(Code::INVALID_ENVIRONMENT, msg).details(details)
}

/// What an ADD's last line in the journal says.
pub fn outcome(made: &Result<CniResult, CniError>) -> String {
    match made {
        Ok(result) => {
            let addresses: Vec<String> =
                result.ips.iter().map(|ip| ip.address.to_string()).collect();
            format!("ok {}", addresses.join(" "))
        }
        Err(error) => format!("failed {}: {}", error.code.0, error.msg),
    }
}

/// What any other verb's last line says.
pub fn ending(result: &Result<(), CniError>) -> String {
    match result {
        Ok(()) => "ok".to_owned(),
        Err(error) => format!("failed {}: {}", error.code.0, error.msg),
    }
}

/// The result of the plugins before this one, if there were any.
///
/// # Errors
/// Code 6 when it is no result.
pub fn prev_result(request: &Request) -> Result<Option<CniResult>, CniError> {
    match request.config.get("prevResult") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let read = match CniResult::from_json(value, request.version) {
                // What takes off takes what it can: the original tells a link's number there.
                Err(ResultError::Index { .. }) if request.verb == Verb::Del => {
                    CniResult::from_json(&without_indices(value), request.version)
                }
                read => read,
            };
            read.map(Some)
                .map_err(|error| CniError::new(Code::DECODING, format!("prevResult: {error}")))
        }
    }
}

/// A result with addresses that name no interface.
fn without_indices(result: &Value) -> Value {
    let mut result = result.clone();
    let ips = result["ips"].as_array_mut().into_iter().flatten();
    for ip in ips.filter_map(Value::as_object_mut) {
        ip.remove("interface");
    }
    result
}

/// Joins errors into one: the first is told, the others are its details.
pub fn all(errors: Vec<CniError>) -> Result<(), CniError> {
    let mut errors = errors.into_iter();
    match errors.next() {
        None => Ok(()),
        Some(first) => Err(errors.fold(first, |told, other| {
            told.and(&other.msg).and(&other.details)
        })),
    }
}

impl From<HostError> for CniError {
    fn from(error: HostError) -> Self {
        let advice = match &error {
            HostError::NoUnderlay { dev, network } => format!(
                "`ip link show dev {dev}` -> Device \"{dev}\" does not exist. (exit 1); set options.vtepdev of network \
                 \"{network}\" to a device that exists: ip -br link"
            ),
            HostError::MtuTooLarge {
                underlay, overhead, ..
            } => {
                format!(
                    "set mtu to 0 or at most {}, or raise the underlay's",
                    underlay.saturating_sub(*overhead)
                )
            }
            HostError::MtuTooSmall { family, dev, least, overhead, .. } => format!(
                "raise the MTU of {dev} to {}, or leave {family} out of cidr",
                least + overhead
            ),
            HostError::NoIpv6 { .. } => {
                "switch IPv6 on (sysctl -w net.ipv6.conf.all.disable_ipv6=0; the kernel's ipv6.disable=1 takes a \
                 reboot without it), or leave IPv6 out of the network"
                    .to_owned()
            }
            HostError::PeersUnknown { .. } => {
                "`vxlan repair` asks for them; the journal has why an ADD could not".to_owned()
            }
            HostError::Overlap { .. } => {
                "choose a cidr that no device and no gateway of any node is in: ip -br addr; ip route".to_owned()
            }
        };
        Self::new(Code::INVALID_CONFIGURATION, error.to_string()).details(advice)
    }
}
