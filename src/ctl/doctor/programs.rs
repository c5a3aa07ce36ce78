//! What the node must have before anything can work: programs and kernel drivers.

use std::path::Path;
use std::sync::LazyLock;

use super::probe::{ask, said};
use super::report::{Cause, Finding, Id};
use crate::exec::{System, is_installed};
use crate::ip::command::shell_line;
use crate::ip::json::documents;
use crate::ip::stderr::message;
use crate::ip::version::Version;
use crate::ip::{OLDEST, Program};
use crate::session::line::{EGRESS_NEEDS, NO_FILTER};

/// The programs, the package that brings each, and whether nothing works without it.
const PROGRAMS: [(&str, &str); 5] = [
    ("ip", "iproute2"),
    ("bridge", "iproute2"),
    ("nft", "nftables"),
    ("sysctl", "procps"),
    ("nsenter", "util-linux"),
];

/// The drivers, each with a function of it that the kernel's list of symbols shows once it is there.
const DRIVERS: [(&str, &str); 2] = [
    ("vxlan", "vxlan_newlink"),
    ("macvlan", "macvlan_common_newlink"),
];

/// What of the packet filter some network needs.
#[derive(Debug, Clone, Copy)]
pub struct Filters {
    /// The node's table.
    pub guard: bool,
    /// The pods' tables.
    pub anti_spoof: bool,
}

/// What was found of programs and drivers.
pub struct Programs {
    /// Each of them.
    pub findings: Vec<Finding>,
    /// That `nft` is missing where it is needed.
    pub no_nft: Option<Cause>,
}

/// Looks at programs and drivers, and at the packet filter where it is needed.
pub fn programs(system: &System, needed: Filters) -> Programs {
    let has_nft = needed.guard || needed.anti_spoof;
    let is_nft = |program: &str| program == Program::Nft.name();
    let (mut findings, mut no_nft) = (Vec::new(), None);
    let wanted = PROGRAMS.iter();
    for (program, package) in wanted.filter(|(program, _)| has_nft || !is_nft(program)) {
        let finding = installed(system, program, package);
        if is_nft(program) && !is_installed(program) {
            no_nft = Some(Cause::new("", &finding.message));
        }
        findings.push(finding);
    }
    findings.push(json(system));
    findings.extend(
        DRIVERS
            .iter()
            .map(|(driver, symbol)| has(system, driver, symbol)),
    );
    let is_there = no_nft.is_none();
    findings.extend((needed.guard && is_there).then(|| filters(system)));
    findings.extend((needed.anti_spoof && is_there).then(|| filters_the_way_out(system)));
    Programs { findings, no_nft }
}

fn installed(system: &System, program: &str, package: &str) -> Finding {
    let inspect = format!("{program} -V");
    let which = match program {
        "ip" => format!("{package} {OLDEST} or newer"),
        _ => package.to_owned(),
    };
    let wrong = |what: String| {
        let fix = format!("install {which} from your distribution");
        Finding::failed(Id::Program, what)
            .inspect(inspect.clone())
            .fix(fix)
    };
    let answer = ask(system, &[program, "-V"]);
    match (said(&answer), answer) {
        (Some(version), _) if program == "ip" => match Version::of(&version) {
            Some(found) if found.is_too_old() => wrong(format!("{version} is older than {OLDEST}")),
            None => wrong(format!(
                "{version}: no version of iproute2 {OLDEST} or newer"
            )),
            Some(_) => Finding::ok(Id::Program, version),
        },
        // nft says in lines of their own what it was built with.
        (Some(version), _) => {
            let first = version.lines().next().unwrap_or_default();
            Finding::ok(Id::Program, first)
        }
        (None, Err(error)) => wrong(error.to_string()),
        (None, Ok(output)) => wrong(format!("`{inspect}` failed: {}", output.stderr.trim())),
    }
}

fn json(system: &System) -> Finding {
    let inspect = "ip -j -d link show dev lo";
    let argv: Vec<&str> = inspect.split(' ').collect();
    let text = said(&ask(system, &argv)).unwrap_or_default();
    match documents(text.as_bytes()).as_deref() {
        Ok([_]) => Finding::ok(Id::IpJson, "ip prints JSON"),
        _ => Finding::failed(Id::IpJson, "ip prints no JSON")
            .inspect(inspect)
            .fix(format!(
                "install iproute2 {OLDEST} or newer; the ip of busybox is another program"
            )),
    }
}

/// Whether the kernel has a driver, or would load it; nothing is loaded to find out.
fn has(system: &System, driver: &str, symbol: &str) -> Finding {
    let loaded = Path::new("/sys/module").join(driver).exists();
    if loaded || kernel_has(symbol) {
        return Finding::ok(
            Id::KernelDriver,
            format!("the kernel has the driver {driver}"),
        );
    }
    let inspect = format!("modprobe -n {driver}");
    match ask(system, &["modprobe", "-n", "-q", driver]) {
        Ok(output) if output.code == Some(0) => Finding::ok(
            Id::KernelDriver,
            format!("the kernel would load the driver {driver}"),
        ),
        Ok(_) => Finding::failed(
            Id::KernelDriver,
            format!("the kernel has no driver {driver}"),
        )
        .inspect(inspect)
        .fix(format!(
            "install the kernel's modules (linux-modules-extra on Ubuntu), then: modprobe {driver}"
        )),
        Err(error) => {
            Finding::unknown(Id::KernelDriver, format!("driver {driver}: {error}")).inspect(inspect)
        }
    }
}

/// Whether the kernel would take a table of ours: `nft -c` asks, and nothing is made.
fn filters(system: &System) -> Finding {
    let inspect = "nft -c add table inet vxlan_cni";
    let argv: Vec<&str> = inspect.split(' ').collect();
    match ask(system, &argv) {
        Ok(output) if output.code == Some(0) => {
            Finding::ok(Id::Nftables, "the kernel filters packets by nftables")
        }
        Ok(output) => {
            let said = message(&output.stderr);
            let finding = Finding::failed(
                Id::Nftables,
                format!("the kernel takes no table of nftables: {said}"),
            );
            finding.inspect(inspect).fix(NO_FILTER)
        }
        Err(error) => Finding::unknown(Id::Nftables, format!("nftables: {error}")).inspect(inspect),
    }
}

/// Whether it would take a chain on the way out of a device.
fn filters_the_way_out(system: &System) -> Finding {
    let script = "add table netdev vxlan_cni; \
                  add chain netdev vxlan_cni out { type filter hook egress device \"lo\" priority 0; }";
    let argv = ["nft", "-c", script];
    let inspect = shell_line(&argv.map(str::to_owned));
    match ask(system, &argv) {
        Ok(output) if output.code == Some(0) => Finding::ok(
            Id::NetdevEgress,
            "the kernel filters what leaves a pod (netdev egress)",
        ),
        Ok(output) => {
            let said = message(&output.stderr);
            let finding = Finding::failed(Id::NetdevEgress, format!("antiSpoof cannot be: {said}"));
            finding.inspect(inspect).fix(EGRESS_NEEDS)
        }
        Err(error) => {
            Finding::unknown(Id::NetdevEgress, format!("antiSpoof: {error}")).inspect(inspect)
        }
    }
}

/// Functions of the kernel by which it is known what is built in.
const SYMBOLS: [&str; 3] = [DRIVERS[0].1, DRIVERS[1].1, NFTABLES];

/// One of nftables' own.
pub(super) const NFTABLES: &str = "nf_tables_newtable";

/// A driver that is built in shows nowhere else unless it has parameters. The list has more than a hundred thousand
/// lines and takes 60 ms: it is read once.
pub(super) fn kernel_has(symbol: &str) -> bool {
    static THERE: LazyLock<Vec<&str>> = LazyLock::new(|| {
        let symbols = std::fs::read_to_string("/proc/kallsyms").unwrap_or_default();
        let names = symbols
            .lines()
            .filter_map(|line| line.split_whitespace().nth(2));
        let names: Vec<&str> = names.filter(|name| SYMBOLS.contains(name)).collect();
        let is_there = |symbol: &&str| names.contains(symbol);
        SYMBOLS.into_iter().filter(is_there).collect()
    });
    THERE.contains(&symbol)
}
