//! The door: whatever is asked, one JSON document comes out, and an error is one that can be shown.

use serde_json::{Value, json};
use vxlan_cni::cni::serve::answer;
use vxlan_cni::cni::{CniError, CniResult, Env, Plugin, Request, Version};
use vxlan_cni::exec::System;
use vxlan_cni::ops;
use vxlan_cni::route_table::config::Ipam;
use vxlan_cni::route_table::pool::Pool;

/// The codes of the interface, CNI's and ours; 199, a fault of the program, is not among them.
const CODES: [u32; 15] = [1, 2, 3, 4, 5, 6, 7, 8, 11, 50, 51, 100, 101, 102, 103];

/// The longest message: what fits into an event of a pod.
const MESSAGE_MAX: usize = 1000;

/// No namespace: an ADD that gets as far as looking into it has thought everything through and touched nothing.
pub const NO_NETNS: &str = "/proc/no/such/netns";

/// Asks a plugin one question, twice: an answer must not depend on anything but the question.
pub fn ask(plugin: &dyn Plugin, env: &Env, stdin: &[u8]) -> Result<Value, CniError> {
    let said = [(); 2].map(|()| answer(plugin, env, &mut &*stdin));
    assert_eq!(said[0], said[1], "two answers to one question");
    let [said, _] = said;
    match said {
        Ok(None) => Ok(Value::Null),
        Ok(Some(text)) => Ok(one_document(&text)),
        Err((error, version)) => {
            presentable(&error);
            assert!(Version::of(&version).is_some(), "{version}");
            let document = one_document(&error.to_json(&version));
            assert_eq!(document["cniVersion"], version);
            assert_eq!(document["code"], error.code.0);
            assert_eq!(document["msg"], error.msg);
            Err(error)
        }
    }
}

/// The environment of a question about one attachment.
pub fn env(verb: &str, args: &str) -> Env {
    [
        ("CNI_COMMAND", verb),
        ("CNI_CONTAINERID", "c1"),
        ("CNI_NETNS", NO_NETNS),
        ("CNI_IFNAME", "eth0"),
        ("CNI_PATH", "/proc/no/such/folder"),
        ("CNI_ARGS", args),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// One object, on one line: what JSON lets stand in a text as it is (RFC 8259, section 7) ends none.
fn one_document(text: &str) -> Value {
    assert!(!text.contains(|c| c < ' '), "{text:?}");
    let document: Value = serde_json::from_str(text).unwrap();
    assert!(document.is_object(), "{text}");
    document
}

/// An error that can be told: a known code, a message that says something and cannot take over a terminal,
/// a log or an event.
pub fn presentable(error: &CniError) {
    assert!(CODES.contains(&error.code.0), "{error:?}");
    assert!(!error.msg.trim().is_empty(), "{error:?}");
    assert!(is_told(&error.msg), "{:?}", error.msg);
    assert!(is_told(&error.details), "{:?}", error.details);
    assert!(error.msg.chars().count() <= MESSAGE_MAX, "{error:?}");
}

/// Whether a text stays on its line and takes nothing over.
pub fn is_told(text: &str) -> bool {
    !text.contains(|c: char| c.is_control() || is_of_direction(c))
}

/// Characters that turn around the text behind them, or end a line without being control characters.
fn is_of_direction(c: char) -> bool {
    matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A plugin of which ADD alone does something.
pub struct Adding(pub fn(&Request) -> Result<CniResult, CniError>);

/// The plugin's ADD as it is, where [`NO_NETNS`] ends it; the other verbs would look at this node. Not until SIGTERM:
/// each handler that is set stays until the process ends.
pub const ADDS: Adding = Adding(|request| ops::add::add(&System::default(), request));

impl Plugin for Adding {
    fn add(&self, request: &Request) -> Result<CniResult, CniError> {
        (self.0)(request)
    }

    fn del(&self, _: &Request) -> Result<(), CniError> {
        Ok(())
    }

    fn check(&self, _: &Request) -> Result<(), CniError> {
        Ok(())
    }

    fn gc(&self, _: &Request) -> Result<(), CniError> {
        Ok(())
    }

    fn status(&self, _: &Request) -> Result<(), CniError> {
        Ok(())
    }
}

/// The IPAM up to where it would look at the kernel: its configuration is read, addresses are picked.
pub struct Picks;

impl Plugin for Picks {
    fn add(&self, request: &Request) -> Result<CniResult, CniError> {
        let ipam = Ipam::read(request)?;
        let mut result = CniResult::default();
        for pool in &ipam.pools {
            super::config::hands_out_only_its_own(pool);
        }
        for wanted in &ipam.wanted {
            let fits = |pool: &Pool| pool.refuses(*wanted).is_none();
            assert!(ipam.pools.iter().any(fits), "{wanted}");
        }
        result.routes = ipam.routes;
        result.dns = ipam.dns;
        // Versions before 0.3.0 cannot say "no address".
        let leases = ipam.pools.iter().filter_map(|pool| {
            let address = pool.ranges.first()?.first;
            let (address, gateway) = pool.lease(address)?;
            let interface = None;
            Some(vxlan_cni::cni::result::Ip {
                address,
                gateway,
                interface,
            })
        });
        result.ips = leases.collect();
        Ok(result)
    }

    fn del(&self, request: &Request) -> Result<(), CniError> {
        let _ = Ipam::read_leniently(request);
        Ok(())
    }

    fn check(&self, request: &Request) -> Result<(), CniError> {
        Ipam::read(request).map(|_| ())
    }

    fn gc(&self, request: &Request) -> Result<(), CniError> {
        vxlan_cni::cni::attachments::valid_attachments(&request.config).map(|_| ())
    }

    fn status(&self, request: &Request) -> Result<(), CniError> {
        self.del(request)
    }
}

/// A configuration with a network for everybody, one of both families and one for the namespaces of a shop.
pub fn sample() -> Value {
    let network = |id: u32, name: &str, more: Value| {
        let mut network = json!({"id": id, "name": name, "cidr": format!("10.{id}.0.1/24"),
            "excludeFirst": 10, "options": {"vtepdev": "eth0", "group": "239.1.1.1"}});
        for (key, value) in more.as_object().unwrap() {
            network[key] = value.clone();
        }
        network
    };
    json!({
        "cniVersion": "1.1.0", "name": "demo", "type": "vxlan",
        "ipam": {"type": "route-table"}, "defaultNetwork": "blue",
        "vxlans": [
            network(1, "blue", json!({})),
            network(2, "green", json!({"cidr": ["10.2.0.1/16", "fd10:2::1/64"]})),
            network(3, "shop", json!({"allowedNamespaces": ["shop", "shop-*"]})),
        ],
    })
}
