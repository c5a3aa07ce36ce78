//! The IPAM `route-table` on the real kernel: two nodes whose `eth0` is the network of the pool.

mod contest;
mod flood;
mod full;
mod liar;
mod plugins;
mod versions;

use std::path::PathBuf;
use std::process::Child;

use serde_json::{Value, json};

use crate::support::lab::{Lab, Net, Node, address, ipv6, until};
use crate::support::plugin::{Call, Program, Said, signal};

/// The network of the pools; each node has an address on it.
const SUBNET: &str = "10.9.0.0/24";

/// A lab whose nodes are on the network of the pools, as `10.9.0.1`, `10.9.0.2` and `fd09::1`, `fd09::2`.
fn lab(nodes: usize) -> Lab {
    let lab = Lab::new(nodes);
    for node in lab.nodes() {
        let number = node.index + 1;
        node.ip(&format!("addr add 10.9.0.{number}/24 dev eth0"));
        if ipv6::kernel_has_it() {
            node.batch(&[
                format!("addr add fd09::{number}/64 dev eth0 nodad"),
                // The kernel asks the wire for IPv6 neighbours from its link-local address.
                format!("addr add fe80::{number}/64 dev eth0 nodad"),
            ]);
        }
    }
    for node in lab.nodes() {
        // What the kernel marks when it notices the carrier must not come in between two snapshots.
        let carrier = || node.device("eth0")["operstate"] == "UP";
        until("eth0 has a carrier", carrier);
    }
    lab
}

/// `route-table` on one node.
struct Ipam<'a> {
    node: &'a Node,
    config: Value,
}

impl<'a> Ipam<'a> {
    /// With one range and more keys of `ipam`.
    fn new(node: &'a Node, range: Value, more: Value) -> Self {
        let mut ipam = json!({
            "type": "route-table",
            "ranges": [[range]],
            "dataDir": node.dir().join("route-table"),
            "logFile": node.dir().join("route-table.log"),
        });
        for (key, value) in more.as_object().unwrap() {
            ipam[key] = value.clone();
        }
        let config = json!({"cniVersion": "1.1.0", "name": "lab", "type": "any", "ipam": ipam});
        Self { node, config }
    }

    /// With a pool of a few addresses, `10.9.0.FIRST` to `10.9.0.LAST`.
    fn small(node: &'a Node, first: u8, last: u8) -> Self {
        let end = |last: u8| format!("10.9.0.{last}");
        let range = json!({"subnet": SUBNET, "rangeStart": end(first), "rangeEnd": end(last)});
        Self::new(node, range, json!({}))
    }

    /// With another value in the configuration.
    fn with(mut self, pointer: &str, value: Value) -> Self {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        self.config.pointer_mut(parent).unwrap()[key] = value;
        self
    }

    fn call(&self, verb: &str, container: &str) -> Call {
        // A pool or an address.
        if self.config["ipam"].to_string().contains("\"fd") {
            ipv6::is_needed_on_the_underlay();
        }
        let [nsenter, net] = self.node.enter();
        Call::verb(Program::RouteTable, verb, &self.config)
            .behind(&[&nsenter, &net])
            .attachment(container, "/run/netns/any", "eth0")
    }

    fn say(&self, verb: &str, container: &str) -> Said {
        self.call(verb, container).run()
    }

    /// Asks for one address.
    fn wanting(&self, container: &str, address: &str) -> Call {
        self.call("ADD", container)
            .env("CNI_ARGS", &format!("IgnoreUnknown=1;IP={address}"))
    }

    fn add(&self, container: &str) -> String {
        address(&self.say("ADD", container).ok(), 0)
    }

    fn del(&self, container: &str) {
        assert_eq!(self.say("DEL", container).ok(), Value::Null);
    }

    /// The files of the records.
    fn records(&self) -> Vec<PathBuf> {
        let dir = self.node.dir().join("route-table/address");
        let entries = std::fs::read_dir(dir).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// No claim, no record, no neighbour is left.
    fn assert_nothing_left(&self) {
        let claims = self.claims();
        let journal = std::fs::read_to_string(self.node.dir().join("route-table.log"));
        assert!(claims.is_empty(), "{claims:?}:\n{}", journal.unwrap());
        assert!(self.records().is_empty(), "{:?}", self.records());
        let owners = self.node.dir().join("route-table/owner");
        assert!(std::fs::read_dir(owners).is_ok_and(|mut dir| dir.next().is_none()));
        assert!(self.beacons().is_empty(), "{:?}", self.beacons());
    }

    /// Nothing is left of asking the wire either.
    fn assert_nobody_is_asked(&self) {
        let asked = self.node.show("neigh show");
        let left = |entry: &Value| {
            let dst: std::net::IpAddr = entry["dst"].as_str().unwrap().parse().unwrap();
            matches!(dst, std::net::IpAddr::V4(dst) if dst.octets()[0] >= 240)
        };
        assert!(!asked.as_array().unwrap().iter().any(left), "{asked}");
    }

    /// The beacons of claims on this node.
    fn beacons(&self) -> Vec<String> {
        let of = |name| {
            self.node.device(name)["addr_info"]
                .as_array()
                .unwrap()
                .clone()
        };
        let local = |address: Value| address["local"].as_str().unwrap().to_owned();
        let all = ["eth0", "lo"].into_iter().flat_map(of).map(local);
        all.filter(|address| {
            address
                .parse()
                .is_ok_and(|ip: std::net::Ipv4Addr| ip.octets()[0] >= 240)
        })
        .collect()
    }

    /// The addresses claimed by routes on this node.
    fn claims(&self) -> Vec<String> {
        let shown = |words: &str| self.node.show(words).as_array().unwrap().clone();
        let mut routes = shown("route show table main proto 192");
        if ipv6::kernel_has_it() {
            routes.extend(shown("-6 route show table main proto 192"));
        }
        let dst = |route: &Value| route["dst"].as_str().unwrap().to_owned();
        routes.iter().map(dst).collect()
    }
}

#[test]
fn a_claim_is_a_host_route_that_comes_with_add_and_goes_with_del() {
    let lab = lab(1);
    let range = json!({"subnet": SUBNET, "gateway": "10.9.0.1"});
    let ipam = Ipam::new(lab.node(0), range, json!({}));
    let before = lab.node(0).snapshot();
    let result = ipam.say("ADD", "a").ok();
    let claimed = address(&result, 0);
    assert_eq!(
        result,
        json!({"cniVersion": "1.1.0", "ips": [{"address": format!("{claimed}/24"), "gateway": "10.9.0.1"}]})
    );
    let route = lab.node(0).route_to(&claimed);
    assert_eq!(route["dst"], claimed.as_str());
    assert_eq!(
        (&route["dev"], &route["protocol"], &route["metric"]),
        (&json!("eth0"), &json!("eigrp"), &json!(4_194_304_000_u32))
    );
    ipam.say("CHECK", "a").ok();
    ipam.del("a");
    lab.node(0).snapshot().assert_same(&before);
    ipam.assert_nothing_left();
    ipam.del("a");
}

#[test]
fn protocol_metric_and_device_are_configurable() {
    let lab = lab(1);
    let more = json!({"routeProtocol": 240, "routeMetric": 7, "device": "lo"});
    let ipam = Ipam::new(lab.node(0), json!({"subnet": SUBNET}), more);
    let route = lab.node(0).route_to(&ipam.add("a"));
    assert_eq!(
        (&route["dev"], &route["protocol"], &route["metric"]),
        (&json!("lo"), &json!("240"), &json!(7))
    );
    ipam.say("CHECK", "a").ok();
    ipam.del("a");
    assert!(lab.node(0).route_to("10.9.0.77")["dst"] == "10.9.0.0/24");
}

#[test]
fn r1_a_late_del_frees_nobody_elses_address() {
    let lab = lab(1);
    let ipam = Ipam::small(lab.node(0), 50, 50);
    assert_eq!(ipam.add("a"), "10.9.0.50");
    ipam.del("a");
    assert_eq!(ipam.add("b"), "10.9.0.50");
    ipam.del("a");
    assert_eq!(ipam.claims(), ["10.9.0.50"]);
    ipam.say("CHECK", "b").ok();
    ipam.del("b");
    ipam.assert_nothing_left();
}

#[test]
fn a_second_add_without_a_del_is_refused_and_the_first_claim_stays() {
    let lab = lab(1);
    let ipam = Ipam::small(lab.node(0), 50, 60);
    let first = ipam.add("a");
    let said = ipam.say("ADD", "a").error(4);
    assert!(said.contains(&first) && said.contains("DEL"), "{said}");
    assert_eq!(ipam.claims(), [first]);
}

#[test]
fn an_add_over_a_record_that_is_cut_short_frees_the_route_with_the_record() {
    let lab = lab(1);
    let ipam = Ipam::small(lab.node(0), 50, 60).with("/ipam/order", json!("sequential"));
    let first = ipam.add("a");
    std::fs::write(&ipam.records()[0], "{").unwrap();
    assert_eq!(ipam.add("a"), first);
    assert_eq!(ipam.claims(), [first]);
    ipam.del("a");
    ipam.assert_nothing_left();
}

#[test]
fn a_taken_address_is_refused_at_once_with_who_has_it() {
    let lab = lab(2);
    let (one, two) = (lab.node(0), lab.node(1));
    let ipam = Ipam::new(one, json!({"subnet": SUBNET}), json!({}));
    let pod = "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-1;IP=10.9.0.50";
    ipam.call("ADD", "a").env("CNI_ARGS", pod).run().ok();
    one.ip("route add 10.9.0.51 via 198.18.0.2 proto 186 metric 32");
    two.ip("addr add 10.9.0.52/32 dev eth0");
    let before = one.snapshot();
    for (wanted, who) in [
        ("10.9.0.50", "pod shop/web-1, container a/eth0 on this node"),
        (
            "10.9.0.51",
            "the route `10.9.0.51 via 198.18.0.2 dev eth0 proto 186 metric 32`",
        ),
        ("10.9.0.52", "answers for it on eth0"),
        ("10.9.0.1", "the route `local 10.9.0.1 dev eth0"),
    ] {
        let said = ipam.wanting("b", wanted).run().error(11);
        assert!(
            said.contains(&format!("{wanted} is taken")) && said.contains(who),
            "{said}"
        );
        one.snapshot().assert_same(&before);
        assert_eq!(ipam.records().len(), 1);
    }
}

#[test]
fn r9_an_address_that_is_never_handed_out_cannot_be_asked_for_either() {
    let lab = lab(1);
    let range = json!({"subnet": SUBNET, "gateway": "10.9.0.1", "rangeStart": "10.9.0.10"});
    let ipam = Ipam::new(lab.node(0), range, json!({"exclude": ["10.9.0.64/26"]}));
    for (wanted, why) in [
        ("10.9.0.0", "outside"),
        ("10.9.0.255", "outside"),
        ("10.9.0.9", "outside of 10.9.0.10 to 10.9.0.254"),
        ("10.9.0.70", "excluded by 10.9.0.64/26"),
        ("10.10.0.1", "outside"),
        ("fd09::9", "no pool of IPv6"),
        ("10.9.0.20/16", "length is /24"),
        ("banana", "not an address"),
        ("10.9.0.20,10.9.0.21", "another address of the same pool"),
    ] {
        let said = ipam.wanting("a", wanted).run().error(7);
        assert!(said.contains(why), "{wanted}: {said}");
    }
    assert!(ipam.claims().is_empty());
}

#[test]
fn r9_other_nodes_gateways_are_not_handed_out_though_no_route_tells_of_them() {
    let lab = lab(2);
    let ipam = Ipam::small(lab.node(0), 1, 3);
    assert_eq!(ipam.add("a"), "10.9.0.3");
}

#[test]
fn r5_a_full_pool_says_so() {
    let lab = lab(2);
    let (one, two) = (lab.node(0), lab.node(1));
    let (here, there) = (Ipam::small(one, 50, 53), Ipam::small(two, 50, 53));
    let mut got = vec![here.add("a"), here.add("b"), here.add("c"), here.add("d")];
    got.sort();
    assert_eq!(got, ["10.9.0.50", "10.9.0.51", "10.9.0.52", "10.9.0.53"]);
    let said = here.say("ADD", "e").error(102);
    assert!(said.contains("4 of 4 addresses used"), "{said}");
    let said = here.say("STATUS", "").error(50);
    assert!(said.contains("4 of 4 addresses used"), "{said}");
    // On the other node no route tells of them, but whoever has them answers.
    one.batch(&got.map_addresses());
    let said = there.say("ADD", "e").error(102);
    assert!(said.contains("4 of 4 addresses used"), "{said}");
    there.assert_nothing_left();
}

/// The lines that give addresses to `eth0`.
trait MapAddresses {
    fn map_addresses(&self) -> Vec<String>;
}

impl MapAddresses for Vec<String> {
    fn map_addresses(&self) -> Vec<String> {
        let line = |address: &String| format!("addr add {address}/32 dev eth0");
        self.iter().map(line).collect()
    }
}

#[test]
fn r6_a_sigterm_in_the_middle_of_a_claim_withdraws_it() {
    let lab = lab(1);
    let ipam = slow(lab.node(0));
    let child = ipam.call("ADD", "a").start();
    until("the route is there", || ipam.claims().len() == 1);
    signal(&child, "TERM");
    let said = Said::by(child).error(11);
    assert!(said.contains("SIGTERM"), "{said}");
    ipam.assert_nothing_left();
}

#[test]
fn r6_what_a_sigkill_in_the_middle_of_a_claim_leaves_is_freed_by_del() {
    let lab = lab(1);
    let ipam = slow(lab.node(0));
    let child = ipam.call("ADD", "a").start();
    until("the route is there", || ipam.claims().len() == 1);
    signal(&child, "KILL");
    assert_eq!(Said::by(child).code, -1);
    assert_eq!(ipam.claims().len(), 1);
    ipam.del("a");
    ipam.assert_nothing_left();
}

/// With a wait long enough to act in the middle of it.
fn slow(node: &Node) -> Ipam<'_> {
    let more = json!({"propagationTimeoutMs": 60_000, "requestTimeoutMs": 120_000});
    Ipam::new(node, json!({"subnet": SUBNET}), more)
}

#[test]
fn r8_claims_at_the_same_moment_on_one_node_get_an_address_each() {
    let lab = lab(1);
    let ipam = Ipam::small(lab.node(0), 50, 65);
    let children: Vec<Child> = (0..16)
        .map(|n| ipam.call("ADD", &format!("c{n}")).start())
        .collect();
    let said: Vec<Said> = children.into_iter().map(Said::by).collect();
    let mut got: Vec<String> = said.iter().map(|said| address(&said.ok(), 0)).collect();
    got.sort();
    got.dedup();
    assert_eq!(got.len(), 16);
    for n in 0..16 {
        ipam.del(&format!("c{n}"));
    }
    ipam.assert_nothing_left();
}

#[test]
fn r8_of_those_who_ask_for_one_address_at_the_same_moment_one_gets_it() {
    let lab = lab(1);
    let ipam = Ipam::small(lab.node(0), 50, 65);
    let children: Vec<Child> = (0..8)
        .map(|n| ipam.wanting(&format!("c{n}"), "10.9.0.60").start())
        .collect();
    let said: Vec<Said> = children.into_iter().map(Said::by).collect();
    let (won, lost): (Vec<Said>, Vec<Said>) = said.into_iter().partition(|said| said.code == 0);
    assert_eq!(won.len(), 1, "{lost:?}");
    for said in lost {
        assert!(said.error(11).contains("10.9.0.60 is taken"));
    }
    assert_eq!(ipam.claims(), ["10.9.0.60"]);
    assert_eq!(ipam.records().len(), 1);
}

#[test]
fn r12_an_ipv6_pool_of_any_length_gives_addresses() {
    let lab = lab(1);
    for (subnet, length) in [("fd09::/64", 64), ("fd09::/112", 112), ("fd09::8/125", 125)] {
        let ipam = Ipam::new(lab.node(0), json!({"subnet": subnet}), json!({}));
        let result = ipam.say("ADD", "a").ok();
        let cidr = result["ips"][0]["address"].as_str().unwrap();
        assert!(cidr.ends_with(&format!("/{length}")), "{cidr}");
        assert_eq!(ipam.claims(), [address(&result, 0)]);
        ipam.say("CHECK", "a").ok();
        ipam.del("a");
        ipam.assert_nothing_left();
    }
}

#[test]
fn an_ipv6_address_that_answers_on_the_wire_is_taken() {
    ipv6::is_needed_on_the_underlay();
    let lab = lab(2);
    lab.node(1).ip("addr add fd09::52/128 dev eth0 nodad");
    let ipam = Ipam::new(lab.node(0), json!({"subnet": "fd09::/64"}), json!({}));
    let said = ipam.wanting("a", "fd09::52").run().error(11);
    assert!(said.contains("answers for it on eth0"), "{said}");
    ipam.assert_nothing_left();
}

#[test]
fn a_claim_by_a_nexthop_object_that_other_routes_share_is_taken_and_named() {
    let lab = lab(1);
    let node = lab.node(0);
    let wanted = "fd09::52";
    let ipam = Ipam::new(node, json!({"subnet": "fd09::/64"}), json!({}));
    // FRR makes such routes. For each that shares the object the kernel answers with the destination of the route
    // that was looked up first on the same processor.
    let shared = "fd09::51";
    node.ip("nexthop add id 1 via fe80::2 dev eth0");
    for to in [shared, wanted] {
        node.ip(&format!("-6 route add {to} nhid 1 proto bgp"));
    }
    node.sh(&format!(
        "for cpu in $(seq 0 $(($(nproc --all) - 1))); do taskset -c $cpu ip route get {shared}; done"
    ));
    let said = ipam.wanting("a", wanted).run().error(11);
    let named = format!("{wanted} is taken: the route `{wanted} via fe80::2 dev eth0");
    assert!(said.contains(&named), "{said}");
    ipam.add("a");
    ipam.say("CHECK", "a").ok();
    ipam.del("a");
    ipam.assert_nothing_left();
}

#[test]
fn two_families_come_from_one_add_and_go_with_one_del() {
    let lab = lab(1);
    let ranges = json!([[{"subnet": SUBNET}], [{"subnet": "fd09::/64"}]]);
    let ipam = Ipam::small(lab.node(0), 1, 9).with("/ipam/ranges", ranges);
    let result = ipam.say("ADD", "a").ok();
    assert_eq!(ipam.claims(), [address(&result, 0), address(&result, 1)]);
    // Where one family has nothing left the other's claim is withdrawn.
    lab.node(0).ip("addr add fd09:1::1/64 dev eth0 nodad");
    let full = json!([[{"subnet": SUBNET}], [{"subnet": "fd09:1::1/128"}]]);
    let full = Ipam::small(lab.node(0), 1, 9).with("/ipam/ranges", full);
    full.say("ADD", "b").error(102);
    assert_eq!(ipam.claims().len(), 2);
    ipam.del("a");
    ipam.assert_nothing_left();
}

#[test]
fn r7_no_look_up_lists_more_than_one_entry() {
    let lab = lab(1);
    let node = lab.node(0);
    let log = node.dir().join("lines");
    // An `ip` that gives up leaves nothing that waits for more.
    let body = format!(
        "export PATH={}\n\
         exec 3<&0\n\
         pipe={1}.$$\n\
         mkfifo $pipe\n\
         tee -a {1} <&3 >$pipe &\n\
         code=0\n\
         ip \"$@\" <$pipe || code=$?\n\
         kill $! 2>/dev/null\n\
         exit $code",
        std::env::var("PATH").unwrap(),
        log.display()
    );
    let stand_in = lab.script("bin", "ip", &body);
    let ipam = Ipam::small(node, 50, 60);
    let path = format!("{}:{}", stand_in.display(), std::env::var("PATH").unwrap());
    for verb in ["STATUS", "ADD", "CHECK", "DEL"] {
        ipam.call(verb, "a").env("PATH", &path).run().ok();
    }
    let lines = std::fs::read_to_string(log).unwrap();
    let reads = lines
        .lines()
        .filter(|line| line.contains("show") || line.contains("get"));
    let exact = |line: &&str| {
        line.starts_with("route get fibmatch 10.9.0.")
            || line.starts_with("neigh show to 10.9.0.")
            || line.starts_with("neigh show to 250.9.0.")
            || *line == "link show dev lo"
    };
    let reads: Vec<&str> = reads.collect();
    assert!(reads.len() > 3, "{lines}");
    assert!(reads.iter().all(exact), "{lines}");
}

#[test]
fn the_originals_arguments_do_what_they_did() {
    let lab = lab(1);
    let ipam = Ipam::small(lab.node(0), 1, 9).with("/ipam/ranges", Value::Null);
    let with = |container: &str, args: &str| ipam.call("ADD", container).env("CNI_ARGS", args);
    let args = "CIDR=10.9.0.0/24;EXCLUDE_FIRST=250;EXCLUDE_LAST=4";
    let got = with("a", args).run().ok();
    assert!(
        ["10.9.0.250", "10.9.0.251"].contains(&&*address(&got, 0)),
        "{got}"
    );
    let got = with("b", "CIDR=10.9.0.77/24").run().ok();
    assert_eq!(got["ips"][0]["address"], "10.9.0.77/24");
    for (args, why) in [
        (
            "CIDR=10.9.0.0/24;EXCLUDE_FIRST=many",
            "CNI_ARGS EXCLUDE_FIRST",
        ),
        ("CIDR=banana", "CNI_ARGS CIDR: `banana`"),
        (
            "CIDR=10.9.0.0/30;EXCLUDE_FIRST=3;EXCLUDE_LAST=2",
            "leave no address",
        ),
        ("", "ipam.ranges: missing"),
    ] {
        let said = with("c", args).run().error(7);
        assert!(said.contains(why), "{said}");
    }
    ipam.del("a");
    ipam.del("b");
    ipam.assert_nothing_left();
}

#[test]
fn check_names_a_claim_that_is_missing_or_seen_elsewhere() {
    let lab = lab(2);
    let node = lab.node(0);
    let ipam = Ipam::small(node, 50, 50);
    let said = ipam.say("CHECK", "a").error(101);
    assert!(said.contains("no record"), "{said}");
    ipam.add("a");
    node.ip("route add 10.9.0.50 via 198.18.0.2 proto 186 metric 32");
    let said = ipam.say("CHECK", "a").error(101);
    assert!(said.contains("claimed elsewhere too"), "{said}");
    assert!(said.contains("via 198.18.0.2"), "{said}");
    let wider = Ipam::small(node, 50, 60);
    let said = wider.say("STATUS", "").error(50);
    let two = "10.9.0.50 has two owners: container a/eth0 on this node, and the route `10.9.0.50 via 198.18.0.2";
    assert!(said.contains(two), "{said}");
    node.ip("route del 10.9.0.50 via 198.18.0.2");
    node.ip("route del 10.9.0.50 proto 192");
    let said = ipam.say("CHECK", "a").error(101);
    assert!(said.contains("the claim of 10.9.0.50 is missing"), "{said}");
    let again = "ip route add 10.9.0.50/32 dev eth0 proto 192 metric 4194304000";
    assert!(said.contains(again), "{said}");
    node.sh(again);
    ipam.say("CHECK", "a").ok();
    ipam.del("a");
}

#[test]
fn gc_frees_what_is_not_on_the_list_and_only_of_its_own_network() {
    let lab = lab(1);
    let ipam = Ipam::small(lab.node(0), 50, 60);
    let other = Ipam::small(lab.node(0), 50, 60).with("/name", json!("other"));
    let (kept, stale, others) = (ipam.add("kept"), ipam.add("stale"), other.add("others"));
    ipam.say("GC", "").error(4);
    let gc = |list: Value| {
        let mut ipam = Ipam::small(lab.node(0), 50, 60);
        ipam.config["cni.dev/valid-attachments"] = list;
        ipam.call("GC", "").env("CNI_PATH", "/nowhere").run()
    };
    gc(Value::Null).ok();
    assert_eq!(ipam.claims().len(), 3);
    let said = gc(json!(7)).error(7);
    assert!(said.contains("cni.dev/valid-attachments"), "{said}");
    assert_eq!(ipam.claims().len(), 3);
    gc(json!([{"containerID": "kept", "ifname": "eth0"}])).ok();
    let left = ipam.claims();
    assert!(left.contains(&kept) && left.contains(&others) && !left.contains(&stale));
    gc(json!([])).ok();
    assert_eq!(ipam.claims(), [others]);
}

#[test]
fn a_pool_on_no_device_of_the_node_is_refused_with_what_to_do() {
    let lab = lab(1);
    let ipam = Ipam::new(lab.node(0), json!({"subnet": "10.77.0.0/24"}), json!({}));
    let said = ipam.say("ADD", "a").error(7);
    assert!(
        said.contains("no device") && said.contains("ip route get fibmatch"),
        "{said}"
    );
    lab.node(0).ip("route add default via 198.18.0.2");
    ipam.say("ADD", "a").error(7);
    assert!(ipam.claims().is_empty() && ipam.records().is_empty());
}

#[test]
fn a_sticky_pod_gets_its_address_again_and_a_sequential_one_the_first_that_is_free() {
    let lab = lab(1);
    let pod = |container: &str, ipam: &Ipam<'_>| {
        let args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-1";
        let said = ipam.call("ADD", container).env("CNI_ARGS", args).run();
        address(&said.ok(), 0)
    };
    let sticky = Ipam::new(
        lab.node(0),
        json!({"subnet": SUBNET}),
        json!({"order": "sticky"}),
    );
    let first = pod("a", &sticky);
    sticky.del("a");
    assert_eq!(pod("b", &sticky), first);
    sticky.del("b");
    let order = json!("sequential");
    let sequential = Ipam::small(lab.node(0), 50, 60).with("/ipam/order", order);
    assert_eq!(sequential.add("a"), "10.9.0.50");
    assert_eq!(sequential.add("b"), "10.9.0.51");
    sequential.del("a");
    assert_eq!(sequential.add("c"), "10.9.0.50");
}

#[test]
fn an_address_freed_a_moment_ago_is_not_taken_for_used() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let blue = Net::new("blue", 100).with(json!({"excludeFirst": 0, "excludeLast": 0}));
    let config = node
        .config(&[&blue])
        .ipam(node.route_table())
        .with(json!({"cniVersion": "1.1.0"}));
    for name in ["a", "b", "c"] {
        let pod = node.pod(name);
        let ask = node
            .ask(&config, &pod)
            .args("IgnoreUnknown=1;IP=10.100.0.50");
        let result = ask.add();
        // The node knows the pod's MAC now.
        node.ping("10.100.0.50");
        ask.after(&result).check(&result);
        ask.after(&result).del();
    }
}

#[test]
fn pods_of_two_nodes_share_a_network_without_any_daemon_until_it_is_full() {
    let lab = Lab::new(2);
    let blue = |node: &Node| {
        let cidr = format!("10.100.0.{}/29", node.index + 1);
        // Without a daemon nobody knows a gateway whose node has not joined yet: they are excluded.
        Net::new("blue", 100).with(json!({"cidr": cidr, "excludeFirst": 3, "excludeLast": 0}))
    };
    let (one, two) = (lab.node(0), lab.node(1));
    let before = [one.snapshot(), two.snapshot()];
    let mut pods = Vec::new();
    for (node, name) in [(one, "a"), (two, "b"), (one, "c"), (two, "d"), (one, "e")] {
        let config = node.config(&[&blue(node)]).ipam(node.route_table());
        let pod = node.pod(name);
        let ask = node.ask(&config.with(json!({"cniVersion": "1.1.0"})), &pod);
        let said = ask.say("ADD");
        pods.push((ask, pod, said));
    }
    // Six hosts, two of them the gateways: the fifth pod is one too many.
    let (_, _, last) = pods.pop().unwrap();
    assert!(last.error(102).contains("addresses used"));
    let mut got: Vec<String> = pods
        .iter()
        .map(|(_, _, said)| address(&said.ok(), 0))
        .collect();
    pods[0].1.ping(&got[1]);
    pods[1].1.ping(&got[2]);
    got.sort();
    assert_eq!(
        got,
        ["10.100.0.3", "10.100.0.4", "10.100.0.5", "10.100.0.6"]
    );
    for (ask, _, said) in &pods {
        let result = said.ok();
        ask.check(&result);
        ask.after(&result).del();
    }
    one.snapshot().assert_same(&before[0]);
    two.snapshot().assert_same(&before[1]);
}
