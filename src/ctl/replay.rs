//! `vxlan replay`: an attachment's commands from the journals, as a script or run.
//!
//! What is still in effect of them, the host side with it, also where another ADD made that: run on a blank node with the same
//! underlay, they rebuild the attachment's state.

use std::path::Path;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::Said;
use super::args::{ReplayOptions, Shared};
use super::journals::{Journals, since};
use crate::cni::{CniError, Code};
use crate::deed::act::Act;
use crate::deed::filter::Filter;
use crate::deed::merged::is_within;
use crate::deed::{Deed, standing};
use crate::exec::{COMMAND_TIMEOUT, Exec, Invocation, System};
use crate::ip::stderr;
use crate::journal::Journal;
use crate::ops::namespace_inode;
use crate::outlet;
use crate::sanitize::printable;

/// Prints the script, or runs it.
///
/// # Errors
/// When a journal cannot be read, nothing in it is meant, or a line fails.
pub fn run(shared: &Shared, options: &ReplayOptions) -> Result<Said, CniError> {
    let journals = Journals::of(shared)?;
    let wanted = Filter {
        container: options.of.clone(),
        failed: options.failed,
        since: since(options.since.as_deref(), SystemTime::now())?,
        ..Filter::default()
    };
    if options.failed {
        let all = journals.all()?;
        let failed: Vec<&Deed> = all.iter().filter(|deed| wanted.takes(deed)).collect();
        return answer(shared, options, &failed, &as_they_were(&failed));
    }
    let (node, ipams) = (journals.node_deeds()?, journals.ipam_deeds()?);
    let attached = attached(&node, &wanted);
    let lines = rebuilding(&node, &ipams, &attached);
    answer(shared, options, &attached, &lines)
}

/// Every command of verbs, what took it back as well.
fn as_they_were<'a>(deeds: &[&'a Deed]) -> Vec<(&'a Deed, String)> {
    let lines = |deed: &&'a Deed| {
        let deed = *deed;
        deed.commands().map(move |line| (deed, line.text.clone()))
    };
    deeds.iter().flat_map(lines).collect()
}

/// The last ADD that succeeded of each attachment that is meant; where none is named, of those that
/// have not left since.
fn attached<'a>(node: &'a [Deed], wanted: &Filter) -> Vec<&'a Deed> {
    let mut attached: Vec<&Deed> = Vec::new();
    for deed in node.iter().filter(|deed| deed.id.is_some()) {
        let succeeded = deed.end.as_ref().is_some_and(|end| end.ok);
        match deed.verb.as_str() {
            "ADD" if succeeded => {
                attached.retain(|other| other.id != deed.id);
                attached.extend(wanted.takes(deed).then_some(deed));
            }
            "DEL" | "GC" if succeeded && wanted.container.is_none() => {
                attached.retain(|other| other.id != deed.id);
            }
            _ => {}
        }
    }
    // The attachment with exactly this id, before others that start with it.
    let id = wanted.container.as_deref().map(|of| of.split('/').next());
    if let Some(id) = id.filter(|id| attached.iter().any(|deed| deed.container() == *id)) {
        attached.retain(|deed| deed.container() == id);
    }
    attached
}

/// The lines that rebuild attachments: as the node was when the last of them was made.
fn rebuilding<'a>(
    node: &'a [Deed],
    ipams: &'a [Deed],
    attached: &[&'a Deed],
) -> Vec<(&'a Deed, String)> {
    let last = attached.iter().flat_map(|deed| &deed.lines);
    let until = last.map(|line| line.position).max().unwrap_or(0);
    let mut lines = standing::lines(&standing::of_verbs(node, until, attached));
    for deed in attached {
        let asked =
            |ipam: &&Deed| ipam.verb == "ADD" && ipam.id == deed.id && is_within(ipam, deed);
        for ipam in ipams.iter().filter(asked) {
            lines.extend(standing::lines(&standing::claims(ipam)));
        }
    }
    lines
}

fn answer(
    shared: &Shared,
    options: &ReplayOptions,
    deeds: &[&Deed],
    lines: &[(&Deed, String)],
) -> Result<Said, CniError> {
    if deeds.is_empty() {
        return Err(nothing(options));
    }
    if options.run {
        return carry_out(shared, deeds, lines);
    }
    Ok(Said::either(
        shared,
        || document(deeds, lines),
        || script(deeds, lines),
    ))
}

/// The error where nothing in the journals is meant.
fn nothing(options: &ReplayOptions) -> CniError {
    let of = options
        .of
        .as_deref()
        .map_or(String::new(), |of| format!(" of `{}`", printable(of)));
    let since = options.since.as_deref().map_or(String::new(), |since| {
        format!(" since {}", printable(since))
    });
    let (what, advice) = match options.failed {
        true => ("nothing", "`vxlan log` shows everything"),
        false => (
            "no ADD",
            "`vxlan log --verb ADD` shows every one, `vxlan replay --failed` what failed",
        ),
    };
    let word = if options.failed {
        "failed"
    } else {
        "succeeded"
    };
    let msg = format!("{what}{of} in the journal {word}{since}");
    CniError::new(Code::UNKNOWN_CONTAINER, msg).details(advice)
}

/// The script: what it is of and what it needs, then each verb's lines under its head.
fn script(deeds: &[&Deed], lines: &[(&Deed, String)]) -> String {
    let of = |deed: &&Deed| {
        let line = deed.tail().unwrap_or_else(|| deed.head());
        format!("# replay of {}", line.trim_start_matches("# "))
    };
    let needs = |netns: &String| match netns.contains('/') {
        true => format!("# needs the namespace {netns}"),
        false => format!("# needs the namespace {netns}: ip netns add {netns}"),
    };
    let mut text = vec!["#!/bin/sh -e".to_owned()];
    text.extend(deeds.iter().map(of));
    text.extend(namespaces(lines).iter().map(needs));
    text.extend(standing::script(lines));
    text.iter().map(|line| format!("{line}\n")).collect()
}

fn document(deeds: &[&Deed], lines: &[(&Deed, String)]) -> Value {
    let of = |deed: &&Deed| {
        let network = deed.on();
        json!({"time": deed.started, "verb": deed.verb, "network": network, "container": deed.container(),
               "ifname": deed.ifname(), "pod": deed.pod})
    };
    let commands = lines.iter().map(|(_, line)| line);
    json!({
        "of": deeds.iter().map(of).collect::<Vec<_>>(),
        "namespaces": namespaces(lines),
        "commands": commands.collect::<Vec<_>>(),
    })
}

/// The namespaces that lines work in or put devices into, each once.
fn namespaces(lines: &[(&Deed, String)]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for act in lines.iter().filter_map(|(_, line)| Act::of(line)) {
        for place in act.places() {
            if !found.iter().any(|other| other == place) {
                found.push(place.to_owned());
            }
        }
    }
    found
}

/// Runs the lines one by one, each in the journal before it runs; stops at the first that fails.
fn carry_out(
    shared: &Shared,
    deeds: &[&Deed],
    lines: &[(&Deed, String)],
) -> Result<Said, CniError> {
    refuse_missing(lines)?;
    let system = System::until_sigterm();
    let mut done = 0;
    for group in lines.chunk_by(|(one, _), (other, _)| std::ptr::eq(*one, *other)) {
        let journal = journal(group[0].0);
        for (_, line) in group {
            let ran = run_line(&system, &journal, line);
            if let Err(error) = ran {
                journal.end(&format!("failed {}: {}", error.code.0, error.msg));
                let all = lines.len();
                let ran =
                    format!("{done} of {all} lines ran; `vxlan log --verb REPLAY` shows them");
                return Err(error.and(&ran));
            }
            done += 1;
        }
        journal.end("ok");
    }
    Ok(Said::either(
        shared,
        || document(deeds, lines),
        || format!("{done} lines ran; `vxlan log --verb REPLAY` shows them\n"),
    ))
}

/// The journal of the verb whose lines run again.
fn journal(deed: &Deed) -> Journal {
    let again = Deed {
        verb: "REPLAY".to_owned(),
        ..deed.clone()
    };
    let pod = deed
        .pod
        .as_deref()
        .map_or(String::new(), |pod| format!(" pod={pod}"));
    Journal::new(Path::new(&deed.journal), &again.subject(), &pod)
}

/// A namespace that is not there is told before anything is made.
fn refuse_missing(lines: &[(&Deed, String)]) -> Result<(), CniError> {
    for netns in namespaces(lines) {
        let path = match netns.contains('/') {
            true => netns.clone(),
            false => format!("/run/netns/{netns}"),
        };
        if namespace_inode(Path::new(&path)).is_none() {
            let msg = format!("there is no namespace {path}; nothing was run");
            let advice = match netns.contains('/') {
                true => "its container is gone; print the lines without --run and give them another namespace".to_owned(),
                false => format!("ip netns add {netns}"),
            };
            return Err(CniError::new(Code::UNKNOWN_CONTAINER, msg).details(advice));
        }
    }
    Ok(())
}

fn run_line(system: &System, journal: &Journal, line: &str) -> Result<(), CniError> {
    let Some(act) = Act::of(line) else {
        let msg = format!("`{line}` is no command of this program");
        return Err(
            CniError::new(Code::COMMAND_FAILED, msg).details("look at the journal: vxlan log")
        );
    };
    outlet::remark(&format!("+ {line}\n"));
    journal.commands(&[line.to_owned()]);
    let output = system.run(&Invocation::own(act.argv(), COMMAND_TIMEOUT))?;
    match output.code {
        Some(0) => Ok(()),
        code => {
            let said = printable(&stderr::message(&output.stderr));
            let code = code.map_or("killed".to_owned(), |code| format!("exit {code}"));
            let msg = format!("stopped at `{line}`");
            Err(CniError::new(Code::COMMAND_FAILED, msg)
                .details(format!("it said: {said} ({code})")))
        }
    }
}
