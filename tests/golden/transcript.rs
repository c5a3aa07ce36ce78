//! What `capture` writes: `$` a line of shell, then its stdout, `!` its stderr, `?` an exit code other than 0.

use std::path::Path;

use serde_json::Value;

use crate::compare::{read, shown};

/// One line of shell and what it said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// The line.
    pub line: String,
    /// Its stdout.
    pub stdout: String,
    /// Its stderr.
    pub stderr: String,
    /// Its exit code.
    pub code: i32,
}

/// Reads a transcript.
pub fn transcript(file: &Path) -> Vec<Said> {
    let text =
        read(file).unwrap_or_else(|why| panic!("{why}; tests/golden/capture writes it, as root"));
    parse(&text).unwrap_or_else(|line| panic!("{}: `{line}` stands before any `$`", shown(file)))
}

/// Reads a transcript of one line.
pub fn said(file: &Path) -> Said {
    let mut said = transcript(file);
    assert_eq!(said.len(), 1, "{}: wanted one `$`", shown(file));
    said.remove(0)
}

fn parse(text: &str) -> Result<Vec<Said>, String> {
    let mut all: Vec<Said> = Vec::new();
    for line in text.lines() {
        match (line.split_at_checked(2), all.last_mut()) {
            (Some(("$ ", line)), _) => all.push(Said {
                line: line.to_owned(),
                ..Said::default()
            }),
            (_, None) => return Err(line.to_owned()),
            (Some(("! ", line)), Some(said)) => said.stderr += &format!("{line}\n"),
            (Some(("? ", code)), Some(said)) => {
                said.code = code.parse().map_err(|_| line.to_owned())?;
            }
            (_, Some(said)) => said.stdout += &format!("{line}\n"),
        }
    }
    Ok(all)
}

impl Said {
    /// The JSON documents on stdout.
    pub fn documents(&self) -> Vec<Value> {
        serde_json::Deserializer::from_str(&self.stdout)
            .into_iter()
            .collect::<Result<_, _>>()
            .unwrap_or_else(|error| panic!("`{}` printed no JSON: {error}", self.line))
    }
}

#[test]
fn a_transcript_tells_stdout_stderr_and_exit_code_apart() {
    let said = parse("$ a b\n[1]\n! no\n! way\n? 255\n$ c\n").unwrap();
    assert_eq!(
        (
            said[0].stdout.as_str(),
            said[0].stderr.as_str(),
            said[0].code
        ),
        ("[1]\n", "no\nway\n", 255)
    );
    assert_eq!((said[1].line.as_str(), said[1].code), ("c", 0));
    assert_eq!(parse("x\n"), Err("x".into()));
}
