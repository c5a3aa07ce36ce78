# All is there: nothing to do.
# mv_blue has fe80::859:c6ff:fe12:1/64
ip addr replace fe80::859:c6ff:fe12:1/64 dev mv_blue nodad
# eth0 has 10.1.0.1 at 0a:59:c6:12:00:01
ip -n pod neigh replace 10.1.0.1 lladdr 0a:59:c6:12:00:01 dev eth0 nud permanent
# eth0 has fd10::1 at 0a:59:c6:12:00:01
ip -n pod neigh replace fd10::1 lladdr 0a:59:c6:12:00:01 dev eth0 nud permanent
