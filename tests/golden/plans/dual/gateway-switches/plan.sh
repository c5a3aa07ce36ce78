# What mends `gateway-switches`.
# net.ipv4.conf.mv_blue.forwarding = 1, net.ipv4.conf.mv_blue.rp_filter = 2, net.ipv6.conf.mv_blue.accept_ra = 0
sysctl -qw net.ipv4.conf.mv_blue.forwarding=1 net.ipv4.conf.mv_blue.rp_filter=2 net.ipv6.conf.mv_blue.accept_ra=0
