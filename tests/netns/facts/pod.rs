//! The pod's side.

use super::{Break, Scene, broken};

const ETH0: &str = "ip -n POD -d addr show dev eth0";
const V4: &str = "ip -n POD route show table main dev eth0";
const V6: &str = "ip -n POD -6 route show table main dev eth0";

/// Every fact of the pod's side that must hold as it is, and a way to break it.
pub(super) const ROWS: [Break; 20] = [
    broken(
        "macvlan eth0 on vx_blue is there",
        "ip link del dev eth0",
        "missing",
        ETH0,
    ),
    broken(
        "macvlan eth0 on vx_blue is there",
        "ip link set dev eth0 down; ip link set dev eth0 name eth9",
        "missing",
        ETH0,
    ),
    broken(
        "macvlan eth0 on vx_blue is there",
        "ip link del dev eth0; ip link add eth0 type bridge",
        "found it is a `bridge`, not a macvlan",
        ETH0,
    ),
    broken(
        "macvlan eth0 on vx_blue is there",
        "ip link set dev eth0 type macvlan mode vepa",
        "found mode is vepa, wanted bridge",
        ETH0,
    ),
    broken(
        "macvlan eth0 on vx_blue is there",
        "ip link del dev eth0; ip link add br0 type bridge; ip link add eth0 link br0 type macvlan mode bridge",
        "found link is br0, wanted vx_blue",
        ETH0,
    ),
    broken(
        "net.ipv6.conf.eth0.disable_ipv6 = 0",
        "sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1",
        "found 1",
        "ip netns exec POD sysctl -n net.ipv6.conf.eth0.disable_ipv6",
    ),
    broken(
        "eth0 has address 0a:58:0a:64:01:00",
        "ip link set dev eth0 address 0a:58:0a:64:01:99",
        "found address 0a:58:0a:64:01:99",
        ETH0,
    ),
    broken(
        "eth0 has 10.100.1.0/16",
        "ip addr del 10.100.1.0/16 dev eth0",
        "missing",
        ETH0,
    ),
    broken(
        "eth0 has 10.100.1.0/16",
        "ip addr flush dev eth0; ip addr add 10.100.1.0/17 dev eth0",
        "missing",
        ETH0,
    ),
    broken(
        "eth0 has fd10:64::100/112",
        "ip addr del fd10:64::100/112 dev eth0",
        "missing",
        ETH0,
    ),
    broken(
        "eth0 is up",
        "ip link set dev eth0 down",
        "found down",
        ETH0,
    ),
    broken(
        "route 10.200.0.0/16 via 10.100.0.7 dev eth0",
        "ip route del 10.200.0.0/16",
        "missing",
        V4,
    ),
    broken(
        "route 10.200.0.0/16 via 10.100.0.7 dev eth0",
        "ip route replace 10.200.0.0/16 via 10.100.0.8",
        "missing",
        V4,
    ),
    broken(
        "route fd20::/64 via fd10:64::1 dev eth0",
        "ip -6 route del fd20::/64",
        "missing",
        V6,
    ),
    broken(
        "route default via 10.100.0.1 dev eth0",
        "ip route del default",
        "missing",
        V4,
    ),
    broken(
        "route default via 10.100.0.1 dev eth0",
        "ip route replace default via 10.100.0.9",
        "missing",
        V4,
    ),
    broken(
        "route default via 10.100.0.1 dev eth0",
        "ip route del default; ip route add default via 10.100.0.1 metric 50",
        "missing",
        V4,
    ),
    broken(
        "route default via fd10:64::1 dev eth0",
        "ip -6 route del default",
        "missing",
        V6,
    ),
    broken(
        "route default via fd10:64::1 dev eth0",
        "ip -6 route del default; ip -6 route add default via fd10:64::9 dev eth0",
        "missing",
        V6,
    ),
    broken(
        "route default via fd10:64::1 dev eth0",
        "ip -6 route flush dev eth0",
        "missing",
        V6,
    ),
];

/// What a plugin behind ours may have wanted, and a network can live with.
pub(super) const LIVED_WITH: [Break; 12] = [
    broken(
        "net.ipv4.conf.eth0.arp_notify = 1",
        "sysctl -qw net.ipv4.conf.eth0.arp_notify=0",
        "found 0",
        "ip netns exec POD sysctl -n net.ipv4.conf.eth0.arp_notify",
    ),
    broken(
        "net.ipv6.conf.eth0.ndisc_notify = 1",
        "sysctl -qw net.ipv6.conf.eth0.ndisc_notify=0",
        "found 0",
        "ip netns exec POD sysctl -n net.ipv6.conf.eth0.ndisc_notify",
    ),
    broken(
        "net.ipv4.conf.eth0.accept_redirects = 0",
        "sysctl -qw net.ipv4.conf.eth0.accept_redirects=1",
        "found 1",
        "ip netns exec POD sysctl -n net.ipv4.conf.eth0.accept_redirects",
    ),
    broken(
        "net.ipv4.conf.eth0.accept_source_route = 0",
        "sysctl -qw net.ipv4.conf.eth0.accept_source_route=1",
        "found 1",
        "ip netns exec POD sysctl -n net.ipv4.conf.eth0.accept_source_route",
    ),
    broken(
        "net.ipv4.conf.eth0.proxy_arp = 0",
        "sysctl -qw net.ipv4.conf.eth0.proxy_arp=2",
        "found 2",
        "ip netns exec POD sysctl -n net.ipv4.conf.eth0.proxy_arp",
    ),
    broken(
        "net.ipv6.conf.eth0.accept_ra = 0",
        "sysctl -qw net.ipv6.conf.eth0.accept_ra=2",
        "found 2",
        "ip netns exec POD sysctl -n net.ipv6.conf.eth0.accept_ra",
    ),
    broken(
        "net.ipv6.conf.eth0.autoconf = 0",
        "sysctl -qw net.ipv6.conf.eth0.autoconf=1",
        "found 1",
        "ip netns exec POD sysctl -n net.ipv6.conf.eth0.autoconf",
    ),
    broken(
        "net.ipv6.conf.eth0.accept_redirects = 0",
        "sysctl -qw net.ipv6.conf.eth0.accept_redirects=1",
        "found 1",
        "ip netns exec POD sysctl -n net.ipv6.conf.eth0.accept_redirects",
    ),
    broken(
        "net.ipv6.conf.eth0.accept_source_route = 0",
        "sysctl -qw net.ipv6.conf.eth0.accept_source_route=1",
        "found 1",
        "ip netns exec POD sysctl -n net.ipv6.conf.eth0.accept_source_route",
    ),
    broken(
        "net.ipv6.conf.eth0.proxy_ndp = 0",
        "sysctl -qw net.ipv6.conf.eth0.proxy_ndp=2",
        "found 2",
        "ip netns exec POD sysctl -n net.ipv6.conf.eth0.proxy_ndp",
    ),
    broken(
        "net.ipv4.conf.all.accept_redirects = 0",
        "sysctl -qw net.ipv4.conf.all.accept_redirects=1",
        "found 1",
        "ip netns exec POD sysctl -n net.ipv4.conf.all.accept_redirects",
    ),
    broken(
        "eth0 has mtu 1400",
        "ip link set dev eth0 mtu 1300",
        "found mtu 1300",
        ETH0,
    ),
];

#[test]
fn check_names_each_broken_fact_of_the_pod_and_a_new_add_makes_it_whole() {
    let mut scene = Scene::new();
    for row in &ROWS {
        scene.pod.sh(row.by);
        scene.check_names(row);
        scene.again();
    }
}

#[test]
fn what_a_later_plugin_may_want_otherwise_is_no_fault_and_repair_leaves_it_so() {
    let scene = Scene::new();
    let seen = || {
        LIVED_WITH.map(|row| {
            scene
                .node()
                .sh(&scene.shown(&row))
                .replace(" tentative", "")
        })
    };
    for row in &LIVED_WITH {
        scene.pod.sh(row.by);
        scene.check();
    }
    let before = seen();
    scene.repair();
    assert_eq!(seen(), before);
}
