# What mends `mac-other`.
# eth0 has address 0a:58:0a:01:00:17
ip -n pod link set dev eth0 address 0a:58:0a:01:00:17
