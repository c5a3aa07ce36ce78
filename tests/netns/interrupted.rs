//! What is left when a verb is told to end or killed, and that nothing of it stays.

use std::path::PathBuf;
use std::process::Child;

use serde_json::{Value, json};

use crate::support::lab::{Ask, Lab, Net, Node, Pod, Snapshot, until, until_open};
use crate::support::plugin::{Said, signal};

/// A node with an IPAM that waits at a verb until it is told to go on.
struct Scene {
    lab: Lab,
    before: Snapshot,
    pod: Pod,
    ask: Ask,
    plugins: PathBuf,
}

impl Scene {
    fn waiting_at(verb: &str) -> Self {
        let lab = Lab::new(1);
        let node = lab.node(0);
        let plugins =
            lab.script_waiting_at(verb, "plugins", "slow", "exec /usr/lib/cni/host-local");
        let before = node.snapshot();
        let ipam = json!({"type": "slow", "dataDir": node.ipam()});
        let config = node.config(&[&Net::new("blue", 100)]).ipam(ipam);
        let pod = node.pod("web");
        let ask = node.ask(&config, &pod).plugins_first(&plugins);
        Self {
            before,
            pod,
            ask,
            plugins,
            lab,
        }
    }

    fn node(&self) -> &Node {
        self.lab.node(0)
    }

    /// Starts a verb and waits until its IPAM is asked.
    fn start(&self, verb: &str) -> Child {
        let started = self.ask.verb(verb).start();
        let asked = self.plugins.join("asked");
        until("the IPAM is asked", || asked.exists());
        started
    }

    /// The IPAM goes on.
    fn go_on(&self) {
        std::fs::write(self.plugins.join("pipe"), "now\n").unwrap();
    }

    fn record(&self) -> PathBuf {
        self.node().record("blue", &self.pod, "eth0")
    }

    fn assert_gone(&self) {
        assert_eq!(self.pod.device("eth0"), Value::Null);
        self.node().snapshot().assert_same(&self.before);
    }
}

#[test]
fn a_del_waits_for_the_ipam_that_a_killed_add_has_left_and_frees_what_it_claims_late() {
    let scene = Scene::waiting_at("ADD");
    let mut killed = scene.start("ADD");
    killed.kill().unwrap();
    killed.wait().unwrap();
    let del = scene.ask.verb("DEL").start();
    until_open(&del, &scene.record());
    // The IPAM claims an address that nobody will ever read: after the DEL had begun.
    scene.go_on();
    assert_eq!(Said::by(del).ok(), Value::Null);
    scene.assert_gone();
}

#[test]
fn a_del_that_is_told_to_end_carries_through_what_it_has_begun() {
    let scene = Scene::waiting_at("DEL");
    scene.ask.add();
    let del = scene.start("DEL");
    signal(&del, "TERM");
    scene.go_on();
    assert_eq!(Said::by(del).ok(), Value::Null);
    scene.assert_gone();
}

#[test]
fn what_an_add_leaves_that_was_killed_before_its_record_was_written_goes_with_the_del() {
    let scene = Scene::waiting_at("never");
    let node = scene.node();
    let draft = format!(".{}:eth0", scene.pod.container);
    std::fs::create_dir_all(node.data().join("blue")).unwrap();
    std::fs::write(node.data().join("blue").join(draft), "{\"form").unwrap();
    std::fs::write(node.run_dir().join("blue.lock"), "").unwrap();
    scene.ask.del();
    scene.assert_gone();
}

#[test]
fn a_del_waits_for_the_command_that_a_killed_add_has_left_and_removes_what_it_makes_late() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    // Not the first on the node, so that the link is made by the process that was started before it was told.
    let config = node.config(&[&Net::new("blue", 100)]);
    let other = node.pod("other");
    node.ask(&config, &other).add();
    let dir = lab.dir().join("slow-ip");
    std::fs::create_dir(&dir).unwrap();
    let body = format!(
        "export PATH={}\ncase \" $* \" in *' -force '*) exec ip \"$@\" ;; esac\n\
         cat >{dir}/stdin.$$\n\
         if grep -q 'link add' {dir}/stdin.$$; then : >{dir}/asked; read -r _ <{dir}/pipe; fi\n\
         exec ip \"$@\" <{dir}/stdin.$$",
        std::env::var("PATH").unwrap(),
        dir = dir.display()
    );
    let stand_in = lab.script("slow", "ip", &body);
    node.sh(&format!("mkfifo {}/pipe", dir.display()));
    let pod = node.pod("web");
    let before = Snapshot::of_namespace(&pod);
    let ask = node.ask(&config, &pod).path_first(&stand_in);
    let mut killed = ask.verb("ADD").start();
    until("the link is about to be made", || {
        dir.join("asked").exists()
    });
    killed.kill().unwrap();
    killed.wait().unwrap();
    // The command has the record's lock still, though it was started before it was told what to do.
    let record = node.record("blue", &pod, "eth0");
    let free = node.exec(&["flock", "--nonblock", record.to_str().unwrap(), "true"]);
    assert!(!free.status.success(), "{free:?}");
    let del = node.ask(&config, &pod).verb("DEL").start();
    until_open(&del, &record);
    std::fs::write(dir.join("pipe"), "now\n").unwrap();
    assert_eq!(Said::by(del).ok(), Value::Null);
    Snapshot::of_namespace(&pod).assert_same(&before);
}
