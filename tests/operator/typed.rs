//! `vxlan VERB` as somebody on a node would type it.

use serde_json::json;

use crate::support::lab::{Config, Node};
use crate::support::plugin::{Call, Program, Said};

/// Writes a node's configuration where its operator would have it; tells the file.
pub fn conflist(node: &Node, config: &Config) -> String {
    let mut plugin = config.value().clone();
    let name = plugin.as_object_mut().unwrap().remove("name");
    let version = plugin["cniVersion"].clone();
    let list = json!({"cniVersion": version, "name": name, "plugins": [plugin]});
    let file = node.dir().join("10-lab.conflist");
    std::fs::write(&file, list.to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

/// The call, not started, in a node's namespace.
pub fn vxlan(node: &Node, conf: &str, words: &[&str]) -> Call {
    let [nsenter, net] = node.enter();
    let call = Call::of(Program::Vxlan)
        .behind(&[&nsenter, &net])
        .env("CNI_PATH", &plugins());
    let call = words.iter().fold(call, |call, word| call.arg(word));
    call.arg("--conf").arg(conf)
}

/// What it said, which must be that all is well.
pub fn well(node: &Node, conf: &str, words: &[&str]) -> String {
    let said = vxlan(node, conf, words).run();
    assert_eq!(said.code, 0, "{words:?}: {said:?}");
    said.stdout
}

/// What it said on stderr, which must be that something is not well.
pub fn unwell(node: &Node, conf: &str, words: &[&str]) -> Said {
    let said = vxlan(node, conf, words).run();
    assert_eq!(said.code, 1, "{words:?}: {said:?}");
    said
}

/// Where the built programs and the reference plugins are.
fn plugins() -> String {
    let built = std::path::Path::new(Program::RouteTable.path());
    let built = built.parent().unwrap().display();
    format!("{built}:{}", crate::support::lab::ask::CNI_PLUGINS)
}
