ip link set dev mv_blue down
