# Somebody looks for duplicates of an address, for a long time: the address is there all the same.
ip netns exec pod sysctl -qw net.ipv6.conf.eth0.dad_transmits=1000
ip -n pod addr del fd10::23/64 dev eth0
ip -n pod addr add fd10::23/64 dev eth0
