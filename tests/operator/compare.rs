//! `vxlan doctor --compare`: what the nodes of a cluster tell of themselves, put together.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::typed::{conflist, vxlan};
use crate::support::lab::{Lab, Net, Pod, address};
use crate::support::plugin::{Call, Program, Said};

/// Two nodes with a pod each on one network, which have heard of each other.
struct Cluster {
    lab: Lab,
    confs: Vec<String>,
    _pods: Vec<Pod>,
}

impl Cluster {
    fn new() -> Self {
        Self::of(&Net::new("blue", 100))
    }

    fn of(net: &Net) -> Self {
        let lab = Lab::new(2);
        let (mut confs, mut pods, mut results) = (Vec::new(), Vec::new(), Vec::new());
        for (index, node) in lab.nodes().iter().enumerate() {
            let range = format!("10.100.{}.0", index + 1);
            let end = format!("10.100.{}.255", index + 1);
            let ipam = serde_json::json!({"type": "host-local", "dataDir": node.ipam(), "ranges": [[
                {"subnet": "10.100.0.0/16", "rangeStart": range, "rangeEnd": end, "gateway": node.gateway(net)}]]});
            let config = node.config(&[net]).ipam(ipam);
            confs.push(conflist(node, &config));
            let pod = node.pod("web");
            let args = format!("IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-{index}");
            results.push(node.ask(&config, &pod).args(&args).add());
            pods.push(pod);
        }
        pods[0].ping(&address(&results[1], 0));
        Self {
            lab,
            confs,
            _pods: pods,
        }
    }

    /// What a node tells, in a file; its host has a name of its own.
    fn told(&self, index: usize) -> PathBuf {
        let node = self.lab.node(index);
        let named = format!("echo n{index} >/proc/sys/kernel/hostname; exec \"$@\"");
        let call = vxlan(node, &self.confs[index], &["doctor", "--json"]);
        let call = call.behind(&["unshare", "--uts", "sh", "-ec", &named, "sh"]);
        let said = call.run();
        assert!(said.code < 2, "{said:?}");
        let file = self.lab.dir().join(format!("n{index}.json"));
        std::fs::write(&file, said.stdout).unwrap();
        file
    }
}

/// Compared where there is neither node nor configuration.
fn compare(files: &[&Path]) -> Said {
    let call = Call::of(Program::Vxlan).env("LANG", "C.UTF-8");
    let call = call.arg("doctor").arg("--compare");
    let files = files.iter().map(|file| file.to_str().unwrap());
    files.fold(call, |call, file| call.arg(file)).run()
}

#[test]
fn nodes_that_fit_are_told_to_and_what_one_of_them_has_otherwise_is_found() {
    let cluster = Cluster::new();
    let files = [cluster.told(0), cluster.told(1)];
    let said = compare(&[&files[0], &files[1]]);
    assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{said:?}");
    for line in [
        "  ✓ each of the 4 addresses has one owner\n",
        "  ✓ VNI, port, group, MTU, cidr and guard are the same on every node\n",
        "  ✓ the 2 nodes know each other\n",
        "nothing is wrong: 5 of 5 are as they should be\n",
    ] {
        assert!(said.stdout.contains(line), "{line}\n{}", said.stdout);
    }
    let node = cluster.lab.node(1);
    node.ip("link set dev vx_blue mtu 1300");
    node.ip("link set dev mv_blue address 02:00:00:00:00:09");
    cluster
        .lab
        .node(0)
        .ip("link set dev mv_blue address 02:00:00:00:00:09");
    let files = [cluster.told(0), cluster.told(1)];
    let said = compare(&[&files[0], &files[1]]);
    assert_eq!((said.code, said.stderr.as_str()), (1, ""), "{said:?}");
    for words in [
        "✗ MTU is 1450 on ",
        "; 1300 on ",
        "✗ the MAC 02:00:00:00:00:09 has 2 owners: ",
    ] {
        assert!(said.stdout.contains(words), "{words}\n{}", said.stdout);
    }
    let json = Call::of(Program::Vxlan)
        .arg("doctor")
        .arg("--json")
        .arg("--compare");
    let json = files
        .iter()
        .fold(json, |call, file| call.arg(file.to_str().unwrap()));
    let document = json.run().json();
    assert_eq!(document["ok"], false);
    assert!(document["findings"].as_array().unwrap().len() > 4);
}

#[test]
fn an_anycast_gateway_is_every_nodes_and_no_double_owner_and_doctor_is_content_on_each() {
    let cluster = Cluster::of(&Net::new("blue", 100).anycast());
    let files = [cluster.told(0), cluster.told(1)];
    for file in &files {
        let told: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        assert_eq!(told["ok"], true, "{told:#}");
        assert_eq!(told["networks"][0]["anycast"], true);
    }
    let said = compare(&[&files[0], &files[1]]);
    assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{said:?}");
    // What a pod knows of its gateway is no entry that an operator left.
    cluster.lab.node(1).ip("link set dev mv_blue down");
    let said = compare(&[&cluster.told(0), &cluster.told(1)]);
    assert!(!said.stdout.contains("told by hand"), "{said:?}");
}

#[test]
fn what_cannot_be_compared_is_told_in_one_line_with_a_code_of_its_own() {
    let cluster = Cluster::new();
    let file = cluster.told(0);
    let text = std::fs::read_to_string(&file).unwrap();
    let cut = cluster.lab.dir().join("cut.json");
    std::fs::write(&cut, &text[..text.len() / 2]).unwrap();
    for (other, words) in [
        (
            cut.as_path(),
            "cut.json is no output of `vxlan doctor --json`: EOF while parsing",
        ),
        (
            Path::new("/no/such/file"),
            "/no/such/file cannot be read: No such file",
        ),
        (file.as_path(), "are of one node"),
    ] {
        let said = compare(&[&file, other]);
        assert_eq!((said.code, said.stdout.as_str()), (3, ""), "{said:?}");
        assert!(
            said.stderr.starts_with("vxlan: ") && said.stderr.contains(words),
            "{said:?}"
        );
        assert_eq!(said.stderr.lines().count(), 2, "{said:?}");
    }
    assert_eq!(compare(&[&file]).code, 2);
    // The keys that docs/json.md has.
    let told: Value = serde_json::from_str(&text).unwrap();
    let keys =
        |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    let document = include_str!("../../docs/json.md");
    let (_, documented) = document.split_once("| `node` |").unwrap();
    let documented = documented.split("\n\n").next().unwrap();
    let network = &told["networks"][0];
    for object in [&told["node"], network, &network["attachments"][0]] {
        for key in keys(object) {
            assert!(documented.contains(&format!("`{key}`")), "{key}");
        }
    }
}
