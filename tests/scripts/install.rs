//! The installation and its undo: what goes where, what an upgrade leaves as it is, and that nothing is left.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Folder, built, clone, ends_with, program, script};

/// Every option that brings files of its own.
const ALL: [&str; 4] = ["--node", "--metrics", "--underlay", "eth0.100"];

/// A root for the installation, with what is in many.
fn root(name: &str) -> Folder {
    let root = Folder::new(name);
    for folder in ["opt/cni/bin", "etc/sysctl.d", "usr/local/sbin", "var/lib"] {
        std::fs::create_dir_all(root.path(folder)).unwrap();
    }
    // Another plugin's of the same name, and another's of its own.
    std::fs::write(root.path("opt/cni/bin/vxlan"), "another").unwrap();
    std::fs::write(root.path("opt/cni/bin/bridge"), "bridge").unwrap();
    root
}

/// Installs what only plays the programs: what they do does not matter, and they are small.
fn install(root: &Folder, code: i32, more: &[&str]) -> String {
    let programs = root.0.with_extension("programs");
    let _goes = Folder(programs.clone());
    std::fs::create_dir_all(programs.join("examples")).unwrap();
    let pages = "mkdir -p \"$1/share/man/man8\" && echo page >\"$1/share/man/man8/vxlan.8\"";
    for (name, body) in [
        ("vxlan", "exit 1"),
        ("route-table", "exit 1"),
        ("examples/pages", pages),
    ] {
        program::put(
            format!("#!/bin/sh\n{body}\n").as_bytes(),
            &programs.join(name),
        );
    }
    install_from(programs.to_str().unwrap(), root, code, more)
}

fn install_from(from: &str, root: &Folder, code: i32, more: &[&str]) -> String {
    let mut command = script("install", &["--from", from]);
    command.args(more).arg("--root").arg(&root.0);
    ends_with(code, &mut command)
}

/// All paths below a root, each with its mode and what is in it.
pub fn everything(root: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let about = path.symlink_metadata().unwrap();
            let content = match &about {
                link if link.is_symlink() => std::fs::read_link(&path).unwrap().into_os_string(),
                folder if folder.is_dir() => {
                    folders.push(path.clone());
                    "".into()
                }
                _ => {
                    use std::os::unix::ffi::OsStringExt;
                    std::ffi::OsString::from_vec(std::fs::read(&path).unwrap())
                }
            };
            let content = content.into_encoded_bytes();
            found.insert(path, (about.permissions().mode(), content));
        }
    }
    found
}

/// What differs between two states of a root.
pub fn assert_same(now: &Path, before: &BTreeMap<PathBuf, (u32, Vec<u8>)>) {
    let now = everything(now);
    let differs = |path: &&PathBuf| now.get(*path) != before.get(*path);
    let all = now.keys().chain(before.keys());
    let different: Vec<&PathBuf> = all.filter(differs).collect();
    assert!(different.is_empty(), "{different:?}");
}

fn record(root: &Folder, format: u32) -> PathBuf {
    let folder = root.path("var/lib/cni/vxlan/blue");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("c1:eth0.json");
    std::fs::write(&file, format!("{{\"format\":{format},\"name\":\"pods\"}}")).unwrap();
    file
}

#[test]
fn the_undo_of_an_installation_and_of_upgrades_leaves_the_root_as_it_was() {
    let root = root("undone");
    let before = everything(&root.0);
    let example = clone("deploy/10-vxlan.conflist");
    install(&root, 0, &ALL);
    let conf = ["--conf", example.to_str().unwrap()];
    let said = install(&root, 0, &[&ALL[..], &conf].concat());
    for path in [
        "opt/cni/bin/vxlan",
        "opt/cni/bin/route-table",
        "usr/local/sbin/vxlan",
        "etc/systemd/system/vxlan-cni-repair.timer",
        "etc/systemd/networkd.conf.d/vxlan-cni.conf",
        "etc/systemd/network/05-vxlan-cni.network",
        "etc/NetworkManager/conf.d/vxlan-cni.conf",
        "etc/cni/net.d/10-vxlan.conflist",
    ] {
        let path = root.path(path);
        let line = format!("installed {}", path.display());
        assert!(
            path.symlink_metadata().is_ok() && said.contains(&line),
            "{line}: {said}"
        );
    }
    let switch = std::fs::read_to_string(root.path("etc/sysctl.d/60-vxlan-cni.conf")).unwrap();
    assert!(
        switch.ends_with("\nnet/ipv4/conf/eth0.100/rp_filter = 2\n"),
        "{switch}"
    );
    // As the administrator is told to.
    let mut enable = Command::new("systemctl");
    enable.arg("--root").arg(&root.0).arg("enable");
    ends_with(
        0,
        enable.args(["vxlan-cni-repair.timer", "vxlan-cni-repair.service"]),
    );
    assert!(root.path("etc/systemd/system/timers.target.wants").exists());
    // What the programs have written.
    for file in [
        "var/log/vxlan.log",
        "var/log/vxlan.log.1",
        "var/log/route-table.log",
    ] {
        std::fs::write(root.path(file), "# journal\n").unwrap();
    }
    std::fs::create_dir_all(root.path("run/vxlan-cni")).unwrap();
    std::fs::create_dir_all(root.path("var/lib/cni/vxlan")).unwrap();
    let said = install(&root, 0, &["--undo", "--purge"]);
    assert!(said.contains("put back "), "{said}");
    // The folder that a boot makes is not the installation's.
    std::fs::remove_dir(root.path("run")).unwrap();
    assert_same(&root.0, &before);
    let said = install(&root, 1, &["--undo"]);
    assert!(
        said.contains("nothing was installed with this --prefix"),
        "{said}"
    );
}

#[test]
fn an_upgrade_removes_the_pages_that_it_has_no_more_and_keeps_what_it_was_not_asked_for() {
    let root = root("pages-gone");
    install(&root, 0, &ALL);
    let page = root.path("usr/local/share/man/man8/vxlan-gone.8");
    std::fs::write(&page, "page\n").unwrap();
    let list = root.path("usr/local/share/vxlan-cni/installed");
    let lines = std::fs::read_to_string(&list).unwrap();
    let of = |line: &&str| line.ends_with("/vxlan.8");
    let line = lines
        .lines()
        .find(of)
        .unwrap()
        .replace("/vxlan.8", "/vxlan-gone.8");
    std::fs::write(&list, format!("{lines}{line}\n")).unwrap();
    let said = install(&root, 0, &[]);
    assert!(
        said.contains(&format!("removed {}", page.display())),
        "{said}"
    );
    assert!(!page.exists() && root.path("usr/local/share/man/man8/vxlan.8").exists());
    assert!(
        root.path("etc/systemd/system/vxlan-cni-repair.timer")
            .exists()
    );
    assert_eq!(std::fs::read_to_string(&list).unwrap(), lines);
}

#[test]
fn what_was_edited_is_left_by_an_upgrade_and_by_the_undo() {
    let root = root("edited");
    install(&root, 0, &ALL);
    let file = root.path("etc/sysctl.d/60-vxlan-cni.conf");
    std::fs::write(&file, "mine").unwrap();
    for arguments in [&ALL[..], &["--undo"]] {
        let said = install(&root, 0, arguments);
        let left = format!("left {}", file.display());
        assert!(said.contains(&left), "{said}");
        assert_eq!(std::fs::read(&file).unwrap(), b"mine");
    }
}

#[test]
fn with_pods_on_the_node_an_upgrade_goes_on_and_the_undo_is_refused() {
    let root = root("pods");
    install(&root, 0, &[]);
    let record = record(&root, 1);
    install(&root, 0, &[]);
    let there = everything(&root.0);
    let said = install(&root, 1, &["--undo", "--purge"]);
    assert!(
        said.contains("1 attachments are on this node") && said.contains("c1:eth0.json"),
        "{said}"
    );
    assert_same(&root.0, &there);
    let said = install(&root, 0, &["--undo", "--purge", "--force"]);
    assert!(said.contains("left the records"), "{said}");
    assert!(record.exists() && !root.path("opt/cni/bin/route-table").exists());
}

#[test]
fn a_downgrade_below_a_record_is_refused_by_name_before_anything_is_changed() {
    let root = root("newer");
    let record = record(&root, 2);
    let before = everything(&root.0);
    let said = install(&root, 1, &ALL);
    let wanted = format!(
        "{} has format 2, and these programs read format 1",
        record.display()
    );
    assert!(said.contains(&wanted), "{said}");
    assert_same(&root.0, &before);
    // Where a configuration has put the records elsewhere.
    std::fs::create_dir_all(root.path("srv")).unwrap();
    std::fs::rename(root.path("var/lib/cni/vxlan"), root.path("srv/records")).unwrap();
    std::fs::create_dir_all(root.path("etc/cni/net.d")).unwrap();
    let conf = root.path("etc/cni/net.d/10-vxlan.conflist");
    std::fs::write(
        conf,
        "{\"plugins\": [{\"type\": \"vxlan\", \"dataDir\": \"/srv/records\"}]}",
    )
    .unwrap();
    let said = install(&root, 1, &[]);
    assert!(
        said.contains("srv/records/blue/c1:eth0.json has format 2"),
        "{said}"
    );
}

#[test]
fn a_configuration_with_faults_is_refused_with_them_before_anything_is_changed() {
    let root = root("faults");
    let before = everything(&root.0);
    let folder = Folder::new("faults-conf");
    let file = folder.path("wrong.conflist");
    for (text, words) in [
        ("{", "is not a network configuration"),
        (
            r#"{"plugins": [{"type": "vxlan", "vxlans": [{"id": 0, "name": "b"}]}]}"#,
            "vxlans[0].cidr: missing",
        ),
        (r#"{"plugins": [{"type": "bridge"}]}"#, "has no plugin"),
    ] {
        std::fs::write(&file, text).unwrap();
        let said = install_from(built(), &root, 1, &["--conf", file.to_str().unwrap()]);
        assert!(
            said.contains(words) && said.contains("was not installed"),
            "{said}"
        );
        assert_same(&root.0, &before);
    }
    for device in ["../x", ".", "a b", "a/b"] {
        let said = install(&root, 1, &["--underlay", device]);
        assert!(
            said.contains("wants the name of a device"),
            "{device}: {said}"
        );
    }
}

#[test]
fn the_example_of_a_configuration_is_that_of_the_readme() {
    let example = std::fs::read_to_string(clone("deploy/10-vxlan.conflist")).unwrap();
    let readme = std::fs::read_to_string(clone("README.md")).unwrap();
    assert!(readme.contains(&format!("```json\n{example}```")));
}
