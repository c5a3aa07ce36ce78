//! A golden file against what came out: readable where they differ, rewritten on demand.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the golden files.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The folders of what was captured, one for each version of iproute2: the golden ones, or those that were
/// captured just now into a folder of their own.
pub fn captured(what: &str) -> Vec<PathBuf> {
    let root = std::env::var_os("VXLAN_CNI_CAPTURES").map_or_else(folder, PathBuf::from);
    let root = root.join(what);
    let all: Vec<PathBuf> = names(&root).iter().map(|name| root.join(name)).collect();
    assert!(!all.is_empty(), "nothing is in {}", shown(&root));
    all
}

/// Whether golden files are to be rewritten.
fn rewriting() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1")
}

/// The names in a folder of golden files, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A path as one would type it.
pub fn shown(file: &Path) -> String {
    let shown = file
        .strip_prefix(env!("CARGO_MANIFEST_DIR"))
        .unwrap_or(file);
    shown.display().to_string()
}

/// What a golden file says; the error tells how it comes to be.
pub fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{}: {error}", shown(file)))
}

/// Compares what came out with a file, or rewrites the file.
pub fn against(file: &Path, actual: &str) -> Result<(), String> {
    if rewriting() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, actual).unwrap();
    }
    compare(file, actual)
}

/// Says in what a file differs from what came out.
fn compare(file: &Path, actual: &str) -> Result<(), String> {
    match read(file)? {
        wanted if wanted == actual => Ok(()),
        wanted => Err(format!("{}:\n{}", shown(file), difference(&wanted, actual))),
    }
}

/// Fails with every difference at once.
#[track_caller]
pub fn all_same(results: impl IntoIterator<Item = Result<(), String>>) {
    let (mut count, mut different) = (0, Vec::new());
    for result in results {
        count += 1;
        different.extend(result.err());
    }
    assert!(count > 0, "nothing was compared");
    assert!(
        different.is_empty(),
        "{} of {count} golden files differ (- wanted, + came out); where the new text is right: \
         UPDATE_GOLDEN=1 cargo test --test golden, then read git diff\n\n{}",
        different.len(),
        different.join("\n")
    );
}

/// Two texts line by line: ` ` in both, `-` wanted only, `+` came out only.
fn difference(wanted: &str, actual: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (wanted.lines().collect(), actual.lines().collect());
    let common = longest_common(&old, &new);
    let (mut i, mut j, mut shown) = (0, 0, String::new());
    while i < old.len() || j < new.len() {
        let (sign, line) = if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
            (' ', old[i - 1])
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            i += 1;
            ('-', old[i - 1])
        } else {
            j += 1;
            ('+', new[j - 1])
        };
        shown.push_str(&format!("{sign} {line}\n"));
    }
    shown
}

/// How many lines the rests of two texts have in common, in order.
fn longest_common(old: &[&str], new: &[&str]) -> Vec<Vec<usize>> {
    let mut common = vec![vec![0; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = if old[i] == new[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    common
}

#[test]
fn a_difference_shows_what_is_wanted_and_what_came_out() {
    assert_eq!(
        difference("a\nb\nc\nd\n", "a\nx\nc\nd\ne\n"),
        "  a\n- b\n+ x\n  c\n  d\n+ e\n"
    );
}

#[test]
fn a_file_that_differs_or_is_not_there_is_told_with_its_path() {
    let error = compare(&folder().join("compare.rs"), "x\n").unwrap_err();
    assert!(error.starts_with("tests/golden/compare.rs:\n"), "{error}");
    assert!(error.contains("\n+ x\n"), "{error}");
    let error = compare(&folder().join("no-such-file"), "x\n").unwrap_err();
    assert!(
        error.contains("tests/golden/no-such-file: No such file"),
        "{error}"
    );
}
