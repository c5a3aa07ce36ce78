# What mends `gateway-gone`.
# macvlan mv_blue on vx_blue is there
ip link add name mv_blue link vx_blue type macvlan mode bridge
# net.ipv4.conf.mv_blue.forwarding = 1, net.ipv4.conf.mv_blue.rp_filter = 2, net.ipv6.conf.mv_blue.disable_ipv6 = 0, net.ipv6.conf.mv_blue.accept_dad = 0, net.ipv4.conf.mv_blue.accept_redirects = 0, net.ipv4.conf.mv_blue.accept_source_route = 0, net.ipv4.conf.mv_blue.proxy_arp = 0, net.ipv6.conf.mv_blue.accept_ra = 0, net.ipv6.conf.mv_blue.autoconf = 0, net.ipv6.conf.mv_blue.accept_redirects = 0, net.ipv6.conf.mv_blue.accept_source_route = 0, net.ipv6.conf.mv_blue.proxy_ndp = 0
sysctl -qw net.ipv4.conf.mv_blue.forwarding=1 net.ipv4.conf.mv_blue.rp_filter=2 net.ipv6.conf.mv_blue.disable_ipv6=0 net.ipv6.conf.mv_blue.accept_dad=0 net.ipv4.conf.mv_blue.accept_redirects=0 net.ipv4.conf.mv_blue.accept_source_route=0 net.ipv4.conf.mv_blue.proxy_arp=0 net.ipv6.conf.mv_blue.accept_ra=0 net.ipv6.conf.mv_blue.autoconf=0 net.ipv6.conf.mv_blue.accept_redirects=0 net.ipv6.conf.mv_blue.accept_source_route=0 net.ipv6.conf.mv_blue.proxy_ndp=0
# mv_blue has 10.1.0.1/16
ip addr replace 10.1.0.1/16 dev mv_blue
# mv_blue has fd10::1/64
ip addr replace fd10::1/64 dev mv_blue nodad
# mv_blue is up
ip link set dev mv_blue up
# route 10.1.0.0/16 dev mv_blue table 192
ip route replace 10.1.0.0/16 dev mv_blue table 192
# route fd10::/64 dev mv_blue table 192
ip route replace fd10::/64 dev mv_blue table 192
