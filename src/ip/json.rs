//! What `ip -j` prints as JSON, also where it is not quite that.

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use thiserror::Error;

use crate::sanitize::printable;

/// How much of a text is shown before the place where it cannot be read on, in bytes.
const BEFORE: usize = 30;

/// Why a text is not the JSON that `-j` prints.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JsonError {
    /// It starts as something else, or ends too early.
    #[error("stdout is not the JSON that `-j` prints: {why}, seen `{seen}`")]
    Other {
        /// What the reader says.
        why: String,
        /// The place.
        seen: String,
    },
    /// It starts as JSON and goes on as something else: `ip` itself is at fault, and this says what helps.
    #[error(
        "this `ip` prints broken JSON for devices (as vxlan) on this kernel, and a newer iproute2, first in PATH, \
         helps, as Debian's own build: {why}, seen `{seen}`"
    )]
    Broken {
        /// What the reader says.
        why: String,
        /// The place.
        seen: String,
    },
}

/// The documents in a text, one behind the other.
///
/// # Errors
/// [`JsonError`].
pub fn documents(text: &[u8]) -> Result<Vec<Value>, JsonError> {
    let error = match read(text) {
        Ok(documents) => return Ok(documents),
        Err(error) => error,
    };
    if let Ok(documents) = read(&without_fan_maps(text)) {
        return Ok(documents);
    }
    let (why, seen) = (error.to_string(), place(text, &error));
    let starts = text.iter().find(|byte| !byte.is_ascii_whitespace());
    let is_begun = matches!(starts, Some(b'[' | b'{'));
    Err(match is_begun && !error.is_eof() {
        true => JsonError::Broken { why, seen },
        false => JsonError::Other { why, seen },
    })
}

fn read(text: &[u8]) -> Result<Vec<Value>, serde_json::Error> {
    serde_json::Deserializer::from_slice(text)
        .into_iter()
        .collect()
}

/// The text around the place where reading ended.
fn place(text: &[u8], error: &serde_json::Error) -> String {
    let mut lines = text.split(|byte| *byte == b'\n');
    let line = lines.nth(error.line().saturating_sub(1));
    let from = error.column().saturating_sub(BEFORE);
    let rest = line.and_then(|line| line.get(from..)).unwrap_or(text);
    printable(&String::from_utf8_lossy(rest))
}

/// Takes out what Ubuntu's patch for its "fan" networks prints into the JSON of every vxlan device where the kernel's
/// attributes are newer than the patch (its iproute2 5.5, 5.15 and 6.1): `"group":"239.1.1.1"fan-map ,"link":"eth0"`,
/// with the entries of a map behind the word where there is one (`10.0.0.0/8:10.1.0.0/16 `). Strings stay as they are.
pub fn without_fan_maps(text: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(text.len());
    let (mut rest, mut is_string) = (text, false);
    while let [first, behind @ ..] = rest {
        match (is_string, rest.strip_prefix(b"fan-map")) {
            (false, Some(entries)) => rest = behind_entries(entries),
            (true, _) if *first == b'\\' => {
                let (escape, behind) = rest.split_at(rest.len().min(2));
                kept.extend_from_slice(escape);
                rest = behind;
            }
            _ => {
                is_string ^= *first == b'"';
                kept.push(*first);
                rest = behind;
            }
        }
    }
    kept
}

/// What stands behind the entries of a map: networks, `/`, `:` and spaces.
fn behind_entries(text: &[u8]) -> &[u8] {
    let is_entry = |byte: &u8| byte.is_ascii_hexdigit() || b"./: ".contains(byte);
    let end = text.iter().position(|byte| !is_entry(byte));
    text.get(end.unwrap_or(text.len())..).unwrap_or_default()
}

/// Reads a flag that is there: `true`, `false`, or, from iproute2 6.15 on, `null` where it is set (`"gbp":null`).
///
/// # Errors
/// For anything else.
pub fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Bool(set) => Ok(set),
        Value::Null => Ok(true),
        other => Err(de::Error::custom(format!(
            "a flag is true, false or null, which is set; seen `{}`",
            printable(&other.to_string())
        ))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn what_ubuntus_ip_prints_between_a_value_and_a_comma_is_taken_out() {
        let wanted = json!([{"info_data": {"id": 100, "group": "239.1.1.1", "link": "eth0"}}]);
        for printed in [
            r#"[{"info_data":{"id":100,"group":"239.1.1.1"fan-map ,"link":"eth0"}}]"#,
            r#"[{"info_data":{"id":100fan-map ,"group":"239.1.1.1","link":"eth0"}}]"#,
            r#"[{"info_data":{fan-map "id":100,"group":"239.1.1.1","link":"eth0"}}]"#,
            r#"[{"info_data":{"id":100,"group":"239.1.1.1"fan-map 10.0.0.0/8:10.1.0.0/16 11.0.0.0/8:10.2.0.0/16 ,"link":"eth0"}}]"#,
            r#"[{"info_data":{"id":100,"group":"239.1.1.1","link":"eth0"fan-map }}]"#,
        ] {
            let both = format!("{printed}\n[1]\n{printed}");
            let documents = documents(both.as_bytes()).unwrap();
            assert_eq!(documents, [wanted.clone(), json!([1]), wanted.clone()]);
        }
    }

    #[test]
    fn a_string_keeps_its_fan_map() {
        for text in [
            r#"["fan-map ,"]"#,
            r#"["a\"fan-map ,\\"]"#,
            r#"{"fan-map ":1}"#,
        ] {
            assert_eq!(without_fan_maps(text.as_bytes()), text.as_bytes());
        }
        let printed = br#"["fan-map 1","\\"fan-map 1 ,"fan-map"]"#;
        let wanted = json!([["fan-map 1", "\\", "fan-map"]]);
        assert_eq!(documents(printed).unwrap(), wanted.as_array().unwrap()[..]);
    }

    #[test]
    fn broken_json_is_told_from_what_is_none_and_from_what_is_cut_short() {
        for broken in [
            r#"[{"group":"239.1.1.1"something,"link":"eth0"}]"#,
            "[1]\n{\"a\" \"b\"}",
            r#"[{"group":fan-map ,"link":"eth0"}]"#,
        ] {
            let told = documents(broken.as_bytes()).unwrap_err();
            assert!(matches!(told, JsonError::Broken { .. }), "{broken}: {told}");
            let told = told.to_string();
            assert!(told.contains("a newer iproute2, first in PATH"), "{told}");
        }
        for none in ["Usage: ip", "1: lo: <UP>", "[1", "[{\"a\":\"", "\u{0}"] {
            let told = documents(none.as_bytes()).unwrap_err();
            assert!(matches!(told, JsonError::Other { .. }), "{none}: {told}");
        }
        assert_eq!(documents(b""), Ok(Vec::new()));
    }

    #[test]
    fn the_place_that_cannot_be_read_is_shown() {
        let long = format!("[{{\"a\":\"{}\",\"b\":1something}}]", "x".repeat(200));
        let told = documents(long.as_bytes()).unwrap_err().to_string();
        assert!(told.contains(r#"\"b\":1something"#), "{told}");
    }

    #[test]
    fn every_flag_of_a_device_and_of_an_address_may_be_null() {
        use crate::ip::link::{AddrRecord, LinkData};
        let flags = ["learning", "proxy", "rsc", "l2miss", "l3miss", "gbp"];
        let read = |set: Value| {
            let all: serde_json::Map<_, _> = flags
                .map(|flag| (flag.to_owned(), set.clone()))
                .into_iter()
                .collect();
            serde_json::from_value::<LinkData>(all.into())
        };
        assert_eq!(read(json!(null)).unwrap(), read(json!(true)).unwrap());
        assert_eq!(read(json!(false)).unwrap(), LinkData::default());
        assert!(read(json!("on")).is_err());
        let address =
            json!({"local": "fd00::1", "prefixlen": 64, "tentative": null, "dadfailed": null});
        let address: AddrRecord = serde_json::from_value(address).unwrap();
        assert!(address.tentative && address.dadfailed);
    }

    #[test]
    fn a_flag_is_set_by_true_and_by_null_and_nothing_else_is_one() {
        let read = |value: Value| flag(value).map_err(|error| error.to_string());
        assert_eq!(read(json!(true)), Ok(true));
        assert_eq!(read(json!(null)), Ok(true));
        assert_eq!(read(json!(false)), Ok(false));
        for other in [json!(0), json!("on"), json!([]), json!({})] {
            let told = read(other.clone()).unwrap_err();
            assert!(told.contains("true, false or null"), "{other}: {told}");
        }
    }
}
