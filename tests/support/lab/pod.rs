//! A pod: a namespace with a container's id.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::Deref;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::ns::{self, Ns};

/// A namespace that is a pod's, gone with it.
pub struct Pod {
    /// `CNI_CONTAINERID`.
    pub container: String,
    ns: Ns,
    held: Option<Held>,
}

/// What keeps a namespace.
enum Held {
    /// A name of `ip netns`.
    Name(String),
    /// A process that waits in it for the end of its stdin.
    Process(Child),
}

impl Pod {
    /// One with a name, as containerd makes them.
    pub fn named(name: &str) -> Self {
        ns::batch(&[format!("netns add {name}")]);
        Ns::named(name).ip("link set lo up");
        Self {
            container: container(name),
            ns: Ns::named(name),
            held: Some(Held::Name(name.to_owned())),
        }
    }

    /// One that only a process holds: its path is `/proc/PID/ns/net`.
    pub fn of_process(name: &str) -> Self {
        let mut child = Command::new("unshare")
            .args(["--net", "sh", "-c", "ip link set lo up; echo; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The first line comes from within the namespace.
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let path = format!("/proc/{}/ns/net", child.id());
        Self {
            container: container(name),
            ns: Ns::at(Path::new(&path)),
            held: Some(Held::Process(child)),
        }
    }

    /// The same namespace as another container's.
    pub fn with_container(mut self, container: &str) -> Self {
        self.container = container.to_owned();
        self
    }

    /// Whether its interface is made: until it is configured it may have a temporary name, where the node has a
    /// device of its name.
    pub fn is_linked(&self) -> bool {
        let links = self.show("link show type macvlan");
        links.as_array().is_some_and(|links| !links.is_empty())
    }

    /// Takes the namespace away, as the end of a pod does, and keeps the container's id and the path.
    pub fn end(&mut self) {
        match self.held.take() {
            None => {}
            Some(Held::Name(name)) => ns::try_batch(&[format!("netns del {name}")]),
            Some(Held::Process(mut child)) => {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }

    /// Ends it and makes another container's namespace at the same path, as runtimes do that reuse names.
    pub fn reborn(&mut self) -> Self {
        let name = self.path().strip_prefix("/run/netns/");
        let name = name
            .expect("a process's number cannot be chosen")
            .to_owned();
        // Held open until the other is made: else the kernel may give that one its number (seen on 6.1).
        let _old = File::open(self.path()).unwrap();
        self.end();
        Self::named(&name)
    }
}

impl Deref for Pod {
    type Target = Ns;
    fn deref(&self) -> &Ns {
        &self.ns
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.end();
    }
}

/// A container's id that no other has.
fn container(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}
