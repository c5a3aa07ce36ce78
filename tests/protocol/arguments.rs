//! C11 to C15: `CNI_ARGS`, capabilities, and what a configuration may carry for others.

use serde_json::{Value, json};

use crate::stand_in::{PROGRAMS, World, got_past};
use crate::support::plugin::Program;

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
