ip -n pod addr del 10.1.0.23/16 dev eth0
ip -n pod addr add 10.1.0.23/24 dev eth0
ip -n pod route add default via 10.1.0.1 dev eth0 onlink
