//! What ADD makes.

use serde_json::json;

use crate::support::lab::{Lab, Net, address};

#[test]
fn pods_of_one_network_on_two_nodes_reach_each_other() {
    let lab = Lab::new(2);
    let (one, two) = (lab.node(0), lab.node(1));
    let (web, db) = (one.pod("web"), two.process_pod("db"));
    let blue = Net::new("blue", 100);
    let before = (one.snapshot(), two.snapshot());
    let (at_one, at_two) = (one.config(&[&blue]), two.config(&[&blue]));
    let first = one.ask(&at_one, &web).add();
    let second = two.ask(&at_two, &db).add();
    web.ping(&address(&second, 0));
    db.ping(&address(&first, 0));
    db.ping(&two.gateway(&blue));
    one.ask(&at_one, &web).check(&first);
    two.ask(&at_two, &db).check(&second);
    one.ask(&at_one, &web).after(&first).del();
    two.ask(&at_two, &db).after(&second).del();
    one.snapshot().assert_same(&before.0);
    two.snapshot().assert_same(&before.1);
}

#[test]
fn an_interface_may_have_a_name_that_ip_reads_as_one_of_its_words() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    // One default route in a namespace is enough.
    let blue = Net::new("blue", 100).with(json!({"defaultRoute": false}));
    let config = node.config(&[&blue]);
    let pod = node.pod("web");
    for name in ["net", "b", "up", "type", "dev", "link", "name", "to"] {
        let ask = node.ask(&config, &pod).ifname(name);
        let result = ask.add();
        assert_eq!(result["interfaces"][2]["name"], name);
        assert_eq!(pod.device(name)["ifname"], name);
    }
}
