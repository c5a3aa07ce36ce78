//! The host side.

use super::{Break, Scene, broken};

const VX: &str = "ip -d link show dev vx_blue";
const MV: &str = "ip -d addr show dev mv_blue";

/// Every fact of the host side, and a way to break it.
pub(super) const ROWS: [Break; 56] = [
    broken(
        "net.ipv4.ip_forward = 1",
        "sysctl -qw net.ipv4.ip_forward=0",
        "found 0",
        "sysctl -n net.ipv4.ip_forward",
    ),
    broken(
        "net.ipv6.conf.eth0.accept_ra = 2",
        "sysctl -qw net.ipv6.conf.eth0.accept_ra=1",
        "found 1",
        "sysctl -n net.ipv6.conf.eth0.accept_ra",
    ),
    broken(
        "net.ipv6.conf.all.forwarding = 1",
        "sysctl -qw net.ipv6.conf.all.forwarding=0",
        "found 0",
        "sysctl -n net.ipv6.conf.all.forwarding",
    ),
    broken(
        "table inet vxlan_cni guards mv_blue",
        "nft delete table inet vxlan_cni",
        "missing",
        "nft -j list table inet vxlan_cni",
    ),
    broken(
        "table inet vxlan_cni guards mv_blue",
        "nft flush chain inet vxlan_cni vx_blue",
        "found chain vx_blue has other rules",
        "nft -j list table inet vxlan_cni",
    ),
    broken(
        "table inet vxlan_cni guards mv_blue",
        "nft flush chain inet vxlan_cni vx_blue/dnat",
        "found chain vx_blue/dnat has other rules",
        "nft -j list table inet vxlan_cni",
    ),
    broken(
        "table inet vxlan_cni guards mv_blue",
        "nft flush chain inet vxlan_cni vx_blue/output",
        "found chain vx_blue/output has other rules",
        "nft -j list table inet vxlan_cni",
    ),
    broken(
        "table inet vxlan_cni guards mv_blue",
        "nft insert rule inet vxlan_cni vx_blue accept",
        "found chain vx_blue has other rules",
        "nft -j list table inet vxlan_cni",
    ),
    broken(
        "vxlan vx_blue with VNI 100 is there",
        "ip link del dev vx_blue",
        "missing",
        VX,
    ),
    broken(
        "vx_blue has address 0a:00:00:00:00:64",
        "ip link set dev vx_blue address 0a:00:00:00:00:65",
        "found address 0a:00:00:00:00:65",
        VX,
    ),
    broken(
        "vx_blue has txqueuelen 500",
        "ip link set dev vx_blue txqueuelen 400",
        "found txqueuelen 400",
        VX,
    ),
    broken(
        "vx_blue has mtu 1400",
        "ip link set dev vx_blue mtu 1420",
        "found mtu 1420",
        VX,
    ),
    broken(
        "vx_blue has arp off",
        "ip link set dev vx_blue arp on",
        "found arp on",
        VX,
    ),
    broken(
        "vx_blue has addrgenmode none",
        "ip link set dev vx_blue addrgenmode eui64",
        "found addrgenmode eui64",
        VX,
    ),
    broken(
        "vx_blue is up",
        "ip link set dev vx_blue down",
        "found down",
        VX,
    ),
    broken(
        "net.ipv4.conf.vx_blue.accept_redirects = 0",
        "sysctl -qw net.ipv4.conf.vx_blue.accept_redirects=1",
        "found 1",
        "sysctl -n net.ipv4.conf.vx_blue.accept_redirects",
    ),
    broken(
        "net.ipv4.conf.vx_blue.accept_source_route = 0",
        "sysctl -qw net.ipv4.conf.vx_blue.accept_source_route=1",
        "found 1",
        "sysctl -n net.ipv4.conf.vx_blue.accept_source_route",
    ),
    broken(
        "net.ipv4.conf.vx_blue.proxy_arp = 0",
        "sysctl -qw net.ipv4.conf.vx_blue.proxy_arp=1",
        "found 1",
        "sysctl -n net.ipv4.conf.vx_blue.proxy_arp",
    ),
    broken(
        "net.ipv6.conf.vx_blue.accept_ra = 0",
        "sysctl -qw net.ipv6.conf.vx_blue.accept_ra=2",
        "found 2",
        "sysctl -n net.ipv6.conf.vx_blue.accept_ra",
    ),
    broken(
        "net.ipv6.conf.vx_blue.autoconf = 0",
        "sysctl -qw net.ipv6.conf.vx_blue.autoconf=1",
        "found 1",
        "sysctl -n net.ipv6.conf.vx_blue.autoconf",
    ),
    broken(
        "net.ipv6.conf.vx_blue.accept_redirects = 0",
        "sysctl -qw net.ipv6.conf.vx_blue.accept_redirects=1",
        "found 1",
        "sysctl -n net.ipv6.conf.vx_blue.accept_redirects",
    ),
    broken(
        "net.ipv6.conf.vx_blue.accept_source_route = 0",
        "sysctl -qw net.ipv6.conf.vx_blue.accept_source_route=1",
        "found 1",
        "sysctl -n net.ipv6.conf.vx_blue.accept_source_route",
    ),
    broken(
        "net.ipv6.conf.vx_blue.proxy_ndp = 0",
        "sysctl -qw net.ipv6.conf.vx_blue.proxy_ndp=1",
        "found 1",
        "sysctl -n net.ipv6.conf.vx_blue.proxy_ndp",
    ),
    broken(
        "macvlan mv_blue on vx_blue is there",
        "ip link del dev mv_blue",
        "missing",
        MV,
    ),
    broken(
        "net.ipv4.conf.mv_blue.forwarding = 1",
        "sysctl -qw net.ipv4.conf.mv_blue.forwarding=0",
        "found 0",
        "sysctl -n net.ipv4.conf.mv_blue.forwarding",
    ),
    broken(
        "net.ipv4.conf.mv_blue.rp_filter = 2",
        "sysctl -qw net.ipv4.conf.mv_blue.rp_filter=1",
        "found 1",
        "sysctl -n net.ipv4.conf.mv_blue.rp_filter",
    ),
    broken(
        "net.ipv6.conf.mv_blue.disable_ipv6 = 0",
        "sysctl -qw net.ipv6.conf.mv_blue.disable_ipv6=1",
        "found 1",
        "sysctl -n net.ipv6.conf.mv_blue.disable_ipv6",
    ),
    broken(
        "net.ipv6.conf.mv_blue.accept_dad = 0",
        "sysctl -qw net.ipv6.conf.mv_blue.accept_dad=1",
        "found 1",
        "sysctl -n net.ipv6.conf.mv_blue.accept_dad",
    ),
    broken(
        "net.ipv4.conf.mv_blue.accept_redirects = 0",
        "sysctl -qw net.ipv4.conf.mv_blue.accept_redirects=1",
        "found 1",
        "sysctl -n net.ipv4.conf.mv_blue.accept_redirects",
    ),
    broken(
        "net.ipv4.conf.mv_blue.accept_source_route = 0",
        "sysctl -qw net.ipv4.conf.mv_blue.accept_source_route=1",
        "found 1",
        "sysctl -n net.ipv4.conf.mv_blue.accept_source_route",
    ),
    broken(
        "net.ipv4.conf.mv_blue.proxy_arp = 0",
        "sysctl -qw net.ipv4.conf.mv_blue.proxy_arp=1",
        "found 1",
        "sysctl -n net.ipv4.conf.mv_blue.proxy_arp",
    ),
    broken(
        "net.ipv6.conf.mv_blue.accept_ra = 0",
        "sysctl -qw net.ipv6.conf.mv_blue.accept_ra=2",
        "found 2",
        "sysctl -n net.ipv6.conf.mv_blue.accept_ra",
    ),
    broken(
        "net.ipv6.conf.mv_blue.autoconf = 0",
        "sysctl -qw net.ipv6.conf.mv_blue.autoconf=1",
        "found 1",
        "sysctl -n net.ipv6.conf.mv_blue.autoconf",
    ),
    broken(
        "net.ipv6.conf.mv_blue.accept_redirects = 0",
        "sysctl -qw net.ipv6.conf.mv_blue.accept_redirects=1",
        "found 1",
        "sysctl -n net.ipv6.conf.mv_blue.accept_redirects",
    ),
    broken(
        "net.ipv6.conf.mv_blue.accept_source_route = 0",
        "sysctl -qw net.ipv6.conf.mv_blue.accept_source_route=1",
        "found 1",
        "sysctl -n net.ipv6.conf.mv_blue.accept_source_route",
    ),
    broken(
        "net.ipv6.conf.mv_blue.proxy_ndp = 0",
        "sysctl -qw net.ipv6.conf.mv_blue.proxy_ndp=1",
        "found 1",
        "sysctl -n net.ipv6.conf.mv_blue.proxy_ndp",
    ),
    broken(
        "mv_blue has mtu 1400",
        "ip link set dev mv_blue mtu 1300",
        "found mtu 1300",
        MV,
    ),
    broken(
        "mv_blue has 10.100.0.1/16",
        "ip addr del 10.100.0.1/16 dev mv_blue",
        "missing",
        MV,
    ),
    broken(
        "mv_blue has 10.100.0.1/16",
        "ip addr del 10.100.0.1/16 dev mv_blue; ip addr add 10.100.0.1/24 dev mv_blue",
        "missing",
        MV,
    ),
    broken(
        "mv_blue has fd10:64::1/112",
        "ip addr del fd10:64::1/112 dev mv_blue",
        "missing",
        MV,
    ),
    broken(
        "mv_blue is up",
        "ip link set dev mv_blue down",
        "found down",
        MV,
    ),
    broken(
        "route 10.100.0.0/16 dev mv_blue table 192",
        "ip route del 10.100.0.0/16 dev mv_blue table 192",
        "missing",
        "ip route show table 192 dev mv_blue",
    ),
    broken(
        "route 10.100.0.0/16 dev mv_blue table 192",
        "ip route replace 10.100.0.0/16 dev eth0 table 192",
        "missing",
        "ip route show table 192 dev mv_blue",
    ),
    broken(
        "route 10.100.0.0/16 dev mv_blue table 192",
        "ip route flush table 192",
        "missing",
        "ip route show table 192 dev mv_blue",
    ),
    broken(
        "route fd10:64::/112 dev mv_blue table 192",
        "ip -6 route del fd10:64::/112 dev mv_blue table 192",
        "missing",
        "ip -6 route show table 192 dev mv_blue",
    ),
    broken(
        "rule 19200 from 10.100.0.0/16 to 10.100.0.0/16 lookup 192",
        "while ip rule del pref 19200 2>&-; do :; done",
        "missing",
        "ip rule show pref 19200",
    ),
    broken(
        "rule 19200 from 10.100.0.0/16 to 10.100.0.0/16 lookup 192",
        "while ip rule del pref 19200 2>&-; do :; done; ip rule add pref 19200 from 10.100.0.0/16 to 10.100.0.0/16 lookup 193",
        "missing",
        "ip rule show pref 19200",
    ),
    broken(
        "rule 19200 from 10.100.0.0/16 to 10.100.0.0/16 lookup 192",
        "while ip rule del pref 19200 2>&-; do :; done; ip rule add pref 19200 from 10.100.0.0/24 to 10.100.0.0/16 lookup 192",
        "missing",
        "ip rule show pref 19200",
    ),
    broken(
        "rule 19200 from fd10:64::/112 to fd10:64::/112 lookup 192",
        "while ip -6 rule del pref 19200 2>&-; do :; done",
        "missing",
        "ip -6 rule show pref 19200",
    ),
    broken(
        "rule 19200 from fd10:64::/112 to fd10:64::/112 lookup 192",
        "while ip -6 rule del pref 19200 2>&-; do :; done; ip -6 rule add pref 19200 from fd10:64::/112 to fd10:64::/112 lookup 193",
        "missing",
        "ip -6 rule show pref 19200",
    ),
    broken(
        "rule 19198 from 10.100.0.0/16 to 10.100.0.0/16 fwmark 0x1000/0x1000 lookup main",
        "ip rule del pref 19198",
        "missing",
        "ip rule show pref 19198",
    ),
    broken(
        "rule 19198 from 10.100.0.0/16 to 10.100.0.0/16 fwmark 0x1000/0x1000 lookup main",
        "ip rule del pref 19198; ip rule add pref 19198 from 10.100.0.0/16 to 10.100.0.0/16 fwmark 0x3000/0x3000 lookup main",
        "missing",
        "ip rule show pref 19198",
    ),
    broken(
        "rule 19199 from all to 10.100.0.0/16 fwmark 0x1000/0x1000 lookup 192",
        "ip rule del pref 19199",
        "missing",
        "ip rule show pref 19199",
    ),
    broken(
        "rule 19198 from fd10:64::/112 to fd10:64::/112 fwmark 0x1000/0x1000 lookup main",
        "ip -6 rule del pref 19198",
        "missing",
        "ip -6 rule show pref 19198",
    ),
    broken(
        "rule 19199 from all to fd10:64::/112 fwmark 0x1000/0x1000 lookup 192",
        "ip -6 rule del pref 19199",
        "missing",
        "ip -6 rule show pref 19199",
    ),
    broken(
        "rule 19199 from all to fd10:64::/112 fwmark 0x1000/0x1000 lookup 192",
        "ip -6 rule del pref 19199; ip -6 rule add pref 19199 from all to fd10:64::/112 fwmark 0x3000/0x3000 lookup 192",
        "missing",
        "ip -6 rule show pref 19199",
    ),
];

#[test]
fn check_names_each_broken_fact_of_the_node_and_the_next_add_mends_it() {
    let mut scene = Scene::new();
    for row in ROWS.iter().filter(|row| super::can_be(row)) {
        let node = scene.node();
        node.sh(row.by);
        scene.check_names(row);
        // An ADD beside others does not pay for a look at the packet filter.
        if row.by.starts_with("nft ") {
            scene.repair();
        }
        let next = node.pod("next");
        let ask = node.ask(&scene.config, &next);
        let result = ask.add();
        ask.check(&result);
        ask.after(&result).del();
        // The device takes the pods' links along: their pods have to be made anew.
        if row.by.contains("link del dev vx_blue") {
            scene.again();
        }
        scene.check();
    }
}
