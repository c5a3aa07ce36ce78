//! `vxlan graph`: what is on the node, in three languages; one of its pictures is in docs/operations.md.

use serde_json::{Value, json};

use super::typed::{conflist, vxlan, well};
use crate::support::lab::{Lab, Net, Node, Pod, ipv6};

/// A node as the document has it: two pods on one network, one on another.
struct Scene {
    lab: Lab,
    conf: String,
    pods: Vec<Pod>,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::new(1);
        let node = lab.node(0);
        let blue = Net::new("blue", 1).dual().with(json!({"id": 100}));
        let green = Net::new("green", 2).with(json!({"id": 200}));
        let config = node.config(&[&blue, &green]);
        let conf = conflist(node, &config);
        let mut pods = Vec::new();
        for (name, net) in [("web-1", &blue), ("web-2", &blue), ("db-1", &green)] {
            let pod = node.pod(name);
            let args = format!("IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME={name}");
            let ask = node.ask(&config.clone().joining(net), &pod);
            ask.args(&args).add();
            pods.push(pod);
        }
        Self { conf, pods, lab }
    }

    fn node(&self) -> &Node {
        self.lab.node(0)
    }

    /// As if another node had been heard of on both networks.
    fn knows_a_peer(&self) {
        for dev in ["vx_blue", "vx_green"] {
            let entry = format!("02:00:00:00:00:77 dev {dev} dst 198.18.0.2");
            self.node().sh(&format!("bridge fdb append {entry}"));
        }
    }

    /// The document.
    fn document(&self) -> Value {
        serde_json::from_str(&well(self.node(), &self.conf, &["graph", "-j"])).unwrap()
    }

    /// As on a node of that name.
    fn graph(&self, words: &[&str]) -> String {
        let words: Vec<&str> = ["graph"].iter().chain(words).copied().collect();
        let named = "echo node1 >/proc/sys/kernel/hostname; exec \"$@\"";
        let call = vxlan(self.node(), &self.conf, &words);
        let said = call
            .behind(&["unshare", "--uts", "sh", "-ec", named, "sh"])
            .run();
        assert_eq!(said.code, 0, "{said:?}");
        said.stdout
    }
}

#[test]
fn the_picture_in_the_documents_is_made_by_it() {
    ipv6::is_needed();
    let document = include_str!("../../docs/operations.md");
    let scene = Scene::new();
    scene.knows_a_peer();
    scene.pods[1].ip("link del dev eth0");
    let drawn = scene.graph(&[]);
    let blocks = document.split("```mermaid\n").skip(1);
    let mut blocks = blocks.map(|block| block.split("```").next().unwrap());
    assert!(
        blocks.any(|block| block == drawn),
        "docs/operations.md has no block as:\n{drawn}"
    );
}

#[test]
fn the_svg_is_well_formed_and_names_everything_also_with_hostile_names() {
    let scene = Scene::new();
    let pod = scene.node().pod("hostile");
    let config = scene
        .node()
        .config(&[&Net::new("blue", 1).dual().with(json!({"id": 100}))]);
    let args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=]]><script>&\"'</text>--";
    scene.node().ask(&config, &pod).args(args).add();
    let svg = scene.graph(&["--format", "svg"]);
    let document = roxmltree::Document::parse(&svg).unwrap();
    let texts: Vec<&str> = document
        .descendants()
        .filter_map(|node| node.text())
        .collect();
    for text in [
        "node1",
        "eth0",
        "vx_blue",
        "mv_green",
        "shop/web-1",
        "10.1.1.0",
        "10.2.0.1/16",
    ] {
        assert!(texts.contains(&text), "{text} is not in {texts:?}");
    }
    let hostile = texts.iter().find(|text| text.contains("<script>"));
    assert!(hostile.is_some(), "{texts:?}");
    assert!(
        !document
            .descendants()
            .any(|node| node.has_tag_name("script"))
    );
}

#[test]
fn the_document_has_every_thing_and_what_it_is_joined_to() {
    let mut scene = Scene::new();
    // Nobody has read the record of one pod since: it is in the picture all the same.
    let record = scene.node().record("green", &scene.pods[2], "eth0");
    std::fs::write(&record, "{").unwrap();
    scene.knows_a_peer();
    let shown = scene.document();
    let things = shown["things"].as_array().unwrap();
    let kinds = |kind: &str| things.iter().filter(|thing| thing["kind"] == kind).count();
    let counts = ["peer", "underlay", "vxlan", "gateway", "pod"].map(kinds);
    assert_eq!(counts, [1, 1, 2, 2, 3]);
    assert_eq!(shown["joined"].as_array().unwrap().len(), 1 + 2 * 2 + 3);
    for thing in [
        json!({"kind": "peer", "name": "198.18.0.2", "state": "ok", "lines": ["of blue", "of green"]}),
        json!({"kind": "underlay", "name": "eth0", "state": "ok", "lines": ["underlay", "198.18.0.1"]}),
    ] {
        assert!(things.contains(&thing), "{thing}\n{shown}");
    }
    let lines = json!(["(unreadable)"]);
    assert!(
        things.iter().any(|thing| thing["lines"] == lines),
        "{shown}"
    );
    scene.pods.clear();
}

#[test]
fn what_is_missing_down_or_not_as_it_should_be_is_drawn_so() {
    let rows = [
        ("ip link set dev vx_green down", "vx_green", "down"),
        ("ip link set dev mv_green down", "mv_green", "down"),
        ("ip link del dev mv_blue", "mv_blue", "missing"),
        ("ip link set dev eth0 down", "eth0", "down"),
        ("ip -n POD0 link del dev eth0", "shop/web-1", "missing"),
        ("ip -n POD1 link set dev eth0 down", "shop/web-2", "down"),
        ("ip -n POD2 route del default", "shop/db-1", "failed"),
    ];
    let scene = Scene::new();
    let states = |shown: &Value| -> Vec<(String, String)> {
        let things = shown["things"].as_array().unwrap().iter();
        let text = |thing: &Value, key: &str| thing[key].as_str().unwrap().to_owned();
        let states = things.map(|thing| (text(thing, "name"), text(thing, "state")));
        states.collect()
    };
    assert!(
        states(&scene.document())
            .iter()
            .all(|(_, state)| state == "ok")
    );
    // What a pod's facts tell goes first: without the underlay nothing of a network is as it should be.
    for (by, name, state) in rows.into_iter().rev() {
        let name_of = |index: usize| scene.pods[index].path().rsplit('/').next().unwrap();
        let by = (0..3).fold(by.to_owned(), |by, index| {
            by.replace(&format!("POD{index}"), name_of(index))
        });
        scene.node().sh(&by);
        let found = states(&scene.document());
        assert!(
            found.contains(&(name.to_owned(), state.to_owned())),
            "{by}: {found:?}"
        );
    }
}
