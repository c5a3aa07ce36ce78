//! The runtime's network configurations, read as a runtime reads them: which file, and what a plugin of
//! it would be handed on stdin.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;
use thiserror::Error;

use crate::cni::{CniError, Code};

/// Where runtimes look for configurations (containerd, CRI-O, podman, kubelet).
pub const FOLDER: &str = "/etc/cni/net.d";

/// The endings a runtime reads (libcni, `ConfFiles`).
const ENDINGS: [&str; 3] = ["conf", "conflist", "json"];

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfError {
    /// A file or folder could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not JSON.
    #[error("{path} is not a network configuration: {why}")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Nothing in it is what was looked for.
    #[error("{place} has no plugin with {wanted}")]
    Absent {
        /// The file or folder.
        place: PathBuf,
        /// What was looked for.
        wanted: &'static str,
    },
}

impl From<ConfError> for CniError {
    fn from(error: ConfError) -> Self {
        let (code, advice) = match &error {
            ConfError::Read { .. } => (Code::IO, "name a file with --conf FILE"),
            ConfError::Malformed { .. } => (Code::DECODING, "correct the file: jq . FILE"),
            ConfError::Absent { .. } => (
                Code::INVALID_CONFIGURATION,
                "name the file that has it with --conf FILE",
            ),
        };
        Self::new(code, error.to_string()).details(advice)
    }
}

/// A plugin's configuration, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Conf {
    /// The file.
    pub file: PathBuf,
    /// The plugin's object with the name and version of its list, as a runtime hands it over.
    pub config: Value,
}

/// Which plugin of a configuration is looked for.
#[derive(Clone, Copy)]
pub struct Wanted {
    /// In words.
    pub words: &'static str,
    /// By its object.
    pub is: fn(&Value) -> bool,
}

/// The plugin in a file, or in the first file of [`FOLDER`] that has it.
///
/// # Errors
/// [`ConfError`]; a file of the folder that cannot be read is passed over, as runtimes do.
pub fn find(file: Option<&Path>, wanted: Wanted) -> Result<Conf, ConfError> {
    match file {
        Some(file) => plugin(file, wanted)?.ok_or_else(|| absent(file, wanted)),
        None => in_folder(Path::new(FOLDER), wanted),
    }
}

fn absent(place: &Path, wanted: Wanted) -> ConfError {
    ConfError::Absent {
        place: place.to_owned(),
        wanted: wanted.words,
    }
}

/// The first by name, as runtimes sort them.
fn in_folder(folder: &Path, wanted: Wanted) -> Result<Conf, ConfError> {
    let first = all(folder, wanted)?.into_iter().next();
    first.ok_or_else(|| absent(folder, wanted))
}

/// Every plugin in the files of a folder, as [`find`].
///
/// # Errors
/// [`ConfError::Read`] for the folder.
pub fn all(folder: &Path, wanted: Wanted) -> Result<Vec<Conf>, ConfError> {
    let failed = |source| ConfError::Read {
        path: folder.to_owned(),
        source,
    };
    let read = |file: &Path| {
        let ending = file.extension().and_then(|ending| ending.to_str());
        ending.is_some_and(|ending| ENDINGS.contains(&ending))
    };
    let entries = std::fs::read_dir(folder).map_err(failed)?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|file| read(file))
        .collect();
    files.sort();
    let found = files.iter();
    Ok(found
        .filter_map(|file| plugin(file, wanted).ok().flatten())
        .collect())
}

/// The plugin in one file: a list's, or the one a single configuration is of.
fn plugin(file: &Path, wanted: Wanted) -> Result<Option<Conf>, ConfError> {
    let text = std::fs::read(file).map_err(|source| ConfError::Read {
        path: file.to_owned(),
        source,
    })?;
    let malformed = |why: String| ConfError::Malformed {
        path: file.to_owned(),
        why,
    };
    let whole: Value =
        serde_json::from_slice(&text).map_err(|error| malformed(error.to_string()))?;
    let single = std::slice::from_ref(&whole);
    let plugins = match whole.get("plugins") {
        None => single,
        Some(Value::Array(plugins)) => plugins,
        Some(_) => return Err(malformed("`plugins` is no list".to_owned())),
    };
    let found = plugins.iter().find(|plugin| (wanted.is)(plugin));
    Ok(found.map(|plugin| Conf {
        file: file.to_owned(),
        config: handed_over(&whole, plugin),
    }))
}

/// A list gives its plugins its name and version (libcni, `buildOneConfig`).
fn handed_over(whole: &Value, plugin: &Value) -> Value {
    let mut config = plugin.clone();
    if let Some(object) = config.as_object_mut() {
        for key in ["cniVersion", "name"] {
            if let Some(value) = whole.get(key) {
                object.insert(key.to_owned(), value.clone());
            }
        }
    }
    config
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    const VXLAN: Wanted = Wanted {
        words: "type vxlan",
        is: |plugin| plugin["type"] == "vxlan",
    };

    fn folder(name: &str, files: &[(&str, &str)]) -> PathBuf {
        let dir =
            std::env::temp_dir().join(format!("vxlan-cni-conf-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        for (file, text) in files {
            std::fs::write(dir.join(file), text).unwrap();
        }
        dir
    }

    #[test]
    fn the_first_file_with_the_plugin_is_read_as_a_runtime_reads_it() {
        let list = r#"{"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "tuning"}, {"type": "vxlan", "a": 1}]}"#;
        let dir = folder(
            "first",
            &[
                ("05-broken.conflist", "{"),
                ("07-other.conf", r#"{"type": "bridge", "name": "x"}"#),
                ("09.txt", list),
                ("10-net.conflist", list),
                ("20-net.conf", r#"{"type": "vxlan", "name": "later"}"#),
            ],
        );
        let found = in_folder(&dir, VXLAN).unwrap();
        assert_eq!(found.file, dir.join("10-net.conflist"));
        assert_eq!(
            found.config,
            json!({"type": "vxlan", "a": 1, "cniVersion": "1.0.0", "name": "net"})
        );
        let single = find(Some(&dir.join("20-net.conf")), VXLAN).unwrap();
        assert_eq!(single.config["name"], "later");
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn what_is_wrong_with_a_configuration_is_told_with_its_place() {
        let dir = folder("wrong", &[("a.conf", "{"), ("b.conf", r#"{"plugins": 7}"#)]);
        for (file, words) in [
            ("a.conf", "a.conf is not a network configuration: EOF"),
            ("b.conf", "`plugins` is no list"),
            ("c.conf", "cannot read"),
        ] {
            let error = find(Some(&dir.join(file)), VXLAN).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let error = in_folder(&dir, VXLAN).unwrap_err().to_string();
        assert!(error.contains("has no plugin with type vxlan"), "{error}");
        std::fs::remove_dir_all(dir).unwrap();
    }
}
