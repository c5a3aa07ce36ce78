//! Writes the man pages and completions of `vxlan` and `route-table` below a folder, as a prefix has them:
//! `share/man/man8`, `share/bash-completion/completions`, `share/zsh/site-functions`,
//! `share/fish/vendor_completions.d`. Tells each file.
//!
//! `cargo run --example pages -- FOLDER`; `scripts/install` does so with what was built.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use vxlan_cni::ctl::args::{RouteTable, Vxlan};

/// The section of commands for whoever administers a system.
const SECTION: &str = "8";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(prefix), None) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: pages FOLDER");
        return ExitCode::from(2);
    };
    let prefix = PathBuf::from(prefix);
    let all = [Vxlan::command(), RouteTable::command()];
    match all
        .into_iter()
        .try_for_each(|command| write_all(&prefix, command))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pages: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write_all(prefix: &Path, command: Command) -> io::Result<()> {
    completions(prefix, &command)?;
    let mut command = command.disable_help_subcommand(true);
    command.build();
    pages(prefix, &command)
}

/// A file for each shell, where the shell looks for it.
fn completions(prefix: &Path, command: &Command) -> io::Result<()> {
    let name = command.get_name().to_owned();
    for (shell, file) in [
        (
            Shell::Bash,
            format!("share/bash-completion/completions/{name}"),
        ),
        (Shell::Zsh, format!("share/zsh/site-functions/_{name}")),
        (
            Shell::Fish,
            format!("share/fish/vendor_completions.d/{name}.fish"),
        ),
    ] {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut command.clone(), &name, &mut text);
        put(&prefix.join(file), &text)?;
    }
    Ok(())
}

/// A page for the program and one for each of its verbs, `vxlan-replay`.
fn pages(prefix: &Path, command: &Command) -> io::Result<()> {
    let name = command
        .get_display_name()
        .unwrap_or_else(|| command.get_name());
    let folder = prefix.join("share/man").join(format!("man{SECTION}"));
    let mut text = Vec::new();
    page(command, &mut text)?;
    put(&folder.join(format!("{name}.{SECTION}")), &text)?;
    let mut verbs = command
        .get_subcommands()
        .filter(|verb| verb.get_name() != "help");
    verbs.try_for_each(|verb| pages(prefix, verb))
}

/// The usual sections; the examples line by line, which [`Man::render`] would fill.
fn page(command: &Command, text: &mut Vec<u8>) -> io::Result<()> {
    let page = Man::new(command.clone())
        .section(SECTION)
        .source("vxlan-cni");
    page.render_title(text)?;
    page.render_name_section(text)?;
    page.render_synopsis_section(text)?;
    page.render_description_section(text)?;
    page.render_options_section(text)?;
    if command.get_subcommands().next().is_some() {
        page.render_subcommands_section(text)?;
    }
    let examples = command.get_after_help().map(ToString::to_string);
    let lines = examples.iter().flat_map(|text| text.lines().skip(1));
    let lines: Vec<String> = lines.map(as_it_is).collect();
    match lines.is_empty() {
        true => Ok(()),
        false => writeln!(text, ".SH EXAMPLES\n.nf\n{}\n.fi", lines.join("\n")),
    }
}

/// A line that roff takes for text.
fn as_it_is(line: &str) -> String {
    let escaped = line
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('\'', "\\(aq");
    match escaped.starts_with('.') {
        true => format!("\\&{escaped}"),
        false => escaped,
    }
}

fn put(path: &Path, text: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text)?;
    writeln!(io::stdout(), "{}", path.display())
}
