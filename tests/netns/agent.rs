//! `vxlan agent`: what it hears of while it runs, and what it tells.

use std::process::Child;

use serde_json::{Value, json};

use crate::support::lab::{Config, Lab, Net, Node, until};
use crate::support::plugin::{Call, Program, Said};

/// An agent on a node; it is ended with its value.
struct Agent<'a> {
    node: &'a Node,
    process: Option<Child>,
}

impl<'a> Agent<'a> {
    fn start(node: &'a Node, config: &Config, every: &str) -> Self {
        let file = node.dir().with_extension("conf");
        std::fs::write(&file, config.value().to_string()).unwrap();
        let [nsenter, net] = node.enter();
        let call = Call::of(Program::Vxlan).behind(&[&nsenter, &net]);
        let words = ["agent", "--every", every, "--conf", file.to_str().unwrap()];
        let call = words.iter().fold(call, |call, word| call.arg(word));
        let agent = Self {
            node,
            process: Some(call.start()),
        };
        until("the agent has looked at the node", || {
            let said = agent.get("healthz").1;
            let health = serde_json::from_str::<Value>(&said).unwrap_or_default();
            health["rounds"].as_u64() > Some(0)
        });
        agent
    }

    /// Status and body of an answer; 0 where nothing listens yet.
    fn get(&self, path: &str) -> (u32, String) {
        let line = format!(
            "exec 3<>/dev/tcp/127.0.0.1/9789 && printf 'GET /{path} HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n' >&3 && cat <&3"
        );
        let output = self.node.exec(&["bash", "-c", &line]);
        let text = String::from_utf8(output.stdout).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            return (0, text);
        };
        (
            head.split(' ').nth(1).unwrap().parse().unwrap(),
            body.to_owned(),
        )
    }

    fn health(&self) -> Value {
        serde_json::from_str(&self.get("healthz").1).unwrap()
    }

    /// Tells it to end, and what it has said.
    fn end(mut self) -> Said {
        let child = self.process.take().unwrap();
        let pid = child.id().to_string();
        self.node.run(&["kill", &pid]);
        Said::by(child)
    }
}

impl Drop for Agent<'_> {
    fn drop(&mut self) {
        if let Some(child) = &mut self.process {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn flood(node: &Node) -> String {
    node.run(&["bridge", "fdb", "show", "dev", "vx_blue"])
}

#[test]
fn an_agent_takes_up_peers_of_a_file_as_they_change_and_joins_and_leaves_nothing_by_itself() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    node.ip("link set lo up");
    let before = node.snapshot();
    let file = node.dir().with_extension("peers");
    let tell = |text: &str| {
        let draft = file.with_extension("draft");
        std::fs::write(&draft, text).unwrap();
        std::fs::rename(&draft, &file).unwrap();
    };
    tell("198.18.0.1\n198.18.0.2\n");
    let blue = Net::new("blue", 100).peers(3, false);
    let blue = blue.with(json!({"peers": {"file": file}}));
    let config = node.config(&[&blue]);
    let agent = Agent::start(node, &config, "86400");
    // Without a pod there is nothing to keep.
    node.snapshot().assert_same(&before);
    let pod = node.pod("web");
    let ask = node.ask(&config, &pod);
    let result = ask.add();
    assert!(!flood(node).contains("198.18.0.3"));
    tell("198.18.0.1\n198.18.0.3\n");
    until("the new peer is there and the old one is gone", || {
        let entries = flood(node);
        entries.contains("198.18.0.3") && !entries.contains("198.18.0.2")
    });
    until("CHECK goes by the new list", || {
        ask.after(&result).say("CHECK").code == 0
    });
    // A wrong line is an error that /healthz names, and the peers stay.
    tell("198.18.0.1\nnonsense\n");
    until("/healthz names the wrong line", || {
        agent.health()["failed"].to_string().contains("nonsense")
    });
    assert!(flood(node).contains("198.18.0.3"));
    tell("198.18.0.1\n198.18.0.3\n");
    until("all is well", || agent.health()["failed"] == json!([]));
    // An edit of the configuration is a change too: the node joins without a pod.
    let always = Net::new("red", 200).with(json!({"join": "always"}));
    std::fs::write(
        node.dir().with_extension("conf"),
        node.config(&[&blue, &always]).value().to_string(),
    )
    .unwrap();
    until("the node is on the other network", || {
        node.ip("link").contains("mv_red")
    });
    let (code, metrics) = agent.get("metrics");
    assert_eq!(code, 200);
    for line in [
        "vxlan_agent_failed 0\n",
        "vxlan_peers{network=\"blue\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    assert_eq!(agent.get("etc/passwd").0, 404);
    // A client that promises a body, says nothing, or says too much holds up no other.
    let slow = "exec 3<>/dev/tcp/127.0.0.1/9789; printf 'GET /healthz HTTP/1.1\\r\\nContent-Length: 9\\r\\n' >&3; read -r line <&3";
    let clients: Vec<Child> = (0..4)
        .map(|_| node.command(&["bash", "-c", slow]).spawn().unwrap())
        .collect();
    assert_eq!(agent.get("healthz").0, 200);
    let long = format!("metrics?{}", "a".repeat(20_000));
    assert_eq!(agent.get(&long).0, 0);
    assert_eq!(agent.get("healthz").0, 200);
    for mut client in clients {
        client.wait().unwrap();
    }
    let said = agent.end();
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.stderr.contains("network blue: bridge fdb append"),
        "{said:?}"
    );
    ask.del();
    node.operate(&config, &["gc", "--yes"]);
    std::fs::remove_file(file).unwrap();
    // How far the journal was counted, for the next scrape of this boot.
    std::fs::remove_file(node.run_dir().join("verbs.json")).unwrap();
    node.snapshot().assert_same(&before);
}

#[test]
fn an_agent_mends_what_is_taken_away_with_its_timer_and_a_second_one_says_that_there_is_one() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    node.ip("link set lo up");
    let blue = Net::new("blue", 100);
    let config = node.config(&[&blue]);
    let pod = node.pod("web");
    let ask = node.ask(&config, &pod);
    let result = ask.add();
    let agent = Agent::start(node, &config, "1");
    node.ip("rule del pref 19200");
    pod.ip("route del default");
    until("rule and route are back", || {
        ask.after(&result).say("CHECK").code == 0
    });
    let second = node.operate(&config, &["agent"]);
    assert_eq!(second.code, 1);
    assert!(
        second.stderr.contains("cannot listen on 127.0.0.1:9789"),
        "{second:?}"
    );
    assert_eq!(agent.get("healthz").0, 200);
    // A configuration that is gone for a moment ends nothing.
    let file = node.dir().with_extension("conf");
    let text = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    until("the agent misses it", || {
        agent.health()["failed"] != json!([])
    });
    std::fs::write(&file, text).unwrap();
    until("the agent has it again", || {
        agent.health()["failed"] == json!([])
    });
    assert_eq!(agent.end().code, 0);
    ask.del();
}
