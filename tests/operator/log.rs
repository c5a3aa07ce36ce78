//! `vxlan log`: both journals, by container and time, filtered and followed.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::typed::{conflist, unwell, vxlan, well};
use crate::support::lab::{Config, Lab, Net, Node, Pod, until};
use crate::support::plugin::{Program, Said};

/// A node with two networks and claimed addresses, and its configuration's file.
struct Scene {
    lab: Lab,
    config: Config,
    conf: String,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::new(1);
        let node = lab.node(0);
        let nets = [Net::new("blue", 10), Net::new("green", 11)];
        let config = node.config(&[&nets[0], &nets[1]]);
        let mut ipam = node.route_table();
        ipam["propagationTimeoutMs"] = json!(0);
        let config = config.ipam(ipam);
        let conf = conflist(node, &config);
        Self { config, conf, lab }
    }

    fn node(&self) -> &Node {
        self.lab.node(0)
    }

    /// ADD of a pod of the namespace `shop` to a network; whatever comes of it.
    fn add(&self, pod: &Pod, name: &str, network: &str) -> i32 {
        let config = self.config.clone().with(json!({"defaultNetwork": network}));
        let ask = self.node().ask(&config, pod);
        let args = format!("K8S_POD_NAMESPACE=shop;K8S_POD_NAME={name}");
        ask.args(&args).say("ADD").code
    }

    fn log(&self, words: &[&str]) -> String {
        let words: Vec<&str> = ["log"].iter().chain(words).copied().collect();
        well(self.node(), &self.conf, &words)
    }

    /// `VERB NETWORK` of each verb that is taken.
    fn told(&self, words: &[&str]) -> Vec<String> {
        let words: Vec<&str> = words.iter().copied().chain(["--json"]).collect();
        let text = self.log(&words);
        let objects = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let told = |one: Value| {
            format!(
                "{} {}",
                one["verb"].as_str().unwrap(),
                one["network"].as_str().unwrap()
            )
        };
        objects.map(told).collect()
    }
}

#[test]
fn verbs_are_taken_by_pod_container_network_verb_failure_and_age() {
    let scene = Scene::new();
    let (web, db) = (scene.node().pod("web"), scene.node().pod("db"));
    assert_eq!(scene.add(&web, "web-1", "blue"), 0);
    assert_eq!(scene.add(&db, "db-1", "green"), 0);
    assert_ne!(scene.add(&web, "web-1", "blue"), 0, "it is attached");
    scene.node().ask(&scene.config, &db).del();
    // The IPAM's verbs stand with those that asked for them, and are of their network.
    let all = [
        "ADD blue",
        "ADD blue",
        "ADD green",
        "ADD green",
        "ADD blue",
        "DEL green",
        "DEL green",
    ];
    assert_eq!(scene.told(&[]), all);
    // A DEL that names no pod is of the one that the record names.
    assert_eq!(
        scene.told(&["--pod", "shop/db-1"]),
        ["ADD green", "ADD green", "DEL green", "DEL green"]
    );
    assert_eq!(scene.told(&["--pod", "web-1", "--failed"]), [""; 0]);
    assert_eq!(scene.told(&["--failed"]), ["ADD blue"]);
    assert_eq!(
        scene.told(&["--container", &db.container, "--verb", "del"]),
        ["DEL green", "DEL green"]
    );
    assert_eq!(scene.told(&["--network", "green"]).len(), 4);
    assert_eq!(scene.told(&["--since", "1h"]), all);
    assert_eq!(scene.told(&["--since", "2231-01-01T00:00:00Z"]), [""; 0]);
    let said = unwell(scene.node(), &scene.conf, &["log", "--since", "soon"]);
    assert!(said.stderr.contains("an age, as 90s, 2h, 1day"), "{said:?}");
}

#[test]
fn what_is_shown_is_the_journal_again_and_a_script() {
    let scene = Scene::new();
    let web = scene.node().pod("web");
    scene.add(&web, "web-1", "blue");
    let shown = scene.log(&[]);
    let claims = std::fs::read_to_string(scene.node().dir().join("route-table.log")).unwrap();
    let written = scene.node().journal() + &claims;
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&shown), sorted(&written));
    let file = scene.lab.dir().join("shown.sh");
    std::fs::write(&file, &shown).unwrap();
    scene.node().run(&["sh", "-n", file.to_str().unwrap()]);
    let objects = scene.log(&["--json"]);
    let add: Value = serde_json::from_str(objects.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&add["pod"], &add["outcome"]),
        (&json!("shop/web-1"), &json!("ok"))
    );
    assert_eq!(add["journal"], scene.node().log().to_str().unwrap());
    assert!(add["commands"].as_array().unwrap().len() > 10, "{add}");
    assert!(
        add["milliseconds"].as_f64().unwrap() > 0.0
            && add["output"].as_str().unwrap().starts_with("10.10."),
        "{add}"
    );
}

#[test]
fn a_follower_hears_every_verb_also_when_the_journal_is_put_aside_meanwhile() {
    let scene = Scene::new();
    let pods: Vec<Pod> = ["one", "two", "three"]
        .iter()
        .map(|name| scene.node().pod(name))
        .collect();
    scene.add(&pods[0], "one", "blue");
    let words = ["log", "--follow", "--network", "blue", "--verb", "ADD"];
    let mut child = vxlan(scene.node(), &scene.conf, &words).start();
    let mut heard = BufReader::new(child.stdout.take().unwrap()).lines();
    // Ends with its head and its end: what was written before is shown first.
    let mut heard_until = |pod: &str, end: &str| {
        let mut lines: Vec<String> = Vec::new();
        while !lines
            .last()
            .is_some_and(|line| line.contains(pod) && line.contains(end))
        {
            lines.push(heard.next().expect("it goes on").unwrap());
        }
        lines
    };
    let ipams_end = |pod: &Pod| format!("ADD lab {}/eth0 ok", pod.container);
    let first = heard_until(&pods[0].container, "ADD lab");
    assert!(first[0].contains("ADD blue"), "{first:?}");
    heard_until(&pods[0].container, &ipams_end(&pods[0]));
    std::fs::rename(scene.node().log(), scene.node().dir().join("vxlan.log.1")).unwrap();
    scene.add(&pods[1], "two", "blue");
    let second = heard_until(&pods[1].container, "ADD blue");
    assert!(
        second.last().unwrap().contains("pod=shop/two"),
        "{second:?}"
    );
    let rest = heard_until(&pods[1].container, " ok ");
    assert!(
        rest.iter()
            .any(|line| line.starts_with("ip -n ") || line.contains("netns")),
        "{rest:?}"
    );
    scene.add(&pods[2], "three", "green");
    scene.node().ask(&scene.config, &pods[0]).del();
    child.kill().unwrap();
    child.wait().unwrap();
    let left: Vec<String> = heard.map_while(Result::ok).collect();
    assert!(
        !left
            .iter()
            .any(|line| line.contains("DEL") || line.contains("shop/three")),
        "{left:?}"
    );
}

#[test]
fn a_terminal_gets_colours_unless_it_wants_none() {
    let scene = Scene::new();
    let web = scene.node().pod("web");
    scene.add(&web, "web-1", "blue");
    let line = format!("{} log --conf {}", Program::Vxlan.path(), scene.conf);
    let shown = |settings: &[&str]| {
        // `script` gives it a terminal.
        let words = ["script", "-qec", line.as_str(), "/dev/null"];
        let argv: Vec<&str> = ["env"]
            .iter()
            .chain(settings)
            .chain(&words)
            .copied()
            .collect();
        scene.node().run(&argv).replace("\r\n", "\n")
    };
    let coloured = shown(&["TERM=xterm", "NO_COLOR="]);
    assert!(
        coloured.starts_with("\u{1b}[1m# 2") && coloured.contains("\u{1b}[32m# 2"),
        "{coloured}"
    );
    let plain = scene.log(&[]);
    assert_eq!(shown(&["TERM=xterm", "NO_COLOR=1"]), plain);
    assert_eq!(shown(&["TERM=dumb"]), plain);
}

#[test]
fn a_follower_sees_what_is_under_way() {
    let scene = Scene::new();
    let web = scene.node().pod("web");
    let slow = scene
        .lab
        .waiting_script("slow", "host-local", "exec /usr/lib/cni/host-local");
    let ipam = json!({"type": "host-local", "dataDir": scene.node().ipam()});
    let ask = scene.node().ask(&scene.config.clone().ipam(ipam), &web);
    let add = ask.plugins_first(&slow).verb("ADD").start();
    until("the IPAM is asked", || slow.join("asked").exists());
    until("the pod's link is named", || {
        scene.node().journal().contains(" netns ")
    });
    let mut child = vxlan(scene.node(), &scene.conf, &["log", "-f"]).start();
    let mut heard = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || heard.next().unwrap().unwrap();
    let head = next();
    assert!(
        head.contains("ADD blue") && head.contains(&web.container),
        "{head}"
    );
    // The node has an eth0 too: the pod's is made under another name.
    while !next().starts_with("ip link add name tmp") {}
    std::fs::write(slow.join("pipe"), "go\n").unwrap();
    assert_eq!(Said::by(add).code, 0);
    // The same verb goes on below the same head.
    let mut rest = vec![next()];
    while !rest.last().unwrap().contains(" ok ") {
        rest.push(next());
    }
    assert!(
        rest.len() > 4
            && !rest[..rest.len() - 1]
                .iter()
                .any(|line| line.contains("because=")),
        "{rest:?}"
    );
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_logrotate_put_aside_is_shown_too() {
    let scene = Scene::new();
    let rules = include_str!("../../deploy/logrotate");
    let dir = scene.node().dir().to_str().unwrap();
    let rules = rules.replace("/var/log", dir);
    let (file, state) = (format!("{dir}/rules"), format!("{dir}/state"));
    std::fs::write(&file, rules).unwrap();
    let rotate = |flag: &str| scene.node().run(&["logrotate", flag, "-s", &state, &file]);
    rotate("-d");
    let pods = ["one", "two", "three"].map(|name| scene.node().pod(name));
    for (number, pod) in pods.iter().enumerate() {
        scene.add(pod, "web", "blue");
        if number < 2 {
            rotate("-f");
        }
    }
    // The second rotation has packed what the first put aside.
    assert!(scene.node().dir().join("vxlan.log.2.gz").exists());
    let shown = scene.log(&["--verb", "ADD"]);
    let has = |pod: &Pod| shown.contains(&pod.container);
    assert_eq!(
        [has(&pods[0]), has(&pods[1]), has(&pods[2])],
        [false, true, true],
        "{shown}"
    );
    let mode = std::fs::metadata(scene.node().log()).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
}

#[test]
fn a_follower_ends_by_sigterm_and_says_nothing_of_it() {
    let scene = Scene::new();
    let mut child = vxlan(scene.node(), &scene.conf, &["log", "-f", "--json"]).start();
    let web = scene.node().pod("web");
    scene.add(&web, "web", "blue");
    let mut heard = BufReader::new(child.stdout.take().unwrap()).lines();
    let one: Value = serde_json::from_str(&heard.next().unwrap().unwrap()).unwrap();
    assert_eq!(one["verb"], "ADD");
    scene
        .node()
        .run(&["kill", "-TERM", &child.id().to_string()]);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut stderr = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut stderr).unwrap();
    assert_eq!(stderr, "");
}

#[test]
fn the_last_of_those_that_are_meant_are_shown_and_none_is_said() {
    let scene = Scene::new();
    let web = scene.node().pod("web");
    let none = scene.log(&[]);
    assert!(
        none.starts_with("# no entry of ") && none.ends_with(" is meant\n"),
        "{none}"
    );
    assert_eq!(scene.log(&["--json"]), "");
    scene.add(&web, "web-1", "blue");
    scene.add(&web, "web-1", "nope");
    scene.node().ask(&scene.config, &web).del();
    assert_eq!(scene.told(&["--last", "1"]), ["DEL blue"]);
    assert_eq!(scene.told(&["--last", "9"]).len(), scene.told(&[]).len());
    assert_eq!(scene.told(&["--verb", "add", "--last", "1"]), ["ADD blue"]);
    let none = scene.log(&["--failed", "--verb", "del"]);
    assert!(none.starts_with("# no entry of "), "{none}");
}
