//! podman on a node, with CNI as its network backend.

use std::process::Output;

use serde_json::Value;

use super::house::House;
use super::{Container, LIST, LIVES};

/// The limits of processes and files are those that a test machine allows; crun refuses cgroups of both
/// versions at once; events want a journal.
const CONFIG: &str = r#"
[engine]
runtime = "/usr/sbin/runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
[network]
network_backend = "cni"
network_config_dir = "/etc/cni/net.d"
cni_plugin_dirs = ["/opt/cni/bin"]
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
"#;

const STORAGE: &str = r#"
[storage]
driver = "vfs"
graphroot = "/var/lib/containers/storage"
runroot = "/run/containers/storage"
"#;

/// podman in a house.
pub struct Podman<'a> {
    /// Where it lives.
    pub house: &'a House<'a>,
    config: String,
    storage: String,
}

impl<'a> Podman<'a> {
    /// Configures it.
    pub fn new(house: &'a House<'a>) -> Self {
        let file = |name: &str, content: &str| {
            let file = house.node.dir().join(name);
            std::fs::write(&file, content).unwrap();
            file.to_str().unwrap().to_owned()
        };
        Self {
            house,
            config: format!("CONTAINERS_CONF={}", file("containers.conf", CONFIG)),
            storage: format!("CONTAINERS_STORAGE_CONF={}", file("storage.conf", STORAGE)),
        }
    }

    /// Runs it, whatever comes of it.
    pub fn exec(&self, argv: &[&str]) -> Output {
        let podman = ["env", &self.config, &self.storage, "podman"];
        self.house.exec(&[&podman[..], argv].concat())
    }

    /// Runs it; it must succeed. What it printed.
    pub fn ok(&self, argv: &[&str]) -> String {
        let output = self.exec(argv);
        assert!(output.status.success(), "podman {argv:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// `podman run` in the background with more options, whatever comes of it.
    pub fn start(&self, name: &str, options: &[&str]) -> Output {
        let (parent, rootfs) = (format!("/{}", self.house.name()), self.house.rootfs());
        let run = [
            "run",
            "--detach",
            "--name",
            name,
            "--cgroup-parent",
            &parent,
        ];
        let root = ["--rootfs", rootfs.to_str().unwrap()];
        self.exec(&[&run[..], options, &root, &LIVES].concat())
    }

    /// A container that runs on a network.
    pub fn run(&self, name: &str, network: &str) -> PodmanContainer<'_> {
        let started = self.start(name, &["--network", network]);
        assert!(started.status.success(), "{started:?}");
        PodmanContainer {
            podman: self,
            id: String::from_utf8(started.stdout).unwrap().trim().to_owned(),
        }
    }
}

/// One of podman's.
pub struct PodmanContainer<'a> {
    podman: &'a Podman<'a>,
    /// Its id, for plugins too.
    pub id: String,
}

impl PodmanContainer<'_> {
    /// What podman knows of it.
    pub fn inspect(&self) -> Value {
        let text = self.podman.ok(&["inspect", &self.id]);
        let list: Value = serde_json::from_str(&text).unwrap();
        list[0].clone()
    }

    /// The result of ADD on one of its networks.
    pub fn result_of(&self, list: &str, ifname: &str) -> Value {
        let result = self.podman.house.result(list, &self.id, ifname);
        result.expect("podman keeps the result of ADD")
    }
}

impl Container for PodmanContainer<'_> {
    fn exec(&self, argv: &[&str]) -> Output {
        self.podman.exec(&[&["exec", &self.id][..], argv].concat())
    }

    fn result(&self) -> Value {
        self.result_of(LIST, "eth0")
    }
}
