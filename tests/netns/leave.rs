//! Who takes the host side of a network away, and when.

use std::path::PathBuf;

use crate::support::lab::{Lab, Net, ipv6, left_by_the_underlay, until};
use crate::support::plugin::Said;

/// An IPAM that waits at ADD for a word through a pipe and then refuses.
struct Waiting {
    dir: PathBuf,
}

impl Waiting {
    fn new(lab: &Lab) -> Self {
        let body = "[ \"$CNI_COMMAND\" = ADD ] || exit 0\n\
             echo '{\"code\": 11, \"msg\": \"no address today\"}'\nexit 1";
        let dir = lab.waiting_script("waiting", "host-local", body);
        Self { dir }
    }

    fn is_asked(&self) -> bool {
        self.dir.join("asked").exists()
    }

    fn refuse(&self) {
        std::fs::write(self.dir.join("pipe"), "now\n").unwrap();
    }
}

#[test]
fn an_add_that_fails_last_takes_the_host_side_away_though_another_add_made_it() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let (first, second) = (node.pod("first"), node.pod("second"));
    let blue = Net::new("blue", 100).dual();
    let config = node.config(&[&blue]);
    let waiting = Waiting::new(&lab);
    // What forwarding leaves behind is there before, so that the rest can be compared.
    node.set(&["net.ipv6.conf.all.forwarding=1"]);
    let before = node.snapshot();
    let ask = node.ask(&config, &first);
    let result = ask.add();
    let late = node.ask(&config, &second).plugins_first(&waiting.dir);
    let child = late.verb("ADD").start();
    until("the IPAM is asked", || waiting.is_asked());
    ask.after(&result).del();
    assert_ne!(node.device("vx_blue"), serde_json::Value::Null);
    waiting.refuse();
    let said = Said::by(child).error(11);
    assert!(said.contains("no address today"), "{said}");
    node.snapshot().assert_same(&before);
}

#[test]
fn an_add_that_fails_leaves_a_device_that_was_there_before_it() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let pod = node.pod("web");
    let blue = Net::new("blue", 100);
    let config = node.config(&[&blue]);
    let vx = "link add vx_blue type vxlan id 100 dev eth0 group 239.1.1.100 dstport 4789 learning";
    let mtu = left_by_the_underlay();
    node.batch(&[vx, &format!("link set vx_blue mtu {mtu} arp off")]);
    if ipv6::networks_have_it() {
        node.ip("link set vx_blue addrgenmode none");
    }
    node.ip("link set vx_blue up");
    let waiting = Waiting::new(&lab);
    let before = node.snapshot();
    let late = node.ask(&config, &pod).plugins_first(&waiting.dir);
    let child = late.verb("ADD").start();
    until("the IPAM is asked", || waiting.is_asked());
    assert_ne!(node.device("mv_blue"), serde_json::Value::Null);
    waiting.refuse();
    Said::by(child).error(11);
    node.snapshot().assert_same(&before);
}
