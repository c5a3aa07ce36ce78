//! The nodes of the cluster, each by its addresses on the underlay (`status.addresses`, type `InternalIP`).

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use super::client::{ANSWER_MAX, Client, NODES};
use super::credentials::Place;
use super::error::LookupError;
use crate::cni::CniError;
use crate::exec::System;
use crate::sanitize::printable;

/// What is asked for, in words.
const WHAT: &str = "the addresses of the nodes";

/// How many nodes an answer has: one of them has some 10 to 30 KB of JSON.
const PAGE: usize = 100;

/// The most pages of one list, so that an answer that always names a next one comes to an end.
const PAGES_MAX: usize = 1_000;

/// How long a watch goes on: a connection that is dead without a word is found out then.
pub const WATCH: Duration = Duration::from_secs(60);

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
#[serde(rename_all = "camelCase")]
struct Meta {
    /// A bookmark has none.
    #[serde(default)]
    name: String,
    #[serde(default)]
    resource_version: String,
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

/// One event of a watch.
#[derive(Debug, Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    object: Value,
}

/// Hears of each change of the nodes' addresses until the server ends the watch, as it does after [`WATCH`]; another one goes on
/// from where this one ended.
///
/// # Errors
/// As [`list`]; also where the moment of the list is so long ago that the server knows no more what came since.
pub fn watch(
    system: &System,
    place: &Place,
    timeout: Duration,
    nodes: &mut Nodes,
    heard: &mut dyn FnMut(&Nodes),
) -> Result<(), CniError> {
    follow(system, place, timeout, nodes, heard).map_err(|error| error.about(WHAT))
}

fn follow(
    system: &System,
    place: &Place,
    timeout: Duration,
    nodes: &mut Nodes,
    heard: &mut dyn FnMut(&Nodes),
) -> Result<(), LookupError> {
    let client = client(system, place, timeout)?;
    let (seconds, from) = (WATCH.as_secs(), escaped(&nodes.version));
    let path = format!(
        "/api/v1/nodes?watch=true&allowWatchBookmarks=true&timeoutSeconds={seconds}&resourceVersion={from}"
    );
    let mut lines = BufReader::new(client.open(&path, WATCH + timeout)?);
    loop {
        let mut line = Vec::new();
        let read = lines.by_ref().take(ANSWER_MAX).read_until(b'\n', &mut line);
        match read {
            // Ended by the server, or by what is between: the next watch goes on from here.
            Ok(0) | Err(_) => return Ok(()),
            Ok(_) if line.last() != Some(&b'\n') => return Ok(()),
            Ok(_) => {}
        }
        if apply(nodes, &line).map_err(|why| client.wrong(why))? {
            heard(nodes);
        }
    }
}

/// Takes an event in; whether a node has other addresses by it. Most are signs of life, which change none.
fn apply(nodes: &mut Nodes, line: &[u8]) -> Result<bool, &'static str> {
    let event: Event = serde_json::from_slice(line).map_err(|_| "has an event that is none")?;
    if event.kind == "ERROR" {
        // 410: what came since is no longer known (Kubernetes API concepts, "410 Gone").
        return Err("ends the watch with an error");
    }
    let object = Node::deserialize(event.object).map_err(|_| "has an event about no node")?;
    let addresses = object.addresses();
    nodes.version = object.metadata.resource_version;
    let name = object.metadata.name;
    Ok(match event.kind.as_str() {
        "ADDED" | "MODIFIED" => {
            let is_news = nodes.addresses.get(&name) != Some(&addresses);
            nodes.addresses.insert(name, addresses);
            is_news
        }
        "DELETED" => nodes.addresses.remove(&name).is_some(),
        // BOOKMARK: the version alone.
        _ => false,
    })
}

/// Where it is written which server is asked.
///
/// # Errors
/// As [`list`].
pub fn place(config_path: Option<&std::path::Path>) -> Result<Place, CniError> {
    Place::of(config_path).map_err(|error| error.about(WHAT))
}

/// A client that asks for nodes.
fn client<'a>(
    system: &'a System,
    place: &Place,
    timeout: Duration,
) -> Result<Client<'a>, LookupError> {
    let access = place.access(system, Instant::now() + timeout)?;
    Client::new(system, &access, &NODES)
}

fn look_up(system: &System, place: &Place, timeout: Duration) -> Result<Nodes, LookupError> {
    let client = client(system, place, timeout)?;
    let mut nodes = Nodes {
        addresses: BTreeMap::new(),
        version: String::new(),
    };
    let mut next = String::new();
    for _ in 0..PAGES_MAX {
        let path = format!("/api/v1/nodes?limit={PAGE}{next}");
        // A large cluster has many pages: each may take its time.
        let answer = client.get(&path, Instant::now() + timeout, timeout)?;
        let page = page(&answer).map_err(|why| client.wrong(why))?;
        nodes.version = page.metadata.resource_version;
        let of = |node: &Node| (node.metadata.name.clone(), node.addresses());
        nodes.addresses.extend(page.items.iter().map(of));
        match page.metadata.next {
            end if end.is_empty() => return Ok(nodes),
            token => next = format!("&continue={}", escaped(&token)),
        }
    }
    Err(client.wrong(format!("has more than {PAGES_MAX} pages")))
}

/// Reads a page. No word of a wrong one is repeated.
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
    fn events_of_a_watch_add_change_and_remove_nodes_and_one_that_is_none_ends_it() {
        let mut nodes = Nodes {
            addresses: BTreeMap::new(),
            version: "1".to_owned(),
        };
        let event = |kind: &str, name: &str, version: &str, address: Option<&str>| {
            let addresses: Vec<serde_json::Value> = address
                .iter()
                .map(|address| json!({"type": "InternalIP", "address": address}))
                .collect();
            json!({"type": kind, "object": {"metadata": {"name": name, "resourceVersion": version},
                "status": {"addresses": addresses}}})
            .to_string()
        };
        let shown = |nodes: &Nodes| format!("{:?} {}", nodes.addresses, nodes.version);
        for (line, wanted) in [
            (
                event("ADDED", "a", "2", Some("198.18.0.1")),
                "{\"a\": [198.18.0.1]} 2",
            ),
            (
                event("MODIFIED", "a", "3", Some("198.18.0.2")),
                "{\"a\": [198.18.0.2]} 3",
            ),
            (event("BOOKMARK", "", "9", None), "{\"a\": [198.18.0.2]} 9"),
            (event("DELETED", "a", "10", None), "{} 10"),
        ] {
            apply(&mut nodes, line.as_bytes()).unwrap();
            assert_eq!(shown(&nodes), wanted);
        }
        let gone = json!({"type": "ERROR", "object": {"kind": "Status", "code": 410}}).to_string();
        for line in [
            gone.as_str(),
            "{}",
            "[",
            "{\"type\": \"ADDED\", \"object\": 7}",
        ] {
            assert!(apply(&mut nodes, line.as_bytes()).is_err(), "{line}");
        }
    }

    #[test]
    fn what_a_server_names_as_the_next_page_cannot_add_to_the_query() {
        assert_eq!(escaped("eyJ2 &limit=0/#"), "eyJ2%20%26limit%3D0%2F%23");
    }
}
