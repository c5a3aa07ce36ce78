//! What doctor found, for people and for programs.

use serde::Serialize;
use serde_json::{Value, json};

/// What was looked at, by a name that stays the same: docs/json.md has them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Id {
    /// One host alone has a container's address.
    AddressOwner,
    /// The network's subnets are apart from the node's.
    AddressOverlap,
    /// No host answers for whatever is asked.
    AnswersForAll,
    /// A claim of `route-table`.
    Claim,
    /// Whether the claims can be read.
    Claims,
    /// The configuration file.
    Configuration,
    /// A firewall that drops what conntrack calls INVALID.
    ConntrackInvalid,
    /// A folder that is written to.
    DataFolder,
    /// One fact of a network or an attachment.
    Fact,
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
    /// A container answers its node.
    PodReach,
    /// A program that is started.
    Program,
    /// The record of an attachment.
    Record,
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

    /// For people; `plain` where the terminal knows ASCII only.
    fn sign(self, plain: bool) -> &'static str {
        match (self, plain) {
            (Self::Ok, false) => "✓",
            (Self::Failed, false) => "✗",
            (Self::Ok, true) => "ok",
            (Self::Failed, true) => "NO",
            (Self::Unknown, _) => "-",
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
}

impl Finding {
    fn new(id: Id, state: State, message: impl Into<String>) -> Self {
        Self {
            id,
            state,
            message: message.into(),
            inspect: None,
            fix: None,
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

    fn text(&self, plain: bool) -> String {
        let line = |word: &str, text: &Option<String>| {
            let text = text.as_ref().filter(|_| self.state != State::Ok);
            text.map_or_else(String::new, |text| format!("      {word:<7}  {text}\n"))
        };
        format!(
            "  {} {}\n{}{}",
            self.state.sign(plain),
            self.message,
            line("inspect", &self.inspect),
            line("fix", &self.fix)
        )
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

    fn all(&self) -> impl Iterator<Item = (&str, &Finding)> {
        let own = self.findings.iter().map(|finding| ("", finding));
        let facts = self
            .facts
            .iter()
            .flat_map(|(of, findings)| findings.iter().map(move |finding| (of.as_str(), finding)));
        own.chain(facts)
    }

    fn text(&self, plain: bool, verbose: bool) -> String {
        let own = self.findings.iter().map(|finding| finding.text(plain));
        let facts = self.facts.iter();
        let facts = facts.map(|(of, findings)| facts_text(of, findings, plain, verbose));
        let lines: String = own.chain(facts).collect();
        format!("{}\n{lines}", self.about)
    }
}

/// Those of one thing that hold in one line, the others by themselves.
fn facts_text(of: &str, findings: &[Finding], plain: bool, verbose: bool) -> String {
    let of_one = |finding: &&Finding| verbose || finding.state != State::Ok;
    let named = |finding: &Finding| Finding {
        message: format!("{of}: {}", finding.message),
        ..finding.clone()
    };
    let each: String = findings
        .iter()
        .filter(of_one)
        .map(|finding| named(finding).text(plain))
        .collect();
    let hold = findings.iter().filter(|one| one.state == State::Ok).count();
    let counted = match (verbose, findings.len()) {
        (true, _) => String::new(),
        (false, all) if hold == all => {
            Finding::ok(Id::Fact, format!("{of}: all {hold} facts hold")).text(plain)
        }
        (false, all) => {
            let message = format!("{of}: {hold} of {all} facts hold");
            Finding::unknown(Id::Fact, message).text(plain)
        }
    };
    each + &counted
}

/// Everything that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report(pub Vec<Section>);

impl Report {
    fn count(&self, state: State) -> usize {
        let all = self.0.iter().flat_map(Section::all);
        all.filter(|(_, finding)| finding.state == state).count()
    }

    /// Whether nothing has failed.
    pub fn is_ok(&self) -> bool {
        self.count(State::Failed) == 0
    }

    /// For people.
    pub fn text(&self, plain: bool, verbose: bool) -> String {
        let advice = "; `vxlan repair` fixes what is this node's own";
        self.text_with(plain, verbose, advice)
    }

    /// The same with what is said where something failed.
    pub fn text_with(&self, plain: bool, verbose: bool, advice: &str) -> String {
        let sections = self.0.iter().map(|section| section.text(plain, verbose));
        let (failed, unknown) = (self.count(State::Failed), self.count(State::Unknown));
        let all = self.count(State::Ok) + failed + unknown;
        let sum = match (failed, unknown) {
            (0, 0) => format!("nothing is wrong: {all} of {all} are as they should be"),
            (0, _) => format!("nothing is wrong; {unknown} of {all} cannot be told from here"),
            _ => format!("{failed} of {all} failed{advice}"),
        };
        format!("{}{sum}\n", sections.collect::<String>())
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
mod tests {
    use super::*;

    fn report() -> Report {
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
    fn what_holds_is_counted_and_what_does_not_comes_with_how_to_inspect_and_fix_it() {
        let text = report().text(false, false);
        let wanted = "network blue\n  - no host to ask\n      inspect  arping\n  \
            ✗ node: mv_blue is up: found down\n      inspect  ip link show dev mv_blue\n      \
            fix      ip link set dev mv_blue up\n  - node: 1 of 2 facts hold\n  \
            ✓ web: all 2 facts hold\n1 of 5 failed; `vxlan repair` fixes what is this node's own\n";
        assert_eq!(text, wanted);
        assert!(!report().is_ok());
    }

    #[test]
    fn a_terminal_that_knows_ascii_only_gets_nothing_else() {
        assert!(report().text(true, true).is_ascii());
        assert!(report().text(true, true).contains("ok web: eth0 is up"));
    }

    #[test]
    fn a_program_gets_every_finding_by_itself() {
        let document = report().document();
        assert_eq!(document["ok"], false);
        assert_eq!(document["findings"].as_array().map(Vec::len), Some(5));
        let broken = json!({"about": "network blue", "of": "node", "severity": "error", "id": "fact", "state": "failed",
            "message": "mv_blue is up: found down", "inspect": "ip link show dev mv_blue",
            "fix": "ip link set dev mv_blue up"});
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
