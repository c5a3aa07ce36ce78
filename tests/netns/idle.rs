//! Records are lost, pods live on: no device goes that a pod uses, and none stays that nobody does.

use serde_json::{Value, json};

use crate::support::lab::{Ask, Lab, Net, Node, Pod, Snapshot, address, ipv6, until};

/// A node with a network.
struct Scene {
    lab: Lab,
    blue: Net,
    before: Snapshot,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::new(1);
        let node = lab.node(0);
        let blue = Net::new("blue", 100).dual();
        // What forwarding leaves behind is there before.
        node.set(&["net.ipv6.conf.all.forwarding=1"]);
        Self {
            before: Snapshot::of_namespace(node),
            blue,
            lab,
        }
    }

    fn node(&self) -> &Node {
        self.lab.node(0)
    }

    fn join(&self, pod: &Pod) -> (Ask, Value) {
        let ask = self.node().ask(&self.node().config(&[&self.blue]), pod);
        let result = ask.add();
        (ask, result)
    }

    /// Records and locks are lost: all, or those of one pod.
    fn lose_all(&self) {
        for folder in [self.node().data(), self.node().run_dir()] {
            std::fs::remove_dir_all(&folder).unwrap();
            std::fs::create_dir(folder).unwrap();
        }
    }

    fn lose(&self, pod: &Pod) {
        std::fs::remove_file(self.node().record("blue", pod, "eth0")).unwrap();
    }

    /// GC with an empty list and these networks configured.
    fn gc(&self, nets: &[&Net]) {
        let list = json!({"cniVersion": "1.1.0", "cni.dev/valid-attachments": []});
        let config = self.node().config(nets).with(list);
        let nobody = self.node().pod("nobody");
        let ask = self.node().ask(&config, &nobody);
        let ask = ask.netns("").env("CNI_CONTAINERID", "").ifname("");
        assert_eq!(ask.say("GC").ok(), Value::Null);
    }

    /// The kernel's side is as before the first pod came, and there is neither record nor lock.
    fn assert_gone(&self) {
        Snapshot::of_namespace(self.node()).assert_same(&self.before);
        for folder in [self.node().data(), self.node().run_dir()] {
            assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
        }
    }
}

#[test]
fn gc_takes_the_host_side_away_of_a_network_without_attachments() {
    for lost in ["all", "records"] {
        let scene = Scene::new();
        let mut pod = scene.node().pod("web");
        scene.join(&pod);
        match lost {
            "all" => scene.lose_all(),
            _ => scene.lose(&pod),
        }
        pod.end();
        // The kernel takes the pod's interface down at its own time; GC comes again and again anyhow.
        crate::support::lab::until("GC finds it idle", || {
            scene.gc(&[&scene.blue]);
            scene.node().device("vx_blue") == Value::Null
        });
        let journal = scene.node().journal();
        assert!(journal.contains(" GC blue -"), "{journal}");
        assert!(journal.contains("ip link del dev vx_blue"), "{journal}");
        let _ = std::fs::remove_dir(scene.node().data().join("blue"));
        scene.assert_gone();
        let journal = scene.node().journal();
        scene.gc(&[&scene.blue]);
        assert_eq!(scene.node().journal(), journal, "there was nothing to do");
        scene.assert_gone();
    }
}

#[test]
fn gc_takes_rules_away_whose_device_was_removed_by_hand() {
    let scene = Scene::new();
    let mut pod = scene.node().pod("web");
    scene.join(&pod);
    scene.lose_all();
    pod.end();
    scene.node().ip("link del vx_blue");
    scene.gc(&[&scene.blue]);
    scene.assert_gone();
}

#[test]
fn gc_leaves_a_device_that_a_pod_uses_whose_record_is_lost() {
    let scene = Scene::new();
    let node = scene.node();
    for pod in [node.pod("named"), node.process_pod("process")] {
        let (ask, result) = scene.join(&pod);
        scene.lose_all();
        let shown = Snapshot::of_namespace(node);
        scene.gc(&[&scene.blue]);
        Snapshot::of_namespace(node).assert_same(&shown);
        pod.ping(&node.gateway(&scene.blue));
        // Its DEL goes by the result; nobody can tell any more that it was the last.
        ask.after(&result).del();
        assert_eq!(pod.device("eth0"), Value::Null);
        scene.gc(&[&scene.blue]);
        scene.assert_gone();
    }
}

#[test]
fn the_last_pod_with_a_record_leaves_the_device_to_one_whose_record_is_lost() {
    let scene = Scene::new();
    let node = scene.node();
    let (lost, one, two) = (node.pod("lost"), node.process_pod("one"), node.pod("two"));
    let (ask, result) = scene.join(&lost);
    scene.lose(&lost);
    // Those who come and go find the device and leave it.
    for pod in [&one, &two] {
        let (other, its) = scene.join(pod);
        lost.ping(&address(&its, 0));
        other.after(&its).del();
        assert_eq!(pod.device("eth0"), Value::Null);
        lost.ping(&node.gateway(&scene.blue));
    }
    let wrong = json!({"routes": [{"dst": "10.201.0.0/16", "gw": "192.0.2.1"}]});
    let config = node.config(&[&scene.blue.clone().with(wrong)]);
    node.ask(&config, &two).add_refused(100);
    lost.ping(&node.gateway(&scene.blue));
    ask.after(&result).del();
    scene.gc(&[&scene.blue]);
    scene.assert_gone();
}

#[test]
fn gc_leaves_alone_what_is_not_of_its_networks() {
    let scene = Scene::new();
    let node = scene.node();
    let green = Net::new("green", 200).dual();
    let mut pod = node.pod("web");
    scene.join(&pod);
    scene.lose_all();
    pod.end();
    node.ip("link add vx_green type vxlan id 7 dev eth0 dstport 4790 group 239.1.1.7");
    // Which the kernel does in its own time.
    until("the gateway's IPv6 address is taken up", || {
        if !ipv6::networks_have_it() {
            return true;
        }
        let routes = node.questions(&["-6"], &["route show table local type anycast"]);
        routes[0]
            .as_array()
            .is_some_and(|routes| !routes.is_empty())
    });
    let shown = Snapshot::of_namespace(node);
    // The one is not in the configuration, the other has its name only.
    scene.gc(&[&green]);
    Snapshot::of_namespace(node).assert_same(&shown);
}
