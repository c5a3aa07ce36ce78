ip link del dev mv_blue
