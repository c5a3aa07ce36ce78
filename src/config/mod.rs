//! The configuration: JSON in, every default and limit applied once, every fault named at once.

pub mod hosts;
pub mod network;
pub mod options;
pub mod walk;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use ipnetwork::IpNetwork;
use serde_json::Value;

pub use network::{Common, DefaultRoute, Filter, Gateway, Join, MacChoice, Network, PeersFrom};
use walk::{At, Faults};

use crate::cni::result::Dns;
use crate::cni::{Args, CniError, Code};
use crate::ip::TableId;
use crate::sanitize::printable;

/// The table of the bypass routes where none is given; the original's.
const ROUTE_TABLE: u64 = 192;

/// The `pref` of the bypass rules where none is given.
const RULE_PRIORITY: u32 = 19_200;

/// `pref` 0 is the rule for the table `local`, 32766 that for `main`; the two before it are those of marked answers.
const RULE_PRIORITIES: std::ops::RangeInclusive<u64> = 3..=32_765;

/// How long the Kubernetes API may be asked, in ms, where nothing else is set.
const K8S_TIMEOUT: u64 = 3_000;

/// In ms; the kubelet gives up a pod's sandbox after two minutes (`runtimeRequestTimeout`).
const K8S_TIMEOUTS: std::ops::RangeInclusive<u64> = 1..=60_000;

/// The capability in which containerd and CRI-O hand over a pod's annotations.
pub const CRI_ANNOTATIONS: &str = "io.kubernetes.cri.pod-annotations";

/// The plugin's configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The networks.
    pub networks: Vec<Network>,
    /// The network of pods that name none.
    pub default_network: Option<String>,
    /// Whether a pod that names none gets the network named like its namespace.
    pub namespace_is_network: bool,
    /// The annotation keys.
    pub keys: AnnotationKeys,
    /// `args.annotations`.
    pub args_annotations: Vec<(String, String)>,
    /// `runtimeConfig`'s pod annotations.
    pub cri_annotations: Vec<(String, String)>,
    /// Whether the runtime handed them over: then they are all there are.
    pub has_cri_annotations: bool,
    /// How the Kubernetes API is asked.
    pub kubernetes: Kubernetes,
    /// Whether ADD asks it for what a pod's annotations say (`k8sReadAnnotations`).
    pub reads_annotations: bool,
    /// What it said, once ADD has asked.
    pub api_annotations: Option<ApiAnnotations>,
    /// Addresses asked for by the runtime or the configuration, the first source that has any.
    pub ips: Option<(&'static str, Vec<String>)>,
    /// MAC asked for by the runtime (`runtimeConfig.mac`).
    pub mac: Option<String>,
    /// MAC asked for in `args.cni.mac`.
    pub args_mac: Option<String>,
    /// Name resolution: the runtime's (`runtimeConfig.dns`), else the configuration's (`dns`).
    pub dns: Option<Dns>,
    /// The IPAM configuration of networks without one of their own.
    pub ipam: Option<Value>,
    /// Folder of the records.
    pub data_dir: PathBuf,
    /// Folder of the locks.
    pub run_dir: PathBuf,
    /// The journal.
    pub log_file: PathBuf,
}

/// The annotation keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnotationKeys {
    /// Names the network.
    pub network: String,
    /// Asks for an address.
    pub address: String,
    /// Asks for a MAC.
    pub mac: String,
}

/// How the Kubernetes API is asked, for annotations and for nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubernetes {
    /// The kubeconfig; `None`: the service account of the pod in which this program runs.
    pub config_path: Option<PathBuf>,
    /// How long a look-up may take, retries included.
    pub timeout: Duration,
}

/// A pod's annotations, as the Kubernetes API has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiAnnotations {
    /// Where they are from, in words.
    pub source: String,
    /// The annotations.
    pub annotations: Vec<(String, String)>,
}

impl Config {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// Code 7 that names every fault with its path.
    pub fn read(value: &Value) -> Result<Self, CniError> {
        let faults = Faults::default();
        let config = Self::walk(&At::top(value, &faults), &faults);
        match faults.into_vec() {
            faults if faults.is_empty() => Ok(config),
            faults => Err(refusal(&faults)),
        }
    }

    /// Reads what can be read: for DEL, which must not wait until the configuration is mended.
    pub fn read_leniently(value: &Value) -> Self {
        let faults = Faults::default();
        Self::walk(&At::top(value, &faults), &faults)
    }

    /// A network by name.
    pub fn network(&self, name: &str) -> Option<&Network> {
        self.networks.iter().find(|network| network.name == name)
    }

    fn walk(at: &At<'_>, faults: &Faults) -> Self {
        let args = at.inner("args");
        let runtime = at.inner("runtimeConfig");
        let config = Self {
            networks: networks(at, faults),
            default_network: at
                .string("defaultNetwork")
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
            namespace_is_network: at.bool("k8sNetworkFromNamespace", false),
            keys: keys(&at.inner("annotations")),
            args_annotations: args.strings("annotations"),
            cri_annotations: runtime.strings(CRI_ANNOTATIONS),
            has_cri_annotations: runtime.value(CRI_ANNOTATIONS).is_some_and(Value::is_object),
            kubernetes: kubernetes(at),
            reads_annotations: at.bool("k8sReadAnnotations", false),
            api_annotations: None,
            ips: requested_ips(&runtime, &args),
            mac: runtime
                .string("mac")
                .filter(|mac| !mac.is_empty())
                .map(str::to_owned),
            args_mac: args
                .inner("cni")
                .string("mac")
                .filter(|mac| !mac.is_empty())
                .map(str::to_owned),
            dns: runtime_dns(&runtime).or_else(|| at.decode("dns")),
            ipam: at.read("ipam", "an object", |value| {
                value.is_object().then(|| value.clone())
            }),
            data_dir: path(at, "dataDir", "/var/lib/cni/vxlan"),
            run_dir: path(at, "runDir", "/run/vxlan-cni"),
            log_file: path(at, "logFile", "/var/log/vxlan.log"),
        };
        config.check_as_a_whole(at);
        config
    }

    /// What can only be seen with all networks side by side.
    fn check_as_a_whole(&self, at: &At<'_>) {
        for (index, network) in self.networks.iter().enumerate() {
            for (other_index, other) in self.networks.iter().enumerate().take(index) {
                for clash in clashes(network, other) {
                    at.fault(
                        &format!("vxlans[{index}]"),
                        format!("{clash} (vxlans[{other_index}] `{}`)", other.name),
                    );
                }
            }
            let ipam = network.ipam.as_ref().or(self.ipam.as_ref());
            let own = at.value("type").and_then(Value::as_str);
            match ipam.map(|ipam| ipam.get("type").and_then(Value::as_str)) {
                // It would ask itself for addresses, without end.
                Some(plugin @ Some(_)) if plugin == own => at.fault(
                    "ipam.type",
                    format!(
                        "`{}` is this plugin itself: name an IPAM plugin, as \"route-table\"",
                        printable(plugin.unwrap_or_default())
                    ),
                ),
                Some(Some(plugin)) if !plugin.is_empty() && !plugin.contains('/') => {}
                Some(Some(plugin)) => at.fault(
                    "ipam.type",
                    format!("`{}` is not a plugin's name", printable(plugin)),
                ),
                Some(None) => at.fault(
                    "ipam.type",
                    "missing: the name of an IPAM plugin, as \"route-table\"",
                ),
                None => at.fault(
                    "ipam",
                    "missing: name an IPAM plugin, as {\"type\": \"route-table\"}",
                ),
            }
        }
        if let Some(name) = &self.default_network
            && self.network(name).is_none()
        {
            at.fault(
                "defaultNetwork",
                format!("there is no network `{}` in vxlans", printable(name)),
            );
        }
    }
}

/// One fault as the message, several as a list in the details.
pub fn refusal(faults: &[String]) -> CniError {
    let mut seen = BTreeSet::new();
    let told = faults.iter().map(String::as_str);
    let unique: Vec<&str> = told.filter(|fault| seen.insert(*fault)).collect();
    match unique[..] {
        [only] => CniError::new(
            Code::INVALID_CONFIGURATION,
            format!("configuration: {only}"),
        ),
        _ => {
            let msg = format!(
                "configuration: {} faults, the first: {}",
                unique.len(),
                unique[0]
            );
            CniError::new(Code::INVALID_CONFIGURATION, msg).details(unique.join("; "))
        }
    }
}

/// What two networks may not share.
fn clashes(one: &Network, other: &Network) -> Vec<String> {
    let mut clashes = Vec::new();
    if one.name == other.name {
        clashes.push(format!("name `{}` is taken", one.name));
    }
    if one.vx == other.vx {
        clashes.push(format!("device {} is taken; set device to another", one.vx));
    }
    if one.options.vxlan.vni == other.options.vxlan.vni {
        clashes.push(format!("id {} is taken", one.options.vxlan.vni));
    }
    for cidr in &one.cidrs {
        let overlaps = |o: &&IpNetwork| o.contains(cidr.network()) || cidr.contains(o.network());
        if let Some(taken) = other.cidrs.iter().find(overlaps) {
            clashes.push(format!("cidr {cidr} overlaps {taken}"));
        }
    }
    clashes
}

fn networks(at: &At<'_>, faults: &Faults) -> Vec<Network> {
    let table = at
        .number("routeTable", 1..=u32::MAX.into())
        .unwrap_or(ROUTE_TABLE);
    if (253..=255).contains(&table) {
        at.fault(
            "routeTable",
            format!("{table} is one of the kernel's own tables"),
        );
    }
    let pref = at
        .number("rulePriority", RULE_PRIORITIES)
        .and_then(|pref| u32::try_from(pref).ok());
    let table = TableId::new(table).unwrap_or(TableId::MAIN);
    let common = Common {
        table,
        pref: pref.unwrap_or(RULE_PRIORITY),
        guard: at.bool("guard", true),
        ports: Vec::new(),
        cidrs: Vec::new(),
    };
    if at.value("vxlans").is_none() {
        faults.add("vxlans: missing: the list of networks");
    }
    let objects = at.objects("vxlans");
    let networks = objects.iter();
    let networks: Vec<Network> = networks
        .filter_map(|network| Network::read(network, &common))
        .collect();
    let ports = networks.iter().map(|network| network.options.vxlan.dstport);
    let ports: Vec<u16> = ports.collect();
    let cidrs = networks.iter().flat_map(|network| network.cidrs.clone());
    let cidrs: Vec<IpNetwork> = cidrs.collect();
    networks
        .into_iter()
        .map(|network| network.beside(&ports, &cidrs))
        .collect()
}

/// Reads one network that a record kept, with what was the same for all when it was made.
///
/// # Errors
/// Code 7 that names every fault.
pub fn kept_network(raw: &Value, common: &Common) -> Result<Network, CniError> {
    let faults = Faults::default();
    let network = Network::read(&At::object(raw, "network".to_owned(), &faults), common);
    match network {
        Some(network) if faults.is_empty() => Ok(network),
        _ => Err(refusal(&faults.into_vec())),
    }
}

/// How the Kubernetes API is asked. Read also where it is not, so that a fault does not wait for the day on which asking is
/// switched on.
fn kubernetes(at: &At<'_>) -> Kubernetes {
    let absolute = |value: &Value| {
        let path = value.as_str()?;
        (path.is_empty() || path.starts_with('/')).then(|| PathBuf::from(path))
    };
    let config_path = at.read("k8sConfigPath", "an absolute path", absolute);
    let timeout = at.number("k8sTimeoutMs", K8S_TIMEOUTS);
    Kubernetes {
        config_path: config_path.filter(|path| !path.as_os_str().is_empty()),
        timeout: Duration::from_millis(timeout.unwrap_or(K8S_TIMEOUT)),
    }
}

fn keys(at: &At<'_>) -> AnnotationKeys {
    at.only(&["network", "address", "mac"]);
    let key = |name: &str, default: &str| {
        let given = at.string(name).filter(|key| !key.is_empty());
        given.map_or_else(|| format!("vxlan-cni.phdata.io/{default}"), str::to_owned)
    };
    AnnotationKeys {
        network: key("network", "NetworkName"),
        address: key("address", "RequestedAddress"),
        mac: key("mac", "RequestedMAC"),
    }
}

/// `runtimeConfig.ips`, else `args.cni.ips` (CNI CONVENTIONS.md), and which of them it was.
pub fn requested_ips(runtime: &At<'_>, args: &At<'_>) -> Option<(&'static str, Vec<String>)> {
    let cni = args.inner("cni");
    let strings = |at: &At<'_>| {
        at.decode::<Vec<String>>("ips")
            .filter(|ips| !ips.is_empty())
    };
    strings(runtime)
        .map(|ips| ("runtimeConfig.ips", ips))
        .or_else(|| strings(&cni).map(|ips| ("args.cni.ips", ips)))
}

/// The addresses of the first source that asks for any, as [`requested_ips`] tells, else in `CNI_ARGS IP=`.
pub fn asked_ips(
    told: Option<(&'static str, Vec<String>)>,
    args: &Args,
) -> Option<(&'static str, Vec<String>)> {
    told.or_else(|| {
        let ips = args.get("IP")?.split(',').map(str::to_owned).collect();
        Some(("CNI_ARGS IP", ips))
    })
}

/// `runtimeConfig.dns`: `servers`, `searches`, `options` (CNI CONVENTIONS.md), in a result's words.
fn runtime_dns(runtime: &At<'_>) -> Option<Dns> {
    runtime.value("dns")?;
    let dns = runtime.inner("dns");
    let strings = |key: &str| dns.decode::<Vec<String>>(key).unwrap_or_default();
    let found = Dns {
        nameservers: strings("servers"),
        search: strings("searches"),
        options: strings("options"),
        domain: String::new(),
    };
    (!found.is_empty()).then_some(found)
}

/// An absolute path, or the default.
pub fn path(at: &At<'_>, key: &str, default: &str) -> PathBuf {
    let absolute = |value: &Value| {
        value
            .as_str()
            .filter(|path| path.starts_with('/'))
            .map(PathBuf::from)
    };
    at.read(key, "an absolute path", absolute)
        .unwrap_or_else(|| default.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn with(network: Value) -> Result<Config, CniError> {
        let mut blue = json!({"id": 100, "name": "blue", "cidr": "10.1.0.1/16", "options": {"vtepdev": "eth0"}});
        if network["options"]["group"].is_null() {
            blue["peers"] = json!([]);
        }
        blue.as_object_mut()
            .unwrap()
            .append(&mut network.as_object().unwrap().clone());
        Config::read(&json!({"ipam": {"type": "route-table"}, "vxlans": [blue]}))
    }

    fn fault(network: Value) -> String {
        let error = with(network).unwrap_err();
        assert_eq!(error.code, Code::INVALID_CONFIGURATION);
        format!("{error} {}", error.details)
    }

    #[test]
    fn the_defaults_are_those_of_the_interface() {
        let config = with(json!({})).unwrap();
        let blue = &config.networks[0];
        assert_eq!((blue.vx.as_str(), blue.mv.as_str()), ("vx_blue", "mv_blue"));
        assert_eq!(
            (blue.options.vxlan.dstport, blue.options.vxlan.learning),
            (4789, true)
        );
        assert_eq!(
            (blue.table.to_string(), blue.pref, blue.bypass),
            ("192".into(), 19200, true)
        );
        assert_eq!(
            (blue.mtu, blue.default_route, blue.mac),
            (None, DefaultRoute::Yes, MacChoice::Ip)
        );
        assert_eq!(config.log_file.to_str(), Some("/var/log/vxlan.log"));
        assert_eq!(config.keys.network, "vxlan-cni.phdata.io/NetworkName");
        assert!(!config.reads_annotations);
    }

    #[test]
    fn the_kubernetes_api_is_asked_only_where_that_is_set_and_how_is_checked_either_way() {
        let read = |more: Value| {
            let mut value = json!({"ipam": {"type": "route-table"},
                "vxlans": [{"id": 1, "name": "blue", "cidr": "10.1.0.1/16", "peers": [], "options": {"vtepdev": "eth0"}}]});
            let map = value.as_object_mut().unwrap();
            map.append(&mut more.as_object().unwrap().clone());
            Config::read(&value).map(|config| (config.kubernetes, config.reads_annotations))
        };
        let how = |path: Option<&str>, ms| Kubernetes {
            config_path: path.map(PathBuf::from),
            timeout: Duration::from_millis(ms),
        };
        let yes = read(json!({"k8sReadAnnotations": true, "k8sConfigPath": ""}));
        assert_eq!(yes.unwrap(), (how(None, 3000), true));
        let all = json!({"k8sReadAnnotations": true, "k8sConfigPath": "/etc/kubeconfig", "k8sTimeoutMs": 50});
        assert_eq!(read(all).unwrap(), (how(Some("/etc/kubeconfig"), 50), true));
        let path_alone = read(json!({"k8sConfigPath": "/x"})).unwrap();
        assert_eq!(path_alone, (how(Some("/x"), 3000), false));
        for (wrong, words) in [
            (
                json!({"k8sReadAnnotations": "yes"}),
                "k8sReadAnnotations: wanted true or false",
            ),
            (
                json!({"k8sConfigPath": "kubeconfig"}),
                "k8sConfigPath: wanted an absolute path",
            ),
            (
                json!({"k8sTimeoutMs": 0}),
                "k8sTimeoutMs: wanted a whole number 1..60000",
            ),
        ] {
            let error = read(wrong).unwrap_err();
            assert!(error.msg.contains(words), "{error}");
        }
    }

    #[test]
    fn b36_b58_a_bad_option_is_named_with_its_path_its_value_and_its_range() {
        for (options, words) in [
            (
                json!({"vtepdev": "eth0", "ttl": "many"}),
                "vxlans[0].options.ttl: wanted a whole number 0..255, seen `\\\"many\\\"`",
            ),
            (json!({"vtepdev": "eth0", "ttl": 256}), "options.ttl"),
            (
                json!({"vtepdev": "eth0", "port": 0}),
                "options.port: wanted a port 1..65535",
            ),
            (
                json!({"vtepdev": "eth0", "portlow": 9, "porthigh": 8}),
                "above porthigh",
            ),
            (
                json!({"vtepdev": "eth0", "porthigh": 8}),
                "options.portlow: missing",
            ),
            (json!({"vtepdev": "eth0", "group": "nil"}), "options.group"),
            (
                json!({"vtepdev": "eth0", "learning": "perhaps"}),
                "options.learning: wanted true or false",
            ),
            (
                json!({"vtepdev": "eth0", "vxlanhardwareaddr": "01:00:5e:00:00:01"}),
                "multicast",
            ),
            (json!({"vtepdev": "a\nb"}), "options.vtepdev"),
            (
                json!({"vtepdev": "eth0", "colour": "red"}),
                "options.colour: unknown key",
            ),
            (json!({"group": "239.1.1.1"}), "options.vtepdev: missing"),
            (
                json!({"vtepdev": "eth0", "noage": true, "age": 7}),
                "options.age",
            ),
            (
                json!({"vtepdev": "eth0", "group": "ff05::1", "srcaddr": "198.18.0.1"}),
                "different families",
            ),
        ] {
            let fault = fault(json!({ "options": options }));
            let words = words.replace("\\\\", "\\");
            assert!(fault.contains(&words), "{fault}\nlacks {words}");
        }
    }

    #[test]
    fn b32_porthigh_is_the_high_port() {
        let config =
            with(json!({"options": {"vtepdev": "eth0", "portlow": "30000", "porthigh": "40000"}}))
                .unwrap();
        assert_eq!(
            config.networks[0].options.vxlan.srcport,
            Some((30000, 40000))
        );
    }

    #[test]
    fn noage_keeps_learnt_entries_and_an_age_of_0_is_the_kernels() {
        for (options, ageing) in [
            (json!({"vtepdev": "eth0"}), 300),
            (json!({"vtepdev": "eth0", "age": "0"}), 300),
            (json!({"vtepdev": "eth0", "age": 77}), 77),
            (json!({"vtepdev": "eth0", "noage": "true"}), u32::MAX),
            (
                json!({"vtepdev": "eth0", "noage": true, "age": 0}),
                u32::MAX,
            ),
        ] {
            let config = with(json!({ "options": options })).unwrap();
            let found = config.networks[0].options.vxlan.ageing;
            assert_eq!(found, ageing, "{options}");
        }
    }

    #[test]
    fn b44_b58_a_network_that_cannot_be_is_refused() {
        for (network, words) in [
            (
                json!({"id": 0}),
                "vxlans[0].id: wanted a whole number 1..16777215, seen `0`",
            ),
            (json!({"id": "100"}), "vxlans[0].id"),
            (
                json!({"name": "thirteen-byte"}),
                "set device to a shorter one",
            ),
            (json!({"name": "a/b"}), "vxlans[0].name"),
            (json!({"name": "../x"}), "vxlans[0].name"),
            (json!({"cidr": "10.1.0.0/16"}), "network's own address"),
            (json!({"cidr": "10.1.255.255/16"}), "broadcast"),
            (json!({"cidr": "10.1.0.1"}), "wanted the gateway's address"),
            (json!({"cidr": "0.0.0.1/0"}), "every address there is"),
            (json!({"cidr": "fd10::1/0"}), "every address there is"),
            (
                json!({"cidr": ["10.1.0.1/16", "10.2.0.1/16"]}),
                "one per family",
            ),
            (
                json!({"cidr": "10.1.0.1/24", "excludeFirst": 200, "excludeLast": 100}),
                "leave no address",
            ),
            (
                json!({"mtu": 1000, "cidr": ["fd10::1/64"]}),
                "too small for IPv6",
            ),
            (json!({"mtu": 70000}), "vxlans[0].mtu"),
            (
                json!({"gateway": "ipam"}),
                "wanted \"static\" or \"anycast\"",
            ),
            (
                json!({"peers": null}),
                "the network ends at this node; name the nodes' addresses",
            ),
            (json!({"peers": ["198.18.0"]}), "wanted addresses of nodes"),
            (json!({"peers": "docker"}), "wanted a list of addresses"),
            (json!({"peers": {"file": "peers"}}), "an absolute path"),
            (json!({"peers": {"dns": "a b"}}), "a DNS name"),
            (json!({"peers": {"dns": "198.18.0.2"}}), "a DNS name"),
            (
                json!({"peers": {"dns": "a", "file": "/b"}}),
                "wanted a list of addresses",
            ),
            (
                json!({"peers": "kubernetes", "options": {"vtepdev": "eth0", "group": "239.1.1.1"}}),
                "one of both",
            ),
            (json!({"peers": ["239.1.1.1"]}), "no node's address"),
            (json!({"peers": ["198.18.0.2", "fd00::2"]}), "one family"),
            (
                json!({"peers": ["fd00::2"], "options": {"vtepdev": "eth0", "srcaddr": "198.18.0.1"}}),
                "one family",
            ),
            (
                json!({"peers": [], "options": {"vtepdev": "eth0", "group": "239.1.1.1"}}),
                "one of both",
            ),
            (json!({"routed": true}), "unknown key"),
            (json!({"allowedNamespace": ["a"]}), "unknown key"),
            (
                json!({"defaultRoute": "yes"}),
                "defaultRoute: wanted true, false or a metric",
            ),
            (json!({"mac": "ipv4"}), "mac: wanted"),
            (json!({"join": true}), "join: wanted \"pod\" or \"always\""),
        ] {
            let fault = fault(network);
            assert!(fault.contains(words), "{fault}\nlacks {words}");
        }
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let fault = fault(json!({"id": 0, "mtu": -1, "options": {"ttl": 999}}));
        for path in ["vxlans[0].id", "vxlans[0].mtu", "vxlans[0].options.ttl"] {
            assert!(
                fault.contains(path) || path.ends_with("ttl"),
                "{fault} lacks {path}"
            );
        }
    }

    #[test]
    fn b58_networks_that_would_share_a_name_a_vni_a_device_or_addresses_are_refused() {
        let network = |name: &str, id: u32, cidr: &str| json!({"id": id, "name": name, "cidr": cidr, "peers": [], "options": {"vtepdev": "eth0"}});
        let two = |b: Value| {
            let value =
                json!({"ipam": {"type": "x"}, "vxlans": [network("a", 1, "10.1.0.1/16"), b]});
            format!("{:?}", Config::read(&value))
        };
        assert!(two(network("a", 2, "10.2.0.1/16")).contains("name `a` is taken"));
        assert!(two(network("b", 1, "10.2.0.1/16")).contains("id 1 is taken"));
        assert!(two(network("b", 2, "10.1.7.1/24")).contains("overlaps 10.1.0.1/16"));
        assert!(two(network("b", 2, "10.2.0.1/16")).contains("Ok("));
    }

    #[test]
    fn r10_excludes_count_from_the_ends_and_never_give_the_ends_themselves() {
        let pool = |network: Value| {
            let config = with(network).unwrap();
            let network = &config.networks[0];
            network
                .pool(network.cidrs[0])
                .map(|(a, b)| format!("{a} {b}"))
                .unwrap()
        };
        assert_eq!(pool(json!({"cidr": "10.1.0.1/24"})), "10.1.0.1 10.1.0.254");
        assert_eq!(
            pool(json!({"cidr": "10.1.0.1/24", "excludeFirst": 1, "excludeLast": 1})),
            "10.1.0.1 10.1.0.254"
        );
        assert_eq!(
            pool(json!({"cidr": "10.1.0.1/24", "excludeFirst": 10, "excludeLast": 5})),
            "10.1.0.10 10.1.0.250"
        );
        assert_eq!(pool(json!({"cidr": "10.1.0.0/31"})), "10.1.0.0 10.1.0.1");
        assert_eq!(
            pool(json!({"cidr": "fd10::1/64"})),
            "fd10::1 fd10::ffff:ffff:ffff:ffff"
        );
        assert_eq!(
            pool(json!({"cidr": "10.0.0.1/16", "excludeFirst": 250, "excludeLast": 300})),
            "10.0.0.250 10.0.254.211"
        );
    }

    #[test]
    fn b3_the_gateway_the_ends_and_excluded_addresses_are_no_containers() {
        let config =
            with(json!({"cidr": "10.1.0.1/24", "excludeFirst": 10, "excludeLast": 5})).unwrap();
        let blue = &config.networks[0];
        for (address, why) in [
            ("10.1.0.1", "gateway"),
            ("10.1.0.0", "network address"),
            ("10.1.0.255", "broadcast"),
            ("10.1.0.9", "excluded"),
            ("10.1.0.251", "excluded"),
            ("10.2.0.7", "outside"),
            ("fd10::7", "outside"),
        ] {
            let said = blue.refuses(address.parse().unwrap()).unwrap();
            assert!(said.contains(why), "{address}: {said}");
        }
        assert_eq!(blue.refuses("10.1.0.10".parse().unwrap()), None);
    }

    #[test]
    fn b22_a_missing_ipam_cidr_or_list_is_a_sentence() {
        for value in [
            json!({}),
            json!({"vxlans": [{}]}),
            json!({"vxlans": 7}),
            json!({"vxlans": [7]}),
        ] {
            assert_eq!(
                Config::read(&value).unwrap_err().code,
                Code::INVALID_CONFIGURATION
            );
        }
        let value = json!({"vxlans": [{"id": 1, "name": "a", "cidr": "10.1.0.1/16", "peers": [], "options": {"vtepdev": "e"}}]});
        assert!(
            Config::read(&value)
                .unwrap_err()
                .msg
                .contains("ipam: missing")
        );
    }
}
