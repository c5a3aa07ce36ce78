//! A list of plugins run as libcni runs it.
//!
//! As in its `api.go`: every plugin gets the list's name and version, the result of the one before it,
//! and of the runtime's capabilities those it declares; CHECK runs forwards and DEL backwards, each with
//! the whole list's result, which DEL does not get before 0.4.0.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::support::lab::ask::CNI_PLUGINS;
use crate::support::lab::{Config, Node, Pod};
use crate::support::plugin::{Call, Program, Said};

/// A list of plugins on a node, for one pod.
pub struct Chain<'a> {
    node: &'a Node,
    pod: &'a Pod,
    version: &'a str,
    links: Vec<Link>,
    capabilities: Map<String, Value>,
    first: Option<&'a Path>,
}

/// One plugin of a list.
struct Link {
    config: Value,
    ifname: &'static str,
}

impl<'a> Chain<'a> {
    /// An empty one of a version.
    pub fn new(node: &'a Node, pod: &'a Pod, version: &'a str) -> Self {
        Self {
            node,
            pod,
            version,
            links: Vec::new(),
            capabilities: Map::new(),
            first: None,
        }
    }

    /// With our plugin next.
    pub fn ours(self, config: &Config) -> Self {
        self.then(config.value().clone())
    }

    /// With another plugin next.
    pub fn then(mut self, config: Value) -> Self {
        self.links.push(Link {
            config,
            ifname: "eth0",
        });
        self
    }

    /// With another interface for the plugin named last, as plugins of plugins have it; libcni itself
    /// has one for the whole list.
    pub fn ifname(mut self, name: &'static str) -> Self {
        self.links.last_mut().unwrap().ifname = name;
        self
    }

    /// With something the runtime hands to every plugin that declares it can take it.
    pub fn capability(mut self, name: &str, value: Value) -> Self {
        self.capabilities.insert(name.to_owned(), value);
        self
    }

    /// With a folder before all others in `CNI_PATH`.
    pub fn plugins_first(mut self, dir: &'a Path) -> Self {
        self.first = Some(dir);
        self
    }

    /// ADD of all, until one fails.
    pub fn try_add(&self) -> Result<Value, Said> {
        let mut result = Value::Null;
        for link in &self.links {
            let said = self.call(link, "ADD", &result).run();
            if said.code != 0 {
                return Err(said);
            }
            result = said.json();
        }
        Ok(result)
    }

    /// ADD of all, which must succeed: the result of the last.
    pub fn add(&self) -> Value {
        self.try_add().unwrap_or_else(|said| panic!("{said:?}"))
    }

    /// CHECK of all, which must succeed.
    pub fn check(&self, result: &Value) {
        self.check_without(&[], result);
    }

    /// CHECK of all but the plugins of some types.
    pub fn check_without(&self, plugins: &[&str], result: &Value) {
        let asked = |link: &&Link| !plugins.iter().any(|plugin| link.config["type"] == *plugin);
        for link in self.links.iter().filter(asked) {
            self.call(link, "CHECK", result).run().ok();
        }
    }

    /// CHECK of our plugin alone, whatever comes of it.
    pub fn check_ours(&self, result: &Value) -> Said {
        let ours = |link: &&Link| link.config["type"] == "vxlan";
        let link = self.links.iter().find(ours).unwrap();
        self.call(link, "CHECK", result).run()
    }

    /// DEL of all, which must succeed; `Null` where the runtime has no result.
    pub fn del(&self, result: &Value) {
        let result = if self.version < "0.4.0" {
            &Value::Null
        } else {
            result
        };
        for link in self.links.iter().rev() {
            self.call(link, "DEL", result).run().ok();
        }
    }

    fn call(&self, link: &Link, verb: &str, result: &Value) -> Call {
        let mut config = link.config.clone();
        config["name"] = json!("chain");
        config["cniVersion"] = json!(self.version);
        if !result.is_null() {
            config["prevResult"] = result.clone();
        }
        let declared = |name: &String| config["capabilities"][name] == true;
        let handed: Map<String, Value> = self
            .capabilities
            .clone()
            .into_iter()
            .filter(|(name, _)| declared(name))
            .collect();
        if !handed.is_empty() {
            config["runtimeConfig"] = Value::Object(handed);
        }
        let path = self.path();
        let plugin = link.config["type"].as_str().unwrap();
        let found = path
            .iter()
            .map(|dir| Path::new(dir).join(plugin))
            .find(|file| file.exists());
        let found = found.unwrap_or_else(|| panic!("{plugin} is in none of {path:?}"));
        let [nsenter, net] = self.node.enter();
        Call::at(found.to_str().unwrap())
            .behind(&[&nsenter, &net])
            .env("CNI_COMMAND", verb)
            .env("CNI_PATH", &path.join(":"))
            .attachment(&self.pod.container, self.pod.path(), link.ifname)
            .stdin(config.to_string())
    }

    /// The folders of plugins.
    fn path(&self) -> Vec<String> {
        let built = Path::new(Program::Vxlan.path()).parent().unwrap();
        let dirs = self
            .first
            .into_iter()
            .chain([built, Path::new(CNI_PLUGINS)]);
        dirs.map(|dir| dir.to_str().unwrap().to_owned()).collect()
    }
}
