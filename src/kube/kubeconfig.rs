//! A kubeconfig: YAML in, the one cluster and user of its current context out. Reads no file.
//!
//! What it does not know it refuses: another identity than the kubeconfig's is not a lesser fault than
//! none. No value is ever repeated in a fault, since any of them may be a secret in the wrong place.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::entry::Entry;
pub use super::entry::{Fault, Pem};
use super::proxy::Proxy;
use super::secret::Secret;
use super::server::Server;
use super::yaml;

/// The cluster and the user of the current context.
#[derive(Debug, Clone)]
pub struct Kubeconfig {
    /// Who is asked.
    pub cluster: Cluster,
    /// Who asks.
    pub user: User,
}

/// Who is asked, and how it is known.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Its address.
    pub server: Server,
    /// What vouches for its certificate.
    pub trust: Trust,
    /// The name in its certificate where that is not the host's (`tls-server-name`).
    pub tls_server_name: Option<String>,
    /// `proxy-url`.
    pub proxy: Option<Proxy>,
    /// What a credential plugin is told of the cluster when it asks (`client.authentication.k8s.io/v1`, `Cluster`):
    /// the address of a proxy, with its password, too.
    pub told: Secret<Value>,
}

/// What vouches for a server's certificate.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Authorities of the kubeconfig.
    Authority(Pem),
    /// The node's own: no authority is named.
    System,
    /// Nothing (`insecure-skip-tls-verify`).
    Nothing,
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct User {
    /// Client certificate and key.
    pub certificate: Option<(Pem, Pem)>,
    /// What else says who it is.
    pub proof: Proof,
}

/// What says who asks.
#[derive(Debug, Clone)]
pub enum Proof {
    /// Nothing, or the client certificate alone.
    None,
    /// A token; a file counts before the text, as kubectl has it.
    Token {
        /// In the kubeconfig.
        text: Option<Secret<String>>,
        /// In a file, which may be written anew at any time.
        file: Option<PathBuf>,
    },
    /// Name and password.
    Basic(Secret<String>, Secret<String>),
    /// A program that knows.
    Plugin(Box<Plugin>),
}

/// A credential plugin.
#[derive(Debug, Clone)]
pub struct Plugin {
    /// The program: a path, or a name that is looked up.
    pub command: String,
    /// Its arguments; they may hold a secret.
    pub args: Secret<Vec<String>>,
    /// Variables it gets beside ours; they may hold a secret.
    pub env: Secret<Vec<(String, String)>>,
    /// Which form of `client.authentication.k8s.io` it speaks.
    pub api_version: String,
    /// Whether it is told which cluster it is for.
    pub wants_cluster: bool,
}

/// Keys of a cluster.
const CLUSTER: [&str; 8] = [
    "server",
    "tls-server-name",
    "insecure-skip-tls-verify",
    "certificate-authority",
    "certificate-authority-data",
    "proxy-url",
    "disable-compression",
    "extensions",
];

/// Keys of a user.
const USER: [&str; 10] = [
    "client-certificate",
    "client-certificate-data",
    "client-key",
    "client-key-data",
    "token",
    "tokenFile",
    "username",
    "password",
    "exec",
    "extensions",
];

/// Keys of a credential plugin.
const PLUGIN: [&str; 7] = [
    "command",
    "args",
    "env",
    "apiVersion",
    "installHint",
    "provideClusterInfo",
    "interactiveMode",
];

/// The forms of `ExecCredential` (`k8s.io/client-go/pkg/apis/clientauthentication`).
const API_VERSIONS: [&str; 2] = [
    "client.authentication.k8s.io/v1",
    "client.authentication.k8s.io/v1beta1",
];

/// The extension of a cluster that is meant for credential plugins.
const PLUGIN_EXTENSION: &str = "client.authentication.k8s.io/exec";

impl Kubeconfig {
    /// Reads a kubeconfig that stands in a folder: relative paths in it start there.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn parse(text: &str, folder: &Path) -> Result<Self, Fault> {
        let documents = yaml::documents(text).map_err(|error| Fault(error.to_string()))?;
        let [value] = &documents[..] else {
            return Err(Fault("not a kubeconfig: wanted one map".to_owned()));
        };
        let top = Entry::of(value, String::new())?;
        let current = top.text("current-context")?;
        let current = current.ok_or_else(|| top.fault("current-context", "missing"))?;
        let context = top.named("contexts", "context", current)?;
        let cluster = context.text("cluster")?;
        let cluster = cluster.ok_or_else(|| context.fault("cluster", "missing"))?;
        let cluster = top.named("clusters", "cluster", cluster)?;
        let user = match context.text("user")? {
            Some(name) => User::read(&top.named("users", "user", name)?, folder)?,
            None => User {
                certificate: None,
                proof: Proof::None,
            },
        };
        Ok(Self {
            cluster: Cluster::read(&cluster, folder)?,
            user,
        })
    }
}

impl Cluster {
    fn read(at: &Entry<'_>, folder: &Path) -> Result<Self, Fault> {
        at.only(&CLUSTER)?;
        let authority = at.pem(
            "certificate-authority",
            "certificate-authority-data",
            folder,
        )?;
        let insecure = at.truth("insecure-skip-tls-verify")?;
        let has_authority = authority.is_some() || insecure;
        let server = at
            .text("server")?
            .ok_or_else(|| at.fault("server", "missing"))?;
        let server = Server::parse(server, has_authority).map_err(|why| at.fault("server", why))?;
        let proxy = at.text("proxy-url")?.map(Proxy::parse).transpose();
        let trust = match (authority, insecure) {
            (None, true) => Trust::Nothing,
            (None, false) => Trust::System,
            (Some(authority), false) => Trust::Authority(authority),
            // As client-go: one of the two is a mistake, and which one is unknown.
            (Some(_), true) => {
                let why = "set together with a certificate-authority: take one of them out";
                return Err(at.fault("insecure-skip-tls-verify", why));
            }
        };
        Ok(Self {
            server,
            trust,
            tls_server_name: at.text("tls-server-name")?.map(str::to_owned),
            proxy: proxy.map_err(|why| at.fault("proxy-url", why))?,
            told: told(at)?,
        })
    }
}

/// What a credential plugin is told of its cluster; the authority is added by who reads its file.
fn told(at: &Entry<'_>) -> Result<Secret<Value>, Fault> {
    let mut told = Map::new();
    let keys = ["server", "tls-server-name", "proxy-url"];
    for key in keys.into_iter().filter(|key| at.value(key).is_some()) {
        told.insert(key.to_owned(), at.value(key).cloned().unwrap_or_default());
    }
    if at.truth("insecure-skip-tls-verify")? {
        told.insert("insecure-skip-tls-verify".to_owned(), Value::Bool(true));
    }
    for extension in at.list("extensions")? {
        if extension.text("name")? == Some(PLUGIN_EXTENSION) {
            let config = extension.value("extension").cloned().unwrap_or_default();
            told.insert("config".to_owned(), config);
        }
    }
    Ok(Secret::new(Value::Object(told)))
}

impl User {
    fn read(at: &Entry<'_>, folder: &Path) -> Result<Self, Fault> {
        refuse_impersonation(at)?;
        at.only(&USER)?;
        let certificate = at.pem("client-certificate", "client-certificate-data", folder)?;
        let key = at.pem("client-key", "client-key-data", folder)?;
        let certificate = match (certificate, key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (Some(_), None) => {
                return Err(at.fault("client-key", "missing beside a client-certificate"));
            }
            (None, Some(_)) => {
                return Err(at.fault("client-certificate", "missing beside a client-key"));
            }
        };
        Ok(Self {
            certificate,
            proof: Proof::read(at, folder)?,
        })
    }
}

/// The API must not be asked as another than the kubeconfig says.
fn refuse_impersonation(at: &Entry<'_>) -> Result<(), Fault> {
    for key in ["as", "as-uid", "as-groups", "as-user-extra"] {
        if at.value(key).is_some() {
            return Err(at.fault(
                key,
                "impersonation is not done; name a user who may get pods",
            ));
        }
    }
    match at.value("auth-provider") {
        Some(_) => Err(at.fault(
            "auth-provider",
            "kubectl itself has none since 1.26; use exec or a token",
        )),
        None => Ok(()),
    }
}

impl Proof {
    /// At most one of token, password and plugin, as client-go has it.
    fn read(at: &Entry<'_>, folder: &Path) -> Result<Self, Fault> {
        let secret = |key: &str| Ok(at.text(key)?.map(|text| Secret::new(text.to_owned())));
        let (text, file) = (secret("token")?, at.text("tokenFile")?);
        let (name, password) = (secret("username")?, secret("password")?);
        let plugin = at.value("exec");
        let token = text.is_some() || file.is_some();
        let basic = name.is_some() || password.is_some();
        match (token, basic, plugin) {
            (false, false, None) => Ok(Self::None),
            (true, false, None) => Ok(Self::Token {
                text,
                file: file.map(|file| folder.join(file)),
            }),
            (false, true, None) => {
                let empty = || Secret::new(String::new());
                Ok(Self::Basic(
                    name.unwrap_or_else(empty),
                    password.unwrap_or_else(empty),
                ))
            }
            (false, false, Some(plugin)) => {
                let at = Entry::of(plugin, at.key("exec"))?;
                Plugin::read(&at, folder).map(|plugin| Self::Plugin(Box::new(plugin)))
            }
            _ => Err(Fault(format!(
                "{}: more than one of token, username and exec: take all but one out",
                at.path
            ))),
        }
    }
}

impl Plugin {
    fn read(at: &Entry<'_>, folder: &Path) -> Result<Self, Fault> {
        at.only(&PLUGIN)?;
        let command = at.text("command")?;
        let command = command.ok_or_else(|| at.fault("command", "missing"))?;
        // A name is looked up in PATH, a path starts at the kubeconfig (client-go, `GetAuthInfoFileReferences`).
        let command = match command.contains('/') {
            true => folder.join(command).to_string_lossy().into_owned(),
            false => command.to_owned(),
        };
        let api_version = at.text("apiVersion")?.unwrap_or_default();
        if !API_VERSIONS.contains(&api_version) {
            return Err(at.fault(
                "apiVersion",
                format!("wanted {}", API_VERSIONS.join(" or ")),
            ));
        }
        if at.text("interactiveMode")? == Some("Always") {
            return Err(at.fault(
                "interactiveMode",
                "`Always` asks for a person at a terminal, and a node has none",
            ));
        }
        let mut env = Vec::new();
        for pair in at.list("env")? {
            let name = pair
                .text("name")?
                .ok_or_else(|| pair.fault("name", "missing"))?;
            if name.contains(['=', '\0']) {
                return Err(pair.fault("name", "not a variable's name"));
            }
            env.push((
                name.to_owned(),
                pair.text("value")?.unwrap_or_default().to_owned(),
            ));
        }
        Ok(Self {
            command,
            args: Secret::new(at.texts("args")?),
            env: Secret::new(env),
            api_version: api_version.to_owned(),
            wants_cluster: at.truth("provideClusterInfo")?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const WHOLE: &str = "
apiVersion: v1
kind: Config
preferences: {}
current-context: two
contexts:
- {name: one, context: {cluster: one, user: one}}
- name: two
  context:
    cluster: two
    user: two
    namespace: kube-system
clusters:
- {name: one, cluster: {server: 'ftp://nowhere', unknown: 1}}
- name: two
  cluster:
    server: https://[fd00::1]:6443
    certificate-authority: pki/ca.crt
    tls-server-name: kubernetes
    extensions:
    - {name: client.authentication.k8s.io/exec, extension: {audience: blue}}
users:
- {name: one, user: {as: admin}}
- name: two
  user:
    client-certificate: /pki/node.crt
    client-key-data: a2V5
    tokenFile: ../token
";

    fn parse(text: &str) -> Result<Kubeconfig, Fault> {
        Kubeconfig::parse(text, Path::new("/etc/cni/net.d"))
    }

    /// A kubeconfig of one cluster and one user, each a YAML flow map.
    fn one(cluster: &str, user: &str) -> Result<Kubeconfig, Fault> {
        parse(&format!(
            "current-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
             clusters: [{{name: c, cluster: {cluster}}}]\nusers: [{{name: u, user: {user}}}]\n"
        ))
    }

    const SERVER: &str = "{server: 'https://10.0.0.1'}";

    #[test]
    fn the_current_context_alone_counts_and_relative_paths_start_at_the_kubeconfig() {
        let Kubeconfig { cluster, user } = parse(WHOLE).unwrap();
        assert_eq!(cluster.server.to_string(), "https://[fd00::1]:6443");
        assert!(
            matches!(&cluster.trust, Trust::Authority(Pem::File(path)) if path == Path::new("/etc/cni/net.d/pki/ca.crt"))
        );
        assert_eq!(cluster.tls_server_name.as_deref(), Some("kubernetes"));
        assert_eq!(cluster.told.exposed()["config"]["audience"], "blue");
        let Some((Pem::File(certificate), Pem::Here(place, key))) = &user.certificate else {
            panic!("{user:?}")
        };
        assert_eq!(certificate, Path::new("/pki/node.crt"));
        assert_eq!(
            (place.as_str(), &key.exposed()[..]),
            ("users[1].user.client-key-data", &b"key"[..])
        );
        assert!(
            matches!(&user.proof, Proof::Token { text: None, file: Some(file) } if file == Path::new("/etc/cni/net.d/../token"))
        );
        let json = r#"{"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c"}}],
            "clusters": [{"name": "c", "cluster": {"server": "https://a", "insecure-skip-tls-verify": true}}]}"#;
        let json = parse(json).unwrap();
        assert!(matches!(
            (json.cluster.trust, json.user.proof),
            (Trust::Nothing, Proof::None)
        ));
    }

    #[test]
    fn each_way_to_say_who_asks_is_read() {
        let token = one(SERVER, "{token: abc, tokenFile: /t}")
            .unwrap()
            .user
            .proof;
        assert!(
            matches!(&token, Proof::Token { text: Some(text), file: Some(_) } if text.exposed() == "abc")
        );
        let basic = one(SERVER, "{username: me, password: pw}")
            .unwrap()
            .user
            .proof;
        assert!(
            matches!(&basic, Proof::Basic(name, password) if name.exposed() == "me" && password.exposed() == "pw")
        );
        let plugin = |command: &str| {
            let exec = format!(
                "{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: {command}, args: [-v, x],
                env: [{{name: A, value: b}}], provideClusterInfo: true, interactiveMode: IfAvailable, installHint: x}}}}"
            );
            match one(SERVER, &exec).unwrap().user.proof {
                Proof::Plugin(plugin) => plugin,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(plugin("aws").command, "aws");
        assert_eq!(plugin("./aws").command, "/etc/cni/net.d/./aws");
        assert_eq!(plugin("/opt/aws").command, "/opt/aws");
        assert_eq!(plugin("aws").args.exposed(), &["-v", "x"]);
        assert_eq!(
            plugin("aws").env.exposed(),
            &[("A".to_owned(), "b".to_owned())]
        );
        assert!(plugin("aws").wants_cluster);
    }

    #[test]
    fn nothing_that_proves_who_asks_is_in_the_debug_form() {
        let cluster = "{server: 'https://a', proxy-url: 'http://me:S3CRET@b', certificate-authority-data: UzNDUkVU}";
        for user in [
            "{token: S3CRET, client-certificate-data: UzNDUkVU, client-key-data: UzNDUkVU}",
            "{username: me, password: S3CRET}",
            "{exec: {apiVersion: client.authentication.k8s.io/v1, command: x, args: [S3CRET],
              env: [{name: A, value: S3CRET}]}}",
        ] {
            let shown = format!("{:?}", one(cluster, user).unwrap());
            // 83, 51, 67: how bytes would show it.
            let told = ["S3CRET", "UzNDUkVU", "83, 51, 67"]
                .iter()
                .any(|secret| shown.contains(secret));
            assert!(!told, "{shown}");
        }
    }

    #[test]
    fn what_is_not_done_is_refused_and_no_value_is_repeated() {
        let v1 = "apiVersion: client.authentication.k8s.io/v1";
        for (cluster, user, words) in [
            (SERVER, "{as: S3CRET}", "users[0].user.as: impersonation"),
            (SERVER, "{as-groups: [S3CRET]}", "users[0].user.as-groups"),
            (SERVER, "{auth-provider: {name: S3CRET}}", "auth-provider"),
            (
                SERVER,
                "{bearer: S3CRET}",
                "users[0].user.bearer: unknown key",
            ),
            (SERVER, "{token: S3CRET, username: me}", "more than one of"),
            (SERVER, "{token: [S3CRET]}", "token: wanted a string"),
            (SERVER, "{token: {S3CRET: 1}}", "token: wanted a string"),
            (
                SERVER,
                "{client-key: S3CRET}",
                "client-certificate: missing",
            ),
            (
                SERVER,
                "{client-certificate: S3CRET}",
                "client-key: missing",
            ),
            (
                SERVER,
                "{client-key: a, client-key-data: S3CRET}",
                "set together",
            ),
            (
                SERVER,
                "{client-key-data: 'S3CRET!', client-certificate: a}",
                "not base64",
            ),
            (SERVER, "{exec: S3CRET}", "exec: wanted a map"),
            (
                SERVER,
                "{exec: {command: S3CRET, apiVersion: client.authentication.k8s.io/v1alpha1}}",
                "exec.apiVersion",
            ),
            (
                SERVER,
                &format!("{{exec: {{{v1}}}}}"),
                "exec.command: missing",
            ),
            (
                SERVER,
                &format!("{{exec: {{command: S3CRET, {v1}, interactiveMode: Always}}}}"),
                "interactiveMode",
            ),
            (
                SERVER,
                &format!("{{exec: {{command: x, {v1}, args: [{{S3CRET: x}}]}}}}"),
                "exec.args: wanted a list",
            ),
            (
                SERVER,
                &format!("{{exec: {{command: x, {v1}, env: [{{value: S3CRET}}]}}}}"),
                "env[0].name: missing",
            ),
            (
                "{server: 'https://u:S3CRET@a'}",
                "{}",
                "clusters[0].cluster.server",
            ),
            (
                "{server: 'http://S3CRET.example.org'}",
                "{}",
                "http is for this machine",
            ),
            ("{}", "{}", "server: missing"),
            (
                "{server: 'https://a', proxy-url: 'ftp://u:S3CRET@b'}",
                "{}",
                "proxy-url: wanted",
            ),
            (
                "{server: 'https://a', certificate-authorty: S3CRET}",
                "{}",
                "unknown key",
            ),
            (
                "{server: 'https://a', insecure-skip-tls-verify: S3CRET}",
                "{}",
                "true or false",
            ),
            (
                "{server: 'https://a', certificate-authority: S3CRET, insecure-skip-tls-verify: true}",
                "{}",
                "together",
            ),
        ] {
            let fault = one(cluster, user).unwrap_err().to_string();
            assert!(fault.contains(words), "{fault}\nlacks {words}");
            assert!(!fault.contains("S3CRET"), "{fault}");
        }
    }

    #[test]
    fn a_context_that_is_not_there_or_there_twice_is_named() {
        for (change, words) in [
            (
                "current-context: two => current-context: three",
                "contexts: none is named `three`",
            ),
            ("current-context: two => ", "current-context: missing"),
            ("    user: two => user: none", "not YAML"),
            (
                "    user: two =>     user: none",
                "users: none is named `none`",
            ),
            (
                "    cluster: two =>     cluster: none",
                "clusters: none is named `none`",
            ),
            (
                "    cluster: two => ",
                "contexts[1].context.cluster: missing",
            ),
            (
                "name: one, user => name: two, user",
                "users: several are named `two`",
            ),
            (
                "contexts: => contexts: x\nothers:",
                "contexts: wanted a list",
            ),
        ] {
            let (from, to) = change.split_once(" => ").unwrap();
            assert!(WHOLE.contains(from), "{from}");
            let fault = parse(&WHOLE.replace(from, to)).unwrap_err().to_string();
            assert!(fault.contains(words), "{change}: {fault}");
        }
        for text in [
            "",
            "- 1",
            "S3CRET",
            "a: [S3CRET",
            "a: S3CRET\na: S3CRET",
            "\tS3CRET: x",
            "%S3CRET",
        ] {
            let fault = parse(text).unwrap_err().to_string();
            assert!(!fault.contains("S3CRET"), "{text}: {fault}");
        }
    }
}
