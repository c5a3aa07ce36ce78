//! IPAM plugins that do what they should not: whatever they do, the error says what it was, and a
//! failing ADD leaves the node as it was and asks the IPAM to release.

use serde_json::{Value, json};

use crate::stand_in::{StandIn, lease, prints, says};
use crate::support::lab::{Ask, Config, Lab, Net, Node, Pod, address, until};
use crate::support::plugin::{Said, signal};

/// One way to misbehave at ADD, and what is said of it.
struct Row {
    /// What the IPAM does.
    does: String,
    code: u64,
    /// What message and details must contain.
    said: &'static [&'static str],
}

fn row(does: impl Into<String>, code: u64, said: &'static [&'static str]) -> Row {
    Row {
        does: does.into(),
        code,
        said,
    }
}

/// The IPAM ends well, but what it printed is no result.
fn no_results() -> Vec<Row> {
    vec![
        row(
            "",
            6,
            &["`stand-in` succeeded at ADD but its result cannot be read"],
        ),
        row(
            prints(r#"{"cniVersion": "1.0.0", "ips": [{"addr"#),
            6,
            &["cannot be read", "stdout was `{"],
        ),
        row(prints("{} {}"), 6, &["cannot be read"]),
        row(prints("banana"), 6, &["cannot be read", "`banana"]),
        row(prints("[]"), 6, &["no JSON object"]),
        row(prints("null"), 6, &["no JSON object"]),
        row(r"printf '{\377}'", 6, &["cannot be read"]),
        row(
            prints(r#"{"cniVersion": "9.9.9", "ips": [{"address": "10.100.1.7/16"}]}"#),
            6,
            &["cniVersion `9.9.9` is not supported"],
        ),
        row(
            says(&json!({"cniVersion": 1, "ips": [{"address": "10.100.1.7/16"}]})),
            6,
            &["cniVersion"],
        ),
        row(
            says(&json!({"cniVersion": "1.0.0", "ips": 7})),
            6,
            &["not a CNI result"],
        ),
        row(says(&lease(&["banana"])), 6, &["not a CNI result"]),
        row(
            says(
                &json!({"cniVersion": "1.0.0", "ips": [{"address": "10.100.1.7/16", "gateway": "x"}]}),
            ),
            6,
            &["not a CNI result"],
        ),
        row(
            says(
                &json!({"cniVersion": "1.0.0", "ips": [{"address": "10.100.1.7/16", "interface": 3}], "interfaces": [{"name": "x"}]}),
            ),
            6,
            &["ips[0].interface is 3"],
        ),
        row(
            says(
                &json!({"cniVersion": "1.0.0", "ips": [{"address": "10.100.1.7/16"}], "routes": [{"dst": "x"}]}),
            ),
            6,
            &["not a CNI result"],
        ),
        // A result of another version's shape.
        row(
            says(&json!({"cniVersion": "1.0.0", "ip4": {"ip": "10.100.1.7/16"}})),
            7,
            &["no address"],
        ),
    ]
}

/// It is a result, but not one for this network.
fn misfits() -> Vec<Row> {
    vec![
        row(says(&json!({})), 7, &["network \"blue\"", "no address"]),
        row(says(&lease(&[])), 7, &["no address"]),
        row(
            says(&json!({"cniVersion": "1.0.0", "ips": null})),
            7,
            &["no address"],
        ),
        row(
            says(&lease(&["10.9.0.7/16"])),
            7,
            &["10.9.0.7/16: it is outside of 10.100.0.0/16"],
        ),
        row(
            says(&lease(&["10.100.1.7/16", "10.9.0.7/16"])),
            7,
            &["10.9.0.7/16: it is outside"],
        ),
        row(
            says(&lease(&["10.100.0.1/16"])),
            7,
            &["10.100.0.1/16: it is the gateway"],
        ),
        row(
            says(&lease(&["10.100.0.0/16"])),
            7,
            &["10.100.0.0/16: it is the network address"],
        ),
        row(
            says(&lease(&["10.100.255.255/16"])),
            7,
            &["10.100.255.255/16: it is the broadcast address"],
        ),
        row(
            says(&lease(&["fd10::7/64"])),
            7,
            &["fd10::7/64 is IPv6, which the network does not have"],
        ),
        // The kernel has the last word on gateways.
        row(
            says(
                &json!({"cniVersion": "1.0.0", "ips": [{"address": "10.100.1.7/16", "gateway": "192.0.2.1"}]}),
            ),
            100,
            &[
                "cannot configure eth0",
                "route add default via 192.0.2.1 dev eth0",
            ],
        ),
        row(
            says(
                &json!({"cniVersion": "1.0.0", "ips": [{"address": "10.100.1.7/16"}],
                "routes": [{"dst": "10.50.0.0/16", "gw": "192.0.2.1"}]}),
            ),
            100,
            &[
                "cannot configure eth0",
                "route add 10.50.0.0/16 via 192.0.2.1 dev eth0",
            ],
        ),
    ]
}

/// It fails.
fn failures() -> Vec<Row> {
    let own = json!({"cniVersion": "1.0.0", "code": 107, "msg": "no address today", "details": "closed on Mondays"});
    let fails = |lines: String| format!("{lines}\nexit 1");
    vec![
        row(
            fails(says(&own)),
            107,
            &["no address today; closed on Mondays"],
        ),
        row(
            fails(says(&json!({"code": 11, "msg": "busy"}))),
            11,
            &["busy"],
        ),
        row(
            fails(prints("out of cheese")),
            100,
            &[
                "`stand-in` failed at ADD without a CNI error: exit code 1",
                "`out of cheese",
            ],
        ),
        row("exit 3", 100, &["exit code 3", "stdout was ``"]),
        row(
            fails(says(&lease(&["10.100.1.7/16"]))),
            100,
            &["without a CNI error: exit code 1"],
        ),
        row(
            fails(says(&json!({"code": "x", "msg": "busy"}))),
            100,
            &["without a CNI error", "busy"],
        ),
        row(
            fails(says(&json!({"msg": "busy"}))),
            100,
            &["without a CNI error", "busy"],
        ),
        // 0 is no error's code.
        row(
            fails(says(&json!({"code": 0, "msg": "busy"}))),
            100,
            &["without a CNI error", "busy"],
        ),
        row("kill -KILL $$", 100, &["without a CNI error: was killed"]),
        // An error, but the exit code says it is none.
        row(says(&own), 7, &["no address"]),
    ]
}

/// A node with a network whose IPAM is the stand-in.
pub struct Scene {
    lab: Lab,
    /// The node's configuration.
    pub config: Config,
    /// The IPAM.
    pub ipam: StandIn,
}

impl Scene {
    /// With an IPAM whose verbs do what lines of a shell say.
    pub fn new(verbs: &[(&str, &str)]) -> Self {
        let lab = Lab::new(1);
        let node = lab.node(0);
        let config = StandIn::in_place(&node.config(&[&Net::new("blue", 100)]));
        let ipam = StandIn::new(node, verbs);
        Self { lab, config, ipam }
    }

    /// The node.
    pub fn node(&self) -> &Node {
        self.lab.node(0)
    }

    /// A question about a pod's `eth0`.
    pub fn ask(&self, pod: &Pod) -> Ask {
        self.ipam.asked(self.node().ask(&self.config, pod))
    }

    /// ADD fails as a row says, with the node and the pod as before and the lease released.
    fn refuses(&self, pod: &Pod, row: &Row) {
        let before = (self.node().snapshot(), pod.show("link show"));
        self.ipam.does(&[("ADD", &row.does)]);
        let said = self.ask(pod).say("ADD").error(row.code);
        for text in row.said {
            assert!(
                said.contains(text),
                "{}\nwanted {text}\nin     {said}",
                row.does
            );
        }
        assert!(!said.contains("could not be taken back"), "{said}");
        assert_eq!(self.ipam.calls(), ["ADD", "DEL"], "{}", row.does);
        self.node().snapshot().assert_same(&before.0);
        assert_eq!(pod.show("link show"), before.1, "{}", row.does);
    }

    /// The same on a blank node, and on one where the network is in use.
    fn refuses_all(&self, rows: &[Row]) {
        let (pod, other) = (self.node().pod("web"), self.node().pod("other"));
        for row in rows {
            self.refuses(&pod, row);
        }
        self.ipam
            .does(&[("ADD", &says(&lease(&["10.100.1.99/16"])))]);
        let result = self.ask(&other).add();
        other.ping("10.100.0.1");
        for row in rows {
            self.refuses(&pod, row);
        }
        other.ping("10.100.0.1");
        self.ask(&other).check(&result);
        self.ask(&other).after(&result).del();
    }
}

#[test]
fn c41_an_ipam_that_prints_no_result_is_told_and_leaves_nothing() {
    Scene::new(&[]).refuses_all(&no_results());
}

#[test]
fn c41_an_ipam_whose_result_does_not_fit_the_network_is_told_and_leaves_nothing() {
    Scene::new(&[]).refuses_all(&misfits());
}

#[test]
fn c41_an_ipam_that_fails_is_told_with_its_own_words_and_leaves_nothing() {
    Scene::new(&[]).refuses_all(&failures());
}

#[test]
fn c41_a_lease_that_cannot_be_released_after_a_failing_add_is_told_and_released_by_a_later_del() {
    let error = |msg: &str| format!("{}\nexit 1", says(&json!({"code": 11, "msg": msg})));
    let scene = Scene::new(&[
        ("ADD", &error("no address today")),
        ("DEL", &error("the door is locked")),
    ]);
    let pod = scene.node().pod("web");
    let before = scene.node().snapshot();
    let said = scene.ask(&pod).say("ADD").error(11);
    assert!(
        said.contains("no address today")
            && said.contains("could not be taken back: the door is locked"),
        "{said}"
    );
    let left = scene.node().snapshot().changes_since(&before);
    assert!(
        left.iter()
            .all(|line| line.contains("/data/blue") || line.contains("/run/blue.lock")),
        "{left:?}"
    );
    assert!(!left.is_empty());
    scene.ipam.does(&[]);
    scene.ask(&pod).del();
    assert_eq!(scene.ipam.calls(), ["DEL"]);
    scene.node().snapshot().assert_same(&before);
}

#[test]
fn every_address_of_a_lease_is_used_also_two_of_a_family() {
    let scene = Scene::new(&[("ADD", &says(&lease(&["10.100.1.7/16", "10.100.1.8/16"])))]);
    let pod = scene.node().pod("web");
    let before = scene.node().snapshot();
    let result = scene.ask(&pod).add();
    assert_eq!(
        (address(&result, 0), address(&result, 1)),
        ("10.100.1.7".into(), "10.100.1.8".into())
    );
    assert_eq!(result["routes"].as_array().unwrap().len(), 1);
    for address in ["10.100.1.7", "10.100.1.8"] {
        scene.node().ping(address);
    }
    scene.ask(&pod).check(&result);
    scene.ask(&pod).after(&result).del();
    scene.node().snapshot().assert_same(&before);
}

#[test]
fn an_address_that_an_ipam_names_twice_is_one_address() {
    let scene = Scene::new(&[("ADD", &says(&lease(&["10.100.1.7/16", "10.100.1.7/16"])))]);
    let pod = scene.node().pod("web");
    let result = scene.ask(&pod).add();
    assert_eq!(result["ips"].as_array().unwrap().len(), 1, "{result}");
    scene.ask(&pod).check(&result);
}

/// Waits for ever.
pub const HANGS: &str = "exec tail -f /dev/null";

#[test]
fn b59_a_hanging_ipam_is_ended_with_the_plugin_and_what_it_may_have_leased_is_released() {
    let scene = Scene::new(&[("ADD", HANGS)]);
    let pod = scene.node().pod("web");
    let before = scene.node().snapshot();
    let child = scene.ask(&pod).verb("ADD").start();
    until("the IPAM hangs", || {
        scene.ipam.calls() == ["ADD"] && pod.is_linked()
    });
    let hanging = scene.ipam.pid();
    signal(&child, "TERM");
    let said = Said::by(child).error(11);
    // What is named is what was waited for at that moment: the IPAM, or a command beside it.
    assert!(said.contains("SIGTERM"), "{said}");
    assert_eq!(scene.ipam.calls(), ["ADD", "DEL"]);
    assert!(
        !std::path::Path::new(&format!("/proc/{hanging}")).exists(),
        "the IPAM still runs"
    );
    scene.node().snapshot().assert_same(&before);
    assert!(!pod.is_linked());
}

#[test]
fn a_del_told_to_end_while_its_ipam_hangs_ends_it_and_leaves_the_record_for_the_next_one() {
    let scene = Scene::new(&[("ADD", &says(&lease(&["10.100.1.7/16"]))), ("DEL", HANGS)]);
    let pod = scene.node().pod("web");
    let before = scene.node().snapshot();
    let result = scene.ask(&pod).add();
    let ask = scene.ask(&pod).after(&result);
    let child = ask.verb("DEL").start();
    until("the IPAM hangs", || scene.ipam.calls() == ["ADD", "DEL"]);
    let hanging = scene.ipam.pid();
    signal(&child, "TERM");
    let said = Said::by(child).error(11);
    assert!(said.contains("`stand-in` did not carry out DEL"), "{said}");
    assert!(
        !std::path::Path::new(&format!("/proc/{hanging}")).exists(),
        "the IPAM still runs"
    );
    // Everything else is done.
    assert!(!pod.is_linked());
    assert!(scene.node().record("blue", &pod, "eth0").exists());
    scene.ipam.does(&[]);
    ask.del();
    assert_eq!(scene.ipam.calls(), ["DEL"]);
    scene.node().snapshot().assert_same(&before);
}

#[test]
fn c50_a_lease_that_cannot_be_released_fails_del_after_everything_else_was_tried() {
    let locked = says(&json!({"code": 109, "msg": "the door is locked"}));
    let scene = Scene::new(&[
        ("ADD", &says(&lease(&["10.100.1.7/16"]))),
        ("DEL", &format!("{locked}\nexit 1")),
    ]);
    let pod = scene.node().pod("web");
    let before = scene.node().snapshot();
    let result = scene.ask(&pod).add();
    let ask = scene.ask(&pod).after(&result);
    let said = ask.say("DEL").error(109);
    assert!(said.contains("the door is locked"), "{said}");
    assert!(!pod.is_linked());
    scene
        .ipam
        .does(&[("DEL", &prints("this is no CNI result, but all is well"))]);
    ask.del();
    scene.node().snapshot().assert_same(&before);
    ask.del();
}

#[test]
fn c59_check_tells_what_the_ipam_has_to_say() {
    let add = says(&lease(&["10.100.1.7/16"]));
    let scene = Scene::new(&[("ADD", &add)]);
    let pod = scene.node().pod("web");
    let result = scene.ask(&pod).add();
    let own = format!(
        "{}\nexit 1",
        says(&json!({"code": 110, "msg": "somebody else has it"}))
    );
    for (does, code, text) in [
        (own.as_str(), 110, "somebody else has it"),
        (
            "echo gone; exit 1",
            100,
            "`stand-in` failed at CHECK without a CNI error",
        ),
    ] {
        scene.ipam.does(&[("CHECK", does)]);
        let said = scene.ask(&pod).check_refused(&result, code);
        assert!(said.contains(text), "{said}");
        assert_eq!(scene.ipam.calls(), ["CHECK"]);
    }
    scene.ipam.does(&[("CHECK", "echo whatever it prints")]);
    scene.ask(&pod).check(&result);
}

/// The list of living attachments for GC, and the version that has the verb.
fn collecting(living: &[&Pod]) -> Value {
    let list: Vec<Value> = living
        .iter()
        .map(|pod| json!({"containerID": pod.container, "ifname": "eth0"}))
        .collect();
    json!({"cniVersion": "1.1.0", "cni.dev/valid-attachments": list})
}

#[test]
fn c44_an_ipam_without_gc_or_status_is_no_fault() {
    let unknown = says(&json!({"code": 4, "msg": "unknown CNI_COMMAND"}));
    let old = says(&json!({"code": 1, "msg": "incompatible CNI versions"}));
    let add = says(&lease(&["10.100.1.7/16"]));
    for does in [
        &format!("{unknown}\nexit 1"),
        &format!("{old}\nexit 1"),
        ":",
    ] {
        let scene = Scene::new(&[("ADD", &add), ("GC", does), ("STATUS", does)]);
        let pod = scene.node().pod("web");
        let before = scene.node().snapshot();
        scene.ask(&pod).add();
        let config = scene.config.clone().with(collecting(&[]));
        let ask = scene.ask(&pod).config(&config);
        assert_eq!(ask.say("STATUS").ok(), Value::Null);
        assert_eq!(ask.say("GC").ok(), Value::Null);
        assert_eq!(scene.ipam.calls(), ["ADD", "STATUS", "DEL", "GC"]);
        scene.node().snapshot().assert_same(&before);
    }
}

#[test]
fn c61_c65_gc_collects_all_the_same_where_the_ipam_fails_and_tells_it() {
    let add = says(&lease(&["10.100.1.7/16"]));
    let scene = Scene::new(&[("ADD", &add), ("GC", "echo no; exit 1")]);
    let pod = scene.node().pod("web");
    let before = scene.node().snapshot();
    scene.ask(&pod).add();
    let config = scene.config.clone().with(collecting(&[]));
    let said = scene.ask(&pod).config(&config).say("GC").error(100);
    assert!(said.contains("`stand-in` failed at GC"), "{said}");
    scene.node().snapshot().assert_same(&before);
}

#[test]
fn c68_status_tells_what_the_ipam_has_to_say_as_a_status() {
    let error = |code: u32| {
        format!(
            "{}\nexit 1",
            says(&json!({"code": code, "msg": "the pool is dry"}))
        )
    };
    let scene = Scene::new(&[]);
    let pod = scene.node().pod("web");
    let config = scene.config.clone().with(json!({"cniVersion": "1.1.0"}));
    let before = scene.node().snapshot();
    for (does, code, text) in [
        (error(50), 50, "the pool is dry"),
        (error(51), 51, "the pool is dry"),
        (error(102), 50, "the pool is dry"),
        (
            "echo help; exit 1".to_owned(),
            50,
            "`stand-in` failed at STATUS",
        ),
    ] {
        scene.ipam.does(&[("STATUS", &does)]);
        let said = scene.ask(&pod).config(&config).say("STATUS").error(code);
        assert!(said.contains(text), "{said}");
        scene.node().snapshot().assert_same(&before);
    }
}

#[test]
fn a_gc_that_a_runtime_runs_beside_an_add_leaves_it_alone() {
    let scene = Scene::new(&[]);
    let (go, add) = (
        scene.node().dir().join("go"),
        says(&lease(&["10.100.1.7/16"])),
    );
    let waits = format!("until [ -e {} ]; do sleep 0.01; done\n{add}", go.display());
    scene.ipam.does(&[("ADD", &waits)]);
    let pod = scene.node().pod("web");
    let before = scene.node().snapshot();
    let child = scene.ask(&pod).verb("ADD").start();
    until("the IPAM is asked", || {
        scene.ipam.calls() == ["ADD"] && pod.is_linked()
    });
    // The protocol forbids it; a runtime that was restarted may do it all the same.
    let config = scene.config.clone().with(collecting(&[]));
    scene.ask(&pod).config(&config).say("GC").ok();
    std::fs::write(&go, "").unwrap();
    let result = Said::by(child).ok();
    assert!(!pod.device("eth0").is_null());
    scene.ask(&pod).after(&result).del();
    scene.node().snapshot().assert_same(&before);
}
