//! Containers of containerd's `ctr run --cni`. It hands over `/proc/PID/ns/net`, and at the end, when
//! the process has gone, no namespace at all.

use serde_json::json;

use super::containerd::Containerd;
use super::{Container, Scene, configured, meet, shared};
use crate::support::lab::address;

#[test]
fn containers_of_ctr_on_two_nodes_reach_each_other_and_leave_nothing() {
    let scene = Scene::new();
    let (one, two) = (scene.node(0), scene.node(1));
    let blue = shared("blue", 100);
    let houses = [
        scene.house(0, &configured(one, &[&blue])),
        scene.house(1, &configured(two, &[&blue])),
    ];
    let (here, there) = (Containerd::new(&houses[0]), Containerd::new(&houses[1]));
    let (web, db) = (here.run("web"), there.run("db"));
    meet((one, &web), (two, &db), &blue);
    assert_eq!(web.end("SIGTERM").status.code(), Some(0));
    assert_eq!(db.end("SIGTERM").status.code(), Some(0));
    scene.assert_nothing_left(&[&houses[0], &houses[1]]);
}

#[test]
fn a_container_of_ctr_that_is_killed_hard_leaves_nothing_and_its_neighbour_alone() {
    let scene = Scene::new();
    let node = scene.node(0);
    let blue = shared("blue", 100);
    let house = scene.house(0, &configured(node, &[&blue]));
    let containerd = Containerd::new(&house);
    let (web, db) = (containerd.run("web"), containerd.run("db"));
    let gone = address(&web.result(), 0);
    db.ping(&gone);
    assert_eq!(web.end("SIGKILL").status.code(), Some(137));
    db.ping(&node.gateway(&blue));
    db.has_its_result();
    assert!(
        !node
            .snapshot()
            .with(&gone)
            .iter()
            .any(|line| line.starts_with("route")),
        "the claim is there"
    );
    db.end("SIGKILL");
    scene.assert_nothing_left(&[&house]);
}

#[test]
fn ctr_shows_its_user_what_is_wrong_and_what_to_do_when_add_fails() {
    let scene = Scene::new();
    let blue = shared("blue", 100).with(json!({"options": {"vtepdev": "eth9"}}));
    let house = scene.house(0, &configured(scene.node(0), &[&blue]));
    let containerd = Containerd::new(&house);
    let said = containerd
        .start("web", &["/bin/true"])
        .wait_with_output()
        .unwrap();
    assert!(!said.status.success());
    let shown = String::from_utf8(said.stderr).unwrap();
    let wanted = "plugin type=\"vxlan\" failed (add): network \"blue\": the underlay device `eth9` does not exist";
    assert!(shown.contains(wanted), "{shown}");
    assert!(
        shown.contains(
            "set options.vtepdev of network \"blue\" to a device that exists: ip -br link"
        ),
        "{shown}"
    );
    scene.assert_nothing_left(&[&house]);
}

#[test]
fn c62_what_a_runtime_that_died_without_a_del_left_is_collected_by_gc() {
    let scene = Scene::new();
    let node = scene.node(0);
    let config = configured(node, &[&shared("blue", 100)]);
    let house = scene.house(0, &config);
    let containerd = Containerd::new(&house);
    let web = containerd.run("web");
    let container = web.container();
    house.run(&["sh", "-ec", "kill -KILL $(pidof ctr)"]);
    web.end("SIGKILL");
    assert!(
        !node.snapshot().with(&container).is_empty(),
        "nobody has asked for a DEL"
    );
    let living = json!({"cniVersion": "1.1.0", "cni.dev/valid-attachments": []});
    let pod = node.pod("any");
    node.ask(&config.with(living), &pod).say("GC").ok();
    node.snapshot().assert_same(&scene.before[0]);
}
