//! `vxlan gc`: removes what no living pod holds, told by the namespaces that still live.
//!
//! For a node whose runtime lost track, or asks no GC. What cannot be told to be dead is alive.

mod force;
pub mod living;

use std::io::IsTerminal;
use std::path::Path;

use serde_json::{Value, json};

use self::living::{Fate, Living};
use super::Said;
use super::args::{GcOptions, Shared};
use super::node::{Node, OnNode, Recorded, State, WANTED};
use super::progress::Progress;
use crate::cni::{CniError, Request, Verb};
use crate::config::{Config, Network};
use crate::conflist::{self, FOLDER};
use crate::exec::System;
use crate::ip::Netns;
use crate::ip::link::LinkRecord;
use crate::journal::Journal;
use crate::ops::del::take_off;
use crate::ops::leave::{is_left_over, leave_if_idle};
use crate::outlet;
use crate::plan::{Read, Side};
use crate::route_table::config::Ipam;
use crate::route_table::ledger::{Claimed, Ledger, ipams};
use crate::route_table::{reconcile, session};
use crate::session::Session;
use crate::store::{Attachment, Found};

/// Where a runtime's plugins are by default: containerd, CRI-O, and Debian's packages.
const PLUGINS: [&str; 3] = ["/opt/cni/bin", "/usr/libexec/cni", "/usr/lib/cni"];

/// Shows what is stale and, where that is wanted, removes it.
///
/// # Errors
/// When the configuration, the records or the kernel's state cannot be read.
pub fn run(shared: &Shared, options: &GcOptions) -> Result<Said, CniError> {
    let system = System::until_sigterm();
    let node = Node::open(shared)?;
    if let Some(wanted) = &options.force {
        return force::run(shared, &node, wanted);
    }
    let dead = Dead::look(&system, &node)?;
    if dead.is_nothing() {
        return Ok(Said::either(
            shared,
            || dead.document(&Done::default()),
            || dead.text("would remove"),
        ));
    }
    if options.dry_run || !(options.yes || is_wanted(&dead)) {
        let refused = !options.dry_run;
        let hint = if refused {
            "nothing was removed; `vxlan gc --yes` removes it\n"
        } else {
            ""
        };
        let said = Said::either(
            shared,
            || dead.document(&Done::default()),
            || dead.text("would remove") + hint,
        );
        return Ok(said.if_well(!refused));
    }
    let done = dead.remove(&node)?;
    let said = Said::either(shared, || dead.document(&done), || done.text(&dead));
    Ok(said.if_well(done.failed.is_empty()))
}

/// Asks, where there is a terminal.
fn is_wanted(dead: &Dead<'_>) -> bool {
    if !std::io::stdin().is_terminal() {
        return false;
    }
    outlet::remark(&format!("{}remove it? [y/N] ", dead.text("would remove")));
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

/// What is stale.
struct Dead<'a> {
    /// Attachments whose namespace is gone, and how that is known.
    attachments: Vec<(&'a Attachment, String)>,
    /// Networks whose devices are not in use.
    idle: Vec<&'a Network>,
    /// Claims without an owner, and owners of an earlier boot.
    claims: Vec<String>,
    /// The uses of our IPAM in which those claims are.
    ipams: Vec<Ipam>,
    /// What is left alone because it is unknown.
    unclear: Vec<String>,
}

impl<'a> Dead<'a> {
    fn look(system: &System, node: &'a Node) -> Result<Self, CniError> {
        let mut living = Living::look(node.records());
        let mut dead = Self {
            attachments: Vec::new(),
            idle: Vec::new(),
            claims: Vec::new(),
            ipams: Vec::new(),
            unclear: Vec::new(),
        };
        for recorded in node.attachments() {
            dead.judge(system, recorded, &mut living);
        }
        for network in &node.networks {
            dead.idle.extend(idle(system, node, network)?);
        }
        dead.strays(system, node)?;
        Ok(dead)
    }

    /// Sorts one record.
    fn judge(&mut self, system: &System, recorded: &'a Recorded, living: &mut Living) {
        match &recorded.state {
            State::Damaged(error) => self.unclear.push(format!("{error}; {}", error.details)),
            State::Unfinished {
                under_way: true, ..
            } => {}
            State::EarlierBoot(record) => {
                self.attachments
                    .push((record, "it is of an earlier boot".to_owned()));
            }
            State::Whole(record, _) | State::Unfinished { record, .. } => {
                match living.fate(record, |path| is_in(system, record, path)) {
                    Fate::Alive => {}
                    Fate::Gone(why) => self.attachments.push((record, why)),
                    Fate::Unclear(why) => {
                        self.unclear.push(format!("{}: {why}", record.id()));
                    }
                }
            }
        }
    }

    /// Claims that are orphaned.
    fn strays(&mut self, system: &System, node: &Node) -> Result<(), CniError> {
        for ipam in ipams(&node.raw) {
            let journal = Journal::new(&ipam.log_file, "LIST", "");
            let ledger = Ledger::read(&session(system, &journal), &ipam)?;
            let before = self.claims.len();
            let orphans = ledger.orphans.iter();
            self.claims
                .extend(orphans.map(|route| format!("{}: orphaned", route.shown())));
            let earlier = ledger
                .entries
                .iter()
                .filter(|entry| entry.claim == Claimed::EarlierBoot);
            self.claims
                .extend(earlier.map(|entry| format!("{}: of an earlier boot", entry.held.address)));
            if self.claims.len() > before {
                self.ipams.push(ipam);
            }
        }
        Ok(())
    }

    fn is_nothing(&self) -> bool {
        self.attachments.is_empty() && self.idle.is_empty() && self.claims.is_empty()
    }

    /// Removes all of it, every step tried.
    fn remove(&self, node: &Node) -> Result<Done, CniError> {
        // What is begun is carried through.
        let system = System::through_sigterm();
        let mut done = Done::default();
        let mut progress = Progress::new(self.attachments.len() + self.idle.len());
        for (record, _) in &self.attachments {
            progress.step(&record.id());
            let taken = take(&system, node, record);
            done.note(
                &format!("{} of network {}", record.id(), record.network),
                taken,
            );
        }
        for network in &self.idle {
            progress.step(&network.name);
            let journal =
                Journal::new(&node.config.log_file, &format!("GC {} -", network.name), "");
            let left = leave_if_idle(&own(&system, &journal), &node.store, network);
            done.note(&format!("the devices of network {}", network.name), left);
        }
        drop(progress);
        if !self.ipams.is_empty() {
            let reconciled = reconcile::reconcile(&system, &self.ipams)?;
            done.removed.extend(
                reconciled
                    .dropped
                    .iter()
                    .map(|claim| format!("the claim {claim}")),
            );
            done.put_back.extend(reconciled.put_back);
            done.failed.extend(reconciled.failed);
        }
        Ok(done)
    }

    fn text(&self, would: &str) -> String {
        let unclear = self
            .unclear
            .iter()
            .map(|why| format!("left alone: {why}\n"));
        let unclear: String = unclear.collect();
        if self.is_nothing() {
            return format!("{unclear}nothing is left over\n");
        }
        let attachments = self.attachments.iter().map(|(record, why)| {
            let pod = record
                .pod
                .as_deref()
                .map_or(String::new(), |pod| format!(" ({pod})"));
            format!("{}{pod} of network {}: {why}", record.id(), record.network)
        });
        let idle = self.idle.iter().map(|network| {
            format!(
                "{}, {} and the rules of network {}: it has no attachment",
                network.vx, network.mv, network.name
            )
        });
        let claims = self.claims.iter().map(|claim| format!("the claim {claim}"));
        let all = attachments.chain(idle).chain(claims);
        all.map(|line| format!("{would} {line}\n"))
            .collect::<String>()
            + &unclear
    }

    /// `attachments`, `idle`, `claims`, `unclear`: what there is; `removed`, `put_back`, `failed`: what was done.
    fn document(&self, done: &Done) -> Value {
        let one = |(record, why): &(&Attachment, String)| {
            json!({"container": record.container, "ifname": record.ifname, "network": record.network,
                   "pod": record.pod, "netns": record.netns, "why": why})
        };
        json!({
            "attachments": self.attachments.iter().map(one).collect::<Vec<_>>(),
            "idle": self.idle.iter().map(|network| &network.name).collect::<Vec<_>>(),
            "claims": self.claims,
            "unclear": self.unclear,
            "removed": done.removed,
            "put_back": done.put_back,
            "failed": done.failed,
        })
    }
}

/// What was done.
#[derive(Debug, Default)]
struct Done {
    removed: Vec<String>,
    /// Claims that were flushed, found on the way.
    put_back: Vec<String>,
    failed: Vec<String>,
}

impl Done {
    fn note(&mut self, what: &str, result: Result<(), CniError>) {
        match result {
            Ok(()) => self.removed.push(what.to_owned()),
            Err(error) => self
                .failed
                .push(format!("{what}: {error}; {}", error.details)),
        }
    }

    fn text(&self, dead: &Dead<'_>) -> String {
        let told = |word: &str, items: &[String]| {
            let lines = items.iter().map(|item| format!("{word} {item}\n"));
            lines.collect::<String>()
        };
        told("removed", &self.removed)
            + &told("put back the claim", &self.put_back)
            + &told("FAILED", &self.failed)
            + &told("left alone:", &dead.unclear)
    }
}

/// The definitions of a network of the configuration without attachments, whose devices are there.
fn idle<'a>(
    system: &System,
    node: &'a Node,
    network: &'a OnNode,
) -> Result<Option<&'a Network>, CniError> {
    // One that was joined for always and is no longer configured is by its definition.
    let left = || network.side.as_ref().map(|side| &side.network);
    let Some(configured) = network.configured.as_ref().or_else(left) else {
        return Ok(None);
    };
    if network.is_always() || network.configured.is_none() && is_of_another(node, configured) {
        return Ok(None);
    }
    let journal = Journal::new(&node.config.log_file, "GC", "");
    let idle = is_left_over(&own(system, &journal), &node.store, configured)?;
    Ok(idle.then_some(configured))
}

/// Whether another configuration beside this one, which has its networks in the same folders, has the node on a network always.
fn is_of_another(node: &Node, network: &Network) -> bool {
    let folder = node.file.parent().unwrap_or(Path::new(FOLDER));
    let others = conflist::all(folder, WANTED).unwrap_or_default();
    others.iter().any(|conf| {
        let config = Config::read_leniently(&conf.config);
        let same = config.network(&network.name);
        config.run_dir == node.config.run_dir && same.is_some_and(Network::is_always)
    })
}

/// Whether an attachment's interface is in a namespace: a macvlan of its name with an address of its lease.
fn is_in(system: &System, record: &Attachment, path: &str) -> Result<bool, CniError> {
    let netns = Netns::Path(path.to_owned());
    let journal = Journal::new(Path::new("/dev/null"), "GC", "");
    let session = Session {
        pod: &netns,
        ..own(system, &journal)
    };
    let seen = session.observe(vec![Read::Addr(Side::Pod, record.ifname.clone())])?;
    let link = seen.link(Side::Pod, &record.ifname);
    let leased = |link: &LinkRecord| match &record.lease {
        Some(lease) => lease.ips.iter().any(|ip| link.has_address(ip.address)),
        None => true,
    };
    Ok(link.is_some_and(|link| link.kind() == "macvlan" && leased(link)))
}

fn own<'a>(system: &'a System, journal: &'a Journal) -> Session<'a> {
    Session::new(system, journal, &Netns::Own)
}

/// Takes one attachment off, unless another verb has meanwhile, or it is another by now.
fn take(system: &System, node: &Node, record: &Attachment) -> Result<(), CniError> {
    match node.store.find(&record.container, record.ifname.as_str())? {
        Some(Found::Whole(now)) if *now == *record && !node.store.is_under_way(record) => {
            take_off(system, &node.config, &node.store, &request(node, record)?)
        }
        _ => Ok(()),
    }
}

/// The question that a runtime's DEL of an attachment would be.
///
/// # Errors
/// When the configuration is not one that a runtime could ask with.
pub fn request(node: &Node, record: &Attachment) -> Result<Request, CniError> {
    let mut config = node.raw.clone();
    // The lease is of that CNI network, whatever the configuration is called now.
    config["name"] = json!(record.name);
    let variables = vec![
        ("CNI_CONTAINERID", record.container.clone()),
        ("CNI_IFNAME", record.ifname.to_string()),
        ("CNI_NETNS", String::new()),
        ("CNI_ARGS", String::new()),
        ("CNI_PATH", plugins()),
    ];
    let set = |(name, value): &(&str, String)| ((*name).to_owned(), value.clone());
    let env = variables.iter().map(set).collect();
    let request = Request::read(Verb::Del, &env, config.to_string().as_bytes())?;
    Ok(Request {
        verb: Verb::Gc,
        variables,
        ..request
    })
}

/// The folders of plugins: `CNI_PATH`, else where this program is and where runtimes have them.
fn plugins() -> String {
    match std::env::var("CNI_PATH") {
        Ok(path) if !path.is_empty() => path,
        _ => {
            let program = std::env::current_exe().ok();
            let own = program.and_then(|program| Some(program.parent()?.display().to_string()));
            let all = own.into_iter().chain(PLUGINS.map(str::to_owned));
            all.collect::<Vec<_>>().join(":")
        }
    }
}
