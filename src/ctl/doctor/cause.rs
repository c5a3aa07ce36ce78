//! Which finding is the cause of which: a device that is missing or down takes everything on it along.

use super::report::{Cause, Finding, Id, State};
use crate::ctl::look::Judged;
use crate::ip::IfName;
use crate::ip::link::Setting;
use crate::ip::sysctl::SysctlKey;
use crate::plan::{Fact, Verdict};

/// A device on which everything fails, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    dev: IfName,
    /// The finding that tells of it.
    pub cause: Cause,
    /// Whether the device is not there at all.
    pub is_missing: bool,
    /// Whether it is no more than its MTU, which those on the device get with it.
    is_mtu: bool,
}

/// What cannot be as it should be while something else is not: a finding's id, and those of its causes, the likeliest first.
const BECAUSE: [(Id, &[Id]); 7] = [
    (Id::Arp, &[Id::FirewallGateway]),
    (
        Id::Flood,
        &[
            Id::UnderlayDevice,
            Id::SourceAddress,
            Id::UnderlayWay,
            Id::FirewallVxlan,
        ],
    ),
    (Id::GatewayReach, &[Id::FirewallGateway]),
    (
        Id::PeerReach,
        &[
            Id::UnderlayDevice,
            Id::SourceAddress,
            Id::UnderlayWay,
            Id::FirewallVxlan,
            Id::UnderlayMtu,
        ],
    ),
    (Id::PodReach, &[Id::FirewallGateway]),
    (Id::UnderlayMtu, &[Id::UnderlayDevice, Id::UnderlayWay]),
    (Id::UnderlayWay, &[Id::UnderlayDevice]),
];

/// What is asked through the devices of a network.
const THROUGH: [Id; 9] = [
    Id::AddressOwner,
    Id::AnswersForAll,
    Id::Arp,
    Id::Flood,
    Id::GatewayReach,
    Id::PeerReach,
    Id::PodReach,
    Id::GatewayOwner,
    Id::MacOwner,
];

/// The devices that are missing or down, in the order of the facts, behind those of the side below.
pub fn roots(of: &str, judged: &[Judged], below: &[Root]) -> Vec<Root> {
    let mut roots = below.to_vec();
    for (fact, verdict) in judged {
        let found = match (fact, verdict) {
            (Fact::Vxlan { name, .. }, Verdict::Missing) => (name, None, true),
            (Fact::Macvlan { name, parent, .. }, Verdict::Missing) => (name, Some(parent), true),
            // Another's device under this name.
            (Fact::Vxlan { name, .. } | Fact::Macvlan { name, .. }, Verdict::Differs { .. }) => {
                (name, None, false)
            }
            // What is below a device that is there is its own affair, but nothing passes.
            (Fact::Macvlan { name, parent, .. }, _) => {
                let above = roots.iter().filter(|root| root.dev == *parent);
                let own = above.map(|root| Root {
                    dev: name.clone(),
                    ..root.clone()
                });
                roots.extend(own.collect::<Vec<_>>());
                continue;
            }
            (
                Fact::Setting {
                    dev,
                    setting: Setting::Up,
                    ..
                },
                Verdict::Differs { .. },
            ) => (dev, None, false),
            (
                Fact::Setting {
                    dev,
                    setting: Setting::Mtu(_),
                    ..
                },
                Verdict::Differs { .. },
            ) => {
                if !roots.iter().any(|root| root.dev == *dev) {
                    roots.push(Root::new(of, dev, fact, verdict).of_the_mtu());
                }
                continue;
            }
            _ => continue,
        };
        let (dev, parent, is_missing) = found;
        if root_of(dev, &roots).is_some() {
            continue;
        }
        let above = parent.and_then(|parent| root_of(parent, &roots));
        let own = Root::new(of, dev, fact, verdict);
        roots.push(Root {
            cause: above.map_or(own.cause, |root| root.cause.clone()),
            is_missing,
            ..own
        });
    }
    roots
}

/// Tells of devices that are missing that they are so because of something else.
pub fn because_of(finding: &Finding, roots: &mut [Root]) {
    for root in roots.iter_mut().filter(|root| root.is_missing) {
        root.cause = Cause::new("", &finding.message);
    }
}

impl Root {
    fn new(of: &str, dev: &IfName, fact: &Fact, verdict: &Verdict) -> Self {
        let message = match verdict {
            Verdict::Differs { found } => format!("{fact}: found {found}"),
            _ => format!("{fact}: missing"),
        };
        Self {
            dev: dev.clone(),
            cause: Cause::new(of, message),
            is_missing: false,
            is_mtu: false,
        }
    }

    fn of_the_mtu(self) -> Self {
        Self {
            is_mtu: true,
            ..self
        }
    }
}

/// The cause of what is by a device; `None` where that is there and up.
pub fn of_device<'a>(dev: &IfName, roots: &'a [Root]) -> Option<&'a Cause> {
    root_of(dev, roots).map(|root| &root.cause)
}

fn root_of<'a>(dev: &IfName, roots: &'a [Root]) -> Option<&'a Root> {
    let mut whole = roots.iter().filter(|root| !root.is_mtu);
    whole.find(|root| root.dev == *dev)
}

/// The root of what a fact is about.
pub fn of_fact<'a>(fact: &Fact, roots: &'a [Root]) -> Option<&'a Root> {
    let dev = match fact {
        Fact::Vxlan { name, .. } | Fact::Macvlan { name, .. } => name,
        Fact::Setting { dev, .. }
        | Fact::Address { dev, .. }
        | Fact::NoAddress { dev, .. }
        | Fact::Neighbour { dev, .. }
        | Fact::Flood { dev, .. }
        | Fact::Peer { dev, .. }
        | Fact::Forgotten { dev, .. } => dev,
        Fact::Route { route, .. } => &route.dev,
        Fact::Sysctl {
            key: SysctlKey::Device(_, dev, _) | SysctlKey::Neighbours(_, dev, _),
            ..
        } => dev,
        _ => return None,
    };
    let mut of_the_mtu = roots.iter().filter(|root| root.is_mtu && root.dev == *dev);
    match fact {
        Fact::Setting {
            setting: Setting::Mtu(_),
            ..
        } => root_of(dev, roots).or_else(|| of_the_mtu.next()),
        _ => root_of(dev, roots),
    }
}

/// Tells of each finding of a network that is asked through it from which other it follows.
pub fn fold(findings: &mut [Finding], roots: &[Root]) {
    let failed = |finding: &&Finding| finding.state == State::Failed;
    let causes: Vec<(Id, Cause)> = findings
        .iter()
        .filter(failed)
        .map(|finding| (finding.id, Cause::new("", &finding.message)))
        .collect();
    for finding in findings.iter_mut().filter(|one| one.state != State::Ok) {
        let through = THROUGH
            .contains(&finding.id)
            .then(|| roots.first())
            .flatten();
        let through = through.map(|root| root.cause.clone());
        let because = BECAUSE.iter().find(|(id, _)| *id == finding.id);
        let because = because.into_iter().flat_map(|(_, ids)| ids.iter());
        let mut because = because.filter_map(|id| {
            let cause = causes.iter().find(|(of, _)| of == id);
            cause.map(|(_, cause)| cause.clone())
        });
        // A question that could not be put has its reason already.
        let own = finding.follows_from.take();
        finding.follows_from = own.or(through).or_else(|| because.next());
    }
}
