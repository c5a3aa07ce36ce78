//! The configuration is edited while pods run: the next ADD works, older pods go on, every verb says the same of them, and
//! with the last pod of the former definition goes what only that had brought.

use serde_json::{Value, json};

use crate::stage::Stage;
use crate::support::lab::{Ask, Config, Lab, Net, Node, Pod, address};

/// What is edited: in `vxlans[0]`, and beside it.
struct Edit {
    name: &'static str,
    /// What the network has before.
    from: Value,
    /// What it has then.
    to: Value,
    /// The same of the configuration around it.
    around: [Value; 2],
    /// What the operator does besides, and what takes it back.
    node: [&'static str; 2],
}

fn edit(name: &'static str, from: Value, to: Value) -> Edit {
    Edit {
        name,
        from,
        to,
        around: [json!({}), json!({})],
        node: ["true", "true"],
    }
}

fn edits() -> Vec<Edit> {
    let v4 = "10.100.0.1/16";
    let both = json!([v4, "fd10:64::1/112"]);
    let small = json!({"cidr": "10.100.0.1/23", "excludeFirst": 256, "excludeLast": 0});
    let mtu = |mtu: u32| json!({"mtu": mtu});
    let around = |name, from, to| Edit {
        around: [from, to],
        ..edit(name, json!({}), json!({}))
    };
    vec![
        edit("cidr enlarged", small.clone(), json!({})),
        edit("cidr made smaller", json!({}), small),
        edit("cidr moved", json!({}), json!({"cidr": "10.101.0.1/16"})),
        edit("gateway moved", json!({}), json!({"cidr": "10.100.0.9/16"})),
        edit("made dual stack", json!({}), json!({"cidr": both})),
        edit(
            "a family dropped",
            json!({"cidr": both}),
            json!({"cidr": v4}),
        ),
        edit("mtu lowered", mtu(1400), mtu(1300)),
        edit("mtu raised", mtu(1300), mtu(1400)),
        edit("bypass off", json!({}), json!({"bypass": false})),
        edit("bypass on", json!({"bypass": false}), json!({})),
        edit("mac random", json!({}), json!({"mac": "random"})),
        edit(
            "no default route",
            json!({}),
            json!({"defaultRoute": false}),
        ),
        around("another table", json!({}), json!({"routeTable": 77})),
        around("another priority", json!({"rulePriority": 500}), json!({})),
        Edit {
            node: [
                "ip link set dev eth0 name up0",
                "ip link set dev up0 name eth0",
            ],
            ..edit(
                "vtepdev renamed",
                json!({}),
                json!({"options": {"vtepdev": "up0"}}),
            )
        },
    ]
}

/// What of a network is on the node and not tied to a pod.
fn side(node: &Node) -> Vec<String> {
    let mut lines = Vec::new();
    for shown in [
        "ip rule",
        "ip -6 rule",
        "ip -o addr show dev mv_blue scope global",
        "ip route show table all dev mv_blue",
        "ip -6 route show table all dev mv_blue",
    ] {
        let shown = node.sh(shown);
        let ours = shown
            .lines()
            // Nor what a claim is.
            .filter(|line| {
                ["fe80::", "multicast", "metric 4194304000"]
                    .iter()
                    .all(|word| !line.contains(word))
            });
        lines.extend(ours.map(|line| {
            line.split_once(": ")
                .map_or(line, |(_, line)| line)
                .trim()
                .to_owned()
        }));
    }
    lines.sort();
    lines
}

/// A pod that was added by a configuration.
struct Member {
    pod: Pod,
    ask: Ask,
    result: Value,
    gateway: String,
}

impl Member {
    fn join(node: &Node, name: &str, config: &Config, edit: &str) -> Self {
        let pod = node.pod(name);
        let ask = node.ask(config, &pod);
        let said = ask.say("ADD");
        assert_eq!(said.code, 0, "{edit}: {}", said.stdout);
        let cidr = &config.value()["vxlans"][0]["cidr"];
        let first = cidr.as_str().or(cidr[0].as_str()).unwrap();
        Self {
            pod,
            ask,
            result: said.json(),
            gateway: first.split_once('/').unwrap().0.to_owned(),
        }
    }

    fn is_well(&self, edit: &str) {
        let check = self.ask.after(&self.result).say("CHECK");
        assert_eq!(check.code, 0, "{edit}: {}", check.stdout);
        self.pod.ping(&self.gateway);
    }
}

fn edited(edit: &Edit, ipam: impl Fn(&Node) -> Value) {
    let name = edit.name;
    let nets = [&edit.from, &edit.to].map(|more| Net::new("blue", 100).with(more.clone()));
    let stage = Stage::new(Lab::new(1), vec![nets[0].clone()]);
    let node = stage.node();
    let config = |which: usize| {
        let config = node.config(&[&nets[which]]).ipam(ipam(node));
        config.with(edit.around[which].clone())
    };
    let before = node.snapshot();
    for first_to_go in ["old", "new"] {
        let old = Member::join(node, "old", &config(0), name);
        old.is_well(name);
        node.sh(edit.node[0]);
        stage.configure(config(1).value());
        let new = Member::join(node, "new", &config(1), name);
        for member in [&old, &new] {
            member.is_well(name);
            node.ping(&address(&member.result, 0));
        }
        let there = node.snapshot();
        let repaired = stage.operate(&["repair"]);
        assert_eq!(repaired.code, 0, "{name}: {repaired:?}");
        assert!(
            repaired.stdout.contains("nothing was done"),
            "{name}: {repaired:?}"
        );
        node.snapshot().assert_same(&there);
        let doctor = stage.operate(&["doctor"]);
        for member in [&old, &new] {
            let holds = format!("✓ {}/eth0: all ", member.pod.container);
            assert!(doctor.stdout.contains(&holds), "{name}: {}", doctor.stdout);
        }
        assert!(
            doctor.stdout.contains("✓ the host side: all "),
            "{name}: {}",
            doctor.stdout
        );
        if first_to_go == "old" {
            old.ask.after(&old.result).del();
            new.is_well(name);
            let left = side(node);
            new.ask.after(&new.result).del();
            let again = Member::join(node, "again", &config(1), name);
            // As where there was no other definition ever.
            assert_eq!(left, side(node), "{name}");
            again.ask.after(&again.result).del();
        } else {
            new.ask.after(&new.result).del();
            old.is_well(name);
            old.ask.after(&old.result).del();
        }
        node.sh(edit.node[1]);
        stage.configure(config(0).value());
        stage.is_as(&before);
    }
}

#[test]
fn an_edited_configuration_works_from_the_next_add_on_and_nothing_of_the_former_one_is_left() {
    for edit in edits() {
        edited(
            &edit,
            |node| json!({"type": "host-local", "dataDir": node.ipam()}),
        );
    }
}

#[test]
fn edited_subnets_work_with_route_table_too() {
    // It looks for the subnets on the node.
    let subnets = |edit: &Edit| {
        [&edit.from, &edit.to]
            .iter()
            .any(|more| !more["cidr"].is_null())
    };
    for edit in edits().into_iter().filter(subnets) {
        edited(&edit, |node| {
            let mut ipam = node.route_table();
            ipam["propagationTimeoutMs"] = json!(0);
            ipam
        });
    }
}

#[test]
fn an_edit_that_cannot_be_joined_leaves_a_living_network_as_it_was() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let blue = Net::new("blue", 100);
    let old = Member::join(node, "old", &node.config(&[&blue]), "before");
    // Another's MTU a later plugin has made smaller.
    let tuned = Member::join(node, "tuned", &node.config(&[&blue]), "before");
    tuned.pod.ip("link set dev eth0 mtu 1350");
    let before = node.snapshot();
    let new = node.pod("new");
    let refused = |config: &Config, why: &str| {
        let fails = "cat >/dev/null; [ $CNI_COMMAND = DEL ] || { echo '{\"code\":7,\"msg\":\"no\"}'; exit 1; }";
        let plugins = lab.script("plugins", "fails", fails);
        let said = node.ask(config, &new).plugins_first(&plugins).say("ADD");
        assert_ne!(said.code, 0);
        assert!(said.stdout.contains(why), "{}", said.stdout);
        node.snapshot().assert_same(&before);
        old.is_well(why);
    };
    // The same VNI under another name.
    let green = node.config(&[&Net::new("green", 100)]);
    refused(&green, "blue");
    // Each would bring an address, rules and a route.
    for cidr in ["10.100.0.1/15", "10.100.0.9/16", "10.101.0.1/16"] {
        let edited = node.config(&[&blue.clone().with(json!({"cidr": cidr}))]);
        refused(&edited.ipam(json!({"type": "fails"})), "\"no\"");
    }
    // The kernel lowers the older pods' MTU with the vxlan's, and raises none again.
    let mtus = || [&old, &tuned].map(|member| member.pod.device("eth0")["mtu"].clone());
    let theirs = mtus();
    assert_eq!(theirs[1], 1350);
    for mtu in [1300, 1400] {
        let edited = node.config(&[&blue.clone().with(json!({"mtu": mtu}))]);
        refused(&edited.ipam(json!({"type": "fails"})), "\"no\"");
        assert_eq!(mtus(), theirs, "{mtu}");
    }
    tuned.ask.after(&tuned.result).del();
    old.ask.after(&old.result).del();
}
