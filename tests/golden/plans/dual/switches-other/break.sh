ip netns exec pod sysctl -qw net.ipv4.conf.eth0.arp_notify=0 net.ipv6.conf.eth0.accept_ra=1
