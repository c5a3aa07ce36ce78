//! The files of nodes, read.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::cni::{CniError, Code};
use crate::ctl::doctor::made_of::MadeOf;
use crate::sanitize::{one_line, printable};

/// The most of a file that is read, in bytes: of a node with 200 pods it has a hundredth of that.
const MOST: u64 = 64 << 20;

/// How long what the reader says may be.
const SAID: usize = 300;

/// How a file is made.
const HOW: &str = "on each node: vxlan doctor --json >NODE.json";

/// What a node told of itself.
#[derive(Debug)]
pub struct Told {
    /// Its name, fit to be shown; with its file where two nodes have one name.
    pub name: String,
    /// What it is made of.
    pub made_of: MadeOf,
}

/// What each of some documents tells, by the name of its file.
///
/// # Errors
/// As [`super::of`].
pub fn told(documents: &[(String, Vec<u8>)]) -> Result<Vec<Told>, CniError> {
    let mut all: Vec<(String, MadeOf)> = Vec::new();
    for (file, text) in documents {
        let (file, made_of) = (printable(file), parsed(file, text)?);
        if let Some((other, _)) = all.iter().find(|(_, other)| is_same(other, &made_of)) {
            let msg = format!("{other} and {file} are of one node");
            return Err(CniError::new(Code::DECODING, msg).details("name each node once"));
        }
        all.push((file, made_of));
    }
    let name = |made_of: &MadeOf| printable(&made_of.node.name);
    let names: Vec<String> = all.iter().map(|(_, made_of)| name(made_of)).collect();
    let told = all.into_iter().map(|(file, made_of)| {
        let name = name(&made_of);
        let is_one_of_many = names.iter().filter(|other| **other == name).count() > 1;
        Told {
            name: match is_one_of_many {
                true => format!("{name} ({file})"),
                false => name,
            },
            made_of,
        }
    });
    Ok(told.collect())
}

/// By what no two nodes share, where they have a network at all.
fn is_same(one: &MadeOf, other: &MadeOf) -> bool {
    let own = |of: &MadeOf| -> Vec<_> {
        let own = of.networks.iter();
        own.map(|part| (part.name.clone(), part.vtep, part.gateway_mac))
            .collect()
    };
    let is_told = |of: &MadeOf| of.networks.iter().any(|part| part.gateway_mac.is_some());
    one.node == other.node && is_told(one) && own(one) == own(other)
}

/// The error for a file.
fn failed(file: &str, code: Code, what: &str, why: &str) -> CniError {
    let (file, why) = (printable(file), one_line(why, SAID));
    CniError::new(code, format!("{file} {what}: {why}")).details(HOW)
}

/// A file by its name and with all that is in it.
///
/// # Errors
/// When it cannot be read, or is larger than any.
pub fn read(file: &Path) -> Result<(String, Vec<u8>), CniError> {
    let (name, mut text) = (file.display().to_string(), Vec::new());
    let opened = File::open(file);
    let read = opened.and_then(|opened| opened.take(MOST + 1).read_to_end(&mut text));
    read.map_err(|error| failed(&name, Code::IO, "cannot be read", &error.to_string()))?;
    if text.len() as u64 > MOST {
        let why = format!("it has more than {MOST} bytes");
        return Err(failed(&name, Code::DECODING, "is too large", &why));
    }
    Ok((name, text))
}

fn parsed(file: &str, text: &[u8]) -> Result<MadeOf, CniError> {
    serde_json::from_slice(text).map_err(|error| {
        let what = "is no output of `vxlan doctor --json`";
        failed(file, Code::DECODING, what, &error.to_string())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What is said of a file with a text.
    fn refused(name: &str, text: &[u8]) -> String {
        let error = told(&[(name.to_owned(), text.to_vec())]).unwrap_err();
        assert_eq!(error.details, HOW);
        error.msg
    }

    #[test]
    fn a_file_that_is_none_of_doctors_is_told_in_one_line_without_what_takes_a_terminal_over() {
        for (name, text, words) in [
            ("empty", &b""[..], "EOF"),
            ("truncated", b"{\"node\": {\"name\": \"n1\"", "EOF"),
            ("older", b"{\"ok\": true, \"findings\": []}", "missing field `node`"),
            ("list", b"[]", "invalid length 0"),
            ("binary", b"\xff\xfe\x00", "expected value"),
            ("deep", &[b"{\"x\":", &b"[".repeat(100_000)[..]].concat(), "EOF while parsing a list"),
            (
                "hostile",
                b"{\"node\": {\"name\": \"n\", \"version\": 1, \"kernel\": \"\"}, \"networks\": \"\\u001b[2J\\n\"}",
                "invalid type: integer `1`",
            ),
        ] {
            let told = refused(name, text);
            assert!(told.contains("is no output of `vxlan doctor --json`"), "{told}");
            assert!(told.contains(words), "{name}: {told}");
            assert!(!told.contains(char::is_control) && told.len() < 500, "{told}");
        }
        let part = "{\"node\": {\"name\": \"n\", \"version\": \"1\", \"kernel\": \"\", \"ip\": null}, \"networks\": [{\"name\": \"b\", \"vtep\": \"\\u001b[2J\"}]}";
        let told = refused("typed", part.as_bytes());
        assert!(
            told.contains("invalid IP address") && !told.contains('\u{1b}'),
            "{told}"
        );
    }

    #[test]
    fn a_file_without_an_end_is_read_up_to_a_limit_and_one_that_is_not_there_is_told() {
        let told = read(Path::new("/dev/zero")).unwrap_err();
        assert!(
            told.msg.contains("it has more than 67108864 bytes"),
            "{told}"
        );
        let told = read(Path::new("/no/such\u{1b}file")).unwrap_err();
        assert_eq!(told.code, Code::IO);
        assert!(
            told.msg.contains(r"/no/such\u{1b}file cannot be read"),
            "{told}"
        );
    }
}
