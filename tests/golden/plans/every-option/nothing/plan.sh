# Nothing is there: what an ADD runs.
# net.ipv4.ip_forward = 1
sysctl -qw net.ipv4.ip_forward=1
# table inet vxlan_cni guards mv_b
nft 'add table inet vxlan_cni; add chain inet vxlan_cni vx_b { type filter hook prerouting priority -300; policy accept; }; flush chain inet vxlan_cni vx_b; add rule inet vxlan_cni vx_b iifname "vx_b" drop; add rule inet vxlan_cni vx_b iifname "mv_*" udp dport 4790 drop; add rule inet vxlan_cni vx_b udp dport 4790 @th,96,24 100 iifname != "eth0" drop; add rule inet vxlan_cni vx_b ct status dnat accept; add chain inet vxlan_cni vx_b/dnat { type filter hook prerouting priority -90; policy accept; }; flush chain inet vxlan_cni vx_b/dnat; add rule inet vxlan_cni vx_b/dnat ct status dnat iifname "mv_*" udp dport 4790 drop; add rule inet vxlan_cni vx_b/dnat ct status dnat udp dport 4790 @th,96,24 100 iifname != "eth0" drop; add rule inet vxlan_cni vx_b/dnat ct status dnat ct direction reply ct original ip saddr 10.1.0.0/16 ct original ip daddr != 10.1.0.0/16 ip saddr 10.1.0.0/16 meta mark set meta mark or 0x1000; add rule inet vxlan_cni vx_b/dnat ct status dnat ct direction reply ct original ip saddr 10.1.0.0/16 ct original ip daddr 10.1.0.0/16 ip saddr != 10.1.0.0/16 meta mark set meta mark or 0x1000; add chain inet vxlan_cni vx_b/output { type route hook output priority -150; policy accept; }; flush chain inet vxlan_cni vx_b/output; add rule inet vxlan_cni vx_b/output ct status dnat ct direction reply ct original ip saddr 10.1.0.0/16 ct original ip daddr 10.1.0.0/16 ip saddr != 10.1.0.0/16 meta mark set meta mark or 0x1000; add chain inet vxlan_cni mv_b { type nat hook postrouting priority 100; policy accept; }; flush chain inet vxlan_cni mv_b; add rule inet vxlan_cni mv_b ct status dnat iifname "mv_b" oifname "mv_*" masquerade; add rule inet vxlan_cni mv_b ct status dnat ip saddr 10.1.0.0/16 ip daddr 10.1.0.0/16 masquerade'
# vxlan vx_b with VNI 100 is there
ip link add vx_b type vxlan id 100 dev eth0 local 198.18.0.1 group 239.1.1.1 ttl 7 tos 0x10 dstport 4790 srcport 30000 40000 nolearning proxy rsc l2miss l3miss gbp ageing 4294967295 maxaddress 99
# vx_b has address 02:00:00:00:00:64
ip link set dev vx_b address 02:00:00:00:00:64
# vx_b has txqueuelen 500
ip link set dev vx_b txqueuelen 500
# vx_b has mtu 1400
ip link set dev vx_b mtu 1400
# vx_b has arp off
ip link set dev vx_b arp off
# vx_b has addrgenmode none
ip link set dev vx_b addrgenmode none
# macvlan mv_b on vx_b is there
ip link add name mv_b link vx_b type macvlan mode bridge
# net.ipv4.conf.vx_b.accept_redirects = 0, net.ipv4.conf.vx_b.accept_source_route = 0, net.ipv4.conf.vx_b.proxy_arp = 0, net.ipv6.conf.vx_b.accept_ra = 0, net.ipv6.conf.vx_b.autoconf = 0, net.ipv6.conf.vx_b.accept_redirects = 0, net.ipv6.conf.vx_b.accept_source_route = 0, net.ipv6.conf.vx_b.proxy_ndp = 0, net.ipv4.conf.mv_b.forwarding = 1, net.ipv4.conf.mv_b.rp_filter = 2, net.ipv6.conf.mv_b.accept_dad = 0, net.ipv4.conf.mv_b.accept_redirects = 0, net.ipv4.conf.mv_b.accept_source_route = 0, net.ipv4.conf.mv_b.proxy_arp = 0, net.ipv6.conf.mv_b.accept_ra = 0, net.ipv6.conf.mv_b.autoconf = 0, net.ipv6.conf.mv_b.accept_redirects = 0, net.ipv6.conf.mv_b.accept_source_route = 0, net.ipv6.conf.mv_b.proxy_ndp = 0
sysctl -qw net.ipv4.conf.vx_b.accept_redirects=0 net.ipv4.conf.vx_b.accept_source_route=0 net.ipv4.conf.vx_b.proxy_arp=0 net.ipv6.conf.vx_b.accept_ra=0 net.ipv6.conf.vx_b.autoconf=0 net.ipv6.conf.vx_b.accept_redirects=0 net.ipv6.conf.vx_b.accept_source_route=0 net.ipv6.conf.vx_b.proxy_ndp=0 net.ipv4.conf.mv_b.forwarding=1 net.ipv4.conf.mv_b.rp_filter=2 net.ipv6.conf.mv_b.accept_dad=0 net.ipv4.conf.mv_b.accept_redirects=0 net.ipv4.conf.mv_b.accept_source_route=0 net.ipv4.conf.mv_b.proxy_arp=0 net.ipv6.conf.mv_b.accept_ra=0 net.ipv6.conf.mv_b.autoconf=0 net.ipv6.conf.mv_b.accept_redirects=0 net.ipv6.conf.mv_b.accept_source_route=0 net.ipv6.conf.mv_b.proxy_ndp=0
# vx_b is up
ip link set dev vx_b up
# mv_b has 10.1.0.1/16
ip addr replace 10.1.0.1/16 dev mv_b
# mv_b is up
ip link set dev mv_b up
# route 10.1.0.0/16 dev mv_b table 1000
ip route replace 10.1.0.0/16 dev mv_b table 1000
# rule 98 from 10.1.0.0/16 to 10.1.0.0/16 fwmark 0x1000/0x1000 lookup main
ip rule add pref 98 from 10.1.0.0/16 to 10.1.0.0/16 fwmark 0x1000/0x1000 lookup main
# rule 99 from all to 10.1.0.0/16 fwmark 0x1000/0x1000 lookup 1000
ip rule add pref 99 from all to 10.1.0.0/16 fwmark 0x1000/0x1000 lookup 1000
# rule 100 from 10.1.0.0/16 to 10.1.0.0/16 lookup 1000
ip rule add pref 100 from 10.1.0.0/16 to 10.1.0.0/16 lookup 1000
# macvlan eth0 on vx_b is there
ip link add name tmpc4e1f4694831 link vx_b netns pod type macvlan mode bridge
# net.ipv4.conf.tmpc4e1f4694831.arp_notify = 1, net.ipv4.conf.tmpc4e1f4694831.accept_redirects = 0, net.ipv4.conf.tmpc4e1f4694831.accept_source_route = 0, net.ipv4.conf.tmpc4e1f4694831.proxy_arp = 0, net.ipv6.conf.tmpc4e1f4694831.accept_ra = 0, net.ipv6.conf.tmpc4e1f4694831.autoconf = 0, net.ipv6.conf.tmpc4e1f4694831.accept_redirects = 0, net.ipv6.conf.tmpc4e1f4694831.accept_source_route = 0, net.ipv6.conf.tmpc4e1f4694831.proxy_ndp = 0, net.ipv4.conf.all.accept_redirects = 0
ip netns exec pod sysctl -qw net.ipv4.conf.tmpc4e1f4694831.arp_notify=1 net.ipv4.conf.tmpc4e1f4694831.accept_redirects=0 net.ipv4.conf.tmpc4e1f4694831.accept_source_route=0 net.ipv4.conf.tmpc4e1f4694831.proxy_arp=0 net.ipv6.conf.tmpc4e1f4694831.accept_ra=0 net.ipv6.conf.tmpc4e1f4694831.autoconf=0 net.ipv6.conf.tmpc4e1f4694831.accept_redirects=0 net.ipv6.conf.tmpc4e1f4694831.accept_source_route=0 net.ipv6.conf.tmpc4e1f4694831.proxy_ndp=0 net.ipv4.conf.all.accept_redirects=0
# macvlan eth0 on vx_b is there
ip -n pod link set dev tmpc4e1f4694831 name eth0
# eth0 has address 0a:58:0a:01:00:17
ip -n pod link set dev eth0 address 0a:58:0a:01:00:17
# eth0 has 10.1.0.23/16
ip -n pod addr replace 10.1.0.23/16 dev eth0
# eth0 is up
ip -n pod link set dev eth0 up
# route default via 10.1.0.1 dev eth0
ip -n pod route add default via 10.1.0.1 dev eth0
