//! The result of the plugins before: read in every version, joined with ours, told in every version.

use serde_json::{Value, json};
use vxlan_cni::cni::result::{Interface, Ip};
use vxlan_cni::cni::version::SUPPORTED;
use vxlan_cni::cni::{CniResult, Code, Version};
use vxlan_cni::ops::prev_result;

use super::door::{ADDS, Adding, ask, env, sample};

/// Keeps the law for a result as JSON.
pub fn holds(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    for version in SUPPORTED {
        let mut config = sample();
        config["cniVersion"] = json!(version);
        config["prevResult"] = value.clone();
        let stdin = config.to_string();
        let _ = ask(&ADDS, &env("ADD", ""), stdin.as_bytes());
        match ask(&JOINS, &env("ADD", ""), stdin.as_bytes()) {
            Ok(joined) => has_ours(&joined, version),
            Err(error) => assert_eq!(error.code, Code::DECODING),
        }
    }
    if let Ok(result) = CniResult::from_json(&value, Version::NEWEST) {
        survives_every_version(&result);
    }
}

/// ADD's last step alone: ours behind what was there.
const JOINS: Adding =
    Adding(|request| Ok(prev_result(request)?.unwrap_or_default().extend(ours())));

/// What ADD would say.
fn ours() -> CniResult {
    let name = "ours".to_owned();
    CniResult {
        interfaces: vec![Interface {
            name,
            ..Interface::default()
        }],
        ips: vec![Ip {
            address: "10.1.0.23/24".parse().unwrap(),
            gateway: None,
            interface: Some(0),
        }],
        ..CniResult::default()
    }
}

/// Whatever came before, our address points at our interface.
fn has_ours(joined: &Value, version: &str) {
    let read = CniResult::from_json(joined, Version::NEWEST).unwrap();
    assert_eq!(joined["cniVersion"], version);
    if version >= "0.3.0" {
        let ip = read.ips.last().unwrap();
        assert_eq!(read.interfaces[ip.interface.unwrap()].name, "ours");
        assert_eq!(ip.address.to_string(), "10.1.0.23/24");
    }
}

/// Told in a version and read back, a result is what that version can say of it, and telling that
/// again says the same; the newest loses nothing.
pub fn survives_every_version(result: &CniResult) {
    for text in SUPPORTED {
        let version = Version::of(text).unwrap();
        let Ok(told) = result.to_json(version) else {
            assert!(
                result.ips.is_empty() && text < "0.3.0",
                "{text}: {result:?}"
            );
            continue;
        };
        let back = CniResult::from_json(&told, version).unwrap();
        assert_eq!(back.to_json(version).unwrap(), told);
        keeps(result, &back, text);
    }
}

/// What a version can say.
fn keeps(result: &CniResult, back: &CniResult, version: &str) {
    assert_eq!(back.dns, result.dns);
    if version == "1.1.0" {
        assert_eq!(back, result);
    }
    if version >= "0.3.0" {
        assert_eq!(back.ips, result.ips);
        let plain = |result: &CniResult| -> Vec<_> {
            let routes = result.routes.iter();
            routes.map(|route| (route.dst, route.gw)).collect()
        };
        assert_eq!(plain(back), plain(result));
        let names = |result: &CniResult| -> Vec<_> {
            let interfaces = result.interfaces.iter();
            interfaces
                .map(|i| (i.name.clone(), i.mac.clone(), i.sandbox.clone()))
                .collect()
        };
        assert_eq!(names(back), names(result));
    } else {
        let first = |v6: bool| result.ips.iter().find(|ip| ip.address.is_ipv6() == v6);
        let wanted: Vec<_> = [first(false), first(true)].into_iter().flatten().collect();
        let told: Vec<_> = back.ips.iter().map(|ip| (ip.address, ip.gateway)).collect();
        let wanted: Vec<_> = wanted.iter().map(|ip| (ip.address, ip.gateway)).collect();
        assert_eq!(told, wanted);
    }
}
