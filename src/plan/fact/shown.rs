//! A fact in words.

use std::fmt;

use super::Fact;
use crate::ip::route::Protocol;

/// Says a fact as one would: `mv_blue has 10.1.0.1/16`.
impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vxlan { name, vxlan } => {
                write!(f, "vxlan {name} with VNI {} is there", vxlan.vni)
            }
            Self::Macvlan { name, parent, .. } => write!(f, "macvlan {name} on {parent} is there"),
            Self::Setting { dev, setting, .. } => write!(f, "{dev} {setting}"),
            Self::Flood { dev, to, .. } => write!(f, "{dev} floods to {to}"),
            Self::Peer { dev, to, listed } => match listed {
                true => write!(f, "{dev} floods to the peer {to}"),
                false => write!(f, "{dev} floods to {to} no more"),
            },
            Self::Forgotten { dev, mac, to } => {
                write!(f, "{dev} has forgotten that {mac} is behind {to}")
            }
            Self::Address { dev, address, .. } => write!(f, "{dev} has {address}"),
            Self::NoAddress { dev, address, .. } => write!(f, "{dev} has {address} no more"),
            Self::Neighbour {
                dev, address, mac, ..
            } => write!(f, "{dev} has {address} at {mac}"),
            Self::Route { route, .. } => {
                write!(f, "route {}", route.shown_dst())?;
                if let Some(via) = route.via {
                    write!(f, " via {via}")?;
                }
                write!(f, " dev {}", route.dev)?;
                if let Some(src) = route.src {
                    write!(f, " src {src}")?;
                }
                if route.table != crate::ip::TableId::MAIN {
                    write!(f, " table {}", route.table)?;
                }
                if let Some(Protocol::Number(protocol)) = route.protocol.map(Protocol::Number) {
                    write!(f, " proto {protocol}")?;
                }
                Ok(())
            }
            Self::Rule { rule, .. } => write!(f, "rule {rule}"),
            Self::Guard { table, dev, .. } => write!(f, "table {} guards {dev}", table.name()),
            Self::Sysctl { key, value, .. } => write!(f, "{key} = {value}"),
        }
    }
}
