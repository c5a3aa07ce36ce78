# Nothing is there: what an ADD runs.
# net.ipv4.ip_forward = 1
sysctl -qw net.ipv4.ip_forward=1
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
# vx_b is up
ip link set dev vx_b up
# macvlan mv_b on vx_b is there
ip link add name mv_b link vx_b type macvlan mode bridge
# net.ipv4.conf.mv_b.forwarding = 1, net.ipv4.conf.mv_b.rp_filter = 2
sysctl -qw net.ipv4.conf.mv_b.forwarding=1 net.ipv4.conf.mv_b.rp_filter=2
# mv_b has 10.1.0.1/16
ip addr replace 10.1.0.1/16 dev mv_b
# mv_b is up
ip link set dev mv_b up
# route 10.1.0.0/16 dev mv_b table 1000
ip route replace 10.1.0.0/16 dev mv_b table 1000
# rule 100 from 10.1.0.0/16 to 10.1.0.0/16 lookup 1000
ip rule add pref 100 from 10.1.0.0/16 to 10.1.0.0/16 lookup 1000
# macvlan eth0 on vx_b is there
ip link add name tmpc4e1f4694831 link vx_b netns pod type macvlan mode bridge
# net.ipv4.conf.tmpc4e1f4694831.arp_notify = 1
ip netns exec pod sysctl -qw net.ipv4.conf.tmpc4e1f4694831.arp_notify=1
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
