//! Which network, and what the pod may ask for in it: a security boundary that fails closed.
//!
//! The first source that names a network decides, and an answer that cannot be is an error, never a
//! reason to try the next. Pod authors are not trusted: everything they can write is checked here.

use ipnetwork::IpNetwork;
use regex::Regex;

use crate::cni::{Args, CniError, Code};
use crate::config::hosts::asked;
use crate::config::{CRI_ANNOTATIONS, Config, Network, asked_ips};
use crate::ip::{Family, Mac};
use crate::sanitize::printable;

/// What was chosen, and why.
#[derive(Debug, Clone)]
pub struct Selection<'a> {
    /// The network.
    pub network: &'a Network,
    /// What named it.
    pub because: String,
    /// Addresses the pod asks for, at most one per family, with the network's prefix length.
    pub addresses: Vec<IpNetwork>,
    /// MAC it asks for.
    pub mac: Option<Mac>,
}

impl Selection<'_> {
    /// The same of a network of which more is known by now.
    pub fn of<'b>(&self, network: &'b Network) -> Selection<'b> {
        Selection {
            network,
            because: self.because.clone(),
            addresses: self.addresses.clone(),
            mac: self.mac,
        }
    }
}

/// Chooses a pod's network and checks what it asks for.
///
/// # Errors
/// Code 7 for a network that is not there or a request that cannot be met, 103 when the network does
/// not take pods of that namespace.
pub fn select<'a>(config: &'a Config, args: &Args) -> Result<Selection<'a>, CniError> {
    let (network, because) = network(config, args)?;
    let addresses = addresses(config, args, network)?;
    let mac = mac(config, args, network)?;
    may_join(network, args)?;
    Ok(Selection {
        network,
        because,
        addresses,
        mac,
    })
}

/// The network, and what named it.
pub fn network<'a>(config: &'a Config, args: &Args) -> Result<(&'a Network, String), CniError> {
    let wrong = |msg: String| {
        let known: Vec<&str> = config
            .networks
            .iter()
            .map(|network| network.name.as_str())
            .collect();
        CniError::new(Code::INVALID_CONFIGURATION, msg)
            .details(format!("networks here are: {}", known.join(", ")))
    };
    if let Some((source, name)) = annotation(config, &config.keys.network) {
        let found = config
            .network(name)
            .map(|network| (network, source.to_owned()));
        return found.ok_or_else(|| {
            wrong(format!(
                "{source} names the network `{}`, which is not in vxlans",
                printable(name)
            ))
        });
    }
    let namespace = args.get("K8S_POD_NAMESPACE");
    if let Some(network) = namespace
        .filter(|_| config.namespace_is_network)
        .and_then(|name| config.network(name))
    {
        return Ok((network, "namespace".to_owned()));
    }
    match config
        .default_network
        .as_ref()
        .and_then(|name| config.network(name))
    {
        Some(network) => Ok((network, "defaultNetwork".to_owned())),
        None => Err(wrong(format!(
            "no network is named: set the annotation {} or defaultNetwork",
            config.keys.network
        ))),
    }
}

/// Whether an annotation is unset so far: then the Kubernetes API may have it, unless the runtime has told all there are.
pub fn lacks_an_annotation(config: &Config) -> bool {
    let keys = &config.keys;
    let mut all = [&keys.network, &keys.address, &keys.mac].into_iter();
    !config.has_cri_annotations && all.any(|key| annotation(config, key).is_none())
}

/// Whether an annotation names the network already.
pub fn names_a_network(config: &Config) -> bool {
    annotation(config, &config.keys.network).is_some()
}

/// An annotation by key, and where it stands: the configuration's writer's word counts before the pod's.
fn annotation<'a>(config: &'a Config, key: &str) -> Option<(&'a str, &'a str)> {
    let find = |annotations: &'a [(String, String)]| {
        let found = annotations
            .iter()
            .find(|(name, value)| name == key && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    };
    find(&config.args_annotations)
        .map(|value| ("args.annotations", value))
        .or_else(|| find(&config.cri_annotations).map(|value| (CRI_ANNOTATIONS, value)))
        .or_else(|| {
            let api = config.api_annotations.as_ref()?;
            find(&api.annotations).map(|value| (api.source.as_str(), value))
        })
}

/// The addresses asked for: `runtimeConfig.ips`, `args.cni.ips`, `CNI_ARGS IP=`, annotation.
fn addresses(config: &Config, args: &Args, network: &Network) -> Result<Vec<IpNetwork>, CniError> {
    let annotated = || {
        let (source, address) = annotation(config, &config.keys.address)?;
        // One for each family.
        let each = address.split(',').map(|one| one.trim().to_owned());
        Some((source, each.collect()))
    };
    let Some((source, texts)) = asked_ips(config.ips.clone(), args).or_else(annotated) else {
        return Ok(Vec::new());
    };
    let wanted: Vec<IpNetwork> = texts
        .iter()
        .map(|text| address(source, text.trim(), network))
        .collect::<Result<_, _>>()?;
    for family in [Family::V4, Family::V6] {
        if wanted
            .iter()
            .filter(|address| Family::of(address.ip()) == family)
            .count()
            > 1
        {
            let msg =
                format!("{source} asks for several addresses of {family}: at most one per family");
            return Err(CniError::new(Code::INVALID_CONFIGURATION, msg));
        }
    }
    Ok(wanted)
}

/// One address, with or without the network's prefix length.
fn address(source: &str, text: &str, network: &Network) -> Result<IpNetwork, CniError> {
    let refused = |why: String| {
        let msg = format!(
            "{source} asks for the address `{}` in network \"{}\": {why}",
            printable(text),
            network.name
        );
        CniError::new(Code::INVALID_CONFIGURATION, msg)
    };
    let (address, length) =
        asked(text).ok_or_else(|| refused("it is not an address".to_owned()))?;
    if let Some(why) = network.refuses(address) {
        return Err(refused(why));
    }
    let prefix = network
        .cidr(Family::of(address))
        .map_or(0, |cidr| cidr.prefix());
    match length {
        Some(length) if length.parse() != Ok(prefix) => {
            Err(refused(format!("the network's length is /{prefix}")))
        }
        _ => IpNetwork::new(address, prefix).map_err(|error| refused(error.to_string())),
    }
}

/// The MAC asked for: `runtimeConfig.mac`, `args.cni.mac`, `CNI_ARGS MAC=`, annotation.
fn mac(config: &Config, args: &Args, network: &Network) -> Result<Option<Mac>, CniError> {
    let runtime = config.mac.as_deref().map(|mac| ("runtimeConfig.mac", mac));
    let found = runtime
        .or_else(|| config.args_mac.as_deref().map(|mac| ("args.cni.mac", mac)))
        .or_else(|| args.get("MAC").map(|mac| ("CNI_ARGS MAC", mac)))
        .or_else(|| annotation(config, &config.keys.mac));
    let Some((source, text)) = found else {
        return Ok(None);
    };
    if !network.request_mac {
        let msg = format!(
            "network \"{}\" gives no MAC on request (requestMac is false), and {source} asks for one",
            network.name
        );
        return Err(CniError::new(Code::REFUSED_BY_POLICY, msg));
    }
    let refused = |error| CniError::new(Code::INVALID_CONFIGURATION, format!("{source}: {error}"));
    text.parse().map(Some).map_err(refused)
}

/// Whether the network takes pods of this namespace; checked last and always, whatever chose the network.
fn may_join(network: &Network, args: &Args) -> Result<(), CniError> {
    let Some(globs) = &network.allowed_namespaces else {
        return Ok(());
    };
    let namespace = args.get("K8S_POD_NAMESPACE");
    if namespace.is_some_and(|namespace| globs.iter().any(|glob| matches(glob, namespace))) {
        return Ok(());
    }
    let who = namespace.map_or(
        "a pod without a namespace (no K8S_POD_NAMESPACE)".to_owned(),
        |namespace| format!("a pod of namespace `{}`", printable(namespace)),
    );
    let msg = format!(
        "network \"{}\" does not take {who}: allowedNamespaces is {globs:?}",
        network.name
    );
    Err(CniError::new(Code::REFUSED_BY_POLICY, msg))
}

/// Whether a glob (`*` any text, `?` any one character) matches a whole text; one that cannot be read matches nothing.
fn matches(glob: &str, text: &str) -> bool {
    let pattern = regex::escape(glob).replace(r"\*", ".*").replace(r"\?", ".");
    Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|pattern| pattern.is_match(text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::{Value, json};

    const NETWORK: &str = "vxlan-cni.phdata.io/NetworkName";
    const ADDRESS: &str = "vxlan-cni.phdata.io/RequestedAddress";

    fn config(more: Value) -> Config {
        let network = |id: u32, name: &str, more: Value| {
            let mut network = json!({"id": id, "name": name, "cidr": [format!("10.{id}.0.1/16"), format!("fd10:{id}::1/64")],
                "peers": [], "options": {"vtepdev": "eth0"}, "excludeFirst": 10});
            network
                .as_object_mut()
                .unwrap()
                .append(&mut more.as_object().unwrap().clone());
            network
        };
        let mut value = json!({
            "ipam": {"type": "route-table"}, "defaultNetwork": "blue",
            "vxlans": [network(1, "blue", json!({})), network(2, "green", json!({})),
                       network(3, "shop", json!({"allowedNamespaces": ["shop", "shop-*"]}))],
        });
        value
            .as_object_mut()
            .unwrap()
            .append(&mut more.as_object().unwrap().clone());
        Config::read(&value).unwrap()
    }

    fn chosen(more: Value, args: &str) -> Result<String, CniError> {
        let config = config(more);
        select(&config, &Args::parse(args).unwrap())
            .map(|s| format!("{} by {}", s.network.name, s.because))
    }

    #[test]
    fn the_first_source_that_names_a_network_decides() {
        let args = json!({"annotations": {NETWORK: "green"}});
        let cri = json!({CRI_ANNOTATIONS: {NETWORK: "shop"}});
        for (more, env, wanted) in [
            (json!({}), "", "blue by defaultNetwork"),
            (json!({"args": args}), "", "green by args.annotations"),
            (
                json!({"args": args, "runtimeConfig": cri}),
                "K8S_POD_NAMESPACE=shop",
                "green by args.annotations",
            ),
            (
                json!({"runtimeConfig": cri}),
                "K8S_POD_NAMESPACE=shop",
                "shop by io.kubernetes.cri.pod-annotations",
            ),
            (
                json!({"k8sNetworkFromNamespace": true}),
                "K8S_POD_NAMESPACE=green",
                "green by namespace",
            ),
            (
                json!({}),
                "K8S_POD_NAMESPACE=green",
                "blue by defaultNetwork",
            ),
            // b7: a namespace without a network of its name gets the default.
            (
                json!({"k8sNetworkFromNamespace": true}),
                "K8S_POD_NAMESPACE=other",
                "blue by defaultNetwork",
            ),
        ] {
            assert_eq!(chosen(more, env).unwrap(), wanted);
        }
    }

    #[test]
    fn b1_a_network_that_is_not_there_is_an_error_and_never_another_network() {
        let error = chosen(json!({"args": {"annotations": {NETWORK: "nope\n"}}}), "").unwrap_err();
        assert_eq!(error.code, Code::INVALID_CONFIGURATION);
        assert!(
            error.msg.contains("`nope\\n`") && error.details.contains("blue, green, shop"),
            "{error:?}"
        );
    }

    #[test]
    fn b5_a_network_takes_only_pods_of_its_namespaces_whatever_named_it() {
        let shop = || json!({"args": {"annotations": {NETWORK: "shop"}}});
        for allowed in ["shop", "shop-test"] {
            assert!(chosen(shop(), &format!("K8S_POD_NAMESPACE={allowed}")).is_ok());
        }
        for refused in [
            "K8S_POD_NAMESPACE=bank",
            "K8S_POD_NAMESPACE=shopper",
            "K8S_POD_NAMESPACE=xshop",
            "",
        ] {
            let error = chosen(shop(), refused).unwrap_err();
            assert_eq!(error.code, Code::REFUSED_BY_POLICY, "{refused}");
            assert!(
                error.msg.contains("\"shop\"") && error.msg.contains("shop-*"),
                "{error}"
            );
        }
    }

    fn asked(more: Value, args: &str) -> Result<Vec<String>, CniError> {
        let config = config(more);
        let selection = select(&config, &Args::parse(args).unwrap())?;
        Ok(selection
            .addresses
            .iter()
            .map(ToString::to_string)
            .collect())
    }

    #[test]
    fn c12_the_first_source_that_asks_for_an_address_counts() {
        let runtime = json!({"ips": ["10.1.0.11", "fd10:1::11/64"]});
        let args = json!({"cni": {"ips": ["10.1.0.12/16"]}, "annotations": {ADDRESS: "10.1.0.14"}});
        assert_eq!(
            asked(
                json!({"runtimeConfig": runtime, "args": args}),
                "IP=10.1.0.13"
            )
            .unwrap(),
            ["10.1.0.11/16", "fd10:1::11/64"]
        );
        assert_eq!(
            asked(json!({"args": args}), "IP=10.1.0.13").unwrap(),
            ["10.1.0.12/16"]
        );
        let annotation = json!({"annotations": {ADDRESS: "10.1.0.14"}});
        assert_eq!(
            asked(json!({"args": annotation}), "IP=10.1.0.13").unwrap(),
            ["10.1.0.13/16"]
        );
        assert_eq!(
            asked(json!({"args": annotation}), "").unwrap(),
            ["10.1.0.14/16"]
        );
        let both = json!({"annotations": {ADDRESS: "10.1.0.14, fd10:1::14"}});
        assert_eq!(
            asked(json!({"args": both}), "").unwrap(),
            ["10.1.0.14/16", "fd10:1::14/64"]
        );
    }

    #[test]
    fn b3_b4_an_address_that_cannot_be_is_an_error_and_never_another_address() {
        for wrong in [
            "10.1.0.1",
            "10.1.0.0",
            "10.1.255.255",
            "10.1.0.9",
            "10.2.0.20",
            "banana",
            "10.1.0.20/24",
            "10.1.0.20/",
            "10.1.0.20\n",
            "10.1.0.020",
            "-batch",
            "10.1.0.20;reboot",
            "",
            "fd99::1",
        ] {
            let result = asked(json!({"runtimeConfig": {"ips": [wrong]}}), "");
            match wrong.trim() {
                "10.1.0.20" => assert_eq!(result.unwrap(), ["10.1.0.20/16"]),
                _ => assert_eq!(
                    result.unwrap_err().code,
                    Code::INVALID_CONFIGURATION,
                    "{wrong:?}"
                ),
            }
        }
    }

    #[test]
    fn a_hostile_mac_is_refused() {
        for wrong in [
            "01:00:5e:00:00:01",
            "ff:ff:ff:ff:ff:ff",
            "00:00:00:00:00:00",
            "02:00:00:00:00:01 up",
            "02:00:00:00:00:01\n",
            "x",
        ] {
            let error = asked(json!({"runtimeConfig": {"mac": wrong}}), "").unwrap_err();
            assert!(error.msg.contains("runtimeConfig.mac"), "{error}");
        }
    }
}
