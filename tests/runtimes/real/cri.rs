//! containerd as the kubelet asks it: the Container Runtime Interface, of which a few messages are
//! written here by hand and carried by curl.

use std::cell::Cell;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use super::containerd::Containerd;
use super::{Container, LIST, LIVES};

/// containerd's namespace of everything of Kubernetes.
const NAMESPACE: &str = "k8s.io";

/// The kubelet's side.
pub struct Kubelet<'a> {
    containerd: &'a Containerd<'a>,
}

impl<'a> Kubelet<'a> {
    /// With an image for pods that needs no registry.
    pub fn new(containerd: &'a Containerd<'a>) -> Self {
        let new = Self { containerd };
        let image = new.containerd.house.node.dir().join("pause.tar");
        write_image(&new.containerd.house.rootfs(), &image);
        new.ctr(&["images", "import", image.to_str().unwrap()]);
        new
    }

    /// Makes a pod's sandbox: its id, or what the kubelet would show.
    pub fn run(
        &self,
        namespace: &str,
        name: &str,
        annotations: &[(&str, &str)],
    ) -> Result<Pod<'_>, String> {
        let metadata = [
            text(1, name),
            text(2, &format!("uid-{name}")),
            text(3, namespace),
        ]
        .concat();
        let pairs = annotations
            .iter()
            .map(|(key, value)| bytes(7, &[text(1, key), text(2, value)].concat()));
        let cgroup = text(1, &format!("/{}", self.containerd.house.name()));
        let logs = text(3, "/run/pods");
        let config = [
            bytes(1, &metadata),
            text(2, name),
            logs,
            pairs.collect::<Vec<_>>().concat(),
            bytes(8, &cgroup),
        ]
        .concat();
        let said = self.call("RunPodSandbox", &bytes(1, &config))?;
        Ok(Pod {
            kubelet: self,
            id: String::from_utf8(said[2..2 + usize::from(said[1])].to_vec()).unwrap(),
            execs: Cell::new(0),
        })
    }

    /// Calls a method; the answer's message, or the error's text.
    fn call(&self, method: &str, message: &[u8]) -> Result<Vec<u8>, String> {
        let house = self.containerd.house;
        let (asked, answered) = (
            house.node.dir().join("asked"),
            house.node.dir().join("answered"),
        );
        let framed = [
            &[0][..],
            &u32::try_from(message.len()).unwrap().to_be_bytes(),
            message,
        ]
        .concat();
        std::fs::write(&asked, framed).unwrap();
        std::fs::write(&answered, "").unwrap();
        let said = house.run(&[
            "curl",
            "--silent",
            "--show-error",
            "--http2-prior-knowledge",
            "--unix-socket",
            "/run/containerd/containerd.sock",
            "--header",
            "content-type: application/grpc",
            "--header",
            "te: trailers",
            "--data-binary",
            &format!("@{}", asked.display()),
            "--dump-header",
            "-",
            "--output",
            answered.to_str().unwrap(),
            &format!("http://localhost/runtime.v1.RuntimeService/{method}"),
        ]);
        let trailer = |name: &str| {
            said.lines()
                .find_map(|line| line.strip_prefix(name))
                .map(str::trim)
        };
        match trailer("grpc-status:") {
            Some("0") => Ok(std::fs::read(answered).unwrap()[5..].to_vec()),
            _ => Err(trailer("grpc-message:").unwrap_or(&said).to_owned()),
        }
    }

    fn ctr(&self, argv: &[&str]) -> Output {
        let ctr = ["ctr", "--namespace", NAMESPACE];
        self.containerd.house.exec(&[&ctr[..], argv].concat())
    }
}

/// A pod's sandbox that runs.
pub struct Pod<'a> {
    kubelet: &'a Kubelet<'a>,
    /// Its id, for plugins too.
    pub id: String,
    execs: Cell<u32>,
}

impl Pod<'_> {
    /// Ends it and takes it off its network.
    pub fn stop(&self) {
        self.kubelet
            .call("StopPodSandbox", &text(1, &self.id))
            .unwrap();
    }

    /// Forgets it, ending it first where it runs.
    pub fn remove(&self) {
        self.kubelet
            .call("RemovePodSandbox", &text(1, &self.id))
            .unwrap();
    }

    /// Kills its first process as the kernel does when memory is short.
    pub fn kill(&self) {
        let killed = self
            .kubelet
            .ctr(&["task", "kill", "--signal", "SIGKILL", &self.id]);
        assert!(killed.status.success(), "{killed:?}");
    }
}

impl Container for Pod<'_> {
    fn exec(&self, argv: &[&str]) -> Output {
        let exec = format!("exec{}", self.execs.replace(self.execs.get() + 1));
        let task = ["task", "exec", "--exec-id", &exec, &self.id];
        self.kubelet.ctr(&[&task[..], argv].concat())
    }

    fn result(&self) -> Value {
        let result = self.kubelet.containerd.house.result(LIST, &self.id, "eth0");
        result.expect("containerd keeps the result of ADD")
    }
}

/// A field of bytes in the encoding of protocol buffers.
fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = content.len();
    while length > 127 {
        field.push(u8::try_from(length & 127).unwrap() | 128);
        length >>= 7;
    }
    field.push(u8::try_from(length).unwrap());
    field.extend(content);
    field
}

/// A field of text.
fn text(number: u8, content: &str) -> Vec<u8> {
    bytes(number, content.as_bytes())
}

/// Writes an image of one layer, in the form of `docker save`.
fn write_image(rootfs: &Path, image: &Path) {
    let dir = image.with_extension("parts");
    std::fs::create_dir_all(&dir).unwrap();
    let tar = |from: &Path, to: &Path, files: &[&str]| {
        let made = Command::new("tar")
            .arg("-C")
            .arg(from)
            .arg("-cf")
            .arg(to)
            .args(files)
            .status();
        assert!(made.unwrap().success());
    };
    tar(rootfs, &dir.join("layer.tar"), &["."]);
    let sum = Command::new("sha256sum")
        .arg(dir.join("layer.tar"))
        .output()
        .unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    let sum = sum.split(' ').next().unwrap();
    let layers = json!({"type": "layers", "diff_ids": [format!("sha256:{sum}")]});
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let config = json!({"architecture": architecture, "os": "linux", "config": {"Cmd": LIVES}, "rootfs": layers});
    let manifest = json!([{"Config": "config.json", "RepoTags": ["localhost/pause:1"], "Layers": ["layer.tar"]}]);
    std::fs::write(dir.join("config.json"), config.to_string()).unwrap();
    std::fs::write(dir.join("manifest.json"), manifest.to_string()).unwrap();
    tar(&dir, image, &["manifest.json", "config.json", "layer.tar"]);
}
