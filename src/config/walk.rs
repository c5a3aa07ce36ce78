//! Reads a JSON object key by key and collects every fault with its path, so that all are named at once.

use std::cell::RefCell;

use serde_json::{Map, Value};

use crate::sanitize::printable;

/// The faults found so far, one sentence each.
#[derive(Debug, Default)]
pub struct Faults(RefCell<Vec<String>>);

impl Faults {
    /// Notes a fault.
    pub fn add(&self, fault: impl Into<String>) {
        self.0.borrow_mut().push(fault.into());
    }

    /// All of them.
    pub fn into_vec(self) -> Vec<String> {
        self.0.into_inner()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }
}

/// An object and where it stands in the configuration.
#[derive(Clone)]
pub struct At<'a> {
    /// `vxlans[0].options`, or empty at the top.
    pub path: String,
    object: Option<&'a Map<String, Value>>,
    faults: &'a Faults,
}

impl<'a> At<'a> {
    /// The top of the configuration.
    pub fn top(value: &'a Value, faults: &'a Faults) -> Self {
        Self {
            path: String::new(),
            object: value.as_object(),
            faults,
        }
    }

    /// Takes a value as an object at a path; one of another kind is a fault.
    pub fn object(value: &'a Value, path: String, faults: &'a Faults) -> Self {
        if !value.is_object() {
            faults.add(format!(
                "{path}: wanted an object, seen `{}`",
                printable(&value.to_string())
            ));
        }
        Self {
            path,
            object: value.as_object(),
            faults,
        }
    }

    /// The object itself.
    pub fn raw(&self) -> Value {
        self.object
            .map_or(Value::Null, |object| Value::Object(object.clone()))
    }

    /// The path of a key.
    pub fn key(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Notes a fault of a key.
    pub fn fault(&self, key: &str, fault: impl std::fmt::Display) {
        self.faults.add(format!("{}: {fault}", self.key(key)));
    }

    /// A value that is there and not null.
    pub fn value(&self, key: &str) -> Option<&'a Value> {
        self.object?.get(key).filter(|value| !value.is_null())
    }

    /// The keys that are there.
    pub fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.object
            .into_iter()
            .flat_map(|object| object.keys().map(String::as_str))
    }

    /// A value that is read by `read`; one that it does not take is a fault that names `wanted`.
    pub fn read<T>(
        &self,
        key: &str,
        wanted: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.value(key)?;
        let taken = read(value);
        if taken.is_none() {
            self.fault(
                key,
                format!("wanted {wanted}, seen `{}`", printable(&value.to_string())),
            );
        }
        taken
    }

    /// A value that is read by `read`, which says what is wrong with it.
    pub fn parse<T, E: std::fmt::Display>(
        &self,
        key: &str,
        read: impl FnOnce(&'a Value) -> Result<T, E>,
    ) -> Option<T> {
        read(self.value(key)?)
            .map_err(|error| self.fault(key, error))
            .ok()
    }

    /// A string.
    pub fn string(&self, key: &str) -> Option<&'a str> {
        self.read(key, "a string", Value::as_str)
    }

    /// A bool, or the default.
    pub fn bool(&self, key: &str, default: bool) -> bool {
        self.read(key, "true or false", Value::as_bool)
            .unwrap_or(default)
    }

    /// One of several words, each for a value; the first where there is none.
    pub fn choice<T: Copy>(&self, key: &str, words: [(&str, T); 2]) -> T {
        let [(first, value), (second, _)] = words;
        let wanted = format!("\"{first}\" or \"{second}\"");
        let read = |seen: &Value| {
            let is = |(word, _): &&(&str, T)| seen.as_str() == Some(*word);
            words.iter().find(is).map(|(_, value)| *value)
        };
        self.read(key, &wanted, read).unwrap_or(value)
    }

    /// A whole number within a range.
    pub fn number(&self, key: &str, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let wanted = format!("a whole number {}..{}", range.start(), range.end());
        self.read(key, &wanted, |value| {
            value.as_u64().filter(|number| range.contains(number))
        })
    }

    /// A value that `serde` reads into its type.
    pub fn decode<T: serde::de::DeserializeOwned>(&self, key: &str) -> Option<T> {
        self.parse(key, |value| T::deserialize(value))
    }

    /// A nested object, empty where there is none.
    pub fn inner(&self, key: &str) -> At<'a> {
        match self.value(key) {
            Some(value) => At::object(value, self.key(key), self.faults),
            None => At {
                path: self.key(key),
                object: None,
                faults: self.faults,
            },
        }
    }

    /// A list; anything else is a fault.
    pub fn list(&self, key: &str) -> &'a [Value] {
        self.read(key, "a list", Value::as_array)
            .map_or(&[], Vec::as_slice)
    }

    /// A value below this one as an object, with the path it is found by.
    pub fn item(&self, key: &str, value: &'a Value) -> At<'a> {
        At::object(value, self.key(key), self.faults)
    }

    /// The objects of a list, each with its path.
    pub fn objects(&self, key: &str) -> Vec<At<'a>> {
        let at = |(index, value)| self.item(&format!("{key}[{index}]"), value);
        self.list(key).iter().enumerate().map(at).collect()
    }

    /// A map of strings to strings.
    pub fn strings(&self, key: &str) -> Vec<(String, String)> {
        let inner = self.inner(key);
        inner
            .keys()
            .filter_map(|key| Some((key.to_owned(), inner.string(key)?.to_owned())))
            .collect()
    }

    /// Refuses keys that are not among the known ones: a misspelt `allowedNamespaces` must not open a network.
    pub fn only(&self, known: &[&str]) {
        for key in self.keys().filter(|key| !known.contains(key)) {
            self.fault(
                &printable(key),
                format!("unknown key; known are {}", known.join(", ")),
            );
        }
    }
}
