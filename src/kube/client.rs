//! A GET, asked until an answer comes or the time is over.

use std::io;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use ureq::http::{HeaderValue, Response, StatusCode};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{
    ConnectProxyConnector, Connector, SocksConnector, TcpConnector,
};
use ureq::{Agent, Body, BodyReader, Error};

use super::credentials::Access;
use super::error::LookupError;
use super::secret::Secret;
use super::tls;
use super::transport::TlsConnector;
use crate::exec::System;
use crate::sanitize::printable;

/// A kind of thing that is asked for.
#[derive(Debug)]
pub struct Kind {
    /// In which form (`Accept`).
    accept: &'static str,
    /// What 403 means, and what to do.
    forbidden: (&'static str, &'static str),
    /// What 404 means, and what to do.
    unknown: (&'static str, &'static str),
}

/// A pod's metadata alone, which is less to send and holds nothing of the pod's own secrets; the whole pod from a server
/// that does not know that form (before Kubernetes 1.15).
pub const POD: Kind = Kind {
    accept: "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, application/json",
    forbidden: (
        ": the kubeconfig's user may not read the pod",
        "allow `get` of `pods` (deploy/rbac.yaml): kubectl auth can-i get pods -n NAMESPACE",
    ),
    unknown: (
        ": it knows no such pod",
        "the pod was deleted, or this is another cluster's API server: kubectl get pod -n NAMESPACE",
    ),
};

/// Nodes, whole: their addresses are in their status, which no smaller form has.
pub const NODES: Kind = Kind {
    accept: "application/json",
    forbidden: (
        ": the kubeconfig's user may not list nodes",
        "allow `list` of `nodes` (deploy/rbac-nodes.yaml): kubectl auth can-i list nodes",
    ),
    unknown: (
        ": it knows no nodes",
        "is this the address of a Kubernetes API server?",
    ),
};

/// The longest answer. The API stores objects of at most 1.5 MiB (etcd's `--max-request-bytes`); JSON is longer
/// than the form they are stored in.
pub const ANSWER_MAX: u64 = 8 << 20;

/// The longest body of a refusal that is read, so that the connection can be used again.
const REFUSAL_MAX: u64 = 64 << 10;

/// The first pause; each that follows is twice as long. A random half comes on top: pods that start together
/// shall not ask together again.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Who asks, ready to.
pub struct Client<'a> {
    system: &'a System,
    agent: Agent,
    server: String,
    kind: &'static Kind,
    authorization: Option<HeaderValue>,
}

/// Why one try gave no answer.
enum Failed {
    /// The next may: what was seen, and how long the server wants to be left alone.
    Passing(String, Option<Duration>),
    /// So will the next.
    Final(LookupError),
}

impl<'a> Client<'a> {
    /// Takes what a request needs; connects nowhere yet.
    ///
    /// # Errors
    /// [`LookupError`] for a certificate, key, name or proxy that cannot be used.
    pub fn new(
        system: &'a System,
        access: &Access,
        kind: &'static Kind,
    ) -> Result<Self, LookupError> {
        let server = access.server.to_string();
        let authorization = access.authorization.as_ref().map(header).transpose()?;
        Ok(Self {
            system,
            agent: agent(access, kind)?,
            server,
            kind,
            authorization,
        })
    }

    /// Asks for a path, again and again while what is wrong may pass, until the deadline.
    ///
    /// # Errors
    /// [`LookupError`].
    pub fn get(
        &self,
        path: &str,
        deadline: Instant,
        allowed: Duration,
    ) -> Result<Vec<u8>, LookupError> {
        let url = format!("{}{path}", self.server);
        let mut pause = FIRST_PAUSE;
        for tries in 1.. {
            let left = deadline.saturating_duration_since(Instant::now());
            let (why, wanted) = match self.once(&url, left) {
                Ok(answer) => return Ok(answer),
                Err(Failed::Final(error)) => return Err(error),
                Err(Failed::Passing(why, wanted)) => (why, wanted),
            };
            let wait = wanted.unwrap_or_else(|| pause + pause.mul_f64(fastrand::f64() / 2.0));
            if wait >= deadline.saturating_duration_since(Instant::now()) {
                return Err(LookupError::Unanswered {
                    server: self.server.clone(),
                    tries: if tries == 1 {
                        "once".to_owned()
                    } else {
                        format!("{tries} times")
                    },
                    why,
                    allowed: allowed.as_millis(),
                });
            }
            self.system.pause(wait)?;
            pause *= 2;
        }
        Err(LookupError::Interrupted)
    }

    /// Asks once for what goes on: an answer that is read as it comes, for so long at most.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn open(&self, path: &str, allowed: Duration) -> Result<BodyReader<'static>, LookupError> {
        let url = format!("{}{path}", self.server);
        let unanswered = |failed| match failed {
            Failed::Final(error) => error,
            Failed::Passing(why, _) => LookupError::Unanswered {
                server: self.server.clone(),
                tries: "once".to_owned(),
                why,
                allowed: allowed.as_millis(),
            },
        };
        let response = self.call(&url, allowed).map_err(unanswered)?;
        match response.status() {
            StatusCode::OK => Ok(response.into_body().into_reader()),
            _ => Err(unanswered(self.refused(&response))),
        }
    }

    fn call(&self, url: &str, left: Duration) -> Result<Response<Body>, Failed> {
        let mut request = self.agent.get(url);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let request = request.config().timeout_global(Some(left)).build();
        request.call().map_err(|error| self.failed(error))
    }

    fn once(&self, url: &str, left: Duration) -> Result<Vec<u8>, Failed> {
        let mut response = self.call(url, left)?;
        let status = response.status();
        let long = if status == StatusCode::OK {
            ANSWER_MAX
        } else {
            REFUSAL_MAX
        };
        let body = response.body_mut().with_config().limit(long).read_to_vec();
        match status {
            StatusCode::OK => body.map_err(|error| self.failed(error)),
            _ => Err(self.refused(&response)),
        }
    }

    /// What a status other than 200 means.
    fn refused(&self, response: &Response<Body>) -> Failed {
        let status = response.status();
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            let seconds = response.headers().get("retry-after");
            let seconds = seconds.and_then(|value| value.to_str().ok()?.trim().parse().ok());
            return Failed::Passing(
                format!("it answered {}", status.as_u16()),
                seconds.map(Duration::from_secs),
            );
        }
        let (why, advice) = match status.as_u16() {
            401 => (
                ": it does not know who asks",
                "the token or client certificate has expired or is another cluster's: kubectl auth whoami",
            ),
            403 => self.kind.forbidden,
            404 => self.kind.unknown,
            300..=399 => (
                ", a redirect, which is not followed",
                "set server to the API server itself and not to what redirects there",
            ),
            _ => ("", "is this the address of a Kubernetes API server?"),
        };
        Failed::Final(LookupError::Refused {
            server: self.server.clone(),
            status: status.as_u16(),
            why,
            advice: advice.to_owned(),
        })
    }

    /// The error for an answer that is none of the API's.
    pub fn wrong(&self, why: impl Into<String>) -> LookupError {
        LookupError::Answer {
            server: self.server.clone(),
            why: why.into(),
        }
    }

    /// What became of a connection.
    fn failed(&self, error: Error) -> Failed {
        let answer = |why: &str| Failed::Final(self.wrong(why));
        match &error {
            Error::Timeout(_) => Failed::Passing("the time was over".to_owned(), None),
            Error::Io(io) => match of_tls(io) {
                Some(error) => self.of_handshake(error),
                None if io.kind() == io::ErrorKind::UnexpectedEof => {
                    Failed::Passing("it ended the connection".to_owned(), None)
                }
                None => Failed::Passing(io.to_string(), None),
            },
            Error::HostNotFound => Failed::Passing("its name is not known".to_owned(), None),
            Error::ConnectProxyFailed(_) => {
                Failed::Passing("the proxy did not connect to it".to_owned(), None)
            }
            Error::ConnectionFailed => Failed::Passing("no connection came to be".to_owned(), None),
            Error::BodyExceedsLimit(_) => answer("is longer than 8 MiB"),
            Error::LargeResponseHeader(..) => answer("has headers longer than 64 KiB"),
            _ => answer("is not HTTP"),
        }
    }

    fn of_handshake(&self, error: &rustls::Error) -> Failed {
        let (why, advice) = tls::explained(error);
        Failed::Final(LookupError::Tls {
            server: self.server.clone(),
            why,
            advice,
        })
    }
}

/// The client itself: through a proxy or straight, with TLS where the server speaks it, following no redirect.
/// How long it may take is said with each request.
fn agent(access: &Access, kind: &Kind) -> Result<Agent, LookupError> {
    let (host, wanted) = (&access.server.host, access.tls_server_name.as_ref());
    let name = wanted.unwrap_or(host).clone();
    let name = ServerName::try_from(name.as_str())
        .map_err(|_| unusable(&name, "is no name that a certificate could be for"))?
        .to_owned();
    let proxy = access.proxy.as_ref().map(|proxy| {
        ureq::Proxy::new(proxy.url.exposed())
            .map_err(|_| unusable(&proxy.shown, "is no proxy's address"))
    });
    let config = Agent::config_builder()
        .proxy(proxy.transpose()?)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("vxlan-cni/", env!("CARGO_PKG_VERSION")))
        .accept(kind.accept)
        .build();
    let tls = tls::config(&access.roots, access.pair.as_ref())?;
    let connector =
        ().chain(SocksConnector::default())
            .chain(ConnectProxyConnector::default())
            .chain(TcpConnector::default())
            .chain(TlsConnector::new(tls, name));
    let resolver = DefaultResolver::default();
    Ok(Agent::with_parts(config, connector, resolver))
}

/// The header `Authorization`, which no log of a library shows either.
fn header(secret: &Secret<String>) -> Result<HeaderValue, LookupError> {
    let mut value = HeaderValue::from_str(secret.exposed())
        .map_err(|_| unusable("the token", "has a character that cannot be sent"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn unusable(place: &str, why: &str) -> LookupError {
    LookupError::Credential {
        place: printable(place),
        why: why.to_owned(),
    }
}

/// What rustls said, inside what the connection said.
fn of_tls(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}
