//! What a kernel may lack, so that only tests that do without it can run.

use std::io::Write;

/// Fails the test where it cannot run. Its name goes into the file of `VXLAN_LAB_NEEDS_WHAT`, by which
/// `scripts/matrix` tells these tests from those that should have passed.
pub(super) fn require(there: bool, what: &str) {
    if there {
        return;
    }
    if let Some(file) = std::env::var_os(format!("VXLAN_LAB_NEEDS_{what}")) {
        let thread = std::thread::current();
        let name = thread.name().expect("a thread of a test has its name");
        let mut names = std::fs::File::options()
            .create(true)
            .append(true)
            .open(file)
            .unwrap();
        // In one piece: tests run side by side.
        names.write_all(format!("{name}\n").as_bytes()).unwrap();
    }
    panic!("this test needs {what}, which this kernel or a network on this underlay has not");
}
