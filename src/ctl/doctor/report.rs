//! What doctor found, for people and for programs.

use serde::Serialize;
use serde_json::{Value, json};

/// What was looked at, by a name that stays the same: docs/json.md has them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Id {
    /// The network's subnets are apart from the node's.
    AddressOverlap,
    /// One host alone has a container's address.
    AddressOwner,
    /// No host answers for whatever is asked.
    AnswersForAll,
    /// ARP is answered.
    Arp,
    /// A claim of `route-table`.
    Claim,
    /// Whether the claims can be read.
    Claims,
    /// The configuration file.
    Configuration,
    /// A firewall that drops what conntrack calls INVALID.
    ConntrackInvalid,
    /// The kernel's table of connections.
    ConntrackTable,
    /// A folder that is written to.
    DataFolder,
    /// One fact of a network or an attachment.
    Fact,
    /// An entry of a vxlan device that was set by hand.
    FdbEntry,
    /// How many MACs a vxlan device may learn.
    FdbLimit,
    /// Whether the rules of firewalls are known.
    Firewall,
    /// What firewalls do with what containers send elsewhere.
    FirewallForward,
    /// What firewalls do between containers and their node.
    FirewallGateway,
    /// What firewalls do with vxlan.
    FirewallVxlan,
    /// Broadcasts reach another node.
    Flood,
    /// FRR beside the claims.
    Frr,
    /// This node alone has the gateway's address.
    GatewayOwner,
    /// The gateway answers a container.
    GatewayReach,
    /// `ip -j`.
    IpJson,
    /// The IPAM plugin.
    IpamPlugin,
    /// A driver of the kernel.
    KernelDriver,
    /// One host alone has a container's MAC.
    MacOwner,
    /// The namespace of an attachment.
    Namespace,
    /// A neighbour that was set by hand.
    NeighbourEntry,
    /// The kernel's table of neighbours.
    NeighbourTable,
    /// What `antiSpoof` needs.
    NetdevEgress,
    /// Whether a network can be looked at.
    Network,
    /// Whether nodes have the same of a network.
    NetworkDiffers,
    /// NetworkManager beside our devices.
    NetworkManager,
    /// systemd-networkd beside our routes and rules.
    Networkd,
    /// The packet filter that the guard needs.
    Nftables,
    /// A claim that no record names.
    OrphanedClaim,
    /// Whether the nodes of a network know each other.
    PeerMissed,
    /// Frames reach another node and come back.
    PeerReach,
    /// Where a network's peers are known from.
    PeersSource,
    /// A container answers its node.
    PodReach,
    /// Rules before ours lead elsewhere.
    PolicyRule,
    /// A program that is started.
    Program,
    /// The record of an attachment.
    Record,
    /// Whether this is root.
    Root,
    /// What a device has learnt from a router's advertisement.
    RouterAdvertisement,
    /// Reverse path filtering on the gateway's device.
    RpFilter,
    /// The address of the outer packets.
    SourceAddress,
    /// The underlay device.
    UnderlayDevice,
    /// Whether full packets reach another node.
    UnderlayMtu,
    /// A route leads to another node, by the underlay device.
    UnderlayWay,
    /// Links on a network that no record names.
    UnrecordedLinks,
    /// Whether nodes run the same version.
    VersionDiffers,
    /// One vxlan device alone has the VNI.
    Vni,
    /// The devices by which vxlan comes in.
    VxlanWaysIn,
}

/// Whether something is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is.
    Ok,
    /// It is not.
    Failed,
    /// It is unknown from here.
    Unknown,
}

impl State {
    /// How much it matters: what has failed is an error, what is unknown a warning.
    fn severity(self) -> &'static str {
        match self {
            Self::Ok => "info",
            Self::Failed => "error",
            Self::Unknown => "warning",
        }
    }
}

/// A finding from which others follow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Cause {
    /// The side or attachment that it is a fact of; empty for what is by itself.
    pub of: String,
    /// What was found.
    pub message: String,
}

impl Cause {
    /// By its side or attachment and its message.
    pub fn new(of: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            of: of.into(),
            message: message.into(),
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub id: Id,
    /// Whether it is as it should be.
    pub state: State,
    /// What was found.
    pub message: String,
    /// The command that shows it.
    pub inspect: Option<String>,
    /// What mends it: a command where there is one.
    pub fix: Option<String>,
    /// The finding that is the cause of this one.
    pub follows_from: Option<Cause>,
    /// Whether `vxlan repair` mends it.
    #[serde(skip)]
    pub by_repair: bool,
}

impl Finding {
    fn new(id: Id, state: State, message: impl Into<String>) -> Self {
        Self {
            id,
            state,
            message: message.into(),
            inspect: None,
            fix: None,
            follows_from: None,
            by_repair: false,
        }
    }

    /// Something is as it should be.
    pub fn ok(id: Id, message: impl Into<String>) -> Self {
        Self::new(id, State::Ok, message)
    }

    /// Something is not.
    pub fn failed(id: Id, message: impl Into<String>) -> Self {
        Self::new(id, State::Failed, message)
    }

    /// It is unknown.
    pub fn unknown(id: Id, message: impl Into<String>) -> Self {
        Self::new(id, State::Unknown, message)
    }

    /// The command that shows it.
    pub fn inspect(mut self, command: impl Into<String>) -> Self {
        self.inspect = Some(command.into());
        self
    }

    /// What mends it.
    pub fn fix(mut self, command: impl Into<String>) -> Self {
        self.fix = Some(command.into());
        self
    }

    /// Tells its cause.
    pub fn follows_from(mut self, cause: Cause) -> Self {
        self.follows_from = Some(cause);
        self
    }

    /// Whether it says that nothing can be said.
    fn is_blind(&self) -> bool {
        let tells_of_all = matches!(self.id, Id::Root | Id::Network | Id::Claims | Id::IpJson);
        tells_of_all && self.state == State::Unknown
    }

    /// `vxlan repair` mends it.
    pub fn by_repair(mut self) -> Self {
        self.by_repair = true;
        self
    }
}

/// A finding as programs get it.
#[derive(Serialize)]
struct Shown<'a> {
    about: &'a str,
    of: &'a str,
    severity: &'static str,
    #[serde(flatten)]
    finding: &'a Finding,
}

/// Findings about one thing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Section {
    /// About what.
    pub about: String,
    /// What was found by itself.
    pub findings: Vec<Finding>,
    /// What was found of many alike: those that hold are counted.
    pub facts: Vec<(String, Vec<Finding>)>,
}

impl Section {
    /// One about something.
    pub fn new(about: impl Into<String>, findings: Vec<Finding>) -> Self {
        Self {
            about: about.into(),
            findings,
            facts: Vec::new(),
        }
    }

    /// Every finding, with the side or attachment that it is a fact of.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Finding)> {
        let own = self.findings.iter().map(|finding| ("", finding));
        let facts = self
            .facts
            .iter()
            .flat_map(|(of, findings)| findings.iter().map(move |finding| (of.as_str(), finding)));
        own.chain(facts)
    }
}

/// Everything that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report(pub Vec<Section>);

impl Report {
    /// How many are in a state.
    pub fn count(&self, state: State) -> usize {
        let all = self.0.iter().flat_map(Section::all);
        all.filter(|(_, finding)| finding.state == state).count()
    }

    /// Whether nothing has failed.
    pub fn is_ok(&self) -> bool {
        self.count(State::Failed) == 0
    }

    /// Whether `vxlan repair` mends something of what has failed.
    pub fn is_repairable(&self) -> bool {
        let mut all = self.0.iter().flat_map(Section::all);
        all.any(|(_, finding)| finding.state == State::Failed && finding.by_repair)
    }

    /// 1 where something has failed, 3 where nothing has and something that tells of all the rest could not be looked at.
    pub fn exit_code(&self) -> u8 {
        let mut all = self.0.iter().flat_map(Section::all);
        match self.is_ok() {
            false => 1,
            true if all.any(|(_, finding)| finding.is_blind()) => 3,
            true => 0,
        }
    }

    /// For programs: docs/json.md.
    pub fn document(&self) -> Value {
        let each = self.0.iter().flat_map(|section| {
            section.all().map(|(of, finding)| Shown {
                about: &section.about,
                of,
                severity: finding.state.severity(),
                finding,
            })
        });
        json!({"ok": self.is_ok(), "findings": each.collect::<Vec<_>>()})
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn report() -> Report {
        let broken = Finding::failed(Id::Fact, "mv_blue is up: found down")
            .inspect("ip link show dev mv_blue")
            .fix("ip link set dev mv_blue up");
        let facts = vec![Finding::ok(Id::Fact, "vx_blue is up"), broken];
        Report(vec![Section {
            about: "network blue".to_owned(),
            findings: vec![Finding::unknown(Id::GatewayOwner, "no host to ask").inspect("arping")],
            facts: vec![
                ("node".to_owned(), facts),
                (
                    "web".to_owned(),
                    vec![Finding::ok(Id::Fact, "eth0 is up"); 2],
                ),
            ],
        }])
    }

    #[test]
    fn a_program_gets_every_finding_by_itself() {
        let document = report().document();
        assert_eq!(document["ok"], false);
        assert_eq!(document["findings"].as_array().map(Vec::len), Some(5));
        let broken = json!({"about": "network blue", "of": "node", "severity": "error", "id": "fact", "state": "failed",
            "message": "mv_blue is up: found down", "inspect": "ip link show dev mv_blue",
            "fix": "ip link set dev mv_blue up", "follows_from": null});
        assert_eq!(document["findings"][2], broken);
    }

    #[test]
    fn docs_json_md_has_every_id_and_no_other() {
        let source = include_str!("report.rs");
        let body = source
            .split_once("pub enum Id {")
            .and_then(|(_, rest)| rest.split_once('}'));
        let variants = body.map(|(body, _)| body).unwrap_or_default().lines();
        let variants = variants
            .map(str::trim)
            .filter(|line| !line.starts_with("//"));
        let snake = |name: &str| {
            let word = |c: char| match c.is_uppercase() {
                true => format!("_{}", c.to_lowercase()),
                false => c.to_string(),
            };
            let words: String = name.trim_end_matches(',').chars().map(word).collect();
            words.trim_start_matches('_').to_owned()
        };
        let ids: Vec<String> = variants.map(snake).filter(|id| !id.is_empty()).collect();
        assert!(ids.contains(&"vxlan_ways_in".to_owned()), "{ids:?}");
        let documented = include_str!("../../../docs/json.md");
        let rows = documented
            .split("| `id` | what was looked at |")
            .nth(1)
            .unwrap_or_default();
        let rows = rows
            .split("\n\n")
            .next()
            .unwrap_or_default()
            .lines()
            .skip(2);
        let rows: Vec<String> = rows
            .filter_map(|row| Some(row.split('`').nth(1)?.to_owned()))
            .collect();
        assert_eq!(rows, ids);
    }
}
