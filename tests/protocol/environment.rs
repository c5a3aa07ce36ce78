//! C1 to C8: the environment, and what a program without it says.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::json;

use crate::stand_in::{NO_NETNS, PROGRAMS, VERBS, World, got_past};
use crate::support::plugin::{Call, Program};

/// The path of this program's own namespace, as every program sees its own.
const OWN_NETNS: &str = "/proc/self/ns/net";

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
fn a_person_who_types_the_name_alone_gets_help_and_who_mistypes_a_verb_the_right_one() {
    // `script` gives it a terminal; without one it is a runtime that forgot CNI_COMMAND.
    let typed = std::process::Command::new("script")
        .args(["-qec", Program::Vxlan.path(), "/dev/null"])
        .env_remove("CNI_COMMAND")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&typed.stdout).into_owned();
    assert!(typed.status.success(), "{text}");
    for words in ["Usage: vxlan", "doctor", "repair"] {
        assert!(text.contains(words), "{text}");
    }
    let world = World::new();
    let mistyped = world.program_call(Program::Vxlan).arg("docter").run();
    assert_eq!(mistyped.code, 2, "{mistyped:?}");
    assert!(mistyped.stderr.contains("'doctor'"), "{mistyped:?}");
}

/// What a program of another folder would be, were it started.
const TRAP: &str = "#!/bin/sh\necho \"$0 $*\" >> \"${0%/*}/sprung\"\n";

/// A folder with files of these names that tell when they are started.
fn traps(world: &World, folder: &str, mode: u32) -> PathBuf {
    let folder = world.path(folder);
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["ip", "bridge", "sysctl", "nsenter", "nft"] {
        let file = folder.join(name);
        std::fs::write(&file, TRAP).unwrap();
        std::fs::set_permissions(file, Permissions::from_mode(mode)).unwrap();
    }
    folder
}

#[test]
fn a_file_without_execute_permission_is_no_program_and_an_empty_part_of_path_no_folder() {
    let world = World::new();
    let bin = world.path("bin").display().to_string();
    let plain = traps(&world, "plain", 0o644).display().to_string();
    let here = traps(&world, "here", 0o755);
    let there = format!("cd {} && exec \"$0\" \"$@\"", here.display());
    for program in PROGRAMS {
        for path in [
            format!("{plain}:{bin}:/bin"),
            format!(":{bin}:/bin"),
            format!("{plain}::{bin}:/bin"),
        ] {
            let call = world.call(program, "STATUS", &world.config());
            let said = call
                .env("PATH", &path)
                .behind(&["/bin/sh", "-c", &there])
                .run();
            assert_eq!(said.code, 0, "{program:?} {path}: {said:?}");
            assert!(!world.tool_calls().is_empty(), "{program:?} {path}");
            std::fs::remove_file(world.path("tool.calls")).unwrap();
        }
    }
    assert!(!here.join("sprung").exists());
}

#[test]
fn what_ip_starts_in_its_turn_is_looked_for_where_ip_was_and_an_ipam_gets_path_as_it_is() {
    let world = World::new();
    let paths = world.path("paths");
    world.say(&format!(
        "echo \"${{0##*/}} $PATH\" >> {}; exit 1",
        paths.display()
    ));
    let bin = world.path("bin").display().to_string();
    for (path, wanted) in [
        (
            format!("{bin}:/bin"),
            format!("{bin}:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin"),
        ),
        (
            format!(":{bin}::/bin:"),
            format!("{bin}:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin"),
        ),
    ] {
        world.record("c1", |record| record["netns"] = json!("/proc/self/ns/net"));
        let call = world.call(Program::Vxlan, "DEL", &world.config());
        call.env("PATH", &path).run();
        let seen = std::fs::read_to_string(&paths).unwrap();
        std::fs::remove_file(&paths).unwrap();
        for line in seen.lines() {
            let (program, seen) = line.split_once(' ').unwrap();
            assert_eq!(seen, wanted, "{program}");
        }
        assert_eq!(world.ipam_env("DEL")["PATH"], path);
    }
}
