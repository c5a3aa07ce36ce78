//! After a reboot of the node: the records of before are there, what they tell of is not.
//!
//! A lab cannot boot. It does what a boot does: namespaces, devices, rules and everything below `runDir`
//! are gone, records and the leases of host-local are on the disk, and the kernel has another boot id than
//! the records name.

use std::os::unix::fs::MetadataExt;

use serde_json::{Value, json};

use crate::support::lab::{Ask, Lab, Net, Node, Pod, Snapshot, address, ipv6, nft};

/// A boot id that no kernel has.
const BEFORE: &str = "00000000-0000-4000-8000-000000000000";

/// Changes the records of a node.
fn change_records(node: &Node, change: impl Fn(&mut Value)) {
    for network in std::fs::read_dir(node.data()).unwrap() {
        for file in std::fs::read_dir(network.unwrap().path()).unwrap() {
            let file = file.unwrap().path();
            let mut record = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
            change(&mut record);
            std::fs::write(file, record.to_string()).unwrap();
        }
    }
}

/// Boots a node: the pods are ended, the kernel's side is as new.
fn boot(node: &Node, nets: &[&Net], pods: &mut [&mut Pod]) {
    pods.iter_mut().for_each(|pod| pod.end());
    for net in nets {
        node.ip(&format!("link del {}", net.vx()));
    }
    for family in ipv6::families() {
        for pref in [19198, 19199, 19200] {
            node.sh(&format!("ip {family} rule del pref {pref} || :"));
        }
    }
    if nft::kernel_has_it() {
        node.run(&["nft", "flush ruleset"]);
    }
    std::fs::remove_dir_all(node.run_dir()).unwrap();
    std::fs::create_dir(node.run_dir()).unwrap();
    change_records(node, |record| record["boot"] = json!(BEFORE));
}

/// A node that was booted while a pod was on its one network.
struct Scene {
    lab: Lab,
    blue: Net,
    before: Snapshot,
    pod: Pod,
    ask: Ask,
    result: Value,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::new(1);
        let blue = Net::new("blue", 100).dual();
        let node = lab.node(0);
        node.set(&["net.ipv6.conf.all.forwarding=1"]);
        let before = node.snapshot();
        let mut pod = node.pod("web");
        let ask = node.ask(&node.config(&[&blue]), &pod);
        let result = ask.add();
        boot(node, &[&blue], &mut [&mut pod]);
        Self {
            blue,
            before,
            pod,
            ask,
            result,
            lab,
        }
    }

    fn node(&self) -> &Node {
        self.lab.node(0)
    }

    /// A pod that comes after the boot, with the result of its ADD.
    fn join(&self, pod: &Pod) -> (Ask, Value) {
        let node = self.node();
        let ask = node.ask(&node.config(&[&self.blue]), pod);
        let result = ask.add();
        (ask, result)
    }

    /// A pod that comes after the boot at the path of the one before.
    fn pod_at_the_same_path(&self) -> Pod {
        Pod::named(self.pod.path().strip_prefix("/run/netns/").unwrap())
    }

    /// Whether an address is leased.
    fn is_leased(&self, address: &str) -> bool {
        let leases = self.node().ipam().join("lab");
        leases.join(address).exists()
    }

    /// GC with the list of those who live.
    fn gc(&self, valid: &[&Pod]) {
        let one = |pod: &&Pod| json!({"containerID": pod.container, "ifname": "eth0"});
        let list: Vec<Value> = valid.iter().map(one).collect();
        let config = self.node().config(&[&self.blue]);
        let config = config.with(json!({"cniVersion": "1.1.0", "cni.dev/valid-attachments": list}));
        // Debian's host-local speaks up to 1.0.0, GC came with 1.1.0.
        let older =
            "sed 's/\"cniVersion\":\"1.1.0\"/\"cniVersion\":\"1.0.0\"/' | /usr/lib/cni/host-local";
        let plugins = self.lab.script("plugins", "host-local", older);
        let ask = self.ask.clone().config(&config).plugins_first(&plugins);
        assert_eq!(ask.say("GC").ok(), Value::Null);
    }

    fn assert_gone(&self) {
        self.node().snapshot().assert_same(&self.before);
    }
}

#[test]
fn a_del_after_a_reboot_releases_the_lease_and_forgets_the_record() {
    for with in [true, false] {
        let scene = Scene::new();
        assert!(scene.is_leased(&address(&scene.result, 0)));
        let ask = match with {
            true => scene.ask.after(&scene.result),
            // As the kubelet asks once the sandbox is gone.
            false => scene.ask.clone().netns(""),
        };
        ask.del();
        scene.assert_gone();
        ask.del();
        scene.assert_gone();
    }
}

/// The number of the old namespace is the new one's: after a boot the kernel counts from the same start.
fn takes_its_number(node: &Node, old: &Pod, new: &Pod, since: &str) {
    let inode = std::fs::metadata(new.path()).unwrap().ino();
    let container = old.container.clone();
    change_records(node, |record| {
        if record["container"] == container.as_str() {
            record["inode"] = json!(inode);
            record["since"] = json!(since);
        }
    });
}

#[test]
fn a_del_after_a_reboot_leaves_the_new_container_at_the_same_path_alone_whatever_the_clock_says() {
    for since in ["2001-01-01T00:00:00.000Z", "2999-01-01T00:00:00.000Z"] {
        let scene = Scene::new();
        let new = scene.pod_at_the_same_path();
        let (ask, result) = scene.join(&new);
        takes_its_number(scene.node(), &scene.pod, &new, since);
        scene.ask.after(&scene.result).del();
        ask.check(&result);
        new.ping(&scene.node().gateway(&scene.blue));
        assert!(scene.is_leased(&address(&result, 0)));
        assert!(!scene.is_leased(&address(&scene.result, 0)));
        ask.after(&result).del();
        scene.assert_gone();
    }
}

#[test]
fn a_del_after_a_reboot_leaves_another_plugins_macvlan_at_the_same_path_alone() {
    let scene = Scene::new();
    let node = scene.node();
    let new = scene.pod_at_the_same_path();
    let name = new.path().rsplit('/').next().unwrap();
    node.ip("link add name base type bridge");
    node.ip(&format!(
        "link add name new0 link base netns {name} type macvlan mode bridge"
    ));
    // Not at once: before 6.15 the kernel looks for the name on the node too, which has an eth0.
    new.ip("link set new0 name eth0");
    takes_its_number(node, &scene.pod, &new, "2001-01-01T00:00:00.000Z");
    scene.ask.after(&scene.result).del();
    assert_ne!(new.device("eth0"), Value::Null);
    node.ip("link del base");
    scene.assert_gone();
}

#[test]
fn a_container_that_comes_back_after_a_reboot_without_a_del_has_one_lease() {
    let scene = Scene::new();
    let pod = scene
        .node()
        .pod("again")
        .with_container(&scene.pod.container);
    let (ask, result) = scene.join(&pod);
    let (old, new) = (address(&scene.result, 0), address(&result, 0));
    assert_ne!(old, new, "host-local goes round");
    assert!(!scene.is_leased(&old) && scene.is_leased(&new));
    ask.check(&result);
    pod.ping(&scene.node().gateway(&scene.blue));
    ask.after(&result).del();
    scene.assert_gone();
}

#[test]
fn a_container_that_comes_back_on_another_network_after_a_reboot_leaves_the_first() {
    let scene = Scene::new();
    let node = scene.node();
    let pod = node.pod("again").with_container(&scene.pod.container);
    let green = Net::new("green", 200);
    let ask = node.ask(&node.config(&[&green, &scene.blue]), &pod);
    let result = ask.add();
    assert!(!node.data().join("blue").exists());
    assert!(!scene.is_leased(&address(&scene.result, 0)));
    ask.after(&result).del();
    scene.assert_gone();
}

#[test]
fn a_lease_that_cannot_be_released_after_a_reboot_fails_the_add_and_is_released_by_the_next() {
    let scene = Scene::new();
    let pod = scene
        .node()
        .pod("again")
        .with_container(&scene.pod.container);
    let plugins = scene.lab.script(
        "plugins",
        "host-local",
        "echo '{\"cniVersion\": \"1.0.0\", \"code\": 11, \"msg\": \"the disk is full\"}'; exit 1",
    );
    let ask = scene.node().ask(&scene.node().config(&[&scene.blue]), &pod);
    let before = scene.node().snapshot();
    let said = ask.clone().plugins_first(&plugins).add_refused(11);
    assert!(
        said.contains("the disk is full") && said.contains("earlier boot"),
        "{said}"
    );
    scene.node().snapshot().assert_same(&before);
    let result = ask.add();
    assert!(!scene.is_leased(&address(&scene.result, 0)));
    ask.after(&result).del();
    scene.assert_gone();
}

#[test]
fn check_says_that_a_record_is_of_an_earlier_boot() {
    let scene = Scene::new();
    // Even where a namespace is at its path again, and has the number.
    let new = scene.pod_at_the_same_path();
    takes_its_number(scene.node(), &scene.pod, &new, "2001-01-01T00:00:00.000Z");
    let said = scene.ask.check_refused(&scene.result, 101);
    assert!(
        said.contains("attached before the node was booted"),
        "{said}"
    );
    assert!(said.contains("a DEL and an ADD"), "{said}");
    scene.ask.del();
    scene.assert_gone();
}

#[test]
fn the_last_pod_of_this_boot_takes_the_host_side_away_though_records_of_before_are_left() {
    let scene = Scene::new();
    let node = scene.node();
    let booted = node.snapshot();
    let pod = node.pod("one");
    let (ask, result) = scene.join(&pod);
    ask.after(&result).del();
    node.snapshot().assert_same(&booted);
    scene.ask.after(&scene.result).del();
    scene.assert_gone();
}

#[test]
fn an_add_that_fails_takes_the_host_side_away_though_records_of_before_are_left() {
    let scene = Scene::new();
    let node = scene.node();
    let booted = node.snapshot();
    let wrong = json!({"routes": [{"dst": "10.201.0.0/16", "gw": "192.0.2.1"}]});
    let config = node.config(&[&scene.blue.clone().with(wrong)]);
    node.ask(&config, &node.pod("one")).add_refused(100);
    node.snapshot().assert_same(&booted);
}

#[test]
fn one_of_before_that_leaves_takes_nothing_away_from_those_of_since() {
    let scene = Scene::new();
    let node = scene.node();
    let (one, two) = (node.pod("one"), node.pod("two"));
    let ((first, gone), (second, stays)) = (scene.join(&one), scene.join(&two));
    first.after(&gone).del();
    second.check(&stays);
    scene.ask.after(&scene.result).del();
    second.check(&stays);
    two.ping(&node.gateway(&scene.blue));
    second.after(&stays).del();
    scene.assert_gone();
}

#[test]
fn gc_after_a_reboot_forgets_all_of_before_and_keeps_all_of_since() {
    let scene = Scene::new();
    let node = scene.node();
    let pod = node.pod("since");
    let (ask, result) = scene.join(&pod);
    scene.gc(&[&pod]);
    assert!(!scene.is_leased(&address(&scene.result, 0)));
    assert!(!node.record("blue", &scene.pod, "eth0").exists());
    ask.check(&result);
    pod.ping(&node.gateway(&scene.blue));
    scene.gc(&[]);
    scene.assert_gone();
}
