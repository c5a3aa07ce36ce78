//! The error of the CNI protocol: a code, one sentence, and details.

use serde::Serialize;

use crate::sanitize::one_line;

/// The most characters of a message: what fits into an event of a pod.
const MESSAGE_MAX: usize = 900;

/// The most characters of details: every fault of a long configuration, and not all that a program
/// gone wild printed.
const DETAILS_MAX: usize = 1 << 16;

/// Error codes: 1 to 11 and 50, 51 are the specification's (CNI 1.1.0, section 5, Error), 8 is
/// libcni's, 100 and up are ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(pub u32);

impl Code {
    /// The configuration's CNI version is not supported.
    pub const INCOMPATIBLE_VERSION: Self = Self(1);
    /// A field is not supported; the message holds key and value.
    pub const UNSUPPORTED_FIELD: Self = Self(2);
    /// The container is unknown or gone; the runtime need not clean up.
    pub const UNKNOWN_CONTAINER: Self = Self(3);
    /// A variable is missing or invalid; the message names it.
    pub const INVALID_ENVIRONMENT: Self = Self(4);
    /// Reading or writing failed.
    pub const IO: Self = Self(5);
    /// Something is not JSON or not of the wanted shape.
    pub const DECODING: Self = Self(6);
    /// The configuration says something that cannot be.
    pub const INVALID_CONFIGURATION: Self = Self(7);
    /// `CNI_NETNS` is the plugin's own namespace (libcni `ErrInvalidNetNS`).
    pub const OWN_NETNS: Self = Self(8);
    /// A passing fault: the runtime should try again.
    pub const TRY_AGAIN: Self = Self(11);
    /// STATUS: no ADD can be served.
    pub const NOT_AVAILABLE: Self = Self(50);
    /// STATUS: no ADD can be served, and running containers may be cut off.
    pub const LIMITED: Self = Self(51);
    /// A command failed; the details are the pasteable line, exit code and what it said.
    pub const COMMAND_FAILED: Self = Self(100);
    /// Facts do not hold; the details name them.
    pub const FACTS_DO_NOT_HOLD: Self = Self(101);
    /// No address is left.
    pub const POOL_EXHAUSTED: Self = Self(102);
    /// Policy refuses the pod.
    pub const REFUSED_BY_POLICY: Self = Self(103);
    /// A fault of this program.
    pub const INTERNAL: Self = Self(199);
}

/// What goes to stdout when a verb fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{msg}")]
pub struct CniError {
    /// What kind of failure.
    pub code: Code,
    /// One sentence.
    pub msg: String,
    /// What was seen, and what to do; may be empty.
    pub details: String,
}

/// The JSON form (CNI 1.1.0, section 5, Error).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    cni_version: &'a str,
    code: u32,
    msg: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    details: &'a str,
}

impl CniError {
    /// An error without details. Whatever foreign text is in a message, it is one line of a bounded length.
    pub fn new(code: Code, msg: impl AsRef<str>) -> Self {
        Self {
            code,
            msg: one_line(msg.as_ref(), MESSAGE_MAX),
            details: String::new(),
        }
    }

    /// Adds what was seen and what to do.
    pub fn details(mut self, details: impl AsRef<str>) -> Self {
        self.details = one_line(details.as_ref(), DETAILS_MAX);
        self
    }

    /// Adds a line to the details: what else went wrong on the way out.
    pub fn and(self, also: &str) -> Self {
        match (also.is_empty(), self.details.is_empty()) {
            (true, _) => self,
            (false, true) => self.details(also),
            (false, false) => {
                let both = format!("{}; {also}", self.details);
                self.details(both)
            }
        }
    }

    /// Adds what a failure could not take back, if there is anything.
    pub fn and_left(self, left: &[String]) -> Self {
        match left {
            [] => self,
            left => self.and(&format!(
                "and this could not be taken back: {}",
                left.join("; ")
            )),
        }
    }

    /// The one JSON document for stdout, for a reader of `cni_version`.
    pub fn to_json(&self, cni_version: &str) -> String {
        let Self {
            code: Code(code),
            msg,
            details,
        } = self;
        let document = Document {
            cni_version,
            code: *code,
            msg,
            details,
        };
        // Strings and a number always serialise; the fallback keeps the promise of one document.
        serde_json::to_string(&document).unwrap_or_else(|_| format!("{{\"code\":{code}}}"))
    }
}
