# What mends `pod-address-other-length`.
# eth0 has 10.1.0.23/16
ip -n pod addr replace 10.1.0.23/16 dev eth0
