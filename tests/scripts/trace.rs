//! What the programs start and what they leave to others, as `scripts/trace` sees it.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::lab::Lab;
use crate::{Folder, both, ends_with, script};

/// Runs a command under `scripts/trace` and tells its report.
fn trace(code: i32, command: &str, arguments: &[&str], stdin: &str, env: &[(&str, &str)]) -> Value {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let folder = Folder::new(&format!("trace{}", COUNT.fetch_add(1, Ordering::Relaxed)));
    let report = folder.path("report");
    let mut trace = script("trace", &["--report", report.to_str().unwrap()]);
    trace.arg(command).args(arguments).envs(env.iter().copied());
    let mut traced = trace
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    traced
        .stdin
        .take()
        .unwrap()
        .write_all(stdin.as_bytes())
        .unwrap();
    let output = traced.wait_with_output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(code),
        "{trace:?}: {}",
        both(&output)
    );
    serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap()
}

#[test]
fn a_trace_tells_a_programs_own_doing_from_that_of_what_it_starts() {
    let folder = Folder::new("ours");
    let ours = folder.path("vxlan");
    // `ip` under our name does what ours must not; a shell under our name only lets others do it.
    for (real, arguments, code) in [
        ("ip", vec!["link", "show", "dev", "lo"], 3),
        (
            "bash",
            vec!["-c", "ip link show dev lo; (ip -V); exit 0"],
            0,
        ),
        ("unshare", vec!["--net", "true"], 3),
    ] {
        let found = ends_with(
            0,
            Command::new("sh").args(["-c", &format!("command -v {real}")]),
        );
        let _ = std::fs::remove_file(&ours);
        std::os::unix::fs::symlink(found.trim(), &ours).unwrap();
        let report = trace(code, ours.to_str().unwrap(), &arguments, "", &[]);
        let broken = report["broken"].as_array().unwrap();
        assert_eq!(broken.is_empty(), code == 0, "{report}");
        match real {
            "bash" => assert_eq!(report["started"], json!({"vxlan": {"ip": 2}})),
            "ip" => assert!(
                broken[0].as_str().unwrap().contains("AF_NETLINK"),
                "{report}"
            ),
            _ => assert!(broken[0].as_str().unwrap().contains("unshare"), "{report}"),
        }
    }
}

#[test]
fn verbs_start_few_processes_and_leave_netlink_and_namespaces_to_ip() {
    let lab = Lab::up("1");
    lab.run(&["-q", "add", "1", "first"]);
    lab.run(&["-q", "add", "1", "second"]);
    let state = lab.folder().join("n1/run/pods/second");
    lab.run(&["-q", "check", "1", "second"]);
    let config = std::fs::read_to_string(state.join("config.json")).unwrap();
    let with_result = std::fs::read_to_string(state.join("config+result.json")).unwrap();
    let node = format!("vxlab-{}-n1", lab.0);
    let plugins = lab.folder().join("n1/opt/cni/bin");
    let plugin = plugins.join("vxlan");
    let call = |verb, stdin: &str| {
        let netns = format!("/run/netns/{node}-second");
        let env = [
            ("CNI_COMMAND", verb),
            ("CNI_CONTAINERID", "second"),
            ("CNI_NETNS", &netns),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", plugins.to_str().unwrap()),
        ];
        let report = trace(
            0,
            "ip",
            &["netns", "exec", &node, plugin.to_str().unwrap()],
            stdin,
            &env,
        );
        assert_eq!(report["broken"], json!([]), "{verb}");
        let started = report["started"]["vxlan"].as_object().unwrap().clone();
        println!("{verb}: {report}");
        assert_eq!(started["route-table"], 1, "{verb}: {report}");
        let count = |(program, count): (&String, &Value)| match program.as_str() {
            "route-table" => 0,
            _ => count.as_u64().unwrap(),
        };
        started.iter().map(count).sum::<u64>()
    };
    assert!(call("CHECK", &with_result) <= 4);
    assert!(call("DEL", &with_result) <= 2);
    // One that has a neighbour already: the host side is complete.
    assert!(call("ADD", &config) <= 4);
}
