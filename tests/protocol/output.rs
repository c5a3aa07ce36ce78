//! C23 to C28: what goes to stdout, when, and with which exit code.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use vxlan_cni::cni::serve::serve;
use vxlan_cni::cni::{CniError, CniResult, Plugin, Request};

use crate::stand_in::{PROGRAMS, VERBS, World};
use crate::support::plugin::{Call, Program, Said};
use crate::support::streams::{BROKEN, Stream, command_with};

/// Questions of every kind, good and bad, with what each is.
fn questions(world: &World) -> Vec<(String, Call)> {
    let mut questions = Vec::new();
    let mut ask = |what: String, call: Call| questions.push((what, call));
    for program in PROGRAMS {
        for verb in VERBS.into_iter().chain(["VERSION", "BANANA", ""]) {
            let name = format!("{program:?} {verb}");
            let good = world.config();
            ask(name.clone(), world.call(program, verb, &good));
            let prev = world.config_with(|config| config["prevResult"] = json!({"ips": []}));
            ask(
                format!("{name} with a result"),
                world.call(program, verb, &prev),
            );
            let listed =
                world.config_with(|config| config["cni.dev/valid-attachments"] = json!([]));
            ask(
                format!("{name} with a list"),
                world.call(program, verb, &listed),
            );
            for (what, key, value) in [
                ("version", "cniVersion", json!("9.9.9")),
                ("old version", "cniVersion", json!("0.1.0")),
                ("name", "name", json!("")),
                ("networks", "vxlans", json!(7)),
                ("ipam", "ipam", json!(7)),
                ("folder", "dataDir", json!("relative")),
            ] {
                let bad = world.config_with(|config| config[key] = value);
                ask(
                    format!("{name}, bad {what}"),
                    world.call(program, verb, &bad),
                );
            }
            for stdin in ["", "{", "[]", "null", "\u{0}"] {
                ask(
                    format!("{name} of `{stdin}`"),
                    world.call(program, verb, &good).stdin(stdin),
                );
            }
            ask(
                format!("{name} without a container"),
                world.call(program, verb, &good).without("CNI_CONTAINERID"),
            );
            ask(
                format!("{name} without folders"),
                world.call(program, verb, &good).without("CNI_PATH"),
            );
            ask(
                format!("{name} with odd arguments"),
                world.call(program, verb, &good).env("CNI_ARGS", "a"),
            );
        }
    }
    questions
}

/// The verbs that print something when they succeed.
fn prints(what: &str) -> bool {
    what.split(' ')
        .nth(1)
        .is_some_and(|verb| verb.starts_with("ADD") || verb.starts_with("VERSION"))
}

#[test]
fn c23_c24_exit_code_and_stdout_say_the_same_and_there_is_one_document_or_none() {
    let world = World::new();
    let (mut good, mut bad) = (0, 0);
    for (what, call) in questions(&world) {
        let said = call.run();
        match said.code {
            0 if prints(&what) => assert!(said.json().is_object(), "{what}: {said:?}"),
            0 => assert_eq!(said.stdout, "", "{what}"),
            code => {
                let error = said.json();
                assert_eq!(code, 1, "{what}: {said:?}");
                assert!(
                    error["code"].is_u64() && error["msg"].is_string(),
                    "{what}: {error}"
                );
                bad += 1;
                continue;
            }
        }
        good += 1;
    }
    assert!(good > 20 && bad > 100, "{good} succeeded, {bad} failed");
}

#[test]
fn c24_an_error_has_the_four_keys_of_the_specification() {
    let world = World::new();
    for (what, call) in questions(&world) {
        let said = call.run();
        if said.code != 0 {
            let error = said.json();
            let keys: Vec<&String> = error.as_object().unwrap().keys().collect();
            let all = ["cniVersion", "code", "msg", "details"];
            assert!(
                keys.iter().all(|key| all.contains(&key.as_str())),
                "{what}: {error}"
            );
            assert!(
                error["msg"].as_str().is_some_and(|msg| !msg.is_empty()),
                "{what}: {error}"
            );
            // One line, so that a log has it whole.
            assert_eq!(said.stdout.trim_end().lines().count(), 1, "{what}");
        }
    }
}

#[test]
fn c25_nothing_but_the_document_is_on_stdout_however_much_is_said_beside_it() {
    let world = World::new();
    world.answer("DEL", "echo noise; echo more noise >&2");
    world.answer("STATUS", "echo noise; echo more noise >&2; exit 1");
    let del = world.call(Program::Vxlan, "DEL", &world.config()).run();
    assert_eq!(
        (del.ok(), del.stderr.as_str()),
        (Value::Null, "more noise\n")
    );
    let status = world.call(Program::Vxlan, "STATUS", &world.config()).run();
    assert!(
        status.error(50).contains("noise") && status.stderr == "more noise\n",
        "{status:?}"
    );
    // A journal that cannot be written is told on stderr and stops nothing.
    let config = world.config_with(|config| config["logFile"] = json!("/proc/no/such/log"));
    let del = world.call(Program::Vxlan, "DEL", &config).run();
    assert!(
        del.ok().is_null() && del.stderr.contains("journal /proc/no/such/log"),
        "{del:?}"
    );
}

#[test]
fn c25_a_reader_that_is_gone_ends_the_program_with_an_error() {
    let world = World::new();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let status = Command::new(Program::Vxlan.path())
        .env_clear()
        .env("CNI_COMMAND", "VERSION")
        .stdin(Stdio::null())
        .stdout(full)
        .stderr(Stdio::null())
        .status();
    assert_eq!(status.unwrap().code(), Some(1));
    drop(world);
}

#[test]
fn c26_codes_are_the_specifications_or_100_and_up() {
    let world = World::new();
    let allowed = [1, 2, 3, 4, 5, 6, 7, 8, 11, 50, 51];
    for (what, call) in questions(&world) {
        let said = call.run();
        if said.code != 0 {
            let code = said.json()["code"].as_u64().unwrap();
            assert!(
                allowed.contains(&code) || (100..200).contains(&code),
                "{what}: {said:?}"
            );
        }
    }
}

/// A program with something odd for stdin.
fn with_stdin(program: Program, stdin: File) -> Said {
    let child = Command::new(program.path())
        .env_clear()
        .envs([("CNI_COMMAND", "STATUS")])
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    Said::by(child.unwrap())
}

#[test]
fn c27_stdin_that_cannot_be_read_is_code_5() {
    for program in PROGRAMS {
        let error = with_stdin(program, File::open("/").unwrap()).error(5);
        assert!(error.contains("cannot read stdin"), "{error}");
    }
    let world = World::new();
    let huge = " ".repeat((16 << 20) + 1);
    let error = world
        .call(Program::Vxlan, "DEL", &json!({}))
        .stdin(huge)
        .run()
        .error(5);
    assert!(error.contains("larger than 16 MiB"), "{error}");
}

#[test]
fn c27_b18_what_is_not_json_is_code_6_and_a_long_line_is_read_whole() {
    let world = World::new();
    for program in PROGRAMS {
        for stdin in [
            &b""[..],
            b"{",
            b"{}{",
            b"[]",
            b"7",
            b"\"x\"",
            b"null",
            b"\xff\xfe",
            b"{\"a\":}",
        ] {
            let error = world
                .call(program, "DEL", &json!({}))
                .stdin(stdin)
                .run()
                .error(6);
            assert!(
                error.contains("stdin is not a JSON object"),
                "{stdin:?}: {error}"
            );
        }
        let config = world.config_with(|config| config["comment"] = json!("x".repeat(1 << 20)));
        world.call(program, "DEL", &config).run().ok();
    }
}

#[test]
fn c27_what_a_configuration_means_is_code_7_with_its_path() {
    let world = World::new();
    let config = world.config_with(|config| config["vxlans"][0]["options"]["ttl"] = json!("many"));
    let error = world.call(Program::Vxlan, "ADD", &config).run().error(7);
    assert!(
        error.contains("vxlans[0].options.ttl: wanted a whole number 0..255, seen"),
        "{error}"
    );
    let config = world.config_with(|config| config["ipam"]["routeProtocol"] = json!(2));
    let error = world
        .call(Program::RouteTable, "ADD", &config)
        .run()
        .error(7);
    assert!(
        error.contains("ipam.routeProtocol: wanted a whole number 3..255, seen `2`"),
        "{error}"
    );
}

#[test]
fn c27_what_may_pass_is_code_11() {
    let world = World::new();
    world.answer("DEL", r#"echo '{"code": 11, "msg": "try again"}'; exit 1"#);
    let said = world.call(Program::Vxlan, "DEL", &world.config()).run();
    assert_eq!(said.error(11), "try again; ");
    // A list that changes whenever it is read.
    world.say("echo '[]'; echo 'Dump was interrupted and may be inconsistent.' >&2");
    let config = world.config();
    world.record("c1", |record| record["netns"] = json!("/proc/self/ns/net"));
    let error = world.call(Program::Vxlan, "DEL", &config).run().json();
    assert_eq!(error["code"], 11, "{error}");
}

/// A plugin that ends by a fault of its own.
struct Faulty;

impl Plugin for Faulty {
    fn add(&self, _: &Request) -> Result<CniResult, CniError> {
        panic!("as the test wants it")
    }
    fn del(&self, _: &Request) -> Result<(), CniError> {
        panic!("as the test wants it")
    }
    fn check(&self, _: &Request) -> Result<(), CniError> {
        panic!("as the test wants it")
    }
    fn gc(&self, _: &Request) -> Result<(), CniError> {
        panic!("as the test wants it")
    }
    fn status(&self, _: &Request) -> Result<(), CniError> {
        panic!("as the test wants it")
    }
}

/// This test program as a plugin that panics.
fn faulty() -> Call {
    let this = std::env::current_exe().unwrap();
    let test = "output::c28_a_panic_ends_as_one_json_error_and_a_nonzero_exit";
    let call = Call::at(this.to_str().unwrap())
        .env("CNI_COMMAND", "STATUS")
        .stdin(World::new().config().to_string());
    ["--exact", "--nocapture", test]
        .into_iter()
        .fold(call, |call, word| call.arg(word))
}

#[test]
fn c28_a_panic_that_can_be_told_nowhere_ends_with_a_nonzero_exit_all_the_same() {
    for stderr in BROKEN.into_iter().chain([Stream::Whole]) {
        // With two threads the test program prints nothing between its first line and the end of the test.
        let call = faulty().arg("--test-threads=2");
        let mut child = command_with(&call, Stream::Whole, stderr)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(stdout.any(|line| line.unwrap() == "running 1 test"));
        drop(stdout);
        // The plugin reads its stdin to the end, and panics then.
        let mut stdin = child.stdin.take().unwrap();
        stdin
            .write_all(World::new().config().to_string().as_bytes())
            .unwrap();
        drop(stdin);
        let said = Said::by(child);
        assert_eq!(said.code, 1, "{stderr:?}: {said:?}");
        if stderr == Stream::Whole {
            let words = ["as the test wants it", "stdout cannot be written to"];
            assert!(
                words.iter().all(|word| said.stderr.contains(word)),
                "{said:?}"
            );
        }
    }
}

#[test]
fn c28_a_panic_ends_as_one_json_error_and_a_nonzero_exit() {
    if std::env::var_os("CNI_COMMAND").is_some() {
        // This test, started by itself as a plugin: ends the process.
        serve(&Faulty);
    }
    let said = faulty().run();
    // The test program says something of its own before it.
    let documents: Vec<Value> = said
        .stdout
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let [error] = &documents[..] else {
        panic!("wanted one document: {said:?}")
    };
    assert_eq!((said.code, &error["code"]), (1, &json!(199)));
    assert!(
        error["details"]
            .as_str()
            .unwrap()
            .contains("as the test wants it"),
        "{error}"
    );
    assert!(said.stderr.contains("output.rs"), "{said:?}");
}
