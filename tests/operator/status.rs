//! `vxlan status`: who is on which network.

use serde_json::json;

use crate::stage::{Stage, claimed};
use crate::support::lab::{Lab, Net, address, ipv6};

fn stage() -> Stage {
    let lab = Lab::new(1);
    let blue = claimed("blue", 100, lab.node(0));
    let green = Net::new("green", 300).with(json!({"options": {"group": "198.18.0.2"}}));
    let mut stage = Stage::new(lab, vec![blue, Net::new("red", 200).dual(), green]);
    stage.join(0, "web", 2);
    stage.join(1, "db", 1);
    stage
}

#[test]
fn a_wide_terminal_gets_tables_and_a_narrow_one_short_lines() {
    ipv6::is_needed();
    let stage = stage();
    let before = stage.settled();
    let wide = stage.call(&["status"]).env("COLUMNS", "200").run();
    assert_eq!((wide.code, wide.stderr.as_str()), (0, ""));
    let claim = address(&stage.members[0].result, 0);
    for line in [
        "network blue, VNI 100\n",
        "  device    vx_blue, MTU 1450\n",
        "  gateway   mv_blue, MTU 1450, 10.100.0.1/16\n",
        "  underlay  eth0, MTU 1500\n",
        "  peers     group 239.1.1.100, port 4789, 0 known\n",
        "  traffic   in ",
        &format!("  shop/web-0  {claim}/16 "),
        "network red, VNI 200\n",
        "10.200.0.1/16 fd10:c8::1/112\n",
        "network green, VNI 300\n  device    vx_green (not there)\n",
        "  no attachments\n",
    ] {
        assert!(wide.stdout.contains(line), "{line}\n{}", wide.stdout);
    }
    let narrow = stage.call(&["status"]).env("COLUMNS", "40").run();
    let block = format!("  shop/web-0\n    {claim}/16\n    age ");
    assert!(narrow.stdout.contains(&block), "{}", narrow.stdout);
    assert!(
        narrow.stdout.contains("    claim ok\n"),
        "{}",
        narrow.stdout
    );
    stage.is_as(&before);
}

#[test]
fn one_is_found_by_pod_name_container_and_address() {
    let stage = stage();
    let web = &stage.members[1];
    let own = address(&web.result, 0);
    for wanted in ["shop/web-1", "web-1", &web.pod.container, &own] {
        let said = stage.operate(&["status", wanted]);
        assert_eq!(said.code, 0, "{said:?}");
        for line in [
            "network    blue\n",
            "pod        shop/web-1\n",
            &format!("addresses  {own}/16\n"),
            "claim      ok\n",
            "facts      all 16 hold\n",
        ] {
            assert!(said.stdout.contains(line), "{line}\n{}", said.stdout);
        }
        assert!(!said.stdout.contains("web-0"), "{}", said.stdout);
    }
    web.pod.ip("route del default");
    let said = stage.operate(&["status", "web-1"]);
    let told = "facts      not so: route default via 10.100.0.1 dev eth0; see `vxlan doctor`\n";
    assert!(said.stdout.contains(told), "{}", said.stdout);
    let said = stage.operate(&["status", "web-9"]);
    assert_eq!((said.code, said.stdout.as_str()), (1, ""));
    assert_eq!(
        said.stderr,
        "vxlan: no attachment on this node is `web-9`\n  `vxlan status` lists the attachments\n"
    );
}

#[test]
fn a_program_gets_every_key_whether_there_is_something_or_not() {
    let stage = stage();
    let said = stage.operate(&["status", "--json"]).ok();
    let networks = said["networks"].as_array().unwrap();
    let keys = |value: &serde_json::Value| -> Vec<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    for network in networks {
        let wanted = [
            "name",
            "configured",
            "attachments",
            "vni",
            "device",
            "gateway",
            "underlay",
            "group",
            "port",
            "peers",
            "peers_from",
            "counters",
        ];
        assert_eq!(keys(network), wanted);
    }
    let wanted = [
        "state",
        "pod",
        "container",
        "ifname",
        "netns",
        "addresses",
        "claim",
        "since",
        "age_seconds",
        "because",
        "record",
    ];
    assert_eq!(keys(&networks[0]["attachments"][0]), wanted);
    assert_eq!(networks[0]["attachments"][0]["claim"], "ok");
    assert_eq!(networks[1]["attachments"][0]["claim"], json!(null));
    assert!(networks[0]["counters"]["tx"]["packets"].is_u64());
    assert_eq!(
        networks[2]["device"],
        json!({"name": "vx_green", "there": false, "up": false, "mtu": null})
    );
    assert_eq!(networks[2]["counters"], json!(null));
    let own = address(&stage.members[2].result, 0);
    let one = stage.operate(&["status", &own, "-j"]).ok();
    assert_eq!(one["networks"].as_array().map(Vec::len), Some(1));
    assert_eq!(one["networks"][0]["attachments"][0]["pod"], "shop/db-0");
}
