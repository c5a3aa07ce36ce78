# What mends `source-other`.
# route 10.1.0.0/16 dev mv_blue src 198.18.0.1 proto 2
ip route replace 10.1.0.0/16 dev mv_blue proto 2 scope 253 src 198.18.0.1
