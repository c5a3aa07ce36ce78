//! stdin, stdout and stderr that are closed, full, or pipes whose reader has gone.

use serde_json::{Value, json};

use crate::stand_in::{PROGRAMS, VERBS, World};
use crate::support::plugin::{Call, Program};
use crate::support::streams::{BROKEN, Stream, run_with, run_without_stdin};

/// A configuration whose journals cannot be written: each remark about them goes to stderr.
fn without_journals(world: &World) -> Value {
    world.config_with(|config| {
        config["logFile"] = json!("/dev/full");
        config["ipam"]["logFile"] = json!("/dev/full");
        config["ipam"]["order"] = json!("sequential");
        config["cni.dev/valid-attachments"] = json!([]);
    })
}

/// An attachment and its address, as both programs keep them: something to take off.
fn attached(world: &World) {
    world.record("c1", |_| {});
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let owner = json!({
        "name": "demo", "container": "c1", "ifname": "eth0", "pod": null, "boot": boot.trim(),
        "since": "2031-05-02T10:00:00Z", "route": {
            "dst": "10.1.0.23/32", "via": null, "dev": "mv_blue", "metric": 4_194_304_000_u32, "protocol": 192,
            "table": 254, "mtu": null, "advmss": null, "scope": null,
        },
    });
    let own = world.path("owners/owner/c1:eth0");
    let common = world.path("owners/address");
    for folder in [&own, &common] {
        let _ = std::fs::remove_dir_all(folder);
        std::fs::create_dir_all(folder).unwrap();
    }
    let [own, common] = [own, common].map(|folder| folder.join("10.1.0.23.json"));
    std::fs::write(&own, owner.to_string()).unwrap();
    std::fs::hard_link(own, common).unwrap();
}

#[test]
fn b10_neither_a_journal_nor_a_stderr_that_cannot_be_written_is_a_reason_to_fail() {
    let world = World::new();
    for program in PROGRAMS {
        for verb in ["DEL", "GC"] {
            let call = world.call(program, verb, &without_journals(&world));
            attached(&world);
            let said = call.run();
            let told = said
                .stderr
                .contains("the journal /dev/full cannot be written");
            assert!(said.code == 0 && told, "{program:?} {verb}: {said:?}");
            for stdout in BROKEN {
                for stderr in BROKEN {
                    attached(&world);
                    let said = run_with(&call, stdout, stderr);
                    assert_eq!(
                        said.code, 0,
                        "{program:?} {verb} {stdout:?} {stderr:?}: {said:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn what_is_said_on_stdout_does_not_depend_on_stderr() {
    let world = World::new();
    for program in PROGRAMS {
        for verb in VERBS.into_iter().chain(["VERSION", "BANANA"]) {
            let call = world.call(program, verb, &without_journals(&world));
            let wanted = call.run();
            for stderr in BROKEN {
                let said = run_with(&call, Stream::Whole, stderr);
                assert_eq!(
                    (said.code, &said.stdout),
                    (wanted.code, &wanted.stdout),
                    "{program:?} {verb} {stderr:?}"
                );
            }
        }
    }
}

#[test]
fn c25_what_cannot_be_written_to_stdout_is_a_failure_and_stderr_says_so() {
    let world = World::new();
    for program in PROGRAMS {
        let version = world.call(program, "VERSION", &world.config());
        let refused = world.call(program, "ADD", &json!({}));
        let why = [
            (Stream::Closed, "Bad file descriptor"),
            (Stream::Full, "No space left on device"),
            (Stream::Gone, "Broken pipe"),
        ];
        for (stdout, why) in why {
            let said = run_with(&version, stdout, Stream::Whole);
            let words = format!("the result cannot be written to stdout: {why}");
            assert!(
                said.code == 1 && said.stderr.contains(&words),
                "{program:?} {stdout:?}: {said:?}"
            );
            let said = run_with(&refused, stdout, Stream::Whole);
            assert!(
                said.code == 1
                    && said.stderr.contains("the error \"")
                    && said.stderr.contains(why)
                    && said.stderr.lines().count() == 1,
                "{program:?} {stdout:?}: {said:?}"
            );
            for stderr in BROKEN {
                assert_eq!(run_with(&version, stdout, stderr).code, 1);
                assert_eq!(run_with(&refused, stdout, stderr).code, 1);
            }
        }
    }
}

#[test]
fn c25_what_is_thrown_away_on_purpose_is_no_failure() {
    let world = World::new();
    for program in PROGRAMS {
        let call = world.call(program, "VERSION", &world.config());
        let mut command = call.command();
        command.stdout(std::process::Stdio::null());
        assert!(command.status().unwrap().success(), "{program:?}");
    }
}

#[test]
fn c27_without_a_stdin_there_is_no_configuration() {
    let world = World::new();
    for program in PROGRAMS {
        for verb in VERBS {
            let call = world.call(program, verb, &world.config());
            let error = run_without_stdin(&call).error(6);
            assert!(error.contains("stdin is not a JSON object"), "{error}");
        }
        let call = world.call(program, "VERSION", &world.config());
        assert!(run_without_stdin(&call).ok()["supportedVersions"].is_array());
    }
}

/// What an operator types, and the exit code that it has with streams that work.
fn typed(world: &World) -> Vec<(Call, i32)> {
    let conf = world.path("10-demo.conflist");
    let mut plugin = world.config();
    plugin.as_object_mut().unwrap().remove("name");
    let list = json!({"cniVersion": "1.1.0", "name": "demo", "plugins": [plugin]});
    std::fs::write(&conf, list.to_string()).unwrap();
    std::fs::write(
        world.path("vxlan.log"),
        "# 2031-05-02T10:00:00.100Z ADD blue c1/eth0\nip link add x\n# 2031-05-02T10:00:00.200Z ADD blue c1/eth0 ok 100.0 ms\n",
    )
    .unwrap();
    world.record("c1", |_| {});
    let lines: [(Program, &[&str]); 12] = [
        (Program::Vxlan, &["--help"]),
        (Program::Vxlan, &["--version"]),
        (Program::Vxlan, &["log", "--help"]),
        (Program::Vxlan, &["status"]),
        (Program::Vxlan, &["status", "--json"]),
        (Program::Vxlan, &["doctor"]),
        (Program::Vxlan, &["graph"]),
        (Program::Vxlan, &["log"]),
        (Program::Vxlan, &["gc", "--dry-run"]),
        (Program::Vxlan, &["plan"]),
        (Program::RouteTable, &["--help"]),
        (Program::RouteTable, &["--version"]),
    ];
    let call = |(program, words): (Program, &[&str])| {
        let call = world.program_call(program);
        let call = words.iter().fold(call, |call, word| call.arg(word));
        let own = words
            .iter()
            .any(|word| word.starts_with("--h") || word.starts_with("--v"));
        let call = match own {
            true => call,
            false => call.arg("--conf").arg(conf.to_str().unwrap()),
        };
        let said = call.run();
        assert!(!said.stdout.is_empty(), "{words:?} says nothing: {said:?}");
        (call, said.code)
    };
    lines.into_iter().map(call).collect()
}

#[test]
fn an_operators_reader_may_have_read_enough_and_a_full_disk_is_told() {
    let world = World::new();
    for (call, code) in typed(&world) {
        for quiet in [Stream::Gone, Stream::Closed] {
            let said = run_with(&call, quiet, Stream::Whole);
            assert_eq!(
                (said.code, said.stderr.as_str()),
                (code, ""),
                "{call:?} {quiet:?}"
            );
        }
        let said = run_with(&call, Stream::Full, Stream::Whole);
        let words = "cannot be written to stdout: No space left on device";
        assert!(
            said.code == 1 && said.stderr.contains(words) && said.stderr.lines().count() == 1,
            "{call:?}: {said:?}"
        );
        for stderr in BROKEN {
            assert_eq!(run_with(&call, Stream::Full, stderr).code, 1, "{call:?}");
            assert_eq!(
                run_with(&call, Stream::Whole, stderr).code,
                code,
                "{call:?}"
            );
        }
    }
}

#[test]
fn what_was_typed_wrong_is_code_2_whatever_became_of_stderr() {
    let world = World::new();
    for program in PROGRAMS {
        let call = world.program_call(program).arg("no-such-verb");
        let said = call.run();
        assert!(
            said.code == 2 && said.stderr.contains("no-such-verb"),
            "{said:?}"
        );
        for stderr in BROKEN {
            assert_eq!(run_with(&call, Stream::Whole, stderr).code, 2);
        }
    }
}
