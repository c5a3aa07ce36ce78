ip -n pod link set dev eth0 address 02:00:00:00:00:99
