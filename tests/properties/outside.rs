//! Whatever comes from outside keeps its law: configuration, `CNI_ARGS`, annotations, prevResult, what `ip`
//! prints, records, what other nodes tell.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::golden;
use crate::laws::door::sample;
use crate::laws::records::Folder;
use crate::laws::{annotations, arguments, compare, config, ip_output, prev_result, records};
use crate::nearly;
use crate::tried;

/// Every kind of key there is.
fn configs() -> Vec<Value> {
    let mut all = golden::json("plans", "conf.json");
    all.push(sample());
    let mut full = sample();
    full["annotations"] = json!({"network": "n", "address": "a", "mac": "m"});
    full["args"] = json!({"annotations": {"n": "green", "a": "10.2.0.9"}, "cni": {"ips": ["10.2.0.8/16"], "mac": "02:00:00:00:00:01"}});
    full["runtimeConfig"] = json!({"ips": ["10.1.0.77"], "mac": "02:00:00:00:00:02", "io.kubernetes.cri.pod-annotations": {"n": "blue"},
        "dns": {"servers": ["10.0.0.2"], "searches": ["x"], "options": ["ndots:5"]}});
    full["dns"] = json!({"nameservers": ["10.0.0.2"], "domain": "x"});
    full["vxlans"][0]["routes"] =
        json!([{"dst": "10.9.0.0/16", "gw": "10.1.0.1", "mtu": 1400, "table": 7, "priority": 5}]);
    full["vxlans"][0]["device"] = json!("b");
    full["vxlans"][0]["ipam"] = json!({"type": "host-local", "routes": []});
    full["cni.dev/valid-attachments"] = json!([{"containerID": "c1", "ifname": "eth0"}]);
    all.push(full);
    all.push(json!({"cniVersion": "1.1.0", "name": "n", "type": "vxlan", "ipam": {"type": "route-table",
        "ranges": [[{"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.10", "rangeEnd": "10.1.0.99", "gateway": "10.1.0.1"},
                    {"subnet": "10.3.0.0/24"}], [{"subnet": "fd10::/64"}]],
        "exclude": ["10.1.0.16/28", "10.1.0.48/29"], "order": "sticky", "device": "mv_blue", "table": 200,
        "propagationTimeoutMs": 0, "probe": false, "routes": [{"dst": "0.0.0.0/0"}], "dataDir": "/run/x"}}));
    all
}

/// Results in every version's form.
fn results() -> Vec<Value> {
    let mut all = golden::json("plans", "lease.json");
    all.push(json!({"cniVersion": "1.1.0",
        "interfaces": [{"name": "br0", "mac": "02:00:00:00:00:01", "mtu": 1500, "socketPath": "/x", "pciID": "1"}, {"name": "eth0", "sandbox": "/run/netns/p"}],
        "ips": [{"address": "10.1.0.9/16", "gateway": "10.1.0.1", "interface": 1}, {"address": "fd10::9/64", "interface": 0}],
        "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.0.1", "mtu": 1400, "advmss": 1300, "priority": 1, "table": 2, "scope": 0}],
        "dns": {"nameservers": ["10.0.0.2"], "domain": "x", "search": ["y"], "options": ["z"]}}));
    all.push(json!({"cniVersion": "0.4.0", "interfaces": [{"name": "eth0"}], "routes": null,
        "ips": [{"version": "4", "address": "10.1.0.9/16", "gateway": "10.1.0.1", "interface": 0}]}));
    all.push(json!({"cniVersion": "0.2.0", "ip4": {"ip": "10.1.0.9/16", "gateway": "10.1.0.1", "routes": [{"dst": "0.0.0.0/0"}]},
        "ip6": {"ip": "fd10::9/64"}, "dns": {}}));
    all
}

/// Records of both programs.
fn written() -> Vec<Value> {
    let definition = sample()["vxlans"][0].clone();
    vec![
        json!({"format": 1, "name": "demo", "container": "c1", "ifname": "eth0", "netns": "/run/netns/p", "inode": 1,
            "pod": "shop/web-1", "network": "blue", "because": "defaultNetwork", "boot": "b", "since": "2031-05-02T10:00:00Z",
            "definition": definition, "table": 192, "pref": 19200, "ipam": {"type": "route-table"}, "mac": "02:00:00:00:00:01",
            "lease": {"ips": [{"address": "10.1.0.23/24", "gateway": "10.1.0.1"}]}}),
        json!({"name": "demo", "container": "c1", "ifname": "eth0", "pod": "shop/web-1", "boot": "b", "since": "2031-05-02T10:00:00Z",
            "route": {"dst": "10.1.0.9/32", "via": null, "dev": "mv_blue", "metric": 4_194_304_000_u32, "protocol": 192,
                "table": 254, "mtu": null, "advmss": null, "scope": null}}),
    ]
}

/// What nodes tell of themselves.
fn nodes() -> Vec<Value> {
    let node: Value = serde_json::from_str(compare::NODE).unwrap();
    let mut other = node.clone();
    other["node"]["name"] = json!("n2");
    other["networks"][0]["vtep"] = json!("198.18.0.2");
    other["networks"][0]["gateways"] = json!(["10.1.0.2/16"]);
    other["networks"][0]["gateway_mac"] = json!(null);
    vec![node, other]
}

/// Keys of `CNI_ARGS` that something is read from.
const KNOWN: [&str; 9] = [
    "IP",
    "MAC",
    "CIDR",
    "EXCLUDE_FIRST",
    "EXCLUDE_LAST",
    "K8S_POD_NAMESPACE",
    "K8S_POD_NAME",
    "IgnoreUnknown",
    "CNI_ARGS",
];

/// `CNI_ARGS`: pairs, some of them known.
fn pairs() -> impl Strategy<Value = String> {
    let key = prop_oneof![6 => select(&KNOWN[..]).prop_map(str::to_owned), 1 => nearly::text()];
    let pair = (
        key,
        prop_oneof![9 => Just("="), 1 => Just(""), 1 => Just("==")],
        nearly::text(),
    );
    let pair = pair.prop_map(|(key, sign, value)| format!("{key}{sign}{value}"));
    prop_oneof![
        9 => vec(pair, 0..5).prop_map(|pairs| pairs.join(";")),
        1 => any::<String>(),
    ]
}

/// The keys of the interface.
const KEYS: [&str; 4] = [
    "vxlan-cni.phdata.io/NetworkName",
    "vxlan-cni.phdata.io/RequestedAddress",
    "vxlan-cni.phdata.io/RequestedMAC",
    "other",
];

/// What `ip` said on stderr, with a line of nobody's between.
fn complaints() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        4 => select(golden::stderr()),
        3 => (0_usize..40).prop_map(|line| format!("Command failed -:{line}")),
        1 => select(vec!["info: this is new".to_owned(), "Warning: this is interrupted".to_owned()]),
        2 => nearly::text(),
    ];
    vec(line, 0..5).prop_map(|lines| lines.join("\n"))
}

/// Some documents one behind the other.
fn printed() -> impl Strategy<Value = Vec<u8>> {
    let one = || nearly::bytes(golden::printed());
    // What Ubuntu's `ip` prints where no JSON is, and quotes and backslashes that make strings of it.
    let odd = "(fan-map ?|10\\.0\\.0\\.0/8|[\\[\\]{},: \"\\\\a1])*";
    prop_oneof![
        4 => one(),
        4 => vec(one(), 0..30).prop_map(|all| all.join(&b'\n')),
        1 => odd.prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(tried())]

    #[test]
    fn a_configuration_is_taken_or_refused_in_one_document_that_names_the_key(stdin in nearly::bytes(configs())) {
        config::holds(&stdin);
    }

    #[test]
    fn cni_args_are_split_without_loss_or_refused(text in pairs()) {
        arguments::holds(&text);
    }

    #[test]
    fn annotations_choose_among_what_is_allowed_and_nothing_else(map in nearly::map(&KEYS)) {
        annotations::holds(map.to_string().as_bytes());
    }

    #[test]
    fn what_another_node_tells_is_compared_or_refused_and_takes_no_terminal_over(bytes in nearly::bytes(nodes())) {
        compare::holds(&bytes);
    }

    #[test]
    fn a_prev_result_is_told_again_in_every_version_or_refused(bytes in nearly::bytes(results())) {
        prev_result::holds(&bytes);
    }

    #[test]
    fn what_ip_prints_is_read_or_refused_and_never_becomes_a_command_that_is_none(
        stdout in printed(), stderr in complaints(), code in prop_oneof![Just(Some(0)), Just(Some(1)), Just(None)],
    ) {
        ip_output::holds(&stdout, &stderr, code);
    }
}

#[test]
fn a_record_is_whole_or_damaged_and_never_speaks_for_another() {
    let folder = Folder::new("records");
    proptest!(tried(), |(bytes in nearly::bytes(written()))| records::holds(&folder, &bytes));
}

#[test]
fn the_samples_are_right_so_that_what_is_nearly_right_gets_far() {
    let folder = Folder::new("samples");
    for document in configs().iter().take(2) {
        assert!(
            vxlan_cni::config::Config::read(document).is_ok(),
            "{document}"
        );
    }
    for document in results() {
        assert!(
            vxlan_cni::cni::CniResult::from_json(&document, vxlan_cni::cni::Version::NEWEST)
                .is_ok(),
            "{document}"
        );
    }
    for document in nodes() {
        let file = ("n.json".to_owned(), document.to_string().into_bytes());
        assert!(
            vxlan_cni::ctl::doctor::compare::of(&[file]).is_ok(),
            "{document}"
        );
    }
    for document in written() {
        records::holds(&folder, document.to_string().as_bytes());
    }
}
