# What mends `vxlan-settings`.
# vx_blue has mtu 1450
ip link set dev vx_blue mtu 1450
# vx_blue has arp off
ip link set dev vx_blue arp off
# vx_blue has addrgenmode none
ip link set dev vx_blue addrgenmode none
# mv_blue has mtu 1450
ip link set dev mv_blue mtu 1450
# eth0 has mtu 1450
ip -n pod link set dev eth0 mtu 1450
