# What mends `link-gone`.
# macvlan eth0 on vx_blue is there
ip link add name tmpc4e1f4694831 link vx_blue netns pod type macvlan mode bridge
# net.ipv4.conf.tmpc4e1f4694831.arp_notify = 1, net.ipv6.conf.tmpc4e1f4694831.disable_ipv6 = 0, net.ipv6.conf.tmpc4e1f4694831.ndisc_notify = 1, net.ipv4.conf.tmpc4e1f4694831.accept_redirects = 0, net.ipv4.conf.tmpc4e1f4694831.accept_source_route = 0, net.ipv4.conf.tmpc4e1f4694831.proxy_arp = 0, net.ipv6.conf.tmpc4e1f4694831.accept_ra = 0, net.ipv6.conf.tmpc4e1f4694831.autoconf = 0, net.ipv6.conf.tmpc4e1f4694831.accept_redirects = 0, net.ipv6.conf.tmpc4e1f4694831.accept_source_route = 0, net.ipv6.conf.tmpc4e1f4694831.proxy_ndp = 0
ip netns exec pod sysctl -qw net.ipv4.conf.tmpc4e1f4694831.arp_notify=1 net.ipv6.conf.tmpc4e1f4694831.disable_ipv6=0 net.ipv6.conf.tmpc4e1f4694831.ndisc_notify=1 net.ipv4.conf.tmpc4e1f4694831.accept_redirects=0 net.ipv4.conf.tmpc4e1f4694831.accept_source_route=0 net.ipv4.conf.tmpc4e1f4694831.proxy_arp=0 net.ipv6.conf.tmpc4e1f4694831.accept_ra=0 net.ipv6.conf.tmpc4e1f4694831.autoconf=0 net.ipv6.conf.tmpc4e1f4694831.accept_redirects=0 net.ipv6.conf.tmpc4e1f4694831.accept_source_route=0 net.ipv6.conf.tmpc4e1f4694831.proxy_ndp=0
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
# route default via 10.1.0.1 dev eth0
ip -n pod route add default via 10.1.0.1 dev eth0
# route default via fd10::1 dev eth0
ip -n pod route add default via fd10::1 dev eth0
