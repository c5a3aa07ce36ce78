# What mends `underlay-smaller`.
# vx_blue has mtu 1350
ip link set dev vx_blue mtu 1350
# mv_blue has mtu 1350
ip link set dev mv_blue mtu 1350
# eth0 has mtu 1350
ip -n pod link set dev eth0 mtu 1350
