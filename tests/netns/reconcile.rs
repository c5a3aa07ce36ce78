//! `route-table list` and `reconcile`: what an operator sees of the claims, and what is mended.

use serde_json::{Value, json};

use crate::support::lab::{Ask, Lab, Net, Node, Pod, address, ipv6};
use crate::support::plugin::{Call, Program, Said};

/// A node with two pods of a dual-stack network whose addresses are claimed, and its configuration file.
struct Scene {
    lab: Lab,
    asks: Vec<Ask>,
    results: Vec<Value>,
    _pods: Vec<Pod>,
    conf: String,
}

impl Scene {
    fn new() -> Self {
        ipv6::is_needed();
        let lab = Lab::new(1);
        let node = lab.node(0);
        let mut ipam = node.route_table();
        ipam["order"] = json!("sequential");
        ipam["propagationTimeoutMs"] = json!(0);
        let config = node.config(&[&Net::new("blue", 100).dual()]).ipam(ipam);
        let pods: Vec<Pod> = ["web", "db"].map(|name| node.pod(name)).into();
        let ask = |pod: &Pod| {
            let args = format!("K8S_POD_NAMESPACE=shop;K8S_POD_NAME={}", &pod.container);
            node.ask(&config, pod).args(&args)
        };
        let asks: Vec<Ask> = pods.iter().map(ask).collect();
        let results = asks.iter().map(Ask::add).collect();
        let conf = lab.dir().join("10-lab.conflist");
        let mut plugin = config.value().clone();
        let name = plugin.as_object_mut().unwrap().remove("name");
        let list = json!({"cniVersion": "1.0.0", "name": name, "plugins": [plugin]});
        std::fs::write(&conf, list.to_string()).unwrap();
        Self {
            asks,
            results,
            _pods: pods,
            conf: conf.to_str().unwrap().to_owned(),
            lab,
        }
    }

    fn node(&self) -> &Node {
        self.lab.node(0)
    }

    fn run(&self, words: &[&str]) -> Said {
        let [nsenter, net] = self.node().enter();
        let call = Call::of(Program::RouteTable).behind(&[&nsenter, &net]);
        let call = words.iter().fold(call, |call, word| call.arg(word));
        call.arg("--conf").arg(&self.conf).run()
    }

    fn list(&self) -> Value {
        self.run(&["list", "--json"]).ok()
    }

    fn reconcile(&self) -> Value {
        self.run(&["reconcile", "--json"]).ok()
    }

    /// The claims of the kernel's table, as `ip` shows them.
    fn claims(&self) -> Vec<String> {
        let both = ["-4", "-6"].map(|family| {
            self.node()
                .ip(&format!("{family} route show proto 192 table main"))
        });
        let lines = both.iter().flat_map(|text| text.lines());
        lines.map(|line| line.trim().to_owned()).collect()
    }

    fn address(&self, pod: usize, n: usize) -> String {
        address(&self.results[pod], n)
    }
}

#[test]
fn list_shows_address_owner_time_device_and_whether_it_is_claimed_elsewhere() {
    let scene = Scene::new();
    let listed = scene.list();
    assert_eq!(listed["orphans"], json!([]));
    let claims = listed["claims"].as_array().unwrap();
    assert_eq!(claims.len(), 4);
    let web = claims
        .iter()
        .find(|claim| claim["address"] == scene.address(0, 0))
        .unwrap();
    let container = &scene._pods[0].container;
    assert_eq!(web["pod"], format!("shop/{container}"));
    assert_eq!(web["container"], *container);
    assert_eq!(web["ifname"], "eth0");
    assert_eq!(web["network"], "lab");
    assert_eq!(web["device"], "mv_blue");
    assert_eq!(web["claim"], "ok");
    assert_eq!(web["elsewhere"], Value::Null);
    assert!(web["since"].as_str().unwrap().ends_with('Z'));
    // A route heard from another node, as a daemon would install it.
    let heard = format!(
        "route add {} via 198.18.0.9 dev eth0 metric 32",
        scene.address(0, 0)
    );
    scene.node().ip(&heard);
    let text = scene.run(&["list"]);
    assert_eq!(text.code, 0);
    let line = text
        .stdout
        .lines()
        .find(|line| line.contains("via 198.18.0.9"));
    let line = line.unwrap_or_else(|| panic!("{}", text.stdout));
    assert!(
        line.starts_with(&scene.address(0, 0)) && line.contains(" ok "),
        "{line}"
    );
    assert!(text.stdout.contains("two owners"), "{}", text.stdout);
}

#[test]
fn r13_reconcile_puts_flushed_claims_back_and_changes_nothing_where_all_is_well() {
    let scene = Scene::new();
    let before = scene.node().snapshot();
    let nothing = json!({"put_back": [], "dropped": [], "failed": []});
    assert_eq!(scene.reconcile(), nothing);
    // A link that goes down takes its routes with it; the gateway's are mended by the next ADD.
    scene.node().ip("route flush proto 192");
    scene.node().ip("-6 route flush proto 192");
    assert_eq!(scene.claims(), [""; 0]);
    let listed = scene.list();
    let missing = |claim: &&Value| claim["claim"] == "missing";
    assert_eq!(
        listed["claims"]
            .as_array()
            .unwrap()
            .iter()
            .filter(missing)
            .count(),
        4
    );
    let done = scene.reconcile();
    assert_eq!(done["put_back"].as_array().unwrap().len(), 4, "{done}");
    scene.node().snapshot().assert_same(&before);
    for (ask, result) in scene.asks.iter().zip(&scene.results) {
        ask.check(result);
    }
    assert_eq!(scene.reconcile(), nothing);
}

#[test]
fn reconcile_drops_claims_of_nobody_and_leaves_what_is_not_a_claim_of_this_node() {
    let scene = Scene::new();
    let before = scene.node().snapshot();
    // A claim without a record, and three routes that are none: learnt, of another protocol, out of the pool.
    scene
        .node()
        .ip("route add 10.100.1.99 dev mv_blue proto 192 metric 4194304000");
    let others = [
        "10.100.1.98 via 198.18.0.9 dev eth0 proto 192",
        "10.100.1.97 dev mv_blue proto 99",
        "10.100.200.7 dev mv_blue proto 192",
    ];
    for other in others {
        scene.node().ip(&format!("route add {other}"));
    }
    assert_eq!(scene.list()["orphans"].as_array().unwrap().len(), 1);
    let done = scene.reconcile();
    assert_eq!(
        done,
        json!({"put_back": [], "dropped": ["10.100.1.99: orphaned"], "failed": []})
    );
    for other in others {
        scene.node().ip(&format!("route del {other}"));
    }
    scene.node().snapshot().assert_same(&before);
}

#[test]
fn a_claim_that_cannot_be_put_back_is_told_with_its_command_and_exit_code_1() {
    let scene = Scene::new();
    scene.node().ip("link del mv_blue");
    let said = scene.run(&["reconcile"]);
    assert_eq!(said.code, 1, "{said:?}");
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{said:?}");
    for line in lines {
        assert!(
            line.starts_with("FAILED ")
                && line.contains("ip route add")
                && line.contains("Cannot find device"),
            "{line}"
        );
    }
}

#[test]
fn a_record_of_an_earlier_boot_is_dropped() {
    let scene = Scene::new();
    let file = scene
        .node()
        .ipam()
        .join("address")
        .join(format!("{}.json", scene.address(1, 0)));
    let mut record: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    record["boot"] = json!("another");
    std::fs::write(&file, record.to_string()).unwrap();
    scene
        .node()
        .ip(&format!("route del {} proto 192", scene.address(1, 0)));
    let done = scene.reconcile();
    let wanted = format!("{}: the record of an earlier boot", scene.address(1, 0));
    assert_eq!(
        done,
        json!({"put_back": [], "dropped": [wanted], "failed": []})
    );
    assert_eq!(scene.list()["claims"].as_array().unwrap().len(), 3);
}

#[test]
fn a_configuration_without_this_ipam_is_told() {
    let scene = Scene::new();
    let file = scene.lab.dir().join("other.conf");
    std::fs::write(
        &file,
        r#"{"type": "bridge", "ipam": {"type": "host-local"}}"#,
    )
    .unwrap();
    let words = ["list", "--conf", file.to_str().unwrap()];
    let said = words
        .iter()
        .fold(Call::of(Program::RouteTable), |call, word| call.arg(word))
        .run();
    assert_eq!(said.code, 1);
    assert!(
        said.stderr
            .contains("has no plugin with type vxlan or ipam.type route-table"),
        "{said:?}"
    );
    assert!(said.stderr.contains("--conf FILE"), "{said:?}");
}
