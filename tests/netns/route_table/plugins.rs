//! The IPAM under the reference plugins `bridge` and `macvlan`, on two nodes and without any daemon.

use serde_json::{Value, json};

use super::{Ipam, lab};
use crate::support::lab::{Node, Pod, address, ipv6};
use crate::support::plugin::{Call, Program, Said};

/// A reference plugin that has its addresses from `route-table`.
struct Plugin<'a> {
    node: &'a Node,
    program: &'static str,
    config: Value,
}

impl<'a> Plugin<'a> {
    /// One of `/usr/lib/cni`, which speaks 1.0.0 at the most (1.1.1, Debian 12).
    fn new(node: &'a Node, program: &'static str, own: Value, ipam: Value) -> Self {
        let mut config = json!({"cniVersion": "1.0.0", "name": "lab", "type": program});
        config
            .as_object_mut()
            .unwrap()
            .extend(own.as_object().unwrap().clone());
        config["ipam"] =
            Ipam::new(node, json!({"subnet": super::SUBNET}), ipam).config["ipam"].clone();
        Self {
            node,
            program,
            config,
        }
    }

    fn call(&self, verb: &str, pod: &Pod, more: Value) -> Call {
        let [nsenter, net] = self.node.enter();
        let mut config = self.config.clone();
        config
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let built = std::path::Path::new(Program::RouteTable.path())
            .parent()
            .unwrap();
        Call::at(&format!("/usr/lib/cni/{}", self.program))
            .stdin(config.to_string())
            .behind(&[&nsenter, &net])
            .env("CNI_COMMAND", verb)
            .env("CNI_PATH", &format!("{}:/usr/lib/cni", built.display()))
            .attachment(&pod.container, pod.path(), "eth0")
    }

    fn add(&self, pod: &Pod) -> Value {
        self.call("ADD", pod, json!({})).run().ok()
    }

    fn ipam(&self) -> Ipam<'a> {
        let config = self.config.clone();
        Ipam {
            node: self.node,
            config,
        }
    }

    /// CHECK holds, and after DEL nothing is left.
    fn check_and_del(&self, pod: &Pod, result: &Value) {
        let after = json!({"prevResult": result});
        assert_eq!(self.call("CHECK", pod, after.clone()).run().code, 0);
        assert_eq!(self.call("DEL", pod, after).run().code, 0);
    }
}

#[test]
fn macvlan_has_two_families_routes_gateways_and_names_from_it_on_two_nodes() {
    ipv6::is_needed_on_the_underlay();
    let lab = lab(2);
    let dns = json!({"nameservers": ["10.9.0.53"], "search": ["lab.test"]});
    let ranges = json!([
        [{"subnet": super::SUBNET, "rangeStart": "10.9.0.100", "rangeEnd": "10.9.0.109", "gateway": "10.9.0.1"}],
        [{"subnet": "fd09::/64", "gateway": "fd09::1"}],
    ]);
    let more = json!({"ranges": ranges, "exclude": ["10.9.0.104/30"],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "fd77::/16", "gw": "fd09::2"}]});
    let own = json!({"master": "eth0", "mode": "bridge", "dns": dns});
    let [one, two] =
        [0, 1].map(|node| Plugin::new(lab.node(node), "macvlan", own.clone(), more.clone()));
    let pods = [one.node.pod("a"), two.node.pod("b")];
    let results = [one.add(&pods[0]), two.add(&pods[1])];
    for (pod, result) in pods.iter().zip(&results) {
        assert_eq!(result["ips"].as_array().unwrap().len(), 2, "{result}");
        assert_eq!(result["ips"][0]["gateway"], "10.9.0.1");
        assert_eq!(result["dns"], dns);
        assert_eq!(result["routes"].as_array().unwrap().len(), 2, "{result}");
        assert_eq!(pod.show("route show default")[0]["gateway"], "10.9.0.1");
        assert_eq!(pod.show("-6 route show fd77::/16")[0]["gateway"], "fd09::2");
    }
    assert_ne!(address(&results[0], 0), address(&results[1], 0));
    pods[0].ping(&address(&results[1], 0));
    for ((plugin, pod), result) in [&one, &two].into_iter().zip(&pods).zip(&results) {
        assert_eq!(plugin.ipam().claims().len(), 2);
        plugin.check_and_del(pod, result);
        plugin.ipam().assert_nothing_left();
    }
}

#[test]
fn bridge_gives_the_address_that_was_asked_for_in_each_form() {
    ipv6::is_needed_on_the_underlay();
    let lab = lab(1);
    let node = lab.node(0);
    // The bridge has no address yet when the first container asks, so the device is named.
    let more = json!({"device": "cni0", "ranges": [[{"subnet": "10.8.0.0/24"}], [{"subnet": "fd08::/64"}]]});
    let plugin = Plugin::new(
        node,
        "bridge",
        json!({"bridge": "cni0", "isGateway": true}),
        more,
    );
    let wanted = ["10.8.0.77", "fd08::77"];
    let both = json!([format!("{}/24", wanted[0]), format!("{}/64", wanted[1])]);
    let forms = [
        (json!({"runtimeConfig": {"ips": both}}), ""),
        (json!({"args": {"cni": {"ips": wanted}}}), ""),
        (json!({}), "IgnoreUnknown=1;IP=10.8.0.77,fd08::77"),
    ];
    for (index, (form, args)) in forms.into_iter().enumerate() {
        let pod = node.pod(&format!("p{index}"));
        let call = plugin.call("ADD", &pod, form).env("CNI_ARGS", args);
        let result = call.run().ok();
        assert_eq!([address(&result, 0), address(&result, 1)], wanted);
        // Another who asks for it is told who has it, whatever plugin asks.
        let other = node.pod(&format!("other{index}"));
        let args = "IgnoreUnknown=1;IP=10.8.0.77";
        let said: Said = plugin
            .call("ADD", &other, json!({}))
            .env("CNI_ARGS", args)
            .run();
        assert_eq!(said.code, 1);
        let taken = format!(
            "10.8.0.77 is taken: container {}/eth0 on this node",
            pod.container
        );
        assert!(said.stdout.contains(&taken), "{said:?}");
        plugin.check_and_del(&pod, &result);
        assert!(plugin.ipam().claims().is_empty());
    }
}
