sysctl -qw net.ipv4.conf.mv_blue.forwarding=0 net.ipv4.conf.mv_blue.rp_filter=1 net.ipv6.conf.mv_blue.accept_ra=1
