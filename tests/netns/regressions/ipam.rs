//! Delegation to the IPAM.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::lab::{Lab, Net, ipv6};

/// An IPAM of these lines of a shell, which answers every verb and notes what it was asked.
fn ipam(lab: &Lab, lines: &str) -> PathBuf {
    let asked = lab.dir().join("ipam/asked");
    let body = format!(
        "exec 3>>{}\necho \"$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME $CNI_ARGS\" >&3\ncat >&3\necho >&3\n{lines}",
        asked.display()
    );
    lab.script("ipam", "told", &body)
}

/// What it was asked: verb and variables, and what was on stdin.
fn asked(lab: &Lab) -> Vec<(String, Value)> {
    let text = std::fs::read_to_string(lab.dir().join("ipam/asked")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let pair = |pair: &[&str]| (pair[0].to_owned(), serde_json::from_str(pair[1]).unwrap());
    lines.chunks(2).map(pair).collect()
}

#[test]
fn b23_the_ipam_is_found_in_any_folder_of_cni_path() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let empty = lab.dir().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let pod = node.pod("web");
    let ask = node.ask(&node.config(&[&Net::new("blue", 100)]), &pod);
    for path in [
        "{}:/no/such/folder:/usr/lib/cni",
        "/usr/lib/cni:{}",
        ":{}::/usr/lib/cni:",
    ] {
        let path = path.replace("{}", empty.to_str().unwrap());
        let ask = ask.clone().env("CNI_PATH", &path);
        let result = ask.add();
        ask.check(&result);
        ask.after(&result).del();
    }
}

#[test]
fn b24_b28_the_ipam_gets_everything_and_is_always_asked_to_release() {
    ipv6::is_needed();
    let lab = Lab::new(1);
    let node = lab.node(0);
    let said = json!({"cniVersion": "1.0.0", "ips": [{"address": "10.100.0.7/16"}, {"address": "fd10:64::7/112"}]});
    let dir = ipam(&lab, &format!("test $CNI_COMMAND != ADD || echo '{said}'"));
    let mut pod = node.pod("web");
    let config = node
        .config(&[&Net::new("blue", 100).dual()])
        .ipam(json!({"type": "told"}));
    let args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-1";
    let ask = node.ask(&config, &pod).plugins_first(&dir).args(args);
    let before = node.snapshot();
    ask.add();
    pod.end();
    // No namespace and no result of ADD: the lease is released all the same, also when asked again.
    ask.del();
    ask.del();
    let asked = asked(&lab);
    let line = |verb: &str| format!("{verb} {} eth0 {args}", pod.container);
    let lines: Vec<&String> = asked.iter().map(|(line, _)| line).collect();
    assert_eq!(lines, [&line("ADD"), &line("DEL"), &line("DEL")]);
    for (_, told) in &asked {
        assert_eq!(told["vxlans"], config.value()["vxlans"]);
        assert_eq!(told["ipam"]["ranges"][0][0]["subnet"], "10.100.0.0/16");
        assert_eq!(told["ipam"]["ranges"][1][0]["subnet"], "fd10:64::/112");
    }
    node.snapshot().assert_same(&before);
}

#[test]
fn b25_an_ipam_that_fails_at_add_is_asked_to_release() {
    let good = r#"{"cniVersion": "1.0.0", "ips": [{"address": "10.9.9.9/16"}]}"#;
    for (at_add, code, says) in [
        (
            r#"{ echo '{"code": 11, "msg": "not now"}'; exit 1; }"#.to_owned(),
            11,
            "not now",
        ),
        ("exit 3".to_owned(), 100, "without a CNI error: exit code 3"),
        (
            "kill -9 $$".to_owned(),
            100,
            "without a CNI error: was killed",
        ),
        (
            r#"echo '{"cniVersion": "1.0.0", "ips": [{'"#.to_owned(),
            6,
            "its result cannot be read",
        ),
        (format!("echo '{good}'"), 7, "outside of 10.100.0.0/16"),
    ] {
        let lab = Lab::new(1);
        let node = lab.node(0);
        let dir = ipam(&lab, &format!("test $CNI_COMMAND != ADD || {at_add}"));
        let pod = node.pod("web");
        let config = node
            .config(&[&Net::new("blue", 100)])
            .ipam(json!({"type": "told"}));
        let before = node.snapshot();
        let said = node
            .ask(&config, &pod)
            .plugins_first(&dir)
            .add_refused(code);
        assert!(said.contains(says), "{said}");
        let verbs: Vec<String> = asked(&lab)
            .iter()
            .map(|(line, _)| line.split(' ').next().unwrap().to_owned())
            .collect();
        assert_eq!(verbs, ["ADD", "DEL"], "{at_add}");
        node.snapshot().assert_same(&before);
    }
}

#[test]
fn b26_the_ipams_own_error_and_what_it_says_on_stderr_are_passed_on() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let error = r#"{"code": 4711, "msg": "no lease", "details": "the pool is dry"}"#;
    let dir = ipam(
        &lab,
        &format!(
            "echo a word on stderr >&2; test $CNI_COMMAND != ADD || {{ echo '{error}'; exit 1; }}"
        ),
    );
    let pod = node.pod("web");
    let config = node
        .config(&[&Net::new("blue", 100)])
        .ipam(json!({"type": "told"}));
    let said = node.ask(&config, &pod).plugins_first(&dir).say("ADD");
    assert!(said.stderr.contains("a word on stderr"), "{said:?}");
    assert_eq!(said.error(4711), "no lease; the pool is dry");
}

#[test]
fn b60_the_ipams_gateway_and_routes_count_and_an_address_may_have_its_length() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let pod = node.pod("web");
    let annotation = json!({"vxlan-cni.phdata.io/RequestedAddress": "10.100.1.14/16"});
    let range = json!({"subnet": "10.100.0.0/16", "rangeStart": "10.100.1.0",
        "rangeEnd": "10.100.1.99", "gateway": "10.100.0.254"});
    let routes = json!([{"dst": "0.0.0.0/0", "gw": "10.100.0.253"}, {"dst": "10.201.0.0/16"}]);
    let config = node.config(&[&Net::new("blue", 100)]).with(json!({
        "args": {"annotations": annotation},
        "ipam": {"ranges": [[range]], "routes": routes},
    }));
    let ask = node.ask(&config, &pod);
    let result = ask.add();
    assert_eq!(result["ips"][0]["address"], "10.100.1.14/16");
    assert_eq!(result["ips"][0]["gateway"], "10.100.0.254");
    let shown = pod.show("route show table main");
    let via = |dst: &str| {
        let mut routes = shown.as_array().unwrap().iter();
        let found = routes.find(|route| route["dst"] == dst).unwrap();
        found["gateway"].as_str().unwrap().to_owned()
    };
    assert_eq!(via("default"), "10.100.0.253");
    assert_eq!(via("10.201.0.0/16"), "10.100.0.254");
    ask.check(&result);
}
