# What takes back what was made, the last first.
ip -n pod route del default via fd10::1 dev eth0
ip -n pod route del default via 10.1.0.1 dev eth0
ip -n pod addr del fd10::23/64 dev eth0
ip -n pod addr del 10.1.0.23/16 dev eth0
ip -n pod link del dev eth0
ip -n pod link del dev tmpc4e1f4694831
ip -6 rule del pref 19200 from fd10::/64 to fd10::/64 lookup 192
ip -6 rule del pref 19199 from all to fd10::/64 fwmark 0x1000/0x1000 lookup 192
ip -6 rule del pref 19198 from fd10::/64 to fd10::/64 fwmark 0x1000/0x1000 lookup main
ip rule del pref 19200 from 10.1.0.0/16 to 10.1.0.0/16 lookup 192
ip rule del pref 19199 from all to 10.1.0.0/16 fwmark 0x1000/0x1000 lookup 192
ip rule del pref 19198 from 10.1.0.0/16 to 10.1.0.0/16 fwmark 0x1000/0x1000 lookup main
ip route del fd10::/64 dev mv_blue table 192
ip route del 10.1.0.0/16 dev mv_blue table 192
ip route del fd10::/64 dev mv_blue proto 2 src fd00:18::1 metric 255
ip route del 10.1.0.0/16 dev mv_blue proto 2 scope 253 src 198.18.0.1
ip addr del fd10::1/128 dev mv_blue
ip addr del 10.1.0.1/32 dev mv_blue
ip addr del fe80::859:c6ff:fe12:1/64 dev mv_blue
ip addr del 198.18.0.1/32 dev mv_blue
ip link del dev mv_blue
ip link del dev vx_blue
