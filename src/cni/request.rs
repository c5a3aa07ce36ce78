//! What a runtime asks: the environment and the configuration on stdin.
//!
//! Knows the protocol, not what a network of ours is. Nothing is looked up here but what was handed in.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::error::{CniError, Code};
use super::version::{SUPPORTED, Version};
use crate::sanitize::printable;

/// The environment, as handed in.
pub type Env = BTreeMap<String, String>;

/// A container's id (CNI 1.1.0, section 2, Parameters).
fn is_id(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// The longest container id: with the interface's name it becomes a file's name (`NAME_MAX` is 255).
const CONTAINER_ID_MAX: usize = 200;

/// The longest interface name in bytes (`IFNAMSIZ` less the closing NUL).
const IFNAME_MAX: usize = 15;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Put a container on a network.
    Add,
    /// Take it off.
    Del,
    /// Is it as ADD left it?
    Check,
    /// Remove what is not on a list.
    Gc,
    /// Can ADD be served?
    Status,
    /// Which versions are spoken?
    Version,
}

impl Verb {
    /// As it stands in `CNI_COMMAND`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Del => "DEL",
            Self::Check => "CHECK",
            Self::Gc => "GC",
            Self::Status => "STATUS",
            Self::Version => "VERSION",
        }
    }

    /// Takes the text of `CNI_COMMAND`.
    fn of(text: &str) -> Option<Self> {
        let all = [
            Self::Add,
            Self::Del,
            Self::Check,
            Self::Gc,
            Self::Status,
            Self::Version,
        ];
        all.into_iter().find(|verb| verb.as_str() == text)
    }

    /// The variables it cannot do without (CNI 1.1.0, section 2).
    fn needs(self) -> &'static [&'static str] {
        match self {
            Self::Add | Self::Check => &["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
            Self::Del => &["CNI_CONTAINERID", "CNI_IFNAME"],
            Self::Gc => &["CNI_PATH"],
            Self::Status | Self::Version => &[],
        }
    }
}

/// One question of a runtime.
#[derive(Debug, Clone)]
pub struct Request {
    /// What is asked.
    pub verb: Verb,
    /// `CNI_CONTAINERID`; empty where the verb needs none.
    pub container: String,
    /// `CNI_NETNS` verbatim; empty where there is none.
    pub netns: String,
    /// `CNI_IFNAME`; empty where the verb needs none.
    pub ifname: String,
    /// `CNI_ARGS`.
    pub args: Args,
    /// `CNI_PATH`: the folders in which plugins are.
    pub path: Vec<PathBuf>,
    /// Whether the pod may share this program's namespace (`CNI_NETNS_OVERRIDE`).
    pub own_netns_allowed: bool,
    /// The configuration's version.
    pub version: Version,
    /// The network's name.
    pub name: String,
    /// The configuration, as it came.
    pub config: Value,
    /// What a delegate's environment has instead of this program's own: nothing, unless the question
    /// is about another attachment than the runtime asks about.
    pub variables: Vec<(&'static str, String)>,
}

impl Request {
    /// Reads the verb alone.
    ///
    /// # Errors
    /// Code 4 when `CNI_COMMAND` is missing or no verb.
    pub fn verb(env: &Env) -> Result<Verb, CniError> {
        match env.get("CNI_COMMAND").map(String::as_str) {
            None | Some("") => Err(missing(&["CNI_COMMAND"])),
            Some(text) => Verb::of(text).ok_or_else(|| {
                let msg = format!(
                    "CNI_COMMAND is `{}`, which is no command of CNI",
                    printable(text)
                );
                CniError::new(Code::INVALID_ENVIRONMENT, msg)
                    .details("wanted ADD, DEL, CHECK, GC, STATUS or VERSION")
            }),
        }
    }

    /// Reads a request from the environment and the bytes on stdin; VERSION does not come here.
    ///
    /// # Errors
    /// Code 4 for the environment, 6 for what is not JSON, 1 for the version, 7 for the name.
    pub fn read(verb: Verb, env: &Env, stdin: &[u8]) -> Result<Self, CniError> {
        let var = |name: &str| env.get(name).cloned().unwrap_or_default();
        let absent: Vec<&str> = verb
            .needs()
            .iter()
            .copied()
            .filter(|name| var(name).is_empty())
            .collect();
        if !absent.is_empty() {
            return Err(missing(&absent));
        }
        let (container, ifname) = (var("CNI_CONTAINERID"), var("CNI_IFNAME"));
        if !matches!(verb, Verb::Gc | Verb::Status) {
            check_container(&container)?;
            check_ifname(&ifname)?;
        }
        let args = Args::parse(&var("CNI_ARGS"))?;
        let config = parse_config(stdin)?;
        let version = config_version(&config)?;
        if !version.has(verb.as_str()) {
            return Err(unsupported(verb, version));
        }
        Ok(Self {
            verb,
            container,
            netns: var("CNI_NETNS"),
            ifname,
            args,
            path: var("CNI_PATH")
                .split(':')
                .filter(|dir| !dir.is_empty())
                .map(PathBuf::from)
                .collect(),
            own_netns_allowed: is_true(&var("CNI_NETNS_OVERRIDE")),
            version,
            name: network_name(&config)?,
            config,
            variables: Vec::new(),
        })
    }

    /// The same question about one attachment whose namespace is not known, also to a delegate.
    pub fn of_attachment(&self, container: String, ifname: String) -> Self {
        let variables = vec![
            ("CNI_CONTAINERID", container.clone()),
            ("CNI_IFNAME", ifname.clone()),
            ("CNI_NETNS", String::new()),
        ];
        Self {
            container,
            ifname,
            netns: String::new(),
            variables,
            ..self.clone()
        }
    }

    /// `CONTAINER/IFNAME`, as journals and messages name an attachment; `-` where a verb is about none.
    pub fn id(&self) -> String {
        match self.container.as_str() {
            "" => "-".to_owned(),
            container => format!("{container}/{}", self.ifname),
        }
    }

    /// The pod as `NAMESPACE/NAME`, where the runtime tells (`K8S_POD_NAMESPACE`, `K8S_POD_NAME`).
    pub fn pod(&self) -> Option<String> {
        let (namespace, name) = (
            self.args.get("K8S_POD_NAMESPACE")?,
            self.args.get("K8S_POD_NAME")?,
        );
        Some(format!("{}/{}", printable(namespace), printable(name)))
    }
}

/// `CNI_ARGS`: `KEY=VALUE;KEY=VALUE`. Keys that are not known are kept: the IPAM may.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Args(BTreeMap<String, String>);

impl Args {
    /// Splits at `;`, each pair at its one `=`; a `;` at the end is let pass.
    ///
    /// # Errors
    /// Code 4 with the pair that is none.
    pub fn parse(text: &str) -> Result<Self, CniError> {
        let pair = |pair: &str| match pair.split('=').collect::<Vec<_>>()[..] {
            [key, value] if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
            _ => Err(CniError::new(
                Code::INVALID_ENVIRONMENT,
                format!(
                    "CNI_ARGS has `{}`, which is not KEY=VALUE with exactly one `=`",
                    printable(pair)
                ),
            )),
        };
        text.split(';')
            .filter(|part| !part.is_empty())
            .map(pair)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// A value, if it is there and not empty.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0
            .get(key)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

/// `1` and the spellings of true that CNI's own library takes (`types.UnmarshallableBool`).
fn is_true(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "1" | "true")
}

/// The error that names every missing variable, in the words of CNI's own library.
fn missing(variables: &[&str]) -> CniError {
    let msg = format!("required env variables [{}] missing", variables.join(","));
    CniError::new(Code::INVALID_ENVIRONMENT, msg)
}

fn check_container(id: &str) -> Result<(), CniError> {
    let wrong = |why| {
        let msg = format!(
            "CNI_CONTAINERID `{}` is not a container id: {why}",
            printable(id)
        );
        Err(CniError::new(Code::INVALID_ENVIRONMENT, msg))
    };
    match is_id(id) {
        _ if id.len() > CONTAINER_ID_MAX => wrong("it has more than 200 characters"),
        false => wrong("wanted letters, digits, `_`, `.`, `-`, the first a letter or digit"),
        true => Ok(()),
    }
}

/// What CNI's own library takes as an interface's name (`utils.ValidateInterfaceName`), less control
/// characters. Whether `ip` can carry it is ADD's business: a DEL of what ADD refused must go through.
fn check_ifname(name: &str) -> Result<(), CniError> {
    let why = match name {
        "." | ".." => "`.` and `..` are reserved",
        _ if name.len() > IFNAME_MAX => "it has more than 15 bytes",
        _ if name.contains(['/', ':']) => "`/` and `:` are not allowed",
        _ if name.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            "white space and control characters are not allowed"
        }
        _ => return Ok(()),
    };
    let msg = format!(
        "CNI_IFNAME: `{}` is not an interface name: {why}",
        printable(name)
    );
    Err(CniError::new(Code::INVALID_ENVIRONMENT, msg))
}

/// Reads stdin as a JSON object.
fn parse_config(stdin: &[u8]) -> Result<Value, CniError> {
    let wrong = |why: String| {
        CniError::new(
            Code::DECODING,
            format!("the network configuration on stdin is not a JSON object: {why}"),
        )
    };
    match serde_json::from_slice(stdin) {
        Ok(Value::Object(object)) => Ok(Value::Object(object)),
        Ok(_) => Err(wrong("it is another kind of value".to_owned())),
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// The version a configuration speaks.
fn config_version(config: &Value) -> Result<Version, CniError> {
    let text = match config.get("cniVersion") {
        None | Some(Value::Null) => "",
        Some(Value::String(text)) => text,
        Some(other) => {
            let msg = format!(
                "cniVersion is `{}`, wanted a string",
                printable(&other.to_string())
            );
            return Err(CniError::new(Code::DECODING, msg));
        }
    };
    Version::of(text).ok_or_else(|| {
        CniError::new(Code::INCOMPATIBLE_VERSION, "incompatible CNI versions").details(format!(
            "config is \"{}\", plugin supports {SUPPORTED:?}; set cniVersion to one of them",
            printable(text)
        ))
    })
}

/// A verb that came with a later version than the configuration's.
fn unsupported(verb: Verb, version: Version) -> CniError {
    let msg = format!("{} needs a newer cniVersion than {version}", verb.as_str());
    CniError::new(Code::INCOMPATIBLE_VERSION, msg)
        .details(format!("config is \"{version}\", plugin supports {SUPPORTED:?}; CHECK came with 0.4.0, GC and STATUS with 1.1.0"))
}

/// The network's name (CNI 1.1.0, section 1).
fn network_name(config: &Value) -> Result<String, CniError> {
    let wrong = |msg: String| Err(CniError::new(Code::INVALID_CONFIGURATION, msg));
    match config.get("name") {
        Some(Value::String(name)) if is_id(name) => Ok(name.clone()),
        Some(Value::String(name)) => wrong(format!(
            "name: `{}` is not a network's name: wanted letters, digits, `_`, `.`, `-`, the first a letter or digit",
            printable(name)
        )),
        Some(other) => wrong(format!(
            "name: wanted a string, seen `{}`",
            printable(&other.to_string())
        )),
        None => wrong("name: missing: a network configuration has a name".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn c11_arguments_split_into_pairs_and_keep_what_nobody_knows() {
        let args = Args::parse("IgnoreUnknown=1;K8S_POD_NAME=web;X=;").unwrap();
        assert_eq!(
            (args.get("K8S_POD_NAME"), args.get("X"), args.get("Y")),
            (Some("web"), None, None)
        );
        for wrong in ["a", "a=b=c", "=b", "a=b;c"] {
            assert_eq!(
                Args::parse(wrong).unwrap_err().code,
                Code::INVALID_ENVIRONMENT,
                "{wrong}"
            );
        }
    }

    #[test]
    fn c05_an_interface_name_is_what_cnis_own_library_takes() {
        for right in ["eth0", "net1", "123456789012345", "a#b", "-x"] {
            assert_eq!(check_ifname(right), Ok(()), "{right}");
        }
        for wrong in [
            ".",
            "..",
            "a/b",
            "a:b",
            "a b",
            "a\u{a0}b",
            "a\tb",
            "a\u{7}",
            "1234567890123456",
        ] {
            let error = check_ifname(wrong).unwrap_err();
            assert_eq!(error.code, Code::INVALID_ENVIRONMENT, "{wrong}");
            assert!(error.msg.starts_with("CNI_IFNAME: `"), "{error}");
        }
    }
}
