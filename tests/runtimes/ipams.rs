//! What the reference IPAMs say that only they do, on the real kernel.

use serde_json::json;

use crate::prerequisites::require;
use crate::support::lab::{Lab, Net, address, ipv6};

#[test]
fn static_takes_an_address_without_a_length_and_its_gateway_of_zeros_is_none() {
    require();
    let lab = Lab::new(1);
    let node = lab.node(0);
    let net = Net::new("blue", 100);
    let before = node.snapshot();
    let addresses = json!([{"address": "10.100.1.7/16", "gateway": "0.0.0.0"}]);
    let fixed = node
        .config(&[&net])
        .ipam(json!({"type": "static", "addresses": addresses}));
    let asked = node
        .config(&[&net])
        .ipam(json!({"type": "static"}))
        .with(json!({"runtimeConfig": {"ips": ["10.100.1.8"]}}));
    for (config, wanted) in [(fixed, "10.100.1.7"), (asked, "10.100.1.8")] {
        let pod = node.pod("web");
        let ask = node.ask(&config, &pod);
        let result = ask.add();
        assert_eq!(address(&result, 0), wanted);
        assert_eq!(result["ips"][0]["address"], format!("{wanted}/16"));
        let ways = pod.show("route show default");
        assert_eq!(ways[0]["gateway"], "10.100.0.1", "{ways}");
        ask.check(&result);
        node.ping(wanted);
        ask.after(&result).del();
        node.snapshot().assert_same(&before);
    }
}

#[test]
fn routes_of_one_destination_are_several_ways_and_one_that_is_lost_is_named_and_mended() {
    require();
    ipv6::is_needed();
    let lab = Lab::new(1);
    let node = lab.node(0);
    let net = Net::new("blue", 100).dual();
    let routes = json!([
        {"dst": "10.9.0.0/16", "gw": "10.100.0.7"},
        {"dst": "10.9.0.0/16", "gw": "10.100.0.8"},
        {"dst": "fd09::/64", "gw": "fd10:64::7"},
        {"dst": "fd09::/64", "gw": "fd10:64::8"},
        {"dst": "fd09::/64", "gw": "fd10:64::9"},
    ]);
    let config = node
        .config(&[&net])
        .with(json!({"ipam": {"routes": routes}}));
    let before = node.snapshot();
    let pod = node.pod("web");
    let ask = node.ask(&config, &pod);
    let result = ask.add();
    let ways = || pod.sh("ip route show 10.9.0.0/16; ip -6 route show fd09::/64");
    let whole = ways();
    for gateway in [
        "10.100.0.7",
        "10.100.0.8",
        "fd10:64::7",
        "fd10:64::8",
        "fd10:64::9",
    ] {
        assert!(
            whole.contains(&format!("via {gateway} dev eth0")),
            "{whole}"
        );
    }
    ask.check(&result);
    for (family, dst, gateway) in [
        ("-4", "10.9.0.0/16", "10.100.0.8"),
        ("-6", "fd09::/64", "fd10:64::8"),
    ] {
        pod.ip(&format!("{family} route del {dst} via {gateway} dev eth0"));
        let said = ask.check_refused(&result, 101);
        let wanted = format!("route {dst} via {gateway} dev eth0: missing");
        assert!(said.contains(&wanted), "{said}");
        pod.ip(&format!(
            "{family} route append {dst} via {gateway} dev eth0"
        ));
        ask.check(&result);
    }
    ask.after(&result).del();
    node.snapshot().assert_same(&before);
}
