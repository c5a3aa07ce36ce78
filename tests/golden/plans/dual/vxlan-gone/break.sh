ip link del dev vx_blue
