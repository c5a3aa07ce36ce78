ip -n pod neigh replace 10.1.0.1 lladdr 02:00:00:00:00:09 dev eth0 nud permanent
ip -n pod link set dev eth0 down
ip -n pod link set dev eth0 up
