//! The Debian package in a root of the oldest Debian that counts: its own dpkg installs, upgrades, removes and purges it.

use std::path::Path;
use std::process::Command;

use crate::install::{assert_same, everything};
use crate::release::{DEB, made};
use crate::{Folder, ends_with, script};

/// What dpkg runs, and what the package needs.
const PACKAGES: [&str; 16] = [
    "base-files",
    "dpkg",
    "bash",
    "dash",
    "libc-bin",
    "coreutils",
    "tar",
    "gzip",
    "sed",
    "grep",
    "findutils",
    "diffutils",
    "iproute2",
    "nftables",
    "procps",
    "util-linux",
];

/// A setting that an administrator edits.
const SETTING: &str = "etc/systemd/networkd.conf.d/vxlan-cni.conf";

/// A root of a suite, unpacked from Debian's archive.
struct Root(Folder);

impl Root {
    fn new(suite: &str) -> Self {
        let folder = Folder::new(&format!("root-{suite}"));
        let mut unpack = script("unpack", &[suite]);
        ends_with(0, unpack.arg(&folder.0).args(PACKAGES));
        for inner in ["dev", "tmp", "var/log"] {
            std::fs::create_dir_all(folder.path(inner)).unwrap();
        }
        let null = folder.path("dev/null");
        ends_with(0, Command::new("mknod").arg(null).args(["c", "1", "3"]));
        Self(folder)
    }

    fn run(&self, code: i32, words: &[&str]) -> String {
        let mut command = Command::new("chroot");
        command.arg(&self.0.0).args(words);
        command.env_clear().env("DEBIAN_FRONTEND", "noninteractive");
        ends_with(code, command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"))
    }

    fn dpkg(&self, code: i32, words: &[&str]) -> String {
        self.run(code, &[&["dpkg"], words].concat())
    }

    /// Writes the record of an attachment.
    fn record(&self, format: u32) {
        let folder = self.0.path("var/lib/cni/vxlan/blue");
        std::fs::create_dir_all(&folder).unwrap();
        let text = format!("{{\"format\":{format},\"name\":\"pods\"}}");
        std::fs::write(folder.join("c1:eth0.json"), text).unwrap();
    }
}

fn comes_and_goes(suite: &str, package: &Path) {
    let root = Root::new(suite);
    std::fs::copy(package, root.0.path("tmp/deb")).unwrap();
    // What dpkg itself writes.
    std::fs::write(root.0.path("var/log/dpkg.log"), "").unwrap();
    let state = root.0.path("var/lib/dpkg");
    let aside = root.0.0.with_extension("dpkg");
    let _goes = Folder(aside.clone());
    let seen = |look: &dyn Fn()| {
        std::fs::rename(&state, &aside).unwrap();
        std::fs::write(root.0.path("var/log/dpkg.log"), "").unwrap();
        look();
        std::fs::rename(&aside, &state).unwrap();
    };
    let before = std::cell::OnceCell::new();
    seen(&|| before.set(everything(&root.0.0)).unwrap());

    let install = |code| root.dpkg(code, &["--install", "/tmp/deb"]);
    install(0);
    assert_eq!(root.run(0, &["vxlan"]), "plugin\n");
    assert_eq!(root.run(0, &["/usr/lib/cni/route-table"]), "ipam\n");
    assert_eq!(root.dpkg(0, &["--verify", "vxlan-cni"]), "", "{suite}");

    // Over pods that run and a setting that was edited.
    root.record(1);
    std::fs::write(root.0.path("var/log/vxlan.log"), "# journal\n").unwrap();
    std::fs::write(root.0.path(SETTING), "mine").unwrap();
    install(0);
    assert_eq!(std::fs::read(root.0.path(SETTING)).unwrap(), b"mine");
    // Below a record of a newer version.
    root.record(2);
    let said = install(1);
    assert!(
        said.contains("/var/lib/cni/vxlan/blue/c1:eth0.json has format 2, and version "),
        "{suite}: {said}"
    );
    assert!(
        root.dpkg(0, &["--status", "vxlan-cni"])
            .contains("Status: install ok installed")
    );

    let said = root.dpkg(0, &["--remove", "vxlan-cni"]);
    assert!(
        said.contains("1 attachments are on this node"),
        "{suite}: {said}"
    );
    assert!(!root.0.path("opt/cni/bin/vxlan").exists() && root.0.path(SETTING).exists());
    let said = root.dpkg(0, &["--purge", "vxlan-cni"]);
    assert!(
        said.contains("records and journals stay"),
        "{suite}: {said}"
    );
    assert!(root.0.path("var/log/vxlan.log").exists() && !root.0.path(SETTING).exists());

    // Once the pod has gone.
    root.record(1);
    install(0);
    std::fs::remove_dir_all(root.0.path("var/lib/cni/vxlan/blue")).unwrap();
    root.dpkg(0, &["--purge", "vxlan-cni"]);
    seen(&|| assert_same(&root.0.0, before.get().unwrap()));
}

#[test]
fn the_package_comes_and_goes_on_debian_11_and_leaves_nothing_but_records_of_pods() {
    let folder = Folder::new("roots");
    let package = made(&folder, "out", "UTC", "022").join(DEB);
    comes_and_goes("bullseye", &package);
}
