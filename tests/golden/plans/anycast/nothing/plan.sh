# Nothing is there: what an ADD runs.
# net.ipv4.ip_forward = 1, net.ipv6.conf.eth0.accept_ra = 2, net.ipv6.conf.all.forwarding = 1
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.eth0.accept_ra=2 net.ipv6.conf.all.forwarding=1
# table inet vxlan_cni guards mv_blue
nft 'add table inet vxlan_cni; add chain inet vxlan_cni vx_blue { type filter hook prerouting priority -300; policy accept; }; flush chain inet vxlan_cni vx_blue; add rule inet vxlan_cni vx_blue iifname "vx_blue" drop; add rule inet vxlan_cni vx_blue iifname "mv_*" udp dport 4789 drop; add rule inet vxlan_cni vx_blue udp dport 4789 @th,96,24 100 iifname != "eth0" drop; add rule inet vxlan_cni vx_blue ct status dnat accept; add chain inet vxlan_cni vx_blue/dnat { type filter hook prerouting priority -90; policy accept; }; flush chain inet vxlan_cni vx_blue/dnat; add rule inet vxlan_cni vx_blue/dnat ct status dnat iifname "mv_*" udp dport 4789 drop; add rule inet vxlan_cni vx_blue/dnat ct status dnat udp dport 4789 @th,96,24 100 iifname != "eth0" drop; add rule inet vxlan_cni vx_blue/dnat ct status dnat ct direction reply ct original ip saddr 10.1.0.0/16 ct original ip daddr != 10.1.0.0/16 ip saddr 10.1.0.0/16 meta mark set meta mark or 0x1000; add rule inet vxlan_cni vx_blue/dnat ct status dnat ct direction reply ct original ip saddr 10.1.0.0/16 ct original ip daddr 10.1.0.0/16 ip saddr != 10.1.0.0/16 meta mark set meta mark or 0x1000; add rule inet vxlan_cni vx_blue/dnat ct status dnat ct direction reply ct original ip6 saddr fd10::/64 ct original ip6 daddr != fd10::/64 ip6 saddr fd10::/64 meta mark set meta mark or 0x1000; add rule inet vxlan_cni vx_blue/dnat ct status dnat ct direction reply ct original ip6 saddr fd10::/64 ct original ip6 daddr fd10::/64 ip6 saddr != fd10::/64 meta mark set meta mark or 0x1000; add chain inet vxlan_cni vx_blue/output { type route hook output priority -150; policy accept; }; flush chain inet vxlan_cni vx_blue/output; add rule inet vxlan_cni vx_blue/output ct status dnat ct direction reply ct original ip saddr 10.1.0.0/16 ct original ip daddr 10.1.0.0/16 ip saddr != 10.1.0.0/16 meta mark set meta mark or 0x1000; add rule inet vxlan_cni vx_blue/output ct status dnat ct direction reply ct original ip6 saddr fd10::/64 ct original ip6 daddr fd10::/64 ip6 saddr != fd10::/64 meta mark set meta mark or 0x1000; add chain inet vxlan_cni mv_blue { type nat hook postrouting priority 100; policy accept; }; flush chain inet vxlan_cni mv_blue; add rule inet vxlan_cni mv_blue ct status dnat iifname "mv_blue" oifname "mv_*" masquerade; add rule inet vxlan_cni mv_blue ct status dnat ip saddr 10.1.0.0/16 ip daddr 10.1.0.0/16 masquerade; add rule inet vxlan_cni mv_blue ct status dnat ip6 saddr fd10::/64 ip6 daddr fd10::/64 masquerade; add chain inet vxlan_cni mv_blue/own { type nat hook postrouting priority 99; policy accept; }; flush chain inet vxlan_cni mv_blue/own; add rule inet vxlan_cni mv_blue/own ct status dnat oifname "mv_blue" ip saddr 10.1.0.0/16 snat ip to 198.18.0.1; add rule inet vxlan_cni mv_blue/own ct status dnat oifname "mv_blue" ip6 saddr fd10::/64 snat ip6 to fd00:18::1'
# vxlan vx_blue with VNI 100 is there
ip link add vx_blue type vxlan id 100 dev eth0 group 239.1.1.1 dstport 4789 learning maxaddress 16384
# vx_blue has mtu 1450
ip link set dev vx_blue mtu 1450
# vx_blue has arp off
ip link set dev vx_blue arp off
# vx_blue has addrgenmode none
ip link set dev vx_blue addrgenmode none
# macvlan mv_blue on vx_blue is there
ip link add name mv_blue link vx_blue address 0a:59:c6:12:00:01 type macvlan mode bridge
# net.ipv4.conf.vx_blue.accept_redirects = 0, net.ipv4.conf.vx_blue.accept_source_route = 0, net.ipv4.conf.vx_blue.proxy_arp = 0, net.ipv6.conf.vx_blue.accept_ra = 0, net.ipv6.conf.vx_blue.autoconf = 0, net.ipv6.conf.vx_blue.accept_redirects = 0, net.ipv6.conf.vx_blue.accept_source_route = 0, net.ipv6.conf.vx_blue.proxy_ndp = 0, net.ipv4.conf.mv_blue.forwarding = 1, net.ipv4.conf.mv_blue.rp_filter = 2, net.ipv6.conf.mv_blue.disable_ipv6 = 0, net.ipv6.conf.mv_blue.accept_dad = 0, net.ipv4.conf.mv_blue.accept_redirects = 0, net.ipv4.conf.mv_blue.accept_source_route = 0, net.ipv4.conf.mv_blue.proxy_arp = 0, net.ipv6.conf.mv_blue.accept_ra = 0, net.ipv6.conf.mv_blue.autoconf = 0, net.ipv6.conf.mv_blue.accept_redirects = 0, net.ipv6.conf.mv_blue.accept_source_route = 0, net.ipv6.conf.mv_blue.proxy_ndp = 0
sysctl -qw net.ipv4.conf.vx_blue.accept_redirects=0 net.ipv4.conf.vx_blue.accept_source_route=0 net.ipv4.conf.vx_blue.proxy_arp=0 net.ipv6.conf.vx_blue.accept_ra=0 net.ipv6.conf.vx_blue.autoconf=0 net.ipv6.conf.vx_blue.accept_redirects=0 net.ipv6.conf.vx_blue.accept_source_route=0 net.ipv6.conf.vx_blue.proxy_ndp=0 net.ipv4.conf.mv_blue.forwarding=1 net.ipv4.conf.mv_blue.rp_filter=2 net.ipv6.conf.mv_blue.disable_ipv6=0 net.ipv6.conf.mv_blue.accept_dad=0 net.ipv4.conf.mv_blue.accept_redirects=0 net.ipv4.conf.mv_blue.accept_source_route=0 net.ipv4.conf.mv_blue.proxy_arp=0 net.ipv6.conf.mv_blue.accept_ra=0 net.ipv6.conf.mv_blue.autoconf=0 net.ipv6.conf.mv_blue.accept_redirects=0 net.ipv6.conf.mv_blue.accept_source_route=0 net.ipv6.conf.mv_blue.proxy_ndp=0
# vx_blue is up
ip link set dev vx_blue up
# mv_blue has 198.18.0.1/32
ip addr replace 198.18.0.1/32 dev mv_blue scope 253 noprefixroute
# mv_blue has fe80::859:c6ff:fe12:1/64
ip addr replace fe80::859:c6ff:fe12:1/64 dev mv_blue nodad
# mv_blue has 10.1.0.1/32
ip addr replace 10.1.0.1/32 dev mv_blue scope 253
# mv_blue has fd10::1/128
ip addr replace fd10::1/128 dev mv_blue nodad preferred_lft 0
# mv_blue is up
ip link set dev mv_blue up
# route 10.1.0.0/16 dev mv_blue src 198.18.0.1 proto 2
ip route replace 10.1.0.0/16 dev mv_blue proto 2 scope 253 src 198.18.0.1
# route fd10::/64 dev mv_blue src fd00:18::1 proto 2
ip route replace fd10::/64 dev mv_blue proto 2 src fd00:18::1 metric 255
# route 10.1.0.0/16 dev mv_blue table 192
ip route replace 10.1.0.0/16 dev mv_blue table 192
# route fd10::/64 dev mv_blue table 192
ip route replace fd10::/64 dev mv_blue table 192
# rule 19198 from 10.1.0.0/16 to 10.1.0.0/16 fwmark 0x1000/0x1000 lookup main
ip rule add pref 19198 from 10.1.0.0/16 to 10.1.0.0/16 fwmark 0x1000/0x1000 lookup main
# rule 19199 from all to 10.1.0.0/16 fwmark 0x1000/0x1000 lookup 192
ip rule add pref 19199 from all to 10.1.0.0/16 fwmark 0x1000/0x1000 lookup 192
# rule 19200 from 10.1.0.0/16 to 10.1.0.0/16 lookup 192
ip rule add pref 19200 from 10.1.0.0/16 to 10.1.0.0/16 lookup 192
# rule 19198 from fd10::/64 to fd10::/64 fwmark 0x1000/0x1000 lookup main
ip -6 rule add pref 19198 from fd10::/64 to fd10::/64 fwmark 0x1000/0x1000 lookup main
# rule 19199 from all to fd10::/64 fwmark 0x1000/0x1000 lookup 192
ip -6 rule add pref 19199 from all to fd10::/64 fwmark 0x1000/0x1000 lookup 192
# rule 19200 from fd10::/64 to fd10::/64 lookup 192
ip -6 rule add pref 19200 from fd10::/64 to fd10::/64 lookup 192
# macvlan eth0 on vx_blue is there
ip link add name tmpc4e1f4694831 link vx_blue netns pod type macvlan mode bridge
# net.ipv4.conf.tmpc4e1f4694831.arp_notify = 1, net.ipv6.conf.tmpc4e1f4694831.disable_ipv6 = 0, net.ipv6.conf.tmpc4e1f4694831.ndisc_notify = 1, net.ipv4.conf.tmpc4e1f4694831.accept_redirects = 0, net.ipv4.conf.tmpc4e1f4694831.accept_source_route = 0, net.ipv4.conf.tmpc4e1f4694831.proxy_arp = 0, net.ipv6.conf.tmpc4e1f4694831.accept_ra = 0, net.ipv6.conf.tmpc4e1f4694831.autoconf = 0, net.ipv6.conf.tmpc4e1f4694831.accept_redirects = 0, net.ipv6.conf.tmpc4e1f4694831.accept_source_route = 0, net.ipv6.conf.tmpc4e1f4694831.proxy_ndp = 0, net.ipv4.conf.all.accept_redirects = 0
ip netns exec pod sysctl -qw net.ipv4.conf.tmpc4e1f4694831.arp_notify=1 net.ipv6.conf.tmpc4e1f4694831.disable_ipv6=0 net.ipv6.conf.tmpc4e1f4694831.ndisc_notify=1 net.ipv4.conf.tmpc4e1f4694831.accept_redirects=0 net.ipv4.conf.tmpc4e1f4694831.accept_source_route=0 net.ipv4.conf.tmpc4e1f4694831.proxy_arp=0 net.ipv6.conf.tmpc4e1f4694831.accept_ra=0 net.ipv6.conf.tmpc4e1f4694831.autoconf=0 net.ipv6.conf.tmpc4e1f4694831.accept_redirects=0 net.ipv6.conf.tmpc4e1f4694831.accept_source_route=0 net.ipv6.conf.tmpc4e1f4694831.proxy_ndp=0 net.ipv4.conf.all.accept_redirects=0
# macvlan eth0 on vx_blue is there
ip -n pod link set dev tmpc4e1f4694831 name eth0
# eth0 has address 0a:58:0a:01:00:17
ip -n pod link set dev eth0 address 0a:58:0a:01:00:17
# eth0 has 10.1.0.23/16
ip -n pod addr replace 10.1.0.23/16 dev eth0
# eth0 has fd10::23/64
ip -n pod addr replace fd10::23/64 dev eth0 nodad
# eth0 is up
ip -n pod link set dev eth0 up
# eth0 has 10.1.0.1 at 0a:59:c6:12:00:01
ip -n pod neigh replace 10.1.0.1 lladdr 0a:59:c6:12:00:01 dev eth0 nud permanent
# eth0 has fd10::1 at 0a:59:c6:12:00:01
ip -n pod neigh replace fd10::1 lladdr 0a:59:c6:12:00:01 dev eth0 nud permanent
# route default via 10.1.0.1 dev eth0
ip -n pod route add default via 10.1.0.1 dev eth0
# route default via fd10::1 dev eth0
ip -n pod route add default via fd10::1 dev eth0
