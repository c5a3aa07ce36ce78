//! Kernels without IPv6 (`ipv6.disable=1`), and underlays that leave a network less than IPv6 needs: on both an IPv4
//! network must work, and only tests that need no other can run.

use std::path::Path;

use super::{needs, node};

/// What IPv6 needs of every link (RFC 8200, 5), and what a vxlan takes of the underlay's MTU over IPv4.
const NEEDED: u32 = 1280 + 50;

/// Whether the kernel knows IPv6.
pub fn kernel_has_it() -> bool {
    // A kernel that has it as a module loads it with the first socket.
    let _ = std::net::UdpSocket::bind("[::1]:0");
    Path::new("/proc/sys/net/ipv6").exists()
}

/// Whether a network of the lab can have IPv6.
pub fn networks_have_it() -> bool {
    kernel_has_it() && node::mtu().is_none_or(|mtu| mtu >= NEEDED)
}

/// What a network with both families has, as options of `ip`.
pub fn families() -> &'static [&'static str] {
    if networks_have_it() {
        &["-4", "-6"]
    } else {
        &["-4"]
    }
}

/// Says that the test needs a network with IPv6. Where there can be none it fails, as it must.
pub fn is_needed() {
    needs::require(networks_have_it(), "IPV6");
}

/// The same of a test that needs IPv6 on the underlay alone, which may be small.
pub fn is_needed_on_the_underlay() {
    needs::require(kernel_has_it(), "IPV6");
}
