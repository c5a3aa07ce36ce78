//! Man pages and completions: made from what the programs take, installed where the tools look.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Folder, built, ends_with, script};

/// Installs everything below a folder and tells where its `share` is.
fn installed(folder: &Folder) -> PathBuf {
    // As this test runs: what is built by now may be root's.
    let mut cargo = script("cargo", &["--root", "build", "--locked"]);
    cargo.args(["--example", "pages"]);
    if built().ends_with("release") {
        cargo.arg("--release");
    }
    ends_with(0, &mut cargo);
    let said = ends_with(
        0,
        script("install", &["--from", built()]).env("DESTDIR", &folder.0),
    );
    assert!(said.contains("share/man/man8/vxlan.8"), "{said}");
    folder.path("usr/local/share")
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn man_pages_and_completions_are_installed_and_their_tools_take_them() {
    let folder = Folder::new("pages");
    let share = installed(&folder);
    let pages = std::fs::read_dir(share.join("man/man8")).unwrap();
    let pages: Vec<PathBuf> = pages.map(|entry| entry.unwrap().path()).collect();
    assert!(pages.len() > 8, "{pages:?}");
    for page in &pages {
        let name = page.file_stem().unwrap().to_str().unwrap();
        let mut man = Command::new("man");
        man.args(["--warnings", "-l"]).arg(page);
        man.env("MANPAGER", "cat")
            .env("LC_ALL", "C.UTF-8")
            .env("MANWIDTH", "120");
        let shown = ends_with(0, &mut man);
        assert!(
            shown.starts_with(name) && !shown.contains("warning"),
            "{name}: {shown}"
        );
    }
    // Examples as they are typed, a line each.
    let replay = text(&share.join("man/man8/vxlan-replay.8"));
    assert!(
        replay.contains(".SH EXAMPLES\n.nf\n  vxlan replay ")
            && replay.contains("\n  vxlan replay 3f2a \\-\\-run      runs the lines here"),
        "{replay}"
    );
    for program in ["vxlan", "route-table"] {
        let bash = share.join("bash-completion/completions").join(program);
        ends_with(0, Command::new("bash").arg("-n").arg(&bash));
        assert!(
            text(&share.join(format!("zsh/site-functions/_{program}"))).starts_with("#compdef")
        );
        let fish = text(&share.join(format!("fish/vendor_completions.d/{program}.fish")));
        assert!(fish.contains(&format!("complete -c {program}")), "{fish}");
    }
}

#[test]
fn bash_completes_verbs_and_options() {
    let folder = Folder::new("completion");
    let share = installed(&folder);
    let file = share.join("bash-completion/completions/vxlan");
    let completed = |words: &[&str]| {
        let last = words.len() - 1;
        let line = format!(
            ". {}; COMP_WORDS=({}); COMP_CWORD={last}; _vxlan vxlan '{}' '{}'; echo \"${{COMPREPLY[*]}}\"",
            file.display(),
            words.join(" "),
            words[last],
            words[last - 1],
        );
        ends_with(0, Command::new("bash").args(["-c", &line]))
    };
    assert_eq!(completed(&["vxlan", "repl"]).trim(), "replay");
    let options = completed(&["vxlan", "log", "--f"]);
    assert_eq!(options.trim(), "--failed --follow");
    assert_eq!(
        completed(&["vxlan", "graph", "--format", "s"]).trim(),
        "svg"
    );
}
