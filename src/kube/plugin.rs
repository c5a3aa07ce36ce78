//! Credential plugins: the program of `users[].user.exec` is run and says who asks
//! (`client.authentication.k8s.io/v1` and `v1beta1`).

use std::borrow::Cow;
use std::ffi::OsString;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::error::LookupError;
use super::kubeconfig::Plugin;
use super::secret::Secret;
use super::tls::Loaded;
use crate::exec::{Exec, ExecError, Invocation, Stderr, Stdin, System};

/// What a plugin said.
#[derive(Debug)]
pub struct Credential {
    /// A token.
    pub token: Option<Secret<String>>,
    /// Client certificate and key.
    pub pair: Option<(Loaded, Loaded)>,
}

/// Asks a plugin. What it says on stderr goes nowhere, and neither do its arguments: both may be secrets.
///
/// # Errors
/// [`LookupError::Plugin`].
pub fn ask(
    system: &System,
    plugin: &Plugin,
    cluster: &Value,
    deadline: Instant,
) -> Result<Credential, LookupError> {
    let wrong = |why: String| LookupError::Plugin {
        command: plugin.command.clone(),
        why,
    };
    let timeout = deadline.saturating_duration_since(Instant::now());
    let output =
        system
            .run(&invocation(plugin, cluster, timeout))
            .map_err(|error| match error {
                ExecError::NotInstalled { missing, .. } => wrong(match &missing.passed_over[..] {
                    [] => "is not installed".to_owned(),
                    _ => format!("is not installed: looked in {missing}"),
                }),
                ExecError::Start { source, .. } => wrong(format!("cannot be run: {source}")),
                ExecError::Interrupted { .. } => LookupError::Interrupted,
                ExecError::Timeout { .. } | ExecError::Unreadable { .. } => {
                    wrong("did not end within k8sTimeoutMs and was killed".to_owned())
                }
            })?;
    match output.code {
        Some(0) => read(plugin, &output.stdout).map_err(|why| wrong(why.to_owned())),
        Some(code) => Err(wrong(format!("ended with exit code {code}"))),
        None => Err(wrong("was killed by a signal".to_owned())),
    }
}

/// How it is started (client-go, `plugin/pkg/client/auth/exec`).
fn invocation(plugin: &Plugin, cluster: &Value, timeout: Duration) -> Invocation {
    let mut spec = json!({"interactive": false});
    if plugin.wants_cluster {
        spec["cluster"] = cluster.clone();
    }
    let asked = json!({"kind": "ExecCredential", "apiVersion": plugin.api_version, "spec": spec});
    let own = plugin.env.exposed().iter().cloned();
    let mut variables: Vec<(Cow<'static, str>, OsString)> = own
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    variables.push(("KUBERNETES_EXEC_INFO".into(), asked.to_string().into()));
    Invocation {
        argv: std::iter::once(plugin.command.clone())
            .chain(plugin.args.exposed().iter().cloned())
            .collect(),
        shown: None,
        stdin: Stdin::Bytes(Vec::new()),
        variables,
        stderr: Stderr::Read,
        timeout,
        interrupted_after: None,
    }
}

/// Reads an `ExecCredential`. What is wrong is told without a word of it.
fn read(plugin: &Plugin, stdout: &[u8]) -> Result<Credential, &'static str> {
    let said: Value = serde_json::from_slice(stdout).map_err(|_| "printed no JSON")?;
    if said["kind"] != "ExecCredential" {
        return Err("printed something else than an ExecCredential");
    }
    if said["apiVersion"] != plugin.api_version.as_str() {
        return Err("speaks another apiVersion than the kubeconfig says");
    }
    let text = |key: &str| {
        let text = said["status"][key].as_str().filter(|text| !text.is_empty());
        text.map(str::to_owned)
    };
    let loaded = |what: &str, pem: String| Loaded {
        place: format!("{what} of {}", plugin.command),
        pem: Secret::new(pem.into_bytes()),
    };
    let pair = match (text("clientCertificateData"), text("clientKeyData")) {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some((
            loaded("clientCertificateData", certificate),
            loaded("clientKeyData", key),
        )),
        _ => {
            return Err(
                "gave a client certificate without its key, or a key without its certificate",
            );
        }
    };
    let token = text("token").map(Secret::new);
    match token.is_some() || pair.is_some() {
        true => Ok(Credential { token, pair }),
        false => Err("gave neither a token nor a client certificate"),
    }
}
