ip -n pod link del dev eth0
