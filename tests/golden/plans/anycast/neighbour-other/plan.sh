# What mends `neighbour-other`.
# eth0 has fd10::23/64
ip -n pod addr replace fd10::23/64 dev eth0 nodad
# eth0 has 10.1.0.1 at 0a:59:c6:12:00:01
ip -n pod neigh replace 10.1.0.1 lladdr 0a:59:c6:12:00:01 dev eth0 nud permanent
# eth0 has fd10::1 at 0a:59:c6:12:00:01
ip -n pod neigh replace fd10::1 lladdr 0a:59:c6:12:00:01 dev eth0 nud permanent
# route default via 10.1.0.1 dev eth0
ip -n pod route add default via 10.1.0.1 dev eth0
# route default via fd10::1 dev eth0
ip -n pod route add default via fd10::1 dev eth0
