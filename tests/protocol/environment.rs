//! C1 to C15: the environment, `CNI_ARGS`, and what a configuration may carry.

use serde_json::{Value, json};

use crate::stand_in::{NO_NETNS, PROGRAMS, VERBS, World};
use crate::support::plugin::{Call, Program, Said};

/// The path of this program's own namespace, as every program sees its own.
const OWN_NETNS: &str = "/proc/self/ns/net";

/// Fails unless the environment was taken: what is wrong next is that the container is gone.
fn got_past(said: &Said, what: &str) {
    let error = said.error(3);
    assert!(error.contains("is no network namespace"), "{what}: {error}");
}

#[test]
fn c01_every_missing_variable_is_named_at_once() {
    let world = World::new();
    let missing = |names: &str| format!("required env variables [{names}] missing");
    for program in PROGRAMS {
        let said = world.program_call(program).stdin("{}").run();
        assert!(said.error(4).contains(&missing("CNI_COMMAND")), "{said:?}");
        for (verb, names) in [
            ("ADD", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME"),
            ("CHECK", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME"),
            ("DEL", "CNI_CONTAINERID,CNI_IFNAME"),
            ("GC", "CNI_PATH"),
        ] {
            let absent = Call::verb(program, verb, &world.config());
            let empty = absent.clone().attachment("", "", "").env("CNI_PATH", "");
            for call in [absent, empty] {
                let error = call.run().error(4);
                assert!(error.contains(&missing(names)), "{verb}: {error}");
            }
        }
    }
}

#[test]
fn c02_a_command_that_is_none_is_refused() {
    let world = World::new();
    for program in PROGRAMS {
        for command in ["ADDD", "add", "", " ADD", "ADD\nDEL", "UPDATE"] {
            let call = world.call(program, command, &world.config());
            let error = call.run().error(4);
            assert!(
                !error.contains('\n') && error.contains("CNI_COMMAND"),
                "{error}"
            );
        }
        let error = world.call(program, "ADDD", &world.config()).run().error(4);
        assert!(
            error.contains("wanted ADD, DEL, CHECK, GC, STATUS or VERSION"),
            "{error}"
        );
    }
}

#[test]
fn c03_each_verb_needs_what_the_specification_says_and_no_more() {
    let world = World::new();
    let config = world.config();
    for verb in ["ADD", "CHECK"] {
        for variable in ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"] {
            for program in PROGRAMS {
                let error = world
                    .call(program, verb, &config)
                    .without(variable)
                    .run()
                    .error(4);
                assert!(error.contains(&format!("[{variable}]")), "{verb}: {error}");
            }
        }
    }
    // DEL without a namespace; GC with the attachment's variables empty, as libcni sets them; STATUS with none.
    world
        .call(Program::Vxlan, "DEL", &config)
        .without("CNI_NETNS")
        .run()
        .ok();
    world
        .call(Program::Vxlan, "DEL", &config)
        .env("CNI_NETNS", "")
        .run()
        .ok();
    let mut listed = config.clone();
    listed["cni.dev/valid-attachments"] = json!([]);
    world
        .call(Program::Vxlan, "GC", &listed)
        .attachment("", "", "")
        .run()
        .ok();
    let status = Call::verb(Program::Vxlan, "STATUS", &config);
    let paths = ["PATH", "CNI_PATH"];
    let full = world.call(Program::Vxlan, "STATUS", &config);
    let status = paths.iter().fold(status, |call, name| match *name {
        "PATH" => call.env(
            "PATH",
            &format!("{}:/usr/bin:/bin", world.path("bin").display()),
        ),
        name => call.env(name, world.path("cni").to_str().unwrap()),
    });
    status.run().ok();
    full.run().ok();
}

#[test]
fn c03_cni_path_is_needed_only_where_a_delegate_must_be_found() {
    let world = World::new();
    let config = world.config();
    let without = |program, verb| world.call(program, verb, &config).without("CNI_PATH");
    // The IPAM delegates to nobody; the plugin says which folders it looked in.
    without(Program::RouteTable, "DEL").run().ok();
    let error = without(Program::Vxlan, "DEL").run().error(7);
    assert!(error.contains("CNI_PATH"), "{error}");
    got_past(
        &without(Program::Vxlan, "ADD").run(),
        "ADD without CNI_PATH",
    );
}

#[test]
fn c04_a_container_id_is_letters_digits_and_some_signs() {
    let world = World::new();
    let call = |program, id: &str| {
        world
            .call(program, "DEL", &world.config())
            .attachment(id, NO_NETNS, "eth0")
            .run()
    };
    let longest = "a".repeat(200);
    for id in ["a", "0", "A-1_2.x", "3f2a", &longest] {
        for program in PROGRAMS {
            call(program, id).ok();
        }
    }
    let too_long = "a".repeat(201);
    for id in [
        "-a", ".a", "_a", "a b", "a/b", "../a", "a:b", "a\n", "\u{fc}", "a;b", &too_long,
    ] {
        for program in PROGRAMS {
            let error = call(program, id).error(4);
            assert!(error.contains("CNI_CONTAINERID"), "{id:?}: {error}");
        }
    }
}

#[test]
fn c05_an_interface_name_is_one_that_the_kernel_takes() {
    let world = World::new();
    let call = |program, verb: &str, name: &str| {
        world
            .call(program, verb, &world.config())
            .attachment("c1", NO_NETNS, name)
            .run()
    };
    for program in PROGRAMS {
        for name in [
            ".",
            "..",
            "a/b",
            "a:b",
            "a b",
            "a\tb",
            "a\u{a0}b",
            "1234567890123456",
        ] {
            for verb in ["ADD", "CHECK", "DEL"] {
                let error = call(program, verb, name).error(4);
                assert!(error.contains("CNI_IFNAME"), "{name:?}: {error}");
            }
        }
        call(program, "DEL", "123456789012345").ok();
    }
}

#[test]
fn c05_what_add_refuses_for_the_name_del_still_takes_off() {
    let world = World::new();
    let call = |verb: &str| {
        let call = world.call(Program::Vxlan, verb, &world.config());
        call.attachment("c1", OWN_NETNS, "a#b")
            .env("CNI_NETNS_OVERRIDE", "1")
            .run()
    };
    let error = call("ADD").error(4);
    assert!(error.contains("CNI_IFNAME: `a#b`"), "{error}");
    assert_eq!(world.tool_calls(), [""; 0]);
    call("DEL").ok();
}

#[test]
fn c06_a_network_has_a_name() {
    let world = World::new();
    for program in PROGRAMS {
        for name in [
            json!(null),
            json!(""),
            json!(7),
            json!("../x"),
            json!("a b"),
            json!("-a"),
            json!("a\n"),
        ] {
            let config = world.config_with(|config| config["name"] = name.clone());
            for verb in VERBS {
                let error = world.call(program, verb, &config).run().error(7);
                assert!(error.contains("name:"), "{verb} {name}: {error}");
            }
        }
        let config =
            world.config_with(|config| drop(config.as_object_mut().unwrap().remove("name")));
        let error = world.call(program, "ADD", &config).run().error(7);
        assert!(error.contains("name: missing"), "{error}");
    }
    let config = world.config_with(|config| config["name"] = json!("My-net.1_x"));
    got_past(
        &world.call(Program::Vxlan, "ADD", &config).run(),
        "a good name",
    );
}

#[test]
fn c07_the_plugins_own_namespace_is_refused_before_anything_is_done() {
    let world = World::new();
    let thread = format!(
        "/proc/{}/task/{}/ns/net",
        std::process::id(),
        std::process::id()
    );
    for path in [OWN_NETNS, "/proc/thread-self/ns/net", &thread] {
        for verb in ["ADD", "CHECK"] {
            let config = world.config_with(|config| config["prevResult"] = json!({"ips": []}));
            let call = world
                .call(Program::Vxlan, verb, &config)
                .attachment("c1", path, "eth0");
            let error = call.run().error(8);
            assert!(
                error.contains("own network namespace") && error.contains("CNI_NETNS_OVERRIDE"),
                "{error}"
            );
        }
    }
    assert_eq!((world.tool_calls(), world.ipam_calls()), (vec![], vec![]));
    assert!(!world.path("data").exists() && !world.path("run").exists());
}

#[test]
fn c07_the_runtime_may_insist_on_the_plugins_own_namespace() {
    let world = World::new();
    let call = |value: &str| {
        let call = world.call(Program::Vxlan, "ADD", &world.config());
        call.attachment("c1", OWN_NETNS, "eth0")
            .env("CNI_NETNS_OVERRIDE", value)
            .run()
    };
    for value in ["1", "true", "True"] {
        // It went on to the node, on which nothing can be made here.
        assert_ne!(call(value).json()["code"], 8, "{value}");
    }
    for value in ["0", "no", ""] {
        call(value).error(8);
    }
}

#[test]
fn c07_a_namespace_that_is_gone_is_code_3_and_nothing_was_made() {
    let world = World::new();
    let file = world.path("eth0");
    for path in [NO_NETNS, "/proc/0/ns/net", file.to_str().unwrap()] {
        for verb in ["ADD", "CHECK"] {
            let config = world.config_with(|config| config["prevResult"] = json!({"ips": []}));
            let call = world
                .call(Program::Vxlan, verb, &config)
                .attachment("c1", path, "eth0");
            let error = call.run().error(3);
            assert!(
                error.contains("CNI_NETNS") && error.contains(path),
                "{error}"
            );
        }
    }
    assert_eq!((world.tool_calls(), world.ipam_calls()), (vec![], vec![]));
    assert!(!world.path("data").exists() && !world.path("run").exists());
}

#[test]
fn c08_without_cni_command_a_plain_run_is_an_error_and_options_are_answered() {
    let world = World::new();
    for (program, name) in [
        (Program::Vxlan, "vxlan"),
        (Program::RouteTable, "route-table"),
    ] {
        let error = world.program_call(program).run().error(4);
        assert!(error.contains("CNI_COMMAND"), "{error}");
        let version = world.program_call(program).arg("--version").run();
        assert_eq!(
            (version.code, version.stderr.as_str()),
            (0, ""),
            "{version:?}"
        );
        assert_eq!(
            version.stdout.trim(),
            format!("{name} {}", env!("CARGO_PKG_VERSION"))
        );
        let help = world.program_call(program).arg("--help").run();
        assert!(help.code == 0 && help.stdout.contains("Usage:"), "{help:?}");
        let unknown = world.program_call(program).arg("--no-such-option").run();
        assert!(
            unknown.code != 0 && unknown.stdout.is_empty() && !unknown.stderr.is_empty(),
            "{unknown:?}"
        );
    }
}

#[test]
fn c11_cni_args_are_pairs_with_exactly_one_equals_sign() {
    let world = World::new();
    let call = |program, verb: &str, args: &str| {
        world
            .call(program, verb, &world.config())
            .env("CNI_ARGS", args)
            .run()
    };
    for program in PROGRAMS {
        for args in ["a", "a=b=c", "=b", "a=b;c", "a=b;c=d=e", ";=;"] {
            for verb in ["ADD", "CHECK", "DEL"] {
                let error = call(program, verb, args).error(4);
                assert!(
                    error.contains("CNI_ARGS") && error.contains("exactly one `=`"),
                    "{args}: {error}"
                );
            }
        }
        // Keys that nobody here knows are the IPAM's business, with and without IgnoreUnknown.
        for args in [
            "",
            ";",
            "A=",
            "A=b;",
            "IgnoreUnknown=1;FOO=bar",
            "FOO=bar;K8S_POD_NAME=x",
        ] {
            call(program, "DEL", args).ok();
        }
    }
}

/// What the plugin says of an address or a MAC that some source asks for: the others are good.
fn refused(world: &World, change: impl FnOnce(&mut Value), args: &str) -> String {
    let config = world.config_with(change);
    world
        .call(Program::Vxlan, "ADD", &config)
        .env("CNI_ARGS", args)
        .run()
        .error(7)
}

#[test]
fn c12_the_first_source_that_asks_counts_and_later_ones_are_not_even_looked_at() {
    let world = World::new();
    let key = "vxlan-cni.phdata.io/RequestedAddress";
    let bad = |source: &str, config: &mut Value| match source {
        "runtimeConfig.ips" => config["runtimeConfig"]["ips"] = json!(["10.9.0.9"]),
        "args.cni.ips" => config["args"]["cni"]["ips"] = json!(["10.9.0.9"]),
        _ => config["args"]["annotations"][key] = json!("10.9.0.9"),
    };
    let sources = [
        "runtimeConfig.ips",
        "args.cni.ips",
        "CNI_ARGS IP",
        "args.annotations",
    ];
    for (rank, first) in sources.iter().enumerate() {
        let lower = &sources[rank..];
        let args = if lower.contains(&"CNI_ARGS IP") {
            "IP=10.9.0.9"
        } else {
            ""
        };
        let change = |config: &mut Value| lower.iter().for_each(|source| bad(source, config));
        let error = refused(&world, change, args);
        assert!(
            error.starts_with(&format!("{first} asks for")),
            "{first}: {error}"
        );
    }
    // A good one from the first source: the bad ones behind it do not matter.
    let config = world.config_with(|config| {
        config["runtimeConfig"]["ips"] = json!(["10.1.0.9"]);
        bad("args.cni.ips", config);
        bad("args.annotations", config);
    });
    let call = world
        .call(Program::Vxlan, "ADD", &config)
        .env("CNI_ARGS", "IP=10.9.0.9");
    got_past(&call.run(), "runtimeConfig.ips");
}

#[test]
fn c12_the_same_order_holds_for_the_mac() {
    let world = World::new();
    let key = "vxlan-cni.phdata.io/RequestedMAC";
    let bad = |source: &str, config: &mut Value| match source {
        "runtimeConfig.mac" => config["runtimeConfig"]["mac"] = json!("x"),
        "args.cni.mac" => config["args"]["cni"]["mac"] = json!("x"),
        _ => config["args"]["annotations"][key] = json!("x"),
    };
    let sources = [
        "runtimeConfig.mac",
        "args.cni.mac",
        "CNI_ARGS MAC",
        "args.annotations",
    ];
    for (rank, first) in sources.iter().enumerate() {
        let lower = &sources[rank..];
        let args = if lower.contains(&"CNI_ARGS MAC") {
            "MAC=x"
        } else {
            ""
        };
        let change = |config: &mut Value| lower.iter().for_each(|source| bad(source, config));
        let error = refused(&world, change, args);
        assert!(error.starts_with(&format!("{first}:")), "{first}: {error}");
    }
}

#[test]
fn c12_route_table_asks_the_same_sources_in_the_same_order() {
    let world = World::new();
    let refused = |change: &dyn Fn(&mut Value), args: &str| {
        let config = world.config_with(change);
        world
            .call(Program::RouteTable, "ADD", &config)
            .env("CNI_ARGS", args)
            .run()
            .error(7)
    };
    let runtime = |config: &mut Value| config["runtimeConfig"]["ips"] = json!(["10.9.0.9"]);
    let args = |config: &mut Value| config["args"]["cni"]["ips"] = json!(["10.9.0.9"]);
    let both = |config: &mut Value| {
        runtime(config);
        args(config);
    };
    assert!(refused(&both, "IP=10.9.0.9").contains("runtimeConfig.ips asks for"));
    assert!(refused(&args, "IP=10.9.0.9").contains("args.cni.ips asks for"));
    assert!(refused(&|_| {}, "IP=10.9.0.9").contains("CNI_ARGS IP asks for"));
}

#[test]
fn c13_a_capability_that_cannot_be_acted_on_is_an_error_with_its_path() {
    let world = World::new();
    for (capability, value) in [
        ("ips", json!(7)),
        ("ips", json!("10.1.0.9")),
        ("ips", json!([7])),
        ("ips", json!(["banana"])),
        ("mac", json!(7)),
        ("mac", json!("banana")),
        ("dns", json!("1.1.1.1")),
        ("dns", json!({"servers": 7})),
        ("dns", json!({"searches": "a"})),
        ("io.kubernetes.cri.pod-annotations", json!("a=b")),
        ("io.kubernetes.cri.pod-annotations", json!({"a": 7})),
    ] {
        let config =
            world.config_with(|config| config["runtimeConfig"] = json!({capability: value}));
        let error = world.call(Program::Vxlan, "ADD", &config).run().error(7);
        assert!(
            error.contains(&format!("runtimeConfig.{capability}")),
            "{value}: {error}"
        );
    }
    for value in [json!(7), json!([]), json!("x")] {
        let config = world.config_with(|config| config["runtimeConfig"] = value.clone());
        let error = world.call(Program::Vxlan, "ADD", &config).run().error(7);
        assert!(
            error.contains("runtimeConfig: wanted an object"),
            "{value}: {error}"
        );
    }
    let config = world
        .config_with(|config| config["runtimeConfig"] = json!({"ipRanges": [[{"subnet": "x"}]]}));
    let error = world
        .call(Program::RouteTable, "ADD", &config)
        .run()
        .error(7);
    assert!(error.contains("ipRanges"), "{error}");
}

#[test]
fn c13_what_args_carries_for_others_is_ignored() {
    let world = World::new();
    let config = world.config_with(|config| {
        config["args"] =
            json!({"labels": [{"key": "a", "value": "b"}], "cni": {"other": 7}, "x": null});
    });
    got_past(&world.call(Program::Vxlan, "ADD", &config).run(), "args");
}

#[test]
fn c14_each_capability_is_acted_on_or_handed_to_the_ipam() {
    let world = World::new();
    let cri = "io.kubernetes.cri.pod-annotations";
    // An annotation names the network.
    let named = json!({cri: {"vxlan-cni.phdata.io/NetworkName": "green"}});
    let config = world.config_with(|config| config["runtimeConfig"] = named);
    let error = world.call(Program::Vxlan, "ADD", &config).run().error(7);
    assert!(
        error.contains(&format!("{cri} names the network `green`")),
        "{error}"
    );
    // The rest goes to the IPAM as it came.
    let runtime = json!({
        "ips": ["10.1.0.9"], "mac": "02:00:00:00:00:09", "dns": {"servers": ["10.1.0.53"]},
        "ipRanges": [[{"subnet": "10.1.0.0/24"}]], cri: {"a": "b"},
    });
    let config = world.config_with(|config| config["runtimeConfig"] = runtime.clone());
    world.call(Program::Vxlan, "DEL", &config).run().ok();
    assert_eq!(world.ipam_stdin("DEL")["runtimeConfig"], runtime);
    // A runtime that knows none of them.
    got_past(
        &world.call(Program::Vxlan, "ADD", &world.config()).run(),
        "no runtimeConfig",
    );
}

#[test]
fn c15_keys_of_the_runtime_and_of_the_list_are_let_pass() {
    let world = World::new();
    let config = world.config_with(|config| {
        for (key, value) in [
            ("capabilities", json!({"ips": true})),
            ("cniVersions", json!(["1.0.0", "1.1.0"])),
            ("disableCheck", json!(true)),
            ("disableGC", json!(true)),
            ("loadOnlyInlinedPlugins", json!(true)),
            ("cni.dev/attachments", json!([])),
            ("cni.dev/other", json!({"a": 1})),
            ("somebody-elses", json!(7)),
        ] {
            config[key] = value;
        }
    });
    got_past(
        &world.call(Program::Vxlan, "ADD", &config).run(),
        "keys of others",
    );
    world.call(Program::Vxlan, "DEL", &config).run().ok();
    world.call(Program::RouteTable, "DEL", &config).run().ok();
}

#[test]
fn c15_a_key_of_a_network_that_nobody_knows_is_refused_with_its_path() {
    let world = World::new();
    let config =
        world.config_with(|config| config["vxlans"][0]["allowedNamespace"] = json!(["shop"]));
    let error = world.call(Program::Vxlan, "ADD", &config).run().error(7);
    assert!(
        error.contains("vxlans[0].allowedNamespace: unknown key"),
        "{error}"
    );
}
