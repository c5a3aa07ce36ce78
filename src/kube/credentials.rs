//! Who is asked, and who asks: the kubeconfig or the service account of the pod around, with all their files read.
//!
//! Everything is read anew for each look-up, so a token or a certificate that was rotated is the one that counts.

use std::path::{Path, PathBuf};
use std::time::Instant;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::error::LookupError;
use super::kubeconfig::{Cluster, Kubeconfig, Pem, Proof, Trust};
use super::plugin;
use super::proxy::Proxy;
use super::secret::Secret;
use super::server::Server;
use super::tls::{Loaded, Roots, load};
use crate::exec::System;

/// Where the kubelet puts a service account (`serviceaccount.DefaultAPITokenMountPath`).
pub const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Where it is written who is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a kubeconfig.
    Kubeconfig(PathBuf),
    /// In the environment and the service account of a pod: this program runs in one.
    InCluster {
        /// `KUBERNETES_SERVICE_HOST`.
        host: String,
        /// `KUBERNETES_SERVICE_PORT`.
        port: String,
        /// Folder of `token` and `ca.crt`.
        folder: PathBuf,
    },
}

/// Everything a request needs.
#[derive(Debug)]
pub struct Access {
    /// Who is asked.
    pub server: Server,
    /// What vouches for it.
    pub roots: Roots,
    /// The name in its certificate where that is not the host's.
    pub tls_server_name: Option<String>,
    /// Who is in between.
    pub proxy: Option<Proxy>,
    /// Client certificate and key.
    pub pair: Option<(Loaded, Loaded)>,
    /// The value of the header `Authorization`.
    pub authorization: Option<Secret<String>>,
}

impl Place {
    /// The kubeconfig, else the pod around.
    ///
    /// # Errors
    /// [`LookupError::Nowhere`] when there is neither.
    pub fn of(config_path: Option<&Path>) -> Result<Self, LookupError> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(path) = config_path {
            return Ok(Self::Kubeconfig(path.to_owned()));
        }
        Ok(Self::InCluster {
            host: variable("KUBERNETES_SERVICE_HOST").ok_or(LookupError::Nowhere)?,
            port: variable("KUBERNETES_SERVICE_PORT").unwrap_or_else(|| "443".to_owned()),
            folder: SERVICE_ACCOUNT.into(),
        })
    }

    /// Reads everything; a credential plugin may run until the deadline.
    ///
    /// # Errors
    /// [`LookupError`].
    pub fn access(&self, system: &System, deadline: Instant) -> Result<Access, LookupError> {
        match self {
            Self::Kubeconfig(path) => of_kubeconfig(path, system, deadline),
            Self::InCluster { host, port, folder } => in_cluster(host, port, folder),
        }
    }
}

/// No proxy here: the service's address is the cluster's own, and the runtime's `HTTPS_PROXY` is for images.
fn in_cluster(host: &str, port: &str, folder: &Path) -> Result<Access, LookupError> {
    let server = Server::in_cluster(host, port).map_err(|why| {
        LookupError::Environment(format!(
            "KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT: {why}"
        ))
    })?;
    Ok(Access {
        server,
        roots: Roots::Authority(load(
            "the cluster's certificate authority",
            folder.join("ca.crt"),
        )?),
        tls_server_name: None,
        proxy: None,
        pair: None,
        authorization: Some(bearer(&token_file(&folder.join("token"))?)?),
    })
}

fn of_kubeconfig(path: &Path, system: &System, deadline: Instant) -> Result<Access, LookupError> {
    let text = std::fs::read_to_string(path).map_err(|source| LookupError::File {
        what: "the kubeconfig",
        path: path.to_owned(),
        source,
    })?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let Kubeconfig { cluster, user } =
        Kubeconfig::parse(&text, folder).map_err(|fault| LookupError::Kubeconfig {
            path: path.to_owned(),
            fault,
        })?;
    let roots = match &cluster.trust {
        Trust::Authority(pem) => Roots::Authority(read("the certificate authority", pem)?),
        Trust::System => Roots::System,
        Trust::Nothing => Roots::Nothing,
    };
    let mut pair = match &user.certificate {
        Some((certificate, key)) => Some((
            read("the client certificate", certificate)?,
            read("the client key", key)?,
        )),
        None => None,
    };
    let authorization = match &user.proof {
        Proof::None => None,
        Proof::Token { text, file } => Some(bearer(&token(text.as_ref(), file.as_deref())?)?),
        Proof::Basic(name, password) => {
            let both = format!("{}:{}", name.exposed(), password.exposed());
            Some(Secret::new(format!(
                "Basic {}",
                BASE64_STANDARD.encode(both)
            )))
        }
        Proof::Plugin(wanted) => {
            let said = plugin::ask(system, wanted, &told(&cluster, &roots), deadline)?;
            pair = said.pair.or(pair);
            said.token.as_ref().map(bearer).transpose()?
        }
    };
    Ok(Access {
        proxy: proxy(&cluster)?,
        server: cluster.server,
        roots,
        tls_server_name: cluster.tls_server_name,
        pair,
        authorization,
    })
}

/// The kubeconfig's proxy, else the environment's, as kubectl has it.
fn proxy(cluster: &Cluster) -> Result<Option<Proxy>, LookupError> {
    match &cluster.proxy {
        Some(proxy) => Ok(Some(proxy.clone())),
        None => Proxy::of_environment(&cluster.server, |name| std::env::var(name).ok())
            .map_err(LookupError::Environment),
    }
}

/// What a credential plugin is told of the cluster, with its authority.
fn told(cluster: &Cluster, roots: &Roots) -> Value {
    let mut told = cluster.told.exposed().clone();
    if let Roots::Authority(loaded) = roots {
        told["certificate-authority-data"] = BASE64_STANDARD.encode(loaded.pem.exposed()).into();
    }
    told
}

fn read(what: &'static str, pem: &Pem) -> Result<Loaded, LookupError> {
    match pem {
        Pem::Here(place, pem) => Ok(Loaded {
            place: place.clone(),
            pem: pem.clone(),
        }),
        Pem::File(path) => load(what, path.clone()),
    }
}

/// The token of a file, else of a text: a file that is gone is no reason to ask without it.
fn token(
    text: Option<&Secret<String>>,
    file: Option<&Path>,
) -> Result<Secret<String>, LookupError> {
    match (file.map(token_file), text) {
        (Some(Ok(token)), _) => Ok(token),
        (_, Some(text)) => Ok(text.clone()),
        (Some(Err(error)), None) => Err(error),
        (None, None) => Ok(Secret::new(String::new())),
    }
}

fn token_file(path: &Path) -> Result<Secret<String>, LookupError> {
    let file = |source| LookupError::File {
        what: "the token",
        path: path.to_owned(),
        source,
    };
    let text = std::fs::read_to_string(path).map_err(file)?;
    match text.trim() {
        "" => Err(LookupError::Credential {
            place: path.display().to_string(),
            why: "is empty, a token was wanted".to_owned(),
        }),
        token => Ok(Secret::new(token.to_owned())),
    }
}

/// `Bearer TOKEN`. A token of other characters would be another header.
fn bearer(token: &Secret<String>) -> Result<Secret<String>, LookupError> {
    let token = token.exposed().trim();
    if token.is_empty() || !token.bytes().all(|c| c.is_ascii_graphic()) {
        return Err(LookupError::Credential {
            place: "the token".to_owned(),
            why: "has a character that no token has".to_owned(),
        });
    }
    Ok(Secret::new(format!("Bearer {token}")))
}
