//! Every version of the protocol on the real kernel: what ADD answers, what CHECK and DEL read, what
//! an earlier plugin or the IPAM may have said in another version.

use serde_json::{Map, Value, json};

use crate::stand_in::{StandIn, says};
use crate::support::lab::{Ask, Config, Lab, Net, Node, Pod};

const VERSIONS: [&str; 7] = [
    "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0",
];

/// Whether results of a version are `ip4` and `ip6`.
fn is_four_and_six(version: &str) -> bool {
    version < "0.3.0"
}

/// Whether a version has CHECK, and DEL with the result of ADD.
fn has_check(version: &str) -> bool {
    version >= "0.4.0"
}

/// A node with a network of both families.
struct Scene {
    lab: Lab,
    config: Config,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::new(1);
        let node = lab.node(0);
        // What forwarding leaves behind is there before, so that the rest can be compared.
        node.set(&["net.ipv6.conf.all.forwarding=1"]);
        let net = Net::new("blue", 100).dual();
        let config = node.config(&[&net]).ipam(node.route_table());
        Self { lab, config }
    }

    fn node(&self) -> &Node {
        self.lab.node(0)
    }

    fn ask(&self, pod: &Pod, version: &str, more: Value) -> Ask {
        let config = self.config.clone().with(json!({ "cniVersion": version }));
        self.node().ask(&config.with(more), pod)
    }

    /// CHECK where there is one, and DEL as libcni does them; nothing is left.
    fn end(&self, ask: &Ask, version: &str, result: &Value) {
        if has_check(version) {
            ask.check(result);
            ask.after(result).del();
        } else {
            let said = ask.check_refused(result, 1);
            assert!(said.contains("CHECK") && said.contains("0.4.0"), "{said}");
            ask.del();
        }
    }
}

/// The keys of an object, sorted.
fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = object
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

/// The address of a pod of this family, as a result of this version has it.
fn cidr(result: &Value, six: bool) -> &str {
    let ips = result["ips"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let listed = ips.iter().map(|ip| &ip["address"]);
    let named = [&result[if six { "ip6" } else { "ip4" }]["ip"]];
    let of = |text: &&str| text.contains(':') == six;
    let found = listed.chain(named).filter_map(Value::as_str).find(of);
    found.unwrap_or_else(|| panic!("no address in {result}"))
}

/// A result of ours has the shape of its version, to the key.
fn assert_shape(result: &Value, version: &str, pod: &Pod) {
    assert_eq!(result["cniVersion"], version);
    if is_four_and_six(version) {
        assert_eq!(keys(result), ["cniVersion", "ip4", "ip6"], "{result}");
        for family in ["ip4", "ip6"] {
            assert_eq!(
                keys(&result[family]),
                ["gateway", "ip", "routes"],
                "{result}"
            );
            assert_eq!(
                keys(&result[family]["routes"][0]),
                ["dst", "gw"],
                "{result}"
            );
        }
        return;
    }
    assert_eq!(
        keys(result),
        ["cniVersion", "interfaces", "ips", "routes"],
        "{result}"
    );
    let interfaces = result["interfaces"].as_array().unwrap();
    let mtu: &[&str] = if version == "1.1.0" { &["mtu"] } else { &[] };
    for (index, interface) in interfaces.iter().enumerate() {
        let sandbox: &[&str] = if index == 2 { &["sandbox"] } else { &[] };
        let wanted = [&["mac"], mtu, &["name"], sandbox].concat();
        assert_eq!(keys(interface), wanted, "{result}");
    }
    assert_eq!(interfaces[2]["sandbox"], pod.path());
    for (index, family) in ["4", "6"].iter().enumerate() {
        let ip = &result["ips"][index];
        let numbered = VERSIONS[2..5].contains(&version);
        assert_eq!(
            ip["version"],
            if numbered { json!(family) } else { Value::Null },
            "{result}"
        );
        assert_eq!(ip["interface"], 2, "{result}");
        assert!(ip["gateway"].is_string(), "{result}");
    }
    let defaults: Vec<&Value> = result["routes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|route| &route["dst"])
        .collect();
    assert_eq!(defaults, ["0.0.0.0/0", "::/0"]);
}

#[test]
fn c20_c21_add_check_and_del_in_every_version_have_that_versions_shape() {
    let scene = Scene::new();
    let before = scene.node().snapshot();
    for version in VERSIONS {
        let pod = scene.node().pod("web");
        let ask = scene.ask(&pod, version, json!({}));
        let result = ask.add();
        assert_shape(&result, version, &pod);
        for six in [false, true] {
            scene
                .node()
                .ping(cidr(&result, six).split('/').next().unwrap());
        }
        scene.end(&ask, version, &result);
        assert!(!pod.is_linked());
        scene.node().snapshot().assert_same(&before);
    }
}

#[test]
fn c17_a_configuration_without_a_version_speaks_0_1_0() {
    let scene = Scene::new();
    let before = scene.node().snapshot();
    for none in [json!(""), Value::Null] {
        let pod = scene.node().pod("web");
        let ask = scene.ask(&pod, "", json!({ "cniVersion": none }));
        let result = ask.add();
        assert_shape(&result, "0.1.0", &pod);
        ask.del();
        scene.node().snapshot().assert_same(&before);
    }
}

#[test]
fn c20_errors_are_told_in_the_configurations_version() {
    let scene = Scene::new();
    let pod = scene.node().pod("web");
    for version in VERSIONS {
        let ask = scene.ask(&pod, version, json!({"defaultNetwork": "nope"}));
        let said = ask.say("ADD");
        said.error(7);
        assert_eq!(said.json()["cniVersion"], version);
    }
}

/// What an earlier plugin made, as a result of a version.
fn earlier(version: &str) -> Value {
    let gateway = "192.0.2.1";
    let routes = json!([{"dst": "198.51.100.0/24", "gw": gateway}]);
    let dns = json!({"nameservers": ["192.0.2.53"]});
    if is_four_and_six(version) {
        let ip4 = json!({"ip": "192.0.2.7/24", "gateway": gateway, "routes": routes});
        return json!({"cniVersion": version, "ip4": ip4, "dns": dns});
    }
    let mut ip = json!({"address": "192.0.2.7/24", "gateway": gateway, "interface": 1});
    if VERSIONS[2..5].contains(&version) {
        ip["version"] = json!("4");
    }
    let interfaces = json!([{"name": "br0", "mac": "02:00:00:00:00:01"}, {"name": "net9", "sandbox": "/run/netns/x"}]);
    json!({"cniVersion": version, "interfaces": interfaces, "ips": [ip], "routes": routes, "dns": dns})
}

/// The results of both, as the version joins them.
fn assert_joined(result: &Value, version: &str) {
    assert_eq!(result["cniVersion"], version);
    assert_eq!(result["dns"], json!({"nameservers": ["192.0.2.53"]}));
    if is_four_and_six(version) {
        assert_eq!(
            result["ip4"]["ip"], "192.0.2.7/24",
            "there is room for the first one only"
        );
        assert_eq!(result["ip4"]["routes"][0]["dst"], "198.51.100.0/24");
        assert!(
            result["ip6"]["ip"]
                .as_str()
                .unwrap()
                .starts_with("fd10:64::"),
            "{result}"
        );
        return;
    }
    let names: Vec<&Value> = result["interfaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["name"])
        .collect();
    assert_eq!(names, ["br0", "net9", "vx_blue", "mv_blue", "eth0"]);
    let ips = result["ips"].as_array().unwrap();
    let indexes: Vec<&Value> = ips.iter().map(|ip| &ip["interface"]).collect();
    assert_eq!(indexes, [1, 4, 4], "{result}");
    assert_eq!(ips[0]["address"], "192.0.2.7/24");
    let routes: Vec<&Value> = result["routes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|route| &route["dst"])
        .collect();
    assert_eq!(routes, ["198.51.100.0/24", "0.0.0.0/0", "::/0"]);
}

#[test]
fn c31_a_result_of_an_earlier_plugin_in_any_version_is_joined_with_ours() {
    let scene = Scene::new();
    let before = scene.node().snapshot();
    for version in VERSIONS {
        let pod = scene.node().pod("web");
        let ask = scene.ask(&pod, version, json!({"prevResult": earlier(version)}));
        let result = ask.add();
        assert_joined(&result, version);
        scene.end(&ask, version, &result);
        scene.node().snapshot().assert_same(&before);
    }
}

#[test]
fn c22_a_result_of_an_earlier_plugin_without_a_version_is_read_in_the_configurations() {
    let scene = Scene::new();
    for version in VERSIONS {
        let pod = scene.node().pod("web");
        let mut before = earlier(version);
        before.as_object_mut().unwrap().remove("cniVersion");
        let ask = scene.ask(&pod, version, json!({ "prevResult": before }));
        let mut result = ask.add();
        assert_joined(&result, version);
        result.as_object_mut().unwrap().remove("cniVersion");
        scene.end(&ask, version, &result);
    }
}

#[test]
fn c22_a_result_of_an_earlier_plugin_that_is_none_is_refused_before_anything_is_done() {
    let scene = Scene::new();
    let pod = scene.node().pod("web");
    let before = scene.node().snapshot();
    for wrong in [
        json!({"cniVersion": "9.9.9"}),
        json!({"cniVersion": "1.0.0", "ips": [{"address": "x"}]}),
        json!({"cniVersion": "1.0.0", "interfaces": [{"name": "a"}], "ips": [{"address": "192.0.2.7/24", "interface": 1}]}),
        json!([]),
        json!("x"),
    ] {
        let ask = scene.ask(&pod, "1.0.0", json!({ "prevResult": wrong }));
        let said = ask.add_refused(6);
        assert!(said.contains("prevResult"), "{said}");
        // DEL has to do without it.
        ask.del();
        scene.node().snapshot().assert_same(&before);
    }
}

/// A lease of both families in the words of a version, with a route of each and name servers.
fn lease(version: &str) -> Value {
    let route = |dst: &str, gw: &str| json!([{"dst": dst, "gw": gw}]);
    let four = route("198.51.100.0/24", "10.100.0.9");
    let six = route("2001:db8::/32", "fd10:64::9");
    let dns = json!({"nameservers": ["192.0.2.53"]});
    if is_four_and_six(version) {
        let ip4 = json!({"ip": "10.100.1.7/16", "gateway": "10.100.0.1", "routes": four});
        let ip6 = json!({"ip": "fd10:64::107/112", "gateway": "fd10:64::1", "routes": six});
        return json!({"cniVersion": version, "ip4": ip4, "ip6": ip6, "dns": dns});
    }
    let mut ips = json!([
        {"address": "10.100.1.7/16", "gateway": "10.100.0.1"},
        {"address": "fd10:64::107/112", "gateway": "fd10:64::1"},
    ]);
    if VERSIONS[2..5].contains(&version) {
        ips[0]["version"] = json!("4");
        ips[1]["version"] = json!("6");
    }
    let routes = [four[0].clone(), six[0].clone()];
    json!({"cniVersion": version, "ips": ips, "routes": routes, "dns": dns})
}

#[test]
fn c21_an_ipam_may_answer_in_any_version_whatever_the_configurations() {
    let mut scene = Scene::new();
    scene.config = StandIn::in_place(&scene.config);
    let ipam = StandIn::new(scene.node(), &[]);
    let before = scene.node().snapshot();
    for version in VERSIONS {
        for answer in VERSIONS.map(Some).into_iter().chain([None]) {
            let mut said = lease(answer.unwrap_or(version));
            if answer.is_none() {
                said.as_object_mut().unwrap().remove("cniVersion");
            }
            ipam.does(&[("ADD", &says(&said))]);
            let pod = scene.node().pod("web");
            let ask = ipam.asked(scene.ask(&pod, version, json!({})));
            let result = ask.add();
            assert_leased(&result, version);
            for (family, dst, gateway) in [
                ("-4", "198.51.100.0/24", "10.100.0.9"),
                ("-6", "2001:db8::/32", "fd10:64::9"),
            ] {
                let routes = pod.show(&format!("{family} route show {dst}"));
                assert_eq!(routes[0]["gateway"], gateway, "{answer:?} for {version}");
            }
            scene.end(&ask, version, &result);
        }
        scene.node().snapshot().assert_same(&before);
    }
}

/// The result of ADD has everything of the lease, in the shape of its version.
fn assert_leased(result: &Value, version: &str) {
    let mut bare: Map<String, Value> = result.as_object().unwrap().clone();
    assert_eq!(
        bare.remove("dns"),
        Some(json!({"nameservers": ["192.0.2.53"]})),
        "{result}"
    );
    assert_eq!(result["cniVersion"], version);
    assert_eq!(
        (cidr(result, false), cidr(result, true)),
        ("10.100.1.7/16", "fd10:64::107/112")
    );
    let routes: Vec<&Value> = if is_four_and_six(version) {
        let of = |family: &str| result[family]["routes"].as_array().unwrap().iter();
        of("ip4").chain(of("ip6")).collect()
    } else {
        result["routes"].as_array().unwrap().iter().collect()
    };
    let mut routes: Vec<&str> = routes
        .iter()
        .map(|route| route["dst"].as_str().unwrap())
        .collect();
    routes.sort_unstable();
    assert_eq!(
        routes,
        ["0.0.0.0/0", "198.51.100.0/24", "2001:db8::/32", "::/0"],
        "{result}"
    );
}
