//! Another version is installed while pods run: what an older one wrote is read, what a newer one wrote is refused by name.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::lab::{Ask, Lab, Net, Node, Pod};
use crate::support::plugin::Program;

/// What records of earlier editions did not have.
const LATER: [&str; 5] = ["uptime", "seenFrom", "guard", "ports", "cidrs"];

/// Installs the programs below a folder, and tells whether that succeeded and what was said.
fn install(root: &Path) -> (bool, String) {
    let built = Path::new(Program::Vxlan.path()).parent().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/install");
    let mut command = Command::new(script);
    command.arg("--from").arg(built).env("DESTDIR", root);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    (output.status.success(), said)
}

/// The plugin below a folder, newly installed.
fn installed(root: &Path) -> PathBuf {
    let (success, said) = install(root);
    assert!(success, "{said}");
    root.join("opt/cni/bin/vxlan")
}

/// A network with its addresses by route-table, and a pod's question to the installed plugin.
fn ask(node: &Node, pod: &Pod, plugin: &Path) -> Ask {
    let config = node.config(&[&Net::new("blue", 100).dual()]);
    let config = config.ipam(node.route_table());
    node.ask(&config, pod).of_installed(plugin)
}

/// Changes a record by hand.
fn rewrite(record: &Path, change: impl FnOnce(&mut Value)) {
    let mut read: Value = serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
    change(&mut read);
    std::fs::write(record, read.to_string()).unwrap();
}

#[test]
fn programs_replaced_between_add_and_del_take_over_the_pods_of_those_before() {
    let lab = Lab::new(1);
    let root = lab.dir().join("root");
    let plugin = installed(&root);
    let node = lab.node(0);
    let before = node.snapshot();
    let pods = ["one", "two"].map(|name| node.pod(name));
    let asks = pods.each_ref().map(|pod| ask(node, pod, &plugin));
    let results = asks.each_ref().map(Ask::add);
    for pod in &pods {
        rewrite(&node.record("blue", pod, "eth0"), |record| {
            let record = record.as_object_mut().unwrap();
            for key in LATER {
                assert!(record.remove(key).is_some(), "{key}");
            }
        });
    }
    let old = std::fs::metadata(&plugin).unwrap().ino();
    assert_eq!(installed(&root), plugin);
    assert_ne!(std::fs::metadata(&plugin).unwrap().ino(), old);
    for (ask, result) in asks.iter().zip(&results) {
        ask.check(result);
    }
    pods[0].ping(&crate::support::lab::address(&results[1], 0));
    // One beside those of the version before, on the network that is there.
    let third = node.pod("three");
    let new = ask(node, &third, &plugin);
    let result = new.add();
    third.ping(&crate::support::lab::address(&results[0], 0));
    new.after(&result).del();
    for (ask, result) in asks.iter().zip(&results) {
        ask.after(result).del();
    }
    node.snapshot().assert_same(&before);
}

#[test]
fn a_record_of_a_newer_version_is_refused_by_name_and_neither_pod_nor_record_is_touched() {
    let lab = Lab::new(1);
    let root = lab.dir().join("root");
    let plugin = installed(&root);
    let node = lab.node(0);
    let before = node.snapshot();
    let pod = node.pod("web");
    let ask = ask(node, &pod, &plugin);
    let result = ask.add();
    let record = node.record("blue", &pod, "eth0");
    rewrite(&record, |record| record["format"] = json!(2));
    let with_it = node.snapshot();
    for verb in ["CHECK", "DEL", "ADD"] {
        let said = ask.after(&result).say(verb);
        assert_ne!(said.code, 0, "{verb}");
        for words in [
            "it has format 2, and vxlan ",
            "reads format 1 and older",
            "install that vxlan again",
        ] {
            assert!(said.stdout.contains(words), "{verb}: {}", said.stdout);
        }
    }
    node.snapshot().assert_same(&with_it);
    pod.ping(&node.gateway(&Net::new("blue", 100)));
    // The newer version comes back.
    rewrite(&record, |record| record["format"] = json!(1));
    ask.after(&result).del();
    node.snapshot().assert_same(&before);
}
