//! What the golden files hold, as samples: configurations, leases, what the real `ip` printed and said.

use std::path::PathBuf;

use serde_json::Value;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

/// The files of a folder, sorted.
fn entries(name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder(name)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{name}");
    paths
}

/// One file of every case.
pub fn json(cases: &str, file: &str) -> Vec<Value> {
    let texts = entries(cases)
        .into_iter()
        .map(|case| std::fs::read_to_string(case.join(file)).unwrap());
    texts
        .map(|text| serde_json::from_str(&text).unwrap())
        .collect()
}

/// What was captured with every version of iproute2.
fn captured(what: &str) -> Vec<PathBuf> {
    let versions = entries(what).into_iter();
    let files = |version: PathBuf| {
        entries(&format!(
            "{what}/{}",
            version.file_name().unwrap().display()
        ))
    };
    versions.flat_map(files).collect()
}

/// The lines of the captured records that are JSON.
pub fn printed() -> Vec<Value> {
    let texts = captured("records")
        .into_iter()
        .map(|file| std::fs::read_to_string(file).unwrap());
    let lines = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
    let found: Vec<Value> = lines
        .filter_map(|line| serde_json::from_str(&line).ok())
        .collect();
    assert!(found.len() > 30, "{}", found.len());
    found
}

/// The lines that `ip` said on stderr.
pub fn stderr() -> Vec<String> {
    let texts = captured("stderr")
        .into_iter()
        .map(|file| std::fs::read_to_string(file).unwrap());
    let lines = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
    let found: Vec<String> = lines
        .filter_map(|line| Some(line.strip_prefix("! ")?.to_owned()))
        .collect();
    assert!(found.len() > 30, "{}", found.len());
    found
}
