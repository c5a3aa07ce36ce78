ip netns exec pod nft flush chain netdev vxlan_cni_eth0 out
