//! A node that is on a network without a pod of it.

use serde_json::json;

use crate::support::lab::{Lab, Net, address};
use crate::support::plugin::{Call, Program};

#[test]
fn a_node_that_is_always_on_a_network_reaches_its_pods_without_one_of_its_own_until_the_configuration_says_otherwise()
 {
    let lab = Lab::new(2);
    let (node, other) = (lab.node(0), lab.node(1));
    let before = node.snapshot();
    let pod_only = Net::new("blue", 100).dual();
    let always = pod_only.clone().with(json!({"join": "always"}));
    let config = node.config(&[&always]);
    let far = other.pod("web");
    let there = other.ask(&other.config(&[&pod_only]), &far);
    let result = there.add();
    let far = address(&result, 0);
    // Nothing is done for a plan.
    let said = node.operate(&config, &["plan", "repair"]).stdout;
    assert!(said.contains("ip link add vx_blue type vxlan"), "{said}");
    node.snapshot().assert_same(&before);
    let said = node.operate(&config, &["doctor"]).stdout;
    assert!(
        said.contains("vx_blue") && said.contains("vxlan repair"),
        "{said}"
    );
    node.operate(&config, &["repair", "--json"]).ok();
    node.run(&["ping", "-c", "1", "-W", "2", &far]);
    let said = node.operate(&config, &["repair", "--json"]).ok();
    assert_eq!(said["made"], json!([]));
    let joined = node.snapshot();
    // A pod that comes and goes, one that fails, and a GC of the runtime or an operator leave it as it is.
    let pod = node.pod("web");
    let ask = node.ask(&config, &pod);
    ask.add();
    ask.del();
    node.snapshot().assert_same(&joined);
    let bad = config
        .clone()
        .ipam(json!({"type": "host-local", "dataDir": node.ipam(), "ranges": []}));
    ask.clone().config(&bad).add_refused(999);
    node.snapshot().assert_same(&joined);
    let said = node.operate(&config, &["gc", "--yes", "--json"]).ok();
    assert_eq!(said["removed"], json!([]), "{said}");
    node.snapshot().assert_same(&joined);
    // An edit takes effect by repair, and what it replaces goes.
    let small = Net::new("blue", 100).with(json!({"join": "always", "bypass": false}));
    let edited = node.config(&[&small]);
    node.operate(&edited, &["repair", "--json"]).ok();
    assert!(!node.ip("rule").contains("lookup 192"));
    assert!(!node.ip("addr show dev mv_blue").contains("fd10:"));
    node.operate(&config, &["repair", "--json"]).ok();
    node.snapshot().assert_same(&joined);
    // Also one by which the device must be another; and of one that cannot be nothing is taken up.
    let other = pod_only.clone().with(json!({"join": "always", "id": 101}));
    node.operate(&node.config(&[&other]), &["repair", "--json"])
        .ok();
    assert_eq!(
        node.show("link show vx_blue")[0]["linkinfo"]["info_data"]["id"],
        101
    );
    node.operate(&config, &["repair", "--json"]).ok();
    let joined = node.snapshot();
    let nowhere = json!({"join": "always", "mtu": 9000});
    let nowhere = pod_only.clone().with(nowhere);
    let said = node.operate(&node.config(&[&nowhere]), &["repair", "--json"]);
    assert_eq!(said.code, 1, "{said:?}");
    node.snapshot().assert_same(&joined);
    // It stays behind the last pod of a definition by which it would go, too.
    let old = node.ask(&node.config(&[&pod_only]), &pod);
    old.add();
    ask.del();
    node.operate(&config, &["repair", "--json"]).ok();
    node.snapshot().assert_same(&joined);
    // Not always any more, or gone from the configuration: it is left over.
    let red = Net::new("red", 200);
    for without in [&pod_only, &red] {
        let without = node.config(&[without]);
        let said = node.operate(&without, &["gc", "--yes", "--json"]).ok();
        assert!(said.to_string().contains("blue"), "{said}");
        node.snapshot().assert_same(&before);
        node.operate(&config, &["repair", "--json"]).ok();
    }
    // Of another configuration beside the one at hand it is not.
    let beside = node.dir().with_extension("beside");
    std::fs::create_dir_all(&beside).unwrap();
    let put = |name: &str, net: &Net| {
        let file = beside.join(name);
        std::fs::write(&file, node.config(&[net]).value().to_string()).unwrap();
        file
    };
    let (mine, others) = (put("1.conf", &red), put("2.conf", &always));
    let [nsenter, net] = node.enter();
    let gc = || {
        let call = Call::of(Program::Vxlan).behind(&[&nsenter, &net]);
        let words = ["gc", "--yes", "--conf", mine.to_str().unwrap()];
        words.iter().fold(call, |call, word| call.arg(word)).run()
    };
    assert_eq!(gc().code, 0);
    assert!(node.ip("link").contains("mv_blue"));
    std::fs::remove_file(others).unwrap();
    assert_eq!(gc().code, 0);
    std::fs::remove_dir_all(beside).unwrap();
    node.snapshot().assert_same(&before);
    there.del();
}
