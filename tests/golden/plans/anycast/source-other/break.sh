ip route replace 10.1.0.0/16 dev mv_blue proto 2 scope 253 src 10.1.0.1
