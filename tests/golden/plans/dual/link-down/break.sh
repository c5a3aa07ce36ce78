# IPv6 addresses and all routes go with it.
ip -n pod link set dev eth0 down
