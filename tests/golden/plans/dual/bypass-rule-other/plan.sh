# What mends `bypass-rule-other`.
# rule 19200 from 10.1.0.0/16 to 10.1.0.0/16 lookup 192
ip rule add pref 19200 from 10.1.0.0/16 to 10.1.0.0/16 lookup 192
