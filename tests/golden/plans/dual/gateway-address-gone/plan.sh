# What mends `gateway-address-gone`.
# mv_blue has 10.1.0.1/16
ip addr replace 10.1.0.1/16 dev mv_blue
# route 10.1.0.0/16 dev mv_blue table 192
ip route replace 10.1.0.0/16 dev mv_blue table 192
