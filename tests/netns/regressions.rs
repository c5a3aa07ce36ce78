//! What the original and its successor got wrong, by the numbers of the list: each is shown not to be so
//! here. Items that other tests show are not repeated; `tests/README.md` has them all.

mod devices;
mod ipam;

use serde_json::{Value, json};

use crate::support::lab::{Lab, Net, address};

#[test]
fn b2_check_and_del_go_by_the_record_and_never_choose_again() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let (blue, green) = (Net::new("blue", 100), Net::new("green", 200));
    let before = node.snapshot();
    let pod = node.pod("web");
    let named = |network: &str| {
        let annotations = json!({"vxlan-cni.phdata.io/NetworkName": network});
        let args = json!({"args": {"annotations": annotations}});
        node.config(&[&blue, &green]).with(args)
    };
    let result = node.ask(&named("blue"), &pod).add();
    // By now the annotation says something else, something wrong, or nothing.
    for now in ["green", "no-such-network", ""] {
        node.ask(&named(now), &pod).check(&result);
    }
    node.ask(&named("green"), &pod).after(&result).del();
    node.snapshot().assert_same(&before);
}

#[test]
fn b18_a_configuration_of_one_line_of_a_megabyte_is_read_to_its_end() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let config = node.config(&[&Net::new("blue", 100)]);
    // One that stops early sees none of the keys that count: they come last.
    let text = config.value().to_string();
    let long = format!("{{\"padding\":\"{}\",{}", "x".repeat(1 << 20), &text[1..]);
    let pod = node.pod("web");
    let ask = node.ask(&config, &pod);
    let result = ask.verb("ADD").stdin(long.clone()).run().ok();
    ask.check(&result);
    assert_eq!(ask.verb("DEL").stdin(long).run().ok(), Value::Null);
    assert_eq!(node.device("vx_blue"), Value::Null);
}

#[test]
fn b20_the_result_of_the_plugin_before_is_kept_and_ours_is_put_behind_it() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let pod = node.pod("web");
    let before = json!({
        "cniVersion": "1.0.0",
        "interfaces": [{"name": "br0"}, {"name": "veth7", "sandbox": pod.path()}],
        "ips": [{"address": "192.0.2.7/24", "interface": 1}],
        "routes": [{"dst": "192.0.2.0/24"}],
        "dns": {"nameservers": ["192.0.2.53"]},
    });
    let ask = node.ask(&node.config(&[&Net::new("blue", 100)]), &pod);
    let result = ask.after(&before).add();
    let interfaces = result["interfaces"].as_array().unwrap().iter();
    let names: Vec<&str> = interfaces.map(|i| i["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["br0", "veth7", "vx_blue", "mv_blue", "eth0"]);
    assert_eq!(result["ips"][0], before["ips"][0]);
    assert_eq!(result["ips"][1]["interface"], 4);
    assert_eq!(result["routes"][0]["dst"], "192.0.2.0/24");
    assert_eq!(result["routes"][1]["dst"], "0.0.0.0/0");
    assert_eq!(result["dns"], before["dns"]);
    ask.check(&result);
    ask.after(&result).del();
}

#[test]
fn b20_a_container_is_known_by_its_id_and_two_may_have_an_interface_of_one_name() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let config = node.config(&[&Net::new("blue", 100)]);
    let (one, two) = (node.pod("one"), node.pod("two"));
    let (first, second) = (node.ask(&config, &one), node.ask(&config, &two));
    let results = (first.add(), second.add());
    assert_ne!(address(&results.0, 0), address(&results.1, 0));
    // The id decides, not the namespace: with the other's id it is the other's attachment.
    let said = first
        .clone()
        .env("CNI_CONTAINERID", &two.container)
        .add_refused(4);
    assert!(
        said.contains("attached to network \"blue\" already"),
        "{said}"
    );
    first.after(&results.0).del();
    second.check(&results.1);
}
