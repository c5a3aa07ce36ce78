//! A node with networks and pods, and its operator.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::lab::{
    Config, Lab, Net, Node, Pod, Snapshot, address, ipv6, left_by_the_underlay, until,
};
use crate::support::plugin::{Call, Program, Said};

/// How many pods join side by side.
const AT_ONCE: usize = 8;

/// One pod on a network.
pub struct Member {
    /// Its network's place in the stage.
    pub net: usize,
    /// The pod.
    pub pod: Pod,
    /// What ADD said.
    pub result: Value,
}

/// A lab whose first node has pods on networks.
pub struct Stage {
    /// Gone after the pods.
    pub members: Vec<Member>,
    /// The networks.
    pub nets: Vec<Net>,
    config: Config,
    lab: Lab,
}

/// Words about an ordinary underlay, as they are about the lab's own.
pub fn on_this_underlay(words: &str) -> String {
    let left = left_by_the_underlay();
    let words = words.replace("1500", &(left + 50).to_string());
    words.replace("1450", &left.to_string())
}

/// A network whose addresses are claims in the routing table.
pub fn claimed(name: &str, id: u32, node: &Node) -> Net {
    let mut ipam = node.route_table();
    ipam["propagationTimeoutMs"] = json!(0);
    Net::new(name, id).with(json!({"ipam": ipam}))
}

impl Stage {
    /// Sets networks up on the first node of a lab; nobody is on them yet.
    pub fn new(lab: Lab, nets: Vec<Net>) -> Self {
        let config = lab.node(0).config(&nets.iter().collect::<Vec<_>>());
        let stage = Self {
            members: Vec::new(),
            nets,
            config,
            lab,
        };
        stage.configure(stage.config.value());
        stage
    }

    /// Writes the configuration that the operator's verbs read.
    pub fn configure(&self, config: &Value) {
        std::fs::write(self.conf(), config.to_string()).unwrap();
    }

    /// Its file.
    pub fn conf(&self) -> PathBuf {
        self.node().dir().join("10-vxlan.conf")
    }

    /// The node.
    pub fn node(&self) -> &Node {
        self.lab.node(0)
    }

    /// The lab.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// The configuration with one network as the default.
    pub fn config(&self, net: usize) -> Config {
        self.config.clone().joining(&self.nets[net])
    }

    /// Puts pods on a network, as `shop/NAME-0` and so on.
    pub fn join(&mut self, net: usize, name: &str, count: usize) {
        let config = self.config(net);
        for index in 0..count {
            let pod = self.node().pod(&format!("{name}{index}"));
            let args =
                format!("IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME={name}-{index}");
            let result = self.node().ask(&config, &pod).args(&args).add();
            self.members.push(Member { net, pod, result });
        }
    }

    /// Puts one pod on a network, with `CNI_ARGS`.
    pub fn join_as(&mut self, net: usize, name: &str, args: &str) {
        let pod = self.node().pod(name);
        let result = self.node().ask(&self.config(net), &pod).args(args).add();
        self.members.push(Member { net, pod, result });
    }

    /// Does something and tells what there is when that has settled.
    pub fn settled_after(&self, act: impl FnOnce(&Self)) -> Snapshot {
        act(self);
        self.settled()
    }

    /// The same on several networks, a few pods at a time.
    pub fn join_at_once(&mut self, groups: &[(usize, &str, usize)]) {
        let node = self.node();
        let mut waiting = Vec::new();
        for &(net, name, count) in groups {
            let config = self.config(net);
            for index in 0..count {
                let pod = node.pod(&format!("{name}{index}"));
                let args =
                    format!("IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME={name}-{index}");
                let ask = node.ask(&config, &pod).args(&args);
                waiting.push((net, pod, ask));
            }
        }
        let mut made = Vec::new();
        while !waiting.is_empty() {
            let some = waiting.drain(..waiting.len().min(AT_ONCE));
            let started: Vec<_> = some
                .map(|(net, pod, ask)| (net, pod, ask.verb("ADD").start()))
                .collect();
            made.extend(started.into_iter().map(|(net, pod, child)| {
                let result = Said::by(child).ok();
                Member { net, pod, result }
            }));
        }
        self.members.extend(made);
    }

    /// Lets the operator type something.
    pub fn call(&self, words: &[&str]) -> Call {
        let [nsenter, net] = self.node().enter();
        let built = std::path::Path::new(Program::Vxlan.path())
            .parent()
            .unwrap();
        let path = format!("{}:/usr/lib/cni", built.display());
        let call = Call::of(Program::Vxlan)
            .env("CNI_PATH", &path)
            .env("LANG", "C.UTF-8");
        let call = words.iter().fold(call, |call, word| call.arg(word));
        let conf = self.conf();
        call.arg("--conf")
            .arg(conf.to_str().unwrap())
            .behind(&[&nsenter, &net])
    }

    /// The same, and what comes of it.
    pub fn operate(&self, words: &[&str]) -> Said {
        self.call(words).run()
    }

    /// Everything there is on the node, once each gateway's link-local address is no longer tentative: a
    /// router listens for its subnet then (RFC 4291, 2.6.1).
    pub fn settled(&self) -> Snapshot {
        until("the gateways are settled", || {
            let seen = self.node().snapshot();
            let listening = seen.with("33:33:ff:00:00:00");
            let settled = |net: &Net| {
                let addresses = self.node().device(&net.mv())["addr_info"].clone();
                let addresses = addresses.as_array().cloned().unwrap_or_default();
                let tentative = addresses.iter().any(|one| one["tentative"] == true);
                let key = format!("net/ipv6/conf/{}/forwarding", net.mv());
                let router = ipv6::networks_have_it()
                    && !addresses.is_empty()
                    && self.node().sysctl(&key) == "1";
                let listens = listening.iter().any(|line| line.contains(&net.mv()));
                !tentative && (!router || listens)
            };
            self.nets.iter().all(settled)
        });
        self.node().snapshot()
    }

    /// The node must be as before; but for the loopback, where a claim's address ends by itself some time after.
    pub fn is_as(&self, before: &Snapshot) {
        let changes = self.node().snapshot().changes_since(before);
        let loopback =
            |line: &String| line.contains("\"ifname\":\"lo\"") || line.contains("\"dev\":\"lo\"");
        let changes: Vec<_> = changes.into_iter().filter(|line| !loopback(line)).collect();
        assert!(
            changes.is_empty(),
            "the node is not as before:\n{}",
            changes.join("\n")
        );
    }

    /// Doctor must be content.
    pub fn is_well(&self) {
        let said = self.operate(&["doctor"]);
        assert_eq!(
            (said.code, said.stderr.as_str()),
            (0, ""),
            "{}",
            said.stdout
        );
    }
}

/// Two pods of a network that talk all the time.
pub struct Bystanders {
    ping: Option<Child>,
}

impl Bystanders {
    /// Lets the first two pods of a network talk.
    pub fn watch(stage: &Stage, net: usize) -> Self {
        let mut of = stage.members.iter().filter(|member| member.net == net);
        let (one, other) = (of.next().unwrap(), of.next().unwrap());
        let to = address(&other.result, 0);
        one.pod.ping(&to);
        let mut ping = one.pod.command(&["ping", "-n", "-q", "-i", "0.1", &to]);
        Self {
            ping: Some(ping.stdout(Stdio::piped()).spawn().unwrap()),
        }
    }

    /// Not one echo may have been lost; the last one may still be under way.
    pub fn noticed_nothing(mut self) {
        let ping = self.ping.take().unwrap();
        let number = ping.id().to_string();
        let told = Command::new("kill").args(["-s", "INT", &number]).status();
        assert!(told.unwrap().success());
        let output = ping.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let numbers: Vec<u32> = text
            .lines()
            .filter(|line| line.contains("packets transmitted"))
            .flat_map(|line| line.split([' ', ',']).filter_map(|word| word.parse().ok()))
            .take(2)
            .collect();
        assert!(numbers[0] > 10 && numbers[1] + 1 >= numbers[0], "{text}");
    }
}

impl Drop for Bystanders {
    fn drop(&mut self) {
        if let Some(mut ping) = self.ping.take() {
            let _ = ping.kill();
            let _ = ping.wait();
        }
    }
}
