//! What a runtime hands over at run time (`runtimeConfig`, `args`, `CNI_ARGS`), on the real kernel with
//! reference IPAM plugins.

use serde_json::{Value, json};

use crate::support::lab::{Ask, Config, Lab, Net, Node, Pod, address, mac};

const BLUE: &str = "vxlan-cni.phdata.io/NetworkName";
const ADDRESS: &str = "vxlan-cni.phdata.io/RequestedAddress";
const MAC: &str = "vxlan-cni.phdata.io/RequestedMAC";

/// A node with a network of both families.
struct Scene {
    lab: Lab,
    config: Config,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::new(1);
        let net = Net::new("blue", 100).dual();
        let config = lab.node(0).config(&[&net]);
        Self { lab, config }
    }

    /// The same with our own IPAM: host-local takes what several sources ask for as several wishes.
    fn with_route_table() -> Self {
        let scene = Self::new();
        let config = scene.config.ipam(scene.lab.node(0).route_table());
        Self { config, ..scene }
    }

    fn node(&self) -> &Node {
        self.lab.node(0)
    }

    fn ask(&self, pod: &Pod, more: Value) -> Ask {
        self.node().ask(&self.config.clone().with(more), pod)
    }

    /// ADD, CHECK and DEL of one pod; what ADD said.
    fn round(&self, more: Value, args: &str) -> Value {
        let pod = self.node().pod("web");
        let ask = self.ask(&pod, more).args(args);
        let result = ask.add();
        ask.check(&result);
        ask.after(&result).del();
        result
    }

    /// An ADD that must be refused with what is wrong, with nothing left behind.
    fn refused(&self, more: Value, args: &str, wrong: &str) {
        let pod = self.node().pod("web");
        let before = self.node().snapshot();
        let said = self.ask(&pod, more.clone()).args(args).add_refused(7);
        assert!(
            said.contains(wrong),
            "{more} {args}\nwanted {wrong}\nin     {said}"
        );
        self.node().snapshot().assert_same(&before);
    }
}

/// Every way to ask for something, the first the one that counts most.
fn ways() -> [(Value, &'static str); 4] {
    let keys =
        json!({"annotations": {BLUE: "blue", ADDRESS: "10.100.1.14", MAC: "02:00:00:00:00:14"}});
    let mut cni = keys.clone();
    cni["cni"] = json!({"ips": ["10.100.1.12/16"], "mac": "02:00:00:00:00:12"});
    let runtime = json!({"ips": ["10.100.1.11/16"], "mac": "02:00:00:00:00:11"});
    let args = "IgnoreUnknown=1;IP=10.100.1.13;MAC=02:00:00:00:00:13";
    [
        (json!({"args": cni.clone(), "runtimeConfig": runtime}), args),
        (json!({ "args": cni }), args),
        (json!({"args": keys.clone()}), args),
        (json!({ "args": keys }), ""),
    ]
}

#[test]
fn c12_address_and_mac_are_of_the_first_source_that_asks_and_the_pod_has_them() {
    let scene = Scene::with_route_table();
    let before = scene.node().snapshot();
    for ((more, args), last) in ways().into_iter().zip(["11", "12", "13", "14"]) {
        let result = scene.round(more, args);
        assert_eq!(address(&result, 0), format!("10.100.1.{last}"), "{result}");
        assert_eq!(mac(&result), format!("02:00:00:00:00:{last}"), "{result}");
        assert_eq!(
            result["ips"].as_array().unwrap().len(),
            2,
            "the other family has an address all the same"
        );
    }
    scene.node().snapshot().assert_same(&before);
}

#[test]
fn c14_ips_of_both_families_are_what_the_pod_gets() {
    let scene = Scene::new();
    let pod = scene.node().pod("web");
    let ask = scene.ask(
        &pod,
        json!({"runtimeConfig": {"ips": ["fd10:64::177/112", "10.100.1.77/16"]}}),
    );
    let result = ask.add();
    let mut got = [address(&result, 0), address(&result, 1)];
    got.sort();
    assert_eq!(got, ["10.100.1.77", "fd10:64::177"]);
    for address in got {
        scene.node().ping(&address);
    }
    ask.check(&result);
}

#[test]
fn c14_mac_is_what_the_interface_has_and_dns_what_the_result_says() {
    let scene = Scene::new();
    let dns =
        json!({"nameservers": ["192.0.2.1"], "domain": "conf.example", "search": ["conf.example"]});
    let runtime = json!({"servers": ["192.0.2.53", "2001:db8::53"], "searches": ["run.example"], "options": ["ndots:2"]});
    let result = scene.round(json!({"dns": dns.clone()}), "");
    assert_eq!(result["dns"], dns);
    let more = json!({"dns": dns, "runtimeConfig": {"mac": "02:00:00:00:00:aa", "dns": runtime}});
    let pod = scene.node().pod("web");
    let ask = scene.ask(&pod, more);
    let result = ask.add();
    assert_eq!(
        result["dns"],
        json!({"nameservers": ["192.0.2.53", "2001:db8::53"], "search": ["run.example"], "options": ["ndots:2"]})
    );
    assert_eq!(mac(&result), "02:00:00:00:00:aa");
    assert_eq!(pod.device("eth0")["address"], "02:00:00:00:00:aa");
    ask.check(&result);
}

#[test]
fn c14_pod_annotations_from_the_runtime_choose_network_address_and_mac() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let (blue, green) = (Net::new("blue", 100), Net::new("green", 102));
    let keys =
        json!({BLUE: "green", ADDRESS: "10.102.1.9/16", MAC: "02:00:00:00:00:09", "other": "x"});
    let runtime = json!({"runtimeConfig": {"io.kubernetes.cri.pod-annotations": keys}});
    let config = node.config(&[&blue, &green]).with(runtime);
    let pod = node.pod("web");
    let result = node.ask(&config, &pod).add();
    assert_eq!(result["interfaces"][0]["name"], "vx_green");
    assert_eq!(
        (address(&result, 0), mac(&result)),
        ("10.102.1.9".into(), "02:00:00:00:00:09".into())
    );
    assert!(node.device("vx_blue").is_null());
}

#[test]
fn c15_capabilities_and_arguments_that_nobody_knows_are_let_pass() {
    let scene = Scene::new();
    let more = json!({
        "capabilities": {"ips": true, "portMappings": true, "aliases": true},
        "runtimeConfig": {
            "portMappings": [{"hostPort": 80, "containerPort": 80}], "bandwidth": {"ingressRate": 1},
            "aliases": {"lab": ["web"]}, "infinibandGUID": 7, "cgroupPath": null,
        },
        "args": {"labels": [{"key": "a"}], "cni": {"unknown": true}},
        "cni.dev/unknown": {}, "disableCheck": true, "disableGC": true, "cniVersions": ["1.0.0"],
    });
    scene.round(more, "IgnoreUnknown=1;UNKNOWN=x;K8S_POD_UID=1");
}

#[test]
fn c13_a_capability_that_cannot_be_acted_on_is_told_by_its_name() {
    let scene = Scene::new();
    let runtime = |key: &str, value: Value| json!({"runtimeConfig": {key: value}});
    for (key, value) in [
        ("ips", json!("10.100.1.7")),
        ("ips", json!([7])),
        ("ips", json!({"0": "10.100.1.7"})),
        ("ips", json!(["banana"])),
        ("ips", json!(["10.100.1.7/24"])),
        ("ips", json!(["10.99.1.7/16"])),
        ("ips", json!(["10.100.0.1/16"])),
        ("ips", json!(["10.100.1.7/16", "10.100.1.8/16"])),
        ("mac", json!(7)),
        ("mac", json!("banana")),
        ("mac", json!("01:00:5e:00:00:01")),
        ("dns", json!([])),
        ("dns", json!({"servers": "192.0.2.1"})),
        ("dns", json!({"searches": [1]})),
        ("io.kubernetes.cri.pod-annotations", json!([BLUE])),
        ("io.kubernetes.cri.pod-annotations", json!({BLUE: 7})),
    ] {
        scene.refused(runtime(key, value), "", &format!("runtimeConfig.{key}"));
    }
    for (value, wrong) in [(json!("x"), "runtimeConfig"), (json!([]), "runtimeConfig")] {
        scene.refused(json!({ "runtimeConfig": value }), "", wrong);
    }
    scene.refused(json!({"args": {"cni": {"ips": "x"}}}), "", "args.cni.ips");
    scene.refused(json!({"args": {"cni": {"mac": 1}}}), "", "args.cni.mac");
    scene.refused(json!({}), "IP=banana", "CNI_ARGS IP");
    scene.refused(json!({}), "MAC=banana", "CNI_ARGS MAC");
}
