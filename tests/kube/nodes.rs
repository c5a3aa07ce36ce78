//! The nodes of the cluster as peers of a network.

use serde_json::{Value, json};

use crate::api::{Api, Say, ok, status};
use crate::scene::Scene;
use crate::support::plugin::Program;

/// A page of nodes by their addresses.
fn page(nodes: &[&[(&str, &str)]], next: &str) -> Value {
    let node = |addresses: &&[(&str, &str)]| {
        let name = addresses[0].1;
        let address = |(kind, address): &(&str, &str)| json!({"type": kind, "address": address});
        let addresses: Vec<Value> = addresses.iter().map(address).collect();
        json!({"metadata": {"name": name}, "status": {"addresses": addresses}})
    };
    let items: Vec<Value> = nodes.iter().map(node).collect();
    json!({"kind": "NodeList", "apiVersion": "v1", "metadata": {"resourceVersion": "7", "continue": next}, "items": items})
}

/// Tries an ADD to a network with the nodes as peers.
fn tried(scene: &Scene, options: &Value) -> Result<String, String> {
    let config = scene.config_with(|config| {
        config["k8sReadAnnotations"] = json!(false);
        config["defaultNetwork"] = json!("green");
        let mut options = options.clone();
        options["vtepdev"] = json!("eth0");
        config["vxlans"][1] = json!({"id": 200, "name": "green", "cidr": "10.2.0.1/16",
            "peers": "kubernetes", "options": options});
    });
    let call = scene.world.call(Program::Vxlan, "ADD", &config);
    let call = call
        .env("CNI_NETNS", "/proc/self/ns/net")
        .env("CNI_NETNS_OVERRIDE", "1");
    let said = scene.run(&call);
    let value = said.json();
    assert_eq!(value["code"].as_u64().is_some(), said.code != 0);
    let text = format!(
        "{} {}",
        value["msg"].as_str().unwrap_or_default(),
        value["details"]
    );
    match value["code"].as_u64() {
        Some(7 | 11) => Err(text),
        _ => Ok(text),
    }
}

#[test]
fn all_pages_of_nodes_are_asked_for_with_the_kubeconfigs_token() {
    let scene = Scene::new();
    let first = page(
        &[&[("InternalIP", "198.18.0.2"), ("Hostname", "a")]],
        "m ore",
    );
    let second = page(&[&[("InternalIP", "198.18.0.3")]], "");
    let api = scene.api(vec![ok(&first), ok(&second)]);
    // It gets as far as the stand-in for `ip` goes.
    tried(&scene, &json!({})).unwrap();
    let lines: Vec<String> = api
        .seen()
        .requests
        .iter()
        .map(|one| one.line.clone())
        .collect();
    let wanted = [
        "GET /api/v1/nodes?limit=100 HTTP/1.1",
        "GET /api/v1/nodes?limit=100&continue=m%20ore HTTP/1.1",
    ];
    assert_eq!(lines, wanted);
    let calls = std::fs::read_to_string(scene.world.path("tool.lines")).unwrap();
    assert!(calls.contains("route get 198.18.0.2 oif eth0"), "{calls}");
}

#[test]
fn what_is_no_list_of_nodes_is_an_error_that_says_what_to_check_and_nothing_is_made() {
    let empty = page(&[&[("Hostname", "a")]], "");
    let loopback = page(&[&[("InternalIP", "127.0.0.1")]], "");
    let v6 = page(&[&[("InternalIP", "fd00::1")]], "");
    for (says, options, words) in [
        (status(403), json!({}), "may not list nodes"),
        (status(401), json!({}), "it does not know who asks"),
        (
            ok(&json!({"kind": "PodList", "metadata": {}, "items": []})),
            json!({}),
            "is a `PodList` where a NodeList was wanted",
        ),
        (ok(&json!([7])), json!({}), "is no list of nodes"),
        (ok(&empty), json!({}), "Kubernetes names no address"),
        (
            ok(&v6),
            json!({"srcaddr": "198.18.0.1"}),
            "Kubernetes names no address",
        ),
        (ok(&loopback), json!({}), "Kubernetes names no address"),
        (
            Say::AndEnd("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{\"a\":".to_owned()),
            json!({}),
            "is not JSON",
        ),
    ] {
        let scene = Scene::new();
        let _api: Api = scene.api(vec![says]);
        let error = tried(&scene, &options).unwrap_err();
        assert!(error.contains(words) && error.contains("green"), "{error}");
        scene.untouched();
    }
}

#[test]
fn an_agent_watches_the_nodes_from_the_list_on_and_lists_them_anew_where_the_server_knows_no_more_what_came_since()
 {
    let scene = Scene::new();
    let event = |version: &str| {
        let node = json!({"metadata": {"name": "b", "resourceVersion": version},
            "status": {"addresses": [{"type": "InternalIP", "address": "198.18.0.3"}]}});
        json!({"type": "ADDED", "object": node})
    };
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
    let list = page(&[&[("InternalIP", "198.18.0.2")]], "");
    let gone = json!({"type": "ERROR", "object": {"kind": "Status", "code": 410}});
    let api = scene.api(vec![
        ok(&list),
        Say::AndEnd(format!("{head}{}\n", event("8"))),
        Say::AndEnd(format!("{head}{gone}\n")),
        ok(&list),
        Say::AndWait(head.to_owned()),
    ]);
    let config = scene.config_with(|config| {
        config["vxlans"] = json!([{"id": 200, "name": "green", "cidr": "10.2.0.1/16",
            "peers": "kubernetes", "options": {"vtepdev": "eth0"}}]);
        config["defaultNetwork"] = json!("green");
    });
    let file = scene.file("agent.conf", &config.to_string());
    let call = scene.world.call(Program::Vxlan, "ADD", &config);
    let call = ["CNI_COMMAND", "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"]
        .into_iter()
        .fold(call, |call, name| call.without(name));
    let words = [
        "agent",
        "--listen",
        "127.0.0.1:0",
        "--conf",
        file.to_str().unwrap(),
    ];
    let agent = words.iter().fold(call, |call, word| call.arg(word)).start();
    let lines = || -> Vec<String> {
        let seen = api.seen();
        let all = seen.requests.iter();
        all.map(|one| one.line.replace(" HTTP/1.1", "")).collect()
    };
    crate::support::lab::until("it watches again", || lines().len() >= 5);
    let watch =
        "GET /api/v1/nodes?watch=true&allowWatchBookmarks=true&timeoutSeconds=60&resourceVersion=";
    let wanted = [
        "GET /api/v1/nodes?limit=100".to_owned(),
        format!("{watch}7"),
        format!("{watch}8"),
        "GET /api/v1/nodes?limit=100".to_owned(),
        format!("{watch}7"),
    ];
    assert_eq!(lines(), wanted);
    let pid = rustix::process::Pid::from_raw(i32::try_from(agent.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let said = crate::support::plugin::Said::by(agent);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.stderr.contains("ends the watch with an error"),
        "{said:?}"
    );
}
