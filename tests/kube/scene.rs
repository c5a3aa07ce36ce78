//! One node with a kubeconfig: runs `vxlan`, and searches everything it says for every secret.

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::api::{Api, Say};
use crate::pki::Authority;
use crate::stand_in::World;
use crate::support::plugin::{Call, Program, Said};

/// A token.
pub const TOKEN: &str = "S3CRET-token";

/// The pod, as a runtime tells of it.
pub const POD: &str = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-1;K8S_POD_UID=u1";

/// A node.
pub struct Scene {
    /// Its folder and the stand-ins for `ip` and the IPAM.
    pub world: World,
    /// The cluster's authority.
    pub authority: Authority,
    secrets: RefCell<Vec<String>>,
}

impl Scene {
    /// A node without a kubeconfig yet.
    pub fn new() -> Self {
        let scene = Self {
            world: World::new(),
            authority: Authority::new("cluster"),
            secrets: RefCell::default(),
        };
        scene.keep("S3CRET");
        // What servers and plugins say is not ours to repeat.
        scene.keep("NOT REPEATED");
        scene
    }

    /// Makes a text one of those that must not be said, with each of its lines and in base64 too.
    pub fn keep(&self, secret: &str) {
        if secret.is_empty() {
            return;
        }
        let lines = secret.lines().filter(|line| !line.starts_with("-----"));
        let mut secrets = self.secrets.borrow_mut();
        secrets.extend(lines.map(str::to_owned));
        secrets.push(BASE64_STANDARD.encode(secret));
    }

    /// A server with a good certificate for 127.0.0.1, and a kubeconfig with a token for it.
    pub fn api(&self, says: Vec<Say>) -> Api {
        let api = Api::start(self.authority.server(&["127.0.0.1"]), says);
        self.kubeconfig(&self.cluster(&api), json!({"token": TOKEN}));
        api
    }

    /// The cluster of a server, as a kubeconfig has it.
    pub fn cluster(&self, api: &Api) -> Value {
        json!({
            "server": api.url(),
            "certificate-authority-data": BASE64_STANDARD.encode(&self.authority.pem),
        })
    }

    /// Writes a file into the folder of the kubeconfig.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.world.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Writes the kubeconfig.
    pub fn kubeconfig(&self, cluster: &Value, user: Value) {
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": user}],
        });
        self.file("kubeconfig", &kubeconfig.to_string());
    }

    /// A configuration that asks the API: `blue` is the default, and `green` takes no pod of `shop`.
    pub fn config(&self) -> Value {
        self.world.config_with(|config| {
            config["k8sReadAnnotations"] = json!(true);
            config["k8sConfigPath"] = json!(self.world.path("kubeconfig"));
            config["k8sTimeoutMs"] = json!(20_000);
            let green = json!({"id": 200, "name": "green", "cidr": "10.2.0.1/16",
                "peers": [], "options": {"vtepdev": "eth0"}, "allowedNamespaces": ["bank"]});
            config["vxlans"].as_array_mut().unwrap().push(green);
        })
    }

    /// The same with changes.
    pub fn config_with(&self, change: impl FnOnce(&mut Value)) -> Value {
        let mut config = self.config();
        change(&mut config);
        config
    }

    /// An ADD of the pod.
    pub fn add(&self, config: &Value) -> Call {
        let call = self.world.call(Program::Vxlan, "ADD", config);
        call.env("CNI_ARGS", POD)
    }

    /// Runs it and searches what it says for every secret.
    pub fn run(&self, call: &Call) -> Said {
        let said = call.run();
        let journal = fs::read_to_string(self.world.path("vxlan.log")).unwrap_or_default();
        for secret in &*self.secrets.borrow() {
            for text in [&said.stdout, &said.stderr, &journal] {
                assert!(!text.contains(secret.as_str()), "{secret} is told: {text}");
            }
        }
        said
    }

    /// Fails unless an ADD with this kubeconfig has read the annotation that names `green`.
    #[track_caller]
    pub fn reads(&self) {
        let said = self.run(&self.add(&self.config()));
        joins_green(&said);
    }

    /// The error 11 of an ADD with this kubeconfig; no other network was tried and nothing done.
    #[track_caller]
    pub fn fails(&self) -> String {
        self.fails_within(20_000)
    }

    /// The same, within ms.
    #[track_caller]
    pub fn fails_within(&self, ms: u64) -> String {
        let config = self.config_with(|config| config["k8sTimeoutMs"] = json!(ms));
        let error = self.run(&self.add(&config)).error(11);
        assert!(error.contains("pod shop/web-1"), "{error}");
        self.untouched();
        error
    }

    /// Fails if anything was started or written down.
    #[track_caller]
    pub fn untouched(&self) {
        assert_eq!(self.world.tool_calls(), Vec::<String>::new());
        assert_eq!(self.world.ipam_calls(), Vec::<String>::new());
        for folder in ["data", "run"] {
            assert!(!self.world.path(folder).exists(), "{folder}");
        }
    }
}

/// Fails unless an ADD chose `green`: that network does not take the pod.
#[track_caller]
pub fn joins_green(said: &Said) {
    let error = said.error(103);
    assert!(
        error.contains("network \"green\" does not take a pod of namespace `shop`"),
        "{error}"
    );
}
