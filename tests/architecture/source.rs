//! A Rust file read closely enough to tell what it imports and how long its functions are.
//!
//! No parser: comments and literals are blanked out (their newlines stay), and what is left is looked
//! at as text. That is enough, because rustfmt has written it.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// One file.
#[derive(Debug, Clone)]
pub struct Source {
    /// Path below the top of the tree, as `src/ip/name.rs`.
    pub path: String,
    /// As it is.
    pub text: String,
    /// Without comments, literals and tests.
    pub code: String,
    /// Without comments and literals, only what is behind `#[cfg(test)]`.
    pub tests: String,
    /// Lines that are not tests.
    pub lines: usize,
}

/// A path that code names, as `crate::ip::IfName`, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its parts, `crate` for this crate, counted from its top.
    pub path: Vec<String>,
    /// Line, from 1.
    pub line: usize,
}

/// A function and its length in lines, as the shared hook counts: the closing brace's line less the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its first line, without the indentation.
    pub head: String,
    /// Line, from 1.
    pub line: usize,
    /// Lines.
    pub lines: usize,
}

impl Source {
    /// Takes a file.
    pub fn new(path: &str, text: &str) -> Self {
        let plain = blank_literals(text);
        let (code, tests, test_lines) = split_tests(&plain);
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
            tests,
            lines: text.lines().count() - test_lines,
        }
    }

    /// Every Rust file below a folder of the tree.
    pub fn below(folder: &str) -> Vec<Self> {
        let mut files = Vec::new();
        collect(&top().join(folder), &mut files);
        files.sort();
        let read = |file: PathBuf| {
            let path = file.strip_prefix(top()).unwrap().to_str().unwrap();
            Self::new(path, &std::fs::read_to_string(&file).unwrap())
        };
        files.into_iter().map(read).collect()
    }

    /// The module it is, counted from the crate's top: `["ip", "name"]`.
    pub fn module(&self) -> Vec<String> {
        let path = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let path = path.strip_suffix(".rs").unwrap_or(path);
        let path = path.strip_suffix("/mod").unwrap_or(path);
        path.split('/').map(str::to_owned).collect()
    }

    /// Every path of two parts or more that the code names, `use` taken apart.
    pub fn named(&self) -> Vec<Named> {
        let mut named = Vec::new();
        let mut rest = self.code.clone();
        for (start, end) in uses(&self.code) {
            let line = line_of(&self.code, start);
            let paths = expand(&bare(&self.code[start..end])).into_iter();
            named.extend(paths.map(|path| self.resolve(&path, line)));
            rest.replace_range(start..end, &blank(&self.code[start..end]));
        }
        for (start, path) in inline_paths(&rest) {
            named.push(self.resolve(&path, line_of(&rest, start)));
        }
        named
    }

    /// Counts `self`, `super` and this crate's own name from the crate's top.
    fn resolve(&self, path: &str, line: usize) -> Named {
        let mut parts: Vec<String> = path.split("::").map(str::to_owned).collect();
        match parts[0].as_str() {
            "vxlan_cni" => parts[0] = "crate".to_owned(),
            "self" | "super" => {
                let mut base = self.module();
                let relative = parts.clone();
                let up = relative.iter().take_while(|part| *part == "super").count();
                base.truncate(base.len().saturating_sub(up));
                let skip = up.max(1);
                parts = std::iter::once("crate".to_owned())
                    .chain(base)
                    .chain(relative.into_iter().skip(skip))
                    .collect();
            }
            _ => {}
        }
        Named { path: parts, line }
    }

    /// The code without the body of a function.
    pub fn code_without(&self, name: &str) -> String {
        let head = format!("fn {name}(");
        let bodies: Vec<_> = self
            .functions()
            .into_iter()
            .filter(|function| function.head.contains(&head))
            .map(|function| function.line..function.line + function.lines)
            .collect();
        let inside = |index: usize| bodies.iter().any(|body| body.contains(&(index + 1)));
        let kept = |(index, line)| if inside(index) { "" } else { line };
        let lines: Vec<&str> = self.code.lines().enumerate().map(kept).collect();
        lines.join("\n")
    }

    /// Every function outside of tests.
    pub fn functions(&self) -> Vec<Function> {
        let mut functions = Vec::new();
        let mut open: Option<(usize, usize, String)> = None;
        for (index, line) in self.code.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let text = line.trim();
            if starts_function(text) {
                open = Some((index, indent, text.to_owned()));
            }
            if let Some((start, _, head)) =
                open.take_if(|(_, depth, _)| text == "}" && *depth == indent)
            {
                functions.push(Function {
                    head,
                    line: start + 1,
                    lines: index - start,
                });
            }
        }
        functions
    }
}

/// The top of the tree.
pub fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{folder:?}: {e}")) {
        let path = entry.unwrap().path();
        match path.extension().and_then(|extension| extension.to_str()) {
            _ if path.is_dir() => collect(&path, files),
            Some("rs") => files.push(path),
            _ => {}
        }
    }
}

/// The line of a byte, from 1.
pub fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// The same number of lines with nothing on them.
fn blank(text: &str) -> String {
    text.chars()
        .map(|c| if c == '\n' { '\n' } else { ' ' })
        .collect()
}

/// Whether a line starts a function that does not end on it.
fn starts_function(line: &str) -> bool {
    static HEAD: LazyLock<regex::Regex> =
        LazyLock::new(|| pattern(r"^(pub(\([^)]*\))? )?((const|async|unsafe) )*fn "));
    HEAD.is_match(line) && !line.ends_with(['}', ';'])
}

/// Blanks comments, strings and characters.
fn blank_literals(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => string(rest),
            'r' | 'b' | 'c' if !ends_in_word(&out) => prefixed_string(rest).unwrap_or(0),
            '\'' => character(rest),
            _ => 0,
        };
        if length > 0 {
            out.push_str(&blank(&rest[..length]));
            rest = &rest[length..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

fn ends_in_word(text: &str) -> bool {
    text.chars()
        .next_back()
        .is_some_and(|c| c.is_alphanumeric() || c == '_')
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    loop {
        match text.get(at..at + 2) {
            Some("/*") => (depth, at) = (depth + 1, at + 2),
            Some("*/") => (depth, at) = (depth - 1, at + 2),
            _ if at >= text.len() => return text.len(),
            _ => at += text[at..].chars().next().map_or(1, char::len_utf8),
        }
        if depth == 0 {
            return at;
        }
    }
}

/// The length of a string with its quotes.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// `r"..."`, `r#"..."#`, `b"..."`, `br"..."`, `c"..."`.
fn prefixed_string(text: &str) -> Option<usize> {
    let letters = text.len() - text.trim_start_matches(['r', 'b', 'c']).len();
    let hashes = text[letters..].len() - text[letters..].trim_start_matches('#').len();
    let start = letters + hashes;
    if letters > 2 || !text[start..].starts_with('"') {
        return None;
    }
    if !text[..letters].contains('r') {
        return (hashes == 0).then(|| start + string(&text[start..]));
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let end = text[start + 1..].find(&close)?;
    Some(start + 1 + end + close.len())
}

/// A character with its quotes; 0 for a lifetime.
fn character(text: &str) -> usize {
    let inner = &text[1..];
    match inner.chars().next() {
        Some('\\') => inner[2..].find('\'').map_or(0, |end| end + 4),
        Some(c) if inner[c.len_utf8()..].starts_with('\'') => c.len_utf8() + 2,
        _ => 0,
    }
}

/// The code without its tests, the tests without the code, and how many lines the tests have.
fn split_tests(plain: &str) -> (String, String, usize) {
    let (mut code, mut tests, mut lines) = (plain.to_owned(), blank(plain), 0);
    let mut from = 0;
    while let Some(at) = plain[from..].find("#[cfg(test)]").map(|at| at + from) {
        let end = item_end(plain, at);
        code.replace_range(at..end, &blank(&plain[at..end]));
        tests.replace_range(at..end, &plain[at..end]);
        lines += plain[at..end].lines().count();
        from = end;
    }
    (code, tests, lines)
}

/// Where the item that starts here ends: behind its `;` or its closing brace.
fn item_end(plain: &str, start: usize) -> usize {
    let mut depth = 0;
    for (at, c) in plain[start..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return start + at + 1,
            _ => continue,
        }
        if depth == 0 {
            return start + at + 1;
        }
    }
    plain.len()
}

/// Where the trees of `use` are, without the word and the `;`.
fn uses(code: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("use ") {
        if !ends_in_word(&code[..at])
            && let Some(length) = code[at..].find(';')
        {
            found.push((at + 4, at + length));
        }
    }
    found
}

/// A tree without white space and `as NAME`.
fn bare(tree: &str) -> String {
    let renamed = pattern(r"\s+as\s+\w+|\s+");
    renamed.replace_all(tree, "").into_owned()
}

/// `a::{b, c::{d, self}}` as `a::b`, `a::c::d`, `a::c`.
fn expand(tree: &str) -> Vec<String> {
    let Some(open) = tree.find('{') else {
        return vec![tree.trim_start_matches("::").to_owned()];
    };
    let (prefix, inner) = (&tree[..open], &tree[open + 1..tree.len() - 1]);
    let whole = |part: String| match part.as_str() {
        "self" => prefix.trim_end_matches("::").to_owned(),
        part => format!("{prefix}{part}"),
    };
    branches(inner)
        .into_iter()
        .flat_map(expand)
        .map(whole)
        .collect()
}

/// Splits at the commas that are in no braces.
fn branches(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&list[start..]);
    parts.retain(|part| !part.is_empty());
    parts
}

/// Paths of two parts or more.
fn inline_paths(code: &str) -> Vec<(usize, String)> {
    let path = pattern(r"[A-Za-z_][A-Za-z0-9_]*(?:::[A-Za-z_][A-Za-z0-9_]*)+");
    path.find_iter(code)
        .map(|found| (found.start(), found.as_str().to_owned()))
        .collect()
}

/// A pattern in which `\b`, `\w` and `\s` are ASCII's: the crate's `regex` has no tables of Unicode.
pub fn pattern(text: &str) -> regex::Regex {
    let text = text
        .replace(r"\b", r"(?-u:\b)")
        .replace(r"\w", "[A-Za-z0-9_]")
        .replace(r"\s", r"[ \t\n]");
    regex::Regex::new(&text).unwrap()
}
