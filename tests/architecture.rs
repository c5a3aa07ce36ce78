//! The house of ARCHITECTURE.md, held up: who imports whom, who may start a process, what no file has.
//!
//! Every rule is a function from files to findings. One test runs a rule over the tree, and one shows
//! with a bad sample that the rule can find something.

#![allow(clippy::unwrap_used)]

#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/source.rs"]
mod source;

use rules::Rule;
use source::{Source, top};

/// Fails with every finding of a rule.
fn nothing_found(rule: Rule, files: &[Source]) {
    assert!(files.len() > 1, "no files to look at");
    let found = rule(files);
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// Fails unless a rule finds exactly one thing in a sample, and that is told with these words.
#[track_caller]
fn finds(rule: Rule, path: &str, sample: &str, words: &str) {
    let found = rule(&[Source::new(path, sample)]);
    let [one] = &found[..] else {
        panic!("{path}: `{sample}`: wanted one finding, got {found:?}")
    };
    assert!(one.contains(path) && one.contains(words), "{one}");
}

/// Fails if a rule finds something in a good sample.
#[track_caller]
fn passes(rule: Rule, path: &str, sample: &str) {
    let found = rule(&[Source::new(path, sample)]);
    assert!(found.is_empty(), "{path}: `{sample}`: {found:?}");
}

#[test]
fn imports_go_leftwards_only() {
    nothing_found(rules::imports, &Source::below("src"));
}

#[test]
fn an_import_to_the_right_is_found_however_it_is_written() {
    for (path, sample, words) in [
        ("src/ip/link.rs", "use crate::config::Network;", "config"),
        ("src/cni/request.rs", "use crate::ip::IfName;", "ip"),
        ("src/ip/name.rs", "fn f() { crate::cni::x() }", "cni"),
        ("src/plan/fact.rs", "use crate::{exec::Exec, ip};", "exec"),
        ("src/plan/fact.rs", "use super::super::ops;", "ops"),
        ("src/select.rs", "use super::store as s;", "store"),
        ("src/exec.rs", "use crate::{ip, ops::add};", "ops"),
        (
            "src/ops/add.rs",
            "use crate::cni::serve::answer;",
            "cni::serve",
        ),
        (
            "src/cni/result.rs",
            "use super::delegate::Call;",
            "cni::delegate",
        ),
        ("src/route_table/pool.rs", "use crate::store;", "store"),
        ("src/lease.rs", "use crate::attic::Box;", "attic"),
        ("src/attic.rs", "use crate::ip;", "no place"),
        ("src/journal.rs", "fn f() { vxlan_cni::ops::all() }", "ops"),
    ] {
        finds(rules::imports, path, sample, words);
    }
}

#[test]
fn what_only_looks_like_an_import_is_let_pass() {
    for (path, sample) in [
        (
            "src/ip/link.rs",
            "// use crate::config::Network;\n/* use crate::ops::x; /* a */ */",
        ),
        (
            "src/ip/link.rs",
            r##"const A: &str = r#"use crate::ops::x;"#; const B: &str = "\"use crate::ops::x;";"##,
        ),
        (
            "src/ip/link.rs",
            "#[cfg(test)]\nmod tests {\n    use crate::ops::x;\n}\n",
        ),
        (
            "src/ops/add.rs",
            "use crate::session::Session;\nuse crate::{cni::{CniError, delegate}, plan};",
        ),
        (
            "src/bin/vxlan.rs",
            "use vxlan_cni::{cni::serve, ops::Vxlan};",
        ),
        (
            "src/cni/delegate.rs",
            "use crate::exec::Exec;\nfn f<'a>(c: &'a str) { c == '\"'; }",
        ),
    ] {
        passes(rules::imports, path, sample);
    }
}

#[test]
fn modules_that_need_each_other_are_found() {
    let files = [
        Source::new("src/config/mod.rs", "use crate::select::select;"),
        Source::new("src/select.rs", "use crate::config::Config;"),
    ];
    let found = rules::imports(&files);
    assert!(
        found.len() == 1 && found[0].contains("config -> select -> config"),
        "{found:?}"
    );
}

#[test]
fn core_does_no_io() {
    nothing_found(rules::core_is_pure, &Source::below("src"));
}

#[test]
fn io_in_core_is_found() {
    for (path, sample, words) in [
        ("src/plan/fact.rs", "use std::{fmt, fs};", "std::fs"),
        (
            "src/plan/mod.rs",
            "fn f() { std::process::exit(1) }",
            "std::process",
        ),
        (
            "src/plan/host.rs",
            "use std::net::{IpAddr, TcpStream};",
            "TcpStream",
        ),
        ("src/plan/host.rs", "use std::env::var;", "std::env"),
        (
            "src/plan/observed.rs",
            "fn f() { eprintln!(\"x\") }",
            "eprintln",
        ),
        ("src/lease.rs", "use std::io::Write;", "std::io"),
        (
            "src/route_table/pool.rs",
            "use std::time::Instant;",
            "Instant",
        ),
    ] {
        finds(rules::core_is_pure, path, sample, words);
    }
    passes(
        rules::core_is_pure,
        "src/plan/fact.rs",
        "use std::net::IpAddr;",
    );
    passes(rules::core_is_pure, "src/store.rs", "use std::fs::File;");
}

#[test]
fn only_exec_starts_a_process() {
    nothing_found(rules::only_exec_starts, &Source::below("src"));
}

#[test]
fn another_way_to_start_a_process_is_found() {
    for (path, sample, words) in [
        (
            "src/ops/add.rs",
            "use std::process::Command;",
            "std::process::Command",
        ),
        ("src/store.rs", "use std::process;", "std::process"),
        ("src/kube.rs", "fn f() { duct::cmd(1) }", "duct"),
        (
            "src/journal.rs",
            "use rustix::runtime::fork;",
            "rustix::runtime",
        ),
        (
            "src/bin/vxlan.rs",
            "use std::os::unix::process::CommandExt;",
            "CommandExt",
        ),
    ] {
        finds(rules::only_exec_starts, path, sample, words);
    }
    passes(
        rules::only_exec_starts,
        "src/exec.rs",
        "fn f() { duct::cmd(1) }",
    );
    passes(
        rules::only_exec_starts,
        "src/bin/vxlan.rs",
        "use std::process::ExitCode;",
    );
    passes(
        rules::only_exec_starts,
        "src/plan/fact.rs",
        "use crate::ip::Command;",
    );
}

#[test]
fn only_kube_has_a_network_client() {
    nothing_found(rules::only_kube_connects, &Source::below("src"));
}

#[test]
fn another_network_client_is_found() {
    for (path, sample, words) in [
        ("src/ops/add.rs", "use ureq::Agent;", "ureq::Agent"),
        ("src/select.rs", "fn f() { ureq::get(x) }", "ureq::get"),
        ("src/exec.rs", "use rustls::ClientConfig;", "rustls"),
        (
            "src/store.rs",
            "use std::net::{IpAddr, TcpStream};",
            "TcpStream",
        ),
        (
            "src/kubelet.rs",
            "use std::os::unix::net::UnixStream;",
            "std::os::unix::net",
        ),
    ] {
        finds(rules::only_kube_connects, path, sample, words);
    }
    passes(
        rules::only_kube_connects,
        "src/kube/client.rs",
        "use ureq::Agent;",
    );
    passes(
        rules::only_kube_connects,
        "src/select.rs",
        "use std::net::IpAddr;",
    );
}

#[test]
fn nothing_enters_a_namespace_or_opens_a_socket() {
    nothing_found(rules::no_namespaces_no_sockets, &Source::below("src"));
}

#[test]
fn a_namespace_call_or_a_socket_is_found() {
    for (sample, words) in [
        ("fn f() { libc::setns(1, 2); }", "setns"),
        ("fn f() { rustix::thread::unshare_unsafe(x) }", "unshare"),
        ("fn f() { socket(AF_INET, 1, 2) }", "socket"),
        ("const X: i32 = libc::AF_NETLINK;", "AF_NETLINK"),
        ("use rustix::net::bind;", "rustix::net"),
    ] {
        finds(
            rules::no_namespaces_no_sockets,
            "src/exec.rs",
            sample,
            words,
        );
    }
    passes(
        rules::no_namespaces_no_sockets,
        "src/exec.rs",
        "// never setns\nfn f() { \"unshare\" }",
    );
}

#[test]
fn no_dependency_speaks_netlink_or_brings_an_async_runtime() {
    let lock = std::fs::read_to_string(top().join("Cargo.lock")).unwrap();
    assert!(lock.contains("name = \"duct\""), "Cargo.lock is not read");
    let found = rules::dependencies(&lock);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_forbidden_dependency_is_found_by_its_name() {
    for name in [
        "netlink-sys",
        "rtnetlink",
        "neli",
        "nl80211",
        "tokio",
        "async-std",
        "smol",
        "mio",
    ] {
        let found = rules::dependencies(&format!(
            "[[package]]\nname = \"{name}\"\nversion = \"1\"\n"
        ));
        assert_eq!(found.len(), 1, "{name}");
        assert!(found[0].contains(name), "{found:?}");
    }
    assert!(rules::dependencies("name = \"smolstr\"\nname = \"tokionic\"\n").is_empty());
}

#[test]
fn nothing_unwraps_outside_of_tests() {
    nothing_found(rules::no_unwrap, &Source::below("src"));
}

#[test]
fn an_unwrap_is_found_and_one_in_a_test_is_let_pass() {
    for sample in [
        "fn f() { x.unwrap() }",
        "fn f() { x.expect(\"y\") }",
        "fn f() { panic!(\"y\") }",
        "fn f() { eprintln!(\"y\") }",
        "fn f() { print!(\"y\") }",
    ] {
        finds(rules::no_unwrap, "src/x.rs", sample, "src/x.rs:1");
    }
    passes(
        rules::no_unwrap,
        "src/x.rs",
        "fn f() { x.unwrap_or(1) }\n#[cfg(test)]\nmod tests { fn f() { x.unwrap() } }",
    );
}

#[test]
fn nothing_is_left_unfinished_ignored_or_waited_for_by_the_clock() {
    let mut files = Source::below("src");
    files.extend(Source::below("tests"));
    nothing_found(rules::nothing_unfinished, &files);
    nothing_found(rules::no_test_sleeps, &files);
}

#[test]
fn what_is_unfinished_ignored_or_sleeps_is_found() {
    for sample in [
        concat!("// TO", "DO: later"),
        concat!("// FIX", "ME"),
        concat!("fn f() { to", "do!() }"),
        concat!("fn f() { unimpl", "emented!() }"),
        concat!("#[ig", "nore]\nfn f() {}"),
        concat!("#[ig", "nore = \"slow\"]\nfn f() {}"),
    ] {
        finds(rules::nothing_unfinished, "src/x.rs", sample, "src/x.rs:1");
    }
    finds(
        rules::no_test_sleeps,
        "tests/x.rs",
        "fn f() { std::thread::sleep(d) }",
        "tests/x.rs:1",
    );
    finds(
        rules::no_test_sleeps,
        "src/x.rs",
        "#[cfg(test)]\nmod tests { fn f() { sleep(d) } }",
        "src/x.rs:2",
    );
    passes(
        rules::no_test_sleeps,
        "src/x.rs",
        "fn f() { std::thread::sleep(d) }",
    );
    let pause = |name: &str| format!("fn {name}(what: &str) {{\n    sleep(d);\n}}\n");
    passes(rules::no_test_sleeps, "tests/x.rs", &pause("until"));
    finds(
        rules::no_test_sleeps,
        "tests/x.rs",
        &pause("settle"),
        "tests/x.rs:2",
    );
    passes(
        rules::no_test_sleeps,
        "tests/x.rs",
        "fn f() { sh(\"sleep 60\") }",
    );
}

#[test]
fn files_and_functions_are_short() {
    nothing_found(rules::short, &Source::below("src"));
}

#[test]
fn a_long_file_and_a_long_function_are_found() {
    let body = "    a();\n".repeat(60);
    passes(
        rules::short,
        "src/x.rs",
        &format!("fn f() {{\n{}}}\n", &body[9..]),
    );
    finds(
        rules::short,
        "src/x.rs",
        &format!("pub(in crate::ip) fn f() {{\n{body}}}\n"),
        "61 lines",
    );
    finds(rules::short, "src/x.rs", &"// x\n".repeat(451), "451 lines");
    passes(
        rules::short,
        "src/x.rs",
        &format!(
            "{}#[cfg(test)]\nmod tests {{\n{body}}}\n",
            "// x\n".repeat(450)
        ),
    );
}

#[test]
fn every_module_says_what_it_is_for_and_no_name_says_nothing() {
    nothing_found(rules::named_and_introduced, &Source::below("src"));
}

#[test]
fn a_module_without_a_word_or_with_an_empty_name_is_found() {
    finds(
        rules::named_and_introduced,
        "src/x.rs",
        "use std::fmt;",
        "//!",
    );
    finds(
        rules::named_and_introduced,
        "src/ops/utils.rs",
        "//! X.",
        "utils",
    );
    finds(
        rules::named_and_introduced,
        "src/ops/common/mod.rs",
        "//! X.",
        "common",
    );
    finds(
        rules::named_and_introduced,
        "src/x.rs",
        "//! X.\nfn get_name() {}",
        "get_name",
    );
}
