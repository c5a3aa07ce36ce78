//! Kernels without nftables, as Debian's User-mode Linux: there the networks of the lab have no guard, and only tests
//! that need none can run.

use std::process::Command;

use once_cell::sync::Lazy;

use super::needs;

/// Whether the kernel takes a table; nothing is made.
pub fn kernel_has_it() -> bool {
    static HAS: Lazy<bool> = Lazy::new(|| {
        let mut nft = Command::new("nft");
        nft.args(["-c", "add table inet vxlan_cni"]);
        nft.output().expect("nft starts").status.success()
    });
    *HAS
}

/// Whether kernel and `nft` know the way out of a device (netdev egress: Linux 5.16, nftables 1.0.1).
pub fn kernel_has_egress() -> bool {
    static HAS: Lazy<bool> = Lazy::new(|| {
        let chain = "{ type filter hook egress device \"lo\" priority 0; }";
        let script = format!("add table netdev vxlan_cni; add chain netdev vxlan_cni out {chain}");
        let mut nft = Command::new("nft");
        nft.args(["-c", &script]);
        nft.output().expect("nft starts").status.success()
    });
    *HAS
}

/// Says that the test needs netdev egress. Where there is none it fails, as it must.
pub fn egress_is_needed() {
    needs::require(kernel_has_egress(), "NFT");
}

/// Says that the test needs nftables. Where there is none it fails, as it must.
pub fn is_needed() {
    needs::require(kernel_has_it(), "NFT");
}
