//! What `ip -j -d -N`, `bridge -j` and `sysctl -n` print of each kind of thing, and what is read from it: the same of
//! every version of iproute2.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use vxlan_cni::ip::batch::{Answers, Batch, OnError};
use vxlan_cni::ip::fdb::FdbRecord;
use vxlan_cni::ip::link::{
    LinkRecord, MaddrRecord, PortRange, Setting, Vxlan, macvlan_differences, vxlan_differences,
};
use vxlan_cni::ip::neigh::NeighRecord;
use vxlan_cni::ip::route::{Protocol, Route, RouteRecord};
use vxlan_cni::ip::rule::{Fwmark, Rule, RuleRecord};
use vxlan_cni::ip::sysctl::SysctlKey;
use vxlan_cni::ip::{Family, IfName, Netns, TableId, addr, link, route, rule, sysctl};

use crate::commands::{a, every_option, plain};
use crate::compare::{captured, folder, names, shown};
use crate::transcript::{Said, said};

/// What the `ip` of one version printed.
struct Ip(PathBuf);

/// Looks at every version; the one that something is wrong with is the last to be named.
fn each(look: impl Fn(&Ip)) {
    for captured in captured("records") {
        println!("{}:", shown(&captured));
        look(&Ip(captured));
    }
}

impl Ip {
    fn file(&self, name: &str) -> Said {
        said(&self.0.join(name))
    }

    /// The records in the one document of a file.
    fn records<T: DeserializeOwned>(&self, name: &str) -> Vec<T> {
        let documents = self.file(name).documents();
        let [document] = &documents[..] else {
            panic!("{name}: wanted one document, got {}", documents.len())
        };
        serde_json::from_value(document.clone()).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The only record of a file.
    fn record<T: DeserializeOwned>(&self, name: &str) -> T {
        let mut all = self.records(name);
        assert_eq!(all.len(), 1, "{name}");
        all.remove(0)
    }

    fn told(&self, batch: &Batch, name: &str) -> Answers {
        let said = self.file(name);
        batch
            .answers(Some(said.code), said.stdout.as_bytes(), &said.stderr)
            .unwrap()
    }
}

fn route_to(dst: &str, via: Option<&str>, dev: &str) -> Route {
    Route::new(a(dst), via.map(a), &a(dev))
}

fn in_192(dst: &str) -> Route {
    Route {
        table: TableId::new(192).unwrap(),
        ..route_to(dst, None, "mv_blue")
    }
}

#[test]
fn every_golden_file_is_read_by_a_test() {
    let this = include_str!("records.rs");
    each(|ip| {
        for name in names(&ip.0) {
            assert!(
                this.contains(&format!("\"{name}\"")),
                "nobody reads records/{name}"
            );
        }
    });
}

#[test]
fn every_suite_has_an_iproute2_of_its_own() {
    let root = folder().join("records");
    assert_eq!(names(&root), ["bookworm", "bullseye", "sid", "trixie"]);
    let version = |suite: &String| Ip(root.join(suite)).file("version").stdout;
    let versions: BTreeSet<String> = names(&root).iter().map(version).collect();
    assert_eq!(versions.len(), 4, "{versions:?}");
}

#[test]
fn a_vxlan_with_every_option_is_what_its_command_made() {
    each(|ip| {
        let found: LinkRecord = ip.record("link-vxlan-with-every-option");
        assert_eq!(vxlan_differences(&found, &every_option()), [""; 0]);
        assert_eq!((found.ifindex, found.mtu, found.kind()), (3, 1450, "vxlan"));
        let data = found.data();
        let (low, high) = (30000, 40000);
        assert_eq!(data.port_range, Some(PortRange { low, high }));
        assert_eq!((data.ttl, data.tos.as_deref()), (Some(7), Some("0x10")));
        assert_eq!((data.ageing, data.limit, data.port), (77, 99, Some(4790)));
        for setting in [
            Setting::Up,
            Setting::Mtu(1450),
            Setting::Address(a("02:00:00:00:00:07")),
            Setting::TxQueueLen(500),
            Setting::ArpOff,
            Setting::AddrGenModeNone,
        ] {
            assert_eq!(found.holds(&setting), Some(true), "{setting:?}");
        }
        let found: LinkRecord = ip.record("link-vxlan-not-up");
        assert_eq!(found.holds(&Setting::Up), Some(false));
        assert_eq!(found.found(&Setting::Up), "down");
        assert_eq!(found.found(&Setting::Mtu(1)), "mtu 1450");
    });
}

#[test]
fn every_option_of_a_vxlan_that_differs_is_named_as_ip_spells_it() {
    each(|ip| {
        let found: LinkRecord = ip.record("link-vxlan-with-every-option");
        let differences = vxlan_differences(&found, &plain());
        for wanted in [
            "local is 198.18.0.1, wanted none",
            "ttl is 7, wanted 0",
            "tos is 0x10, wanted 0",
            "dstport is 4790, wanted 4789",
            "srcport is 30000 40000, wanted 0 0",
            "proxy is on, wanted off",
            "rsc is on, wanted off",
            "l2miss is on, wanted off",
            "l3miss is on, wanted off",
            "gbp is on, wanted off",
            "ageing is 77, wanted 300",
            "maxaddress is 99, wanted 0",
        ] {
            assert!(
                differences.iter().any(|found| found == wanted),
                "{wanted}: {differences:?}"
            );
        }
        assert_eq!(differences.len(), 12, "{differences:?}");
        let underlay: LinkRecord = ip.record("link-underlay");
        assert_eq!(
            vxlan_differences(&underlay, &plain()),
            ["it is a `veth`, not a vxlan"]
        );
    });
}

#[test]
fn a_vxlan_over_ipv6_shows_its_addresses_under_other_names() {
    each(|ip| {
        let found: LinkRecord = ip.record("link-vxlan-v6");
        let wanted = Vxlan {
            vni: vxlan_cni::ip::Vni::new(101).unwrap(),
            group: Some(a("ff05::100")),
            local: Some(a("fd00:18::1")),
            ..plain()
        };
        assert_eq!(vxlan_differences(&found, &wanted), [""; 0]);
        assert_eq!((found.mtu, wanted.overhead()), (1430, 70));
    });
}

#[test]
fn a_vxlan_to_one_vtep_shows_it_as_remote_and_an_inherited_tos_as_1() {
    each(|ip| {
        let found: LinkRecord = ip.record("link-vxlan-to-one-vtep");
        let wanted = Vxlan {
            vni: vxlan_cni::ip::Vni::new(102).unwrap(),
            group: Some(a("198.18.0.2")),
            dev: None,
            learning: false,
            tos: 1,
            ..plain()
        };
        assert_eq!(vxlan_differences(&found, &wanted), [""; 0]);
    });
}

#[test]
fn an_ageing_of_0_is_300_to_the_kernel_so_never_is_the_largest_number() {
    each(|ip| {
        // It was made with `ageing 0`.
        let found: LinkRecord = ip.record("link-vxlan-to-one-vtep");
        assert_eq!(found.data().ageing, Vxlan::AGEING);
        let found: LinkRecord = ip.record("link-vxlan-that-never-forgets");
        assert_eq!(found.data().ageing, Vxlan::NEVER);
    });
}

#[test]
fn a_macvlan_on_the_host_names_its_parent_and_has_its_addresses() {
    each(|ip| {
        let found: LinkRecord = ip.record("addr-macvlan-on-the-host");
        let parent: IfName = a("vx_blue");
        assert_eq!(macvlan_differences(&found, &parent, Some(3)), [""; 0]);
        assert_eq!(
            macvlan_differences(&found, &a("vx_red"), None),
            ["link is vx_blue, wanted vx_red"]
        );
        assert!(found.has_address(a("10.1.0.1/16")) && found.has_address(a("fd10::1/64")));
        assert!(!found.has_address(a("10.1.0.1/24")) && !found.has_address(a("10.1.0.2/16")));
        let scopes: Vec<&str> = found.addr_info.iter().map(|a| a.scope.as_str()).collect();
        // global, global, link.
        assert_eq!(scopes, ["0", "0", "253"]);
        // `ip addr show` leaves it out.
        assert_eq!(found.holds(&Setting::AddrGenModeNone), None);
    });
}

#[test]
fn a_macvlan_in_a_pod_has_its_parents_number_only() {
    each(|ip| {
        let found: LinkRecord = ip.record("addr-macvlan-in-a-pod");
        assert_eq!(
            (found.link.as_deref(), found.link_index, found.link_netnsid),
            (None, Some(3), Some(0))
        );
        let parent: IfName = a("vx_blue");
        assert_eq!(macvlan_differences(&found, &parent, Some(3)), [""; 0]);
        assert_eq!(
            macvlan_differences(&found, &parent, Some(4)),
            ["link is device 3, wanted vx_blue (device 4)"]
        );
        assert!(found.flag("UP") && found.has_address(a("fd10::23/64")));
        let found: LinkRecord = ip.record("addr-macvlan-in-a-pod-not-up");
        assert!(!found.flag("UP") && found.has_address(a("10.1.0.23/16")));
    });
}

#[test]
fn an_address_that_is_tentative_is_there_and_one_that_somebody_has_is_told() {
    each(|ip| {
        let tentative: LinkRecord = ip.record("addr-tentative");
        assert!(tentative.has_address(a("fd10::24/64")));
        let address = &tentative.addr_info[0];
        assert!(address.tentative && !address.dadfailed);
        let failed: LinkRecord = ip.record("addr-dadfailed");
        let address = &failed.addr_info[0];
        assert_eq!(address.local.to_string(), "fd10::23");
        assert!(address.tentative && address.dadfailed);
    });
}

#[test]
fn routes_of_the_table_main_are_found_by_what_they_are() {
    each(|ip| {
        let main: Vec<RouteRecord> = ip.records("route-main");
        let has = |wanted: &Route| main.iter().filter(|found| wanted.is(found)).count();
        let claim = Route {
            protocol: Some(192),
            metric: Some(4_194_304_000),
            ..route_to("10.1.0.77/32", None, "mv_blue")
        };
        assert_eq!(has(&claim), 1);
        assert_eq!(
            has(&Route {
                metric: None,
                ..claim.clone()
            }),
            0
        );
        assert_eq!(
            has(&Route {
                protocol: Some(240),
                ..claim
            }),
            0
        );
        let learnt = Route {
            protocol: Some(240),
            metric: Some(32),
            ..route_to("10.1.0.78/32", None, "mv_blue")
        };
        assert_eq!(has(&learnt), 1);
        let by_hand = Route {
            protocol: Some(4),
            metric: Some(50),
            ..route_to("10.9.0.0/16", Some("10.1.0.9"), "mv_blue")
        };
        assert_eq!(has(&by_hand), 1);
        let kernel = main
            .iter()
            .find(|found| found.dst == "10.1.0.0/16")
            .unwrap();
        assert_eq!(kernel.protocol, Some(Protocol::Number(2)));
        assert_eq!(kernel.kind.as_deref(), Some("unicast"));
    });
}

#[test]
fn default_routes_and_those_of_the_bypass_are_found_in_both_families() {
    each(|ip| {
        let has = |name: &str, wanted: Route| {
            let listed: Vec<RouteRecord> = ip.records(name);
            assert_eq!(
                listed.iter().filter(|found| wanted.is(found)).count(),
                1,
                "{name}: {listed:?}"
            );
        };
        has(
            "route-default",
            route_to("0.0.0.0/0", Some("198.18.0.254"), "eth0"),
        );
        has(
            "route-v6-default",
            route_to("::/0", Some("fd00:18::254"), "eth0"),
        );
        has("route-table-192", in_192("10.1.0.0/16"));
        has("route-v6-table-192", in_192("fd10::/64"));
        let claim = Route {
            protocol: Some(192),
            metric: Some(4_194_304_000),
            ..route_to("fd10::77/128", None, "mv_blue")
        };
        has("route-v6-main", claim);
    });
}

#[test]
fn a_route_with_several_ways_has_them_all() {
    each(|ip| {
        for (name, ways) in [
            ("route-multipath", ["10.1.0.8 mv_blue", "198.18.0.8 eth0"]),
            ("lookup-multipath", ["10.1.0.8 mv_blue", "198.18.0.8 eth0"]),
            ("route-v6-multipath", ["fd10::8 mv_blue", "fd00:18::8 eth0"]),
            (
                "lookup-v6-multipath",
                ["fd10::8 mv_blue", "fd00:18::8 eth0"],
            ),
        ] {
            let found: RouteRecord = ip.record(name);
            let way = |hop: &vxlan_cni::ip::route::NextHop| {
                format!(
                    "{} {}",
                    hop.gateway.as_deref().unwrap(),
                    hop.dev.as_deref().unwrap()
                )
            };
            // A look-up in IPv6 has the one first that the kernel would take: by a seed that it has from its start.
            let seen: BTreeSet<_> = found.nexthops.iter().map(way).collect();
            assert_eq!(seen, BTreeSet::from(ways.map(str::to_owned)), "{name}");
            assert_eq!(found.nexthops.len(), 2, "{name}");
            assert_eq!((found.gateway(), found.dev), (None, None), "{name}");
        }
    });
}

#[test]
fn a_lookup_tells_route_and_table_at_once() {
    each(|ip| {
        let has = |name: &str, wanted: Route| {
            let found: RouteRecord = ip.record(name);
            assert_eq!(found.table(), Some(wanted.table), "{name}");
            assert!(wanted.is(&found), "{name}: {found:?}");
        };
        has("lookup-by-the-rule", in_192("10.1.0.0/16"));
        has("lookup-v6-by-the-rule", in_192("fd10::/64"));
        has(
            "lookup-default",
            route_to("0.0.0.0/0", Some("198.18.0.254"), "eth0"),
        );
        has(
            "lookup-v6-default",
            route_to("::/0", Some("fd00:18::254"), "eth0"),
        );
        let claim: RouteRecord = ip.record("lookup-claim");
        assert_eq!(claim.protocol, Some(Protocol::Number(192)));
        assert_eq!(
            claim.shown(),
            "10.1.0.77 dev mv_blue proto 192 metric 4194304000"
        );
        let way: RouteRecord = ip.record("get");
        assert_eq!(way.destination(Family::V4), Some(a("203.0.113.1/32")));
        assert_eq!(way.gateway(), Some(a("198.18.0.254")));
    });
}

#[test]
fn rules_are_found_by_what_they_are() {
    each(|ip| {
        let bypass = |net: &str| Rule {
            pref: 19200,
            from: Some(a(net)),
            to: a(net),
            fwmark: None,
            lookup: TableId::new(192).unwrap(),
        };
        let found: RuleRecord = ip.record("rule");
        assert!(bypass("10.1.0.0/16").is(&found) && !bypass("10.1.0.0/17").is(&found));
        let found: RuleRecord = ip.record("rule-v6");
        assert!(bypass("fd10::/64").is(&found) && !bypass("10.1.0.0/16").is(&found));
        let marked = |net: &str| Rule {
            pref: 19199,
            from: None,
            fwmark: Some(Fwmark::bit(12)),
            ..bypass(net)
        };
        let found: RuleRecord = ip.record("rule-marked");
        assert!(marked("10.1.0.0/16").is(&found) && !bypass("10.1.0.0/16").is(&found));
        let found: RuleRecord = ip.record("rule-marked-v6");
        assert!(marked("fd10::/64").is(&found));
        let host: RuleRecord = ip.record("rule-of-one-host");
        assert_eq!(
            (host.src, host.srclen, host.dst),
            (Some(a("10.1.0.23")), None, None)
        );
        let kernel: RuleRecord = ip.record("rule-of-the-kernel");
        assert_eq!((kernel.src, kernel.table.as_str()), (None, "255"));
    });
}

#[test]
fn macvlans_on_a_vxlan_are_counted_in_whatever_namespace_they_are() {
    each(|ip| {
        let found: MaddrRecord = ip.record("maddr");
        // The gateway and two pods'; the vxlan's own membership is not counted.
        assert_eq!((found.ifname.as_str(), found.listeners()), ("vx_blue", 3));
        let nobody: MaddrRecord = ip.record("maddr-of-nobody");
        assert_eq!(nobody.listeners(), 0);
        assert!(ip.records::<MaddrRecord>("maddr-of-no-device").is_empty());
    });
}

#[test]
fn a_neighbour_has_answered_where_it_is_reachable() {
    each(|ip| {
        let mac = "0a:58:0a:01:00:17";
        for (name, state, known, answered) in [
            ("neigh-permanent", "PERMANENT", Some(mac), None),
            ("neigh-v6", "PERMANENT", Some(mac), None),
            (
                "neigh-reachable",
                "REACHABLE",
                Some("0a:58:0a:01:00:18"),
                Some("0a:58:0a:01:00:18"),
            ),
            ("neigh-failed", "FAILED", None, None),
        ] {
            let found: NeighRecord = ip.record(name);
            assert_eq!(found.state, [state], "{name}");
            assert_eq!(
                (found.lladdr.as_deref(), found.answered()),
                (known, answered),
                "{name}"
            );
        }
        assert!(ip.records::<NeighRecord>("neigh-unknown").is_empty());
    });
}

#[test]
fn forwarding_entries_name_their_vteps() {
    each(|ip| {
        let entries: Vec<FdbRecord> = ip.records("fdb");
        let peers: Vec<String> = entries
            .iter()
            .map(|entry| entry.dst.unwrap().to_string())
            .collect();
        assert_eq!(peers, ["239.1.1.1", "198.18.0.2"]);
        assert!(
            entries
                .iter()
                .all(|entry| entry.mac == "00:00:00:00:00:00" && entry.state == "permanent")
        );
    });
}

#[test]
fn switches_are_read_in_the_order_of_the_keys_and_one_that_is_not_there_is_named() {
    each(|ip| {
        let keys = [
            SysctlKey::Ipv4Forward,
            SysctlKey::All(Family::V6, "forwarding"),
            SysctlKey::Device(Family::V4, a("nope"), "arp_notify"),
        ];
        let batch = Batch::new(&Netns::Own, OnError::Continue, vec![sysctl::read(&keys)]);
        let said = ip.file("sysctl");
        assert_eq!(said.line, batch.argv().join(" "));
        assert_eq!(said.stdout, "0\n0\n");
        assert!(
            said.stderr.contains(keys[2].path().to_str().unwrap()),
            "{said:?}"
        );
    });
}

#[test]
fn the_answers_of_one_process_go_to_their_lines() {
    each(|ip| {
        let table = |number| route::show(Family::V4, TableId::new(number).unwrap(), &a("mv_blue"));
        let lines = vec![
            addr::show(&a("mv_blue")),
            link::show(&a("nope")),
            table(192),
            table(4444),
            rule::show(Family::V4, 19200),
            link::set(&a("vx_blue"), &Setting::Up),
            link::maddr(&a("vx_one")),
            link::show(&a("vx_one")),
            addr::show(&a("eth0")),
        ];
        let batch = Batch::new(&Netns::Own, OnError::Continue, lines);
        // The file was made with these very lines.
        let quoted: Vec<String> = batch
            .lines()
            .iter()
            .map(|l| format!("'{}'", l.batch_line()))
            .collect();
        let line = format!(
            "printf '%s\\n' {} | {}",
            quoted.join(" "),
            batch.argv().join(" ")
        );
        assert_eq!(ip.file("batch").line, line);
        let answers = ip.told(&batch, "batch");
        let printed: BTreeSet<usize> = (0..9)
            .filter(|index| answers.documents[*index].is_some())
            .collect();
        assert_eq!(printed, BTreeSet::from([0, 2, 3, 4, 6, 7, 8]));
        assert_eq!(answers.failures[0].line, Some(2));
        assert_eq!(answers.documents[3], Some(serde_json::json!([])));
        // Once a link was shown, no addresses are any more: the order of `Read` avoids it.
        let of = |index: usize| answers.documents[index].as_ref().unwrap();
        assert!(of(0)[0]["addr_info"].is_array() && of(8)[0].get("addr_info").is_none());
    });
}

#[test]
fn a_process_that_stops_has_answered_what_came_before() {
    each(|ip| {
        let lines = ["mv_blue", "nope", "vx_one"].map(a);
        let lines = vec![
            addr::show(&lines[0]),
            link::show(&lines[1]),
            link::show(&lines[2]),
        ];
        let answers = ip.told(
            &Batch::new(&Netns::Own, OnError::Stop, lines),
            "batch-that-stops",
        );
        assert!(answers.documents[0].is_some());
        assert_eq!(answers.documents[1..], [None, None]);
        assert_eq!((answers.failures[0].line, answers.code), (Some(2), Some(1)));
    });
}
