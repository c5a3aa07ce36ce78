//! What README says can be pasted, works when pasted; every key there is, is in docs/configuration.md; no link is dead.

use std::collections::BTreeSet;
use std::path::Path;

use regex::Regex;
use serde_json::{Value, json};

use crate::support::lab::{Lab, Node, Pod, address, ipv6};
use crate::support::plugin::{Call, Program};

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(path).unwrap()
}

/// README's blocks of one language.
fn blocks(language: &str) -> Vec<String> {
    let text = document("README.md");
    let start = format!("```{language}\n");
    let mut parts = text.split(&start);
    parts.next();
    parts
        .map(|part| part.split("```").next().unwrap().to_owned())
        .collect()
}

#[test]
fn the_configuration_in_the_readme_puts_pods_of_two_nodes_on_both_its_networks() {
    ipv6::is_needed();
    let annotations = blocks("yaml")[0].clone();
    let value = |key: &str| {
        let line = annotations.lines().find(|line| line.contains(key)).unwrap();
        line.rsplit_once(": ").unwrap().1.to_owned()
    };
    let asked = json!({
        "vxlan-cni.phdata.io/NetworkName": value("NetworkName"),
        "vxlan-cni.phdata.io/RequestedAddress": value("RequestedAddress"),
    });
    let lab = Lab::new(2);
    let mut addresses = Vec::new();
    let mut pods = Vec::new();
    for node in lab.nodes() {
        let mut config = pasted(node);
        let (result, pod) = add(node, &config, "plain");
        assert_eq!(result["interfaces"][0]["name"], "vx_blue");
        pod.ping("10.1.0.1");
        pod.ping("fd10:1::1");
        addresses.extend([address(&result, 0), address(&result, 1)]);
        pods.push(pod);
        if addresses.len() == 2 {
            config["runtimeConfig"] = json!({"io.kubernetes.cri.pod-annotations": asked});
            let (result, pod) = add(node, &config, "annotated");
            assert_eq!(result["interfaces"][0]["name"], "vx_green");
            assert_eq!(address(&result, 0), value("RequestedAddress"));
            pod.ping("10.2.0.1");
        }
    }
    for address in &addresses {
        pods.iter().for_each(|pod| pod.ping(address));
        lab.nodes().iter().for_each(|node| node.ping(address));
    }
}

/// README's configuration. The folders are the only difference to what is pasted: a test writes into its own.
fn pasted(node: &Node) -> Value {
    let list: Value = serde_json::from_str(&blocks("json")[0]).unwrap();
    let mut config = list["plugins"][0].clone();
    config["cniVersion"] = list["cniVersion"].clone();
    config["name"] = list["name"].clone();
    for (key, file) in [
        ("dataDir", "data"),
        ("runDir", "run"),
        ("logFile", "vxlan.log"),
    ] {
        config[key] = json!(node.dir().join(file));
    }
    config["ipam"]["dataDir"] = json!(node.dir().join("route-table"));
    config["ipam"]["logFile"] = json!(node.dir().join("route-table.log"));
    config
}

/// A pod of the namespace `shop`.
fn add(node: &Node, config: &Value, pod: &str) -> (Value, Pod) {
    let [nsenter, net] = node.enter();
    let built = Path::new(Program::RouteTable.path()).parent().unwrap();
    let pod = node.pod(pod);
    let said = Call::verb(Program::Vxlan, "ADD", config)
        .behind(&[&nsenter, &net])
        .env("CNI_PATH", built.to_str().unwrap())
        .env(
            "CNI_ARGS",
            "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web",
        )
        .attachment(&pod.container, pod.path(), "eth0")
        .run();
    (said.ok(), pod)
}

#[test]
fn every_key_that_is_read_is_in_the_documents() {
    let source = |path: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        std::fs::read_to_string(path).unwrap()
    };
    let word = Regex::new(r#""([A-Za-z0-9]+)""#).unwrap();
    let known = |path: &str| {
        let text = source(path);
        let list = text.split("const KNOWN").nth(1).unwrap();
        let list = list.split("];").next().unwrap().to_owned();
        let keys = word.captures_iter(&list).map(|found| found[1].to_owned());
        keys.collect::<BTreeSet<_>>()
    };
    let mut keys = known("src/config/network.rs");
    keys.extend(known("src/config/options.rs"));
    keys.extend(known("src/route_table/config.rs"));
    let top = source("src/config/mod.rs");
    let read = Regex::new(
        r#"(?:at\.(?:string|number|bool|read|decode|inner|objects)\([ \n]*|path\(at, )"([A-Za-z0-9]+)""#,
    );
    let tests = top.find("#[cfg(test)]").unwrap();
    let top = read
        .unwrap()
        .captures_iter(&top[..tests])
        .map(|found| found[1].to_owned())
        .collect::<Vec<_>>();
    assert!(top.len() > 8, "{top:?}");
    keys.extend(top);
    let text = document("docs/configuration.md");
    let missing: Vec<String> = keys
        .into_iter()
        .filter(|key| !text.contains(&format!("`{key}")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
