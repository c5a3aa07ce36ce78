//! The tables of `iptables-save` and `ip6tables-save`.

use std::ops::RangeInclusive;

use ipnetwork::IpNetwork;

use super::rules::{Chain, Match, Property, Rule, Table, Verdict};

/// Options that take a value and change nothing of what packets a rule is about.
const SILENT: [&str; 3] = ["--comment", "--reject-with", "--log-prefix"];

/// Extensions with options that are read here, or with none that matter.
const READ: [&str; 8] = [
    "udp",
    "tcp",
    "icmp",
    "icmp6",
    "multiport",
    "conntrack",
    "state",
    "comment",
];

/// Reads what a program has saved; `of` is `iptables` or `ip6tables`.
pub fn tables(of: &str, saved: &str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for line in saved.lines() {
        if let Some(name) = line.strip_prefix('*') {
            tables.push(Table {
                program: of.to_owned(),
                family: if of.starts_with("ip6") { "ip6" } else { "ip" }.to_owned(),
                name: name.to_owned(),
                chains: Default::default(),
            });
        } else if let Some(table) = tables.last_mut() {
            read(table, line);
        }
    }
    tables
}

fn read(table: &mut Table, line: &str) {
    if let Some(shown) = line.strip_prefix(':') {
        let mut words = shown.split(' ');
        let (name, policy) = (words.next().unwrap_or_default(), words.next());
        let is_base = policy.is_some_and(|policy| policy != "-") && table.name != "nat";
        let chain = Chain {
            hook: is_base.then(|| name.to_lowercase()),
            drops: policy == Some("DROP"),
            ..Chain::default()
        };
        table.chains.insert(name.to_owned(), chain);
    } else if let Some(shown) = line.strip_prefix("-A ") {
        let words = words(shown);
        if let Some((name, words)) = words.split_first() {
            let chain = table.chains.entry(name.clone()).or_default();
            chain.rules.push(rule(line, words));
        }
    }
}

/// Words, of which one in quotes may have spaces.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut is_quoted) = (Vec::new(), String::new(), false);
    for letter in text.chars() {
        match letter {
            '"' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(std::mem::take(&mut word)),
            letter => word.push(letter),
        }
    }
    words.push(word);
    words
}

fn rule(line: &str, words: &[String]) -> Rule {
    let mut rule = Rule {
        shown: format!("`{line}`"),
        matches: Vec::new(),
        verdict: Verdict::Next,
    };
    let (mut words, mut is_not) = (words.iter().map(String::as_str), false);
    while let Some(word) = words.next() {
        if word == "!" {
            is_not = true;
            continue;
        }
        let value = if word.starts_with('-') {
            words.next().unwrap_or_default()
        } else {
            ""
        };
        match word {
            "-j" | "-g" => {
                rule.verdict = verdict(word, value);
                // What is behind are the target's own options.
                break;
            }
            "-m" if READ.contains(&value) => {}
            "-m" if value == "mark" => {
                let property = Property::Marked;
                let is_not = words.clone().next() == Some("!");
                rule.matches.push(Match { property, is_not });
                words.by_ref().take(2 + usize::from(is_not)).for_each(drop);
            }
            word if SILENT.contains(&word) => {}
            word => rule.matches.push(Match {
                property: property(word, value).unwrap_or(Property::Unknown),
                is_not,
            }),
        }
        is_not = false;
    }
    rule
}

fn verdict(word: &str, value: &str) -> Verdict {
    match (word, value) {
        ("-g", chain) => Verdict::Goto(chain.to_owned()),
        (_, "ACCEPT") => Verdict::Accept,
        (_, "DROP" | "REJECT") => Verdict::Drop,
        (_, "RETURN") => Verdict::Return,
        (_, "LOG" | "NFLOG" | "MARK" | "CONNMARK" | "TCPMSS" | "CT" | "NOTRACK" | "TRACE") => {
            Verdict::Next
        }
        (_, "QUEUE" | "NFQUEUE" | "SET" | "TPROXY" | "TEE" | "SYNPROXY") => Verdict::Unknown,
        (_, chain) => Verdict::Jump(chain.to_owned()),
    }
}

fn property(word: &str, value: &str) -> Option<Property> {
    let several = || value.split(',');
    let lower = || several().map(str::to_lowercase).collect::<Vec<_>>();
    let device = || vec![value.replace('+', "*")];
    match word {
        "-i" => Some(Property::In(device())),
        "-o" => Some(Property::Out(device())),
        "-p" => Some(Property::Protocol(vec![
            value.replace("icmpv6", "ipv6-icmp"),
        ])),
        "-s" => Some(Property::From(
            several().map(network).collect::<Option<_>>()?,
        )),
        "-d" => Some(Property::To(several().map(network).collect::<Option<_>>()?)),
        "--dport" | "--dports" => Some(Property::PortTo(
            several().map(ports).collect::<Option<_>>()?,
        )),
        "--ctstate" | "--state" => Some(Property::State(lower())),
        "--icmp-type" if value == "8" => Some(Property::Message(vec!["echo-request".to_owned()])),
        "--icmpv6-type" if value == "135" => {
            Some(Property::Message(vec!["nd-neighbor-solicit".to_owned()]))
        }
        _ => None,
    }
}

fn network(shown: &str) -> Option<IpNetwork> {
    shown.parse().ok()
}

fn ports(shown: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = shown.split_once(':').unwrap_or((shown, shown));
    Some(first.parse().ok()?..=last.parse().ok()?)
}
