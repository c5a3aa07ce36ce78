//! The release: the same bytes whenever it is made, all that should be in it, and an installation from it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::install::{assert_same, everything};
use crate::{Folder, clone, ends_with, program, script};

/// Of this machine.
const NAME: &str = concat!("vxlan-cni-", env!("CARGO_PKG_VERSION"), "-x86_64-linux");

/// The Debian package.
pub const DEB: &str = concat!("vxlan-cni_", env!("CARGO_PKG_VERSION"), "_amd64.deb");

/// Makes a release of what only plays the programs, under a umask and in a time zone.
pub fn made(folder: &Folder, name: &str, zone: &str, umask: &str) -> PathBuf {
    let (programs, out) = (folder.path("programs"), folder.path(name));
    std::fs::create_dir_all(&programs).unwrap();
    for (name, says) in [("vxlan", "plugin"), ("route-table", "ipam")] {
        program::put(
            format!("#!/bin/sh\necho {says}\n").as_bytes(),
            &programs.join(name),
        );
    }
    let line = r#"umask "$1"; shift; exec "$@""#;
    let mut command = Command::new("bash");
    command.args(["-c", line, "bash", umask]);
    command.arg(clone("scripts/release")).arg("--from");
    command.arg(&programs).arg("--out").arg(&out);
    command.args(["--target", "x86_64-unknown-linux-musl"]);
    ends_with(0, command.env("TZ", zone));
    out
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Unpacks the tarball and tells its folder.
fn unpacked(folder: &Folder, made: &Path) -> PathBuf {
    let mut tar = Command::new("tar");
    tar.arg("xzf").arg(made.join(format!("{NAME}.tar.gz")));
    ends_with(0, tar.arg("--directory").arg(&folder.0));
    folder.path(NAME)
}

#[test]
fn a_release_has_the_same_bytes_whenever_it_is_made_a_tarball_that_installs_and_a_sound_package() {
    let folder = Folder::new("release");
    let one = made(&folder, "one", "Asia/Tokyo", "077");
    let two = made(&folder, "two", "UTC", "002");
    assert_eq!(text(&one.join("SHA256SUMS")), text(&two.join("SHA256SUMS")));
    let mut sums = Command::new("sha256sum");
    ends_with(0, sums.args(["--check", "SHA256SUMS"]).current_dir(&one));
    installs_and_takes_itself_back(&folder, &one);
    names_what_it_needs(&folder, &one.join(DEB));
}

/// The tarball.
fn installs_and_takes_itself_back(folder: &Folder, made: &Path) {
    let tree = unpacked(folder, made);
    for file in [
        "share/man/man8/vxlan-doctor.8",
        "share/bash-completion/completions/vxlan",
        "share/zsh/site-functions/_route-table",
        "share/fish/vendor_completions.d/vxlan.fish",
        "deploy/10-vxlan.conflist",
        "deploy/vxlan-cni-repair.timer",
        "docs/operations.md",
        "LICENSE",
        "THIRD-PARTY-LICENSES",
        "sbom.cdx.json",
        "rust-standard-library.html",
    ] {
        assert!(tree.join(file).is_file(), "{file}");
    }
    let mut sums = Command::new("sha256sum");
    ends_with(0, sums.args(["--check", "SHA256SUMS"]).current_dir(&tree));

    let root = folder.path("root");
    std::fs::create_dir_all(&root).unwrap();
    let before = everything(&root);
    let install = |more: &[&str]| {
        let mut command = Command::new(tree.join("scripts/install"));
        ends_with(0, command.args(more).arg("--root").arg(&root))
    };
    install(&["--node", "--underlay", "eth0"]);
    for (program, says) in [("vxlan", "plugin\n"), ("route-table", "ipam\n")] {
        let place = root.join("opt/cni/bin").join(program);
        assert_eq!(ends_with(0, &mut Command::new(place)), says);
    }
    assert!(root.join("usr/local/share/man/man8/vxlan.8").is_file());
    install(&["--undo", "--purge"]);
    assert_same(&root, &before);
}

#[test]
fn the_bill_of_materials_has_every_crate_of_the_lock_that_is_linked_and_no_other() {
    let folder = Folder::new("sbom");
    ends_with(0, script("sbom", &[]).arg(&folder.0));
    let bill: Value = serde_json::from_str(&text(&folder.path("sbom.cdx.json"))).unwrap();
    let components = bill["components"].as_array().unwrap();
    let names: Vec<&str> = components
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    for (name, is_linked) in [
        ("serde_json", true),
        ("rustls", true),
        ("musl", true),
        ("rust-std", true),
        // For tests, and for the building.
        ("proptest", false),
        ("cc", false),
        ("serde_derive", false),
    ] {
        assert_eq!(names.contains(&name), is_linked, "{name}: {names:?}");
    }
    let licenses = text(&folder.path("THIRD-PARTY-LICENSES"));
    for component in components {
        let expression = component["licenses"][0]["expression"].as_str().unwrap();
        let (name, version) = (&component["name"], &component["version"]);
        let line = format!(
            "{} {}: ",
            name.as_str().unwrap(),
            version.as_str().unwrap_or_default()
        );
        let is_listed = licenses.lines().any(|one| one.starts_with(&line));
        let is_crate = !component["purl"].is_null();
        assert!(
            !expression.is_empty() && is_listed == is_crate,
            "{component}"
        );
        assert_eq!(
            component["hashes"][0]["alg"].is_string(),
            is_crate,
            "{component}"
        );
    }
    assert!(licenses.contains("Rich Felker") && licenses.contains("Apache License"));
    // Nothing of where it was made.
    let home = std::env::var("HOME").unwrap();
    for file in ["sbom.cdx.json", "THIRD-PARTY-LICENSES"] {
        let text = text(&folder.path(file));
        assert!(
            !text.contains(&home) && !text.contains("/registry/"),
            "{file}"
        );
    }
}

/// The Debian package.
fn names_what_it_needs(folder: &Folder, package: &Path) {
    let ask = |words: &[&str]| ends_with(0, Command::new("dpkg-deb").args(words).arg(package));
    let control = folder.path("control");
    let mut unpack = Command::new("dpkg-deb");
    ends_with(0, unpack.arg("--control").arg(package).arg(&control));
    let about = text(&control.join("control"));
    assert!(about.contains("\nDepends: iproute2 (>= 5.10~), nftables, procps, util-linux\n"));
    for file in ["control", "preinst", "postinst", "prerm", "postrm"] {
        assert!(
            !text(&control.join(file)).contains('@') || file == "control",
            "{file}"
        );
    }
    let listed = ask(&["--contents"]);
    for setting in text(&control.join("conffiles")).lines() {
        assert!(
            listed.contains(&format!(" .{setting}\n")),
            "{setting}: {listed}"
        );
    }
    for line in [
        " ./opt/cni/bin/route-table\n",
        " ./usr/lib/cni/vxlan -> /opt/cni/bin/vxlan\n",
        " ./usr/sbin/vxlan -> /opt/cni/bin/vxlan\n",
        " ./usr/share/man/man8/vxlan.8.gz\n",
        " ./usr/share/doc/vxlan-cni/copyright\n",
        " ./usr/share/doc/vxlan-cni/examples/10-vxlan.conflist\n",
        " ./usr/lib/systemd/system/vxlan-cni-repair.timer\n",
    ] {
        assert!(listed.contains(line), "{line}: {listed}");
    }
    assert!(
        !listed.contains("./etc/cni"),
        "no network is active before it was written: {listed}"
    );
    let format = format!("reads={}\n", text(&clone("deploy/record-format")).trim());
    assert!(text(&control.join("preinst")).contains(&format));
}
