//! The pod that is asked about: what the runtime says of it, and what the API's answer must say.

use serde_json::Value;
use thiserror::Error;

use crate::cni::{Args, CniError, Code};
use crate::sanitize::printable;

/// The annotation by which the API's copy of a static pod names the static pod's own uid
/// (`kubernetes.io/config.mirror`, `pkg/kubelet/types/pod_update.go`): the copy has another one.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// The longest label and the longest name of a pod (RFC 1123 as Kubernetes reads it,
/// `apimachinery/pkg/util/validation`).
const LABEL_MAX: usize = 63;
const NAME_MAX: usize = 253;

/// A pod, by names that can stand in a URL as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    namespace: String,
    name: String,
    uid: Option<String>,
}

/// Why an answer is not about the pod.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AnswerError {
    /// It is not JSON. What is wrong with it is not repeated: it may be anything.
    #[error("is not JSON (line {line}, column {column})")]
    NotJson {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// It is something else.
    #[error("is a `{found}` where a Pod was wanted")]
    Kind {
        /// What it says it is.
        found: String,
    },
    /// It is about another pod.
    #[error("is about the pod `{found}`")]
    OtherPod {
        /// Who.
        found: String,
    },
    /// The name is the same, the pod is another one.
    #[error("is about a later pod of that name: its uid is `{found}`, this one's is `{wanted}`")]
    Recreated {
        /// The uid in the answer.
        found: String,
        /// The uid the runtime tells.
        wanted: String,
    },
    /// Annotations that are not texts.
    #[error("has annotations that are not a map of strings")]
    Annotations,
}

impl Pod {
    /// The pod of `CNI_ARGS`; `None` where there is no word of one.
    ///
    /// # Errors
    /// Code 4 with the variable that is missing beside the other, or is no name.
    pub fn of(args: &Args) -> Result<Option<Self>, CniError> {
        let missing = |which: &str, other: &str| {
            let msg = format!("CNI_ARGS has {other} but no {which}");
            Err(CniError::new(Code::INVALID_ENVIRONMENT, msg))
        };
        let (namespace, name) = match (args.get("K8S_POD_NAMESPACE"), args.get("K8S_POD_NAME")) {
            (None, None) => return Ok(None),
            (None, Some(_)) => return missing("K8S_POD_NAMESPACE", "K8S_POD_NAME"),
            (Some(_), None) => return missing("K8S_POD_NAME", "K8S_POD_NAMESPACE"),
            (Some(namespace), Some(name)) => (namespace, name),
        };
        if !is_label(namespace) {
            return Err(no_name("K8S_POD_NAMESPACE", namespace, LABEL_MAX));
        }
        if name.len() > NAME_MAX || !name.split('.').all(|part| is_label_of(part, NAME_MAX)) {
            return Err(no_name("K8S_POD_NAME", name, NAME_MAX));
        }
        Ok(Some(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: args.get("K8S_POD_UID").map(str::to_owned),
        }))
    }

    /// Its path below the server.
    pub fn path(&self) -> String {
        format!("/api/v1/namespaces/{}/pods/{}", self.namespace, self.name)
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The annotations in an answer, once it is sure that the answer is about this pod.
    ///
    /// # Errors
    /// [`AnswerError`].
    pub fn annotations(&self, answer: &[u8]) -> Result<Vec<(String, String)>, AnswerError> {
        let value: Value =
            serde_json::from_slice(answer).map_err(|error| AnswerError::NotJson {
                line: error.line(),
                column: error.column(),
            })?;
        let kind = value["kind"].as_str().unwrap_or_default();
        if !matches!(kind, "Pod" | "PartialObjectMetadata") {
            let found = printable(kind);
            return Err(AnswerError::Kind { found });
        }
        let metadata = &value["metadata"];
        let text = |key: &str| metadata[key].as_str().unwrap_or_default();
        if (text("namespace"), text("name")) != (&self.namespace, &self.name) {
            let found = format!(
                "{}/{}",
                printable(text("namespace")),
                printable(text("name"))
            );
            return Err(AnswerError::OtherPod { found });
        }
        let annotations = texts(&metadata["annotations"]).ok_or(AnswerError::Annotations)?;
        self.is_the_same(text("uid"), &annotations)?;
        Ok(annotations)
    }

    /// Whether an answer is about this very pod and not about a later one of its name.
    fn is_the_same(
        &self,
        found: &str,
        annotations: &[(String, String)],
    ) -> Result<(), AnswerError> {
        let Some(wanted) = &self.uid else {
            return Ok(());
        };
        let mirrors = annotations
            .iter()
            .any(|(key, value)| key == MIRROR && value == wanted);
        if found == wanted || mirrors {
            return Ok(());
        }
        Err(AnswerError::Recreated {
            found: printable(found),
            wanted: printable(wanted),
        })
    }
}

impl std::fmt::Display for Pod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A map of strings; empty where there is none.
fn texts(value: &Value) -> Option<Vec<(String, String)>> {
    match value {
        Value::Null => Some(Vec::new()),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect(),
        _ => None,
    }
}

fn is_label(text: &str) -> bool {
    is_label_of(text, LABEL_MAX)
}

/// `[a-z0-9]([-a-z0-9]*[a-z0-9])?`, not longer than `most`.
fn is_label_of(text: &str, most: usize) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    !text.is_empty()
        && text.len() <= most
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn no_name(variable: &str, text: &str, most: usize) -> CniError {
    let msg = format!(
        "CNI_ARGS {variable}: `{}` is not a name of Kubernetes (RFC 1123: a-z, 0-9 and `-`, at most {most})",
        printable(text)
    );
    CniError::new(Code::INVALID_ENVIRONMENT, msg)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn pod(args: &str) -> Result<Option<Pod>, CniError> {
        Pod::of(&Args::parse(args).unwrap())
    }

    fn web() -> Pod {
        pod("K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-1;K8S_POD_UID=u1")
            .unwrap()
            .unwrap()
    }

    #[test]
    fn a_name_that_is_none_never_gets_into_a_url() {
        assert_eq!(pod("IP=10.1.0.9").unwrap(), None);
        assert_eq!(web().path(), "/api/v1/namespaces/shop/pods/web-1");
        let long = "a".repeat(254);
        for (namespace, name) in [
            ("shop", "web/../../secrets/x"),
            ("shop", ".."),
            ("shop", "web-1/log"),
            ("shop", "web%2f"),
            ("shop", "web?x"),
            ("shop", "web#x"),
            ("shop", "web\r\nHost: x"),
            ("shop", "Web"),
            ("shop", "-web"),
            ("shop", "web-"),
            ("shop", "a..b"),
            ("shop", long.as_str()),
            ("shop/x", "web"),
            ("sh.op", "web"),
            (&long[..64], "web"),
            ("", "web"),
            ("shop", ""),
        ] {
            let error = pod(&format!(
                "K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={name}"
            ))
            .unwrap_err();
            assert_eq!(
                error.code,
                Code::INVALID_ENVIRONMENT,
                "{namespace:?} {name:?}"
            );
            assert!(error.msg.contains("K8S_POD_NAME"), "{error}");
        }
        let dotted = format!("{}.b-2", &long[..249]);
        for name in ["a.b.c", "0", &long[..253], &dotted] {
            let args = format!("K8S_POD_NAMESPACE={};K8S_POD_NAME={name}", &long[..63]);
            assert!(pod(&args).unwrap().is_some(), "{name}");
        }
    }

    fn answer(change: impl FnOnce(&mut Value)) -> Result<Vec<(String, String)>, AnswerError> {
        let mut answer = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {
            "namespace": "shop", "name": "web-1", "uid": "u1", "annotations": {"a": "1", "b": ""}}});
        change(&mut answer);
        web().annotations(answer.to_string().as_bytes())
    }

    #[test]
    fn the_annotations_of_this_very_pod_are_taken_and_of_no_other() {
        let all = vec![("a".into(), "1".into()), ("b".into(), String::new())];
        assert_eq!(answer(|_| {}), Ok(all.clone()));
        let partial = answer(|a| a["kind"] = json!("PartialObjectMetadata"));
        assert_eq!(partial, Ok(all));
        let none = answer(|a| a["metadata"]["annotations"] = Value::Null);
        assert_eq!(none, Ok(vec![]));
        let kind = answer(|a| a["kind"] = json!("Status"));
        assert!(
            matches!(&kind, Err(AnswerError::Kind { found }) if found == "Status"),
            "{kind:?}"
        );
        let name = answer(|a| a["metadata"]["name"] = json!("web-2"));
        assert!(
            matches!(&name, Err(AnswerError::OtherPod { found }) if found == "shop/web-2"),
            "{name:?}"
        );
        let texts = answer(|a| a["metadata"]["annotations"]["a"] = json!(1));
        assert_eq!(texts, Err(AnswerError::Annotations));
        assert!(matches!(
            web().annotations(b"{\"kind\":"),
            Err(AnswerError::NotJson { line: 1, .. })
        ));
    }

    #[test]
    fn b6_a_later_pod_of_the_same_name_is_another_pod_and_the_copy_of_a_static_pod_is_not() {
        let later = answer(|a| a["metadata"]["uid"] = json!("u2"));
        let recreated = AnswerError::Recreated {
            found: "u2".into(),
            wanted: "u1".into(),
        };
        assert_eq!(later, Err(recreated));
        let without = answer(|a| a["metadata"]["uid"] = Value::Null);
        assert!(matches!(without, Err(AnswerError::Recreated { .. })));
        let mirror = |of: &str| {
            answer(|a| {
                a["metadata"]["uid"] = json!("u2");
                a["metadata"]["annotations"] = json!({MIRROR: of});
            })
        };
        assert_eq!(mirror("u1").unwrap().len(), 1);
        assert!(mirror("u3").is_err());
        let untold = pod("K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-1")
            .unwrap()
            .unwrap();
        let answer =
            json!({"kind": "Pod", "metadata": {"namespace": "shop", "name": "web-1", "uid": "u9"}});
        assert!(untold.annotations(answer.to_string().as_bytes()).is_ok());
    }
}
