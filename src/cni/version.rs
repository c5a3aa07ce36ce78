//! CNI versions: which there are, which verbs they have, how their results differ.

use std::fmt;

/// The versions that are spoken, oldest first (CNI 1.1.0, section 5, Version).
pub const SUPPORTED: [&str; 7] = [
    "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0",
];

/// A supported version; ordered by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(usize);

impl Version {
    /// The newest.
    pub const NEWEST: Self = Self(SUPPORTED.len() - 1);
    /// What a configuration without `cniVersion` speaks (libcni).
    pub const OLDEST: Self = Self(0);

    /// Takes a text as a supported version; an empty one is [`Version::OLDEST`].
    pub fn of(text: &str) -> Option<Self> {
        match text {
            "" => Some(Self::OLDEST),
            text => SUPPORTED
                .iter()
                .position(|&version| version == text)
                .map(Self),
        }
    }

    /// As text.
    pub fn as_str(self) -> &'static str {
        SUPPORTED[self.0]
    }

    /// The result's shape in this version.
    pub fn shape(self) -> Shape {
        match self.as_str() {
            "0.1.0" | "0.2.0" => Shape::FourAndSix,
            "0.3.0" | "0.3.1" | "0.4.0" => Shape::Numbered,
            "1.0.0" => Shape::One,
            _ => Shape::OneOne,
        }
    }

    /// Whether a verb exists in this version: CHECK since 0.4.0, GC and STATUS since 1.1.0.
    pub fn has(self, verb: &str) -> bool {
        let since = match verb {
            "CHECK" => "0.4.0",
            "GC" | "STATUS" => "1.1.0",
            _ => "0.1.0",
        };
        Self::of(since).is_some_and(|since| self >= since)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a result looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// 0.1.0, 0.2.0: `ip4` and `ip6`, one address each, no interfaces.
    FourAndSix,
    /// 0.3.0 to 0.4.0: lists; each address has `version` "4" or "6".
    Numbered,
    /// 1.0.0: lists.
    One,
    /// 1.1.0: interfaces have an mtu; routes may have more than `dst` and `gw`.
    OneOne,
}
