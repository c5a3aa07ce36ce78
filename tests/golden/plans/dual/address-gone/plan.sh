# What mends `address-gone`.
# eth0 has 10.1.0.23/16
ip -n pod addr replace 10.1.0.23/16 dev eth0
# route default via 10.1.0.1 dev eth0
ip -n pod route add default via 10.1.0.1 dev eth0
