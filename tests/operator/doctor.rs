//! `vxlan doctor`: what is broken is found, in the right words.

use crate::stage::{Stage, claimed};
use crate::support::lab::{Lab, Net};

#[test]
fn a_node_where_all_is_well_gets_ticks_only_and_is_left_as_it_is() {
    let lab = Lab::new(2);
    let blue = claimed("blue", 100, lab.node(0));
    let mut stage = Stage::new(lab, vec![blue, Net::new("red", 200).dual()]);
    stage.join(0, "web", 2);
    stage.join(1, "db", 2);
    let before = stage.settled();
    let said = stage.operate(&["doctor"]);
    assert_eq!(
        (said.code, said.stderr.as_str()),
        (0, ""),
        "{}",
        said.stdout
    );
    assert!(!said.stdout.contains('✗'), "{}", said.stdout);
    for told in [
        "✓ ip utility, iproute2-",
        "✓ the kernel has the driver macvlan",
        "✓ the underlay device eth0 is up, MTU 1500",
        "✓ no other device has VNI 100 on port 4789",
        "✓ nobody else answers for the gateway's address on mv_blue",
        "✓ the node's side: all 15 facts hold",
        "✓ shop/web-1 ",
        "/ipam: all 2 facts hold",
        "nothing is wrong",
    ] {
        assert!(said.stdout.contains(told), "{told}\n{}", said.stdout);
    }
    stage.is_as(&before);
    assert_eq!(stage.node().journal().matches("REPAIR").count(), 0);
}
