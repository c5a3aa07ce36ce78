# What mends `gateway-down`.
# mv_blue has fd10::1/64
ip addr replace fd10::1/64 dev mv_blue nodad
# mv_blue is up
ip link set dev mv_blue up
# route 10.1.0.0/16 dev mv_blue table 192
ip route replace 10.1.0.0/16 dev mv_blue table 192
# route fd10::/64 dev mv_blue table 192
ip route replace fd10::/64 dev mv_blue table 192
