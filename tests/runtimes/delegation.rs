//! How the IPAM is found, started and heard (CNI 1.1.0, section 4).

use std::fs::OpenOptions;

use serde_json::{Value, json};

use crate::misbehaving::{HANGS, Scene};
use crate::prerequisites::require;
use crate::stand_in::{environment, lease, says};
use crate::support::lab::ask::CNI_PLUGINS;
use crate::support::lab::{address, until};
use crate::support::plugin::{Said, signal};
use crate::support::program;

/// What the stand-in says where nothing is wrong.
fn leases() -> String {
    says(&lease(&["10.100.1.7/16"]))
}

#[test]
fn c38_the_ipam_has_the_plugins_own_environment_byte_for_byte_but_for_the_verb() {
    let scene = Scene::new(&[("ADD", HANGS)]);
    let pod = scene.node().pod("web");
    let odd = r"export ODD=$(printf '\377\nx=y '); exec env -u PWD -u OLDPWD LANG=tlh EMPTY= TRACEPARENT=00-1-2-01 $0 $@";
    let args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-1;ANY=thing";
    let ask = scene.ask(&pod).args(args).behind(&["sh", "-c", odd]);
    let child = ask.verb("ADD").start();
    until("the IPAM hangs", || scene.ipam.calls() == ["ADD"]);
    let own = environment(&std::fs::read(format!("/proc/{}/environ", child.id())).unwrap());
    signal(&child, "TERM");
    Said::by(child).error(11);
    assert_eq!(own[&b"CNI_ARGS"[..]], args.as_bytes());
    assert_eq!(own[&b"ODD"[..]], b"\xff\nx=y ");
    assert_eq!(scene.ipam.environment("ADD"), own);
    let mut released = scene.ipam.environment("DEL");
    assert_eq!(
        released
            .insert(b"CNI_COMMAND".into(), b"ADD".into())
            .unwrap(),
        b"DEL"
    );
    assert_eq!(released, own);
}

#[test]
fn c39_the_ipam_reads_the_whole_configuration_with_nothing_but_its_own_part_filled_in() {
    let scene = Scene::new(&[("ADD", &leases())]);
    let pod = scene.node().pod("web");
    let more = json!({
        "unknown": {"kept": [1, 2.5, null, "é"]},
        "args": {"cni": {"labels": ["a"]}, "other": 7},
        "runtimeConfig": {"ipRanges": [[{"subnet": "10.100.3.0/24"}]], "bandwidth": {"ingressRate": 1}},
        "prevResult": {"cniVersion": "1.0.0", "interfaces": [{"name": "before"}]},
    });
    let config = scene.config.clone().with(more);
    let ask = scene.ask(&pod).config(&config);
    let result = ask.add();
    ask.after(&result).say("CHECK").ok();
    ask.after(&result).del();
    assert_eq!(scene.ipam.calls(), ["ADD", "CHECK", "DEL"]);
    for verb in ["ADD", "CHECK", "DEL"] {
        let mut whole = config.value().clone();
        if verb != "ADD" {
            whole["prevResult"] = result.clone();
        }
        let range = json!({"subnet": "10.100.0.0/16", "rangeStart": "10.100.1.0", "rangeEnd": "10.100.1.255", "gateway": "10.100.0.1"});
        whole["ipam"] = json!({"type": "stand-in", "ranges": [[range]]});
        assert_eq!(scene.ipam.stdin(verb), whole, "{verb}");
    }
}

#[test]
fn c40_what_the_ipam_says_on_stderr_is_said_on_ours_and_stdout_stays_one_document() {
    let scene = Scene::new(&[
        (
            "ADD",
            &format!("echo asked >&2\n{}\necho answered >&2", leases()),
        ),
        ("DEL", "echo released >&2"),
    ]);
    let pod = scene.node().pod("web");
    let said = scene.ask(&pod).say("ADD");
    assert_eq!(said.stderr, "asked\nanswered\n");
    let result = said.ok();
    let said = scene.ask(&pod).after(&result).say("DEL");
    assert_eq!(
        (said.stdout.as_str(), said.stderr.as_str()),
        ("", "released\n")
    );
}

#[test]
fn c37_b23_the_ipam_is_looked_for_in_each_folder_of_cni_path_and_missing_it_is_told_with_them() {
    let scene = Scene::new(&[("ADD", &leases())]);
    let pod = scene.node().pod("web");
    let before = scene.node().snapshot();
    // A folder of its name is no plugin.
    let decoy = scene.node().dir().join("decoy");
    std::fs::create_dir_all(decoy.join("stand-in")).unwrap();
    let path = |dirs: &[&str]| dirs.join(":");
    let (decoy, dir) = (decoy.to_str().unwrap(), scene.ipam.dir().to_str().unwrap());
    let found = scene.ask(&pod).env(
        "CNI_PATH",
        &path(&["/nonexistent", decoy, "", dir, CNI_PLUGINS]),
    );
    let result = found.add();
    found.after(&result).del();
    let lost = scene
        .ask(&pod)
        .env("CNI_PATH", &path(&["/nonexistent", decoy]));
    let said = lost.say("ADD").error(7);
    assert!(
        said.contains(&format!(
            "`stand-in` is in none of the folders of CNI_PATH: /nonexistent:{decoy}"
        )),
        "{said}"
    );
    let said = lost.env("CNI_PATH", "").say("ADD").error(7);
    assert!(said.contains("CNI_PATH"), "{said}");
    scene.node().snapshot().assert_same(&before);
}

#[test]
fn c43_an_ipam_that_is_being_written_is_tried_again_until_it_can_be_run() {
    require();
    let scene = Scene::new(&[("ADD", &leases())]);
    let pod = scene.node().pod("web");
    let written = OpenOptions::new()
        .append(true)
        .open(scene.ipam.file())
        .unwrap();
    let trace = scene.node().dir().join("trace");
    let strace = [
        "strace",
        "-f",
        "-qq",
        "-e",
        "trace=execve",
        "-o",
        trace.to_str().unwrap(),
    ];
    let child = scene.ask(&pod).behind(&strace).verb("ADD").start();
    until("the IPAM was busy", || {
        std::fs::read_to_string(&trace).is_ok_and(|text| text.contains("ETXTBSY"))
    });
    drop(written);
    let result = Said::by(child).ok();
    assert_eq!(address(&result, 0), "10.100.1.7");
    assert_eq!(scene.ipam.calls(), ["ADD"]);
    scene.ask(&pod).check(&result);
}

#[test]
fn c43_an_ipam_that_stays_being_written_is_told_and_the_record_waits_for_a_del() {
    let scene = Scene::new(&[("ADD", &leases())]);
    let pod = scene.node().pod("web");
    let before = scene.node().snapshot();
    let written = OpenOptions::new()
        .append(true)
        .open(scene.ipam.file())
        .unwrap();
    let said = scene.ask(&pod).say("ADD").error(100);
    assert!(
        said.contains("`stand-in` did not carry out ADD") && said.contains("Text file busy"),
        "{said}"
    );
    assert!(
        said.contains("could not be taken back: the plugin `stand-in` did not carry out DEL"),
        "{said}"
    );
    assert!(!pod.is_linked());
    drop(written);
    scene.ask(&pod).del();
    assert_eq!(scene.ipam.calls(), ["DEL"]);
    scene.node().snapshot().assert_same(&before);
}

#[test]
fn c37_an_ipam_that_cannot_be_executed_is_told_and_leaves_nothing() {
    let scene = Scene::new(&[]);
    let pod = scene.node().pod("web");
    let before = scene.node().snapshot();
    for (content, mode, code, why) in [
        (
            "#!/bin/sh\n",
            0o644,
            7,
            "for want of permission to execute it",
        ),
        (
            "#!/nonexistent/sh\n",
            0o755,
            100,
            "No such file or directory",
        ),
        ("no program", 0o755, 100, "Exec format error"),
    ] {
        program::put_with_mode(content.as_bytes(), &scene.ipam.file(), mode);
        let said = scene.ask(&pod).say("ADD").error(code);
        assert!(said.contains("stand-in") && said.contains(why), "{said}");
        assert!(!pod.is_linked());
        // Nobody could be asked to release: the attachment waits for a DEL that can.
        scene.ipam.does(&[]);
        scene.ask(&pod).del();
        scene.node().snapshot().assert_same(&before);
    }
}

#[test]
fn c49_the_ipams_del_runs_also_when_the_namespace_is_gone_and_without_a_record() {
    let scene = Scene::new(&[("ADD", &leases())]);
    let mut pod = scene.node().pod("web");
    let before = scene.node().snapshot();
    scene.ask(&pod).add();
    pod.end();
    scene.ask(&pod).netns("").del();
    scene.ask(&pod).netns("").del();
    assert_eq!(scene.ipam.calls(), ["ADD", "DEL", "DEL"]);
    scene.node().snapshot().assert_same(&before);
    assert_ne!(scene.ipam.stdin("DEL"), Value::Null);
}
