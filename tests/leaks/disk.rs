//! Disks that are full, and logs that cannot be written.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::scene::Ipam;
use crate::stand_in::newer_host_local;
use crate::support::lab::{Ask, Config, Lab, Net, Node, Pod, Snapshot};

/// Bytes of the disk: room for everything, quickly filled.
const SIZE: u64 = 512 << 10;

/// More room than an ADD needs, in blocks.
const ENOUGH: u64 = 60;

/// A small disk in the place of all folders of a node: records, locks, the IPAM's, logs. It is seen by who
/// goes through this process.
struct Disk {
    holder: Child,
    dir: PathBuf,
}

impl Disk {
    /// Sees the namespaces that were there before.
    fn of(node: &Node) -> Self {
        let dir = node.dir().to_owned();
        let script = format!(
            "mount -t tmpfs -o size={SIZE},mode=700 disk {0}; mkdir {0}/log\n\
             mount -t tmpfs -o ro log {0}/log; echo; exec cat",
            dir.display()
        );
        let mut holder = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-ec", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = holder.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert_eq!(line, "\n", "the disk is mounted");
        Self { holder, dir }
    }

    /// A question to a plugin that has this disk.
    fn under(&self, ask: Ask) -> Ask {
        let mount = format!("--mount=/proc/{}/ns/mnt", self.holder.id());
        ask.behind(&["/usr/bin/nsenter", &mount])
    }

    /// Its root, as it is seen from here.
    fn root(&self) -> PathBuf {
        let root = format!("/proc/{}/root{}", self.holder.id(), self.dir.display());
        root.into()
    }

    /// Leaves room for some blocks.
    fn fill_up_to(&self, blocks: u64) {
        let file = self.root().join("filler");
        let _ = fs::remove_file(&file);
        let disk = rustix::fs::statvfs(self.root()).unwrap();
        let bytes = disk.f_bfree.saturating_sub(blocks) * disk.f_frsize;
        fs::write(file, vec![0; usize::try_from(bytes).unwrap()]).unwrap();
    }

    /// The files and folders on it, without the logs and what host-local keeps for ever.
    fn files(&self) -> Vec<PathBuf> {
        let stays = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            let kept = [
                "last_reserved_ip",
                "lock",
                "filler",
                "vxlan.log",
                "route-table.log",
            ];
            kept.iter().any(|kept| name.starts_with(kept))
        };
        let mut files = below(&self.root());
        files.retain(|path| !stays(path));
        files
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Everything below a folder.
fn below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(below(&path));
        }
        found.push(path);
    }
    found.sort();
    found
}

/// A node with a small disk, a pod to be tried, and perhaps one that is there already.
struct Scene {
    ask: Ask,
    config: Config,
    other: Option<Ask>,
    before: (Snapshot, Vec<PathBuf>),
    disk: Disk,
    tried: Pod,
    stays: Pod,
    lab: Lab,
}

impl Scene {
    fn new(ipam: Ipam, shared: bool, more: impl Fn(&Node) -> Value) -> Self {
        let lab = Lab::new(1);
        let node = lab.node(0);
        let (tried, stays) = (node.pod("tried"), node.pod("stays"));
        let config = ipam.config(node, &[&Net::new("blue", 100).dual()]);
        let config = config.with(more(node));
        let newer = newer_host_local(&lab);
        let disk = Disk::of(node);
        let asked = |pod| disk.under(node.ask(&config, pod).plugins_first(&newer));
        let (ask, stay) = (asked(&tried), asked(&stays));
        // What a first pod leaves for ever is there before.
        ask.add();
        ask.del();
        let other = shared.then(|| stay.after(&stay.add()));
        Self {
            before: (node.snapshot(), disk.files()),
            ask,
            config,
            other,
            disk,
            tried,
            stays,
            lab,
        }
    }

    /// Nothing is left of the pod, and the other has all it had.
    fn assert_as_before(&self, what: &str) {
        let changes = self.lab.node(0).snapshot().changes_since(&self.before.0);
        assert!(changes.is_empty(), "{what}: {}", changes.join("\n"));
        assert_eq!(self.disk.files(), self.before.1, "{what}");
        assert_eq!(self.tried.device("eth0"), Value::Null, "{what}");
        if let Some(other) = &self.other {
            let check = other.say("CHECK");
            assert_eq!(check.code, 0, "{what}: {check:?}");
        }
    }

    /// An ADD with room for some blocks. Whether it succeeded.
    fn add_with_room_for(&self, blocks: u64) -> bool {
        self.disk.fill_up_to(blocks);
        let said = self.ask.say("ADD");
        let what = format!("room for {blocks} blocks: {said:?}");
        if said.code == 0 {
            self.disk.fill_up_to(0);
            self.ask.check(&said.json());
            self.gc(&what);
            return true;
        }
        let error = said.json();
        let told = format!("{}; {}", error["msg"], error["details"]);
        assert!(
            told.contains("no space left") || told.contains("No space left"),
            "{what}"
        );
        self.assert_as_before(&what);
        false
    }

    /// GC on a disk that is full takes everything off that is not on the list.
    fn gc(&self, what: &str) {
        let living: Vec<Value> = match self.other {
            Some(_) => vec![json!({"containerID": self.stays.container, "ifname": "eth0"})],
            None => Vec::new(),
        };
        let listed = json!({"cniVersion": "1.1.0", "cni.dev/valid-attachments": living});
        let config = self.config.clone().with(listed);
        let said = self.ask.clone().config(&config).say("GC");
        assert_eq!(said.code, 0, "{what}: {said:?}");
        self.assert_as_before(what);
    }
}

#[test]
fn on_a_disk_that_is_full_add_fails_as_a_whole_and_del_and_gc_succeed() {
    for (ipam, name) in Ipam::ALL {
        for shared in [false, true] {
            let scene = Scene::new(ipam, shared, |_| json!({}));
            let enough = (0..ENOUGH).find(|blocks| scene.add_with_room_for(*blocks));
            let enough = enough.expect("with enough room it succeeds");
            assert!(enough > 1, "at least the record needs room");
            scene.disk.fill_up_to(ENOUGH);
            scene.ask.add();
            scene.disk.fill_up_to(0);
            scene.ask.del();
            scene.assert_as_before("DEL on a full disk");
            crate::print(&format!(
                "leaks: disk full, {name}: {enough} amounts of room tried"
            ));
        }
    }
}

#[test]
fn a_log_on_a_disk_that_is_read_only_is_told_and_hinders_nothing() {
    for (ipam, _) in Ipam::ALL {
        let scene = Scene::new(ipam, true, |node| {
            let log = node.dir().join("log");
            let (own, ipams) = (log.join("own.log"), log.join("ipam.log"));
            json!({"logFile": own, "ipam": {"logFile": ipams}})
        });
        let added = scene.ask.say("ADD");
        assert!(
            added.stderr.contains("own.log") && added.stderr.contains("Read-only"),
            "{added:?}"
        );
        scene.ask.check(&added.ok());
        scene.ask.del();
        scene.assert_as_before("DEL without a log");
        scene.ask.add();
        scene.gc("without a log");
    }
}
