//! What must be installed: without it a test fails and says which package is missing.

use std::path::Path;

/// A file that tells a package is there, and the package. Debian 12.
const PACKAGES: [(&str, &str); 9] = [
    ("/usr/lib/cni/firewall", "containernetworking-plugins"),
    ("/usr/sbin/iptables-save", "iptables"),
    ("/usr/share/doc/busybox-static", "busybox-static"),
    ("/usr/bin/ctr", "containerd"),
    ("/usr/sbin/runc", "runc"),
    ("/usr/bin/podman", "podman"),
    ("/usr/bin/curl", "curl"),
    ("/usr/bin/strace", "strace"),
    ("/usr/bin/nsenter", "util-linux"),
];

/// Fails where one of the packages is missing.
pub fn require() {
    let missing = PACKAGES
        .iter()
        .filter(|(file, _)| !Path::new(file).exists());
    let missing: Vec<&str> = missing.map(|(_, package)| *package).collect();
    assert!(
        missing.is_empty(),
        "packages are missing: apt-get install --no-install-recommends {}",
        missing.join(" ")
    );
}
