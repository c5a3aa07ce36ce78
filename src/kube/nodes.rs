//! The nodes of the cluster, each by its addresses on the underlay (`status.addresses`, type `InternalIP`).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::client::{Client, NODES};
use super::credentials::Place;
use super::error::LookupError;
use crate::cni::CniError;
use crate::exec::System;
use crate::sanitize::printable;

/// What is asked for, in words.
const WHAT: &str = "the addresses of the nodes";

/// How many nodes an answer has: one of them has some 10 to 30 KB of JSON.
const PAGE: usize = 200;

/// The most pages of one list, so that an answer that always names a next one comes to an end.
const PAGES_MAX: usize = 1_000;

/// The kind of address by which nodes find each other (`NodeInternalIP`, `k8s.io/api/core/v1/types.go`).
const INTERNAL: &str = "InternalIP";

/// The nodes as they were at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nodes {
    /// Each node's addresses, by its name.
    pub addresses: BTreeMap<String, Vec<IpAddr>>,
    /// At which moment, as a watch names it.
    pub version: String,
}

/// A list, or a page of one.
#[derive(Debug, Deserialize)]
struct List {
    kind: String,
    metadata: ListMeta,
    items: Vec<Node>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    #[serde(default)]
    resource_version: String,
    #[serde(default, rename = "continue")]
    next: String,
}

/// A node.
#[derive(Debug, Deserialize)]
struct Node {
    metadata: Meta,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Deserialize)]
struct Meta {
    name: String,
}

#[derive(Debug, Default, Deserialize)]
struct Status {
    #[serde(default)]
    addresses: Vec<Address>,
}

#[derive(Debug, Deserialize)]
struct Address {
    #[serde(rename = "type")]
    kind: String,
    address: String,
}

impl Node {
    /// Its addresses of the kind by which nodes find each other.
    fn addresses(&self) -> Vec<IpAddr> {
        let internal = self.status.addresses.iter();
        let internal = internal.filter(|one| one.kind == INTERNAL);
        internal
            .filter_map(|one| one.address.parse().ok())
            .collect()
    }
}

/// All nodes.
///
/// # Errors
/// Code 7 for a kubeconfig that cannot be, 11 for everything else, with what to check.
pub fn list(system: &System, place: &Place, timeout: Duration) -> Result<Nodes, CniError> {
    look_up(system, place, timeout).map_err(|error| error.about(WHAT))
}

/// Where it is written which server is asked.
///
/// # Errors
/// As [`list`].
pub fn place(config_path: Option<&std::path::Path>) -> Result<Place, CniError> {
    Place::of(config_path).map_err(|error| error.about(WHAT))
}

fn look_up(system: &System, place: &Place, timeout: Duration) -> Result<Nodes, LookupError> {
    let deadline = Instant::now() + timeout;
    let access = place.access(system, deadline)?;
    let client = Client::new(system, &access, &NODES)?;
    let wrong = |why: String| LookupError::Answer {
        server: access.server.to_string(),
        why,
    };
    let mut nodes = Nodes {
        addresses: BTreeMap::new(),
        version: String::new(),
    };
    let mut next = String::new();
    for _ in 0..PAGES_MAX {
        let path = format!("/api/v1/nodes?limit={PAGE}{next}");
        let page = page(&client.get(&path, deadline, timeout)?).map_err(wrong)?;
        nodes.version = page.metadata.resource_version;
        let of = |node: &Node| (node.metadata.name.clone(), node.addresses());
        nodes.addresses.extend(page.items.iter().map(of));
        match page.metadata.next {
            end if end.is_empty() => return Ok(nodes),
            token => next = format!("&continue={}", escaped(&token)),
        }
    }
    Err(wrong(format!("has more than {PAGES_MAX} pages")))
}

/// Reads a page. What is wrong with it is told without a word of it.
fn page(answer: &[u8]) -> Result<List, String> {
    let page: List = serde_json::from_slice(answer).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        match error.is_data() {
            true => format!("is no list of nodes (line {line}, column {column})"),
            false => format!("is not JSON (line {line}, column {column})"),
        }
    })?;
    match page.kind.as_str() {
        "NodeList" => Ok(page),
        other => Err(format!(
            "is a `{}` where a NodeList was wanted",
            printable(other)
        )),
    }
}

/// A text as the value of a query (RFC 3986, 2.1).
fn escaped(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let one = |byte: u8| match plain(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_nodes_internal_addresses_are_taken_and_what_is_no_list_of_nodes_is_an_error() {
        let node = json!({"metadata": {"name": "a"}, "status": {"addresses": [
            {"type": "Hostname", "address": "a"}, {"type": "InternalIP", "address": "198.18.0.1"},
            {"type": "ExternalIP", "address": "203.0.113.1"}, {"type": "InternalIP", "address": "fd00::1"}]}});
        let young = json!({"metadata": {"name": "b"}});
        let list = json!({"kind": "NodeList", "metadata": {"resourceVersion": "7"}, "items": [node, young]});
        let read = page(list.to_string().as_bytes()).unwrap();
        let addresses: Vec<Vec<IpAddr>> = read.items.iter().map(Node::addresses).collect();
        let wanted: Vec<IpAddr> = vec!["198.18.0.1".parse().unwrap(), "fd00::1".parse().unwrap()];
        assert_eq!(addresses, [wanted, Vec::new()]);
        assert_eq!(read.metadata.next, "");
        for (answer, words) in [
            (
                json!({"kind": "Status", "metadata": {}, "items": []}),
                "is a `Status`",
            ),
            (
                json!({"kind": "NodeList", "metadata": {}}),
                "no list of nodes",
            ),
            (json!([]), "no list of nodes"),
        ] {
            let error = page(answer.to_string().as_bytes()).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        assert!(page(b"{").unwrap_err().contains("is not JSON"));
    }

    #[test]
    fn what_a_server_names_as_the_next_page_cannot_add_to_the_query() {
        assert_eq!(escaped("eyJ2 &limit=0/#"), "eyJ2%20%26limit%3D0%2F%23");
    }
}
