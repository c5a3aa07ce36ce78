# What mends `node-forwarding-off`.
# net.ipv4.ip_forward = 1, net.ipv6.conf.all.forwarding = 1, net.ipv4.conf.mv_blue.forwarding = 1
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.mv_blue.forwarding=1
