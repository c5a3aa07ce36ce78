//! Every command of the typed builder, in each form in which it is handed on.
//!
//! `commands/OBJECT/CASE` has the line to paste, the argv in a namespace that has a name and in one
//! that has only a path, and the line of a batch.

use std::collections::BTreeSet;
use std::process;

use regex::Regex;
use vxlan_cni::ip::addr::Role;
use vxlan_cni::ip::link::{self, Setting, Vxlan};
use vxlan_cni::ip::route::{self, Lookup, Route};
use vxlan_cni::ip::rule::{self, Fwmark, Rule};
use vxlan_cni::ip::sysctl::{self, SysctlKey};
use vxlan_cni::ip::{Command, Family, Netns, Program, TableId, addr, fdb, neigh, netns};

use crate::compare::{against, all_same, folder, names};

/// Takes a text as whatever it is wanted as.
pub fn a<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn named() -> Netns {
    Netns::from_path("/run/netns/pod").unwrap()
}

fn by_path() -> Netns {
    Netns::from_path("/proc/17/ns/net").unwrap()
}

fn table(number: u64) -> TableId {
    TableId::new(number).unwrap()
}

/// The cases of every object: where the golden file is, and the command.
fn cases() -> Vec<(String, Command)> {
    let objects = [
        ("addr", addresses()),
        ("fdb", entries()),
        ("link", links()),
        ("neigh", neighbours()),
        (
            "netns",
            vec![("pids", netns::command::pids(&named()).unwrap())],
        ),
        ("route", routes()),
        ("rule", rules()),
        ("sysctl", switches()),
    ];
    let case =
        |object: &str, (name, command): (&str, Command)| (format!("{object}/{name}"), command);
    objects
        .into_iter()
        .flat_map(|(object, cases)| cases.into_iter().map(move |one| case(object, one)))
        .collect()
}

fn addresses() -> Vec<(&'static str, Command)> {
    vec![
        (
            "replace-v4",
            addr::replace(a("10.1.0.23/16"), &a("eth0"), Role::Own),
        ),
        (
            "replace-v6-without-dad",
            addr::replace(a("fd10::23/64"), &a("eth0"), Role::Own),
        ),
        (
            "replace-v4-anycast",
            addr::replace(a("10.1.0.1/16"), &a("mv_blue"), Role::Anycast),
        ),
        (
            "replace-v6-anycast",
            addr::replace(a("fd10::1/64"), &a("mv_blue"), Role::Anycast),
        ),
        (
            "replace-v4-unnumbered",
            addr::replace(a("198.18.0.1/32"), &a("mv_blue"), Role::Unnumbered),
        ),
        ("lend", addr::lend(a("250.1.0.23/32"), &a("mv_blue"), 31)),
        ("del", addr::del(a("10.1.0.23/16"), &a("eth0"))),
        ("show-all", addr::show_all()),
        ("show-dynamic", addr::show_dynamic()),
        ("show", addr::show(&a("eth0"))),
    ]
}

fn entries() -> Vec<(&'static str, Command)> {
    vec![
        (
            "peer-listed",
            fdb::peer(&a("vx_blue"), a("198.18.0.2"), true),
        ),
        (
            "peer-gone",
            fdb::peer(&a("vx_blue"), a("198.18.0.2"), false),
        ),
        (
            "forget",
            fdb::forget(a("0a:58:0a:01:00:17"), &a("vx_blue"), a("198.18.0.2")),
        ),
        (
            "append-peer",
            fdb::append_peer(&a("vx_blue"), a("198.18.0.2")),
        ),
        (
            "append-peer-v6",
            fdb::append_peer(&a("vx_blue"), a("fd00::2")),
        ),
        (
            "append-peer-via",
            fdb::append_peer_via(&a("vx_blue"), a("239.1.1.1"), Some(&a("eth0"))),
        ),
        ("del-peer", fdb::del_peer(&a("vx_blue"), a("198.18.0.2"))),
        ("flood", fdb::flood(&a("vx_blue"))),
        ("show", fdb::show(&a("vx_blue"))),
        ("get", fdb::get(a("0a:58:0a:01:00:17"), &a("vx_blue"))),
    ]
}

/// A vxlan as a network without options wants it.
pub fn plain() -> Vxlan {
    Vxlan {
        v6: false,
        vni: vxlan_cni::ip::Vni::new(100).unwrap(),
        dev: Some(a("eth0")),
        local: None,
        group: Some(a("239.1.1.1")),
        ttl: 0,
        tos: 0,
        dstport: Vxlan::DSTPORT,
        srcport: None,
        learning: true,
        proxy: false,
        rsc: false,
        l2miss: false,
        l3miss: false,
        gbp: false,
        ageing: Vxlan::AGEING,
        maxaddress: 0,
    }
}

/// One with every option.
pub fn every_option() -> Vxlan {
    Vxlan {
        local: Some(a("198.18.0.1")),
        ttl: 7,
        tos: 0x10,
        dstport: 4790,
        srcport: Some((30000, 40000)),
        proxy: true,
        rsc: true,
        l2miss: true,
        l3miss: true,
        gbp: true,
        ageing: 77,
        maxaddress: 99,
        ..plain()
    }
}

fn links() -> Vec<(&'static str, Command)> {
    let vxlan = |vxlan: Vxlan| link::add_vxlan(&a("vx_blue"), &vxlan);
    let macvlan = |into: &Netns| link::add_macvlan(&a("eth0"), &a("vx_blue"), None, into);
    let set = |setting: Setting| link::set(&a("vx_blue"), &setting);
    vec![
        ("add-vxlan", vxlan(plain())),
        ("add-vxlan-with-every-option", vxlan(every_option())),
        (
            "add-vxlan-v6",
            vxlan(Vxlan {
                group: Some(a("ff05::100")),
                local: Some(a("fd00::1")),
                ..plain()
            }),
        ),
        (
            "add-vxlan-to-one-vtep",
            vxlan(Vxlan {
                group: Some(a("198.18.0.2")),
                dev: None,
                ..plain()
            }),
        ),
        (
            "add-vxlan-without-learning",
            vxlan(Vxlan {
                learning: false,
                ..plain()
            }),
        ),
        (
            "add-vxlan-that-never-forgets",
            vxlan(Vxlan {
                ageing: Vxlan::NEVER,
                ..plain()
            }),
        ),
        (
            "add-vxlan-with-inherited-tos",
            vxlan(Vxlan { tos: 1, ..plain() }),
        ),
        (
            "add-macvlan",
            link::add_macvlan(&a("mv_blue"), &a("vx_blue"), None, &Netns::Own),
        ),
        (
            "add-macvlan-with-an-address",
            link::add_macvlan(
                &a("mv_blue"),
                &a("vx_blue"),
                Some(a("0a:59:c6:12:00:01")),
                &Netns::Own,
            ),
        ),
        ("add-macvlan-into-a-named-netns", macvlan(&named())),
        ("add-macvlan-into-a-netns-by-path", macvlan(&by_path())),
        ("rename", link::rename(&a("tmp0f3a9c21bb04"), &a("eth0"))),
        ("set-up", set(Setting::Up)),
        ("set-mtu", set(Setting::Mtu(1450))),
        ("set-address", set(Setting::Address(a("0a:58:0a:01:00:17")))),
        ("set-txqueuelen", set(Setting::TxQueueLen(500))),
        ("set-arp-off", set(Setting::ArpOff)),
        ("set-addrgenmode-none", set(Setting::AddrGenModeNone)),
        ("set-bcqueuelen", set(Setting::BcQueueLen(3000))),
        (
            "set-a-device-with-odd-characters",
            link::set(&a("a;b&c"), &Setting::Up),
        ),
        ("del", link::del(&a("vx_blue"))),
        ("change-vxlan", link::change_vxlan(&a("vx_blue"), &plain())),
        ("change-macvlan", link::change_macvlan(&a("eth0"))),
        ("down", link::down(&a("eth0"))),
        ("show-macvlans", link::show_macvlans()),
        ("show", link::show(&a("vx_blue"))),
        ("show-vxlans", link::show_vxlans()),
        ("maddr", link::maddr(&a("vx_blue"))),
    ]
}

fn neighbours() -> Vec<(&'static str, Command)> {
    vec![
        (
            "replace",
            neigh::replace(a("10.1.0.23"), a("0a:58:0a:01:00:17"), &a("mv_blue")),
        ),
        (
            "replace-v6",
            neigh::replace(a("fd10::23"), a("0a:58:0a:01:00:17"), &a("mv_blue")),
        ),
        ("forget", neigh::forget(a("10.1.0.23"), &a("mv_blue"))),
        ("ask", neigh::ask(a("10.1.0.23"), &a("mv_blue"))),
        ("ask-v6", neigh::ask(a("fd10::23"), &a("mv_blue"))),
        (
            "probe",
            neigh::probe(a("10.1.0.23"), a("0a:58:0a:01:00:17"), &a("mv_blue")),
        ),
        (
            "probe-group",
            neigh::probe_group(a("10.1.0.23"), &a("mv_blue")),
        ),
        (
            "probe-group-v6",
            neigh::probe_group(a("fd10::23"), &a("mv_blue")),
        ),
        ("flush", neigh::flush(a("10.1.0.23"), &a("mv_blue"))),
        ("show", neigh::show(a("10.1.0.23"), &a("mv_blue"))),
        ("show-permanent", neigh::show_permanent()),
    ]
}

fn routes() -> Vec<(&'static str, Command)> {
    let route = |dst: &str, via: Option<&str>, dev: &str| Route::new(a(dst), via.map(a), &a(dev));
    let default = || route("0.0.0.0/0", Some("10.1.0.1"), "eth0");
    let default_v6 = || route("::/0", Some("fd10::1"), "eth0");
    let bypass = || Route {
        table: table(192),
        ..route("10.1.0.0/16", None, "mv_blue")
    };
    let claim = || Route {
        protocol: Some(192),
        metric: Some(4_194_304_000),
        ..route("10.1.0.23/32", None, "mv_blue")
    };
    let every = Route {
        metric: Some(50),
        protocol: Some(4),
        table: table(1000),
        mtu: Some(1400),
        advmss: Some(1360),
        scope: Some(0),
        ..route("10.9.0.0/16", Some("10.1.0.9"), "eth0")
    };
    vec![
        ("add-default", route::add(&default())),
        ("add-default-v6", route::add(&default_v6())),
        (
            "add-default-with-a-metric",
            route::add(&Route {
                metric: Some(100),
                ..default()
            }),
        ),
        (
            "add-default-v6-without-a-gateway",
            route::add(&route("::/0", None, "eth0")),
        ),
        ("add-with-every-word", route::add(&every)),
        ("add-claim", route::add(&claim())),
        ("append-default", route::append(&default())),
        ("append-default-v6", route::append(&default_v6())),
        ("replace-bypass", route::replace(&bypass())),
        (
            "replace-bypass-v6",
            route::replace(&Route {
                table: table(192),
                ..route("fd10::/64", None, "mv_blue")
            }),
        ),
        ("del-default", route::del(&default())),
        ("del-claim", route::del(&claim())),
        ("show", route::show(Family::V4, table(192), &a("mv_blue"))),
        (
            "show-v6",
            route::show(Family::V6, TableId::MAIN, &a("eth0")),
        ),
        ("show-advertised", route::show_advertised()),
        ("source", route::source(a("239.1.1.1"), &a("eth0"))),
        (
            "of-protocol",
            route::of_protocol(Family::V4, TableId::MAIN, 192),
        ),
        (
            "of-protocol-v6",
            route::of_protocol(Family::V6, table(77), 240),
        ),
        ("lookup", route::lookup(&Lookup::to(a("10.1.0.23")))),
        (
            "lookup-from",
            route::lookup(&Lookup::to(a("10.1.255.255")).from(a("10.1.0.1"))),
        ),
        ("lookup-v6", route::lookup(&Lookup::to(a("2000::1")))),
        (
            "lookup-marked-v6",
            route::lookup(&Lookup {
                mark: Some(Fwmark::bit(12)),
                ..Lookup::to(a("fd10::9"))
            }),
        ),
        ("get", route::get(a("198.18.0.2"))),
    ]
}

fn rules() -> Vec<(&'static str, Command)> {
    let bypass = |net: &str| Rule {
        pref: 19200,
        from: Some(a(net)),
        to: a(net),
        fwmark: None,
        lookup: table(192),
    };
    let marked = |net: &str| Rule {
        pref: 19199,
        from: None,
        fwmark: Some(Fwmark::bit(12)),
        ..bypass(net)
    };
    vec![
        ("add-marked", rule::add(&marked("10.1.0.0/16"))),
        ("add-marked-v6", rule::add(&marked("fd10::/64"))),
        ("del-marked", rule::del(&marked("10.1.0.0/16"))),
        ("add", rule::add(&bypass("10.1.0.0/16"))),
        ("add-v6", rule::add(&bypass("fd10::/64"))),
        ("del", rule::del(&bypass("10.1.0.0/16"))),
        ("del-v6", rule::del(&bypass("fd10::/64"))),
        ("show", rule::show(Family::V4, 19200)),
        ("show-v6", rule::show(Family::V6, 19200)),
    ]
}

fn switches() -> Vec<(&'static str, Command)> {
    let device = |dev: &str, name| SysctlKey::Device(Family::V4, a(dev), name);
    let all = SysctlKey::All(Family::V6, "forwarding");
    vec![
        (
            "write",
            sysctl::write(&[
                (SysctlKey::Ipv4Forward, "1".into()),
                (all.clone(), "1".into()),
            ]),
        ),
        (
            "write-a-device-with-a-dot",
            sysctl::write(&[(device("mv_a.b", "rp_filter"), "2".into())]),
        ),
        (
            "read",
            sysctl::read(&[SysctlKey::Ipv4Forward, all, device("eth0", "arp_notify")]),
        ),
    ]
}

/// A command in each form.
fn forms(command: &Command) -> String {
    let argv = |netns: &Netns| serde_json::to_string(&command.argv_in(netns)).unwrap();
    let mut forms = format!(
        "# the line to paste\n{command}\n\
         # its argv in the namespace with the name `pod`\n{}\n\
         # its argv in the namespace /proc/17/ns/net\n{}\n",
        argv(&named()),
        argv(&by_path())
    );
    // `sysctl` has no batch.
    if command.program() != Program::Sysctl {
        let family = command
            .selected_family()
            .map_or("any family", Family::option);
        forms += &format!(
            "# its line in a batch ({family})\n{}\n",
            command.batch_line()
        );
    }
    forms
}

#[test]
fn every_command_is_what_its_golden_file_says() {
    let root = folder().join("commands");
    all_same(
        cases()
            .iter()
            .map(|(case, command)| against(&root.join(case), &forms(command))),
    );
}

#[test]
fn every_golden_file_has_its_command() {
    let root = folder().join("commands");
    let files: BTreeSet<String> = names(&root)
        .iter()
        .flat_map(|object| {
            names(&root.join(object))
                .into_iter()
                .map(move |case| format!("{object}/{case}"))
        })
        .collect();
    let known: BTreeSet<String> = cases().into_iter().map(|(case, _)| case).collect();
    assert_eq!(files, known);
}

#[test]
fn every_function_that_builds_a_command_has_a_case() {
    let this = include_str!("commands.rs");
    let source = folder().join("../../src/ip");
    let builder = Regex::new(r"pub fn ([a-z0-9_]+)\([^{;]*-> (Option<)?Command>? \{").unwrap();
    let mut seen = 0;
    for file in names(&source).iter().filter(|name| name.ends_with(".rs")) {
        let text = std::fs::read_to_string(source.join(file)).unwrap();
        let module = file.trim_end_matches(".rs");
        for found in builder.captures_iter(&text) {
            let name = &found[1];
            let called = [
                format!("{module}::{name}("),
                format!("{module}::command::{name}("),
            ];
            assert!(
                called.iter().any(|call| this.contains(call)),
                "{module}::{name} has no case"
            );
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} functions found");
}

#[test]
fn a_shell_reads_the_pasted_line_as_the_argv() {
    for (case, command) in cases() {
        for netns in [Netns::Own, named(), by_path()] {
            let script = format!("set -- {}; printf '%s\\n' \"$@\"", command.shown_in(&netns));
            let output = process::Command::new("sh")
                .args(["-c", &script])
                .output()
                .unwrap();
            let words: Vec<String> = String::from_utf8(output.stdout)
                .unwrap()
                .lines()
                .map(str::to_owned)
                .collect();
            assert_eq!(words, command.argv_in(&netns), "{case}");
        }
    }
}
