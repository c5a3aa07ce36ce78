//! Bad input of each kind: one JSON error that says what failed, where, what was seen and what to do.

use serde_json::{Value, json};

use crate::stand_in::World;
use crate::support::plugin::{Program, Said};

/// An ADD into the tests' own namespace, which reaches the commands.
fn add(world: &World, config: &Value) -> Said {
    let call = world.call(Program::Vxlan, "ADD", config);
    call.attachment("c1", "/proc/self/ns/net", "eth0")
        .env("CNI_NETNS_OVERRIDE", "1")
        .run()
}

/// Fails unless an error has a code and all of some words.
#[track_caller]
fn says(said: &Said, code: u64, words: &[&str]) {
    let error = said.error(code);
    for word in words {
        assert!(error.contains(word), "`{word}` is not said: {error}");
    }
}

#[test]
fn a_configuration_is_refused_with_path_value_range_and_advice() {
    let world = World::new();
    let cases: [(&str, Value, &[&str]); 9] = [
        (
            "/vxlans/0/id",
            json!(16_777_216),
            &["vxlans[0].id", "1..16777215", "seen `16777216`"],
        ),
        (
            "/vxlans/0/name",
            json!("a-name-of-twenty-byte"),
            &[
                "vxlans[0].name",
                "1..12 bytes",
                "set device to a shorter one",
            ],
        ),
        (
            "/vxlans/0/cidr",
            json!("10.1.0.0/16"),
            &["vxlans[0].cidr", "network's own address", "as 10.1.0.1/16"],
        ),
        (
            "/vxlans/0/options/group",
            json!("nil"),
            &["vxlans[0].options.group", "seen `nil`"],
        ),
        (
            "/vxlans/0/options/vtepdev",
            json!("a\nb"),
            &[
                "vxlans[0].options.vtepdev",
                "`a\\nb` is not an interface name",
                "printable ASCII",
            ],
        ),
        (
            "/defaultNetwork",
            json!("green"),
            &["defaultNetwork", "no network `green` in vxlans"],
        ),
        (
            "/ipam",
            json!(null),
            &["ipam: missing", "{\"type\": \"route-table\"}"],
        ),
        (
            "/dataDir",
            json!("data"),
            &["dataDir", "an absolute path", "seen `\\\"data\\\"`"],
        ),
        (
            "/cniVersion",
            json!("2.0.0"),
            &[
                "incompatible CNI versions",
                "2.0.0",
                "set cniVersion to one of them",
            ],
        ),
    ];
    for (pointer, value, words) in cases {
        let config =
            world.config_with(|config| *config.pointer_mut(pointer).unwrap() = value.clone());
        let code = if pointer == "/cniVersion" { 1 } else { 7 };
        says(&add(&world, &config), code, words);
    }
    assert_eq!((world.tool_calls(), world.ipam_calls()), (vec![], vec![]));
}

#[test]
fn every_fault_of_a_configuration_is_named_at_once() {
    let world = World::new();
    let config = world.config_with(|config| {
        config["vxlans"][0]["mtu"] = json!(70_000);
        config["vxlans"][0]["options"]["ttl"] = json!(999);
        config["vxlans"][0]["options"]["colour"] = json!("red");
        config["logFile"] = json!(7);
    });
    says(
        &add(&world, &config),
        7,
        &[
            "4 faults",
            "vxlans[0].mtu",
            "options.ttl",
            "options.colour: unknown key",
            "logFile",
        ],
    );
}

#[test]
fn annotations_are_not_trusted() {
    let world = World::new();
    let with = |key: &str, value: &str| {
        let config = world.config_with(|config| {
            config["args"]["annotations"][format!("vxlan-cni.phdata.io/{key}")] = json!(value);
        });
        add(&world, &config)
    };
    says(
        &with("NetworkName", "blue\nreboot"),
        7,
        &[
            "args.annotations",
            "`blue\\nreboot`",
            "networks here are: blue",
        ],
    );
    for (address, why) in [
        ("10.1.0.1", "it is the gateway"),
        ("10.1.0.0", "network address"),
        ("10.1.255.255", "broadcast address"),
        ("10.2.0.9", "outside of 10.1.0.0/16"),
        ("10.1.0.9/24", "length is /16"),
        ("10.1.0.9; reboot", "not an address"),
        ("", ""),
    ] {
        let said = with("RequestedAddress", address);
        match why {
            // An empty annotation is none.
            "" => assert_ne!(said.json()["code"], 7),
            why => says(
                &said,
                7,
                &[
                    "args.annotations asks for the address",
                    "network \"blue\"",
                    why,
                ],
            ),
        }
    }
    says(
        &with("RequestedMAC", "01:00:5e:00:00:01"),
        7,
        &["args.annotations", "multicast"],
    );
    let config =
        world.config_with(|config| config["vxlans"][0]["allowedNamespaces"] = json!(["shop"]));
    says(
        &add(&world, &config),
        103,
        &[
            "network \"blue\" does not take",
            "allowedNamespaces is [\"shop\"]",
        ],
    );
}

#[test]
fn what_ip_prints_is_never_guessed_at() {
    for (script, words) in [
        (
            "echo 'command not found'",
            &["stdout is not the JSON", "command not found", "ip -V"][..],
        ),
        ("printf '[{\"ifindex\":'", &["stdout is not the JSON"]),
        ("exit 0", &["answered 0 of 1 questions"]),
        (
            "echo '[]'; echo '[]'; echo '[]'",
            &["answered 3 of 1 questions"],
        ),
        (
            "echo '[{\"ifname\": 7}]'",
            &["printed what cannot be read", "addr show"],
        ),
        (
            "echo '{}'",
            &["printed what cannot be read", "it is no list"],
        ),
        (
            "echo 'RTNETLINK answers: Operation not permitted' >&2; exit 2",
            &["Operation not permitted (exit 2)", "CAP_NET_ADMIN"],
        ),
        ("kill -KILL $$", &["killed by a signal"]),
        ("head -c 1000000 /dev/urandom", &["stdout is not the JSON"]),
    ] {
        let world = World::new();
        world.say(script);
        says(&add(&world, &world.config()), 100, words);
        // Nothing is left.
        let records = std::fs::read_dir(world.path("data"));
        assert_eq!(records.map_or(0, Iterator::count), 0, "{script}");
        assert_eq!(world.ipam_calls(), [""; 0], "{script}");
    }
}

#[test]
fn an_underlay_device_that_is_not_there_is_told_with_the_way_to_mend_it() {
    let world = World::new();
    let config =
        world.config_with(|config| config["vxlans"][0]["options"]["vtepdev"] = json!("ens5"));
    let words = [
        "network \"blue\"",
        "the underlay device `ens5` does not exist",
        "options.vtepdev",
        "ip -br link",
    ];
    says(&add(&world, &config), 7, &words);
    assert!(!world.path("data/blue").exists() && !world.path("run/blue.lock").exists());
}

#[test]
fn a_record_that_is_cut_short_is_told_by_add_and_check_and_removed_by_del() {
    for damage in ["", "{", "{}", "null", "{\"format\": 0}", "\u{0}\u{0}\u{0}"] {
        let world = World::new();
        let record = world.record("c1", |_| {});
        std::fs::write(&record, damage).unwrap();
        let words = [
            "c1:eth0.json",
            "cannot be read",
            "a DEL of that attachment removes it",
            "network \"blue\"",
        ];
        says(&add(&world, &world.config()), 5, &words);
        let config = world.config_with(|config| config["prevResult"] = json!({"ips": []}));
        let check = world.call(Program::Vxlan, "CHECK", &config);
        let check = check
            .attachment("c1", "/proc/self/ns/net", "eth0")
            .env("CNI_NETNS_OVERRIDE", "1");
        says(
            &check.run(),
            101,
            &["c1:eth0.json", "cannot be read", "a DEL and an ADD"],
        );
        world
            .call(Program::Vxlan, "DEL", &world.config())
            .run()
            .ok();
        assert!(!record.exists(), "{damage}");
    }
}

#[test]
fn a_record_of_another_layout_or_network_is_not_guessed_at() {
    let world = World::new();
    let record = world.record("c1", |record| record["format"] = json!(2));
    // Nor taken off: the version that wrote it knows what it has made.
    let words = ["it has format 2, and vxlan ", "install that vxlan again"];
    says(&add(&world, &world.config()), 5, &words);
    let del = world.call(Program::Vxlan, "DEL", &world.config());
    says(&del.run(), 5, &words);
    assert!(record.exists());
    std::fs::remove_file(&record).unwrap();
    let record = world.record("c1", |record| record["format"] = json!(0));
    says(&add(&world, &world.config()), 5, &["format is 0, wanted 1"]);
    std::fs::remove_file(record).unwrap();
    let record = world.record("c1", |_| {});
    let text = std::fs::read_to_string(&record)
        .unwrap()
        .replace("\"blue\"", "\"green\"");
    std::fs::write(&record, text).unwrap();
    says(
        &add(&world, &world.config()),
        5,
        &["it speaks of network `green`"],
    );
}

#[test]
fn a_second_add_names_the_first() {
    let world = World::new();
    let record = world.record("c1", |_| {});
    let before = std::fs::read(&record).unwrap();
    let words = [
        "c1/eth0 is attached to network \"blue\" already",
        "2031-05-02",
        "a DEL has to come before",
    ];
    says(&add(&world, &world.config()), 4, &words);
    assert_eq!(std::fs::read(&record).unwrap(), before);
}

#[test]
fn folders_that_cannot_be_made_are_told_and_nothing_is_changed() {
    for key in ["dataDir", "runDir"] {
        let world = World::new();
        let path = world.path("eth0/below");
        let config = world.config_with(|config| config[key] = json!(path));
        says(&add(&world, &config), 5, &["eth0/below", "df; ls -ld"]);
        assert_eq!(world.ipam_calls(), [""; 0]);
    }
}

#[test]
fn an_ipams_records_that_are_cut_short_are_freed_by_del() {
    let world = World::new();
    let own = world.path("owners/owner/c1:eth0");
    let common = world.path("owners/address");
    for folder in [&own, &common] {
        std::fs::create_dir_all(folder).unwrap();
    }
    std::fs::write(own.join("10.1.0.23.json"), "{\"name\":").unwrap();
    std::fs::hard_link(own.join("10.1.0.23.json"), common.join("10.1.0.23.json")).unwrap();
    let check = world
        .call(Program::RouteTable, "CHECK", &world.config())
        .run();
    says(
        &check,
        101,
        &["the record of 10.1.0.23 is cut short", "a DEL and an ADD"],
    );
    world
        .call(Program::RouteTable, "DEL", &world.config())
        .run()
        .ok();
    assert!(!own.exists() && !common.join("10.1.0.23.json").exists());
}

#[test]
fn what_route_table_is_told_is_refused_with_its_path() {
    let world = World::new();
    let cases: [(&str, Value, &[&str]); 11] = [
        (
            "ranges",
            json!(7),
            &["ipam.ranges: wanted a list", "seen `7`"],
        ),
        (
            "ranges",
            json!([]),
            &["ipam.ranges: missing", "[[{\"subnet\": \"10.1.0.0/16\"}]]"],
        ),
        (
            "ranges",
            json!([[{"subnet": "banana"}]]),
            &["ipam.ranges[0][0].subnet"],
        ),
        (
            "ranges",
            json!([[{"subnet": "10.1.0.0/16", "rangeStart": "10.2.0.1"}]]),
            &["10.2.0.1 is not in 10.1.0.0/16"],
        ),
        (
            "ranges",
            json!([[{"subnet": "10.1.0.0"}]]),
            &["ipam.ranges[0][0].subnet", "`10.1.0.0` has no length"],
        ),
        (
            "ranges",
            json!([[{"subnet": "10.1.0.7/16"}]]),
            &["10.1.0.7/16 has host bits: 10.1.0.0/16 is the subnet"],
        ),
        (
            "ranges",
            json!([[{"subnet": "10.1.0.0/16"}], [{"subnet": "10.1.128.0/17"}]]),
            &["ipam.ranges[1]", "10.1.128.1 is in two lists"],
        ),
        (
            "device",
            json!("a b"),
            &["ipam.device", "`a b` is not an interface name"],
        ),
        (
            "order",
            json!("upwards"),
            &["ipam.order", "\"random\", \"sequential\" or \"sticky\""],
        ),
        (
            "propagationTimeoutMs",
            json!(6000),
            &[
                "ipam.propagationTimeoutMs",
                "leaves nothing of requestTimeoutMs",
            ],
        ),
        ("exclude", json!("10.1.0.0/24"), &["ipam.exclude"]),
    ];
    for (key, value, words) in cases {
        let config = world.config_with(|config| config["ipam"][key] = value);
        says(
            &world.call(Program::RouteTable, "ADD", &config).run(),
            7,
            words,
        );
    }
    for (args, words) in [
        (
            "CIDR=banana",
            "CNI_ARGS CIDR: `banana` is not ADDRESS/LENGTH",
        ),
        (
            "CIDR=10.1.0.0/24;EXCLUDE_FIRST=many",
            "CNI_ARGS EXCLUDE_FIRST",
        ),
        (
            "CIDR=10.1.0.0/24;EXCLUDE_FIRST=200;EXCLUDE_LAST=100",
            "leave no address of 10.1.0.0/24",
        ),
    ] {
        let config = world
            .config_with(|config| drop(config["ipam"].as_object_mut().unwrap().remove("ranges")));
        let call = world
            .call(Program::RouteTable, "ADD", &config)
            .env("CNI_ARGS", args);
        says(&call.run(), 7, &[words]);
    }
    assert_eq!(world.tool_calls(), [""; 0]);
}
