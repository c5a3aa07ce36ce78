//! Which iproute2 there is, and which it must be.

use std::fmt;

/// A version of iproute2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u32,
    minor: u32,
}

/// The oldest iproute2 with which all tests pass (Debian 11).
pub const OLDEST: Version = Version {
    major: 5,
    minor: 10,
};

/// What the oldest says of itself: 5.10 was published with the number of the one before (Debian's 5.10.0-4 prints
/// `iproute2-5.9.0`).
const OLDEST_SAID: Version = Version { major: 5, minor: 9 };

impl Version {
    /// Reads what `ip -V` prints: `ip utility, iproute2-6.1.0, libbpf 1.1.2`. Before 5.3 it had dates for versions
    /// (`iproute2-ss190708`), and another `ip`, as busybox's, has none.
    pub fn of(said: &str) -> Option<Self> {
        let (_, rest) = said.split_once("iproute2-")?;
        let mut numbers = rest.split(['.', ',', '-', ' ']).map(str::parse::<u32>);
        let (major, minor) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        Some(Self { major, minor })
    }

    /// Whether it is older than the [`OLDEST`].
    pub fn is_too_old(self) -> bool {
        self < OLDEST_SAID
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_what_ip_prints_and_compared_as_numbers() {
        for (said, shown, too_old) in [
            ("ip utility, iproute2-6.1.0, libbpf 1.1.2", "6.1", false),
            ("ip utility, iproute2-5.10.0", "5.10", false),
            ("ip utility, iproute2-5.9.0, libbpf 0.3.0", "5.9", false),
            ("ip utility, iproute2-5.8.0", "5.8", true),
            ("ip utility, iproute2-5.3.0", "5.3", true),
            ("ip utility, iproute2-4.20", "4.20", true),
            ("ip utility, iproute2-6.15.0-rc1", "6.15", false),
            ("ip utility, iproute2-10.0", "10.0", false),
        ] {
            let version = Version::of(said);
            assert_eq!(
                version.map(|version| (version.to_string(), version.is_too_old())),
                Some((shown.to_owned(), too_old)),
                "{said}"
            );
        }
        for none in [
            "ip utility, iproute2-ss190708",
            "BusyBox v1.36",
            "",
            "iproute2-5",
        ] {
            assert_eq!(Version::of(none), None, "{none}");
        }
        assert!(!OLDEST.is_too_old());
    }

    #[test]
    fn readme_names_the_oldest() {
        let readme = include_str!("../../README.md");
        assert!(readme.contains(&format!("iproute2 {OLDEST} or newer")));
    }
}
