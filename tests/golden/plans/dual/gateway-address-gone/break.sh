ip addr del 10.1.0.1/16 dev mv_blue
