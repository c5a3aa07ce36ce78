//! The CNI protocol: request, result, error, versions, the door they come through, and delegation.
//!
//! Knows nothing of vxlan: `route-table` comes through the same door.

pub mod attachments;
pub mod delegate;
pub mod error;
pub mod plugin;
pub mod request;
pub mod result;
pub mod serve;
pub mod version;

pub use error::{CniError, Code};
pub use plugin::Plugin;
pub use request::{Args, Env, Request, Verb};
pub use result::CniResult;
pub use version::Version;
