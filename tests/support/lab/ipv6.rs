//! Kernels without IPv6 (`ipv6.disable=1`), and underlays that leave a network less than IPv6 needs: on both an IPv4
//! network must work, and only tests that need no other can run.

use std::io::Write;
use std::path::Path;

use super::node;

/// What IPv6 needs of every link (RFC 8200, 5), and what a vxlan takes of the underlay's MTU over IPv4.
const NEEDED: u32 = 1280 + 50;

/// Whether the kernel knows IPv6.
pub fn kernel_has_it() -> bool {
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

/// Says that the test needs a network with IPv6. Where there can be none it fails, as it must; its name goes into
/// the file of `VXLAN_LAB_NEEDS_IPV6`, by which `scripts/matrix` tells these tests from those that should have passed.
pub fn is_needed() {
    require(networks_have_it());
}

/// The same of a test that needs IPv6 on the underlay alone, which may be small.
pub fn is_needed_on_the_underlay() {
    require(kernel_has_it());
}

fn require(there: bool) {
    if there {
        return;
    }
    if let Some(file) = std::env::var_os("VXLAN_LAB_NEEDS_IPV6") {
        let thread = std::thread::current();
        let name = thread.name().expect("a thread of a test has its name");
        let mut names = std::fs::File::options()
            .create(true)
            .append(true)
            .open(file)
            .unwrap();
        writeln!(names, "{name}").unwrap();
    }
    panic!("this test needs IPv6, which this kernel or a network on this underlay has not");
}
