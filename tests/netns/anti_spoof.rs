//! `antiSpoof`: what leaves a pod has its own MAC and addresses. Every attack arrives without it.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::json;

use crate::support::frames::{
    self, BROADCAST, Frame, Octets, Receiver, advertises, all_nodes, arp, icmp6, udp4, udp6,
};
use crate::support::lab::{Config, Lab, Net, Pod, Snapshot, address, ipv6, mac, nft};
use crate::support::plugin::{Call, Program};

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;

/// A pod on the network, and what it has.
struct Member {
    pod: Pod,
    mac: Octets,
    v4: Ipv4Addr,
    v6: Ipv6Addr,
}

impl Member {
    fn join(lab: &Lab, index: usize, name: &str, config: &dyn Fn(usize) -> Config) -> Self {
        let node = lab.node(index);
        let pod = node.pod(name);
        let result = node.ask(&config(index), &pod).add();
        let octets: Vec<u8> = mac(&result)
            .split(':')
            .map(|octet| u8::from_str_radix(octet, 16).unwrap())
            .collect();
        Self {
            mac: octets.try_into().unwrap(),
            v4: address(&result, 0).parse().unwrap(),
            v6: address(&result, 1).parse().unwrap(),
            pod,
        }
    }

    /// The link-local address that the kernel gives it.
    fn local(&self) -> Ipv6Addr {
        let [a, b, c, d, e, f] = self.mac;
        let text = format!(
            "fe80::{:02x}{b:02x}:{c:02x}ff:fe{d:02x}:{e:02x}{f:02x}",
            a ^ 2
        );
        text.parse().unwrap()
    }
}

/// Two nodes: a pod that attacks, one beside it, one on the other node.
struct Scene {
    lab: Lab,
    net: Net,
    bad: Member,
    victims: [Member; 2],
}

impl Scene {
    fn new(anti_spoof: bool) -> Self {
        nft::egress_is_needed();
        ipv6::is_needed();
        let lab = Lab::new(2);
        let net = Net::new("blue", 100)
            .dual()
            .with(json!({"antiSpoof": anti_spoof}));
        let config = |index: usize| lab.node(index).config(&[&net]);
        let bad = Member::join(&lab, 0, "bad", &config);
        let victims =
            [(0, "near"), (1, "far")].map(|(index, name)| Member::join(&lab, index, name, &config));
        Self {
            bad,
            victims,
            net,
            lab,
        }
    }

    /// Sends frames from the pod that attacks and tells which of them came to each victim.
    fn received(&self, frames: &[Frame]) -> [Vec<String>; 2] {
        // What is sent to all waits in a queue of its own: what comes behind tells that it has come too.
        let last = ["last to all", "last near", "last far"];
        let receivers = [(0, [last[0], last[1]]), (1, [last[0], last[2]])]
            .map(|(index, last)| Receiver::until(&self.victims[index].pod, &last));
        let honest = udp4((self.bad.v4, 9), (self.victims[0].v4, 9), b"");
        let to = [BROADCAST, self.victims[0].mac, self.victims[1].mac];
        let fence = std::iter::zip(last, to)
            .map(|(name, to)| Frame::new(to, self.bad.mac, IPV4, &honest).marked(name));
        let all: Vec<Frame> = frames.iter().cloned().chain(fence).collect();
        frames::send(&self.bad.pod, &all);
        let of_these = |mark: &String| !mark.starts_with("last ");
        receivers.map(|receiver| receiver.received().into_iter().filter(of_these).collect())
    }

    /// To all, and to each victim by itself.
    fn everywhere(&self, name: &str, from: Octets, ethertype: u16, payload: &[u8]) -> Vec<Frame> {
        let to = [BROADCAST, self.victims[0].mac, self.victims[1].mac];
        to.map(|to| Frame::new(to, from, ethertype, payload).marked(name))
            .into()
    }

    fn gateway(&self) -> (Ipv4Addr, Ipv6Addr) {
        let node = self.lab.node(0);
        (
            node.gateway(&self.net).parse().unwrap(),
            node.gateway_v6(&self.net).parse().unwrap(),
        )
    }

    /// What must not arrive, by name.
    fn attacks(&self) -> Vec<Frame> {
        [
            self.forged(),
            self.claimed(),
            self.served(),
            self.disguised(),
        ]
        .concat()
    }

    /// Other sources than its own.
    fn forged(&self) -> Vec<Frame> {
        let (bad, [near, far]) = (&self.bad, &self.victims);
        let other_v4 = udp4((near.v4, 7), (far.v4, 7), b"");
        let other_v6 = udp6((near.v6, 7), (far.v6, 7), b"");
        let own = udp4((bad.v4, 7), (far.v4, 7), b"");
        let local = udp6(("fe80::1".parse().unwrap(), 7), (all_nodes(), 7), b"");
        let none = udp4((Ipv4Addr::UNSPECIFIED, 7), (far.v4, 7), b"");
        [
            self.everywhere("forged ipv4", bad.mac, IPV4, &other_v4),
            self.everywhere("forged ipv6", bad.mac, IPV6, &other_v6),
            self.everywhere("forged link-local", bad.mac, IPV6, &local),
            self.everywhere("forged mac", [2, 0, 0, 0, 0, 9], IPV4, &own),
            self.everywhere("no address", bad.mac, IPV4, &none),
        ]
        .concat()
    }

    /// Addresses of others, claimed as its own: of gateways, pods, and those that `route-table` asks the wire about.
    fn claimed(&self) -> Vec<Frame> {
        let (bad, [near, _]) = (&self.bad, &self.victims);
        let (gateway_v4, gateway_v6) = self.gateway();
        let says = |ip: Ipv4Addr| arp(2, (bad.mac, ip), (BROADCAST, ip));
        let other_mac = arp(2, (near.mac, bad.v4), (BROADCAST, bad.v4));
        let probe = arp(1, (bad.mac, Ipv4Addr::UNSPECIFIED), ([0; 6], near.v4));
        let free: Ipv4Addr = self.net.spare_v4(9).parse().unwrap();
        // Where `route-table` announces what it claims, 240.0.0.0/4.
        let beacon = Ipv4Addr::from(0xf000_0000 | free.to_bits() & 0x0fff_ffff);
        let advertised = |target: Ipv6Addr| advertises(bad.v6, target, bad.mac);
        let impersonated = advertises(near.v6, near.v6, bad.mac);
        let dad = icmp6(
            Ipv6Addr::UNSPECIFIED,
            all_nodes(),
            135,
            &[&[0; 4][..], &near.v6.octets()].concat(),
        );
        let mut free_v6 = near.v6.octets();
        free_v6[15] ^= 0x80;
        [
            self.everywhere("arp for the gateway", bad.mac, ARP, &says(gateway_v4)),
            self.everywhere("arp for a pod", bad.mac, ARP, &says(near.v4)),
            self.everywhere("arp for a mac", bad.mac, ARP, &other_mac),
            self.everywhere("arp probe for a pod", bad.mac, ARP, &probe),
            self.everywhere("arp for a claim", bad.mac, ARP, &says(free)),
            self.everywhere("arp for a beacon", bad.mac, ARP, &says(beacon)),
            self.everywhere("nd for the gateway", bad.mac, IPV6, &advertised(gateway_v6)),
            self.everywhere("nd for a pod", bad.mac, IPV6, &advertised(near.v6)),
            self.everywhere("nd as a pod", bad.mac, IPV6, &impersonated),
            self.everywhere("nd for a claim", bad.mac, IPV6, &advertised(free_v6.into())),
            self.everywhere("nd probe for a pod", bad.mac, IPV6, &dad),
        ]
        .concat()
    }

    /// What only routers, servers and nodes send.
    fn served(&self) -> Vec<Frame> {
        let (bad, [near, _]) = (&self.bad, &self.victims);
        let all = Ipv4Addr::BROADCAST;
        let advertisement = icmp6(
            bad.local(),
            all_nodes(),
            134,
            &[64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0],
        );
        let redirect = icmp6(
            bad.local(),
            all_nodes(),
            137,
            &[&[0; 4][..], &bad.v6.octets(), &near.v6.octets()].concat(),
        );
        let vxlan = udp4(
            (bad.v4, 9999),
            (self.gateway().0, 4789),
            &[8, 0, 0, 0, 0, 0, 100, 0],
        );
        let vxlan_v6 = udp6(
            (bad.v6, 9999),
            (self.gateway().1, 4789),
            &[8, 0, 0, 0, 0, 0, 100, 0],
        );
        [
            self.everywhere("router advertisement", bad.mac, IPV6, &advertisement),
            self.everywhere("redirect", bad.mac, IPV6, &redirect),
            self.everywhere(
                "dhcp offer",
                bad.mac,
                IPV4,
                &udp4((bad.v4, 67), (all, 68), b""),
            ),
            self.everywhere(
                "dhcpv6 answer",
                bad.mac,
                IPV6,
                &udp6((bad.local(), 547), (near.v6, 546), b""),
            ),
            // A client takes an answer from whichever port.
            self.everywhere(
                "dhcp by any port",
                bad.mac,
                IPV4,
                &udp4((bad.v4, 9999), (all, 68), b""),
            ),
            self.everywhere(
                "dhcpv6 by any port",
                bad.mac,
                IPV6,
                &udp6((bad.local(), 9999), (near.v6, 546), b""),
            ),
            self.everywhere("vxlan", bad.mac, IPV4, &vxlan),
            self.everywhere("vxlan over ipv6", bad.mac, IPV6, &vxlan_v6),
        ]
        .concat()
    }

    /// Frames whose socket says that they are something else, and frames of other protocols.
    fn disguised(&self) -> Vec<Frame> {
        let (bad, [near, far]) = (&self.bad, &self.victims);
        let forged = udp4((near.v4, 7), (far.v4, 7), b"");
        let offer = udp4((bad.v4, 67), (Ipv4Addr::BROADCAST, 68), b"");
        let gateway = arp(
            2,
            (bad.mac, self.gateway().0),
            (BROADCAST, self.gateway().0),
        );
        let tagged = [&[0, 5, 8, 0][..], &forged].concat();
        let as_other = |name: &str, ethertype: u16, payload: &[u8], taken_for: u16| {
            let frames = self.everywhere(name, bad.mac, ethertype, payload);
            frames
                .into_iter()
                .map(|frame| frame.taken_for(taken_for))
                .collect::<Vec<_>>()
        };
        [
            as_other("ipv4 as arp", IPV4, &forged, ARP),
            as_other("ipv4 as lldp", IPV4, &forged, 0x88cc),
            as_other("dhcp as ipv6", IPV4, &offer, IPV6),
            as_other("arp as ipv4", ARP, &gateway, IPV4),
            self.everywhere("vlan", bad.mac, 0x8100, &tagged),
            as_other("vlan as ipv4", 0x8100, &tagged, IPV4),
            self.everywhere("lldp", bad.mac, 0x88cc, &[0; 46]),
        ]
        .concat()
    }

    /// What a host sends that means no harm.
    fn honest(&self) -> Vec<Frame> {
        let (bad, [near, far]) = (&self.bad, &self.victims);
        let none = Ipv6Addr::UNSPECIFIED;
        let target = |about: Ipv6Addr| [&[0; 4][..], &about.octets()].concat();
        let discover = udp4((Ipv4Addr::UNSPECIFIED, 68), (Ipv4Addr::BROADCAST, 67), b"");
        let multicast = udp4((bad.v4, 5353), ("224.0.0.251".parse().unwrap(), 5353), b"");
        let report = icmp6(none, "ff02::16".parse().unwrap(), 143, &[0; 4]);
        [
            self.everywhere("udp", bad.mac, IPV4, &udp4((bad.v4, 7), (far.v4, 7), b"")),
            self.everywhere(
                "udp over ipv6",
                bad.mac,
                IPV6,
                &udp6((bad.v6, 7), (far.v6, 7), b""),
            ),
            self.everywhere(
                "from link-local",
                bad.mac,
                IPV6,
                &udp6((bad.local(), 7), (all_nodes(), 7), b""),
            ),
            self.everywhere(
                "arp question",
                bad.mac,
                ARP,
                &arp(1, (bad.mac, bad.v4), ([0; 6], near.v4)),
            ),
            self.everywhere(
                "arp answer",
                bad.mac,
                ARP,
                &arp(2, (bad.mac, bad.v4), (near.mac, near.v4)),
            ),
            self.everywhere(
                "arp probe for its own",
                bad.mac,
                ARP,
                &arp(1, (bad.mac, Ipv4Addr::UNSPECIFIED), ([0; 6], bad.v4)),
            ),
            self.everywhere(
                "nd question",
                bad.mac,
                IPV6,
                &icmp6(bad.v6, all_nodes(), 135, &target(near.v6)),
            ),
            self.everywhere(
                "nd answer",
                bad.mac,
                IPV6,
                &advertises(bad.v6, bad.v6, bad.mac),
            ),
            self.everywhere(
                "nd answer for link-local",
                bad.mac,
                IPV6,
                &advertises(bad.local(), bad.local(), bad.mac),
            ),
            self.everywhere(
                "nd probe for its own",
                bad.mac,
                IPV6,
                &icmp6(none, all_nodes(), 135, &target(bad.v6)),
            ),
            self.everywhere("dhcp discover", bad.mac, IPV4, &discover),
            self.everywhere("multicast", bad.mac, IPV4, &multicast),
            self.everywhere("membership report", bad.mac, IPV6, &report),
            self.everywhere(
                "router solicitation",
                bad.mac,
                IPV6,
                &icmp6(none, all_nodes(), 133, &[0; 4]),
            ),
        ]
        .concat()
    }
}

/// The marks of frames, each once, sorted.
fn marks(frames: &[Frame]) -> Vec<String> {
    let mark = |frame: &Frame| {
        let text = String::from_utf8_lossy(&frame.bytes).into_owned();
        let (_, mark) = text.rsplit_once('<').unwrap();
        mark.trim_end_matches('>').to_owned()
    };
    let mut marks: Vec<String> = frames.iter().map(mark).collect();
    marks.sort();
    marks.dedup();
    marks
}

#[test]
fn with_anti_spoof_no_attack_leaves_the_pod_and_honest_traffic_is_untouched() {
    let scene = Scene::new(true);
    assert_eq!(scene.received(&scene.attacks()), [[""; 0]; 2]);
    let honest = scene.honest();
    for received in scene.received(&honest) {
        assert_eq!(received, marks(&honest));
    }
    // In both directions, also where a packet is many frames.
    for (ping, size) in [("ping", "60000"), ("ping -6", "60000"), ("ping", "56")] {
        for member in &scene.victims {
            for (from, to) in [(&scene.bad, member), (member, &scene.bad)] {
                let to = if ping == "ping" {
                    to.v4.to_string()
                } else {
                    to.v6.to_string()
                };
                from.pod.sh(&format!("{ping} -c 1 -W 5 -s {size} {to}"));
            }
        }
    }
}

#[test]
fn without_anti_spoof_every_attack_arrives() {
    let scene = Scene::new(false);
    let attacks = scene.attacks();
    for received in scene.received(&attacks) {
        assert_eq!(received, marks(&attacks));
    }
}

#[test]
fn a_socket_that_sends_past_all_rules_is_what_anti_spoof_does_not_hold() {
    let scene = Scene::new(true);
    let receiver = Receiver::until(&scene.victims[0].pod, &["by another way"]);
    let gateway = arp(
        2,
        (scene.bad.mac, scene.gateway().0),
        (BROADCAST, scene.gateway().0),
    );
    let frame = Frame::new(scene.victims[0].mac, scene.bad.mac, ARP, &gateway);
    frames::send_by_xdp(&scene.bad.pod, &frame.marked("by another way"));
    assert_eq!(receiver.received(), ["by another way"]);
}

#[test]
fn rules_of_a_pod_come_with_add_are_named_by_check_made_by_repair_and_gone_with_del() {
    nft::egress_is_needed();
    let lab = Lab::new(1);
    let node = lab.node(0);
    for (net, ifname) in [
        (
            Net::new("blue", 100).with(json!({"antiSpoof": true})),
            "eth0",
        ),
        (
            Net::new("red", 101).with(json!({"antiSpoof": true, "mac": "random"})),
            "net+1_a.b",
        ),
    ] {
        let config = node.config(&[&net]);
        let pod = node.pod("web");
        let (before, empty) = (node.snapshot(), Snapshot::of_namespace(&pod));
        let ask = node.ask(&config, &pod).ifname(ifname);
        let result = ask.add();
        ask.check(&result);
        let made = Snapshot::of_namespace(&pod);
        let table = pod.run(&["nft", "list", "tables"]);
        let table = table.trim().strip_prefix("table ").unwrap().to_owned();
        let file = node.dir().join("lab.conf");
        std::fs::write(&file, config.value().to_string()).unwrap();
        for breaks in [
            format!("delete table {table}"),
            format!("flush chain {table} out"),
            format!("insert rule {table} out accept"),
        ] {
            pod.run(&["nft", &breaks]);
            let said = ask.check_refused(&result, 101);
            assert!(
                said.contains(&format!("table {table} guards {ifname}")),
                "{said}"
            );
            let [nsenter, at] = node.enter();
            let repair = Call::of(Program::Vxlan)
                .behind(&[&nsenter, &at])
                .arg("repair");
            let said = repair.arg("--conf").arg(file.to_str().unwrap()).run();
            assert_eq!(said.code, 0, "{said:?}");
            ask.check(&result);
            Snapshot::of_namespace(&pod).assert_same(&made);
        }
        ask.del();
        Snapshot::of_namespace(&pod).assert_same(&empty);
        node.snapshot().assert_same(&before);
    }
}

#[test]
fn two_interfaces_of_one_pod_have_rules_of_their_own() {
    nft::egress_is_needed();
    let lab = Lab::new(1);
    let node = lab.node(0);
    let blue = Net::new("blue", 100).with(json!({"antiSpoof": true}));
    let red = Net::new("red", 101).with(json!({"antiSpoof": true, "defaultRoute": false}));
    let config = node.config(&[&blue, &red]);
    let pod = node.pod("web");
    let first = node.ask(&config, &pod);
    let second = node.ask(&config.clone().joining(&red), &pod).ifname("net1");
    let (one, _) = (first.add(), second.add());
    second.del();
    first.check(&one);
    first.del();
}

#[test]
fn an_add_that_fails_behind_its_rules_leaves_none_of_them() {
    nft::egress_is_needed();
    let lab = Lab::new(1);
    let node = lab.node(0);
    // The route's gateway is on no network that the pod is on: refused by the kernel once the rules are there.
    let routes = json!([{"dst": "10.200.0.0/16", "gw": "10.77.0.7"}]);
    let blue = Net::new("blue", 100).with(json!({"antiSpoof": true, "routes": routes}));
    let pod = node.pod("web");
    let (before, empty) = (node.snapshot(), Snapshot::of_namespace(&pod));
    node.ask(&node.config(&[&blue]), &pod).add_refused(100);
    assert!(node.journal().contains("netdev vxlan_cni_eth0"));
    Snapshot::of_namespace(&pod).assert_same(&empty);
    node.snapshot().assert_same(&before);
}
