//! DEL: by the record, whatever else is gone; all of one pod's and nothing of another's.

use std::os::unix::fs::MetadataExt;

use serde_json::{Value, json};

use crate::support::lab::{Ask, Lab, Net, Node, Pod, Snapshot, address};

/// A node, and what was on it before its one pod came.
struct Scene {
    lab: Lab,
    before: Snapshot,
    pod: Pod,
    ask: Ask,
    result: Value,
}

impl Scene {
    fn of(net: &Net) -> Self {
        let lab = Lab::new(1);
        let node = lab.node(0);
        let before = node.snapshot();
        let pod = node.pod("web");
        let ask = node.ask(&node.config(&[net]), &pod);
        let result = ask.add();
        Self {
            before,
            pod,
            ask,
            result,
            lab,
        }
    }

    fn new() -> Self {
        Self::of(&Net::new("blue", 100).dual())
    }

    fn node(&self) -> &Node {
        self.lab.node(0)
    }

    /// The node is as it was before the pod came, the pod's namespace as new.
    fn assert_gone(&self) {
        self.node().snapshot().assert_same(&self.before);
        let fresh = self.node().pod("fresh");
        Snapshot::of_namespace(&self.pod).assert_same(&Snapshot::of_namespace(&fresh));
    }
}

#[test]
fn del_takes_everything_away_with_prev_result_and_without_and_once_more() {
    for with in [true, false] {
        let scene = Scene::new();
        let ask = match with {
            true => scene.ask.after(&scene.result),
            false => scene.ask.clone(),
        };
        for _ in 0..3 {
            ask.del();
            scene.assert_gone();
        }
    }
}

#[test]
fn del_goes_by_the_record_when_the_namespace_is_gone() {
    for netns in ["as it was", ""] {
        let mut scene = Scene::new();
        scene.pod.end();
        let ask = match netns {
            "" => scene.ask.clone().netns(""),
            _ => scene.ask.clone(),
        };
        ask.del();
        scene.node().snapshot().assert_same(&scene.before);
    }
}

#[test]
fn del_goes_by_the_record_whatever_became_of_the_configuration() {
    let green = Net::new("green", 7);
    for more in [
        // The network is gone, another one is the default.
        json!({"vxlans": [{"id": 7, "name": "green", "cidr": "10.7.0.1/16", "peers": [], "options": {"vtepdev": "eth0"}}], "defaultNetwork": "green"}),
        // So is everything.
        json!({"vxlans": null, "defaultNetwork": null, "ipam": null}),
        // It has another number, device and addresses now.
        json!({"vxlans": [{"id": 8, "name": "blue", "device": "other", "cidr": "10.8.0.1/16", "peers": [], "options": {"vtepdev": "eth7"}}]}),
        // It cannot be.
        json!({"vxlans": [{"id": 0, "name": "blue", "colour": 7}], "routeTable": "banana"}),
        json!({"vxlans": "banana", "ipam": 7}),
    ] {
        let scene = Scene::new();
        let node = scene.node();
        let config = node.config(&[&green]).with(more);
        node.ask(&config, &scene.pod).del();
        scene.assert_gone();
    }
}

#[test]
fn del_of_an_add_that_never_ran_creates_nothing_and_removes_nothing() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let (pod, other) = (node.pod("web"), node.pod("other"));
    let config = node.config(&[&Net::new("blue", 100)]);
    let before = node.snapshot();
    node.ask(&config, &pod).del();
    node.snapshot().assert_same(&before);
    let ask = node.ask(&config, &other);
    let result = ask.add();
    let (before, journal) = (node.snapshot(), node.journal());
    // Somebody else's interface of the name is somebody else's.
    pod.ip("link add eth0 type bridge");
    let inside = Snapshot::of_namespace(&pod);
    node.ask(&config, &pod).del();
    node.ask(&config, &pod).after(&result).del();
    node.snapshot().assert_same(&before);
    Snapshot::of_namespace(&pod).assert_same(&inside);
    ask.check(&result);
    let later = node.journal().replace(&journal, "");
    assert!(later.lines().all(|line| line.starts_with('#')), "{later}");
}

#[test]
fn del_of_a_damaged_record_takes_away_what_can_be_known() {
    for text in [
        "",
        "{\"format\":1,",
        "{}",
        "[]",
        "{\"format\": 0}",
        "\u{0}\u{0}\u{0}",
    ] {
        let scene = Scene::new();
        let record = scene.node().record("blue", &scene.pod, "eth0");
        std::fs::write(&record, text).unwrap();
        let said = scene.ask.check_refused(&scene.result, 101);
        assert!(said.contains("cannot be read"), "{said}");
        scene.ask.after(&scene.result).del();
        scene.assert_gone();
    }
}

#[test]
fn del_of_a_damaged_record_of_a_network_that_nobody_knows_forgets_it_and_leaves_the_devices() {
    let scene = Scene::new();
    let node = scene.node();
    let record = node.record("blue", &scene.pod, "eth0");
    std::fs::write(&record, "{").unwrap();
    let config = node.config(&[&Net::new("green", 200)]);
    node.ask(&config, &scene.pod).after(&scene.result).del();
    assert!(!record.exists());
    assert_eq!(scene.pod.device("eth0"), Value::Null);
    assert_ne!(node.device("vx_blue"), Value::Null);
    assert!(
        node.journal()
            .contains("nothing is known of network blue: its devices are left alone")
    );
}

#[test]
fn the_last_to_leave_takes_the_host_side_away_and_the_one_before_does_not() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let (blue, green) = (Net::new("blue", 100).dual(), Net::new("green", 200).dual());
    let before = node.snapshot();
    let join = |net: &Net, name: &str| {
        let pod = node.pod(name);
        let ask = node.ask(&node.config(&[&blue, &green]).joining(net), &pod);
        let result = ask.add();
        (pod, ask, result)
    };
    let first = join(&green, "green");
    let with_green = node.snapshot();
    let (one, two) = (join(&blue, "one"), join(&blue, "two"));
    one.1.after(&one.2).del();
    two.1.check(&two.2);
    two.0.ping(&node.gateway(&blue));
    two.1.after(&two.2).del();
    node.snapshot().assert_same(&with_green);
    first.1.check(&first.2);
    first.1.after(&first.2).del();
    node.snapshot().assert_same(&before);
}

#[test]
fn del_succeeds_when_the_host_side_or_the_link_was_removed_by_hand() {
    for by in [
        "ip link del vx_blue",
        "ip link del mv_blue",
        "ip rule del pref 19200",
        "ip route flush table 192",
        // Of the other family, where there is one.
        "ip rule del pref 19200; ip -6 rule del pref 19200 || :",
        "ip route flush table 192; ip -6 route flush table 192 || :",
        "ip addr flush dev mv_blue",
        "ip link set vx_blue down",
        // `rule del` removes one match at a time.
        "ip rule add pref 19201 from 10.0.0.0/8 lookup 192; ip rule del pref 19201",
    ] {
        let scene = Scene::new();
        scene.node().sh(by);
        scene.ask.after(&scene.result).del();
        scene.assert_gone();
    }
    let scene = Scene::new();
    scene.pod.ip("link del eth0");
    scene.ask.after(&scene.result).del();
    scene.assert_gone();
}

#[test]
fn a_device_that_is_not_ours_by_now_is_left_alone() {
    for other in [
        "ip link add vx_blue type bridge",
        "ip link add vx_blue type vxlan id 7 dev eth0 dstport 4789 group 239.1.1.7",
    ] {
        let scene = Scene::new();
        let node = scene.node();
        node.sh("ip link del vx_blue");
        node.sh(other);
        let device = node.device("vx_blue");
        scene.ask.after(&scene.result).del();
        assert_eq!(node.device("vx_blue")["address"], device["address"]);
        assert!(
            node.journal().contains("# vx_blue is left alone"),
            "{}",
            node.journal()
        );
        node.ip("link del vx_blue");
        node.snapshot().assert_same(&scene.before);
    }
}

#[test]
fn a_vxlan_with_a_macvlan_of_somebody_else_is_left_alone_until_that_is_gone() {
    for inside in ["the node", "a pod"] {
        let scene = Scene::new();
        let node = scene.node();
        let stranger = node.pod("stranger");
        let netns = stranger.path().rsplit('/').next().unwrap();
        let (into, ns) = match inside {
            "the node" => (String::new(), scene.node().path()),
            _ => (format!("netns {netns} "), stranger.path()),
        };
        node.ip(&format!(
            "link add name theirs link vx_blue {into}type macvlan mode bridge"
        ));
        let theirs = crate::support::lab::Ns::at(ns.as_ref());
        theirs.ip("link set theirs up");
        scene.ask.after(&scene.result).del();
        assert_ne!(theirs.device("theirs"), Value::Null, "in {inside}");
        assert_ne!(node.device("vx_blue"), Value::Null, "in {inside}");
        assert!(
            node.journal()
                .contains("1 more macvlan on it than this node has records of")
        );
        // Once it is gone, the next one who leaves takes the host side along.
        theirs.ip("link del theirs");
        let next = node.pod("next");
        let ask = node.ask(&node.config(&[&Net::new("blue", 100).dual()]), &next);
        let result = ask.add();
        ask.after(&result).del();
        node.snapshot().assert_same(&scene.before);
    }
}

#[test]
fn a_release_that_fails_is_an_error_and_the_next_del_tries_again() {
    let scene = Scene::new();
    let plugins = scene.lab.script(
        "plugins",
        "host-local",
        "echo '{\"cniVersion\": \"1.0.0\", \"code\": 11, \"msg\": \"the disk is full\"}'; exit 1",
    );
    let ask = scene.ask.after(&scene.result);
    for _ in 0..2 {
        let said = ask.clone().plugins_first(&plugins).say("DEL").error(11);
        assert!(said.contains("the disk is full"), "{said}");
        // Everything else was tried all the same.
        assert_eq!(scene.pod.device("eth0"), Value::Null);
        assert!(scene.node().record("blue", &scene.pod, "eth0").exists());
    }
    ask.del();
    scene.assert_gone();
}

#[test]
fn an_add_whose_ipam_refuses_its_configuration_leaves_nothing() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let net = Net::new("blue", 100);
    let range = |more: Value| {
        let mut range = json!({"subnet": "10.1.0.0/16"});
        range
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!([[range]])
    };
    for ipam in [
        json!({"type": "host-local", "ranges": range(json!({"rangeStart": "10.1.0.36.200"}))}),
        json!({"type": "host-local", "ranges": range(json!({"subnet": "10.1.0.0/31"}))}),
        json!({"type": "host-local", "ranges": range(json!({})), "routes": [{"dst": "0.0.0.0"}]}),
        json!({"type": "dhcp", "daemonSocketPath": "/nowhere/dhcp.sock"}),
    ] {
        let before = node.snapshot();
        let mut pod = node.pod("web");
        let ask = node.ask(&node.config(&[&net]).ipam(ipam.clone()), &pod);
        let said = ask.say("ADD");
        assert_ne!(said.code, 0, "{ipam}: {said:?}");
        assert!(
            !node.record("blue", &pod, "eth0").exists(),
            "{ipam}: {said:?}"
        );
        assert!(!said.stdout.contains("was left"), "{ipam}: {said:?}");
        pod.end();
        node.snapshot().assert_same(&before);
    }
}

#[test]
fn where_the_ipam_refuses_what_was_recorded_del_asks_as_it_is_configured_now() {
    let scene = Scene::new();
    let path = scene.node().record("blue", &scene.pod, "eth0");
    let record = std::fs::read_to_string(&path).unwrap();
    let mut record: Value = serde_json::from_str(&record).unwrap();
    record["ipam"]["ranges"][0][0]["rangeStart"] = json!("10.1.0.36.200");
    std::fs::write(&path, record.to_string()).unwrap();
    // Another plugin's release would be no release.
    let other = scene.node().config(&[&Net::new("blue", 100).dual()]);
    let other = other.ipam(scene.node().route_table());
    let said = scene.ask.clone().config(&other).say("DEL");
    assert_ne!(said.code, 0, "{said:?}");
    assert!(path.exists());
    scene.ask.del();
    scene.assert_gone();
}

#[test]
fn an_ipam_that_is_not_installed_any_more_is_told_and_everything_else_is_taken_away() {
    let scene = Scene::new();
    let nothing = scene.lab.dir().join("empty");
    let ask = scene
        .ask
        .after(&scene.result)
        .env("CNI_PATH", nothing.to_str().unwrap());
    let said = ask.say("DEL").error(7);
    assert!(
        said.contains("`host-local` is in none of the folders of CNI_PATH"),
        "{said}"
    );
    assert_eq!(scene.pod.device("eth0"), Value::Null);
    scene.ask.del();
    scene.assert_gone();
}

/// The same path with the same inode: the kernel gives a namespace's number to another one when it
/// likes. The record is made to look so, since nobody can make the kernel like it.
fn reborn_with_the_same_inode(scene: &mut Scene) -> Pod {
    let later = scene.pod.reborn();
    let record = scene.lab.node(0).record("blue", &scene.pod, "eth0");
    if record.exists() {
        let text = std::fs::read_to_string(&record).unwrap();
        let mut value: Value = serde_json::from_str(&text).unwrap();
        value["inode"] = json!(std::fs::metadata(later.path()).unwrap().ino());
        std::fs::write(&record, value.to_string()).unwrap();
    }
    later
}

#[test]
fn a_late_del_of_one_container_leaves_the_next_one_at_the_same_path_alone() {
    let mut scene = Scene::new();
    let later = reborn_with_the_same_inode(&mut scene);
    let node = scene.lab.node(0);
    let ask = node.ask(&node.config(&[&Net::new("blue", 100).dual()]), &later);
    let result = ask.add();
    scene.ask.after(&scene.result).del();
    ask.check(&result);
    later.ping(&node.gateway(&Net::new("blue", 100)));
    ask.after(&result).del();
    node.snapshot().assert_same(&scene.before);
}

#[test]
fn a_repeated_del_leaves_the_next_container_with_the_same_path_address_and_mac_alone() {
    let mut scene = Scene::new();
    scene.ask.after(&scene.result).del();
    let later = reborn_with_the_same_inode(&mut scene);
    let node = scene.lab.node(0);
    // host-local goes round; without its memory it starts anew.
    std::fs::remove_dir_all(node.ipam().join("lab")).unwrap();
    let ask = node.ask(&node.config(&[&Net::new("blue", 100).dual()]), &later);
    let result = ask.add();
    assert_eq!(address(&result, 0), address(&scene.result, 0));
    for _ in 0..2 {
        scene.ask.after(&scene.result).del();
        scene.ask.del();
        ask.check(&result);
    }
    ask.after(&result).del();
    node.snapshot().assert_same(&scene.before);
}

#[test]
fn a_late_del_leaves_another_plugins_interface_at_the_same_path_alone() {
    let mut scene = Scene::new();
    let later = reborn_with_the_same_inode(&mut scene);
    let node = scene.lab.node(0);
    later.ip("link add eth0 type bridge");
    scene.ask.after(&scene.result).del();
    assert_ne!(later.device("eth0"), Value::Null);
    node.snapshot().assert_same(&scene.before);
}

#[test]
fn an_interface_that_its_pod_has_renamed_goes_with_del_and_others_stay() {
    let scene = Scene::new();
    let pod = &scene.pod;
    pod.ip("link set dev eth0 down");
    pod.ip("link set dev eth0 name mine");
    // Up, or it goes with the vxlan.
    pod.ip("link set dev mine up");
    // What has its name now is not what ADD made, and neither is another macvlan of the pod's.
    pod.ip("link add eth0 type bridge");
    pod.ip("link add link eth0 name other type macvlan mode bridge");
    scene.ask.after(&scene.result).del();
    assert!(pod.device("mine").is_null());
    assert!(!pod.device("eth0").is_null() && !pod.device("other").is_null());
    scene.lab.node(0).snapshot().assert_same(&scene.before);
}
