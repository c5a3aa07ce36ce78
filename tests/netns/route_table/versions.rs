//! Results for every version of the protocol, and claims in another table than `main`.

use serde_json::{Value, json};

use super::{Ipam, SUBNET, lab};

/// Both families, and a route for the container.
fn dual(ipam: Ipam<'_>) -> Ipam<'_> {
    let ranges = json!([
        [{"subnet": SUBNET, "rangeStart": "10.9.0.60", "rangeEnd": "10.9.0.60", "gateway": "10.9.0.1"}],
        [{"subnet": "fd09::/64", "rangeStart": "fd09::60", "rangeEnd": "fd09::60"}],
    ]);
    ipam.with("/ipam/ranges", ranges)
        .with("/ipam/propagationTimeoutMs", json!(0))
        .with("/ipam/routes", json!([{"dst": "0.0.0.0/0"}]))
}

#[test]
fn c20_c21_the_result_is_what_each_version_of_the_protocol_has() {
    let lab = lab(1);
    for version in [
        "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0",
    ] {
        let ipam = dual(Ipam::small(lab.node(0), 60, 60)).with("/cniVersion", json!(version));
        let result = ipam.say("ADD", "a").ok();
        assert_eq!(result["cniVersion"], version, "{result}");
        assert_eq!(result.get("interfaces"), None, "an IPAM has none: {result}");
        match version {
            "0.1.0" | "0.2.0" => {
                assert_eq!(result["ip4"]["ip"], "10.9.0.60/24");
                assert_eq!(result["ip4"]["gateway"], "10.9.0.1");
                assert_eq!(result["ip4"]["routes"][0]["dst"], "0.0.0.0/0");
                assert_eq!(result["ip6"]["ip"], "fd09::60/64");
                assert_eq!(result.get("ips"), None, "{result}");
            }
            _ => {
                let ips = result["ips"].as_array().unwrap();
                let of = |key: &str| ips.iter().map(|ip| ip[key].clone()).collect::<Vec<Value>>();
                assert_eq!(of("address"), ["10.9.0.60/24", "fd09::60/64"]);
                assert_eq!(ips[0]["gateway"], "10.9.0.1");
                let named = match version {
                    "1.0.0" | "1.1.0" => [Value::Null, Value::Null],
                    _ => [json!("4"), json!("6")],
                };
                assert_eq!(of("version"), named, "{version}");
                assert_eq!(of("interface"), [Value::Null, Value::Null], "{version}");
                assert_eq!(result["routes"][0]["dst"], "0.0.0.0/0");
            }
        }
        ipam.del("a");
    }
}

#[test]
fn r15_claims_are_in_the_table_that_is_named_where_a_rule_leads_there() {
    let lab = lab(1);
    let node = lab.node(0);
    let ipam = Ipam::small(node, 60, 60)
        .with("/ipam/propagationTimeoutMs", json!(0))
        .with("/ipam/table", json!(77));
    // A claim that no look-up shows is no evidence of anything.
    let said = ipam.say("ADD", "a").error(101);
    assert!(
        said.contains("does not show where the kernel looks") && said.contains("table 77"),
        "{said}"
    );
    ipam.assert_nothing_left();
    node.ip("rule add pref 700 to 10.9.0.0/24 table 77");
    ipam.say("ADD", "a").ok();
    assert!(
        node.ip("route show table 77")
            .contains("10.9.0.60 dev eth0 proto eigrp")
    );
    assert!(!node.ip("route show table main").contains("10.9.0.60"));
    ipam.say("CHECK", "a").ok();
    ipam.del("a");
    ipam.assert_nothing_left();
}
