//! What the IPAM is told and what it says: pure, both ways.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Map, Value, json};

use crate::cni::{CniError, CniResult, Code, Version};
use crate::config::Network;
use crate::ip::Family;
use ipnetwork::IpNetwork;

/// Keys by which an IPAM configuration has addresses of its own.
const OWN_RANGE: [&str; 7] = [
    "ranges",
    "range",
    "subnet",
    "rangeStart",
    "range_start",
    "addresses",
    "ipRanges",
];

/// The IPAM's part of the configuration: the network's own or the plugin-wide one, with the network's
/// pools filled in where it has none.
pub fn ipam(plugin_wide: Option<&Value>, network: &Network) -> Value {
    let mut ipam = network
        .ipam
        .as_ref()
        .or(plugin_wide)
        .cloned()
        .unwrap_or_else(|| json!({}));
    let Some(object) = ipam.as_object_mut() else {
        return ipam;
    };
    if OWN_RANGE.iter().any(|key| object.contains_key(*key)) {
        return ipam;
    }
    let pools: Vec<Value> = network
        .cidrs
        .iter()
        .filter_map(|cidr| pool(network, *cidr))
        .collect();
    let each: Vec<Value> = pools.iter().map(|pool| json!([pool])).collect();
    object.insert("ranges".to_owned(), Value::Array(each));
    if object.get("type").and_then(Value::as_str) == Some("whereabouts") {
        whereabouts(object, &pools);
    }
    ipam
}

/// Whether an IPAM leases by the container's own link: it must be there with its MAC before, and until the lease is
/// released.
pub fn is_by_the_link(ipam: &Value) -> bool {
    ipam["type"] == "dhcp"
}

/// One pool in the words of host-local.
fn pool(network: &Network, cidr: IpNetwork) -> Option<Value> {
    let (first, last) = network.pool(cidr)?;
    Some(json!({
        "subnet": Network::subnet(cidr).to_string(),
        "rangeStart": first.to_string(),
        "rangeEnd": last.to_string(),
        "gateway": cidr.ip().to_string(),
    }))
}

/// whereabouts has its own words: one `range`, more in `ipRanges`, and in each what is not handed out. It keeps no gateway free
/// by itself (`IterateForAssignment`, pkg/allocate/allocate.go).
fn whereabouts(object: &mut Map<String, Value>, pools: &[Value]) {
    let words = |pool: &Value| {
        json!({
            "range": pool["subnet"],
            "range_start": pool["rangeStart"],
            "range_end": pool["rangeEnd"],
            "exclude": [host(&pool["gateway"])],
        })
    };
    if let Some((first, more)) = pools.split_first() {
        let mut first_words = words(first);
        let own = object.get("exclude").and_then(Value::as_array);
        let own = own.into_iter().flatten().cloned();
        if let Some(excluded) = first_words["exclude"].as_array_mut() {
            excluded.extend(own);
        }
        for (key, value) in first_words.as_object().into_iter().flatten() {
            object.insert(key.clone(), value.clone());
        }
        object.insert("gateway".to_owned(), first["gateway"].clone());
        if !more.is_empty() {
            object.insert("ipRanges".to_owned(), more.iter().map(words).collect());
        }
    }
}

/// An address in the form of a subnet.
fn host(address: &Value) -> String {
    let text = address.as_str().unwrap_or_default();
    text.parse::<IpAddr>().map_or_else(
        |_| text.to_owned(),
        |host| IpNetwork::from(host).to_string(),
    )
}

/// The configuration for the IPAM's stdin: the whole one, with its part and the addresses asked for.
pub fn config(whole: &Value, ipam: &Value, addresses: &[IpNetwork]) -> Value {
    let mut config = whole.clone();
    config["ipam"] = ipam.clone();
    if !addresses.is_empty() {
        // The convention that every source's request can be put into (CNI CONVENTIONS.md, `args.cni.ips`).
        let ips: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        make_object(&mut config["args"]);
        make_object(&mut config["args"]["cni"]);
        config["args"]["cni"]["ips"] = json!(ips);
        with_lengths(&mut config, addresses);
    }
    config
}

/// The same for a verb behind ADD, with what that has leased.
pub fn config_of(whole: &Value, ipam: &Value, lease: Option<&CniResult>) -> Value {
    let mut config = config(whole, ipam, &[]);
    let ips = lease.iter().flat_map(|lease| &lease.ips);
    let addresses: Vec<IpNetwork> = ips.map(|ip| ip.address).collect();
    with_lengths(&mut config, &addresses);
    config
}

/// What the runtime asks for may have no length, which an IPAM that reads it itself may want, as `static` does.
fn with_lengths(config: &mut Value, addresses: &[IpNetwork]) {
    let Some(ips) = config
        .pointer_mut("/runtimeConfig/ips")
        .and_then(Value::as_array_mut)
    else {
        return;
    };
    for asked in ips {
        let same = |known: &&IpNetwork| {
            asked
                .as_str()
                .is_some_and(|text| text.parse() == Ok(known.ip()))
        };
        if let Some(known) = addresses.iter().find(same) {
            *asked = json!(known.to_string());
        }
    }
}

/// Makes a value an object where it is none.
fn make_object(value: &mut Value) {
    if !value.is_object() {
        *value = json!({});
    }
}

/// Reads the IPAM's result and checks that it is one this network can live with.
///
/// # Errors
/// Code 6 for what is no result, 7 for addresses that cannot be this network's, 11 where another
/// address came than the one asked for.
pub fn read(
    said: Option<Value>,
    network: &Network,
    asked: &[IpNetwork],
    version: Version,
) -> Result<CniResult, CniError> {
    let refused = |code, why: String| {
        let msg = format!(
            "network \"{}\": the IPAM's result cannot be used: {why}",
            network.name
        );
        CniError::new(code, msg)
    };
    let said = said.unwrap_or(Value::Null);
    let mut lease =
        CniResult::from_json(&said, version).map_err(|e| refused(Code::DECODING, e.to_string()))?;
    lease.interfaces.clear();
    for ip in &mut lease.ips {
        ip.interface = None;
        // whereabouts gives its one gateway with addresses of either family; no route has one of the other.
        let family = Family::of(ip.address.ip());
        ip.gateway = ip.gateway.filter(|gateway| Family::of(*gateway) == family);
    }
    let mut seen = BTreeSet::new();
    lease.ips.retain(|ip| seen.insert(ip.address));
    if lease.ips.is_empty() {
        return Err(refused(
            Code::INVALID_CONFIGURATION,
            "it has no address".to_owned(),
        ));
    }
    if let Some(why) = lease.ips.iter().find_map(|ip| misfit(network, ip.address)) {
        return Err(refused(Code::INVALID_CONFIGURATION, why));
    }
    let given = |wanted: &&IpNetwork| lease.ips.iter().any(|ip| ip.address.ip() == wanted.ip());
    match asked.iter().find(|wanted| !given(wanted)) {
        Some(wanted) => {
            let got: Vec<String> = lease.ips.iter().map(|ip| ip.address.to_string()).collect();
            Err(refused(
                Code::TRY_AGAIN,
                format!("{} was asked for, it gave {}", wanted.ip(), got.join(", ")),
            ))
        }
        None => Ok(lease),
    }
}

/// Why an address cannot be a container's on this network. Excluded ones can: an IPAM with ranges of its
/// own knows best what it may hand out.
fn misfit(network: &Network, address: IpNetwork) -> Option<String> {
    let family = Family::of(address.ip());
    match network.cidr(family) {
        None => Some(format!(
            "{address} is {family}, which the network does not have"
        )),
        Some(_) => network
            .is_no_host(address.ip())
            .map(|why| format!("{address}: {why}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::Config;

    fn network(ipam: Value) -> (Config, Value) {
        let value = json!({"name": "n", "ipam": ipam, "vxlans": [{"id": 1, "name": "blue",
            "cidr": ["10.1.0.1/24", "fd10::1/64"], "excludeFirst": 10, "peers": [], "options": {"vtepdev": "eth0"}}]});
        (Config::read(&value).unwrap(), value)
    }

    fn told(ipam_value: Value) -> Value {
        let (config, _) = network(ipam_value);
        ipam(config.ipam.as_ref(), &config.networks[0])
    }

    #[test]
    fn an_ipam_without_a_range_gets_the_networks_one_list_per_family() {
        assert_eq!(
            told(json!({"type": "host-local"}))["ranges"],
            json!([
                [{"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.10", "rangeEnd": "10.1.0.254", "gateway": "10.1.0.1"}],
                [{"subnet": "fd10::/64", "rangeStart": "fd10::a", "rangeEnd": "fd10::ffff:ffff:ffff:ffff", "gateway": "fd10::1"}],
            ])
        );
    }

    #[test]
    fn an_ipam_with_a_range_of_its_own_is_left_alone() {
        for own in [
            json!({"type": "static", "addresses": []}),
            json!({"type": "host-local", "subnet": "10.1.0.0/28"}),
        ] {
            assert_eq!(told(own.clone()), own);
        }
    }

    #[test]
    fn whereabouts_is_told_in_its_own_words() {
        let told = told(json!({"type": "whereabouts"}));
        assert_eq!(told["range"], "10.1.0.0/24");
        assert_eq!(told["range_start"], "10.1.0.10");
        assert_eq!(told["exclude"], json!(["10.1.0.1/32"]));
        assert_eq!(told["ipRanges"][0]["range"], "fd10::/64");
        assert_eq!(told["ipRanges"][0]["exclude"], json!(["fd10::1/128"]));
        let more = super::tests::told(json!({"type": "whereabouts", "exclude": ["10.1.0.64/26"]}));
        assert_eq!(more["exclude"], json!(["10.1.0.1/32", "10.1.0.64/26"]));
    }

    #[test]
    fn a_gateway_of_the_other_family_is_none() {
        let (config, _) = network(json!({"type": "x"}));
        let ip = |address: &str| json!({"address": address, "gateway": "10.1.0.1"});
        let said = json!({"ips": [ip("10.1.0.20/24"), ip("fd10::20/64")]});
        let lease = read(Some(said), &config.networks[0], &[], Version::NEWEST).unwrap();
        let gateways: Vec<_> = lease.ips.iter().map(|ip| ip.gateway).collect();
        assert_eq!(gateways, [Some("10.1.0.1".parse().unwrap()), None]);
    }

    #[test]
    fn b24_the_ipam_gets_the_whole_configuration_and_the_addresses_asked_for() {
        let (_, mut whole) = network(json!({"type": "host-local"}));
        whole["args"] = json!({"labels": 1});
        let config = config(
            &whole,
            &json!({"type": "x"}),
            &["10.1.0.77/24".parse().unwrap()],
        );
        assert_eq!(
            config["args"],
            json!({"labels": 1, "cni": {"ips": ["10.1.0.77/24"]}})
        );
        assert_eq!(
            (&config["ipam"], &config["vxlans"]),
            (&json!({"type": "x"}), &whole["vxlans"])
        );
    }

    #[test]
    fn a_lease_that_is_not_of_this_network_is_refused() {
        let (config, _) = network(json!({"type": "x"}));
        let take = |said: Value, asked: &[&str]| {
            let asked: Vec<IpNetwork> = asked.iter().map(|a| a.parse().unwrap()).collect();
            read(Some(said), &config.networks[0], &asked, Version::NEWEST)
        };
        let ips = |addresses: &[&str]| json!({"ips": addresses.iter().map(|a| json!({"address": a, "interface": 0})).collect::<Vec<_>>()});
        assert_eq!(
            take(ips(&["10.1.0.20/24", "fd10::20/64"]), &["10.1.0.20/24"])
                .unwrap()
                .ips
                .len(),
            2
        );
        for (said, asked, words) in [
            (ips(&[]), &[][..], "no address"),
            (ips(&["10.9.0.20/24"]), &[], "outside of 10.1.0.0/24"),
            (ips(&["10.1.0.1/24"]), &[], "gateway"),
            (ips(&["10.1.0.0/24"]), &[], "network address of 10.1.0.0/24"),
            (ips(&["10.1.0.255/24"]), &[], "broadcast address"),
            (ips(&["fd10::/64"]), &[], "network address of fd10::/64"),
            (
                ips(&["10.1.0.21/24"]),
                &["10.1.0.20/24"],
                "10.1.0.20 was asked for, it gave 10.1.0.21/24",
            ),
            (json!({"ips": 7}), &[], "not a CNI result"),
            (json!({"cniVersion": "9.9.9"}), &[], "not supported"),
        ] {
            let error = take(said, asked).unwrap_err();
            assert!(error.msg.contains(words), "{error}");
        }
    }
}
