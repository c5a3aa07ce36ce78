# What mends `default-routes-gone`.
# route default via 10.1.0.1 dev eth0
ip -n pod route add default via 10.1.0.1 dev eth0
# route default via fd10::1 dev eth0
ip -n pod route add default via fd10::1 dev eth0
