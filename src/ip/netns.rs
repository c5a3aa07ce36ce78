//! How `ip` must be told about a network namespace: the one place that decides.
//!
//! Only `ip link ... netns` takes a path; `ip -n NAME` and `ip netns exec NAME` open
//! `/var/run/netns/NAME`. Anything else, as a runtime's `/proc/PID/ns/net`, is entered by
//! `nsenter --net=PATH`, which is as pasteable. The program itself never enters a namespace.
//!
//! What is shown and logged is the short form; what is run is always `nsenter`: `ip -n` and `ip netns exec` copy the
//! node's table of mounts first and mount /sys anew, which takes longer with each container on the node (8.4 ms for an
//! `ip -n` beside 1,000 mounts, 3.8 ms by `nsenter`, however many there are).

use std::path::{Component, Path};

use thiserror::Error;

use super::command::{Command, Program, is_word};
use crate::sanitize::printable;

/// Where `ip netns add` puts its names (iproute2, `NETNS_RUN_DIR`), and the same folder behind the
/// compatibility link of current distributions.
const NAMED: [&str; 2] = ["/var/run/netns", "/run/netns"];

/// Why a text does not name a network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NetnsError {
    /// No command could carry it.
    #[error("`{seen}` is not a usable network namespace path: {why}")]
    Unusable {
        /// The text as it came, made printable.
        seen: String,
        /// The rule it breaks.
        why: &'static str,
    },
}

/// A network namespace as commands address it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Netns {
    /// The one in which this program runs: the node.
    Own,
    /// One of `ip netns`, by name.
    Named(String),
    /// Any other, by absolute path.
    Path(String),
}

impl Netns {
    /// Takes the path in `CNI_NETNS`; a relative one counts from the working folder.
    ///
    /// # Errors
    /// [`NetnsError::Unusable`] when it is empty, or has a character that no command line of ours
    /// carries (control characters, quotes, `#`, `\`).
    pub fn from_path(text: &str) -> Result<Self, NetnsError> {
        let unusable = |why| NetnsError::Unusable {
            seen: printable(text),
            why,
        };
        if !is_word(text) {
            return Err(unusable(
                "it is empty or has control characters, quotes, `#` or `\\`",
            ));
        }
        let path =
            std::path::absolute(text).map_err(|_| unusable("the working folder is unknown"))?;
        match Self::named(&path) {
            Some(name) => Ok(Self::Named(name)),
            None => match path.to_str() {
                Some(path) if is_word(path) => Ok(Self::Path(path.to_owned())),
                _ => Err(unusable(
                    "the working folder has characters that no command can carry",
                )),
            },
        }
    }

    /// The name of a path directly below the folder of `ip netns`.
    fn named(path: &Path) -> Option<String> {
        let parent = path.parent()?.to_str()?;
        let name = match path.components().next_back()? {
            Component::Normal(name) => name.to_str()?,
            _ => return None,
        };
        let plain = !name.starts_with('-') && !name.contains(' ');
        (NAMED.contains(&parent) && plain).then(|| name.to_owned())
    }

    /// What `ip link add ... netns` takes: a name or a path; nothing for the node's own.
    pub fn link_argument(&self) -> Option<&str> {
        match self {
            Self::Own => None,
            Self::Named(name) => Some(name),
            Self::Path(path) => Some(path),
        }
    }

    /// The words by which a process of this program's starts another in it.
    pub fn entry(&self, program: Program) -> Vec<String> {
        match self {
            // The folder that `ip -n` looks into.
            Self::Named(name) => Self::Path(format!("{}/{name}", NAMED[0])).prefix(program),
            Self::Own | Self::Path(_) => self.prefix(program),
        }
    }

    /// The words by which any program is started in it.
    pub fn enter(&self) -> Vec<String> {
        let path = match self {
            Self::Own => return Vec::new(),
            Self::Named(name) => format!("{}/{name}", NAMED[0]),
            Self::Path(path) => path.clone(),
        };
        vec!["nsenter".to_owned(), format!("--net={path}")]
    }

    /// The words that start a program in it, as they are shown.
    pub fn prefix(&self, program: Program) -> Vec<String> {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        match (self, program) {
            (Self::Own, _) => words(&[program.name()]),
            // These two have no option for a namespace.
            (Self::Named(name), Program::Sysctl | Program::Nft) => {
                words(&["ip", "netns", "exec", name, program.name()])
            }
            (Self::Named(name), _) => words(&[program.name(), "-n", name]),
            (Self::Path(path), _) => words(&["nsenter", &format!("--net={path}"), program.name()]),
        }
    }
}

/// `ip netns ...`: the namespaces that have names.
pub mod command {
    use super::{Command, Netns};

    /// `ip netns pids`: who lives in a namespace; only for one that has a name.
    pub fn pids(netns: &Netns) -> Option<Command> {
        match netns {
            Netns::Named(name) => Some(Command::ip(&["netns", "pids"]).word(name)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_named_namespace_goes_by_name_and_any_other_by_path() {
        for path in ["/var/run/netns/cni-1", "/run/netns/cni-1"] {
            assert_eq!(
                Netns::from_path(path).unwrap(),
                Netns::Named("cni-1".into())
            );
        }
        for path in [
            "/proc/17/ns/net",
            "/run/user/0/netns/x",
            "/run/netns/a/b",
            "/n",
        ] {
            assert_eq!(Netns::from_path(path).unwrap(), Netns::Path(path.into()));
        }
    }

    #[test]
    fn b61_a_relative_or_short_path_is_a_path() {
        let here = std::env::current_dir().unwrap().join("x");
        assert_eq!(
            Netns::from_path("x").unwrap(),
            Netns::Path(here.to_str().unwrap().into())
        );
    }

    #[test]
    fn a_path_that_could_be_a_second_command_is_refused() {
        for hostile in [
            "",
            "/run/netns/a\nlink del eth0",
            "/run/netns/a#b",
            "/run/netns/\"",
            "/a\\b",
        ] {
            assert!(Netns::from_path(hostile).is_err(), "{hostile:?} was taken");
        }
    }

    #[test]
    fn each_way_into_a_namespace_is_one_that_can_be_pasted() {
        let set = crate::ip::link::set(&"eth0".parse().unwrap(), &crate::ip::link::Setting::Up);
        assert_eq!(set.shown_in(&Netns::Own), "ip link set dev eth0 up");
        assert_eq!(
            set.shown_in(&Netns::Named("p".into())),
            "ip -n p link set dev eth0 up"
        );
        assert_eq!(
            set.shown_in(&Netns::Path("/proc/17/ns/net".into())),
            "nsenter --net=/proc/17/ns/net ip link set dev eth0 up"
        );
    }

    #[test]
    fn no_process_copies_the_table_of_mounts_to_get_into_a_namespace() {
        for program in [Program::Ip, Program::Bridge, Program::Sysctl, Program::Nft] {
            let words = |netns: &Netns| netns.entry(program).join(" ");
            let name = program.name();
            assert_eq!(words(&Netns::Own), name);
            assert_eq!(
                words(&Netns::Named("p".into())),
                format!("nsenter --net=/var/run/netns/p {name}")
            );
            assert_eq!(
                words(&Netns::Path("/proc/17/ns/net".into())),
                format!("nsenter --net=/proc/17/ns/net {name}")
            );
        }
    }
}
