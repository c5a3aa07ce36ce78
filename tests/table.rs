//! The tables of tests/README.md are true: every item has its row, every test that a row names is there; and the documents
//! lead to each other.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use regex::Regex;

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of all tables: what stands in the first and in the second column.
fn rows(text: &str) -> Vec<(String, String)> {
    let cells = |line: &str| {
        let mut cells = line.split('|').map(str::trim);
        cells.next().filter(|before| before.is_empty())?;
        Some((cells.next()?.to_owned(), cells.next()?.to_owned()))
    };
    text.lines().filter_map(cells).collect()
}

/// The names of all functions below `src` and `tests`.
fn functions() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src"), root.join("tests")];
    let name = Regex::new(r"fn ([a-z0-9_]+)").unwrap();
    let mut found = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = read(&path);
                found.extend(name.captures_iter(&text).map(|name| name[1].to_owned()));
            }
        }
    }
    found
}

fn table() -> Vec<(String, String)> {
    rows(&read(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/README.md"),
    ))
}

/// Tests named by rows that are not there.
fn unknown(rows: &[(String, String)], functions: &BTreeSet<String>) -> Vec<String> {
    let named = Regex::new(r"`(?:[a-z_]+ )?(?:[a-z_]+::)+([a-z0-9_]+)(\*?)`").unwrap();
    let mut unknown = Vec::new();
    for (item, tests) in rows {
        for name in named.captures_iter(tests) {
            let is_there = match &name[2] {
                "*" => functions.iter().any(|one| one.starts_with(&name[1])),
                _ => functions.contains(&name[1]),
            };
            unknown.extend((!is_there).then(|| format!("{item}: {}", &name[0])));
        }
    }
    unknown
}

#[test]
fn every_item_of_the_conformance_list_has_a_row() {
    let rows = table();
    let items: BTreeSet<&str> = rows.iter().map(|(item, _)| item.as_str()).collect();
    let missing: Vec<String> = (1..=72)
        .map(|number| format!("C{number}"))
        .filter(|item| !items.contains(item.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_test_that_a_row_names_is_there() {
    let rows = table();
    assert!(rows.len() > 100, "{}", rows.len());
    let unknown = unknown(&rows, &functions());
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn every_test_that_a_document_names_is_there() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let files = std::fs::read_dir(&docs)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let documents: Vec<(String, String)> = files
        .map(|file| (file.display().to_string(), read(&file)))
        .collect();
    let security = documents
        .iter()
        .find(|(file, _)| file.ends_with("security.md"));
    assert!(security.is_some_and(|(_, text)| text.contains("`guard::")));
    let unknown = unknown(&documents, &functions());
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn a_row_that_names_a_test_which_is_not_there_is_found() {
    let rows = rows("| C1 | `netns x::no_such_test`, `netns x::c0*` |\n| not a row\n");
    let functions = BTreeSet::from(["c01_is_here".to_owned()]);
    assert_eq!(unknown(&rows, &functions), ["C1: `netns x::no_such_test`"]);
}

/// The documents for readers, by their path.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let of = |folder: &Path| {
        let entries = std::fs::read_dir(folder).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|ending| ending == "md"))
    };
    let folders = [root.to_path_buf(), root.join("docs"), root.join("tests")];
    folders.iter().flat_map(|folder| of(folder)).collect()
}

#[test]
fn every_link_in_the_documents_leads_to_a_file_that_is_there() {
    let link = Regex::new(r"\]\(([^)#:]+)(?:#[^)]*)?\)").unwrap();
    let mut links = 0;
    for document in documents() {
        for found in link.captures_iter(&read(&document)) {
            let path = document.with_file_name(&found[1]);
            assert!(path.exists(), "{}: {}", document.display(), &found[1]);
            links += 1;
        }
    }
    assert!(links > 20, "{links}");
}

#[test]
fn the_readme_is_short_and_names_every_document() {
    let readme = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"));
    let words = readme.split_whitespace().count();
    assert!(words < 1500, "{words} words");
    for document in documents() {
        let name = document.file_name().unwrap().to_str().unwrap();
        assert!(name == "README.md" || readme.contains(name), "{name}");
    }
}
