//! The IPAM's part of a configuration, checked and with every default filled in. No I/O.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnetwork::IpNetwork;
use serde_json::Value;

use super::pool::{Order, Pool, Range};
use crate::cni::result::{Dns, Route};
use crate::cni::{Args, CniError, Code, Request};
use crate::config::hosts::{address, asked, hosts, number};
use crate::config::walk::{At, Faults};
use crate::config::{asked_ips, path, refusal, requested_ips};
use crate::ip::{Family, IfName, TableId};
use crate::sanitize::printable;

/// Keys of the `ipam` object; `routes` and those behind it are host-local's too, the last four its short form of one range.
const KNOWN: [&str; 18] = [
    "type",
    "ranges",
    "device",
    "routeProtocol",
    "routeMetric",
    "table",
    "exclude",
    "order",
    "propagationTimeoutMs",
    "requestTimeoutMs",
    "probe",
    "dataDir",
    "logFile",
    "routes",
    "subnet",
    "rangeStart",
    "rangeEnd",
    "gateway",
];

/// Keys of a range, as host-local has them.
const RANGE: [&str; 4] = ["subnet", "rangeStart", "rangeEnd", "gateway"];

/// Marks the claims among all routes where nothing else is asked for; the original's.
const PROTOCOL: u64 = 192;

/// The protocols 1 and 2 are the kernel's own (`linux/rtnetlink.h`, `RTPROT_REDIRECT`, `RTPROT_KERNEL`).
const PROTOCOLS: std::ops::RangeInclusive<u64> = 3..=255;

/// 250 in the top byte, which FRR takes as the administrative distance: the worst, so that a claim heard
/// from another node is preferred to the own one and shows in a look-up.
const METRIC: u64 = 4_194_304_000;

/// How long a claim may take to be seen everywhere, in milliseconds: the shortest in which the wire is asked in four
/// turns, the first and the last by broadcast (the original waits 100).
pub const PROPAGATION_MS: u64 = 50;

/// How long an ADD may take in all, in milliseconds.
const REQUEST_MS: u64 = 5_000;

/// The shortest time in which it is settled who of several keeps an address. Those who give way do so within
/// milliseconds; on a node with 16 runnable processes a core, one took 660.
const CONTEST_LEAST: Duration = Duration::from_secs(2);

/// The longest time that can be set, in milliseconds.
const MS_MAX: u64 = 600_000;

/// Everything a verb needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ipam {
    /// The pools: a container gets an address of each.
    pub pools: Vec<Pool>,
    /// Addresses asked for, at most one of each pool.
    pub wanted: Vec<IpAddr>,
    /// The device of the claims; none is the one through which the kernel routes the subnet.
    pub device: Option<IfName>,
    /// Protocol of the claims (`RTPROT_*`).
    pub protocol: u8,
    /// Metric of the claims.
    pub metric: u32,
    /// Table of the claims.
    pub table: TableId,
    /// In which order free addresses are looked for.
    pub order: Order,
    /// How long a claim may take to be seen everywhere.
    pub propagation: Duration,
    /// How long an ADD may take in all.
    pub request: Duration,
    /// Whether the wire is asked who has an address.
    pub probe: bool,
    /// Whether the addresses are for the reference plugin `bridge`.
    pub is_bridge: bool,
    /// Folder of the attachments' records, where the addresses are for the plugin `vxlan`.
    pub attachments: Option<PathBuf>,
    /// Folder of the owner records.
    pub data_dir: PathBuf,
    /// The journal.
    pub log_file: PathBuf,
    /// Routes of the container.
    pub routes: Vec<Route>,
    /// Name resolution of the container.
    pub dns: Dns,
}

impl Ipam {
    /// For how long another claimant of the same address may take to give way. They do within the time
    /// that a claim takes to be seen, unless their node is busy.
    pub fn contest(&self) -> Duration {
        (self.propagation * 10).max(CONTEST_LEAST)
    }

    /// Reads the configuration of a request.
    ///
    /// # Errors
    /// Code 7 that names every fault with its path.
    pub fn read(request: &Request) -> Result<Self, CniError> {
        let (ipam, faults) = Self::walk(&request.config, &request.args);
        match faults {
            faults if faults.is_empty() && ipam.pools.is_empty() => Err(no_range()),
            faults if faults.is_empty() => Ok(ipam),
            faults => Err(refusal(&faults)),
        }
    }

    /// Reads what can be read: for what must not wait until the configuration is mended.
    pub fn read_leniently(request: &Request) -> Self {
        Self::of(&request.config, &request.args)
    }

    /// Reads what can be read of a configuration by itself.
    pub fn of(config: &Value, args: &Args) -> Self {
        Self::walk(config, args).0
    }

    fn walk(config: &Value, args: &Args) -> (Self, Vec<String>) {
        let faults = Faults::default();
        let top = At::top(config, &faults);
        let at = top.inner("ipam");
        at.only(&KNOWN);
        let exclude: Vec<IpNetwork> = at.decode("exclude").unwrap_or_default();
        let mut pools = pools(&top, &at, &exclude);
        let mut wanted = wanted(&top, args);
        if pools.is_empty()
            && let Some((pool, asked)) = original(args, &faults)
        {
            pools.push(Pool { exclude, ..pool });
            wanted = wanted.or(asked.map(|ip| ("CNI_ARGS CIDR", vec![ip.to_string()])));
        }
        let small = |key: &str, range, default| {
            let number = at.number(key, range).unwrap_or(default);
            u32::try_from(number).unwrap_or(u32::MAX)
        };
        let ms = |key: &str, least, default| {
            Duration::from_millis(at.number(key, least..=MS_MAX).unwrap_or(default))
        };
        let plugin = config.get("type").and_then(Value::as_str);
        let ipam = Self {
            wanted: wanted.map_or(Vec::new(), |(source, texts)| {
                addresses(source, &texts, &pools, &faults)
            }),
            pools,
            device: at.parse("device", |value| {
                IfName::new(value.as_str().unwrap_or_default())
            }),
            protocol: small("routeProtocol", PROTOCOLS, PROTOCOL) as u8,
            metric: small("routeMetric", 0..=u32::MAX.into(), METRIC),
            table: TableId::new(small("table", 1..=u32::MAX.into(), 254).into())
                .unwrap_or(TableId::MAIN),
            order: order(&at),
            propagation: ms("propagationTimeoutMs", 0, PROPAGATION_MS),
            request: ms("requestTimeoutMs", 1, REQUEST_MS),
            probe: at.bool("probe", true),
            is_bridge: plugin == Some("bridge"),
            attachments: (plugin == Some("vxlan"))
                .then(|| path(&top, "dataDir", "/var/lib/cni/vxlan")),
            data_dir: path(&at, "dataDir", "/run/route-table"),
            log_file: path(&at, "logFile", "/var/log/route-table.log"),
            routes: at.decode("routes").unwrap_or_default(),
            dns: top.decode("dns").unwrap_or_default(),
        };
        if ipam.propagation >= ipam.request {
            at.fault(
                "propagationTimeoutMs",
                format!(
                    "{} leaves nothing of requestTimeoutMs, which is {}",
                    ipam.propagation.as_millis(),
                    ipam.request.as_millis()
                ),
            );
        }
        (ipam, faults.into_vec())
    }
}

/// The error for a configuration without any range.
fn no_range() -> CniError {
    CniError::new(
        Code::INVALID_CONFIGURATION,
        "configuration: ipam.ranges: missing: the addresses to hand out",
    )
    .details(
        "as [[{\"subnet\": \"10.1.0.0/16\"}]]; the plugin vxlan fills it in from the network's cidr",
    )
}

/// The pools: what the runtime wants (capability `ipRanges`), `ranges`, or the short form of one range.
fn pools(top: &At<'_>, at: &At<'_>, exclude: &[IpNetwork]) -> Vec<Pool> {
    let runtime = top.inner("runtimeConfig");
    let mut pools: Vec<Pool> = Vec::new();
    for (at, key) in [(&runtime, "ipRanges"), (at, "ranges")] {
        for (index, set) in at.list(key).iter().enumerate() {
            let key = format!("{key}[{index}]");
            if let Some(pool) = pool(at, &key, set, exclude) {
                if let Some(shared) = pools.iter().find_map(|other| pool.shares(other)) {
                    at.fault(&key, format!("{shared} is in two lists"));
                }
                pools.push(pool);
            }
        }
    }
    if at.value("subnet").is_some() {
        let ranges: Vec<Range> = range(at).into_iter().collect();
        pools.extend((!ranges.is_empty()).then(|| Pool {
            ranges,
            exclude: exclude.to_vec(),
        }));
    }
    pools
}

/// One inner list: ranges of one family.
fn pool(at: &At<'_>, key: &str, set: &Value, exclude: &[IpNetwork]) -> Option<Pool> {
    let Some(items) = set.as_array().filter(|items| !items.is_empty()) else {
        let seen = printable(&set.to_string());
        at.fault(key, format!("wanted a list of ranges, seen `{seen}`"));
        return None;
    };
    let one = |(index, value)| {
        let at = at.item(&format!("{key}[{index}]"), value);
        at.only(&RANGE);
        range(&at)
    };
    let ranges: Vec<Range> = items.iter().enumerate().filter_map(one).collect();
    let pool = Pool {
        ranges,
        exclude: exclude.to_vec(),
    };
    let family = pool.family()?;
    if pool
        .ranges
        .iter()
        .any(|range| Family::of(range.first) != family)
    {
        at.fault(key, "ranges of both families: one list for each");
    }
    let earlier = |(index, range): (usize, &Range)| {
        let other = pool.ranges[..index]
            .iter()
            .find(|other| other.overlaps(range));
        other.map(|other| format!("{} is in two ranges", range.first.max(other.first)))
    };
    if let Some(why) = pool.ranges.iter().enumerate().find_map(earlier) {
        at.fault(key, why);
    }
    Some(pool)
}

/// One range.
fn range(at: &At<'_>) -> Option<Range> {
    let subnet: Option<IpNetwork> = at.decode("subnet");
    match (at.value("subnet").and_then(Value::as_str), subnet) {
        (None, None) if at.value("subnet").is_none() => at.fault("subnet", "missing"),
        (Some(text), Some(_)) if !text.contains('/') => {
            at.fault(
                "subnet",
                format!("`{}` has no length, as /24", printable(text)),
            );
        }
        (_, Some(subnet)) if subnet.ip() != subnet.network() => at.fault(
            "subnet",
            format!(
                "{subnet} has host bits: {}/{} is the subnet",
                subnet.network(),
                subnet.prefix()
            ),
        ),
        _ => {}
    }
    let end = |key: &str| at.decode::<IpAddr>(key);
    Range::new(subnet?, end("rangeStart"), end("rangeEnd"), end("gateway"))
        .map_err(|why| at.fault("subnet", why))
        .ok()
}

/// `order`.
fn order(at: &At<'_>) -> Order {
    let read = |value: &Value| match value.as_str() {
        Some("random") => Some(Order::Random),
        Some("sequential") => Some(Order::Sequential),
        Some("sticky") => Some(Order::Sticky),
        _ => None,
    };
    at.read("order", "\"random\", \"sequential\" or \"sticky\"", read)
        .unwrap_or(Order::Random)
}

/// Addresses asked for: `runtimeConfig.ips`, `args.cni.ips`, `CNI_ARGS IP=`, in this order.
fn wanted(top: &At<'_>, args: &Args) -> Option<(&'static str, Vec<String>)> {
    let told = requested_ips(&top.inner("runtimeConfig"), &top.inner("args"));
    asked_ips(told, args)
}

/// Reads the addresses asked for; each must be one that a pool can hand out, at most one of each pool.
fn addresses(source: &str, texts: &[String], pools: &[Pool], faults: &Faults) -> Vec<IpAddr> {
    let mut wanted: Vec<IpAddr> = Vec::new();
    for text in texts {
        let refused = |why: String| {
            faults.add(format!(
                "{source} asks for the address `{}`: {why}",
                printable(text)
            ));
        };
        let Some((ip, length)) = asked(text) else {
            refused("it is not an address".to_owned());
            continue;
        };
        let fits = |pool: &&Pool| pool.refuses(ip).is_none();
        match pools.iter().find(fits) {
            None => refused(why_not(ip, pools)),
            Some(pool) if wanted.iter().any(|other| pool.range(*other).is_some()) => {
                refused("another address of the same pool is asked for too".to_owned());
            }
            Some(pool) => match (pool.range(ip), length) {
                (Some(range), Some(length)) if length.parse() != Ok(range.subnet.prefix()) => {
                    refused(format!(
                        "its network's length is /{}",
                        range.subnet.prefix()
                    ));
                }
                _ => wanted.push(ip),
            },
        }
    }
    wanted
}

/// Why no pool hands out an address: the reason of the pool it is nearest to.
fn why_not(ip: IpAddr, pools: &[Pool]) -> String {
    let near = pools.iter().find(|pool| pool.range(ip).is_some());
    let same = || {
        let family = Some(Family::of(ip));
        pools.iter().find(|pool| pool.family() == family)
    };
    near.or_else(same)
        .and_then(|pool| pool.refuses(ip))
        .unwrap_or_else(|| format!("there is no pool of {}", Family::of(ip)))
}

/// The original's way: `CNI_ARGS CIDR=ADDRESS/LENGTH;EXCLUDE_FIRST=N;EXCLUDE_LAST=N`, where an address
/// other than the network's own is the one asked for.
fn original(args: &Args, faults: &Faults) -> Option<(Pool, Option<IpAddr>)> {
    let text = args.get("CIDR")?;
    let fault = |key: &str, why: String| faults.add(format!("CNI_ARGS {key}: {why}"));
    let count = |key: &str| match args.get(key).map(str::parse::<u64>) {
        None => 0,
        Some(Ok(count)) => u128::from(count),
        Some(Err(error)) => {
            fault(key, error.to_string());
            0
        }
    };
    let Ok(cidr) = text.parse::<IpNetwork>() else {
        fault(
            "CIDR",
            format!("`{}` is not ADDRESS/LENGTH", printable(text)),
        );
        return None;
    };
    let (low, high) = hosts(cidr);
    let first = number(cidr.network())
        .saturating_add(count("EXCLUDE_FIRST"))
        .max(low);
    let last = number(cidr.broadcast())
        .saturating_sub(count("EXCLUDE_LAST"))
        .min(high);
    if first > last || !cidr.contains(address(cidr, first)) {
        fault(
            "CIDR",
            format!("EXCLUDE_FIRST and EXCLUDE_LAST leave no address of {cidr}"),
        );
        return None;
    }
    let ends = (Some(address(cidr, first)), Some(address(cidr, last)));
    let range = Range::new(cidr, ends.0, ends.1, None).ok()?;
    let asked = (cidr.ip() != cidr.network()).then(|| cidr.ip());
    let pool = Pool {
        ranges: vec![range],
        exclude: Vec::new(),
    };
    Some((pool, asked))
}
