# What mends `link-down`.
# eth0 has fd10::23/64
ip -n pod addr replace fd10::23/64 dev eth0 nodad
# eth0 is up
ip -n pod link set dev eth0 up
# route default via 10.1.0.1 dev eth0
ip -n pod route add default via 10.1.0.1 dev eth0
# route default via fd10::1 dev eth0
ip -n pod route add default via fd10::1 dev eth0
