//! A journal that was written is read back as it was, and whatever else is in the file harms nobody.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use vxlan_cni::deed::act::Act;
use vxlan_cni::deed::{self, Deed, standing};
use vxlan_cni::ip::command::{shell_line, shell_words};
use vxlan_cni::journal::{Journal, read};

use crate::tried;

/// A folder of a case's own, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("vxlan-cni-journal-law-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a verb may do to the journal next.
#[derive(Debug, Clone)]
enum Write {
    Commands(Vec<Vec<String>>),
    Remark(String),
}

fn write() -> impl Strategy<Value = Write> {
    let command = prop::collection::vec("[a-z0-9./:=' $;#\"\\\\-]{1,12}", 1..5);
    prop_oneof![
        3 => prop::collection::vec(command, 1..4).prop_map(Write::Commands),
        1 => "[^\\p{C}]{0,40}".prop_map(Write::Remark),
    ]
}

/// Which of the verbs that run at the same time writes what.
fn writes() -> impl Strategy<Value = Vec<(usize, Write)>> {
    prop::collection::vec((0..VERBS.len(), write()), 0..24)
}

/// Verbs that run at the same time, each of another container.
const VERBS: [(&str, &str); 4] = [
    ("ADD blue a/eth0", " pod=shop/web because=annotation x"),
    ("DEL - b/eth0", ""),
    ("ADD ok c/net1", " pod=ok/1"),
    ("RECONCILE", ""),
];

/// Lines of a journal, or nearly.
fn lines() -> impl Strategy<Value = Vec<String>> {
    let title = "# 20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z \
                 (ADD|DEL|GC)( (blue|-|ok|failed)( (a/eth0|-|/|1)( (ok|failed|pod=x)( [0-9]{1,3}\\.[0-9]( ms( x)?)?)?)?)?)?";
    let command = "ip( -n a)?( -6)? (link|route|rule|addr|neigh)( (add|del|set|replace))?\
                   ( (name|dev|link|netns|type|vxlan|a|b|eth0|10\\.1\\.0\\.9/16)){0,6}";
    prop::collection::vec(prop_oneof![title, command, ".{0,30}"], 0..40)
}

proptest! {
    #![proptest_config(tried())]

    #[test]
    fn what_verbs_write_at_the_same_time_is_read_back_verb_by_verb(writes in writes()) {
        let folder = Folder::new();
        let path = folder.0.join("log");
        let journals = VERBS.map(|(subject, notes)| Journal::new(&path, subject, notes));
        let mut written: [Vec<String>; 4] = Default::default();
        for (verb, write) in &writes {
            match write {
                Write::Commands(commands) => {
                    let lines: Vec<String> = commands.iter().map(|words| shell_line(words)).collect();
                    journals[*verb].commands(&lines);
                    written[*verb].extend(lines);
                }
                Write::Remark(text) => journals[*verb].remark(text),
            }
        }
        journals.iter().for_each(|journal| journal.end("ok 10.1.0.9/16"));
        let deeds = read::read(&path).unwrap();
        prop_assert_eq!(deeds.len(), VERBS.len());
        for ((subject, _), lines) in VERBS.iter().zip(&written) {
            let deed = deeds.iter().find(|deed| deed.subject().starts_with(subject.trim_end_matches(" -")));
            let deed = deed.unwrap();
            let read: Vec<&String> = deed.commands().map(|line| &line.text).collect();
            prop_assert_eq!(read, lines.iter().collect::<Vec<_>>());
            prop_assert!(deed.end.as_ref().is_some_and(|end| end.ok && end.rest == "10.1.0.9/16"));
        }
    }

    #[test]
    fn whatever_is_in_a_journal_is_read_and_no_line_is_given_twice(lines in lines()) {
        let deeds = deed::read(lines.iter().map(String::as_str));
        let mut seen: Vec<usize> = deeds.iter().flat_map(|deed| &deed.lines).map(|line| line.position).collect();
        let all = seen.len();
        seen.sort_unstable();
        seen.dedup();
        prop_assert_eq!(seen.len(), all);
        prop_assert!(all <= lines.len());
        let wanted: Vec<&Deed> = deeds.iter().filter(|deed| deed.id.is_some()).collect();
        let standing = standing::of_verbs(&deeds, usize::MAX, &wanted);
        for (_, line) in standing::lines(&standing) {
            prop_assert!(Act::of(&line).is_some(), "{}", line);
        }
        for deed in &deeds {
            prop_assert!(deed.to_json().is_object() && !deed.text().is_empty());
        }
    }

    #[test]
    fn words_are_the_same_words_after_a_shells_line(words in prop::collection::vec("[^\\p{C}]{0,12}", 1..6)) {
        prop_assert_eq!(shell_words(&shell_line(&words)), Some(words));
    }
}
