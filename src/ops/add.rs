//! ADD: puts a container on a network.
//!
//! In one line: ask the Kubernetes API, if so configured → select → record → lease beside the batch that observes the node and makes the link →
//! configure → observe → result. Whatever fails after the record is written is taken back.

mod ask;
mod link;
mod mac;
mod mtu;
mod record;
mod refuse;
mod take_back;

use ipnetwork::IpNetwork;

pub use self::ask::with_annotations;
use self::link::Birth;
use self::record::attachment;
use super::leave::vanished;
use super::{
    NO_INODE, Sandbox, guard, journal, namespace_inode, outcome, peers, prev_result, store,
};
use crate::cni::delegate::{Call, Delegate};
use crate::cni::result::{Interface, Ip};
use crate::cni::{CniError, CniResult, Code, Request, Verb};
use crate::config::{Config, Filter, Network};
use crate::exec::{Exec, System};
use crate::ip::{Family, IfName, Mac, Program};
use crate::journal::Journal;
use crate::lease;
use crate::nft::Table;
use crate::plan::container::Container;
use crate::plan::{self, Fact, Observed, Probe, Read, Side, Step, anycast, host, underlay};
use crate::select::{Selection, select};
use crate::session::line::{EGRESS_NEEDS, Failed, Line};
use crate::session::release::wait_for_release;
use crate::session::{Session, refuse_foreign};
use crate::store::{Attachment, Store, UnderWay};

/// Puts a container on a network.
///
/// # Errors
/// Why it could not be done; the node is as it was then, or the details say what is not.
pub fn add(system: &System, request: &Request) -> Result<CniResult, CniError> {
    let config = with_annotations(Config::read(&request.config)?, system, &request.args)?;
    let before = prev_result(request)?.unwrap_or_default();
    let selection = select(&config, &request.args)?;
    let made = join(system, request, &config, &selection)?;
    Ok(before.extend(made))
}

/// Puts a container on the network that was chosen for it.
///
/// # Errors
/// As [`add`].
pub fn join(
    system: &System,
    request: &Request,
    config: &Config,
    selection: &Selection<'_>,
) -> Result<CniResult, CniError> {
    let sandbox = Sandbox::of(system, request)?;
    let (name, because) = (&selection.network.name, &selection.because);
    let journal = journal(&config.log_file, request, name, because).of(system);
    let store = store_of(system, config);
    let network = peers::for_add(system, config, &store, &journal, selection.network)
        .inspect_err(|error| journal.end(&outcome(&Err(error.clone()))))?;
    let selection = &selection.of(&network);
    let attempt = Attempt::new(
        system, request, config, selection, &sandbox, &journal, store,
    )?;
    let made = attempt.run();
    journal.end(&outcome(&made));
    made
}

/// The store, which an ADD waits for only until it is cancelled.
fn store_of(system: &System, config: &Config) -> Store {
    let store = store(config).until(system.stop());
    match system.dry_run() {
        Some(_) => store.only_read(),
        None => store,
    }
}

/// One try, with everything it needs at hand.
struct Attempt<'a> {
    system: &'a System,
    request: &'a Request,
    config: &'a Config,
    network: &'a Network,
    addresses: &'a [IpNetwork],
    /// The MAC that the pod asks for; one that was drawn for it is in the attachment alone.
    asked_mac: Option<Mac>,
    session: Session<'a>,
    store: Store,
    ifname: IfName,
    ipam: Delegate,
    attachment: Attachment,
}

/// What has been done so far, to be taken back when something fails.
#[derive(Default)]
struct Made {
    steps: Vec<Step>,
    birth: Option<Birth>,
    call: Option<Call>,
    leased: bool,
    /// What the IPAM refused to lease for.
    refused: Option<CniError>,
    /// What older pods had before the MTU was lowered.
    mtus: Vec<mtu::Before>,
    /// The question on the wire for a MAC, until what it leaves with the kernel is taken away.
    mac: Option<mac::MacQuestion>,
}

impl<'a> Attempt<'a> {
    fn new(
        system: &'a System,
        request: &'a Request,
        config: &'a Config,
        selection: &'a Selection<'a>,
        sandbox: &'a Sandbox,
        journal: &'a Journal,
        store: Store,
    ) -> Result<Self, CniError> {
        let network = selection.network;
        let ifname = IfName::new(&request.ifname).map_err(|error| {
            CniError::new(Code::INVALID_ENVIRONMENT, format!("CNI_IFNAME: {error}"))
        })?;
        let ipam = lease::ipam(config.ipam.as_ref(), network);
        let plugin = ipam["type"].as_str().unwrap_or_default();
        Ok(Self {
            system,
            request,
            config,
            network,
            addresses: &selection.addresses,
            asked_mac: selection.mac,
            session: Session::new(system, journal, &sandbox.netns),
            store,
            ipam: Delegate::find(system, plugin, request)?,
            attachment: attachment(request, selection, sandbox, &ifname, ipam),
            ifname,
        })
    }

    /// Records, makes, and takes back what was made when something fails.
    fn run(&self) -> Result<CniResult, CniError> {
        let _under_way = self.record()?;
        let mut made = Made::default();
        self.make(&mut made).map_err(|error| match self.is_dry() {
            true => error,
            false => self.take_back(made, self.gone(error)),
        })
    }

    /// The error, with its cause where the pod has gone meanwhile: of a namespace that is just being unmounted
    /// the kernel says no more than `Invalid argument`.
    fn gone(&self, error: CniError) -> CniError {
        let netns = &self.request.netns;
        match self.is_there() {
            true => error,
            false => error.and(&format!("the container is gone: {netns} is another by now")),
        }
    }

    /// Whether the namespace is still the container's.
    fn is_there(&self) -> bool {
        namespace_inode(self.request.netns.as_ref()).unwrap_or(NO_INODE) == self.attachment.inode
    }

    /// Whether nothing is made, so that there is nothing to be taken back and nothing to be seen in the end.
    fn is_dry(&self) -> bool {
        self.system.dry_run().is_some()
    }

    /// Refuses what is there already, then writes the attachment down.
    fn record(&self) -> Result<UnderWay, CniError> {
        // Of two ADDs of one attachment the second finds the first one's record, and takes nothing of it along.
        let (container, ifname) = (&self.request.container, &self.request.ifname);
        let alone = self.store.hold_attachment(container, ifname)?;
        let recorded = self.record_under_the_lock();
        alone.remove();
        recorded.inspect_err(|_| {
            self.system.close();
            self.store.forget_lock(&self.network.name);
        })
    }

    fn make(&self, made: &mut Made) -> Result<CniResult, CniError> {
        if !self.seems_complete()? {
            self.converge_host(made)?;
        }
        let by_the_link = lease::is_by_the_link(&self.attachment.ipam);
        if !by_the_link {
            self.start_ipam(made)?;
        }
        self.open_in_the_pod();
        let mut seen = self.observe_and_link(made)?;
        self.ask_for_mac(&seen, made)?;
        let mtu = underlay::mtu(self.network, &seen)?;
        let ipv6 = underlay::has_ipv6(&seen, mtu);
        self.switch(&mut seen, made, ipv6)?;
        if self.network.anti_spoof {
            // The rules are about the interface's own name.
            self.name_early(made)?;
        }
        if by_the_link {
            self.settle_mac(made)?;
            self.name_and_address(made)?;
            self.start_ipam(made)?;
        }
        let lease = self.lease(made)?;
        self.settle_mac(made)?;
        let container = Container {
            network: self.network,
            ifname: self.ifname.clone(),
            made_as: self.temporary(),
            mtu,
            ipv6,
            mac: self.attachment.mac,
            gateway_mac: anycast::mac(self.network, &seen),
            lease: &lease,
        };
        self.configure(&container, &mut seen, made)?;
        self.refuse_vanished()?;
        // No process is left that could do something to it.
        drop(self.store.replace(&Attachment {
            lease: Some(lease.clone()),
            ..self.attachment.clone()
        })?);
        match self.is_dry() {
            true => Ok(lease.clone()),
            false => self.result(&container, &seen),
        }
    }

    fn start_ipam(&self, made: &mut Made) -> Result<(), CniError> {
        let whole = lease::config(&self.request.config, &self.attachment.ipam, self.addresses);
        made.leased = true;
        made.call = Some(self.ipam.start(self.system, Verb::Add, &whole)?);
        Ok(())
    }

    /// Whether the host side seems complete, by files alone; the batch that follows looks properly.
    fn seems_complete(&self) -> Result<bool, CniError> {
        use crate::ip::sysctl::SysctlKey::Device;
        let network = self.network;
        let stands = |made: Filter| made.covers(&network.filter);
        if network.guard && !self.store.filter(&network.name).is_some_and(stands) {
            return Ok(false);
        }
        // Before the IPAM is asked, which may look for the subnet on the gateway's device.
        if !self.store.is_defined(network) {
            return Ok(false);
        }
        let noted = || self.store.with_noted_peers(network.clone());
        if network.peers_from.is_some() && noted().peers != network.peers {
            return Ok(false);
        }
        for dev in [&self.network.vx, &self.network.mv] {
            let read = Read::Sysctl(Side::Host, Device(Family::V4, dev.clone(), "forwarding"));
            let Read::Sysctl(side, key) = &read else {
                continue;
            };
            if self
                .session
                .host_switches(std::slice::from_ref(&read))?
                .sysctl(*side, key)
                .is_none()
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes the host side true, alone: under the lock, looked at closely.
    fn converge_host(&self, made: &mut Made) -> Result<Observed, CniError> {
        let alone = self.store.hold(&self.network.name)?;
        let mut reads = host::reads(self.network, Probe::List);
        reads.extend(underlay::overlap_reads(self.network));
        let seen = self.session.observe_host(self.network, reads)?;
        let facts = host::facts(self.network, &seen)?;
        underlay::check_before_joining(self.network, &seen)?;
        refuse_foreign(self.network, &facts, &seen)?;
        if seen.link(Side::Host, &self.network.vx).is_none() {
            alone.note_made()?;
        }
        self.store.note_definition(self.network)?;
        self.note_mtus(&seen, made)?;
        let seen = guard::converge(
            &self.session,
            &self.store,
            self.network,
            &facts,
            seen,
            &mut made.steps,
        )?;
        self.store.note_peers(self.network)?;
        Ok(seen)
    }

    /// The commands that make facts of the container true from nothing.
    fn steps(&self, facts: &[Fact]) -> Vec<Step> {
        let mut nothing = Observed::default();
        // Known to be missing, since it is about an interface that is not there; else it would not be planned.
        let _ = nothing.take(&Read::Nft(Table::Pod(self.ifname.clone())), None);
        plan::plan(facts, &nothing, self.session.pod)
    }

    fn lease(&self, made: &mut Made) -> Result<CniResult, CniError> {
        let Some(call) = made.call.take() else {
            return Ok(CniResult::default());
        };
        let answer = call
            .wait()
            .inspect_err(|error| made.refused = Some(error.clone()));
        lease::read(answer?, self.network, self.addresses, self.request.version)
    }

    /// In one process: addresses, up, routes, and a look at all of it.
    fn configure(
        &self,
        container: &Container<'_>,
        seen: &mut Observed,
        made: &mut Made,
    ) -> Result<(), CniError> {
        let facts = container.facts();
        let fresh: Vec<Fact> = facts
            .iter()
            .filter(|fact| !link::comes_with_it(fact))
            .cloned()
            .collect();
        let birth = made.birth.as_ref().filter(|birth| !birth.is_named);
        let mut rename = birth.and_then(|birth| birth.rename.clone());
        let (filter, steps): (Vec<Step>, Vec<Step>) = self
            .steps(&fresh)
            .into_iter()
            .partition(|step| step.command.program() == Program::Nft);
        self.session
            .apply(filter, &mut made.steps)
            .map_err(|error| error.and(EGRESS_NEEDS))?;
        let ready = self.comes_up_anew().into_iter().chain(steps);
        let mut lines: Vec<Line> = ready.map(Line::Write).collect();
        let inside =
            |read: &Read| read.side() == Side::Pod && read.command().program() == Program::Ip;
        lines.extend(
            plan::reads(&facts, Probe::Lookup)
                .into_iter()
                .filter(inside)
                .map(Line::Read),
        );
        // Who had the address before may have had the MAC too, and the kernel may still have that interface.
        let outcome = wait_for_release(
            || {
                let first = rename.clone().into_iter().map(Line::Write);
                let all = first.chain(lines.iter().cloned()).collect();
                let outcome = self.session.make(all, &mut made.steps)?;
                // It has its name by now, whatever failed behind that.
                rename = rename.take().filter(|step| !outcome.done.contains(step));
                Ok::<_, CniError>(outcome)
            },
            |outcome| !outcome.failures.iter().any(Failed::is_in_use),
        )?;
        match outcome
            .failures
            .iter()
            .find(|failed| failed.because.is_some())
        {
            Some(failed) => return Err(self.explain(failed, rename.as_ref())),
            None => seen.absorb(outcome.seen),
        }
        if !plan::broken(&facts, seen).is_empty() {
            let close = self.session.observe(plan::reads(&facts, Probe::List))?;
            seen.absorb(close);
            *seen = self
                .session
                .converge(&facts, seen.clone(), &mut made.steps)?;
        }
        Ok(())
    }

    /// What came to be, as it was seen.
    fn result(&self, container: &Container<'_>, seen: &Observed) -> Result<CniResult, CniError> {
        let interface = |side, name: &IfName, sandbox: &str| {
            let record = seen.link(side, name).ok_or_else(|| vanished(name))?;
            Ok::<_, CniError>(Interface {
                name: record.ifname.clone(),
                mac: record.address.clone(),
                mtu: Some(record.mtu),
                sandbox: sandbox.to_owned(),
                other: serde_json::Map::new(),
            })
        };
        let interfaces = vec![
            interface(Side::Host, &self.network.vx, "")?,
            interface(Side::Host, &self.network.mv, "")?,
            interface(Side::Pod, &self.ifname, &self.request.netns)?,
        ];
        let gateway = |ip: &Ip| {
            ip.gateway.or_else(|| {
                self.network
                    .cidr(Family::of(ip.address.ip()))
                    .map(|cidr| cidr.ip())
            })
        };
        let ip = |ip: &Ip| Ip {
            gateway: gateway(ip),
            interface: Some(2),
            ..ip.clone()
        };
        let ips = container.lease.ips.iter().map(ip).collect();
        let dns = self.config.dns.clone().or_else(|| self.network.dns.clone());
        let dns = dns.unwrap_or_else(|| container.lease.dns.clone());
        Ok(CniResult {
            interfaces,
            ips,
            routes: container.result_routes(),
            dns,
        })
    }

    fn forget(&self) -> Result<(), CniError> {
        Ok(self.store.remove(
            &self.network.name,
            &self.request.container,
            &self.request.ifname,
        )?)
    }
}
