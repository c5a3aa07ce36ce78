//! What an operator may type: the verbs and options of both programs.
//!
//! A verb's options stand here whole; the verb itself is in the file of its name.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// CNI plugin: layer-2 networks that span the cluster, every node their gateway.
///
/// A container runtime starts it with CNI_COMMAND set and the network configuration on stdin. Without, it
/// shows this node to its operator.
#[derive(Debug, Parser)]
#[command(name = "vxlan", version)]
pub struct Vxlan {
    /// What to do.
    #[command(subcommand)]
    pub verb: VxlanVerb,
    /// What every verb takes.
    #[command(flatten)]
    pub shared: Shared,
}

/// The verbs of `vxlan`.
#[derive(Debug, Subcommand)]
pub enum VxlanVerb {
    /// Shows the networks of this node and who is on them
    Status(StatusOptions),
    /// Looks at everything that must be so and tells what is not, how to see it and how to mend it
    Doctor(DoctorOptions),
    /// Shows what an ADD, a DEL or a repair would run, as a script, and changes nothing
    Plan(PlanOptions),
    /// Makes every fact of every record true again and tells what it did
    Repair(RepairOptions),
    /// Prints the commands that rebuild an attachment on a blank node, or runs them
    Replay(ReplayOptions),
    /// Removes what no living pod holds
    Gc(GcOptions),
    /// Draws this node's peers, devices and pods, and what of them is missing or down
    Graph(GraphOptions),
    /// Shows the journal: which verb ran which commands, and what came of it
    Log(LogOptions),
    /// Counts and measures this node for Prometheus
    Metrics(MetricsOptions),
    /// Goes on: repairs on a change and on a timer, hears of peers, serves health and metrics on loopback
    Agent(AgentOptions),
}

/// CNI IPAM plugin: the kernel's routing table as the cluster's address database.
///
/// A CNI plugin starts it with CNI_COMMAND set and the network configuration on stdin. Without, it shows
/// and mends the claims of this node.
#[derive(Debug, Parser)]
#[command(name = "route-table", version)]
pub struct RouteTable {
    /// What to do.
    #[command(subcommand)]
    pub verb: RouteTableVerb,
    /// What every verb takes.
    #[command(flatten)]
    pub shared: Shared,
}

/// The verbs of `route-table`.
#[derive(Debug, Subcommand)]
pub enum RouteTableVerb {
    /// Shows every claimed address: owner, since when, on which device, claimed elsewhere or not
    List,
    /// Puts back claims that were flushed and drops those that are orphaned
    Reconcile,
}

/// What every verb takes.
#[derive(Debug, Clone, Args)]
pub struct Shared {
    /// The network configuration; else the first in /etc/cni/net.d that has this plugin
    #[arg(long, value_name = "FILE", global = true)]
    pub conf: Option<PathBuf>,
    /// One JSON document
    #[arg(short, long, global = true)]
    pub json: bool,
}

/// `vxlan status`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vxlan status                 every network and everybody on it
  vxlan status shop/web-1      one pod, by its namespace and name
  vxlan status 3f2a            one container, by the start of its id
  vxlan status 10.1.0.23       the attachment that has this address
  vxlan status --json          the same for a program")]
pub struct StatusOptions {
    /// Only this pod (NAMESPACE/NAME or NAME), container (id or its start) or address
    #[arg(value_name = "POD|CONTAINER|ADDRESS")]
    pub of: Option<String>,
}

/// `vxlan doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vxlan doctor                 what is wrong, how to see it, how to mend it
  vxlan doctor --all           what is as it should be, too
  vxlan doctor --verbose       every fact by itself, and what follows from others
  vxlan doctor --peer 10.1.0.2
                               asks that node, too, whether frames reach it and come back
  vxlan doctor || vxlan repair
                               mends what is this node's
  vxlan doctor --json >n1.json
                               this node for the next line
  vxlan doctor --compare n1.json n2.json
                               what is wrong between nodes, from anywhere")]
pub struct DoctorOptions {
    /// Compares what `vxlan doctor --json` of several nodes told, and looks at no node
    #[arg(long, value_name = "FILE", num_args = 2..)]
    pub compare: Vec<PathBuf>,
    /// Tells what is as it should be, too, as where stdout is no terminal
    #[arg(short, long)]
    pub all: bool,
    /// Tells every fact by itself, not how many hold or follow from another
    #[arg(short, long)]
    pub verbose: bool,
    /// Another node that is asked too: an address on a network, its gateway's or a container's, or on the underlay
    #[arg(long = "peer", value_name = "ADDRESS")]
    pub peers: Vec<IpAddr>,
}

/// `vxlan plan`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vxlan plan                   what an ADD would run, from the configuration alone
  vxlan plan --network blue    the same for one network
  vxlan plan --netns /run/netns/p --container p --args 'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-1'
  vxlan plan del 3f2a          what a DEL would run
  vxlan plan repair | sh       what `vxlan repair` would run, by hand")]
pub struct PlanOptions {
    /// Another verb than ADD
    #[command(subcommand)]
    pub of: Option<PlanOf>,
    /// What would be added
    #[command(flatten)]
    pub add: PlanAdd,
}

impl PlanOptions {
    /// Options that are of an ADD beside a plan of something else: `--conf` goes with both, so clap cannot tell.
    pub fn is_mixed(&self) -> bool {
        let PlanAdd {
            network,
            netns,
            container,
            ifname,
            args,
        } = &self.add;
        let of_add = [network, netns, container, ifname, args];
        self.of.is_some() && of_add.iter().any(|option| option.is_some())
    }
}

/// What else than an ADD can be planned.
#[derive(Debug, Subcommand)]
pub enum PlanOf {
    /// What a DEL would run
    Del {
        /// Whose, by the container's id or its start
        #[arg(value_name = "CONTAINER[/IFNAME]")]
        of: String,
    },
    /// What `vxlan repair` would run
    Repair,
}

/// The container an ADD would be for.
#[derive(Debug, Args)]
pub struct PlanAdd {
    /// Its network; else the one it would get
    #[arg(long, value_name = "NAME")]
    pub network: Option<String>,
    /// Its namespace
    #[arg(long, value_name = "PATH")]
    pub netns: Option<String>,
    /// Its id
    #[arg(long, value_name = "ID")]
    pub container: Option<String>,
    /// Its interface, else eth0
    #[arg(long, value_name = "NAME")]
    pub ifname: Option<String>,
    /// What the runtime would put into CNI_ARGS
    #[arg(long, value_name = "CNI_ARGS")]
    pub args: Option<String>,
}

impl PlanAdd {
    /// The name of its interface.
    pub fn interface(&self) -> &str {
        self.ifname.as_deref().unwrap_or("eth0")
    }
}

/// `vxlan repair`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vxlan plan repair            what it would run
  vxlan repair                 runs it and tells what was done
  vxlan doctor                 what is left, which is not this node's to mend")]
pub struct RepairOptions {}

/// `vxlan replay`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vxlan replay                 everybody who is attached, as a script
  vxlan replay 3f2a            one container, by the start of its id
  vxlan replay 3f2a/eth0 >a.sh; sh -ex a.sh
                               rebuilds it on a blank node with the same underlay
  vxlan replay 3f2a --run      runs the lines here, up to the first that fails
  vxlan replay --failed --since 1h
                               every command of what failed, and what took it back")]
pub struct ReplayOptions {
    /// Whose lines, by the container's id or its start; else everybody's
    #[arg(value_name = "CONTAINER[/IFNAME]")]
    pub of: Option<String>,
    /// Only from then on: RFC 3339, or an age as 2h
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only what failed
    #[arg(long)]
    pub failed: bool,
    /// Runs the lines instead of printing them
    #[arg(long)]
    pub run: bool,
}

/// `vxlan gc`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vxlan gc --dry-run           what no living pod holds: attachments, devices, claims
  vxlan gc                     the same, and asks whether to remove it
  vxlan gc --yes               removes it; without a terminal nothing else does
  vxlan gc --force 3f2a        forgets an attachment that no DEL can take off, and tells what may be left")]
pub struct GcOptions {
    /// Takes one attachment off whose interface is gone, and forgets it though its IPAM refuses
    #[arg(long, value_name = "CONTAINER[/IFNAME]", conflicts_with_all = ["dry_run", "yes"])]
    pub force: Option<String>,
    /// Shows what would be removed and removes nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Asks nothing
    #[arg(short, long)]
    pub yes: bool,
}

/// `vxlan graph`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vxlan graph                  a mermaid block for an issue or a wiki
  vxlan graph --format svg >node.svg
                               a picture for a browser
  vxlan graph --format dot | dot -Tpdf >node.pdf
                               the same by graphviz")]
pub struct GraphOptions {
    /// In which language
    #[arg(long, value_enum, default_value_t = Format::Mermaid)]
    pub format: Format,
}

/// The languages of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a page that renders mermaid, as those of GitHub
    Mermaid,
    /// For graphviz
    Dot,
    /// A picture by itself, in light and dark
    Svg,
}

/// `vxlan log`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vxlan log --since 10m        what happened in the last ten minutes
  vxlan log --pod shop/web-1   everything about one pod, its addresses' claims too
  vxlan log --failed --last 1  what failed last, and why
  vxlan log --verb del -f      every DEL, and those that come
  vxlan log --json | jq 'select(.milliseconds > 500)'
                               what took long")]
pub struct LogOptions {
    /// Only this pod's, NAMESPACE/NAME or NAME
    #[arg(long, value_name = "POD")]
    pub pod: Option<String>,
    /// Only this container's, by its id or its start
    #[arg(long, value_name = "ID")]
    pub container: Option<String>,
    /// Only this network's
    #[arg(long, value_name = "NAME")]
    pub network: Option<String>,
    /// Only this verb's, as ADD
    #[arg(long, value_name = "VERB")]
    pub verb: Option<String>,
    /// Only what failed
    #[arg(long)]
    pub failed: bool,
    /// Only from then on: RFC 3339, or an age as 2h
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only the last so many of those
    #[arg(long, value_name = "N")]
    pub last: Option<usize>,
    /// Goes on with what is written from now on
    #[arg(short, long)]
    pub follow: bool,
}

/// `vxlan metrics`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vxlan metrics                what Prometheus gets
  vxlan metrics | grep 'vxlan_facts{.*failed'
                               how many facts of each network do not hold
  vxlan metrics --output /var/lib/prometheus/node-exporter/vxlan.prom
                               for node_exporter, which reads the folder")]
pub struct MetricsOptions {
    /// Into this file in place of stdout, whole or not at all
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Looks into no pod, which starts four processes for each: none of the pods' facts is told
    #[arg(long)]
    pub no_pods: bool,
}

/// `vxlan agent`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vxlan agent                  until SIGTERM; deploy/vxlan-cni-agent.service runs it
  vxlan agent --every 60       looks at every pod each minute
  curl -s http://127.0.0.1:9789/healthz | jq
                               how it is, and what it could not mend")]
pub struct AgentOptions {
    /// Where /healthz and /metrics are answered
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9789")]
    pub listen: SocketAddr,
    /// Seconds between two looks at everything
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub every: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn both_command_lines_are_sound() {
        Vxlan::command().debug_assert();
        RouteTable::command().debug_assert();
    }
}
