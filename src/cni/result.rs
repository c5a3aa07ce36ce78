//! The result of the CNI protocol, read and written in every supported version.
//!
//! One shape inside (1.1.0's); [`CniResult::to_json`] and [`CniResult::from_json`] are the only places
//! that know the others.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::version::{Shape, Version};
use crate::sanitize::printable;

/// Why a result cannot be read or written.
#[derive(Debug, Error)]
pub enum ResultError {
    /// Its version is unknown.
    #[error("cniVersion `{0}` is not supported")]
    Version(String),
    /// Its shape is not that of its version.
    #[error("not a CNI result of version {version}: {source}")]
    Shape {
        /// Its version.
        version: Version,
        /// What the reader says.
        source: serde_json::Error,
    },
    /// An address speaks of an interface that is not there.
    #[error("ips[{ip}].interface is {index}, but there are {interfaces} interfaces")]
    Index {
        /// Which address.
        ip: usize,
        /// Its index.
        index: usize,
        /// How many interfaces there are.
        interfaces: usize,
    },
    /// Versions before 0.3.0 cannot say "no address".
    #[error("a result of version {0} needs an address and this one has none")]
    NoAddress(Version),
}

/// What ADD made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CniResult {
    /// All interfaces, host side included.
    #[serde(
        default,
        deserialize_with = "nothing_for_null",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub interfaces: Vec<Interface>,
    /// Addresses.
    #[serde(
        default,
        deserialize_with = "nothing_for_null",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub ips: Vec<Ip>,
    /// Routes in the container.
    #[serde(
        default,
        deserialize_with = "nothing_for_null",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub routes: Vec<Route>,
    /// Name resolution.
    #[serde(
        default,
        deserialize_with = "nothing_for_null",
        skip_serializing_if = "Dns::is_empty"
    )]
    pub dns: Dns,
}

/// One interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Name.
    pub name: String,
    /// MAC address.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mac: String,
    /// Largest packet in bytes (1.1.0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// The container's `CNI_NETNS`; empty on the host.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sandbox: String,
    /// Whatever else an earlier plugin said of it.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// One address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ip {
    /// Address and prefix length.
    pub address: IpNetwork,
    /// Gateway of its network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Zero-based index into `interfaces`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<usize>,
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Destination.
    pub dst: IpNetwork,
    /// Next hop; none is the gateway of the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gw: Option<IpAddr>,
    /// Path MTU in bytes (1.1.0, as the four below).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Segment size to advertise in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advmss: Option<u32>,
    /// Metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    /// Table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<u32>,
    /// Scope by number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<u8>,
}

impl Route {
    /// A route to everything of a family or to a network, by a next hop.
    pub fn new(dst: IpNetwork, gw: Option<IpAddr>) -> Self {
        Self {
            dst,
            gw,
            mtu: None,
            advmss: None,
            priority: None,
            table: None,
            scope: None,
        }
    }
}

/// Name resolution, handed through.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dns {
    /// Addresses of name servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nameservers: Vec<String>,
    /// Local domain.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    /// Domains to search.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// Options of the resolver.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

impl Dns {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Reads `null` as nothing, as CNI's own library does: some plugins write an empty list so.
fn nothing_for_null<'de, D, T>(reader: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(reader)?.unwrap_or_default())
}

/// 0.1.0 and 0.2.0.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Old {
    #[serde(skip_serializing_if = "Option::is_none")]
    ip4: Option<OldIp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip6: Option<OldIp>,
    #[serde(skip_serializing_if = "Dns::is_empty")]
    dns: Dns,
}

/// One family of [`Old`].
#[derive(Serialize, Deserialize)]
struct OldIp {
    ip: IpNetwork,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gateway: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    routes: Vec<Route>,
}

impl CniResult {
    /// Reads a result; one without a `cniVersion` has `default`'s.
    ///
    /// # Errors
    /// [`ResultError`] when the version is unknown, the shape another, or an index points nowhere.
    pub fn from_json(value: &Value, default: Version) -> Result<Self, ResultError> {
        let version = match value.get("cniVersion") {
            None | Some(Value::Null) => default,
            Some(Value::String(text)) if text.is_empty() => default,
            Some(Value::String(text)) => {
                Version::of(text).ok_or_else(|| ResultError::Version(printable(text)))?
            }
            Some(other) => return Err(ResultError::Version(printable(&other.to_string()))),
        };
        let shape = |source| ResultError::Shape { version, source };
        // A list would be read as the fields in their order.
        if !value.is_object() {
            return Err(shape(serde::de::Error::custom("it is no object")));
        }
        let result = match version.shape() {
            Shape::FourAndSix => Old::deserialize(value).map_err(shape)?.into(),
            _ => Self::deserialize(value).map_err(shape)?,
        };
        result.checked()
    }

    /// Refuses an index that points nowhere. Where there are no interfaces at all it says nothing: an
    /// IPAM's result has none, and some write an index all the same.
    fn checked(mut self) -> Result<Self, ResultError> {
        let interfaces = self.interfaces.len();
        if interfaces == 0 {
            self.ips.iter_mut().for_each(|ip| ip.interface = None);
        }
        let wrong = |(ip, i): (usize, &Ip)| {
            let index = i.interface.filter(|index| *index >= interfaces)?;
            Some(ResultError::Index {
                ip,
                index,
                interfaces,
            })
        };
        match self.ips.iter().enumerate().find_map(wrong) {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }

    /// Writes it as a result of a version.
    ///
    /// # Errors
    /// [`ResultError::NoAddress`] when the version is older than 0.3.0 and there is no address.
    pub fn to_json(&self, version: Version) -> Result<Value, ResultError> {
        let shape = |source| ResultError::Shape { version, source };
        let mut value = match version.shape() {
            Shape::FourAndSix if self.ips.is_empty() => {
                return Err(ResultError::NoAddress(version));
            }
            Shape::FourAndSix => serde_json::to_value(Old::from(self)).map_err(shape)?,
            Shape::OneOne => serde_json::to_value(self).map_err(shape)?,
            older => {
                let mut result = self.clone();
                result.forget_1_1();
                let mut value = serde_json::to_value(&result).map_err(shape)?;
                if older == Shape::Numbered {
                    number_families(&mut value);
                }
                value
            }
        };
        let mut document = Map::new();
        document.insert("cniVersion".to_owned(), json!(version.as_str()));
        if let Some(fields) = value.as_object_mut() {
            document.append(fields);
        }
        Ok(Value::Object(document))
    }

    /// Drops what came with 1.1.0.
    fn forget_1_1(&mut self) {
        for interface in &mut self.interfaces {
            interface.mtu = None;
            interface.other = Map::new();
        }
        for route in &mut self.routes {
            *route = Route::new(route.dst, route.gw);
        }
    }

    /// Puts a later plugin's result behind this one: its indexes count from where this one ends.
    pub fn extend(mut self, later: Self) -> Self {
        let offset = self.interfaces.len();
        self.interfaces.extend(later.interfaces);
        let shifted = |ip: Ip| Ip {
            interface: ip.interface.map(|index| index + offset),
            ..ip
        };
        self.ips.extend(later.ips.into_iter().map(shifted));
        self.routes.extend(later.routes);
        if !later.dns.is_empty() {
            self.dns = later.dns;
        }
        self
    }
}

/// Gives every address its `version`.
fn number_families(value: &mut Value) {
    for ip in value
        .get_mut("ips")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let six = ip["address"]
            .as_str()
            .is_some_and(|address| address.contains(':'));
        ip["version"] = json!(if six { "6" } else { "4" });
    }
}

impl From<&CniResult> for Old {
    fn from(result: &CniResult) -> Self {
        let family = |v6: bool| {
            let first = result.ips.iter().find(|ip| ip.address.is_ipv6() == v6)?;
            let same = |route: &&Route| route.dst.is_ipv6() == v6;
            let plain = |route: &Route| Route::new(route.dst, route.gw);
            let routes = result.routes.iter().filter(same).map(plain).collect();
            Some(OldIp {
                ip: first.address,
                gateway: first.gateway,
                routes,
            })
        };
        Self {
            ip4: family(false),
            ip6: family(true),
            dns: result.dns.clone(),
        }
    }
}

impl From<Old> for CniResult {
    fn from(old: Old) -> Self {
        let mut result = Self {
            dns: old.dns,
            ..Self::default()
        };
        for OldIp {
            ip,
            gateway,
            routes,
        } in [old.ip4, old.ip6].into_iter().flatten()
        {
            result.ips.push(Ip {
                address: ip,
                gateway,
                interface: None,
            });
            result.routes.extend(routes);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sample() -> CniResult {
        let ip = |address: &str, gateway: &str| Ip {
            address: address.parse().unwrap(),
            gateway: Some(gateway.parse().unwrap()),
            interface: Some(0),
        };
        CniResult {
            interfaces: vec![Interface {
                name: "eth0".into(),
                mac: "0a:58:0a:01:00:17".into(),
                mtu: Some(1450),
                sandbox: "/run/netns/p".into(),
                other: Map::new(),
            }],
            ips: vec![ip("10.1.0.23/16", "10.1.0.1"), ip("fd10::23/64", "fd10::1")],
            routes: vec![Route {
                mtu: Some(1400),
                ..Route::new(
                    "0.0.0.0/0".parse().unwrap(),
                    Some("10.1.0.1".parse().unwrap()),
                )
            }],
            dns: Dns::default(),
        }
    }

    fn written(version: &str) -> Value {
        sample().to_json(Version::of(version).unwrap()).unwrap()
    }

    #[test]
    fn c20_c21_each_version_has_its_own_shape() {
        assert_eq!(written("1.1.0")["interfaces"][0]["mtu"], 1450);
        assert_eq!(written("1.1.0")["routes"][0]["mtu"], 1400);
        assert_eq!(written("1.0.0")["interfaces"][0].get("mtu"), None);
        assert_eq!(written("1.0.0")["ips"][0].get("version"), None);
        assert_eq!(written("0.4.0")["ips"][1]["version"], "6");
        assert_eq!(written("0.3.1")["ips"][0]["interface"], 0);
        let old = written("0.2.0");
        assert_eq!(old["ip4"]["ip"], "10.1.0.23/16");
        assert_eq!(
            old["ip4"]["routes"][0],
            json!({"dst": "0.0.0.0/0", "gw": "10.1.0.1"})
        );
        assert_eq!(old["ip6"]["gateway"], "fd10::1");
        assert_eq!(old.get("interfaces"), None);
        for version in super::super::version::SUPPORTED {
            assert_eq!(written(version)["cniVersion"], version);
        }
    }

    #[test]
    fn every_version_is_read_back() {
        for version in super::super::version::SUPPORTED {
            let back = CniResult::from_json(&written(version), Version::NEWEST).unwrap();
            assert_eq!(back.ips.len(), 2, "{version}");
            assert_eq!(back.routes.len(), 1, "{version}");
        }
    }

    #[test]
    fn c22_a_result_without_a_version_has_the_configurations() {
        let mut value = written("0.2.0");
        value.as_object_mut().unwrap().remove("cniVersion");
        assert_eq!(
            CniResult::from_json(&value, Version::OLDEST)
                .unwrap()
                .ips
                .len(),
            2
        );
    }

    #[test]
    fn c31_results_are_joined_with_their_indexes_shifted() {
        let joined = sample().extend(sample());
        assert_eq!(
            joined.ips.iter().map(|ip| ip.interface).collect::<Vec<_>>(),
            [Some(0), Some(0), Some(1), Some(1)]
        );
    }

    #[test]
    fn an_index_that_points_nowhere_is_refused() {
        let mut value = written("1.0.0");
        value["ips"][0]["interface"] = json!(7);
        let error = CniResult::from_json(&value, Version::NEWEST).unwrap_err();
        assert_eq!(
            error.to_string(),
            "ips[0].interface is 7, but there are 1 interfaces"
        );
    }

    #[test]
    fn an_index_without_any_interfaces_and_a_null_say_nothing() {
        let value = json!({"cniVersion": "1.0.0", "interfaces": null, "routes": null, "dns": null,
            "ips": [{"address": "10.1.0.23/16", "interface": 0}]});
        let read = CniResult::from_json(&value, Version::NEWEST).unwrap();
        assert_eq!(read.ips[0].interface, None);
        // Behind it, another's interfaces are not taken for its own.
        let joined = read.extend(sample());
        assert_eq!(
            (joined.ips[0].interface, joined.ips[1].interface),
            (None, Some(0))
        );
    }

    #[test]
    fn what_is_no_object_or_has_a_version_that_is_no_text_is_no_result() {
        for wrong in [json!([]), json!("x"), json!({"cniVersion": 1})] {
            assert!(
                CniResult::from_json(&wrong, Version::NEWEST).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn the_old_versions_cannot_say_no_address() {
        let empty = CniResult::default();
        assert!(matches!(
            empty.to_json(Version::OLDEST),
            Err(ResultError::NoAddress(_))
        ));
        assert!(empty.to_json(Version::NEWEST).is_ok());
    }
}
