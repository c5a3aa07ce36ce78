ip link set dev vx_blue arp on addrgenmode eui64 mtu 1300
