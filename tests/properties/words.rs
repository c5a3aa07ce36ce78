//! Names and commands: what is taken as a name is nothing more than one, and a command means the same to
//! whoever reads it: `sh`, `ip -batch`, `sysctl`, the journal's reader.

use std::net::IpAddr;
use std::process::{Command as Process, Stdio};

use ipnetwork::IpNetwork;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use vxlan_cni::ip::addr::Role;
use vxlan_cni::ip::command::shell_line;
use vxlan_cni::ip::link::{Setting, Vxlan};
use vxlan_cni::ip::route::{Lookup, Route};
use vxlan_cni::ip::rule::{Fwmark, Rule};
use vxlan_cni::ip::sysctl::SysctlKey;
use vxlan_cni::ip::{
    Command, Family, IfName, Mac, Netns, Program, TableId, Vni, addr, link, neigh, route, rule,
    sysctl,
};
use vxlan_cni::journal::Journal;

use crate::laws::commands::is_sound;
use crate::laws::records::Folder;
use crate::nearly::text;
use crate::tried;

/// Texts, many of them short enough for a device.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[!-~]{1,15}", 3 => "[a-z0-9_.-]{1,15}", 2 => text()]
}

fn ifname() -> BoxedStrategy<IfName> {
    name()
        .prop_filter_map("no name", |text| IfName::new(&text).ok())
        .boxed()
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|v4| IpAddr::V4(v4.into())),
        any::<u128>().prop_map(|v6| IpAddr::V6(v6.into())),
    ]
}

fn network() -> impl Strategy<Value = IpNetwork> {
    (address(), 0_u8..=128)
        .prop_filter_map("too long", |(ip, length)| IpNetwork::new(ip, length).ok())
}

fn mac() -> impl Strategy<Value = Mac> {
    any::<[u8; 6]>().prop_filter_map("not unicast", |octets| Mac::new(octets).ok())
}

fn netns() -> BoxedStrategy<Netns> {
    let path = prop_oneof![
        name().prop_map(|name| format!("/var/run/netns/{name}")),
        name().prop_map(|name| format!("/run/netns/{name}")),
        (0_u32..99999).prop_map(|pid| format!("/proc/{pid}/ns/net")),
        text(),
    ];
    let path = path.prop_filter_map("no namespace", |path| Netns::from_path(&path).ok());
    prop_oneof![1 => Just(Netns::Own), 4 => path].boxed()
}

fn a_route() -> impl Strategy<Value = Route> {
    let numbers = any::<(
        Option<u32>,
        Option<u8>,
        Option<u32>,
        Option<u32>,
        Option<u8>,
    )>();
    (
        network(),
        proptest::option::of(address()),
        ifname(),
        1_u64..=u32::MAX.into(),
        numbers,
    )
        .prop_map(
            |(dst, via, dev, table, (metric, protocol, mtu, advmss, scope))| Route {
                metric,
                protocol,
                mtu,
                advmss,
                scope,
                table: TableId::new(table).unwrap(),
                ..Route::new(dst, via, &dev)
            },
        )
}

fn a_vxlan() -> impl Strategy<Value = Vxlan> {
    let flags = any::<[bool; 6]>();
    let numbers = (
        1_u64..=vxlan_cni::ip::name::VNI_MAX.into(),
        any::<[u8; 2]>(),
        any::<[u32; 2]>(),
    );
    let ports = (any::<u16>(), any::<Option<(u16, u16)>>());
    let places = (
        proptest::option::of(ifname()),
        proptest::option::of(address()),
        proptest::option::of(address()),
    );
    (flags, numbers, ports, places).prop_map(
        |(
            flags,
            (vni, [ttl, tos], [ageing, maxaddress]),
            (dstport, srcport),
            (dev, local, group),
        )| {
            let [learning, proxy, rsc, l2miss, l3miss, gbp] = flags;
            let vni = Vni::new(vni).unwrap();
            Vxlan {
                v6: false,
                vni,
                dev,
                local,
                group,
                ttl,
                tos,
                dstport,
                srcport,
                learning,
                proxy,
                rsc,
                l2miss,
                l3miss,
                gbp,
                ageing,
                maxaddress,
            }
        },
    )
}

/// Every builder there is.
fn command() -> BoxedStrategy<Command> {
    let setting = prop_oneof![
        Just(Setting::Up),
        any::<u32>().prop_map(Setting::Mtu),
        mac().prop_map(Setting::Address),
        any::<u32>().prop_map(Setting::TxQueueLen),
        Just(Setting::ArpOff),
        Just(Setting::AddrGenModeNone),
        any::<u32>().prop_map(Setting::BcQueueLen),
    ];
    let link = prop_oneof![
        (ifname(), a_vxlan()).prop_map(|(name, vxlan)| link::add_vxlan(&name, &vxlan)),
        (ifname(), ifname(), netns())
            .prop_map(|(name, parent, into)| link::add_macvlan(&name, &parent, None, &into)),
        (ifname(), ifname()).prop_map(|(old, new)| link::rename(&old, &new)),
        (ifname(), setting).prop_map(|(name, setting)| link::set(&name, &setting)),
        ifname().prop_map(|name| link::del(&name)),
        ifname().prop_map(|name| link::show(&name)),
        ifname().prop_map(|name| link::maddr(&name)),
    ];
    let other = prop_oneof![
        (network(), ifname()).prop_map(|(address, dev)| addr::replace(address, &dev, Role::Own)),
        (network(), ifname()).prop_map(|(address, dev)| addr::del(address, &dev)),
        a_route().prop_map(|route| route::add(&route)),
        a_route().prop_map(|route| route::del(&route)),
        (address(), proptest::option::of(address())).prop_map(|(to, from)| route::lookup(
            &Lookup {
                to,
                from,
                mark: None
            }
        )),
        (any::<u32>(), network(), network()).prop_map(|(pref, from, to)| {
            rule::add(&Rule {
                pref,
                from: Some(from),
                to,
                fwmark: (pref % 2 == 0).then(|| Fwmark::bit((pref % 32) as u8)),
                lookup: TableId::MAIN,
            })
        }),
        (address(), mac(), ifname())
            .prop_map(|(address, mac, dev)| neigh::replace(address, mac, &dev)),
        (address(), ifname())
            .prop_map(|(address, dev)| vxlan_cni::ip::fdb::append_peer(&dev, address)),
        switches().prop_map(|keys| sysctl::read(&keys)),
        switches().prop_map(|keys| sysctl::write(
            &keys
                .into_iter()
                .map(|key| (key, "1".to_owned()))
                .collect::<Vec<_>>()
        )),
    ];
    // Boxed: by value these strategies are larger than a test's stack.
    prop_oneof![link.boxed(), other.boxed()].boxed()
}

/// Switches of the kernel, those of devices mostly.
fn switches() -> impl Strategy<Value = Vec<SysctlKey>> {
    let family = || select(&[Family::V4, Family::V6][..]);
    let key = prop_oneof![
        1 => Just(SysctlKey::Ipv4Forward),
        1 => family().prop_map(|family| SysctlKey::All(family, "forwarding")),
        6 => (family(), ifname()).prop_map(|(family, dev)| SysctlKey::Device(family, dev, "accept_ra")),
    ];
    vec(key, 1..4)
}

/// What `sh` reads in some lines, each given to a function that prints its words.
fn read_by_sh(lines: &[String]) -> Vec<Vec<String>> {
    let script: String = lines.iter().map(|line| format!("said {line}\n")).collect();
    let script = format!("said() {{ printf '%s\\0' \"$@\"; printf '\\n\\0'; }}\n{script}");
    let output = Process::new("sh").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{output:?}: {script}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let mut all = vec![Vec::new()];
    for word in printed.split_terminator('\0') {
        match word {
            "\n" => all.push(Vec::new()),
            word => all.last_mut().unwrap().push(word.to_owned()),
        }
    }
    all.pop();
    all
}

/// Whether `sh` takes a file as a script, without running it.
fn is_a_script(path: &std::path::Path) -> bool {
    let output = Process::new("sh")
        .arg("-n")
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    output.status.success() && output.stderr.is_empty()
}

proptest! {
    #![proptest_config(tried())]

    #[test]
    fn what_is_taken_as_an_interfaces_name_is_nothing_more(text in name()) {
        if let Ok(name) = IfName::new(&text) {
            prop_assert_eq!(name.as_str(), &text);
            prop_assert!((1..=15).contains(&text.len()) && !text.starts_with('-'));
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert!(!text.contains(['/', ':', '%', '#', '$', '"', '\'', '\\', '`', '=']));
            prop_assert!(![".", "..", "all", "default"].contains(&text.as_str()));
            let key = SysctlKey::Device(Family::V4, name.clone(), "arp_notify");
            prop_assert_eq!(key.path(), std::path::Path::new("/proc/sys/net/ipv4/conf").join(&text).join("arp_notify"));
            is_sound(&sysctl::read(std::slice::from_ref(&key)));
            is_sound(&sysctl::write(&[(key, "1".to_owned())]));
        }
    }

    #[test]
    fn what_is_taken_as_a_namespace_is_a_name_or_an_absolute_path(text in text()) {
        let taken = Netns::from_path(&text);
        if let Ok(netns) = &taken {
            let argument = netns.link_argument().unwrap();
            prop_assert!(!argument.is_empty() && !argument.starts_with('-'));
            prop_assert!(!argument.contains(|c: char| c.is_control() || "\"'#\\`".contains(c)));
            match netns {
                Netns::Named(name) => prop_assert!(!name.contains(['/', ' '])),
                Netns::Path(path) => prop_assert!(path.starts_with('/')),
                Netns::Own => prop_assert!(false, "{text:?} is the node's own"),
            }
        }
        prop_assert!(taken.is_err() || !text.contains(|c: char| c.is_control()));
    }

    #[test]
    fn a_mac_a_vni_and_a_table_are_read_back_as_they_are_shown(text in text(), octets: [u8; 6], number: u64) {
        for mac in [text.parse::<Mac>(), Mac::new(octets)].into_iter().flatten() {
            let shown = mac.to_string();
            prop_assert_eq!(shown.len(), 17);
            prop_assert_eq!(shown.parse(), Ok(mac));
            prop_assert_eq!(u8::from_str_radix(&shown[..2], 16).unwrap() & 1, 0);
        }
        if let Ok(vni) = Vni::new(number) {
            prop_assert!((1..1 << 24).contains(&u64::from(vni)));
        }
        if let Ok(table) = TableId::new(number) {
            prop_assert_eq!(TableId::from_shown(&table.to_string()), Some(table));
        }
        if let Some(table) = TableId::from_shown(&text) {
            prop_assert!(u64::from(table) > 0);
        }
    }

    #[test]
    fn sh_reads_every_line_as_the_words_it_was_made_of(all in vec(vec(text(), 1..6), 1..20)) {
        let no_nul = |word: &String| word.replace('\0', "");
        let all: Vec<Vec<String>> = all.iter().map(|words| words.iter().map(no_nul).collect()).collect();
        let words_of_one = |words: &Vec<String>| words.iter().any(|word| word == "\n");
        prop_assume!(!all.iter().any(words_of_one));
        let lines: Vec<String> = all.iter().map(|words| shell_line(words)).collect();
        prop_assert_eq!(read_by_sh(&lines), all);
    }

    #[test]
    fn every_command_is_the_same_as_argv_as_a_line_to_paste_and_as_a_line_of_a_batch(
        all in vec((command(), netns()), 1..20),
    ) {
        let lines: Vec<String> = all.iter().map(|(command, netns)| command.shown_in(netns)).collect();
        let argv: Vec<Vec<String>> = all.iter().map(|(command, netns)| command.argv_in(netns)).collect();
        prop_assert_eq!(read_by_sh(&lines), argv);
        for (command, netns) in &all {
            is_sound(command);
            prop_assert!(command.argv_in(netns).ends_with(command.words()));
            prop_assert!(command.program() != Program::Ip || !command.words()[0].starts_with('-'));
        }
    }
}

#[test]
fn a_journal_is_a_script_and_its_lines_are_the_commands_whatever_stands_beside_them() {
    let folder = Folder::new("journal");
    let path = folder.path().join("log");
    let part = (
        text(),
        text(),
        vec((command(), netns()), 0..8),
        text(),
        text(),
    );
    proptest!(tried(), |(parts in vec(part, 1..4))| {
        let _ = std::fs::remove_file(&path);
        let mut written = Vec::new();
        for (subject, notes, commands, remark, outcome) in &parts {
            let journal = Journal::new(&path, subject, notes);
            let lines: Vec<String> = commands.iter().map(|(command, netns)| command.shown_in(netns)).collect();
            journal.remark(remark);
            journal.commands(&lines);
            journal.end(outcome);
            written.extend(lines);
        }
        let log = std::fs::read_to_string(&path).unwrap();
        let kept: Vec<&str> = log.lines().filter(|line| !line.starts_with('#')).collect();
        prop_assert_eq!(kept, written);
        prop_assert!(is_a_script(&path), "{}", log);
    });
}
