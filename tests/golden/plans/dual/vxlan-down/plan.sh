# What mends `vxlan-down`.
# vx_blue is up
ip link set dev vx_blue up
