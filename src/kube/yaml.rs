//! YAML as JSON values: what a kubeconfig may be made of, and nothing that JSON has no word for.

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value};
use thiserror::Error;

/// Why a text is not YAML, or more than JSON. The text is not repeated: it may be a secret.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum YamlError {
    /// It cannot be read.
    #[error("line {line}, column {column}: not YAML")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A key that is no text, a tag, a number that is none.
    #[error("not YAML that could be JSON as well")]
    NotJson,
}

/// The documents of a text.
///
/// # Errors
/// [`YamlError`].
pub fn documents(text: &str) -> Result<Vec<Value>, YamlError> {
    let documents = Yaml::load_from_str(text).map_err(|error| YamlError::Syntax {
        line: error.marker().line(),
        column: error.marker().col() + 1,
    })?;
    let values: Option<Vec<Value>> = documents.iter().map(value).collect();
    values.ok_or(YamlError::NotJson)
}

fn value(yaml: &Yaml<'_>) -> Option<Value> {
    match yaml {
        Yaml::Value(Scalar::Null) => Some(Value::Null),
        Yaml::Value(Scalar::Boolean(truth)) => Some((*truth).into()),
        Yaml::Value(Scalar::Integer(number)) => Some((*number).into()),
        Yaml::Value(Scalar::FloatingPoint(number)) => {
            serde_json::Number::from_f64(number.into_inner()).map(Value::Number)
        }
        Yaml::Value(Scalar::String(text)) => Some(text.as_ref().into()),
        Yaml::Sequence(list) => list.iter().map(value).collect(),
        Yaml::Mapping(map) => {
            let pair = |(key, inner): (&Yaml<'_>, &Yaml<'_>)| {
                Some((key.as_str()?.to_owned(), value(inner)?))
            };
            let map: Option<Map<String, Value>> = map.iter().map(pair).collect();
            map.map(Value::Object)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn yaml_is_read_as_the_json_it_stands_for() {
        let text = "a: &x\n  b: [1, 2.5, true, null, ~, '1', \"\\n\", 0x1F, yes]\nc: *x\nd: |\n  one\n  two\n";
        let b = json!({"b": [1, 2.5, true, null, null, "1", "\n", 31, "yes"]});
        let wanted = json!({"a": b, "c": b, "d": "one\ntwo\n"});
        assert_eq!(documents(text).unwrap(), [wanted]);
        assert_eq!(documents("--- 1\n--- a\n").unwrap(), [json!(1), json!("a")]);
        assert_eq!(documents("").unwrap(), Vec::<Value>::new());
        let json = r#"{"a": ["b", {"c": "\u00e9\/"}]}"#;
        assert_eq!(documents(json).unwrap(), [json!({"a": ["b", {"c": "é/"}]})]);
    }

    #[test]
    fn what_json_has_no_word_for_is_refused_and_nothing_is_repeated() {
        for text in ["1: S3CRET", "[S3CRET]: 1", "a: .nan", "a: !S3CRET b"] {
            assert_eq!(documents(text), Err(YamlError::NotJson), "{text}");
        }
        for text in [
            "a: [S3CRET",
            "a: S3CRET\na: S3CRET",
            "a: *S3CRET",
            "a: 'S3CRET",
        ] {
            let error = documents(text).unwrap_err();
            assert!(matches!(error, YamlError::Syntax { .. }), "{text}: {error}");
            assert!(!error.to_string().contains("S3CRET"), "{error}");
        }
    }

    #[test]
    fn aliases_of_aliases_do_not_fill_the_memory() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..12 {
            let before = vec![format!("*a{}", n - 1); 10].join(", ");
            text += &format!("a{n}: &a{n} [{before}]\n");
        }
        assert!(matches!(documents(&text), Err(YamlError::Syntax { .. })));
    }
}
