//! C46 to C54 and C61 to C66: DEL, CHECK and GC by records, on a node where nothing is left but those.

use std::path::Path;

use serde_json::{Value, json};

use crate::stand_in::{PROGRAMS, World};
use crate::support::plugin::Program;

fn del(world: &World, container: &str) -> crate::support::plugin::Said {
    let call = world.call(Program::Vxlan, "DEL", &world.config());
    call.env("CNI_CONTAINERID", container).run()
}

#[test]
fn c46_del_succeeds_without_a_prev_result() {
    let world = World::new();
    for version in ["0.1.0", "0.3.1", "0.4.0", "1.1.0"] {
        for prev in [
            None,
            Some(json!(null)),
            Some(json!({})),
            Some(json!({"ips": []})),
        ] {
            let config = world.config_with(|config| {
                config["cniVersion"] = json!(version);
                if let Some(prev) = prev {
                    config["prevResult"] = prev;
                }
            });
            for program in PROGRAMS {
                world.call(program, "DEL", &config).run().ok();
            }
        }
    }
}

#[test]
fn c47_a_repeated_del_succeeds() {
    let world = World::new();
    let record = world.record("c1", |_| {});
    for _ in 0..3 {
        assert_eq!(del(&world, "c1").ok(), Value::Null);
        assert!(!record.exists());
    }
}

#[test]
fn c48_del_succeeds_when_namespace_interface_devices_and_network_are_gone() {
    let world = World::new();
    // By a record whose namespace is gone.
    let record = world.record("c1", |_| {});
    del(&world, "c1").ok();
    assert!(!record.exists());
    // The network is not in the configuration any more.
    for networks in [json!([]), json!(null), json!(7)] {
        let record = world.record("c1", |_| {});
        let config = world.config_with(|config| config["vxlans"] = networks);
        world.call(Program::Vxlan, "DEL", &config).run().ok();
        assert!(!record.exists());
    }
    // A namespace path of an odd kind, or none.
    for netns in ["", "/", "relative", "/run/netns/a#b", "/dev/null"] {
        let call = world.call(Program::Vxlan, "DEL", &world.config());
        call.attachment("c1", netns, "eth0").run().ok();
    }
}

#[test]
fn c48_b19_del_succeeds_whatever_became_of_the_configuration() {
    let world = World::new();
    for (key, value) in [
        ("defaultNetwork", json!("gone")),
        ("k8sReadAnnotations", json!(true)),
        ("args", json!(7)),
        ("runtimeConfig", json!([])),
        ("annotations", json!({"a": 1})),
        ("rulePriority", json!(-1)),
    ] {
        let record = world.record("c1", |_| {});
        let config = world.config_with(|config| config[key] = value);
        world.call(Program::Vxlan, "DEL", &config).run().ok();
        assert!(!record.exists(), "{key}");
    }
}

#[test]
fn c49_the_ipams_del_always_runs() {
    let world = World::new();
    // Without a record and without a namespace.
    del(&world, "nobody").ok();
    // With a record, whose IPAM it is by then.
    world.ipam_at("cni/recorded");
    world.record("c1", |record| record["ipam"]["type"] = json!("recorded"));
    del(&world, "c1").ok();
    assert_eq!(
        world.ipam_calls(),
        ["stand-in DEL nobody", "recorded DEL c1"]
    );
}

#[test]
fn c50_a_release_that_fails_is_an_error_after_everything_else_was_tried_and_is_tried_again() {
    let world = World::new();
    let record = world.record("c1", |_| {});
    world.answer(
        "DEL",
        r#"echo '{"code": 11, "msg": "the store is locked"}'; exit 1"#,
    );
    assert!(del(&world, "c1").error(11).contains("the store is locked"));
    assert!(record.exists(), "the next DEL has to know");
    world.answer("DEL", "");
    del(&world, "c1").ok();
    assert!(!record.exists());
    assert_eq!(world.ipam_calls().len(), 2);
}

#[test]
fn c50_an_ipam_that_is_not_there_is_told_with_what_to_do() {
    let world = World::new();
    let record = world.record("c1", |record| record["ipam"]["type"] = json!("uninstalled"));
    let error = del(&world, "c1").error(7);
    assert!(
        error.contains("`uninstalled`") && error.contains("install it there"),
        "{error}"
    );
    assert!(record.exists());
}

#[test]
fn c51_c52_a_del_of_what_never_was_creates_nothing() {
    let world = World::new();
    for _ in 0..2 {
        del(&world, "c1").ok();
        assert!(!world.path("data").exists() && !world.path("run").exists());
    }
    let writes: Vec<String> = world.tool_lines();
    assert!(
        !writes
            .iter()
            .any(|line| line.contains(" add ") || line.contains(" set ")),
        "{writes:?}"
    );
}

#[test]
fn c53_a_del_of_one_container_leaves_the_others_record_alone() {
    let world = World::new();
    let (mine, other) = (world.record("c1", |_| {}), world.record("c2", |_| {}));
    del(&world, "c1").ok();
    assert!(!mine.exists() && other.exists());
    // The same container, another interface.
    let call = world.call(Program::Vxlan, "DEL", &world.config());
    call.attachment("c2", "", "eth1").run().ok();
    assert!(other.exists());
}

#[test]
fn c54_check_without_a_prev_result_is_code_7() {
    let world = World::new();
    for prev in [None, Some(json!(null))] {
        let config = world.config_with(|config| {
            if let Some(prev) = prev {
                config["prevResult"] = prev;
            }
        });
        let error = world.call(Program::Vxlan, "CHECK", &config).run().error(7);
        assert!(error.contains("prevResult: missing"), "{error}");
    }
}

#[test]
fn c60_check_reads_and_changes_nothing() {
    let world = World::new();
    let record = world.record("c1", |_| {});
    let before = std::fs::read(&record).unwrap();
    let config = world.config_with(|config| config["prevResult"] = json!({"ips": []}));
    let call = world.call(Program::Vxlan, "CHECK", &config);
    let call = call.attachment("c1", "/proc/self/ns/net", "eth0");
    let error = call.env("CNI_NETNS_OVERRIDE", "1").run().error(101);
    assert!(
        error.contains("vxlan vx_blue with VNI 100 is there: missing"),
        "{error}"
    );
    let asks = |line: &String| {
        let mut words = line.split(' ').skip(1);
        words
            .next()
            .is_some_and(|verb| ["show", "get"].contains(&verb))
    };
    let lines = world.tool_lines();
    assert!(!lines.is_empty() && lines.iter().all(asks), "{lines:?}");
    let sysctl = |call: &&String| call.contains("sysctl");
    let calls = world.tool_calls();
    let switches: Vec<&String> = calls.iter().filter(sysctl).collect();
    assert!(
        switches.iter().all(|call| call.contains(" -n ")),
        "{switches:?}"
    );
    // Look-ups and a list, however much is missing.
    assert!(calls.len() <= 8, "{calls:?}");
    assert_eq!(std::fs::read(&record).unwrap(), before);
    assert!(!world.path("vxlan.log").exists() && !world.path("run").exists());
}

/// GC with the list that is handed in, or without one.
fn gc(world: &World, list: Option<Value>) -> crate::support::plugin::Said {
    let config = world.config_with(|config| {
        if let Some(list) = list {
            config["cni.dev/valid-attachments"] = list;
        }
    });
    world
        .call(Program::Vxlan, "GC", &config)
        .attachment("", "", "")
        .run()
}

fn listed(containers: &[&str]) -> Value {
    containers
        .iter()
        .map(|id| json!({"containerID": id, "ifname": "eth0"}))
        .collect()
}

#[test]
fn c61_gc_is_forwarded_to_the_ipam_with_the_list() {
    let world = World::new();
    gc(&world, Some(listed(&["c9"]))).ok();
    assert_eq!(world.ipam_calls(), ["stand-in GC "]);
    assert_eq!(
        world.ipam_stdin("GC")["cni.dev/valid-attachments"],
        listed(&["c9"])
    );
}

#[test]
fn c61_every_ipam_in_use_is_asked() {
    let world = World::new();
    world.ipam_at("cni/own");
    let config = world.config_with(|config| {
        let mut green = config["vxlans"][0].clone();
        green["id"] = json!(200);
        green["name"] = json!("green");
        green["cidr"] = json!("10.2.0.1/16");
        green["ipam"] = json!({"type": "own"});
        config["vxlans"].as_array_mut().unwrap().push(green);
        config["cni.dev/valid-attachments"] = json!([]);
    });
    world.call(Program::Vxlan, "GC", &config).run().ok();
    assert_eq!(world.ipam_calls(), ["stand-in GC c1", "own GC c1"]);
}

#[test]
fn c62_gc_takes_off_what_is_not_on_the_list_and_releases_its_lease() {
    let world = World::new();
    let (alive, stale) = (world.record("c1", |_| {}), world.record("c2", |_| {}));
    gc(&world, Some(listed(&["c1"]))).ok();
    assert!(alive.exists() && !stale.exists());
    // host-local and others take GC and do nothing: the lease is released by a DEL of its own.
    assert_eq!(world.ipam_calls(), ["stand-in DEL c2", "stand-in GC "]);
    let env = world.ipam_env("DEL");
    assert_eq!(
        (env["CNI_IFNAME"].as_str(), env["CNI_NETNS"].as_str()),
        ("eth0", "")
    );
}

#[test]
fn c62_the_older_key_of_the_list_counts_too() {
    let world = World::new();
    let stale = world.record("c2", |_| {});
    let config = world.config_with(|config| config["cni.dev/attachments"] = json!([]));
    world.call(Program::Vxlan, "GC", &config).run().ok();
    assert!(!stale.exists());
}

#[test]
fn c63_without_a_list_gc_changes_nothing_and_an_empty_list_means_all() {
    let world = World::new();
    let record = world.record("c1", |_| {});
    for list in [None, Some(json!(null))] {
        gc(&world, list).ok();
    }
    let journal = std::fs::read_to_string(world.path("vxlan.log")).unwrap();
    let remark = "cni.dev/valid-attachments: missing: without the list of living attachments nothing is removed";
    assert_eq!(journal.matches(remark).count(), 2, "{journal}");
    for list in [
        json!(7),
        json!({}),
        json!([7]),
        json!([{"containerID": "c1"}]),
        json!([{"ifname": "eth0"}]),
    ] {
        let error = gc(&world, Some(list)).error(7);
        assert!(
            error.contains("wanted a list of containerID and ifname"),
            "{error}"
        );
    }
    assert!(record.exists());
    assert_eq!((world.ipam_calls(), world.tool_calls()), (vec![], vec![]));
    let config = world.config();
    world.call(Program::RouteTable, "GC", &config).run().ok();
    gc(&world, Some(json!([]))).ok();
    assert!(!record.exists());
}

#[test]
fn c64_gc_leaves_the_attachments_of_another_cni_network_alone() {
    let world = World::new();
    let other = world.record("c2", |record| record["name"] = json!("somebody-elses"));
    let ours = world.record("c1", |_| {});
    gc(&world, Some(json!([]))).ok();
    assert!(!ours.exists() && other.exists());
}

#[test]
fn c65_gc_goes_on_past_errors_and_tells_all() {
    let world = World::new();
    let records = ["c1", "c2", "c3"].map(|id| world.record(id, |_| {}));
    // The lease of one cannot be released.
    world.answer("DEL", r#"[ "$CNI_CONTAINERID" = c3 ] || { echo "{\"code\": 120, \"msg\": \"$CNI_CONTAINERID is stuck\"}"; exit 1; }"#);
    world.answer(
        "GC",
        r#"echo '{"code": 121, "msg": "gc is stuck too"}'; exit 1"#,
    );
    let error = gc(&world, Some(json!([]))).error(120);
    for words in ["c1 is stuck", "c2 is stuck", "gc is stuck too"] {
        assert!(error.contains(words), "{error}");
    }
    let left = records.each_ref().map(|record| Path::exists(record));
    assert_eq!(left, [true, true, false]);
}

#[test]
fn c66_a_listed_attachment_that_nobody_knows_is_ignored() {
    let world = World::new();
    gc(&world, Some(listed(&["c1", "c2"]))).ok();
    assert!(!world.path("data").exists());
}
