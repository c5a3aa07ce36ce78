//! The configuration, the folders that are written to, and the IPAM plugins.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::report::{Finding, Id};
use crate::ctl::node::Node;
use crate::exec::search;
use crate::lease;
use crate::ops::status::unwritable;
use crate::route_table::ledger::ipams;

/// Where plugins are by default (the CNI project's convention).
const PLUGINS: &str = "/opt/cni/bin";

/// Looks at the configuration, folders and plugins.
pub fn places(node: &Node) -> Vec<Finding> {
    let mut findings = vec![configuration(node)];
    let folders = [&node.config.data_dir, &node.config.run_dir];
    let mut folders: Vec<PathBuf> = folders.into_iter().cloned().collect();
    folders.extend(node.config.log_file.parent().map(Path::to_owned));
    folders.extend(ipams(&node.raw).into_iter().map(|ipam| ipam.data_dir));
    findings.extend(folders.iter().map(|folder| writable(folder)));
    findings.extend(plugins(node));
    findings
}

fn configuration(node: &Node) -> Finding {
    let file = node.file.display();
    match &node.faults {
        None => Finding::ok(Id::Configuration, format!("{file} has no fault")),
        Some(error) => {
            let told = [error.msg.as_str(), error.details.as_str()];
            let told: Vec<&str> = told.into_iter().filter(|text| !text.is_empty()).collect();
            Finding::failed(Id::Configuration, format!("{file}: {}", told.join("; ")))
                .inspect(format!("jq . {file}"))
                .fix("correct the file: docs/configuration.md has every key")
        }
    }
}

/// Whether a folder takes a file, and has room for it.
fn writable(folder: &Path) -> Finding {
    let shown = folder.display();
    if let Some(error) = unwritable(folder) {
        return Finding::failed(Id::DataFolder, error.msg)
            .inspect(format!("ls -ld {shown}"))
            .fix("make it writable for root, or name another folder in the configuration");
    }
    let there = folder.ancestors().find(|dir| dir.exists());
    let space = there.and_then(|dir| rustix::fs::statvfs(dir).ok());
    // Where the file system counts no files there is always room for one.
    let full = |space: &rustix::fs::StatVfs| {
        space.f_bavail == 0 || (space.f_files > 0 && space.f_favail == 0)
    };
    match space {
        Some(space) if full(&space) => Finding::failed(
            Id::DataFolder,
            format!("the disk of {shown} is full: no attachment can be recorded"),
        )
        .inspect(format!("df {shown}; df -i {shown}"))
        .fix("make room there"),
        _ => Finding::ok(Id::DataFolder, format!("{shown} can be written to")),
    }
}

/// Each IPAM plugin in use must be in one of the folders of plugins.
fn plugins(node: &Node) -> Vec<Finding> {
    let path = std::env::var("CNI_PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = path
        .split(':')
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from)
        .collect();
    if folders.is_empty() {
        folders.push(PLUGINS.into());
    }
    let configured = node.config.networks.iter();
    let named = configured.map(|network| lease::ipam(node.config.ipam.as_ref(), network));
    let kept = node.records().map(|record| record.ipam.clone());
    let names: BTreeSet<String> = named
        .chain(kept)
        .filter_map(|ipam| ipam["type"].as_str().map(str::to_owned))
        .collect();
    names.iter().map(|name| plugin(name, &folders)).collect()
}

fn plugin(name: &str, folders: &[PathBuf]) -> Finding {
    match search::program(name, folders.iter().cloned()) {
        Ok(file) => Finding::ok(
            Id::IpamPlugin,
            format!("the IPAM plugin is {}", file.display()),
        ),
        Err(missing) => {
            let looked = missing.looked.iter().map(|dir| dir.display().to_string());
            let looked = looked.collect::<Vec<_>>().join(" ");
            Finding::failed(
                Id::IpamPlugin,
                format!("the IPAM plugin `{name}` is not in {missing}"),
            )
            .inspect(format!("ls -l {looked}"))
            .fix("install it there, or set CNI_PATH to the folders that the runtime uses")
        }
    }
}
