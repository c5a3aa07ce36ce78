//! `vxlan replay`: whatever the configuration was, an attachment's commands rebuild its state.

use proptest::prelude::*;
use proptest::test_runner::{Config as Tried, TestRunner};
use serde_json::{Value, json};

use super::typed::{conflist, unwell, vxlan, well};
use crate::support::lab::{Config, Lab, Net, Node, Pod, ipv6, state};

/// How many configurations are tried where `PROPTEST_CASES` does not say: each is a node, two pods, and a
/// blank node, on the real kernel.
const CASES: u32 = 20;

/// What a configuration may say, beside what every lab's does.
#[derive(Debug, Clone)]
struct Said {
    families: &'static str,
    /// The last part of the node's addresses.
    gateway: u8,
    network: Value,
    options: Value,
    ends: Value,
    config: Value,
    claims: bool,
    meanwhile: Meanwhile,
}

/// What happens between the two ADDs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    /// The first pod leaves, and with it the host side.
    Leaves,
    /// Somebody removes the gateway, or the vxlan with everything on it, or the rules.
    Removed(&'static str),
}

fn meanwhile() -> impl Strategy<Value = Meanwhile> {
    use Meanwhile::{Leaves, Nothing, Removed};
    prop_oneof![
        Just(Nothing),
        Just(Leaves),
        Just(Removed("ip link del mv_blue")),
        Just(Removed("ip link del vx_blue")),
        Just(Removed(
            "for f in 4 6; do ip -$f rule del table 199 || :; done"
        )),
    ]
}

fn said() -> impl Strategy<Value = Said> {
    let families = match ipv6::networks_have_it() {
        true => prop::sample::select(vec!["4", "6", "46"]),
        false => prop::sample::select(vec!["4"]),
    };
    let families = (families, 1..250u8);
    let node = (numbers(), any::<bool>(), meanwhile());
    (families, network(), (options(), ends()), node).prop_map(
        |((families, gateway), network, (options, ends), (config, claims, meanwhile))| Said {
            families,
            gateway,
            network,
            options,
            ends,
            config,
            claims,
            meanwhile,
        },
    )
}

/// Keys of the network that no family forbids.
fn network() -> impl Strategy<Value = Value> {
    let route = prop_oneof![
        Just(json!(true)),
        Just(json!(false)),
        (1..9999u32).prop_map(|m| json!(m))
    ];
    // What IPv6 needs, or what an underlay leaves that is too small for it.
    let range = match ipv6::networks_have_it() {
        true => 1280..1400u32,
        false => 1000..1200,
    };
    let mtu = prop_oneof![Just(0), range];
    let routes = prop::collection::vec(0..4u8, 0..3);
    (route, mtu, routes, any::<bool>(), 0..3u32, any::<bool>()).prop_map(
        |(route, mtu, routes, bypass, more, random)| {
            json!({"defaultRoute": route, "mtu": mtu, "routes": routes, "bypass": bypass,
                   "excludeFirst": 256 + more * 100, "mac": if random { "random" } else { "ip" }})
        },
    )
}

fn options() -> impl Strategy<Value = Value> {
    let number = |range: std::ops::Range<u32>| prop::option::of(range);
    let switch = || prop::option::of(any::<bool>());
    let numbers = (
        number(1..256),
        number(1..256),
        number(60..999),
        number(1..9999),
        number(100..900),
    );
    let switches = (switch(), switch(), switch(), switch());
    let port = prop_oneof![Just(4789u32), 1024..65536u32];
    (numbers, switches, port, prop::option::of(20000..30000u32)).prop_map(
        |((ttl, tos, age, limit, queue), (learning, proxy, rsc, l2miss), port, low)| {
            let high = low.map(|low| low + 999);
            let all = json!({"ttl": ttl, "tos": tos, "age": age, "limit": limit, "vxlantxqlen": queue,
                             "learning": learning, "proxy": proxy, "rsc": rsc, "l2miss": l2miss,
                             "port": port, "portlow": low, "porthigh": high});
            let given = all.as_object().unwrap().clone();
            given.into_iter().filter(|(_, value)| !value.is_null()).collect()
        },
    )
}

/// Where a vxlan's packets go and come from.
fn ends() -> impl Strategy<Value = Value> {
    let mut all = vec![
        json!({}),
        json!({"group": "198.18.0.77"}),
        json!({"srcaddr": "198.18.0.1", "vxlanhardwareaddr": "0a:00:00:00:00:64"}),
    ];
    if ipv6::kernel_has_it() {
        all.push(json!({"group": "ff05::100", "srcaddr": "fd00:198:18::1"}));
    }
    prop::sample::select(all)
}

fn numbers() -> impl Strategy<Value = Value> {
    (prop_oneof![Just(199u32), 1..250u32], 1..32000u32)
        .prop_map(|(table, pref)| json!({"routeTable": table, "rulePriority": pref}))
}

impl Said {
    fn net(&self) -> Net {
        let blue = Net::new("blue", 100);
        let blue = match self.families {
            "4" => blue,
            "6" => blue.v6(),
            _ => blue.dual(),
        };
        let cidrs = [
            ("4", format!("10.100.0.{}/16", self.gateway)),
            ("6", format!("fd10:64::{:x}/112", self.gateway)),
        ];
        let cidrs = cidrs
            .iter()
            .filter(|(family, _)| self.families.contains(family));
        let cidrs: Vec<&String> = cidrs.map(|(_, cidr)| cidr).collect();
        let mut network = self.network.clone();
        network["cidr"] = json!(cidrs);
        let listed = network["routes"].as_array().unwrap().clone();
        let routes: Vec<Value> = listed
            .iter()
            .flat_map(|number| self.routes(number))
            .collect();
        network["routes"] = json!(routes);
        let blue = blue.with(network).with(json!({"options": self.options}));
        blue.with(json!({"options": self.ends}))
    }

    /// A route of each family.
    fn routes(&self, number: &Value) -> Vec<Value> {
        let v4 = json!({"dst": format!("192.168.{number}.0/24")});
        let v6 = json!({"dst": format!("fd77:{number}::/64")});
        match self.families {
            "4" => vec![v4],
            "6" => vec![v6],
            _ => vec![v4, v6],
        }
    }

    fn config(&self, node: &Node) -> Config {
        let config = node.config(&[&self.net()]).with(self.config.clone());
        match self.claims {
            false => config,
            true => {
                let mut ipam = node.route_table();
                ipam["propagationTimeoutMs"] = json!(5);
                config.ipam(ipam)
            }
        }
    }
}

/// What the kernel has of a node and of a pod, whose MAC is kept where it is not drawn at random.
fn seen(node: &Node, pod: &Pod, random: bool) -> Vec<String> {
    let keep: &[&str] = match random {
        true => &["flags"],
        false => &["address", "flags"],
    };
    [state::of(node, &[]), state::of(pod, keep)].concat()
}

/// Fails with what is different.
fn assert_same(made: &[String], rebuilt: &[String], script: &str) {
    let only = |these: &[String], those: &[String]| {
        let only = these.iter().filter(|line| !those.contains(line));
        only.cloned().collect::<Vec<_>>()
    };
    let (missing, more) = (only(made, rebuilt), only(rebuilt, made));
    assert!(
        made == rebuilt,
        "not rebuilt: {missing:#?}\nbut: {more:#?}\nby:\n{script}"
    );
}

/// One pod joins, something happens, a second one joins, and the first leaves; the second one's lines must make on a blank node,
/// in a namespace at the same path, what the two verbs left.
fn is_rebuilt(said: &Said) {
    let mut lab = Lab::new(1);
    lab.join();
    let (one, blank) = (lab.node(0), lab.node(1));
    let config = said.config(one);
    let conf = conflist(one, &config);
    let (first, mut second) = (one.pod("first"), one.pod("second"));
    one.ask(&config, &first).add();
    match said.meanwhile {
        Meanwhile::Nothing => {}
        Meanwhile::Leaves => one.ask(&config, &first).del(),
        Meanwhile::Removed(line) => drop(one.sh(line)),
    }
    one.ask(&config, &second).add();
    one.ask(&config, &first).del();
    let random = said.network["mac"] == "random";
    let made = seen(one, &second, random);
    for word in ["\"vxlan\"", "\"mv_blue\"", "\"macvlan\"", "\"eth0\""] {
        assert!(made.iter().any(|line| line.contains(word)), "{made:?}");
    }
    let id = format!("{}/eth0", second.container);
    let script = well(one, &conf, &["replay", &id]);
    let twin = second.reborn();
    let file = lab.dir().join("replay.sh");
    std::fs::write(&file, &script).unwrap();
    let file = file.to_str().unwrap();
    blank.run(&["sh", "-n", file]);
    blank.run(&["sh", "-e", file]);
    assert_same(&made, &seen(blank, &twin, random), &script);
}

#[test]
fn whatever_the_configuration_an_attachments_lines_rebuild_its_state_on_a_blank_node() {
    let mut tried = Tried {
        failure_persistence: None,
        max_shrink_iters: 20,
        ..Tried::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        tried.cases = CASES;
    }
    let mut runner = TestRunner::new(tried);
    let tried = runner.run(&said(), |said| {
        is_rebuilt(&said);
        Ok(())
    });
    tried.unwrap_or_else(|error| panic!("{error}"));
}

/// A node where two pods joined by claims, and its configuration's file.
struct Scene {
    lab: Lab,
    config: Config,
    conf: String,
    pods: Vec<Pod>,
}

impl Scene {
    fn new() -> Self {
        let mut lab = Lab::new(1);
        lab.join();
        let node = lab.node(0);
        let config = node
            .config(&[&Net::new("blue", 100).dual()])
            .ipam(node.route_table());
        let conf = conflist(node, &config);
        let pods = vec![node.pod("web"), node.pod("db")];
        pods.iter()
            .for_each(|pod| drop(node.ask(&config, pod).add()));
        Self {
            config,
            conf,
            pods,
            lab,
        }
    }

    fn node(&self) -> &Node {
        self.lab.node(0)
    }
}

#[test]
fn a_replay_of_everybody_is_of_those_who_are_there_and_rebuilds_all_of_them() {
    let mut scene = Scene::new();
    let gone = scene.node().pod("gone");
    scene.node().ask(&scene.config, &gone).add();
    scene.node().ask(&scene.config, &gone).del();
    // What was mended is made as it was mended, also for whoever joined before.
    scene.pods[0].sh("ip route del default; ip link set eth0 down");
    scene.node().ip("link del mv_blue");
    well(scene.node(), &scene.conf, &["repair"]);
    let third = scene.node().pod("third");
    scene.node().ask(&scene.config, &third).add();
    scene.pods.push(third);
    let made: Vec<_> = scene
        .pods
        .iter()
        .map(|pod| seen(scene.node(), pod, false))
        .collect();
    let script = well(scene.node(), &scene.conf, &["replay"]);
    assert!(
        !script.contains(gone.path().rsplit('/').next().unwrap()),
        "{script}"
    );
    let twins: Vec<Pod> = scene.pods.iter_mut().map(Pod::reborn).collect();
    let blank = scene.lab.node(1);
    let said = vxlan(blank, &scene.conf, &["replay", "--run"]).run();
    assert_eq!(said.code, 0, "{said:?}");
    let rebuilt: Vec<_> = twins.iter().map(|pod| seen(blank, pod, false)).collect();
    assert_eq!(made, rebuilt);
    // What was run is in the journals, each verb's in its own.
    let log = well(blank, &scene.conf, &["log", "--verb", "replay"]);
    let commands = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(str::to_owned)
            .collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(commands(&log), commands(&script));
    assert!(
        said.stderr.lines().all(|line| line.starts_with("+ ")),
        "{said:?}"
    );
}

#[test]
fn a_run_stops_at_the_first_line_that_fails_and_names_it() {
    let mut scene = Scene::new();
    let twin = scene.pods[0].reborn();
    let id = format!("{}/eth0", scene.pods[0].container);
    let blank = scene.lab.node(1);
    blank.ip("link add mv_blue type bridge");
    let said = unwell(blank, &scene.conf, &["replay", &id, "--run"]);
    let words =
        "vxlan: stopped at `ip link add name mv_blue link vx_blue type macvlan mode bridge`";
    assert!(said.stderr.contains(words), "{said:?}");
    assert!(said.stderr.contains("File exists (exit 2)"), "{said:?}");
    assert!(twin.device("eth0").is_null(), "what follows did not run");
    let failed = well(blank, &scene.conf, &["log", "--failed"]);
    assert!(failed.contains("stopped at"), "{failed}");
    let again = well(blank, &scene.conf, &["replay", "--failed"]);
    assert!(
        again
            .lines()
            .last()
            .unwrap()
            .contains("ip link add name mv_blue"),
        "{again}"
    );
}

#[test]
fn a_run_without_the_namespace_changes_nothing() {
    let mut scene = Scene::new();
    scene.pods[0].end();
    let id = format!("{}/eth0", scene.pods[0].container);
    let blank = scene.lab.node(1);
    let before = blank.snapshot();
    let said = unwell(blank, &scene.conf, &["replay", &id, "--run"]);
    let name = scene.pods[0].path().rsplit('/').next().unwrap();
    assert!(
        said.stderr.contains(&format!("ip netns add {name}")),
        "{said:?}"
    );
    blank.snapshot().assert_same(&before);
}

#[test]
fn nobody_of_that_name_is_told_with_what_to_look_at() {
    let scene = Scene::new();
    let said = unwell(scene.node(), &scene.conf, &["replay", "nobody"]);
    assert!(said.stderr.contains("no ADD of `nobody`"), "{said:?}");
    assert!(said.stderr.contains("vxlan log --verb ADD"), "{said:?}");
    let said = unwell(scene.node(), &scene.conf, &["replay", "--failed"]);
    assert!(
        said.stderr.contains("nothing in the journal failed"),
        "{said:?}"
    );
}

#[test]
fn claims_that_were_anothers_are_no_part_of_what_is_rebuilt() {
    let mut scene = Scene::new();
    // Other addresses than those that the pods have by chance.
    let net = Net::new("blue", 100)
        .dual()
        .with(json!({"excludeFirst": 200 * 256, "excludeLast": 1}));
    let mut ipam = scene.node().route_table();
    ipam["order"] = json!("sequential");
    // Somebody else's, by a route of the same kind that no record of this node names.
    let node = scene.lab.node(0);
    let taken = "10.100.200.0/32 dev mv_blue proto 192 metric 4194304000";
    node.ip(&format!("route add {taken}"));
    let third = node.pod("third");
    let config = node.config(&[&net]).ipam(ipam);
    node.ask(&config, &third).add();
    let script = well(node, &scene.conf, &["replay", &third.container]);
    assert!(!script.contains("route add 10.100.200.0/32"), "{script}");
    assert!(script.contains("ip route add 10.100.200.1/32"), "{script}");
    scene.pods.clear();
}
