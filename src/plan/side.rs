//! The two sides that each fact, question and command is of.

/// On which side of an attachment something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The node.
    Host,
    /// The container's namespace.
    Pod,
}
