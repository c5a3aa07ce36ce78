//! The runtime's list of living attachments, which GC is given (CNI 1.1.0, section 2, GC).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::error::{CniError, Code};
use crate::sanitize::printable;

/// The list's key, and its key in older libraries.
const KEYS: [&str; 2] = ["cni.dev/valid-attachments", "cni.dev/attachments"];

/// Attachments as pairs of container and interface.
pub type Listed = BTreeSet<(String, String)>;

/// What is said of a GC without a list, as `cnitool` and libraries without any attachment ask for it.
pub const NO_LIST: &str =
    "cni.dev/valid-attachments: missing: without the list of living attachments nothing is removed";

/// The list of attachments that live: `cni.dev/valid-attachments`, in older libraries `cni.dev/attachments`; none where
/// there is none, or `null`.
///
/// # Errors
/// Code 7 where it is no such list.
pub fn valid_attachments(config: &Value) -> Result<Option<Listed>, CniError> {
    let Some(list) = KEYS
        .iter()
        .find_map(|key| config.get(*key))
        .filter(|list| !list.is_null())
    else {
        return Ok(None);
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
    let items = list.as_array().ok_or_else(|| wrong(list))?;
    items.iter().map(one).collect::<Result<_, _>>().map(Some)
}

/// Adds attachments, each a container and an interface, to the runtime's list in a configuration, whichever key it has.
pub fn add_valid(config: &mut Value, more: impl Iterator<Item = (String, String)>) {
    let lists = KEYS.iter().filter(|key| config[**key].is_array());
    let Some(key) = lists.copied().next() else {
        return;
    };
    if let Some(list) = config[key].as_array_mut() {
        list.extend(
            more.map(|(container, ifname)| json!({"containerID": container, "ifname": ifname})),
        );
    }
}
