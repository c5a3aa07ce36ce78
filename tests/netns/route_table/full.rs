//! The kernel's table of neighbours is full: an ADD tries again while it may, then says so by name. The table is one for
//! all namespaces of the machine, so it is a stand-in for `ip` that says what a full one makes it say.

use serde_json::json;

use super::{Ipam, lab};
use crate::support::lab::Lab;

/// Puts an `ip` first in PATH that fails as many times as the file `full` says as `ip` does where the table is full
/// (iproute2 6.1 on Linux 6.18): at the first neighbour, whatever `-force` says, without the number of a line.
fn path(lab: &Lab) -> String {
    let (count, met) = (lab.dir().join("full"), lab.dir().join("met"));
    let (count, met) = (count.display(), met.display());
    let path = std::env::var("PATH").unwrap();
    let body = format!(
        "export PATH={path}\n\
         left=$(cat {count})\n\
         test $left -gt 0 || exec ip \"$@\"\n\
         hand_on() {{\n\
             while read -r line; do\n\
                 case $line in \"neigh replace\"*) : >{met}; return ;; esac\n\
                 printf '%s\\n' \"$line\"\n\
             done\n\
         }}\n\
         hand_on | ip \"$@\" || code=$?\n\
         test -e {met} || exit ${{code:-0}}\n\
         rm {met}\n\
         echo $((left - 1)) >{count}\n\
         echo 'RTNETLINK answers: No buffer space available' >&2\n\
         exit 2"
    );
    let dir = lab.script("full-table", "ip", &body);
    format!("{}:{path}", dir.display())
}

#[test]
fn a_full_table_of_neighbours_is_tried_again_then_named_with_what_makes_room() {
    let lab = lab(2);
    let (one, two) = (lab.node(0), lab.node(1));
    two.ip("addr add 10.9.0.50/32 dev eth0");
    let ipam = Ipam::small(one, 50, 51).with("/ipam/order", json!("sequential"));
    let path = path(&lab);
    let add = |ipam: &Ipam<'_>, times: u32| {
        std::fs::write(lab.dir().join("full"), format!("{times}\n")).unwrap();
        ipam.call("ADD", "a").env("PATH", &path)
    };
    // A while: at the claim, and at the look at what else is free.
    for times in [1, 2] {
        let result = add(&ipam, times).run().ok();
        assert_eq!(result["ips"][0]["address"], "10.9.0.51/24");
        ipam.del("a");
        ipam.assert_nothing_left();
    }
    // For good.
    let ipam = ipam.with("/ipam/requestTimeoutMs", json!(8000));
    let said = add(&ipam, 1000).run().error(11);
    for words in [
        "table of neighbours is full",
        "net.ipv4.neigh.default.gc_thresh3",
        "sysctl -w",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains("overloaded"), "{said}");
    ipam.assert_nothing_left();
    ipam.assert_nobody_is_asked();
}
