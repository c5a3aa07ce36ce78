//! C16 to C22: which versions are spoken, and what each has.

use serde_json::{Value, json};

use crate::stand_in::{PROGRAMS, VERBS, World};
use crate::support::plugin::Program;

/// The versions that are spoken.
const SUPPORTED: [&str; 7] = [
    "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0",
];

/// Whether a verb is in a version.
fn has(version: &str, verb: &str) -> bool {
    match verb {
        "CHECK" => ["0.4.0", "1.0.0", "1.1.0"].contains(&version),
        "GC" | "STATUS" => version == "1.1.0",
        _ => true,
    }
}

fn in_version(world: &World, version: Value) -> Value {
    world.config_with(|config| config["cniVersion"] = version)
}

#[test]
fn c16_version_echoes_the_configurations_and_lists_what_is_spoken() {
    let world = World::new();
    for program in PROGRAMS {
        let ask = |stdin: &str| {
            world
                .call(program, "VERSION", &json!({}))
                .stdin(stdin)
                .run()
        };
        for stdin in ["", "  \n", "{}", r#"{"cniVersion":""}"#] {
            let said = ask(stdin).ok();
            assert_eq!(
                said,
                json!({"cniVersion": "1.1.0", "supportedVersions": SUPPORTED}),
                "{stdin}"
            );
        }
        for version in SUPPORTED {
            let said = ask(&json!({ "cniVersion": version }).to_string()).ok();
            assert_eq!(
                (&said["cniVersion"], &said["supportedVersions"]),
                (&json!(version), &json!(SUPPORTED))
            );
        }
        ask("{").error(6);
    }
}

#[test]
fn c16_version_needs_neither_a_variable_nor_a_file() {
    let world = World::new();
    for program in PROGRAMS {
        // No PATH, no CNI_PATH, a journal that cannot be.
        let call = world
            .program_call(program)
            .without("PATH")
            .without("CNI_PATH");
        let config = world.config_with(|config| config["logFile"] = json!("/proc/no/such/log"));
        call.env("CNI_COMMAND", "VERSION")
            .stdin(config.to_string())
            .run()
            .ok();
    }
    let left: Vec<_> = std::fs::read_dir(world.path("."))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(
        left.len(),
        5,
        "bin, cni, answers, eth0, vxlans and nothing else: {left:?}"
    );
}

#[test]
fn c17_a_configuration_without_a_version_is_0_1_0() {
    let world = World::new();
    for program in PROGRAMS {
        for version in [json!(null), json!("")] {
            let said = world
                .call(program, "CHECK", &in_version(&world, version))
                .run();
            let error = said.error(1);
            assert!(
                error.contains("CHECK needs a newer cniVersion than 0.1.0"),
                "{error}"
            );
            assert_eq!(said.json()["cniVersion"], "0.1.0");
        }
        let config =
            world.config_with(|config| drop(config.as_object_mut().unwrap().remove("cniVersion")));
        assert_eq!(
            world.call(program, "CHECK", &config).run().json()["code"],
            1
        );
        world.call(program, "DEL", &config).run().ok();
    }
}

#[test]
fn c18_a_version_that_is_not_spoken_is_code_1_with_both_sides() {
    let world = World::new();
    for program in PROGRAMS {
        for version in ["9.9.9", "1.2.0", "0.0.1", "1.1", "banana\n"] {
            for verb in VERBS {
                let said = world
                    .call(program, verb, &in_version(&world, json!(version)))
                    .run();
                let error = said.error(1);
                let shown = version.escape_debug().to_string();
                assert!(
                    error.contains(&shown)
                        && error.contains("\"0.1.0\"")
                        && error.contains("\"1.1.0\""),
                    "{error}"
                );
                // Said in a version that the reader may know.
                assert_eq!(said.json()["cniVersion"], "1.1.0", "{verb}");
            }
        }
        let error = world
            .call(program, "ADD", &in_version(&world, json!(1)))
            .run()
            .error(6);
        assert!(
            error.contains("cniVersion is `1`, wanted a string"),
            "{error}"
        );
    }
}

#[test]
fn c19_a_verb_that_came_later_than_the_configurations_version_is_code_1() {
    let world = World::new();
    for program in PROGRAMS {
        for version in SUPPORTED {
            for verb in VERBS {
                let said = world
                    .call(program, verb, &in_version(&world, json!(version)))
                    .run();
                let refused = said.code != 0 && said.json()["code"] == 1;
                assert_eq!(
                    refused,
                    !has(version, verb),
                    "{verb} in {version}: {said:?}"
                );
                if refused {
                    let error = said.error(1);
                    assert!(
                        error.contains("CHECK came with 0.4.0, GC and STATUS with 1.1.0"),
                        "{error}"
                    );
                }
            }
        }
    }
}

#[test]
fn c20_an_error_is_told_in_the_configurations_version() {
    let world = World::new();
    for program in PROGRAMS {
        for version in SUPPORTED {
            let mut config = in_version(&world, json!(version));
            config["vxlans"] = json!(7);
            config["ipam"]["ranges"] = json!(7);
            let said = world.call(program, "ADD", &config).run();
            said.error(7);
            assert_eq!(said.json()["cniVersion"], version);
        }
    }
}

#[test]
fn c22_a_prev_result_without_a_version_has_the_configurations() {
    let world = World::new();
    let add = |version: &str, prev: Value| {
        let config = world.config_with(|config| {
            config["cniVersion"] = json!(version);
            config["prevResult"] = prev;
        });
        world.call(Program::Vxlan, "ADD", &config).run().json()["code"].clone()
    };
    // Only 0.1.0 and 0.2.0 have `ip4`, only the others `ips`.
    let old = json!({"ip4": {"ip": "banana"}});
    let new = json!({"ips": [{"address": "banana"}]});
    for version in SUPPORTED {
        let is_old = ["0.1.0", "0.2.0"].contains(&version);
        let (fails, passes) = if is_old { (&old, &new) } else { (&new, &old) };
        assert_eq!(add(version, fails.clone()), 6, "{version}");
        assert_eq!(add(version, passes.clone()), 3, "{version}");
        // Its own version counts where it has one.
        let mut other = fails.clone();
        other["cniVersion"] = json!(if is_old { "1.0.0" } else { "0.2.0" });
        assert_eq!(add(version, other), 3, "{version}");
    }
    assert_eq!(add("1.0.0", json!({"cniVersion": "9.9.9"})), 6);
    assert_eq!(add("1.0.0", json!(null)), 3);
}

#[test]
fn c22_a_prev_result_that_is_none_is_code_6_and_says_what_is_wrong_with_it() {
    let world = World::new();
    for (prev, words) in [
        (json!(7), "not a CNI result"),
        (json!([]), "not a CNI result"),
        (json!({"ips": 7}), "not a CNI result"),
        (
            json!({"interfaces": [{"name": "a"}], "ips": [{"address": "10.1.0.23/16", "interface": 3}]}),
            "ips[0].interface is 3, but there are 1",
        ),
        (json!({"routes": [{"dst": "x"}]}), "not a CNI result"),
        (
            json!({"cniVersion": "7"}),
            "cniVersion `7` is not supported",
        ),
    ] {
        let config = world.config_with(|config| config["prevResult"] = prev.clone());
        for verb in ["ADD", "CHECK"] {
            let error = world.call(Program::Vxlan, verb, &config).run().error(6);
            assert!(
                error.contains("prevResult") && error.contains(words),
                "{verb} {prev}: {error}"
            );
        }
    }
}
