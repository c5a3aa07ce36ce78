# What mends `bypass-gone`.
# route 10.1.0.0/16 dev mv_blue table 192
ip route replace 10.1.0.0/16 dev mv_blue table 192
# route fd10::/64 dev mv_blue table 192
ip route replace fd10::/64 dev mv_blue table 192
# rule 19200 from 10.1.0.0/16 to 10.1.0.0/16 lookup 192
ip rule add pref 19200 from 10.1.0.0/16 to 10.1.0.0/16 lookup 192
# rule 19200 from fd10::/64 to fd10::/64 lookup 192
ip -6 rule add pref 19200 from fd10::/64 to fd10::/64 lookup 192
