//! `vxlan gc`: what no living pod holds goes, whatever is alive stays.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use super::typed::{conflist, unwell, vxlan, well};
use crate::support::lab::{Config, Lab, Net, Node, Ns, Pod, until};

/// A node with pods on two networks, and its configuration's file.
struct Scene {
    lab: Lab,
    nets: [Net; 2],
    config: Config,
    conf: String,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::new(1);
        let node = lab.node(0);
        let nets = [Net::new("blue", 10), Net::new("green", 11)];
        let mut ipam = node.route_table();
        ipam["propagationTimeoutMs"] = json!(0);
        let config = node.config(&[&nets[0], &nets[1]]).ipam(ipam);
        let conf = conflist(node, &config);
        Self {
            nets,
            config,
            conf,
            lab,
        }
    }

    fn node(&self) -> &Node {
        self.lab.node(0)
    }

    /// A pod that joined a network by its number.
    fn joined(&self, name: &str, net: usize) -> Pod {
        let pod = self.node().pod(name);
        let config = self.config.clone().joining(&self.nets[net]);
        self.node().ask(&config, &pod).add();
        pod
    }

    fn gc(&self, words: &[&str]) -> String {
        let words: Vec<&str> = ["gc"].iter().chain(words).copied().collect();
        well(self.node(), &self.conf, &words)
    }
}

fn list(document: &Value, key: &str) -> Vec<String> {
    let items = document[key].as_array().unwrap();
    items
        .iter()
        .map(|item| match item {
            Value::String(text) => text.clone(),
            one => one["container"].as_str().unwrap().to_owned(),
        })
        .collect()
}

#[test]
fn what_is_alive_is_no_ones_to_remove() {
    let scene = Scene::new();
    let _pods = [scene.joined("a", 0), scene.joined("b", 1)];
    let process = scene.node().process_pod("process");
    scene.node().ask(&scene.config, &process).add();
    let before = scene.node().snapshot();
    assert_eq!(scene.gc(&["--dry-run"]), "nothing is left over\n");
    assert_eq!(scene.gc(&["--yes"]), "nothing is left over\n");
    scene.node().snapshot().assert_same(&before);
}

#[test]
fn from_another_pid_or_mount_namespace_than_adds_nothing_is_taken_for_gone() {
    let scene = Scene::new();
    let named = scene.joined("named", 0);
    let process = scene.node().process_pod("process");
    scene.node().ask(&scene.config, &process).add();
    let before = scene.node().snapshot();
    // All but the node's own are hidden.
    let (own, kept) = (scene.node().path(), scene.node().dir().join("kept"));
    let hidden = format!(
        ": >{0}; mount --bind {own} {0}; mount -t tmpfs tmpfs /run/netns; : >{own}; mount --bind {0} {own}; umount {0}; \
         rm {0}; exec \"$@\"",
        kept.display()
    );
    for (kind, behind) in [
        (
            "mount",
            &["unshare", "--mount", "sh", "-ec", &hidden, "sh"][..],
        ),
        (
            "pid",
            &[
                "unshare",
                "--pid",
                "--fork",
                "--mount-proc",
                "sh",
                "-ec",
                &hidden,
                "sh",
            ],
        ),
    ] {
        let said = vxlan(scene.node(), &scene.conf, &["gc", "--yes"])
            .behind(behind)
            .run();
        let told = format!("seen from another {kind} namespace than ADD ran in");
        assert!(said.stdout.contains(&told), "{said:?}");
        scene.node().snapshot().assert_same(&before);
        for pod in [&named, &process] {
            assert!(
                scene.node().record("blue", pod, "eth0").exists(),
                "{said:?}"
            );
        }
    }
}

#[test]
fn the_attachment_of_a_namespace_that_is_gone_goes_with_its_lease_and_nothing_else() {
    let scene = Scene::new();
    let living = scene.joined("living", 0);
    let before = scene.node().snapshot();
    let mut pods = vec![
        scene.joined("named", 0),
        scene.node().process_pod("process"),
    ];
    scene.node().ask(&scene.config, &pods[1]).add();
    let mut reborn = scene.joined("reborn", 0);
    pods.iter_mut().for_each(Pod::end);
    let other = reborn.reborn();
    pods.push(reborn);
    let shown: Value = serde_json::from_str(&scene.gc(&["--dry-run", "--json"])).unwrap();
    let mut wanted: Vec<String> = pods.iter().map(|pod| pod.container.clone()).collect();
    wanted.sort();
    assert_eq!(list(&shown, "attachments"), wanted);
    let text = scene.gc(&["--dry-run"]);
    for words in ["is gone", "is another namespace by now", "would remove "] {
        assert!(text.contains(words), "{text}");
    }
    let removed = scene.gc(&["--yes"]);
    assert_eq!(removed.lines().count(), 3, "{removed}");
    assert!(
        removed.lines().all(|line| line.starts_with("removed ")),
        "{removed}"
    );
    scene.node().snapshot().assert_same(&before);
    assert!(
        living.device("eth0")["mtu"].is_u64(),
        "the living one stays"
    );
    assert!(other.device("lo")["mtu"].is_u64());
    // The same words as DEL's in the journal, under a verb of its own.
    let log = well(
        scene.node(),
        &scene.conf,
        &["log", "--verb", "gc", "--json"],
    );
    assert_eq!(log.lines().count(), 3, "{log}");
}

#[test]
fn a_pod_whose_name_is_gone_while_its_process_runs_is_alive() {
    let scene = Scene::new();
    let mut pod = scene.joined("a", 0);
    let mut process = pod.command(&["cat"]).stdin(Stdio::piped()).spawn().unwrap();
    let inside = || Ns::at(Path::new(&format!("/proc/{}/ns/net", process.id())));
    until("the process is in the namespace", || {
        !inside().device("eth0").is_null() && namespace(inside().path()) == namespace(pod.path())
    });
    pod.end();
    assert_eq!(scene.gc(&["--yes"]), "nothing is left over\n");
    assert!(!inside().device("eth0").is_null());
    // What is in it is not the pod's any more: a new namespace may have the number of an old one.
    inside().ip("link del eth0");
    let removed = scene.gc(&["--yes"]);
    assert!(removed.contains("removed "), "{removed}");
    process.kill().unwrap();
    process.wait().unwrap();
}

fn namespace(path: &str) -> u64 {
    std::fs::metadata(path).unwrap().ino()
}

#[test]
fn without_a_terminal_and_without_yes_nothing_is_removed() {
    let scene = Scene::new();
    let mut pod = scene.joined("a", 0);
    pod.end();
    let before = scene.node().snapshot();
    let said = unwell(scene.node(), &scene.conf, &["gc"]);
    assert!(
        said.stdout
            .contains(&format!("would remove {}/eth0", pod.container)),
        "{said:?}"
    );
    assert!(
        said.stdout.contains("`vxlan gc --yes` removes it"),
        "{said:?}"
    );
    scene.node().snapshot().assert_same(&before);
}

#[test]
fn on_a_terminal_it_asks_and_takes_the_answer() {
    let scene = Scene::new();
    let mut pod = scene.joined("a", 0);
    pod.end();
    let call = vxlan(scene.node(), &scene.conf, &["gc"]);
    // `script` gives it a terminal, and what it reads.
    let line = format!(
        "nsenter --net={} {} gc --conf {}",
        scene.node().path(),
        crate::support::plugin::Program::Vxlan.path(),
        scene.conf
    );
    let path = call.environment()["CNI_PATH"].clone();
    let typed = |answer: &str| {
        let command = format!("printf '{answer}\n' | script -qec \"{line}\" /dev/null");
        let said = scene
            .node()
            .command(&["sh", "-c", &command])
            .env("CNI_PATH", &path)
            .output();
        String::from_utf8(said.unwrap().stdout).unwrap()
    };
    let before = scene.node().snapshot();
    assert!(typed("n").contains("remove it? [y/N]"));
    scene.node().snapshot().assert_same(&before);
    let said = typed("y");
    assert!(said.contains("removed "), "{said}");
    assert!(!scene.node().record("blue", &pod, "eth0").exists());
}

#[test]
fn devices_that_nobody_uses_go_and_those_of_a_network_in_use_stay() {
    let scene = Scene::new();
    let before = scene.node().snapshot();
    let (a, b) = (scene.joined("a", 0), scene.joined("b", 1));
    // The records of one network are lost, and its pod ends.
    std::fs::remove_dir_all(scene.node().data().join("blue")).unwrap();
    let dry = scene.gc(&["--dry-run"]);
    assert_eq!(
        dry, "nothing is left over\n",
        "a pod without a record still listens"
    );
    drop(a);
    until("the kernel has taken the pod's link down", || {
        scene
            .gc(&["--dry-run"])
            .contains("vx_blue, mv_blue and the rules of network blue")
    });
    let removed = scene.gc(&["--yes"]);
    assert!(
        removed.contains("removed the devices of network blue"),
        "{removed}"
    );
    assert!(scene.node().device("vx_blue").is_null());
    assert!(scene.node().device("vx_green")["mtu"].is_u64());
    scene
        .node()
        .ask(&scene.config.clone().joining(&scene.nets[1]), &b)
        .del();
    // The switches of the whole node stay, and the claim whose device went with it.
    let left = scene.node().snapshot().changes_since(&before);
    assert!(
        left.iter()
            .all(|line| !line.contains("vx_") || line.contains("ipam")),
        "{left:?}"
    );
}

#[test]
fn a_stray_claim_and_a_record_of_an_earlier_boot_go() {
    let scene = Scene::new();
    let a = scene.joined("a", 0);
    let before = scene.node().snapshot();
    let b = scene.joined("b", 0);
    let record = scene.node().record("blue", &b, "eth0");
    let text = std::fs::read_to_string(&record).unwrap();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let earlier = text.replace(boot.trim(), "00000000-0000-0000-0000-000000000000");
    assert_ne!(earlier, text);
    std::fs::write(&record, earlier).unwrap();
    // Of the pool, but neither of the two pods'.
    let shown = scene.node().snapshot();
    let candidates = ["10.10.1.250", "10.10.1.251", "10.10.1.252"];
    let is_free = |one: &&str| shown.with(one).is_empty();
    let stray = candidates.into_iter().find(is_free).unwrap();
    scene.node().ip(&format!(
        "route add {stray}/32 dev mv_blue proto 192 metric 4194304000"
    ));
    let dry = scene.gc(&["--dry-run"]);
    for words in ["it is of an earlier boot", stray, "orphaned"] {
        assert!(dry.contains(words), "{dry}");
    }
    let removed = scene.gc(&["--yes"]);
    let told = format!("removed the claim {stray}");
    assert!(removed.contains(&told), "{removed}");
    // Its link went with that boot, in which there was none.
    drop(b);
    assert!(!record.exists());
    scene.node().snapshot().assert_same(&before);
    assert!(a.device("eth0")["mtu"].is_u64());
}

#[test]
fn what_is_under_way_or_cannot_be_told_is_left_alone() {
    let scene = Scene::new();
    let mut pod = scene.joined("a", 0);
    let mut other = scene.joined("b", 0);
    let record = scene.node().record("blue", &pod, "eth0");
    let damaged = scene.node().record("blue", &other, "eth0");
    std::fs::write(&damaged, "{").unwrap();
    pod.end();
    other.end();
    let under_way = std::fs::File::open(&record).unwrap();
    under_way.lock_shared().unwrap();
    let said = scene.gc(&["--yes"]);
    assert!(said.starts_with("left alone: "), "{said}");
    assert!(
        said.contains("a DEL of that attachment removes it"),
        "{said}"
    );
    assert!(record.exists() && damaged.exists());
    drop(under_way);
    let said = scene.gc(&["--yes"]);
    assert!(said.contains("removed "), "{said}");
    assert!(!record.exists() && damaged.exists());
    // A file in the place of a namespace may be one that is mounted elsewhere.
    let third = scene.joined("c", 1);
    let record = scene.node().record("green", &third, "eth0");
    let text = std::fs::read_to_string(&record).unwrap();
    let file = scene.lab.dir().join("file");
    std::fs::write(&file, "").unwrap();
    std::fs::write(&record, text.replace(third.path(), file.to_str().unwrap())).unwrap();
    let said = scene.gc(&["--dry-run"]);
    assert!(
        said.contains("is a file and no namespace") && !said.contains("would remove"),
        "{said}"
    );
}

#[test]
fn what_cannot_be_released_is_told_and_stays_for_the_next_time() {
    let scene = Scene::new();
    let mut pod = scene.joined("a", 0);
    pod.end();
    let call = vxlan(scene.node(), &scene.conf, &["gc", "--yes"]);
    let said = call.clone().env("CNI_PATH", "/nowhere").run();
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.stdout.contains("FAILED ") && said.stdout.contains("/nowhere"),
        "{said:?}"
    );
    assert!(scene.node().record("blue", &pod, "eth0").exists());
    // Without CNI_PATH the plugins are where this program is.
    let said = call.without("CNI_PATH").run();
    assert_eq!(
        (said.code, said.stdout.contains("removed ")),
        (0, true),
        "{said:?}"
    );
}

#[test]
fn what_its_ipam_never_releases_is_forgotten_by_force_once_its_interface_is_gone() {
    let scene = Scene::new();
    let pod = scene.joined("a", 0);
    let refuses = scene.lab.script(
        "refuses",
        "route-table",
        "echo '{\"cniVersion\": \"1.0.0\", \"code\": 7, \"msg\": \"never\"}'; exit 1",
    );
    let force = |wanted: &str| {
        vxlan(scene.node(), &scene.conf, &["gc", "--force", wanted])
            .env("CNI_PATH", refuses.to_str().unwrap())
            .run()
    };
    let record = scene.node().record("blue", &pod, "eth0");
    for (wanted, said) in [
        (&*pod.container, "is alive"),
        ("no-such", "no attachment on this node"),
        ("", "no attachment on this node"),
    ] {
        let refused = force(wanted);
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.stderr.contains(said), "{refused:?}");
        assert!(record.exists());
    }
    // As the runtime's DEL does before it is refused.
    pod.ip("link del eth0");
    let forced = force(&pod.container);
    assert_eq!(forced.code, 0, "{forced:?}");
    assert!(
        forced.stdout.contains("may be left: its lease"),
        "{forced:?}"
    );
    assert!(forced.stdout.contains("never"), "{forced:?}");
    assert!(!record.exists());
    assert_eq!(scene.node().device("vx_blue"), Value::Null);
    // The log shows that it was begun, and that it ended well.
    let log = std::fs::read_to_string(scene.node().log()).unwrap();
    let entry = format!(" GC blue {}/eth0 ok ", pod.container);
    assert!(log.contains(&entry), "{log}");
}

#[test]
fn a_record_that_cannot_be_read_harms_no_other_attachment_and_no_verb() {
    let scene = Scene::new();
    let node = scene.node();
    let [mut stays, mut goes, green] =
        [("a", 0), ("b", 0), ("c", 1)].map(|(n, net)| scene.joined(n, net));
    let bad = node
        .record("blue", &stays, "eth0")
        .with_file_name("bad:eth0.json");
    let claims = node.ipam().join("address").join("10.10.0.77.json");
    let makes = [
        "mkdir BAD",
        "mkfifo BAD",
        "ln -s BAD BAD",
        "ln -s /dev/zero BAD",
        "truncate -s 1T BAD",
        "echo '{' >BAD",
    ];
    for make in makes {
        for file in [&bad, &claims] {
            node.sh(&make.replace("BAD", file.to_str().unwrap()));
        }
        let all = [
            &["status", "--json"][..],
            &["gc", "--dry-run"],
            &["doctor"],
            &["repair"],
        ];
        // The slow ones read what the others read: once is enough, of what a verb could wait for.
        let count = if make.starts_with("mkfifo") { 4 } else { 2 };
        for words in &all[..count] {
            let said = vxlan(node, &scene.conf, words).run();
            let told = format!("{}{}", said.stdout, said.stderr);
            let names = words[0] == "repair" || told.contains("bad:eth0.json");
            assert!(names, "{make}: {words:?}: {said:?}");
            assert!(
                said.code == 0 || said.code == 1,
                "{make}: {words:?}: {said:?}"
            );
        }
        // Of the same network one goes and one comes.
        let config = scene.config.clone().joining(&scene.nets[0]);
        node.ask(&config, &goes).del();
        assert!(!node.record("blue", &goes, "eth0").exists(), "{make}");
        node.ask(&config, &goes).add();
        for file in [&bad, &claims] {
            node.sh(&format!("rm -rf {}", file.display()));
        }
    }
    let config = scene.config.clone();
    for (pod, net) in [(&stays, 0), (&goes, 0), (&green, 1)] {
        node.ask(&config.clone().joining(&scene.nets[net]), pod)
            .del();
    }
    stays.end();
    goes.end();
    assert_eq!(node.device("vx_blue"), Value::Null);
}

#[test]
fn an_exact_id_means_its_attachment_alone_and_no_other_that_starts_with_it() {
    let scene = Scene::new();
    let a = scene.joined("a", 0);
    let ab = scene.node().pod("b");
    let ab = ab.with_container(&format!("{}b", a.container));
    let config = scene.config.clone().joining(&scene.nets[0]);
    scene.node().ask(&config, &ab).add();
    let says = |words: &[&str]| well(scene.node(), &scene.conf, words);
    let status = says(&["status", &a.container, "--json"]);
    let status: Value = serde_json::from_str(&status).unwrap();
    let shown = status["networks"][0]["attachments"].as_array().unwrap();
    assert_eq!(shown.len(), 1, "{status}");
    assert_eq!(shown[0]["container"], *a.container);
    for words in [
        &["plan", "del", &a.container][..],
        &["replay", &a.container],
    ] {
        let said = says(words);
        assert!(
            said.contains(&*a.container) && !said.contains(&*ab.container),
            "{said}"
        );
    }
    let start = &a.container[..a.container.len() - 1];
    let status: Value = serde_json::from_str(&says(&["status", start, "--json"])).unwrap();
    assert_eq!(
        status["networks"][0]["attachments"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn claims_of_living_pods_outlive_their_owner_records_and_go_with_their_pods() {
    let scene = Scene::new();
    let node = scene.node();
    let [a, b] = ["a", "b"].map(|name| scene.joined(name, 0));
    let claims = || node.show("route show proto 192").as_array().unwrap().len();
    let wipe = || std::fs::remove_dir_all(node.ipam()).unwrap();
    assert_eq!(claims(), 2);
    wipe();
    let said = unwell(node, &scene.conf, &["doctor"]);
    assert!(said.stdout.contains("is unrecorded"), "{said:?}");
    assert!(!said.stdout.contains("is orphaned"), "{said:?}");
    well(node, &scene.conf, &["gc", "--yes"]);
    assert_eq!(claims(), 2);
    let said = well(node, &scene.conf, &["repair"]);
    assert!(said.contains("put back"), "{said}");
    assert_eq!(claims(), 2);
    well(node, &scene.conf, &["doctor"]);
    // Without a repair in between the DEL gives back what its own attachment has, and no other's.
    wipe();
    let config = scene.config.clone().joining(&scene.nets[0]);
    node.ask(&config, &a).del();
    assert_eq!(claims(), 1);
    node.ask(&config, &b).del();
    assert_eq!(claims(), 0);
}
