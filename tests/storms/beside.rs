//! One verb beside another at random moments: ADD and DEL beside GC, repair and `gc`, ADD beside itself. What succeeds is
//! whole, what fails takes nothing along, and after the DEL nothing is left.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::races::{at_random, window};
use crate::rounds;
use crate::support::lab::{Ask, Config, Lab, Net, Node, Pod, Snapshot, address};
use crate::support::plugin::{Call, Program, Said};

/// Rounds of each race where the variable does not say how many.
const FEWER: usize = 4;

/// What is started beside an ADD or DEL.
#[derive(Debug, Clone, Copy)]
enum Beside {
    /// A GC whose list is of before the ADD.
    Gc,
    Repair,
    /// `vxlan gc --yes`.
    Collect,
}

/// A node with a network whose addresses are claims.
struct Scene {
    net: Net,
    config: Config,
    before: Snapshot,
    lab: Lab,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::new(1);
        let node = lab.node(0);
        let net = Net::new("blue", 100).dual();
        let mut ipam = node.route_table();
        ipam["propagationTimeoutMs"] = json!(0);
        let config = node.config(&[&net]).ipam(ipam);
        std::fs::write(Self::conf(node), config.value().to_string()).unwrap();
        let pod = node.pod("first");
        let ask = node.ask(&config, &pod);
        ask.after(&ask.add()).del();
        Self {
            net,
            config,
            before: node.snapshot(),
            lab,
        }
    }

    fn node(&self) -> &Node {
        self.lab.node(0)
    }

    /// Beside the node's folder, which snapshots look into.
    fn conf(node: &Node) -> std::path::PathBuf {
        node.dir().with_extension("conf")
    }

    fn ask(&self, pod: &Pod) -> Ask {
        self.node().ask(&self.config, pod)
    }

    /// The question about a pod, by a configuration that may have been edited since.
    fn edited(&self, pod: &Pod, is_edited: bool) -> Ask {
        let mut config = self.config.value().clone();
        if is_edited {
            config["vxlans"][0]["mtu"] = json!(1300);
            config["rulePriority"] = json!(500);
        }
        let config = self.config.clone().with(config);
        self.node().ask(&config, pod)
    }

    /// The verb beside, asked as a runtime or an operator does that knows of one pod.
    fn call(&self, beside: Beside, known: &Pod) -> Call {
        let operator = |words: &[&str]| {
            let [nsenter, net] = self.node().enter();
            let call = Call::of(Program::Vxlan).behind(&[&nsenter, &net]);
            let call = words.iter().fold(call, |call, word| call.arg(word));
            call.arg("--conf")
                .arg(Self::conf(self.node()).to_str().unwrap())
        };
        match beside {
            Beside::Repair => operator(&["repair"]),
            Beside::Collect => operator(&["gc", "--yes"]),
            Beside::Gc => {
                let list = json!([{"containerID": known.container, "ifname": "eth0"}]);
                let more = json!({"cniVersion": "1.1.0", "cni.dev/valid-attachments": list});
                let ask = self.ask(known).config(&self.config.clone().with(more));
                let ask = ask.netns("").ifname("").env("CNI_CONTAINERID", "");
                ask.verb("GC")
            }
        }
    }

    /// The pod has all that its ADD said, and the node knows of it.
    fn is_whole(&self, pod: &Pod, result: &Value, what: &str) {
        let check = self.ask(pod).after(result).say("CHECK");
        assert_eq!(check.code, 0, "{what}: {}", check.stdout);
        pod.ping(&self.node().gateway(&self.net));
        assert!(self.node().record("blue", pod, "eth0").exists(), "{what}");
        let claim = format!("\"dst\":\"{}\"", address(result, 0));
        let now = self.node().snapshot();
        let is_claim = |line: &&str| line.contains("\"metric\":4194304000");
        assert!(now.with(&claim).iter().any(is_claim), "{what}: {claim}");
    }

    fn is_as_before(&self, what: &str) {
        let changes = self.node().snapshot().changes_since(&self.before);
        assert!(
            changes.is_empty(),
            "{what}: {}\n{}",
            changes.join("\n"),
            self.node().journal()
        );
    }
}

/// What a node or a pod may lack by the time.
fn harm(node: &Node, pod: &Pod, result: &Value, random: &mut fastrand::Rng) {
    match random.u8(..4) {
        0 => drop(node.sh("ip rule del pref 19200")),
        1 => drop(pod.ip("route del default")),
        2 => drop(node.sh(&format!("ip route del {}", address(result, 0)))),
        _ => {}
    }
}

fn dice(name: &str) -> (usize, fastrand::Rng) {
    let (count, seed) = (rounds("VXLAN_CNI_BESIDE", FEWER), fastrand::u64(..));
    println!("{count} races of {name}, seed {seed}");
    (count, fastrand::Rng::with_seed(seed))
}

/// Races of an ADD, now and then with another pod on the network before.
fn add_beside(beside: Beside) {
    let (count, mut random) = dice(&format!("ADD beside {beside:?}"));
    let scene = Scene::new();
    let node = scene.node();
    let (stays, comes) = (node.pod("stays"), node.pod("comes"));
    let window = window(&scene.ask(&comes));
    let start = Instant::now();
    for number in 0..count {
        let what = format!("round {number}");
        let other = (number % 2 == 0).then(|| scene.ask(&stays).add());
        let is_edited = random.bool();
        if let (Some(result), Beside::Repair) = (&other, beside) {
            harm(node, &stays, result, &mut random);
        }
        let edited = scene.edited(&comes, is_edited);
        let (add, other_verb) = (edited.verb("ADD"), scene.call(beside, &stays));
        // A runtime asks for no GC while an ADD is at work that it may have seen the end of: here the GC begins early.
        let mut said = match beside {
            Beside::Gc => at_random(&mut random, window, &[other_verb, add]),
            _ => at_random(&mut random, window, &[add, other_verb]),
        };
        if matches!(beside, Beside::Gc) {
            said.reverse();
        }
        let result = said[0].ok();
        assert_eq!(said[1].code, 0, "{what}: {:?}", said[1]);
        scene.is_whole(&comes, &result, &what);
        scene.ask(&comes).after(&result).del();
        if let Some(result) = other {
            repaired(&scene, beside, &stays);
            scene.is_whole(&stays, &result, &what);
            scene.ask(&stays).after(&result).del();
        }
        scene.is_as_before(&what);
    }
    println!(
        "{count} races of ADD beside {beside:?} in {:.1?}",
        start.elapsed()
    );
}

/// What else was broken is mended by now, or by one more repair: an attachment that a verb was at work on was left to it.
fn repaired(scene: &Scene, beside: Beside, pod: &Pod) {
    if !matches!(beside, Beside::Gc) {
        scene
            .call(Beside::Repair, pod)
            .run()
            .code
            .eq(&0)
            .then_some(())
            .unwrap();
    }
}

#[test]
fn an_add_beside_a_gc_that_does_not_know_of_it_is_whole() {
    add_beside(Beside::Gc);
}

#[test]
fn an_add_beside_a_repair_is_whole() {
    add_beside(Beside::Repair);
}

#[test]
fn an_add_beside_an_operators_gc_is_whole() {
    add_beside(Beside::Collect);
}

#[test]
fn of_a_del_beside_a_repair_nothing_is_left() {
    let (count, mut random) = dice("DEL beside Repair");
    let scene = Scene::new();
    let node = scene.node();
    let (stays, goes) = (node.pod("stays"), node.pod("goes"));
    let window = window(&scene.ask(&goes));
    for number in 0..count {
        let what = format!("round {number}");
        let other = (number % 2 == 0).then(|| scene.ask(&stays).add());
        let result = scene.ask(&goes).add();
        harm(node, &goes, &result, &mut random);
        let calls = [
            scene.ask(&goes).after(&result).verb("DEL"),
            scene.call(Beside::Repair, &stays),
        ];
        let said = at_random(&mut random, window, &calls);
        assert_eq!(said[0].ok(), Value::Null, "{what}");
        assert_eq!(said[1].code, 0, "{what}: {:?}", said[1]);
        if let Some(result) = other {
            repaired(&scene, Beside::Repair, &stays);
            scene.is_whole(&stays, &result, &what);
            scene.ask(&stays).after(&result).del();
        }
        scene.is_as_before(&what);
    }
}

#[test]
fn of_three_adds_of_one_interface_at_random_moments_one_is_whole() {
    let (count, mut random) = dice("three ADDs of one interface");
    let scene = Scene::new();
    let pod = scene.node().pod("web");
    let window: Duration = window(&scene.ask(&pod)) / 2;
    for number in 0..count {
        let what = format!("round {number}");
        let call = scene.ask(&pod).verb("ADD");
        let said = at_random(&mut random, window, &[call.clone(), call.clone(), call]);
        let (won, lost): (Vec<&Said>, Vec<&Said>) = said.iter().partition(|said| said.code == 0);
        assert_eq!(won.len(), 1, "{what}: {said:?}");
        for lost in lost {
            let why = lost.error(4);
            let told = why.contains("attached to network") || why.contains("has an interface");
            assert!(told, "{what}: {why}");
        }
        let result = won[0].ok();
        scene.is_whole(&pod, &result, &what);
        scene.ask(&pod).after(&result).del();
        scene.is_as_before(&what);
    }
}
