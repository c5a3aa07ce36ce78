//! One map in a kubeconfig, read key by key; what is wrong is told by its path and never by its value.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};
use thiserror::Error;

use super::secret::Secret;
use crate::sanitize::printable;

/// What is wrong with a kubeconfig: where, and what was wanted.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct Fault(pub(super) String);

/// Something in PEM, here or in a file.
#[derive(Debug, Clone)]
pub enum Pem {
    /// Base64 in the kubeconfig; the text is its path in there.
    Here(String, Secret<Vec<u8>>),
    /// In a file.
    File(PathBuf),
}

/// An object in the kubeconfig and where it stands.
pub(super) struct Entry<'a> {
    /// Where.
    pub(super) path: String,
    object: &'a Map<String, Value>,
}

impl<'a> Entry<'a> {
    pub(super) fn of(value: &'a Value, path: String) -> Result<Self, Fault> {
        match value.as_object() {
            Some(object) => Ok(Self { path, object }),
            None if path.is_empty() => Err(Fault("not a kubeconfig: wanted a map".to_owned())),
            None => Err(Fault(format!("{path}: wanted a map"))),
        }
    }

    pub(super) fn key(&self, key: &str) -> String {
        match self.path.is_empty() {
            true => key.to_owned(),
            false => format!("{}.{key}", self.path),
        }
    }

    pub(super) fn fault(&self, key: &str, why: impl std::fmt::Display) -> Fault {
        Fault(format!("{}: {why}", self.key(key)))
    }

    /// A value that is there and neither null nor an empty text: empty is unset, as in Go.
    pub(super) fn value(&self, key: &str) -> Option<&'a Value> {
        let value = self.object.get(key)?;
        (!value.is_null() && value.as_str() != Some("")).then_some(value)
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>, Fault> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(text)) if !text.contains('\0') => Ok(Some(text)),
            Some(_) => Err(self.fault(key, "wanted a string")),
        }
    }

    pub(super) fn truth(&self, key: &str) -> Result<bool, Fault> {
        match self.value(key) {
            None => Ok(false),
            Some(value) => value
                .as_bool()
                .ok_or_else(|| self.fault(key, "wanted true or false")),
        }
    }

    fn array(&self, key: &str) -> Result<&'a [Value], Fault> {
        match self.value(key) {
            None => Ok(&[]),
            Some(value) => {
                let list = value
                    .as_array()
                    .ok_or_else(|| self.fault(key, "wanted a list"))?;
                Ok(list)
            }
        }
    }

    pub(super) fn list(&self, key: &str) -> Result<Vec<Entry<'a>>, Fault> {
        let entry = |(index, value)| Entry::of(value, self.key(&format!("{key}[{index}]")));
        self.array(key)?.iter().enumerate().map(entry).collect()
    }

    pub(super) fn texts(&self, key: &str) -> Result<Vec<String>, Fault> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let texts: Option<Vec<String>> = self.array(key)?.iter().map(text).collect();
        texts.ok_or_else(|| self.fault(key, "wanted a list of strings"))
    }

    /// What a list has under a name.
    pub(super) fn named(&self, list: &str, inner: &str, name: &str) -> Result<Entry<'a>, Fault> {
        let mut found = Vec::new();
        for entry in self.list(list)? {
            if entry.text("name")? == Some(name) {
                found.push(entry);
            }
        }
        match &found[..] {
            [entry] => {
                let value = entry
                    .value(inner)
                    .ok_or_else(|| entry.fault(inner, "missing"))?;
                Entry::of(value, entry.key(inner))
            }
            [] => Err(self.fault(list, format!("none is named `{}`", printable(name)))),
            _ => Err(self.fault(list, format!("several are named `{}`", printable(name)))),
        }
    }

    /// A file or what it would hold, not both (client-go, `validateAuthInfo`, `validateClusterInfo`).
    pub(super) fn pem(
        &self,
        file: &str,
        inline: &str,
        folder: &Path,
    ) -> Result<Option<Pem>, Fault> {
        match (self.text(file)?, self.text(inline)?) {
            (None, None) => Ok(None),
            (Some(path), None) => Ok(Some(Pem::File(folder.join(path)))),
            (None, Some(text)) => {
                let packed: String = text.split_ascii_whitespace().collect();
                let pem = BASE64_STANDARD.decode(packed);
                let pem = pem.map_err(|_| self.fault(inline, "not base64"))?;
                Ok(Some(Pem::Here(self.key(inline), Secret::new(pem))))
            }
            (Some(_), Some(_)) => Err(self.fault(
                file,
                format!("set together with {inline}: take one of them out"),
            )),
        }
    }

    /// Refuses what is not known here.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Fault> {
        match self
            .object
            .keys()
            .find(|key| !known.contains(&key.as_str()))
        {
            Some(key) => Err(self.fault(
                &printable(key),
                format!("unknown key; known are {}", known.join(", ")),
            )),
            None => Ok(()),
        }
    }
}
