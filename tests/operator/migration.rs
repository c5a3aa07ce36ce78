//! Coming from the original (phdata/vxlan-cni and phdata/routetable-ipam) while its pods run: from its devices, pods, claims,
//! log and configuration (docs/migration.md).

use serde_json::{Value, json};

use crate::support::lab::{Lab, Net, Node, Pod, address};

/// What the original makes of a network on a node: a vxlan with the kernel's port and without learning, the gateway, a rule
/// wherever the kernel puts it, and a route in table 192.
fn host_side(node: &Node) {
    node.batch(&[
        "link add vx_blue type vxlan id 100 dev eth0 group 239.1.1.100 nolearning dstport 8472",
        "link set vx_blue up",
        "link add mv_blue link vx_blue type macvlan mode bridge",
        "addr add 10.100.0.1/16 dev mv_blue",
        "link set mv_blue up",
        "route add 10.100.0.0/16 dev mv_blue table 192",
        "rule add from 10.100.0.0/16 to 10.100.0.0/16 lookup 192",
    ]);
    node.set(&["net.ipv4.ip_forward=1"]);
}

/// A pod as the original leaves it, with its claim; tells the result of ADD: without MACs, and with a link's number.
fn started(node: &Node, name: &str, last: u8) -> (Pod, Value) {
    let pod = node.pod(name);
    let own = pod.path().rsplit('/').next().unwrap().to_owned();
    node.ip(&format!(
        "link add link vx_blue name cm{last} type macvlan mode bridge"
    ));
    node.ip(&format!("link set cm{last} netns {own} name eth0"));
    pod.batch(&[
        format!("addr add 10.100.1.{last}/16 dev eth0"),
        "link set eth0 up".to_owned(),
        "route add default via 10.100.0.1".to_owned(),
    ]);
    node.ip(&format!(
        "route add 10.100.1.{last}/32 dev mv_blue proto 192"
    ));
    let number = pod.device("eth0")["ifindex"].as_u64().unwrap();
    let result = json!({
        "cniVersion": "0.4.0",
        "interfaces": [{"name": "eth0", "sandbox": pod.path()}],
        "ips": [{"version": "4", "interface": number + 10, "address": format!("10.100.1.{last}/16"),
            "gateway": "10.100.0.1"}],
        "route": [{"dst": "0.0.0.0/0"}],
    });
    (pod, result)
}

#[test]
fn from_the_original_to_this_one_while_its_pods_run() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let before = node.snapshot();
    std::fs::write(
        node.log(),
        "time=\"2024-05-01T10:00:00Z\" level=debug msg=\"ADD\"\n",
    )
    .unwrap();
    host_side(node);
    let (one, first) = started(node, "one", 10);
    let (two, second) = started(node, "two", 11);
    one.ping("10.100.1.11");

    // Its file, as it is.
    let unlike = Net::new("blue", 100);
    let config = |net: &Net| {
        let mut ipam = node.route_table();
        ipam["propagationTimeoutMs"] = json!(0);
        node.config(&[net])
            .ipam(ipam)
            .with(json!({"cniVersion": "0.4.0"}))
    };
    let web = node.pod("web");
    let told = "to go on with it as it is, write into options of network \"blue\": {\"port\":8472,\"learning\":false}";
    let there = node.snapshot();
    let said = node.ask(&config(&unlike), &web).say("ADD");
    assert_ne!(said.code, 0);
    assert!(
        said.stdout.replace('\\', "").contains(told),
        "{}",
        said.stdout
    );
    let newest = config(&unlike).with(json!({"cniVersion": "1.1.0"}));
    let said = node.ask(&newest, &web).say("STATUS");
    assert_ne!(said.code, 0);
    assert!(
        said.stdout.replace('\\', "").contains(told),
        "{}",
        said.stdout
    );
    node.snapshot().assert_same(&there);

    // With what it says.
    let net = unlike.with(json!({"options": {"learning": false, "port": 8472}}));
    let ask = node.ask(&config(&net), &web);
    let result = ask.add();
    ask.check(&result);
    for (from, to) in [
        (&one, address(&result, 0)),
        (&web, "10.100.1.10".to_owned()),
    ] {
        from.ping(&to);
    }
    // The original's rule stays beside ours, as its pods do; nothing of theirs is orphaned.
    for verb in [
        &["doctor"][..],
        &["repair"],
        &["gc", "--yes"],
        &["plan", "repair"],
    ] {
        let said = node.operate(&config(&net), verb);
        assert!(
            !said.stdout.contains("orphaned"),
            "{verb:?}: {}",
            said.stdout
        );
    }
    for address in ["10.100.1.10", "10.100.1.11"] {
        assert_eq!(node.route_to(address)["dev"], "mv_blue");
        web.ping(address);
    }
    let claims = || node.sh("ip route show proto 192 dev mv_blue");
    assert_eq!(claims().lines().count(), 3, "{}", claims());

    // The runtime takes its pods off with what it has cached of the original.
    for (pod, cached, last) in [(&one, &first, 10), (&two, &second, 11)] {
        let ask = node.ask(&config(&net), pod).after(cached);
        // An interface with another address is another pod's, also at the same path.
        let mut others = cached.clone();
        others["ips"][0]["address"] = json!("10.100.1.99/16");
        node.ask(&config(&net), pod).after(&others).del();
        assert!(!pod.device("eth0").is_null());
        ask.del();
        assert!(pod.device("eth0").is_null());
        assert!(
            !claims().contains(&format!("10.100.1.{last} ")),
            "{}",
            claims()
        );
        ask.del();
        web.ping("10.100.0.1");
    }
    ask.after(&result).del();
    // The rule that the kernel put somewhere is the original's: docs/migration.md says how it goes.
    node.ip("rule del from 10.100.0.0/16 to 10.100.0.0/16 lookup 192");
    std::fs::remove_file(node.log()).unwrap();
    let left = node.snapshot().changes_since(&before);
    let left: Vec<_> = left
        .iter()
        .filter(|line| !line.contains("file ") && !line.contains("\"lo\""))
        .collect();
    assert!(left.is_empty(), "{left:#?}");
}
