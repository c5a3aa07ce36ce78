//! Pods as the kubelet has containerd make them: with `K8S_POD_*`, the pod's annotations, and a named
//! namespace that outlives its processes.

use serde_json::json;

use super::containerd::Containerd;
use super::cri::Kubelet;
use super::{Container, Scene, configured, meet, shared};
use crate::support::lab::{Config, Net, Node, address, mac};

const NETWORK: &str = "vxlan-cni.phdata.io/NetworkName";
const ADDRESS: &str = "vxlan-cni.phdata.io/RequestedAddress";
const MAC: &str = "vxlan-cni.phdata.io/RequestedMAC";

/// A configuration that is handed the pod's annotations.
fn annotated(node: &Node, nets: &[&Net]) -> Config {
    let declared = json!({"capabilities": {"io.kubernetes.cri.pod-annotations": true}});
    configured(node, nets).with(declared)
}

#[test]
fn c14_pods_of_the_kubelet_join_the_network_that_their_annotations_name_and_leave_nothing() {
    let scene = Scene::new();
    let (one, two) = (scene.node(0), scene.node(1));
    let (blue, green) = (shared("blue", 100), shared("green", 102));
    let nets = [&blue, &green];
    let houses = [
        scene.house(0, &annotated(one, &nets)),
        scene.house(1, &annotated(two, &nets)),
    ];
    let (here, there) = (Containerd::new(&houses[0]), Containerd::new(&houses[1]));
    let (here, there) = (Kubelet::new(&here), Kubelet::new(&there));
    let wishes = [
        (NETWORK, "green"),
        (ADDRESS, "10.102.9.9"),
        (MAC, "02:00:00:00:00:99"),
        ("other", "x=y;z"),
    ];
    let web = here.run("shop", "web", &wishes).unwrap();
    let db = there.run("shop", "db", &[(NETWORK, "green")]).unwrap();
    // One that names none is on the default network beside it.
    let plain = here.run("bank", "vault", &[]).unwrap();
    meet((one, &web), (two, &db), &green);
    let result = web.result();
    assert_eq!(
        (address(&result, 0), mac(&result)),
        ("10.102.9.9".into(), "02:00:00:00:00:99".into())
    );
    assert_eq!(plain.result()["interfaces"][0]["name"], "vx_blue");
    plain.ping(&one.gateway(&blue));
    let journal = one.journal();
    assert!(
        journal.contains("pod=shop/web because=io.kubernetes.cri.pod-annotations"),
        "{journal}"
    );
    for pod in [&web, &db, &plain] {
        // The kubelet asks more than once.
        pod.stop();
        pod.stop();
        pod.remove();
    }
    scene.assert_nothing_left(&[&houses[0], &houses[1]]);
}

#[test]
fn the_kubelet_is_told_why_a_pod_cannot_join_and_nothing_is_left() {
    let scene = Scene::new();
    let node = scene.node(0);
    let (blue, shop) = (
        shared("blue", 100),
        shared("shop", 102).with(json!({"allowedNamespaces": ["shop"]})),
    );
    let house = scene.house(0, &annotated(node, &[&blue, &shop]));
    let containerd = Containerd::new(&house);
    let kubelet = Kubelet::new(&containerd);
    for (wishes, told) in [
        (
            &[(NETWORK, "nope")][..],
            "io.kubernetes.cri.pod-annotations names the network `nope`, which is not in vxlans",
        ),
        (
            &[(NETWORK, "shop")],
            "network \"shop\" does not take a pod of namespace `bank`",
        ),
        (&[(ADDRESS, "10.100.0.1")], "it is the gateway"),
        (&[(ADDRESS, "10.99.0.7")], "it is outside of 10.100.0.0/16"),
        (&[(MAC, "banana")], "io.kubernetes.cri.pod-annotations"),
    ] {
        let shown = kubelet.run("bank", "vault", wishes).err().unwrap();
        assert!(
            shown.contains("failed to setup network for sandbox") && shown.contains(told),
            "{shown}"
        );
    }
    scene.assert_nothing_left(&[&house]);
}

#[test]
fn a_pod_of_the_kubelet_whose_processes_were_killed_keeps_its_address_until_it_is_stopped() {
    let scene = Scene::new();
    let node = scene.node(0);
    let blue = shared("blue", 100);
    let house = scene.house(0, &annotated(node, &[&blue]));
    let containerd = Containerd::new(&house);
    let kubelet = Kubelet::new(&containerd);
    let web = kubelet.run("shop", "web", &[]).unwrap();
    let held = address(&web.result(), 0);
    web.kill();
    // The namespace is the pod's, not its processes'.
    node.ping(&held);
    let taken = kubelet
        .run("shop", "db", &[(ADDRESS, &held)])
        .err()
        .unwrap();
    assert!(
        taken.contains(&format!("{held} is taken")) && taken.contains("pod shop/web"),
        "{taken}"
    );
    web.remove();
    let db = kubelet.run("shop", "db", &[(ADDRESS, &held)]).unwrap();
    assert_eq!(address(&db.result(), 0), held);
    db.remove();
    scene.assert_nothing_left(&[&house]);
}

#[test]
fn a_pod_of_the_kubelet_joins_the_network_named_like_its_namespace_and_any_other_the_default() {
    let scene = Scene::new();
    let node = scene.node(0);
    let (blue, shop) = (shared("blue", 100), shared("shop", 102));
    let config = configured(node, &[&blue, &shop]).with(json!({"k8sNetworkFromNamespace": true}));
    let house = scene.house(0, &config);
    let containerd = Containerd::new(&house);
    let kubelet = Kubelet::new(&containerd);
    let web = kubelet.run("shop", "web", &[]).unwrap();
    let vault = kubelet.run("bank", "vault", &[]).unwrap();
    assert_eq!(web.result()["interfaces"][0]["name"], "vx_shop");
    assert_eq!(vault.result()["interfaces"][0]["name"], "vx_blue");
    // Networks of one node are routed to each other by it.
    web.ping(&address(&vault.result(), 0));
    vault.remove();
    web.remove();
    scene.assert_nothing_left(&[&house]);
}
