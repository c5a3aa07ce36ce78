//! `vxlan graph`: a picture of this node's peers, devices and pods as they are, in one of three languages. SVG is one of
//! them, though `dot -Tsvg` makes one too: it needs no graphviz on the node, and reads in light and dark.

pub mod picture;
mod seen;
pub mod svg;
pub mod text;

use serde_json::{Value, json};

use self::picture::{Picture, Thing};
use super::Said;
use super::args::{Format, GraphOptions, Shared};
use super::node::Node;
use super::status::seen::Seen;
use crate::cni::CniError;
use crate::exec::System;

/// Draws the node as it is, and what of its configuration and records is missing there.
///
/// # Errors
/// When configuration, records or devices cannot be read.
pub fn run(shared: &Shared, options: &GraphOptions) -> Result<Said, CniError> {
    let node = Node::open(shared)?;
    let system = System::until_sigterm();
    let picture = seen::picture(&system, &Seen::of(&system, &node)?, &hostname());
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

/// `node`, `networks` (each `name` and the numbers of its `things`), `things` (`kind`, `name`, `state`, `lines`),
/// `joined` (pairs of numbers).
fn document(picture: &Picture) -> Value {
    let thing = |thing: &Thing| json!({"kind": thing.kind.as_str(), "name": thing.name, "state": thing.state.as_str(), "lines": thing.lines});
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
    use super::picture::{Kind, State};
    use super::*;

    /// Two networks on one underlay, one with pods of hostile names.
    pub(crate) fn sample(pods: usize) -> Picture {
        let mut picture = Picture::new("node1");
        let eth0 = picture.shared(Kind::Underlay, "eth0");
        let peer = picture.shared(Kind::Peer, "198.18.0.2");
        picture.join(peer, eth0);
        for (name, pods) in [("blue", pods), ("green", 0)] {
            let row = picture.network(name);
            let text = |text: &str| vec![text.to_owned()];
            let vx = Thing::new(Kind::Vxlan, &format!("vx_{name}"), text("VNI 1"));
            let vx = picture.put(row, vx);
            let mv = Thing::new(Kind::Gateway, &format!("mv_{name}"), text("10.1.0.1/16"));
            let mv = mv.in_state(if name == "green" {
                State::Missing
            } else {
                State::Ok
            });
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
