# Plugins behind ours add what is theirs, a routing daemon its routes: all of ours still holds.
ip -n pod addr add 192.0.2.9/32 dev eth0
ip -n pod route add 203.0.113.0/24 via 10.1.0.9 dev eth0
ip -n pod route add default via 10.1.0.9 dev eth0 metric 500
ip -n pod link set dev eth0 txqueuelen 500 promisc on
ip netns exec pod sysctl -qw net.ipv4.conf.eth0.rp_filter=1
ip rule add pref 500 to 203.0.113.0/24 lookup main
ip addr add 10.1.7.7/32 dev mv_blue
ip route add 10.1.0.77/32 dev mv_blue proto 192 metric 4194304000
ip route add 10.1.7.0/24 via 198.18.0.2 dev eth0 proto 186
