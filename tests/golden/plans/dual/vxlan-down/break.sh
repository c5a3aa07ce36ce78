# The macvlans on it lose their carrier; no address or route goes.
ip link set dev vx_blue down
