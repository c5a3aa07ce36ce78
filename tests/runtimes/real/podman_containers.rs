//! Containers of podman with CNI as its network backend.

use serde_json::{Value, json};

use super::house::House;
use super::podman::Podman;
use super::{Container, LIST, Scene, configured, list, meet, shared};
use crate::support::lab::{address, mac, until};

#[test]
fn containers_of_podman_on_two_nodes_reach_each_other_and_leave_nothing() {
    let scene = Scene::new();
    let (one, two) = (scene.node(0), scene.node(1));
    let blue = shared("blue", 100);
    let houses = [
        scene.house(0, &configured(one, &[&blue])),
        scene.house(1, &configured(two, &[&blue])),
    ];
    let (here, there) = (Podman::new(&houses[0]), Podman::new(&houses[1]));
    let (web, db) = (here.run("web", LIST), there.run("db", LIST));
    meet((one, &web), (two, &db), &blue);
    let known = web.inspect()["NetworkSettings"]["Networks"][LIST].clone();
    let result = web.result();
    assert_eq!(known["IPAddress"], address(&result, 0));
    assert_eq!(known["MacAddress"], mac(&result));
    assert_eq!(known["Gateway"], one.gateway(&blue));
    here.ok(&["stop", "web"]);
    here.ok(&["rm", "web"]);
    there.ok(&["rm", "--force", "--time", "0", "db"]);
    scene.assert_nothing_left(&[&houses[0], &houses[1]]);
}

#[test]
fn a_container_of_podman_is_on_two_networks_which_the_configurations_annotations_choose() {
    let scene = Scene::new();
    let (one, two) = (scene.node(0), scene.node(1));
    let blue = shared("blue", 100);
    let green = shared("green", 102).with(json!({"defaultRoute": 1000}));
    let choose =
        |net: &str| json!({"args": {"annotations": {"vxlan-cni.phdata.io/NetworkName": net}}});
    let furnish = |node| {
        let config = configured(node, &[&blue, &green]).with(json!({"defaultNetwork": null}));
        let chosen = |net| (net, list(net, &config.clone().with(choose(net))));
        House::new(node, &[chosen("blue"), chosen("green")])
    };
    let houses = [furnish(one), furnish(two)];
    let (here, there) = (Podman::new(&houses[0]), Podman::new(&houses[1]));
    let both = here.run("web", "blue,green");
    let (at_blue, at_green) = (there.run("db", "blue"), there.run("cache", "green"));
    let results: Vec<(Value, Value)> = ["blue", "green"]
        .iter()
        .map(|net| {
            let names = ["eth0", "eth1"]
                .iter()
                .filter_map(|ifname| houses[0].result(net, &both.id, ifname));
            let results: Vec<Value> = names.collect();
            assert_eq!(results.len(), 1, "{net}: {results:?}");
            (json!(format!("vx_{net}")), results[0].clone())
        })
        .collect();
    for (device, result) in &results {
        assert_eq!(result["interfaces"][0]["name"], *device);
        let cidr = result["ips"][0]["address"].as_str().unwrap();
        assert!(
            both.prints(&["/bin/ip", "addr"])
                .contains(&format!("inet {cidr} "))
        );
    }
    both.ping(&address(&at_blue.result_of("blue", "eth0"), 0));
    both.ping(&address(&at_green.result_of("green", "eth0"), 0));
    here.ok(&["rm", "--force", "--time", "0", "web"]);
    there.ok(&["rm", "--force", "--time", "0", "db", "cache"]);
    scene.assert_nothing_left(&[&houses[0], &houses[1]]);
}

#[test]
fn the_address_and_the_mac_that_podmans_user_asks_for_are_the_containers() {
    let scene = Scene::new();
    let blue = shared("blue", 100);
    let house = scene.house(0, &configured(scene.node(0), &[&blue]));
    let podman = Podman::new(&house);
    let web = podman.run("web", "lab:ip=10.100.77.77,mac=02:00:00:00:00:77");
    let result = web.result();
    assert_eq!(
        (address(&result, 0), mac(&result)),
        ("10.100.77.77".into(), "02:00:00:00:00:77".into())
    );
    web.has_its_result();
    // The second to ask is told who was faster.
    let refused = podman.start("db", &["--network", "lab:ip=10.100.77.77"]);
    let shown = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success());
    assert!(
        shown.contains("10.100.77.77 is taken") && shown.contains(&web.id),
        "{shown}"
    );
    podman.ok(&["rm", "--force", "--time", "0", "web", "db"]);
    scene.assert_nothing_left(&[&house]);
}

#[test]
fn a_running_container_of_podman_leaves_its_network_and_joins_it_again() {
    let scene = Scene::new();
    let node = scene.node(0);
    let blue = shared("blue", 100);
    let house = scene.house(0, &configured(node, &[&blue]));
    let podman = Podman::new(&house);
    let web = podman.run("web", LIST);
    podman.ok(&["network", "disconnect", LIST, "web"]);
    assert!(!web.prints(&["/bin/ip", "addr"]).contains("eth0"));
    node.snapshot().assert_same(&scene.before[0]);
    podman.ok(&["network", "connect", LIST, "web"]);
    web.has_its_result();
    // A DEL and an ADD at once, with the process and its namespace alive.
    podman.ok(&["network", "reload", "web"]);
    web.has_its_result();
    web.ping(&node.gateway(&blue));
    podman.ok(&["rm", "--force", "--time", "0", "web"]);
    scene.assert_nothing_left(&[&house]);
}

#[test]
fn podman_shows_its_user_what_is_wrong_and_what_to_do_when_add_fails() {
    let scene = Scene::new();
    let blue = shared("blue", 100).with(json!({"options": {"vtepdev": "eth9"}}));
    let house = scene.house(0, &configured(scene.node(0), &[&blue]));
    let podman = Podman::new(&house);
    let refused = podman.start("web", &["--network", LIST]);
    assert!(!refused.status.success());
    let shown = String::from_utf8(refused.stderr).unwrap();
    assert!(
        shown.contains("network \"blue\": the underlay device `eth9` does not exist"),
        "{shown}"
    );
    assert!(
        shown.contains(
            "set options.vtepdev of network \"blue\" to a device that exists: ip -br link"
        ),
        "{shown}"
    );
    podman.ok(&["rm", "--force", "web"]);
    scene.assert_nothing_left(&[&house]);
}

#[test]
fn a_container_of_podman_killed_with_all_that_watches_it_leaves_nothing_once_it_is_removed() {
    let scene = Scene::new();
    let blue = shared("blue", 100);
    let house = scene.house(0, &configured(scene.node(0), &[&blue]));
    let podman = Podman::new(&house);
    // podman cleans up after a container that ends by itself, however it ends.
    let web = podman.run("web", LIST);
    podman.ok(&["kill", "--signal", "KILL", "web"]);
    until("podman has cleaned up", || house.leftovers().is_empty());
    scene.lab.node(0).snapshot().assert_same(&scene.before[0]);
    drop(web);
    // Not where what would do it is killed too.
    let db = podman.run("db", LIST);
    let state = db.inspect()["State"].clone();
    let numbers = [&state["ConmonPid"], &state["Pid"]].map(ToString::to_string);
    house.run(&["kill", "-KILL", &numbers[0], &numbers[1]]);
    assert!(!house.leftovers().is_empty());
    podman.ok(&["rm", "--force", "--time", "0", "web", "db"]);
    scene.assert_nothing_left(&[&house]);
}
