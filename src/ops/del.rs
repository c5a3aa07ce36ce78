//! DEL: takes a container off its network, by the record.
//!
//! Creates nothing, never asks for a choice again, tries every step whatever fails before it, and
//! succeeds when there is nothing left to take off. While a step fails the record stays, so that the
//! runtime's next try knows what to do.

mod unrecorded;

use std::path::Path;

use serde_json::Value;

use self::unrecorded::{described, macvlan};
use super::host_side::Latest;
use super::leave::{leave, leave_if_idle};
use super::{all, ending, journal, kept, namespace_inode, store};
use crate::cni::delegate::{Call, Delegate};
use crate::cni::{Args, CniError, Code, Request, Verb};
use crate::config::{Config, Network};
use crate::exec::{self, System};
use crate::ip::{Command, IfName, Mac, Netns, Program, link};
use crate::lease;
use crate::plan::{Read, Side, Verdict, anti_spoof, container};
use crate::select;
use crate::session::Session;
use crate::store::{Attachment, Found, Moment, Store};

/// Takes a container off.
///
/// # Errors
/// What could not be removed or released, after everything was tried.
pub fn del(system: &System, request: &Request) -> Result<(), CniError> {
    let config = Config::read_leniently(&request.config);
    let store = store(&config);
    take_off(system, &config, &store, request)
}

/// Takes one attachment off, as DEL does and GC for each that is stale.
///
/// # Errors
/// As [`del`].
pub fn take_off(
    system: &System,
    config: &Config,
    store: &Store,
    request: &Request,
) -> Result<(), CniError> {
    let _leaving = store.wait_for_add(&request.container, &request.ifname)?;
    let known = Known::find(config, store, request)?;
    let request = &known.with_its_pod(request);
    let name = known
        .network
        .as_ref()
        .map_or("-", |network| network.name.as_str());
    let journal = journal(&config.log_file, request, name, "").of(system);
    let netns = known.netns.clone().unwrap_or(Netns::Own);
    let session = Session::new(system, &journal, &netns);
    let result = known.take_off(&session, store, request);
    if known.recorded.is_none() {
        sweep(config, store, request)?;
    }
    journal.end(&ending(&result));
    result
}

/// Removes what an ADD that was killed before it had written its record has left: files only.
fn sweep(config: &Config, store: &Store, request: &Request) -> Result<(), CniError> {
    store.sweep(&request.container, &request.ifname)?;
    for network in &config.networks {
        store.forget_lock(&network.name);
    }
    store.forget_shared_lock();
    Ok(())
}

/// What is known of the container's interface.
struct Known {
    /// Its network.
    network: Option<Network>,
    /// The network's name, also where nothing else is known of it.
    recorded: Option<String>,
    /// The IPAM's part of the configuration.
    ipam: Option<Value>,
    /// The same as the runtime hands it in, for the same plugin, where that is another: of two of which the recorded one
    /// is refused, it is the corrected one.
    corrected: Option<Value>,
    /// The namespace in which the interface is; none where it is gone with its namespace.
    netns: Option<Netns>,
    /// That namespace's inode.
    inode: Option<u64>,
    /// When it was attached, as the record has it; the first moment without one.
    since: Moment,
    /// Whether its ADD may not have ended, so that its interface may be under its temporary name still.
    incomplete: bool,
    /// Whether its record says that its ADD has not ended.
    was_killed: bool,
    /// Whether it was of an earlier boot, and has gone with that but for its lease and its record.
    of_an_earlier_boot: bool,
    /// Its MAC, where the record tells.
    mac: Option<Mac>,
    /// Its pod as `NAMESPACE/NAME`, where the record tells.
    pod: Option<String>,
    /// Whether the configuration has the node on the network without a container too.
    is_always: bool,
    /// Where there is no record: the networks that it may be on.
    candidates: Vec<Network>,
}

impl Known {
    /// From the record; where there is none, from what the runtime hands in.
    fn find(config: &Config, store: &Store, request: &Request) -> Result<Self, CniError> {
        Ok(match store.find(&request.container, &request.ifname)? {
            Some(Found::Whole(record)) => Self::by_record(config, store, &record),
            Some(Found::Damaged { network, .. }) => Self::by_name(config, request, &network),
            None => Self::by_request(config, request),
        })
    }

    fn by_record(config: &Config, store: &Store, record: &Attachment) -> Self {
        let kept = kept(store, record).ok();
        let path = Path::new(&record.netns);
        // After a boot the same path and number are another namespace's, and clocks may have gone back.
        let of_an_earlier_boot = record.is_of_an_earlier_boot();
        let same = !of_an_earlier_boot && namespace_inode(path) == Some(record.inode);
        let configured = config.network(&record.network);
        let corrected = configured.map(|network| lease::ipam(config.ipam.as_ref(), network));
        Self {
            network: kept.or_else(|| configured.cloned()),
            recorded: Some(record.network.clone()),
            ipam: Some(record.ipam.clone()),
            corrected: corrected
                .filter(|ipam| *ipam != record.ipam && ipam["type"] == record.ipam["type"]),
            netns: Netns::from_path(&record.netns).ok().filter(|_| same),
            inode: Some(record.inode),
            since: record.moment(),
            incomplete: record.lease.is_none(),
            was_killed: record.lease.is_none(),
            of_an_earlier_boot,
            mac: container::mac_of_record(record.mac, &record.definition, record.lease.as_ref()),
            pod: record.pod.clone(),
            is_always: configured.is_some_and(Network::is_always),
            candidates: Vec::new(),
        }
    }

    /// A damaged record still tells the network by its folder.
    fn by_name(config: &Config, request: &Request, name: &str) -> Self {
        let network = config.network(name);
        let ipam = network.map(|network| lease::ipam(config.ipam.as_ref(), network));
        Self {
            network: network.cloned(),
            recorded: Some(name.to_owned()),
            ipam: ipam.or_else(|| Self::any_ipam(config)),
            corrected: None,
            netns: Self::handed_in(request),
            inode: namespace_inode(Path::new(&request.netns)),
            since: Moment::default(),
            incomplete: true,
            was_killed: false,
            of_an_earlier_boot: false,
            mac: None,
            pod: None,
            is_always: network.is_some_and(Network::is_always),
            candidates: Vec::new(),
        }
    }

    fn by_request(config: &Config, request: &Request) -> Self {
        let network = select::network(config, &request.args)
            .ok()
            .map(|(network, _)| network);
        let ipam = network.map(|network| lease::ipam(config.ipam.as_ref(), network));
        Self {
            network: network.cloned(),
            recorded: None,
            ipam: ipam.or_else(|| Self::any_ipam(config)),
            corrected: None,
            netns: Self::handed_in(request),
            inode: namespace_inode(Path::new(&request.netns)),
            since: Moment::default(),
            // The record is written before the link is made.
            incomplete: false,
            was_killed: false,
            of_an_earlier_boot: false,
            mac: None,
            pod: None,
            is_always: network.is_some_and(Network::is_always),
            candidates: config.networks.clone(),
        }
    }

    /// The question as the runtime's DEL puts it, where a GC names no pod: whereabouts releases nothing without one, and
    /// exits 0.
    fn with_its_pod(&self, request: &Request) -> Request {
        let mut request = request.clone();
        let pod = self.pod.as_deref().and_then(|pod| pod.split_once('/'));
        if let Some((namespace, name)) = pod.filter(|_| request.args == Args::default()) {
            let args = format!("IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={name}");
            let others = |(variable, _): &(&str, String)| *variable != "CNI_ARGS";
            request.variables.retain(others);
            request.args = Args::parse(&args).unwrap_or_default();
            request.variables.push(("CNI_ARGS", args));
        }
        request
    }

    /// The IPAM releases by container, whatever the ranges; but some want to see one.
    fn any_ipam(config: &Config) -> Option<Value> {
        let first = config
            .networks
            .first()
            .map(|network| lease::ipam(config.ipam.as_ref(), network));
        first.or_else(|| config.ipam.clone())
    }

    /// The namespace the runtime names, where it is still there.
    fn handed_in(request: &Request) -> Option<Netns> {
        namespace_inode(Path::new(&request.netns))?;
        Netns::from_path(&request.netns).ok()
    }

    /// Releases the lease beside the removal of the link, then leaves the network.
    fn take_off(
        &self,
        session: &Session<'_>,
        store: &Store,
        request: &Request,
    ) -> Result<(), CniError> {
        let started = self.release(session, request, self.ipam.as_ref());
        let mut errors = Vec::new();
        // Before its link goes.
        let unrecorded = self.unrecorded(session, request);
        if self.ipam.as_ref().is_some_and(lease::is_by_the_link) {
            errors.extend(self.released(session, request, started).err());
            errors.extend(self.remove_link(session, store, request, unrecorded).err());
        } else {
            errors.extend(self.remove_link(session, store, request, unrecorded).err());
            errors.extend(self.released(session, request, started).err());
        }
        if errors.is_empty() {
            errors.extend(self.leave(session, store, request, unrecorded).err());
        }
        all(errors)
    }

    /// Starts the IPAM's DEL; always, also when the container is long gone.
    fn release(
        &self,
        session: &Session<'_>,
        request: &Request,
        ipam: Option<&Value>,
    ) -> Result<Option<Call>, CniError> {
        let Some(ipam) = ipam else {
            return Ok(None);
        };
        let plugin = Delegate::find(
            session.exec,
            ipam["type"].as_str().unwrap_or_default(),
            request,
        )?;
        let config = lease::config(&request.config, ipam, &[]);
        plugin.start(session.exec, Verb::Del, &config).map(Some)
    }

    /// Waits for the IPAM's DEL, and asks once more with the corrected configuration where the recorded one is refused.
    fn released(
        &self,
        session: &Session<'_>,
        request: &Request,
        started: Result<Option<Call>, CniError>,
    ) -> Result<(), CniError> {
        let wait = |call: Option<Call>| call.map_or(Ok(None), Call::wait).map(drop);
        match started.and_then(wait) {
            Err(refused) if refused.code != Code::TRY_AGAIN && self.corrected.is_some() => {
                session.remark(&format!("{refused}; as it is configured now:"));
                let again = self.release(session, request, self.corrected.as_ref());
                again
                    .and_then(wait)
                    .map_err(|error| refused.and(&format!("as it is configured now: {error}")))
            }
            released => released,
        }
    }

    /// Removes the container's link, where it is still that container's.
    fn remove_link(
        &self,
        session: &Session<'_>,
        store: &Store,
        request: &Request,
        unrecorded: Option<&Network>,
    ) -> Result<(), CniError> {
        let Ok(ifname) = IfName::new(&request.ifname) else {
            return Ok(());
        };
        let mut names = Vec::new();
        if self.incomplete && self.netns.is_some() {
            let temporary = container::temporary(&request.container, &ifname);
            names.extend(Some(temporary).filter(|name| macvlan(session, name).is_some()));
        }
        names.extend(self.own_name(session, store, request, (&ifname, unrecorded))?);
        let links = names.iter().map(|name| (Side::Pod, link::del(name)));
        let mut removals: Vec<(Side, Command)> = links.collect();
        removals.extend(self.rules(&ifname, !names.is_empty()));
        match session.remove_at_once(removals) {
            left if left.is_empty() => Ok(()),
            left => Err(CniError::new(
                Code::COMMAND_FAILED,
                format!("the container's {ifname} could not be removed: {}", left[0]),
            )),
        }
    }

    /// The name that a pod has given the interface which ADD made: it is known by its MAC, on this network's vxlan.
    fn renamed(&self, session: &Session<'_>) -> Option<IfName> {
        let (mac, network) = (self.mac?.to_string(), self.network.as_ref()?);
        self.recorded.as_ref().and(self.netns.as_ref())?;
        let vx = Read::Link(Side::Host, network.vx.clone());
        let seen = session.observe(vec![Read::Macvlans, vx]).ok()?;
        let parent = seen.link(Side::Host, &network.vx)?.ifindex;
        let mut all = seen.macvlans().iter();
        let own = all.find(|link| {
            let differs = link::macvlan_differences(link, &network.vx, Some(parent));
            link.address == mac && differs.is_empty()
        });
        IfName::new(&own?.ifname).ok()
    }

    /// What takes the rules away of what the interface may send; they stay in the namespace without it.
    fn rules(&self, ifname: &IfName, is_own: bool) -> Option<(Side, Command)> {
        self.network.as_ref().filter(|network| network.anti_spoof)?;
        let can_be = is_own || self.incomplete && self.netns.is_some();
        let has_nft = exec::is_installed(Program::Nft.name());
        (can_be && has_nft).then(|| anti_spoof::removal(ifname))
    }

    /// The name that the container's interface has, while it is still that container's.
    ///
    /// Neither the path nor the inode of a namespace is proof: a runtime reuses the one, the kernel the
    /// other (nsfs gives a new namespace the number of one that has gone). No other attachment may have
    /// this interface, and it must be what ADD made: by the record a macvlan in bridge mode,
    /// without one what the result of ADD describes.
    fn own_name(
        &self,
        session: &Session<'_>,
        store: &Store,
        request: &Request,
        (ifname, unrecorded): (&IfName, Option<&Network>),
    ) -> Result<Option<IfName>, CniError> {
        let (Some(_), Some(inode)) = (&self.netns, self.inode) else {
            return Ok(None);
        };
        if store.is_anothers(inode, &request.container, ifname, &self.since)? {
            let text = format!("{ifname} is left alone: it is another container's by now");
            session.remark(&text);
            return Ok(None);
        }
        let is_its_own = match (&self.recorded, &self.network) {
            (None, _) => unrecorded.is_some() || described(session, request, ifname),
            (Some(_), None) => true,
            (Some(_), Some(network)) => {
                let fact = container::link(network, ifname, ifname);
                // One look: the parent's number, which only the host side tells, is not worth another.
                let seen = session.observe(vec![Read::Addr(Side::Pod, ifname.clone())]);
                // Where nothing can be seen the namespace is going; removing tells.
                seen.map_or(true, |seen| fact.verdict(&seen) == Verdict::Holds)
            }
        };
        Ok(match is_its_own {
            true => Some(ifname.clone()),
            false => self.renamed(session),
        })
    }

    fn leave(
        &self,
        session: &Session<'_>,
        store: &Store,
        request: &Request,
        unrecorded: Option<&Network>,
    ) -> Result<(), CniError> {
        let (container, ifname) = (&request.container, &request.ifname);
        let forget = |name: &str, why: String| {
            session.remark(&why);
            store.remove(name, container, ifname)?;
            store.forget_lock(name);
            Ok(())
        };
        match (&self.network, &self.recorded) {
            // The devices that are there now are of those who came since.
            (_, Some(name)) if self.of_an_earlier_boot => forget(
                name,
                format!(
                    "{} is of an earlier boot: only its lease was left",
                    request.id()
                ),
            ),
            (Some(network), Some(_)) => {
                let latest = match self.was_killed {
                    true => Latest::Too,
                    false => Latest::Stays,
                };
                {
                    let leaving = (container.as_str(), ifname.as_str());
                    leave(session, store, network, leaving, latest, self.is_always)
                }
            }
            (None, Some(name)) => forget(
                name,
                format!("nothing is known of network {name}: its devices are left alone"),
            ),
            // Without a record there was no attachment, or none that is known.
            (_, None) => match unrecorded.or_else(|| self.network_of_result(request)) {
                Some(network) if !network.is_always() => leave_if_idle(session, store, network),
                _ => Ok(()),
            },
        }
    }
}
