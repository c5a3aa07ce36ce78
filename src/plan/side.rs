//! The two sides that each fact, question and command is of.

use crate::ip::Netns;

/// On which side of an attachment something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The node.
    Host,
    /// The container's namespace.
    Pod,
}

impl Side {
    /// The namespace of a side, where the container's is `pod`.
    pub fn netns(self, pod: &Netns) -> &Netns {
        match self {
            Self::Host => &Netns::Own,
            Self::Pod => pod,
        }
    }
}
