//! C67 to C72: whether an ADD can be served.

use serde_json::{Value, json};

use crate::stand_in::World;
use crate::support::plugin::{Program, Said};

fn status(world: &World, change: impl FnOnce(&mut Value)) -> Said {
    world
        .call(Program::Vxlan, "STATUS", &world.config_with(change))
        .run()
}

#[test]
fn c67_status_is_0_when_an_add_can_be_served_and_50_with_every_reason_when_not() {
    let world = World::new();
    status(&world, |_| {}).ok();
    let error = status(&world, |config| config["vxlans"][0]["id"] = json!(0)).error(50);
    assert!(
        error.contains("vxlans[0].id: wanted a whole number 1..16777215"),
        "{error}"
    );
    world.underlay(|dev| dev["flags"] = json!(["BROADCAST"]));
    world.answer(
        "STATUS",
        r#"echo '{"code": 50, "msg": "the pool is empty"}'; exit 1"#,
    );
    let file = world.path("eth0");
    let error = status(&world, |config| config["dataDir"] = json!(file)).error(50);
    for words in ["eth0` is down", "the pool is empty", "cannot be written to"] {
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn c67_status_is_51_when_containers_that_run_are_cut_off_too() {
    let world = World::new();
    world.underlay(|dev| dev["flags"] = json!(["BROADCAST"]));
    status(&world, |_| {}).error(50);
    world.record("c1", |_| {});
    let file = world.path("eth0");
    // The graver one is the code, whatever else is wrong.
    let error = status(&world, |config| config["runDir"] = json!(file)).error(51);
    assert!(
        error.contains("eth0` is down") && error.contains("cannot be written to"),
        "{error}"
    );
}

#[test]
fn c68_status_is_forwarded_to_each_ipam_and_its_code_is_kept() {
    let world = World::new();
    status(&world, |_| {}).ok();
    assert_eq!(world.ipam_calls(), ["stand-in STATUS c1"]);
    for (code, told) in [(50, 50), (51, 51), (102, 50), (11, 50), (100, 50)] {
        world.answer(
            "STATUS",
            &format!("echo '{{\"code\": {code}, \"msg\": \"not now\"}}'; exit 1"),
        );
        assert!(
            status(&world, |_| {}).error(told).contains("not now"),
            "{code}"
        );
    }
    world.answer("STATUS", "exit 2");
    assert!(status(&world, |_| {}).error(50).contains("exit code 2"));
    let error = status(&world, |config| {
        config["ipam"]["type"] = json!("uninstalled")
    })
    .error(50);
    assert!(
        error.contains("`uninstalled` is in none of the folders"),
        "{error}"
    );
}

#[test]
fn c69_status_starts_one_look_and_the_ipam_and_leaves_no_trace() {
    let world = World::new();
    let before = std::fs::read_dir(world.path(".")).unwrap().count();
    status(&world, |_| {}).ok();
    assert_eq!(world.tool_calls(), ["ip -j -d -N -force -batch -"]);
    assert_eq!(
        world.tool_lines(),
        [
            "route get fibmatch 10.1.0.2",
            "route get fibmatch 10.1.255.254",
            "route get fibmatch 192.0.2.1",
            "route get 239.1.1.1 oif eth0",
            "link show dev eth0",
            "link show type vxlan",
        ]
    );
    assert_eq!(world.ipam_calls().len(), 1);
    // What the stand-ins themselves wrote down: calls, lines, the IPAM's environment and stdin.
    let after = std::fs::read_dir(world.path(".")).unwrap().count();
    assert_eq!(after, before + 5);
    assert!(
        !world.path("data").exists()
            && !world.path("run").exists()
            && !world.path("vxlan.log").exists()
    );
}

#[test]
fn c69_route_tables_status_starts_one_look_for_a_pool_of_any_size() {
    for (subnet, looks) in [("10.1.0.0/16", 1), ("fd10::/64", 1), ("10.1.0.0/30", 2)] {
        let world = World::new();
        let config =
            world.config_with(|config| config["ipam"]["ranges"] = json!([[{"subnet": subnet}]]));
        world
            .call(Program::RouteTable, "STATUS", &config)
            .run()
            .ok();
        assert_eq!(world.tool_calls().len(), 1, "{subnet}");
        let lines = world.tool_lines();
        assert_eq!(lines.len(), looks, "{lines:?}");
        assert!(
            lines
                .iter()
                .all(|line| line.starts_with("route get fibmatch ")),
            "{lines:?}"
        );
        assert!(!world.path("owners").exists() && !world.path("ipam.log").exists());
    }
}

#[test]
fn c70_an_ip_that_is_too_old_or_does_not_run_is_seen() {
    for (script, words) in [
        (
            "echo 'Option \"-j\" is unknown, try \"ip -help\".' >&2; exit 255",
            "Option \\\"-j\\\" is unknown",
        ),
        (
            "echo 'not json at all'",
            "ip -V tells the version, 5.10 or newer is needed",
        ),
        ("echo 'not json at all'", "stdout is not the JSON"),
        (
            "echo '[{\"link\":\"eth0\"something,\"id\":1}]'",
            "this `ip` prints broken JSON for devices (as vxlan) on this kernel",
        ),
        ("exit 1", "exit code 1 without a word"),
        ("kill -KILL $$", "killed by a signal"),
        ("echo '[{}]'", "answered 1 of 6 questions"),
    ] {
        let world = World::new();
        world.say(script);
        let error = status(&world, |_| {}).error(50);
        assert!(
            error.contains(words) || error.contains(&words.replace('\\', "")),
            "{script}: {error}"
        );
        // What is newer than needed is not told to be older.
        let broken = error.contains("broken JSON");
        assert!(!broken || !error.contains("is needed"), "{error}");
    }
}

#[test]
fn c70_an_ip_that_prints_a_vxlan_as_ubuntus_does_is_read() {
    let world = World::new();
    let other = json!([{"ifindex": 9, "ifname": "other", "mtu": 1450, "linkinfo": {"info_kind": "vxlan",
        "info_data": {"id": 100, "group": "239.1.1.1", "port": 4789}}}]);
    let printed = other.to_string();
    let broken = printed.replace("\"239.1.1.1\"", "\"239.1.1.1\"fan-map ");
    std::fs::write(world.path("vxlans"), broken).unwrap();
    let error = status(&world, |_| {}).error(50);
    assert!(
        error.contains("other has VNI 100 on port 4789 already"),
        "{error}"
    );
}

#[test]
fn c70_a_state_folder_that_cannot_be_written_to_is_seen() {
    let world = World::new();
    for key in ["dataDir", "runDir"] {
        // Below a file nothing can be made, whoever tries.
        let path = world.path("eth0/below");
        let error = status(&world, |config| config[key] = json!(path)).error(50);
        assert!(
            error.contains("cannot be written to") && error.contains("eth0/below"),
            "{error}"
        );
    }
    let config =
        world.config_with(|config| config["ipam"]["dataDir"] = json!(world.path("eth0/below")));
    let error = world
        .call(Program::RouteTable, "STATUS", &config)
        .run()
        .error(50);
    assert!(error.contains("cannot be written to"), "{error}");
}

#[test]
fn c70_an_underlay_device_that_is_absent_down_or_too_small_is_seen() {
    let world = World::new();
    let error = status(&world, |config| {
        config["vxlans"][0]["options"]["vtepdev"] = json!("eth7")
    })
    .error(50);
    assert!(
        error.contains("the underlay device `eth7` does not exist")
            && error.contains("ip -br link"),
        "{error}"
    );
    let error = status(&world, |config| config["vxlans"][0]["mtu"] = json!(1451)).error(50);
    assert!(
        error.contains("mtu 1451 is larger than fits") && error.contains("at most 1450"),
        "{error}"
    );
    world.underlay(|dev| dev["flags"] = json!(["BROADCAST", "MULTICAST"]));
    let error = status(&world, |_| {}).error(50);
    assert!(
        error.contains("`eth0` is down") && error.contains("ip link set dev eth0 up"),
        "{error}"
    );
}

#[test]
fn c70_another_device_with_the_same_vni_and_port_is_seen() {
    let world = World::new();
    let golden = include_str!("../golden/records/bookworm/link-vxlan-with-every-option");
    let mut other: Value = serde_json::from_str(golden.split_once('\n').unwrap().1).unwrap();
    let taken = "flannel.1 has VNI 100 on port 4789 already";
    // Ours by name, which ADD would refuse; another's with another port; another's with the same.
    for (name, port, clash, advice) in [
        (
            "vx_blue",
            4789,
            "vx_blue: local is 198.18.0.1, wanted none",
            "ttl is 7, wanted 0",
        ),
        ("flannel.1", 8472, "", ""),
        (
            "flannel.1",
            4789,
            taken,
            "give the network another id or options.port",
        ),
    ] {
        other[0]["ifname"] = json!(name);
        other[0]["linkinfo"]["info_data"]["port"] = json!(port);
        world.vxlans(&other);
        let said = status(&world, |_| {});
        if clash.is_empty() {
            said.ok();
        } else {
            let error = said.error(50);
            assert!(error.contains(clash) && error.contains(advice), "{error}");
        }
    }
}

#[test]
fn c70_a_full_pool_is_seen() {
    let world = World::new();
    let config =
        world.config_with(|config| config["ipam"]["ranges"] = json!([[{"subnet": "10.1.0.0/30"}]]));
    world
        .call(Program::RouteTable, "STATUS", &config)
        .run()
        .ok();
    world.say(
        r#"while read -r line; do set -- $line; echo "[{\"dst\": \"$4\", \"dev\": \"mv_blue\", \"protocol\": \"eigrp\"}]"; done"#,
    );
    let error = world
        .call(Program::RouteTable, "STATUS", &config)
        .run()
        .error(50);
    assert!(
        error.contains("pool exhausted: 2 of 2 addresses used in 10.1.0.1 to 10.1.0.2"),
        "{error}"
    );
}

#[test]
fn c71_c72_del_works_though_status_fails_and_needs_neither_status_nor_gc() {
    let world = World::new();
    world.underlay(|dev| dev["flags"] = json!([]));
    world.answer("STATUS", "exit 1");
    let record = world.record("c1", |_| {});
    status(&world, |_| {}).error(51);
    world
        .call(Program::Vxlan, "DEL", &world.config())
        .run()
        .ok();
    assert!(
        !record.exists()
            && !world.path("data/blue").exists()
            && !world.path("run/blue.lock").exists()
    );
}

#[test]
fn doctor_crosses_an_iproute2_that_is_older_than_the_oldest_and_no_other() {
    let world = World::new();
    let conf = world.path("10-demo.conflist");
    let mut plugin = world.config();
    plugin.as_object_mut().unwrap().remove("name");
    let list = json!({"cniVersion": "1.1.0", "name": "demo", "plugins": [plugin]});
    std::fs::write(&conf, list.to_string()).unwrap();
    for (version, words) in [
        (
            "iproute2-ss190708",
            "✗ ip utility, iproute2-ss190708: no version of iproute2 5.10 or newer",
        ),
        (
            "iproute2-5.3.0",
            "✗ ip utility, iproute2-5.3.0 is older than 5.10",
        ),
        (
            "iproute2-5.8.0",
            "✗ ip utility, iproute2-5.8.0 is older than 5.10",
        ),
        // So 5.10 calls itself.
        (
            "iproute2-5.9.0, libbpf 0.3.0",
            "✓ ip utility, iproute2-5.9.0, libbpf 0.3.0",
        ),
        ("iproute2-5.10.0", "✓ ip utility, iproute2-5.10.0"),
        (
            "iproute2-6.1.0, libbpf 1.1.2",
            "✓ ip utility, iproute2-6.1.0, libbpf 1.1.2",
        ),
    ] {
        let script = format!(
            "case \"${{0##*/}} $*\" in 'ip -V') echo 'ip utility, {version}' ;; *) exit 1 ;; esac"
        );
        world.say(&script);
        let call = world
            .program_call(Program::Vxlan)
            .arg("doctor")
            .env("LANG", "C.UTF-8");
        let said = call.arg("--conf").arg(conf.to_str().unwrap()).run();
        assert!(said.stdout.contains(words), "{version}: {}", said.stdout);
        assert!(!said.stdout.contains("5.3 or newer"), "{}", said.stdout);
    }
}

#[test]
fn one_network_of_several_that_cannot_be_joined_takes_no_node_out_of_service() {
    let world = World::new();
    let several = |config: &mut Value, default: Option<&str>, broken: &[usize]| {
        let blue = config["vxlans"][0].clone();
        let mut networks = Vec::new();
        for (index, name) in ["blue", "green", "red"].into_iter().enumerate() {
            let mut network = blue.clone();
            network["name"] = json!(name);
            network["id"] = json!(100 + index);
            network["cidr"] = json!(format!("10.{}.0.1/16", 101 + index));
            if broken.contains(&index) {
                network["options"]["vtepdev"] = json!("eth7");
            }
            networks.push(network);
        }
        config["vxlans"] = json!(networks);
        config.as_object_mut().unwrap().remove("defaultNetwork");
        if let Some(name) = default {
            config["defaultNetwork"] = json!(name);
        }
    };
    for (default, broken, serves) in [
        (Some("blue"), &[2][..], true),
        (Some("blue"), &[1, 2], true),
        (None, &[1, 2], true),
        (Some("blue"), &[0], false),
        (None, &[0, 1, 2], false),
    ] {
        let said = status(&world, |config| several(config, default, broken));
        match serves {
            true => drop(said.ok()),
            false => drop(said.error(50)),
        }
        let log = std::fs::read_to_string(world.path("vxlan.log")).unwrap_or_default();
        assert_eq!(
            log.contains("`eth7` does not exist"),
            serves,
            "{default:?} {broken:?}"
        );
        let _ = std::fs::remove_file(world.path("vxlan.log"));
    }
    // As the IPAM of one of them says.
    world.answer(
        "STATUS",
        r#"if grep -q '10[.]103[.]'; then echo '{"code": 50, "msg": "full"}'; exit 1; fi"#,
    );
    status(&world, |config| several(config, Some("blue"), &[])).ok();
}
