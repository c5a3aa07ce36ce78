//! What is run: configuration and what was seen give a plan, shown as the script it is.
//!
//! `plans/CASE/` has `conf.json`, the IPAM's `lease.json`, `questions` (what is asked, written by these
//! tests) and a folder for each state of the node: `seen` (the answers, written by `capture` after it ran
//! `nothing/plan.sh` and the state's `break.sh`), `plan.sh` (what makes it whole) and `check` (what CHECK
//! says). `nothing/plan.sh` is what an ADD runs, `nothing/undo.sh` what takes it back.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use vxlan_cni::cni::{Args, CniResult, Version};
use vxlan_cni::config::Config;
use vxlan_cni::ip::batch::{Batch, OnError, says_absent};
use vxlan_cni::ip::route::says_no_way;
use vxlan_cni::ip::stderr::failures;
use vxlan_cni::ip::{Netns, Program};
use vxlan_cni::lease;
use vxlan_cni::plan::container::{self, Container};
use vxlan_cni::plan::{self, Fact, Observed, Plan, Probe, Read, Side, host, underlay};
use vxlan_cni::select::{Selection, select};
use vxlan_cni::session::told;

use crate::compare::{against, all_same, folder, names, read};
use crate::transcript::transcript;

fn cases() -> Vec<PathBuf> {
    let root = folder().join("plans");
    names(&root).iter().map(|case| root.join(case)).collect()
}

/// The states of a case: its folders.
fn states(case: &Path) -> Vec<PathBuf> {
    let all = names(case).into_iter().map(|name| case.join(name));
    all.filter(|path| path.is_dir()).collect()
}

fn json(file: &Path) -> Value {
    serde_json::from_str(&read(file).unwrap()).unwrap()
}

fn config(case: &Path) -> Config {
    Config::read(&json(&case.join("conf.json"))).unwrap()
}

fn pod() -> Netns {
    Netns::from_path("/run/netns/pod").unwrap()
}

fn netns(side: Side) -> Netns {
    match side {
        Side::Host => Netns::Own,
        Side::Pod => pod(),
    }
}

/// What a network and a lease want.
struct Wanted<'a> {
    selection: Selection<'a>,
    lease: CniResult,
}

impl<'a> Wanted<'a> {
    fn of(case: &Path, config: &'a Config) -> Self {
        let selection = select(config, &Args::default()).unwrap();
        let said = Some(json(&case.join("lease.json")));
        let lease = lease::read(
            said,
            selection.network,
            &selection.addresses,
            Version::NEWEST,
        );
        Self {
            lease: lease.unwrap(),
            selection,
        }
    }

    fn container(&self, mtu: Option<u32>, ipv6: bool) -> Container<'_> {
        Container {
            network: self.selection.network,
            ifname: "eth0".parse().unwrap(),
            // The node has an eth0 too.
            made_as: container::temporary("3f2a", &"eth0".parse().unwrap()),
            mtu,
            ipv6,
            gateway_mac: None,
            mac: self.selection.mac,
            lease: &self.lease,
        }
    }

    fn facts(&self, seen: &Observed) -> Vec<Fact> {
        let network = self.selection.network;
        let mut facts = host::facts(network, seen).unwrap();
        let mtu = underlay::mtu(network, seen).unwrap();
        let ipv6 = underlay::has_ipv6(seen, mtu);
        let container = Container {
            gateway_mac: plan::anycast::mac(network, seen),
            ..self.container(mtu, ipv6)
        };
        facts.extend(container.facts());
        facts
    }

    fn reads(&self, probe: Probe) -> Vec<Read> {
        let mut reads = host::reads(self.selection.network, probe);
        let container = self.container(None, true);
        reads.extend(plan::reads(&container.facts(), probe));
        let network = self.selection.network;
        reads.extend(plan::anycast::reads_of_a_pod(
            network,
            &container.ifname,
            &container.families(),
        ));
        reads.sort();
        reads.dedup();
        reads
    }
}

/// A question as a line of shell: alone in a batch, as the program asks it, or `sysctl`.
fn question(read: &Read) -> String {
    let batch = Batch::new(&netns(read.side()), OnError::Stop, vec![read.command()]);
    match read.command().program() {
        Program::Sysctl | Program::Nft => batch.argv().join(" "),
        _ => format!(
            "echo '{}' | {}",
            batch.stdin().trim_end(),
            batch.argv().join(" ")
        ),
    }
}

/// The answers of a state to some questions.
fn observed(state: &Path, reads: &[Read]) -> Observed {
    let answers: BTreeMap<String, _> = transcript(&state.join("seen"))
        .into_iter()
        .map(|said| (said.line.clone(), said))
        .collect();
    let mut seen = Observed::default();
    for read in reads {
        let line = question(read);
        let said = answers.get(&line).unwrap_or_else(|| {
            panic!(
                "{}: `{line}` is not in `seen`: tests/golden/capture plans",
                state.display()
            )
        });
        let failure = failures(&said.stderr).into_iter().next();
        let absent = |message: &str| {
            says_absent(message) || (matches!(read, Read::Lookup(..)) && says_no_way(message))
        };
        let document = match (&failure, read) {
            (Some(failure), _) if absent(&failure.message) => None,
            (Some(failure), _) => panic!("{}: `{line}` -> {failure:?}", state.display()),
            (None, Read::Sysctl(..)) => Some(Value::String(said.stdout.trim().to_owned())),
            (None, _) => said.documents().into_iter().next(),
        };
        seen.take(read, document).unwrap();
    }
    seen
}

/// A plan as the script it is, each command with the fact it makes true.
fn script(title: &str, plan: &Plan) -> String {
    let mut script = format!("# {title}\n");
    for step in plan {
        let line = step.command.shown_in(&netns(step.side));
        script += &format!("# {}\n{line}\n", step.because);
    }
    script
}

/// What takes a plan back, the last step first.
fn undo(plan: &Plan) -> String {
    let mut script = "# What takes back what was made, the last first.\n".to_owned();
    for (side, command) in plan.iter().rev().filter_map(|step| step.undo.clone()) {
        script += &format!("{}\n", command.shown_in(&netns(side)));
    }
    script
}

/// What CHECK says, one fact a line.
fn check(facts: &[Fact], seen: &Observed) -> String {
    match plan::broken(facts, seen) {
        broken if broken.is_empty() => "everything holds\n".to_owned(),
        broken => broken
            .iter()
            .map(|fact| told(fact, &pod()) + "\n")
            .collect(),
    }
}

fn title(state: &Path) -> String {
    let name = state.file_name().unwrap().to_str().unwrap();
    match name {
        "nothing" => "Nothing is there: what an ADD runs.".to_owned(),
        name if WHOLE.contains(&name) => "All is there: nothing to do.".to_owned(),
        name => format!("What mends `{name}`."),
    }
}

/// Every state with what is wanted and the facts.
fn each_state(mut look: impl FnMut(&Wanted<'_>, &Path, &Path)) {
    for case in cases() {
        let config = config(&case);
        let wanted = Wanted::of(&case, &config);
        for state in states(&case) {
            look(&wanted, &case, &state);
        }
    }
}

#[test]
fn the_questions_are_those_of_the_golden_files() {
    all_same(cases().iter().map(|case| {
        let config = config(case);
        let wanted = Wanted::of(case, &config);
        let mut reads = wanted.reads(Probe::List);
        reads.extend(wanted.reads(Probe::Lookup));
        reads.sort();
        reads.dedup();
        let lines: String = reads.iter().map(|read| question(read) + "\n").collect();
        against(&case.join("questions"), &lines)
    }));
}

#[test]
fn every_state_has_the_plan_of_its_golden_file_and_check_says_what_its_file_says() {
    let mut results = Vec::new();
    each_state(|wanted, _, state| {
        if let Err(why) = read(&state.join("seen")) {
            // A new case: `capture` needs the plan of `nothing` for all other states.
            return results.push(Err(format!("{why}; tests/golden/capture plans writes it")));
        }
        let seen = observed(state, &wanted.reads(Probe::List));
        let facts = wanted.facts(&seen);
        let plan = plan::plan(&facts, &seen, &pod());
        results.push(against(
            &state.join("plan.sh"),
            &script(&title(state), &plan),
        ));
        if state.ends_with("nothing") {
            results.push(against(&state.join("undo.sh"), &undo(&plan)));
        } else {
            results.push(against(&state.join("check"), &check(&facts, &seen)));
        }
    });
    all_same(results);
}

/// States in which everything holds.
const WHOLE: [&str; 3] = ["standing", "later-plugins", "tentative"];

/// The state that look-ups pass over: a list of the packet filter costs as much as an ADD.
const PASSED_OVER: &str = "rules-flushed";

#[test]
fn what_holds_needs_nothing_and_look_ups_show_it() {
    each_state(|wanted, _, state| {
        let standing = WHOLE.iter().any(|name| state.ends_with(name));
        for probe in [Probe::List, Probe::Lookup] {
            let seen = observed(state, &wanted.reads(probe));
            let broken = plan::broken(&wanted.facts(&seen), &seen).len();
            let passed_over = probe == Probe::Lookup && state.ends_with(PASSED_OVER);
            assert_eq!(
                broken == 0,
                standing || passed_over,
                "{} {probe:?}: {broken} broken",
                state.display()
            );
        }
    });
}

/// What CHECK says of a state with both families.
fn check_of(state: &str) -> String {
    read(&folder().join("plans/dual").join(state).join("check")).unwrap()
}

#[test]
fn c56_check_does_not_mind_what_later_plugins_and_daemons_add() {
    assert_eq!(check_of("later-plugins"), "everything holds\n");
    let seen = read(&folder().join("plans/dual/later-plugins/seen")).unwrap();
    for added in ["192.0.2.9", "203.0.113.0/24", "10.1.7.7", "\"metric\":500"] {
        assert!(seen.contains(added), "{added} is not there");
    }
}

#[test]
fn c58_check_does_not_mind_an_address_that_is_tentative() {
    assert_eq!(check_of("tentative"), "everything holds\n");
    let seen = read(&folder().join("plans/dual/tentative/seen")).unwrap();
    let shown = r#""local":"fd10::23","prefixlen":64,"scope":"0","tentative":true"#;
    assert!(seen.contains(shown), "the address is not tentative");
}

#[test]
fn c57_check_names_each_piece_of_the_host_side_that_is_missing() {
    for (state, fact) in [
        ("node-forwarding-off", "net.ipv4.ip_forward = 1: found 0"),
        ("vxlan-gone", "vxlan vx_blue with VNI 100 is there: missing"),
        ("vxlan-down", "vx_blue is up: found down"),
        ("vxlan-settings", "vx_blue has arp off: found arp on"),
        (
            "gateway-gone",
            "macvlan mv_blue on vx_blue is there: missing",
        ),
        ("gateway-address-gone", "mv_blue has 10.1.0.1/16: missing"),
        (
            "gateway-switches",
            "net.ipv4.conf.mv_blue.rp_filter = 2: found 1",
        ),
        (
            "bypass-gone",
            "route 10.1.0.0/16 dev mv_blue table 192: missing",
        ),
        (
            "bypass-gone",
            "rule 19200 from fd10::/64 to fd10::/64 lookup 192: missing",
        ),
    ] {
        let said = check_of(state);
        assert!(
            said.lines().any(|line| line.starts_with(fact)),
            "{state}: {said}"
        );
    }
}

#[test]
fn c55_check_names_each_piece_of_the_pods_side_that_is_missing() {
    for (state, fact) in [
        ("link-gone", "macvlan eth0 on vx_blue is there: missing"),
        ("link-down", "eth0 is up: found down"),
        (
            "mac-other",
            "eth0 has address 0a:58:0a:01:00:17: found address 02:00:00:00:00:99",
        ),
        ("underlay-smaller", "eth0 has mtu 1350: found mtu 1450"),
        ("address-gone", "eth0 has 10.1.0.23/16: missing"),
        (
            "default-routes-gone",
            "route default via fd10::1 dev eth0: missing",
        ),
        (
            "switches-other",
            "net.ipv6.conf.eth0.accept_ra = 0: found 1",
        ),
    ] {
        let said = check_of(state);
        assert!(
            said.lines().any(|line| line.starts_with(fact)),
            "{state}: {said}"
        );
    }
}

#[test]
fn a_plan_is_empty_exactly_where_check_has_nothing_to_say() {
    each_state(|wanted, _, state| {
        let seen = observed(state, &wanted.reads(Probe::List));
        let facts = wanted.facts(&seen);
        let plan = plan::plan(&facts, &seen, &pod());
        assert_eq!(
            plan.is_empty(),
            plan::broken(&facts, &seen).is_empty(),
            "{}",
            state.display()
        );
    });
}

#[test]
fn every_state_has_its_files_and_no_others() {
    each_state(|_, case, state| {
        let mut found = names(state);
        found.retain(|name| name != "break.sh");
        let wanted = match state.ends_with("nothing") {
            true => ["plan.sh", "seen", "undo.sh"],
            false => ["check", "plan.sh", "seen"],
        };
        assert_eq!(found, wanted, "{}", state.display());
        let breaks = state.join("break.sh").exists();
        let plain = state.ends_with("nothing") || state.ends_with("standing");
        assert_ne!(breaks, plain, "{}", state.display());
        assert!(case.join("nothing").is_dir(), "{}", case.display());
    });
}

#[test]
fn every_script_is_one_that_sh_accepts() {
    each_state(|_, _, state| {
        for script in ["plan.sh", "break.sh", "undo.sh"] {
            let file = state.join(script);
            if fs::exists(&file).unwrap() {
                let sh = std::process::Command::new("sh")
                    .arg("-n")
                    .arg(&file)
                    .output();
                assert!(sh.unwrap().status.success(), "{}", file.display());
            }
        }
    });
}
