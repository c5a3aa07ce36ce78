//! `sysctl`: the kernel's switches. `ip` sets none.

use std::fmt;
use std::path::PathBuf;

use super::command::{Command, Program};
use super::name::{Family, IfName};

/// A switch of the IP stack, for one device, for all, or for the whole namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SysctlKey {
    /// `net.ipv4.ip_forward`: the namespace routes IPv4.
    Ipv4Forward,
    /// `net.ipvX.conf.all.NAME`.
    All(Family, &'static str),
    /// `net.ipvX.conf.DEVICE.NAME`.
    Device(Family, IfName, &'static str),
    /// `net.ipvX.neigh.DEVICE.NAME`.
    Neighbours(Family, IfName, &'static str),
    /// `net.ipvX.neigh.default.NAME`; one of the whole table only the machine's own namespace has.
    NeighbourTable(Family, &'static str),
}

impl SysctlKey {
    /// The parts of its name.
    fn parts(&self) -> Vec<&str> {
        match self {
            Self::Ipv4Forward => vec!["net", "ipv4", "ip_forward"],
            Self::All(family, name) => vec!["net", stack(*family), "conf", "all", name],
            Self::Device(family, dev, name) => {
                vec!["net", stack(*family), "conf", dev.as_str(), name]
            }
            Self::Neighbours(family, dev, name) => {
                vec!["net", stack(*family), "neigh", dev.as_str(), name]
            }
            Self::NeighbourTable(family, name) => {
                vec!["net", stack(*family), "neigh", "default", name]
            }
        }
    }

    /// The same switch of another device; one of no device is as it was.
    pub fn of(&self, dev: &IfName) -> Self {
        match self {
            Self::Device(family, _, name) => Self::Device(*family, dev.clone(), name),
            Self::Neighbours(family, _, name) => Self::Neighbours(*family, dev.clone(), name),
            other => other.clone(),
        }
    }

    /// The file below `/proc/sys`; `/proc/sys/net` shows the reader's own namespace.
    pub fn path(&self) -> PathBuf {
        PathBuf::from("/proc/sys").join(self.parts().join("/"))
    }
}

/// The folder of a family.
fn stack(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

/// Printed with dots as everybody does, or with slashes where the device's name has a dot: `sysctl`
/// takes the first separator it meets as the one that is meant.
impl fmt::Display for SysctlKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.parts();
        let separator = if parts.iter().any(|part| part.contains('.')) {
            "/"
        } else {
            "."
        };
        f.write_str(&parts.join(separator))
    }
}

/// `sysctl -qw KEY=VALUE ...`: several in one process; what was set is read back, not echoed.
pub fn write(settings: &[(SysctlKey, String)]) -> Command {
    let command = Command::new(Program::Sysctl, &["-qw"]);
    settings.iter().fold(command, |command, (key, value)| {
        command.word(format!("{key}={value}"))
    })
}

/// `sysctl -n KEY ...`: the values, one a line, in the order of the keys.
pub fn read(keys: &[SysctlKey]) -> Command {
    keys.iter()
        .fold(Command::new(Program::Sysctl, &["-n"]), Command::word)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_device_name_with_a_dot_is_spelt_with_slashes() {
        let key = |dev: &str| SysctlKey::Device(Family::V4, dev.parse().unwrap(), "arp_notify");
        assert_eq!(key("eth0").to_string(), "net.ipv4.conf.eth0.arp_notify");
        assert_eq!(key("mv_a.b").to_string(), "net/ipv4/conf/mv_a.b/arp_notify");
        assert_eq!(
            write(&[
                (key("eth0"), "1".into()),
                (SysctlKey::Ipv4Forward, "1".into())
            ])
            .to_string(),
            "sysctl -qw net.ipv4.conf.eth0.arp_notify=1 net.ipv4.ip_forward=1"
        );
    }
}
