//! The rules. Each takes files and tells what is wrong, one line a finding.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use crate::source::{Source, line_of, pattern};

/// A rule.
pub type Rule = fn(&[Source]) -> Vec<String>;

/// The longest function, in lines: where the shared hook looks.
const FUNCTION_MAX: usize = 60;

/// The longest file without its tests, in lines.
const FILE_MAX: usize = 450;

/// The rooms of the house, from left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Room {
    Types,
    Core,
    Io,
    Verbs,
    Programs,
}

/// Where a module lives, and the name it is known by; `None` for one that has no place.
fn place(module: &[String]) -> Option<(Room, &'static str)> {
    let part = |index: usize| module.get(index).map_or("", String::as_str);
    Some(match (part(0), part(1)) {
        ("sanitize", _) => (Room::Types, "sanitize"),
        ("table", _) => (Room::Types, "table"),
        ("ip", _) => (Room::Types, "ip"),
        ("nft", _) => (Room::Types, "nft"),
        ("cni", "delegate") => (Room::Io, "cni::delegate"),
        ("cni", "serve") => (Room::Programs, "cni::serve"),
        ("cni", _) => (Room::Types, "cni"),
        ("config", _) => (Room::Core, "config"),
        ("select", _) => (Room::Core, "select"),
        ("lease", _) => (Room::Core, "lease"),
        ("plan", _) => (Room::Core, "plan"),
        ("deed", _) => (Room::Core, "deed"),
        ("route_table", "pool") => (Room::Core, "route_table::pool"),
        ("route_table", "config") => (Room::Core, "route_table::config"),
        ("exec", _) => (Room::Io, "exec"),
        ("outlet", _) => (Room::Io, "outlet"),
        ("journal", _) => (Room::Io, "journal"),
        ("conflist", _) => (Room::Io, "conflist"),
        ("store", _) => (Room::Io, "store"),
        ("kube", "secret") => (Room::Core, "kube::secret"),
        ("kube", "server") => (Room::Core, "kube::server"),
        ("kube", "proxy") => (Room::Core, "kube::proxy"),
        ("kube", "pod") => (Room::Core, "kube::pod"),
        ("kube", "yaml") => (Room::Core, "kube::yaml"),
        ("kube", "entry") => (Room::Core, "kube::entry"),
        ("kube", "kubeconfig") => (Room::Core, "kube::kubeconfig"),
        ("kube", _) => (Room::Io, "kube"),
        ("peers", _) => (Room::Io, "peers"),
        ("route_table", "owners") => (Room::Io, "route_table::owners"),
        ("session", _) => (Room::Io, "session"),
        ("ops", _) => (Room::Verbs, "ops"),
        ("ctl", _) => (Room::Verbs, "ctl"),
        ("route_table", _) => (Room::Verbs, "route_table"),
        ("bin", _) => (Room::Programs, "bin"),
        _ => return None,
    })
}

/// Imports go leftwards, or sideways without a circle; the types `ip` and `cni` do not know each other, and only
/// `nft` knows another, `ip`.
pub fn imports(files: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    let mut sideways: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.path != "src/lib.rs") {
        let Some((room, name)) = place(&file.module()) else {
            found.push(format!("{} has no place in the house", file.path));
            continue;
        };
        for named in file.named().iter().filter(|named| named.path[0] == "crate") {
            let at = format!("{}:{}", file.path, named.line);
            match place(&named.path[1..]) {
                None => found.push(format!(
                    "{at} imports {}, which has no place",
                    named.path.join("::")
                )),
                Some((_, other)) if other == name => {}
                Some((to, other)) if to > room => {
                    found.push(format!("{at} {name} ({room:?}) imports {other} ({to:?})"));
                }
                // A rule of the packet filter names devices and networks as `ip` does.
                Some((Room::Types, "ip")) if name == "nft" => {}
                Some((Room::Types, other)) if room == Room::Types && other != "sanitize" => {
                    found.push(format!("{at} the type {name} imports the type {other}"));
                }
                Some((_, other)) => drop(sideways.entry(name).or_default().insert(other)),
            }
        }
    }
    found.extend(circle(&sideways));
    found
}

/// A circle among modules, if there is one.
fn circle(edges: &BTreeMap<&str, BTreeSet<&str>>) -> Option<String> {
    fn walk<'a>(
        from: &'a str,
        edges: &BTreeMap<&'a str, BTreeSet<&'a str>>,
        way: &mut Vec<&'a str>,
    ) -> Option<String> {
        if let Some(start) = way.iter().position(|step| *step == from) {
            return Some(format!("a circle: {} -> {from}", way[start..].join(" -> ")));
        }
        way.push(from);
        let found = edges
            .get(from)
            .into_iter()
            .flatten()
            .find_map(|to| walk(to, edges, way));
        way.pop();
        found
    }
    edges
        .keys()
        .find_map(|from| walk(from, edges, &mut Vec::new()))
}

/// Types and core compute: what they need is handed in.
pub fn core_is_pure(files: &[Source]) -> Vec<String> {
    let modules = [
        "std::fs",
        "std::process",
        "std::env",
        "std::io",
        "std::os",
        "std::thread",
        "rustix",
    ];
    let words = word(
        "TcpStream|TcpListener|UdpSocket|ToSocketAddrs|UnixStream|UnixListener|UnixDatagram|Instant|SystemTime|e?println",
    );
    let mut found = Vec::new();
    let thoughts = files
        .iter()
        .filter(|file| place(&file.module()).is_some_and(|(room, _)| room == Room::Core));
    for file in thoughts {
        found.extend(imported(file, &modules));
        found.extend(matches(file, &file.code, &words));
    }
    found
}

/// The only file that starts a process is `exec.rs`, and `exec/ending.rs` ends it; a door may end its own.
pub fn only_exec_starts(files: &[Source]) -> Vec<String> {
    let harmless = ["ExitCode", "exit", "id", "abort"].map(|item| format!("std::process::{item}"));
    let ways = [
        "std::process",
        "std::os::unix::process",
        "duct",
        "libc",
        "nix",
        "rustix::process",
        "rustix::runtime",
    ];
    let starters = ["src/exec.rs", "src/exec/ending.rs"];
    let others = files.iter().filter(|file| !starters.contains(&&*file.path));
    others
        .flat_map(|file| imported(file, &ways))
        .filter(|finding| {
            !harmless
                .iter()
                .any(|path| finding.ends_with(&format!(" {path}")))
        })
        .collect()
}

/// The only place with a network client is `kube`: there are ureq and rustls, and nowhere else is a connection. A name is
/// resolved for peers too, and the agent listens on loopback.
pub fn only_kube_connects(files: &[Source]) -> Vec<String> {
    let ways = [
        "ureq",
        "rustls",
        "std::net::TcpStream",
        "std::net::TcpListener",
        "std::net::UdpSocket",
        "std::net::ToSocketAddrs",
        "std::os::unix::net",
    ];
    let others = files
        .iter()
        .filter(|file| !file.path.starts_with("src/kube/"));
    let found = others.flat_map(|file| imported(file, &ways));
    found
        .filter(|finding| {
            let of = |file: &str, what: &[&str]| {
                finding.contains(file) && what.iter().any(|one| finding.contains(one))
            };
            !of("src/peers/dns.rs", &["ToSocketAddrs"])
                && !of("src/ctl/agent/serve.rs", &["TcpListener", "TcpStream"])
        })
        .collect()
}

/// The plugin never changes its own namespace and opens no netlink socket.
pub fn no_namespaces_no_sockets(files: &[Source]) -> Vec<String> {
    let words =
        word(r"setns|unshare\w*|move_into_\w+|AF_NETLINK|\w*[Nn]etlink\w*|socket|socket_with");
    files
        .iter()
        .flat_map(|file| {
            let calls = matches(file, &file.code, &words);
            calls.into_iter().chain(imported(file, &["rustix::net"]))
        })
        .collect()
}

/// What Cargo.lock names and must not.
pub fn dependencies(lock: &str) -> Vec<String> {
    let forbidden = pattern(
        r"^(.*netlink.*|neli(-.*)?|nl80211.*|libnl.*|tokio(-.*)?|async-std|async-io|async-executor|smol|mio|glommio|monoio)$",
    );
    let names = lock
        .lines()
        .filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    names
        .filter(|name| forbidden.is_match(name))
        .map(|name| format!("Cargo.lock has {name}"))
        .collect()
}

/// What ends the program without a word belongs into tests only; so does what prints, and panics where it cannot.
pub fn no_unwrap(files: &[Source]) -> Vec<String> {
    let words = pattern(r"\.unwrap\(\)|\.expect\(|\bpanic!|\bunreachable!|\be?print(ln)?!|\bdbg!");
    files
        .iter()
        .flat_map(|file| matches(file, &file.code, &words))
        .collect()
}

/// No note to oneself, no test that is passed over. Split, so that this file is not its own finding.
pub fn nothing_unfinished(files: &[Source]) -> Vec<String> {
    let words = pattern(concat!(
        r"\b(TO",
        r"DO|FIX",
        r"ME|XX",
        r"X)\b|\bto",
        r"do!|\bunimpl",
        r"emented!|#\[ig",
        r"nore\b"
    ));
    files
        .iter()
        .flat_map(|file| matches(file, &file.text, &words))
        .collect()
}

/// A test waits for a condition, never for the clock: the one pause is that of `until`, between two looks.
pub fn no_test_sleeps(files: &[Source]) -> Vec<String> {
    let sleep = pattern(r"\bsleep(_ms|_until)?\(");
    let tests = |file: &Source| match file.path.starts_with("tests/") {
        true => matches(file, &file.code_without("until"), &sleep),
        false => matches(file, &file.tests, &sleep),
    };
    files.iter().flat_map(tests).collect()
}

/// Functions of at most 60 lines, files of at most 450 without their tests.
pub fn short(files: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        for function in file.functions() {
            if function.lines > FUNCTION_MAX {
                let (path, line, lines) = (&file.path, function.line, function.lines);
                found.push(format!(
                    "{path}:{line} a function of {lines} lines: {}",
                    function.head
                ));
            }
        }
        if file.lines > FILE_MAX {
            found.push(format!("{} a file of {} lines", file.path, file.lines));
        }
    }
    found
}

/// A module opens with what it is for, and has a name that says something.
pub fn named_and_introduced(files: &[Source]) -> Vec<String> {
    let empty = [
        "utils", "util", "helpers", "helper", "common", "manager", "data", "info", "misc",
    ];
    let getter = pattern(r"\bfn get_\w+");
    let mut found = Vec::new();
    for file in files {
        if !file.text.starts_with("//! ") {
            found.push(format!(
                "{} does not open with //! and what it is for",
                file.path
            ));
        }
        let said = file.module();
        let names = said.iter().filter(|name| empty.contains(&name.as_str()));
        found.extend(names.map(|name| format!("{}: the name `{name}` says nothing", file.path)));
        found.extend(matches(file, &file.code, &getter));
    }
    found
}

/// A pattern of whole words.
fn word(words: &str) -> Regex {
    pattern(&format!(r"\b(?:{words})\b"))
}

/// The places of a text, which has the lines of its file, where a pattern matches.
fn matches(file: &Source, text: &str, pattern: &Regex) -> Vec<String> {
    pattern
        .find_iter(text)
        .map(|found| {
            format!(
                "{}:{} {}",
                file.path,
                line_of(text, found.start()),
                found.as_str()
            )
        })
        .collect()
}

/// The paths in a file that lead into one of some modules.
fn imported(file: &Source, modules: &[&str]) -> Vec<String> {
    let leads = |path: &str| {
        modules
            .iter()
            .any(|module| path == *module || path.starts_with(&format!("{module}::")))
    };
    file.named()
        .into_iter()
        .map(|named| (named.line, named.path.join("::")))
        .filter(|(_, path)| leads(path))
        .map(|(line, path)| format!("{}:{line} {path}", file.path))
        .collect()
}
