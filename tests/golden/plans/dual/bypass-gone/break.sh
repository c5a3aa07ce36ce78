ip route del 10.1.0.0/16 table 192
ip route del fd10::/64 table 192
ip rule del pref 19200
ip -6 rule del pref 19200
