//! C37 to C45: handing work to an IPAM, and being one.

use std::collections::BTreeMap;
use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::stand_in::World;
use crate::support::lab::until;
use crate::support::plugin::{Program, Said};

fn del(world: &World) -> Said {
    world.call(Program::Vxlan, "DEL", &world.config()).run()
}

#[test]
fn c37_b23_the_ipam_is_looked_up_in_each_folder_of_cni_path() {
    let world = World::new();
    world.ipam_at("more/second");
    let call = |name: &str, path: &str| {
        let config = world.config_with(|config| config["ipam"]["type"] = json!(name));
        world
            .call(Program::Vxlan, "DEL", &config)
            .env("CNI_PATH", path)
            .run()
    };
    let folder = |name: &str| world.path(name).to_str().unwrap().to_owned();
    let (first, second) = (folder("cni"), folder("more"));
    call("second", &format!("{first}:{second}")).ok();
    call("stand-in", &format!("/no/such/folder::{first}:{second}")).ok();
    assert_eq!(world.ipam_calls(), ["second DEL c1", "stand-in DEL c1"]);
    // Not there, a folder, no file: an error that names the folders.
    std::fs::create_dir(world.path("cni/folder")).unwrap();
    for name in ["nowhere", "folder"] {
        let error = call(name, &format!("{first}:{second}")).error(7);
        let words =
            format!("the plugin `{name}` is in none of the folders of CNI_PATH: {first}:{second}");
        assert!(
            error.contains(&words) && error.contains("install it there, or correct ipam.type"),
            "{error}"
        );
    }
}

#[test]
fn c37_a_file_without_execute_permission_is_no_plugin() {
    let world = World::new();
    world.ipam_at("first/stand-in");
    let file = world.path("first/stand-in");
    std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let call = |verb: &str, path: &str| {
        world
            .call(Program::Vxlan, verb, &world.config())
            .env("CNI_PATH", path)
            .run()
    };
    let [first, second] = ["first", "cni"].map(|name| world.path(name).display().to_string());
    call("DEL", &format!("{first}:{second}")).ok();
    assert_eq!(world.ipam_calls(), ["stand-in DEL c1"]);
    for verb in ["DEL", "STATUS"] {
        let said = call(verb, &first);
        let error = said.error(if verb == "STATUS" { 50 } else { 7 });
        let words = format!(
            "the plugin `stand-in` is in none of the folders of CNI_PATH: {first}; passed over, for want of permission \
             to execute it: {}",
            file.display()
        );
        assert!(error.contains(&words), "{verb}: {error}");
    }
}

#[test]
fn c37_a_name_with_a_slash_and_the_plugin_itself_are_no_ipam_plugins_name() {
    let world = World::new();
    // The last one is the plugin itself, which would ask itself for addresses without end.
    for name in ["../cni/stand-in", "/bin/true", "", "a/b", "vxlan"] {
        let config = world.config_with(|config| config["ipam"]["type"] = json!(name));
        let error = world.call(Program::Vxlan, "ADD", &config).run().error(7);
        assert!(error.contains("ipam.type"), "{name}: {error}");
        world.call(Program::Vxlan, "DEL", &config).run().error(7);
    }
    assert_eq!(world.ipam_calls(), [""; 0]);
}

#[test]
fn c38_the_ipam_gets_the_same_environment_but_for_the_verb() {
    let world = World::new();
    let call = world
        .call(Program::Vxlan, "DEL", &world.config())
        .env("CNI_ARGS", "K8S_POD_NAME=web;FOO=bar")
        .env(
            "TRACEPARENT",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
        .env("SOMETHING", "a b=c");
    call.run().ok();
    let got = world.ipam_env("DEL");
    let wanted: BTreeMap<String, String> = call.environment().clone();
    assert_eq!(got, wanted);
}

#[test]
fn c39_the_ipam_gets_the_whole_configuration_with_the_networks_addresses_filled_in() {
    let world = World::new();
    let config = world.config_with(|config| {
        config["ipam"] = json!({"type": "stand-in", "extra": {"a": [1, 2]}});
        config["somebody-elses"] = json!({"z": 1, "a": null});
        config["vxlans"][0]["excludeFirst"] = json!(10);
        config["vxlans"][0]["cidr"] = json!(["10.1.0.1/24", "fd10::1/64"]);
    });
    world.call(Program::Vxlan, "DEL", &config).run().ok();
    let got = world.ipam_stdin("DEL");
    let mut wanted = config.clone();
    wanted["ipam"]["ranges"] = json!([
        [{"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.10", "rangeEnd": "10.1.0.254", "gateway": "10.1.0.1"}],
        [{"subnet": "fd10::/64", "rangeStart": "fd10::a", "rangeEnd": "fd10::ffff:ffff:ffff:ffff", "gateway": "fd10::1"}],
    ]);
    assert_eq!(got, wanted);
    // In the order in which the user wrote it.
    assert_eq!(got.to_string(), wanted.to_string());
}

#[test]
fn c39_an_ipam_of_the_networks_own_is_asked_in_place_of_the_common_one() {
    let world = World::new();
    world.ipam_at("cni/own");
    let config = world.config_with(|config| {
        config["vxlans"][0]["ipam"] = json!({"type": "own", "subnet": "10.1.0.0/28"});
    });
    world.call(Program::Vxlan, "DEL", &config).run().ok();
    assert_eq!(world.ipam_calls(), ["own DEL c1"]);
    assert_eq!(
        world.ipam_stdin("DEL")["ipam"],
        json!({"type": "own", "subnet": "10.1.0.0/28"})
    );
}

#[test]
fn c40_what_the_ipam_says_on_stderr_is_passed_on() {
    let world = World::new();
    world.answer("DEL", "echo to the log >&2");
    assert_eq!(del(&world).stderr, "to the log\n");
}

#[test]
fn c41_b26_the_ipams_error_is_returned_as_it_came() {
    let world = World::new();
    let own =
        r#"{"cniVersion": "0.4.0", "code": 117, "msg": "no such lease", "details": "10.1.0.9"}"#;
    for verb in ["DEL", "GC"] {
        world.answer(verb, &format!("echo '{own}'; exit 17"));
        let config = world.config_with(|config| config["cni.dev/valid-attachments"] = json!([]));
        let said = world.call(Program::Vxlan, verb, &config).run();
        assert_eq!(said.error(117), "no such lease; 10.1.0.9");
        // Told in the version of whoever asked.
        assert_eq!(said.json()["cniVersion"], "1.1.0");
    }
}

#[test]
fn c41_an_ipam_that_fails_without_a_cni_error_is_code_100_with_what_it_did() {
    let world = World::new();
    for (script, words) in [
        ("echo oops; exit 3", &["exit code 3", "`oops"][..]),
        ("exit 1", &["exit code 1", "stdout was ``"]),
        (
            "echo '{\"code\": 7'; exit 1",
            &["exit code 1", "{\\\"code\\\": 7"],
        ),
        (
            "echo '{\"msg\": \"no code\"}'; exit 1",
            &["exit code 1", "no code"],
        ),
        ("echo '{\"code\": 7}'; exit 1", &["exit code 1"]),
        ("kill -KILL $$", &["was killed"]),
    ] {
        world.answer("DEL", script);
        let error = del(&world).error(100);
        assert!(
            error.contains("the plugin `stand-in` failed at DEL"),
            "{script}: {error}"
        );
        assert!(
            words.iter().all(|words| error.contains(words)),
            "{script}: {error}"
        );
    }
}

#[test]
fn c41_what_a_successful_ipam_prints_where_nothing_is_asked_for_does_not_matter() {
    let world = World::new();
    for script in [
        "echo noise",
        "echo '{'",
        "printf '\\377'",
        "echo '{\"code\": 7, \"msg\": \"x\"}'",
    ] {
        world.answer("DEL", script);
        del(&world).ok();
    }
}

#[test]
fn c42_every_verb_is_forwarded_and_the_ipams_error_is_an_error() {
    let world = World::new();
    let config = world.config_with(|config| {
        config["cni.dev/valid-attachments"] = json!([]);
        config["prevResult"] = json!({"ips": [], "interfaces": []});
    });
    // CHECK wants a record of an attachment whose namespace is there.
    world.record("c2", |_| {});
    let call = |verb: &str| {
        let call =
            world
                .call(Program::Vxlan, verb, &config)
                .attachment("c2", "/proc/self/ns/net", "eth0");
        call.env("CNI_NETNS_OVERRIDE", "1").run()
    };
    for verb in ["CHECK", "STATUS", "GC", "DEL"] {
        world.answer(
            verb,
            r#"echo '{"code": 120, "msg": "the ipam says no"}'; exit 1"#,
        );
        let error = call(verb).json();
        assert!(
            error.to_string().contains("the ipam says no"),
            "{verb}: {error}"
        );
        assert!(
            world.ipam_calls().iter().any(|line| line.contains(verb)),
            "{verb}: {:?}",
            world.ipam_calls()
        );
    }
}

#[test]
fn c43_an_ipam_that_is_being_written_is_tried_again() {
    let world = World::new();
    let writer = OpenOptions::new()
        .append(true)
        .open(world.path("cni/stand-in"))
        .unwrap();
    let child = world.call(Program::Vxlan, "DEL", &world.config()).start();
    // It sleeps between two tries, with no child to wait for; then the file is free.
    let file = |name: &str| {
        let path = format!("/proc/{0}/task/{0}/{name}", child.id());
        std::fs::read_to_string(path).unwrap_or_default()
    };
    until("the plugin waits for the file", || {
        file("stat").contains(") S ") && file("children").is_empty()
    });
    drop(writer);
    Said::by(child).ok();
    assert_eq!(world.ipam_calls(), ["stand-in DEL c1"]);
}

#[test]
fn c44_an_ipam_without_gc_or_status_does_not_break_ours() {
    let world = World::new();
    for (answer, told) in [
        ("exit 0", ""),
        (
            r#"echo '{"code": 4, "msg": "unknown CNI_COMMAND: GC"}'; exit 1"#,
            "unknown CNI_COMMAND: GC",
        ),
        (
            r#"echo '{"code": 1, "msg": "incompatible CNI versions"}'; exit 1"#,
            "incompatible CNI versions",
        ),
        (
            r#"echo '{"code": 3, "msg": "missing containerID"}'; exit 1"#,
            "missing containerID",
        ),
    ] {
        for verb in ["GC", "STATUS"] {
            world.answer(verb, answer);
            let config =
                world.config_with(|config| config["cni.dev/valid-attachments"] = json!([]));
            let said = world.call(Program::Vxlan, verb, &config).run();
            said.ok();
            // It is no fault, but it is told of.
            assert_eq!(said.stderr.is_empty(), told.is_empty(), "{said:?}");
            assert!(said.stderr.contains(told), "{said:?}");
        }
    }
}

#[test]
fn c45_as_an_ipam_what_is_not_the_ipams_is_ignored() {
    let world = World::new();
    let config = world.config_with(|config| {
        config["type"] = json!("bridge");
        config["vxlans"] = json!({"not": "a list"});
        config["runDir"] = json!(7);
        config["bridge"] = json!("cni0");
        config["isGateway"] = json!(true);
    });
    for verb in ["DEL", "STATUS"] {
        world.call(Program::RouteTable, verb, &config).run().ok();
    }
    // Its own part is read closely.
    let config = world.config_with(|config| config["ipam"]["rangeBegin"] = json!("10.1.0.9"));
    let error = world
        .call(Program::RouteTable, "ADD", &config)
        .run()
        .error(7);
    assert!(error.contains("ipam.rangeBegin: unknown key"), "{error}");
}

#[test]
fn c45_as_an_ipam_del_and_gc_of_what_nobody_has_succeed_and_create_nothing() {
    let world = World::new();
    let config = world.config_with(|config| config["cni.dev/valid-attachments"] = json!([]));
    for verb in ["DEL", "GC", "DEL"] {
        assert_eq!(
            world.call(Program::RouteTable, verb, &config).run().ok(),
            Value::Null
        );
    }
    assert!(!world.path("owners").exists() && !world.path("ipam.log").exists());
    assert_eq!(world.tool_calls(), [""; 0]);
}
