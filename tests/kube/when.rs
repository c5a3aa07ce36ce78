//! When the API is asked, for what, and how often.

use serde_json::{Value, json};

use crate::api::{green, ok, pod};
use crate::scene::{POD, Scene, TOKEN, joins_green};
use crate::stand_in::got_past;
use crate::support::plugin::Program;
use crate::support::program;

const NETWORK: &str = "vxlan-cni.phdata.io/NetworkName";
const ADDRESS: &str = "vxlan-cni.phdata.io/RequestedAddress";
const MAC: &str = "vxlan-cni.phdata.io/RequestedMAC";
const CRI: &str = "io.kubernetes.cri.pod-annotations";

#[test]
fn a_look_up_is_one_connection_and_one_request_for_the_one_pod() {
    let scene = Scene::new();
    let api = scene.api(vec![ok(&green())]);
    scene.reads();
    assert_eq!(api.counts(), (1, 1));
    let asked = api.asked();
    assert_eq!(
        asked.line,
        "GET /api/v1/namespaces/shop/pods/web-1 HTTP/1.1"
    );
    let header = |name: &str| asked.headers.get(name).map(String::as_str);
    assert_eq!(header("host"), Some(api.address.to_string().as_str()));
    assert_eq!(
        header("authorization"),
        Some(format!("Bearer {TOKEN}").as_str())
    );
    assert!(
        header("accept")
            .unwrap()
            .starts_with("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")
    );
    assert!(header("user-agent").unwrap().starts_with("vxlan-cni/"));
    assert_eq!(header("accept-encoding"), None);
}

#[test]
fn a_server_that_shares_its_address_is_asked_below_its_path() {
    let scene = Scene::new();
    let api = scene.api(vec![ok(&green())]);
    let mut cluster = scene.cluster(&api);
    cluster["server"] = json!(format!("{}/k8s/clusters/c-1/", api.url()));
    scene.kubeconfig(&cluster, json!({"token": TOKEN}));
    scene.reads();
    assert_eq!(
        api.asked().line,
        "GET /k8s/clusters/c-1/api/v1/namespaces/shop/pods/web-1 HTTP/1.1"
    );
}

#[test]
fn nothing_is_asked_where_nothing_is_unset_and_one_unset_annotation_is_enough() {
    let all = json!({NETWORK: "green", ADDRESS: "10.2.0.9", MAC: "02:00:00:00:00:01"});
    for missing in [None, Some(NETWORK), Some(ADDRESS), Some(MAC)] {
        let scene = Scene::new();
        let api = scene.api(vec![ok(&green())]);
        let mut said = all.clone();
        if let Some(key) = missing {
            said[key] = json!("");
        }
        let config = scene.config_with(|config| config["args"] = json!({"annotations": said}));
        joins_green(&scene.run(&scene.add(&config)));
        let times = if missing.is_some() { 1 } else { 0 };
        assert_eq!(api.counts(), (times, times), "{missing:?}");
    }
}

#[test]
fn what_the_runtime_hands_over_is_all_that_the_pod_has_so_nothing_is_asked() {
    let scene = Scene::new();
    let api = scene.api(vec![ok(&green())]);
    let handed = |annotations: Value| {
        let config =
            scene.config_with(|config| config["runtimeConfig"] = json!({CRI: annotations}));
        scene.run(&scene.add(&config))
    };
    joins_green(&handed(json!({NETWORK: "green", MAC: ""})));
    got_past(&handed(json!({})), "a pod without annotations");
    assert_eq!(api.counts(), (0, 0));
    // A runtime that has the capability and knows of no pod says `null`.
    joins_green(&handed(Value::Null));
    assert_eq!(api.counts(), (1, 1));
}

#[test]
fn nothing_is_asked_and_no_kubeconfig_read_unless_that_is_configured() {
    let scene = Scene::new();
    let api = scene.api(vec![ok(&green())]);
    let config = scene.config_with(|config| config["k8sReadAnnotations"] = json!(false));
    got_past(&scene.run(&scene.add(&config)), "the default network");
    scene.file("kubeconfig", "\u{0}");
    got_past(&scene.run(&scene.add(&config)), "no kubeconfig");
    assert_eq!(api.counts(), (0, 0));
}

#[test]
fn the_configuration_and_the_runtime_count_before_the_api() {
    let scene = Scene::new();
    let api = scene.api(vec![ok(&green())]);
    let blue = json!({NETWORK: "blue"});
    for config in [
        scene.config_with(|config| config["args"] = json!({"annotations": blue})),
        scene.config_with(|config| config["runtimeConfig"] = json!({CRI: blue})),
    ] {
        got_past(&scene.run(&scene.add(&config)), "blue takes every pod");
    }
    // The runtime has told all there is.
    assert_eq!(api.counts(), (1, 1));
}

#[test]
fn the_api_counts_before_the_namespace_and_the_default() {
    let scene = Scene::new();
    let _api = scene.api(vec![ok(&green())]);
    let config = scene.config_with(|config| {
        config["k8sNetworkFromNamespace"] = json!(true);
        config["vxlans"][0]["name"] = json!("shop");
        config["defaultNetwork"] = json!("shop");
    });
    joins_green(&scene.run(&scene.add(&config)));
    // A pod that chooses nothing gets what it would get without the API.
    let _api = scene.api(vec![ok(&pod(&Value::Null))]);
    got_past(&scene.run(&scene.add(&config)), "its namespace's network");
}

#[test]
fn what_the_api_has_is_checked_like_everything_a_pod_can_write_and_the_source_is_named() {
    let source = "annotation of pod shop/web-1 (Kubernetes API)";
    for (annotations, words) in [
        (
            json!({NETWORK: "nope\n"}),
            "names the network `nope\\n`, which is not in vxlans",
        ),
        (
            json!({ADDRESS: "10.1.0.1"}),
            "asks for the address `10.1.0.1` in network \"blue\": ",
        ),
        (json!({ADDRESS: "-batch"}), "asks for the address `-batch`"),
        (json!({MAC: "01:00:5e:00:00:01"}), ": "),
    ] {
        let scene = Scene::new();
        let _api = scene.api(vec![ok(&pod(&annotations))]);
        let error = scene.run(&scene.add(&scene.config())).error(7);
        assert!(error.contains(source) && error.contains(words), "{error}");
        scene.untouched();
    }
}

#[test]
fn other_keys_for_the_annotations_are_looked_for_in_the_api_too() {
    let scene = Scene::new();
    let _api = scene.api(vec![ok(&pod(
        &json!({"example.org/net": "green", NETWORK: "blue"}),
    ))]);
    let config =
        scene.config_with(|config| config["annotations"] = json!({"network": "example.org/net"}));
    joins_green(&scene.run(&scene.add(&config)));
}

#[test]
fn del_check_gc_and_status_never_ask() {
    let scene = Scene::new();
    let api = scene.api(vec![ok(&green())]);
    let config = scene.config_with(|config| {
        config["prevResult"] = json!({"cniVersion": "1.1.0", "ips": []});
        config["cni.dev/valid-attachments"] = json!([]);
    });
    for verb in ["CHECK", "STATUS", "DEL", "GC"] {
        scene.world.record("c1", |_| {});
        let call = scene.world.call(Program::Vxlan, verb, &config);
        let said = scene.run(&call.env("CNI_ARGS", POD));
        assert!(verb == "CHECK" || said.code == 0, "{verb}: {said:?}");
    }
    assert_eq!(api.counts(), (0, 0));
}

#[test]
fn a_container_that_is_no_pod_is_refused_unless_its_network_is_named() {
    let scene = Scene::new();
    let api = scene.api(vec![ok(&green())]);
    let podman = scene
        .add(&scene.config())
        .env("CNI_ARGS", "IgnoreUnknown=1");
    let error = scene.run(&podman).error(4);
    for words in ["K8S_POD_NAMESPACE", "K8S_POD_NAME", "args", NETWORK] {
        assert!(error.contains(words), "{error}");
    }
    let named =
        scene.config_with(|config| config["args"] = json!({"annotations": {NETWORK: "blue"}}));
    let podman = scene.add(&named).env("CNI_ARGS", "IgnoreUnknown=1");
    got_past(&scene.run(&podman), "its network is named");
    scene.untouched();
    assert_eq!(api.counts(), (0, 0));
}

#[test]
fn half_a_pod_or_a_name_that_is_none_never_gets_as_far_as_the_api() {
    let scene = Scene::new();
    let api = scene.api(vec![ok(&green())]);
    for (args, words) in [
        ("K8S_POD_NAMESPACE=shop", "no K8S_POD_NAME"),
        ("K8S_POD_NAME=web-1", "no K8S_POD_NAMESPACE"),
        (
            "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=../secrets/x",
            "K8S_POD_NAME: `../secrets/x`",
        ),
        (
            "K8S_POD_NAMESPACE=shop/pods/x?;K8S_POD_NAME=web-1",
            "K8S_POD_NAMESPACE: `shop/pods/x?`",
        ),
        (
            "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web 1\nX: y",
            "K8S_POD_NAME: `web 1\\nX: y`",
        ),
    ] {
        let error = scene
            .run(&scene.add(&scene.config()).env("CNI_ARGS", args))
            .error(4);
        assert!(error.contains(words), "{error}");
    }
    scene.untouched();
    assert_eq!(api.counts(), (0, 0));
}

#[test]
fn the_reason_is_in_the_journal_and_in_the_record() {
    let scene = Scene::new();
    let _api = scene.api(vec![ok(&green())]);
    let config = scene.config_with(|config| {
        config["vxlans"][1]["allowedNamespaces"] = json!(["shop"]);
    });
    // The namespace is this program's own, and `ip` is a stand-in that can make nothing, so the record goes again:
    // `ip` keeps a copy of it.
    let (bin, folder) = (scene.world.path("bin"), scene.world.path(""));
    std::fs::rename(bin.join("ip"), bin.join("ip-itself")).unwrap();
    let script = format!(
        "#!/bin/sh\nmkdir -p {0}copy\ncp -r {0}data/. {0}copy 2>/dev/null\nexec ip-itself \"$@\"\n",
        folder.display()
    );
    program::put(script.as_bytes(), &bin.join("ip"));
    let call = scene
        .add(&config)
        .env("CNI_NETNS", "/proc/self/ns/net")
        .env("CNI_NETNS_OVERRIDE", "1");
    assert_ne!(scene.run(&call).code, 0);
    let because = "annotation of pod shop/web-1 (Kubernetes API)";
    let journal = std::fs::read_to_string(scene.world.path("vxlan.log")).unwrap();
    let head = format!("ADD green c1/eth0 pod=shop/web-1 because={because}");
    assert!(journal.contains(&head), "{journal}");
    let record = std::fs::read(scene.world.path("copy/green/c1:eth0.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    assert_eq!(record["because"], because);
}

#[test]
fn what_is_shipped_allows_to_get_pods_or_to_list_nodes_and_nothing_else() {
    for (text, resource, verb, count) in [
        (
            include_str!("../../deploy/rbac.yaml"),
            "pods",
            json!(["get"]),
            4,
        ),
        (
            include_str!("../../deploy/rbac-nodes.yaml"),
            "nodes",
            json!(["list", "watch"]),
            2,
        ),
    ] {
        let documents = vxlan_cni::kube::yaml::documents(text).unwrap();
        let roles: Vec<&Value> = documents
            .iter()
            .filter(|one| !one["rules"].is_null())
            .collect();
        assert_eq!(roles.len(), 1);
        let rules = json!([{"apiGroups": [""], "resources": [resource], "verbs": verb}]);
        assert_eq!(roles[0]["rules"], rules);
        assert_eq!(documents.len(), count);
    }
}
