# What an ADD that fails takes back: all but the switches of the node.
sh nothing/undo.sh
