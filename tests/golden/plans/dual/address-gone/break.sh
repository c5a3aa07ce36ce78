ip -n pod addr del 10.1.0.23/16 dev eth0
