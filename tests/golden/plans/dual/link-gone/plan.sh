# What mends `link-gone`.
# macvlan eth0 on vx_blue is there
ip link add name eth0 link vx_blue netns pod type macvlan mode bridge
# net.ipv4.conf.eth0.arp_notify = 1, net.ipv6.conf.eth0.disable_ipv6 = 0, net.ipv6.conf.eth0.ndisc_notify = 1, net.ipv6.conf.eth0.accept_ra = 0
ip netns exec pod sysctl -qw net.ipv4.conf.eth0.arp_notify=1 net.ipv6.conf.eth0.disable_ipv6=0 net.ipv6.conf.eth0.ndisc_notify=1 net.ipv6.conf.eth0.accept_ra=0
# eth0 has address 0a:58:0a:01:00:17
ip -n pod link set dev eth0 address 0a:58:0a:01:00:17
# eth0 has 10.1.0.23/16
ip -n pod addr replace 10.1.0.23/16 dev eth0
# eth0 has fd10::23/64
ip -n pod addr replace fd10::23/64 dev eth0 nodad
# eth0 is up
ip -n pod link set dev eth0 up
# route default via 10.1.0.1 dev eth0
ip -n pod route add default via 10.1.0.1 dev eth0
# route default via fd10::1 dev eth0
ip -n pod route add default via fd10::1 dev eth0
