//! The runtime's list of living attachments, which GC is given (CNI 1.1.0, section 2, GC).

use std::collections::BTreeSet;

use serde_json::Value;

use super::error::{CniError, Code};
use crate::sanitize::printable;

/// Attachments as pairs of container and interface.
pub type Listed = BTreeSet<(String, String)>;

/// The list of attachments that live: `cni.dev/valid-attachments`, in older libraries `cni.dev/attachments`.
///
/// # Errors
/// Code 7 where there is none, or it is no such list.
pub fn valid_attachments(config: &Value) -> Result<Listed, CniError> {
    let keys = ["cni.dev/valid-attachments", "cni.dev/attachments"];
    let Some(list) = keys
        .iter()
        .find_map(|key| config.get(*key))
        .filter(|list| !list.is_null())
    else {
        let msg = "cni.dev/valid-attachments: missing: without the list of living attachments nothing is removed";
        return Err(CniError::new(Code::INVALID_CONFIGURATION, msg));
    };
    let wrong = |seen: &Value| {
        let seen = printable(&seen.to_string());
        let msg = format!(
            "cni.dev/valid-attachments: wanted a list of containerID and ifname, seen `{seen}`"
        );
        CniError::new(Code::INVALID_CONFIGURATION, msg)
    };
    let one = |item: &Value| {
        let field = |key: &str| item.get(key).and_then(Value::as_str).map(str::to_owned);
        field("containerID")
            .zip(field("ifname"))
            .ok_or_else(|| wrong(item))
    };
    list.as_array()
        .ok_or_else(|| wrong(list))?
        .iter()
        .map(one)
        .collect()
}
