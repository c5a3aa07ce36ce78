//! The plugin asked about a pod on a node.

use std::path::Path;

use serde_json::Value;

use super::super::plugin::{Call, Program, Said};
use super::config::Config;
use super::node::Node;
use super::pod::Pod;

/// Where Debian puts the reference plugins.
pub const CNI_PLUGINS: &str = "/usr/lib/cni";

/// A question, to be put as one verb or another.
#[derive(Debug, Clone)]
pub struct Ask {
    call: Call,
    config: Config,
}

impl Ask {
    /// About `eth0` of a pod.
    pub(super) fn new(node: &Node, config: &Config, pod: &Pod) -> Self {
        let [nsenter, net] = node.enter();
        let built = Path::new(Program::RouteTable.path()).parent().unwrap();
        let call = Call::of(Program::Vxlan)
            .behind(&[&nsenter, &net])
            .env("CNI_PATH", &format!("{}:{CNI_PLUGINS}", built.display()))
            .attachment(&pod.container, pod.path(), "eth0");
        Self {
            call,
            config: config.clone(),
        }
    }

    /// About another interface.
    pub fn ifname(self, name: &str) -> Self {
        self.env("CNI_IFNAME", name)
    }

    /// With `CNI_ARGS`.
    pub fn args(self, args: &str) -> Self {
        self.env("CNI_ARGS", args)
    }

    /// With another `CNI_NETNS`.
    pub fn netns(self, path: &str) -> Self {
        self.env("CNI_NETNS", path)
    }

    /// With a variable set.
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.call = self.call.env(key, value);
        self
    }

    /// With a folder before all others in PATH: for stand-ins of `ip`, `bridge`, `sysctl`.
    pub fn path_first(self, dir: &Path) -> Self {
        let path = std::env::var("PATH").unwrap_or_default();
        self.env("PATH", &format!("{}:{path}", dir.display()))
    }

    /// With a folder before all others in `CNI_PATH`: for stand-ins of the IPAM.
    pub fn plugins_first(self, dir: &Path) -> Self {
        let built = Path::new(Program::RouteTable.path()).parent().unwrap();
        let path = format!("{}:{}:{CNI_PLUGINS}", dir.display(), built.display());
        self.env("CNI_PATH", &path)
    }

    /// Of an installed program, beside which the IPAM is looked for first.
    pub fn of_installed(mut self, program: &Path) -> Self {
        self.call = self.call.by_file(program);
        self.plugins_first(program.parent().unwrap())
    }

    /// Behind other words, as `strace -f -o FILE`.
    pub fn behind(mut self, words: &[&str]) -> Self {
        self.call = self.call.behind(words);
        self
    }

    /// With another configuration.
    pub fn config(mut self, config: &Config) -> Self {
        self.config = config.clone();
        self
    }

    /// The call of a verb, not started.
    pub fn verb(&self, verb: &str) -> Call {
        let stdin = self.config.value().to_string();
        self.call.clone().env("CNI_COMMAND", verb).stdin(stdin)
    }

    /// Puts the question.
    pub fn say(&self, verb: &str) -> Said {
        self.verb(verb).run()
    }

    /// ADD that must succeed.
    pub fn add(&self) -> Value {
        self.say("ADD").ok()
    }

    /// ADD that must fail with a code: message and details.
    pub fn add_refused(&self, code: u64) -> String {
        self.say("ADD").error(code)
    }

    /// CHECK that must succeed.
    pub fn check(&self, result: &Value) {
        self.after(result).say("CHECK").ok();
    }

    /// CHECK that must fail with a code: message and details.
    pub fn check_refused(&self, result: &Value, code: u64) -> String {
        self.after(result).say("CHECK").error(code)
    }

    /// DEL that must succeed, with nothing said.
    pub fn del(&self) {
        assert_eq!(self.say("DEL").ok(), Value::Null);
    }

    /// The same question with the result of ADD.
    pub fn after(&self, result: &Value) -> Self {
        Self {
            config: self.config.after(result),
            ..self.clone()
        }
    }
}

/// The `n`-th address of a result, without its length.
pub fn address(result: &Value, n: usize) -> String {
    let cidr = result["ips"][n]["address"].as_str();
    let cidr = cidr.unwrap_or_else(|| panic!("no address {n} in {result}"));
    cidr.split('/').next().unwrap().to_owned()
}

/// The MAC of the pod's interface in a result.
pub fn mac(result: &Value) -> String {
    result["interfaces"][2]["mac"].as_str().unwrap().to_owned()
}
