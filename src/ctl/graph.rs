//! `vxlan graph`: a picture of this node's devices, networks and pods, in one of three languages.

pub mod picture;
pub mod svg;
pub mod text;

use serde_json::{Value, json};

use self::picture::{Kind, Picture, Thing};
use super::Said;
use super::args::{Format, GraphOptions, Shared};
use super::node::{Node, OnNode, Recorded, State};
use crate::cni::CniError;
use crate::config::Network;

/// Draws the node as its configuration and its records know it.
///
/// # Errors
/// When either cannot be read.
pub fn run(shared: &Shared, options: &GraphOptions) -> Result<Said, CniError> {
    let node = Node::open(shared)?;
    let picture = picture(&node, &hostname());
    Ok(Said::either(
        shared,
        || document(&picture),
        || match options.format {
            Format::Mermaid => text::mermaid(&picture),
            Format::Dot => text::dot(&picture),
            Format::Svg => svg::svg(&picture),
        },
    ))
}

fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    name.map_or_else(|_| "this node".to_owned(), |name| name.trim().to_owned())
}

/// What there is to see.
fn picture(node: &Node, name: &str) -> Picture {
    let mut picture = Picture::new(name);
    for network in &node.networks {
        let definition = network.definitions().first().copied().cloned();
        add(&mut picture, network, definition.as_ref());
    }
    picture
}

fn add(picture: &mut Picture, on_node: &OnNode, definition: Option<&Network>) {
    let row = picture.network(&on_node.name);
    let Some(network) = definition else {
        // Known by records alone, none of which can be read.
        for recorded in &on_node.attachments {
            picture.put(row, pod(recorded));
        }
        return;
    };
    let vxlan = &network.options.vxlan;
    let underlay = vxlan.dev.as_ref().map(|dev| picture.underlay(dev.as_str()));
    let mut lines = vec![format!("VNI {}, port {}", vxlan.vni, vxlan.dstport)];
    lines.extend(vxlan.group.map(|group| match group.is_multicast() {
        true => format!("group {group}"),
        false => format!("remote {group}"),
    }));
    let vx = picture.put(row, Thing::new(Kind::Vxlan, network.vx.as_str(), lines));
    let addresses = network.cidrs.iter().map(ToString::to_string).collect();
    let mv = picture.put(
        row,
        Thing::new(Kind::Gateway, network.mv.as_str(), addresses),
    );
    if let Some(underlay) = underlay {
        picture.join(underlay, vx);
    }
    picture.join(vx, mv);
    for recorded in &on_node.attachments {
        let pod = picture.put(row, pod(recorded));
        picture.join(vx, pod);
    }
}

/// A pod by its name, else by its container, with its addresses and whatever is not as usual.
fn pod(recorded: &Recorded) -> Thing {
    let unusual = match &recorded.state {
        State::Whole(..) => None,
        other => Some(format!("({})", other.as_str())),
    };
    let Some(record) = recorded.record() else {
        let name = recorded
            .path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy();
        return Thing::new(Kind::Pod, &name, unusual.into_iter().collect());
    };
    let ips = record.lease.iter().flat_map(|lease| &lease.ips);
    let mut lines: Vec<String> = ips.map(|ip| ip.address.ip().to_string()).collect();
    lines.extend(unusual);
    let own = || record.id();
    let name = record.pod.clone().unwrap_or_else(own);
    Thing::new(Kind::Pod, &name, lines)
}

/// `node`, `networks` (each `name` and the numbers of its `things`), `things` (`kind`, `name`, `lines`),
/// `joined` (pairs of numbers).
fn document(picture: &Picture) -> Value {
    let thing = |thing: &Thing| json!({"kind": thing.kind.as_str(), "name": thing.name, "lines": thing.lines});
    let network = |(name, things): &(String, Vec<usize>)| json!({"name": name, "things": things});
    json!({
        "node": picture.node,
        "networks": picture.networks.iter().map(network).collect::<Vec<_>>(),
        "things": picture.things.iter().map(thing).collect::<Vec<_>>(),
        "joined": picture.joined,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Two networks on one underlay, one with pods of hostile names.
    pub(crate) fn sample(pods: usize) -> Picture {
        let mut picture = Picture::new("node1");
        let eth0 = picture.underlay("eth0");
        for (name, pods) in [("blue", pods), ("green", 0)] {
            let row = picture.network(name);
            let text = |text: &str| vec![text.to_owned()];
            let vx = Thing::new(Kind::Vxlan, &format!("vx_{name}"), text("VNI 1"));
            let vx = picture.put(row, vx);
            let mv = Thing::new(Kind::Gateway, &format!("mv_{name}"), text("10.1.0.1/16"));
            let mv = picture.put(row, mv);
            picture.join(eth0, vx);
            picture.join(vx, mv);
            for number in 0..pods {
                let name = format!("shop/\"<&>'#;{number}\u{1b}\n");
                let pod = picture.put(row, Thing::new(Kind::Pod, &name, text("10.1.0.9")));
                picture.join(vx, pod);
            }
        }
        picture
    }
}
