//! A command: the same words by every way, and nothing in them that could be more than a word.

use vxlan_cni::ip::batch::{Batch, OnError};
use vxlan_cni::ip::{Command, Netns, Program};
use vxlan_cni::plan::Step;

/// What a command must be, in each kind of namespace.
pub fn is_sound(command: &Command) {
    for word in command.words() {
        assert!(
            !word.is_empty() && !word.contains(char::is_control),
            "{command:?}"
        );
    }
    match command.program() {
        Program::Sysctl => return switches_are_sound(command),
        Program::Nft => return transaction_is_sound(command),
        Program::Ip | Program::Bridge => {}
    }
    assert_eq!(
        split_as_ip(&command.batch_line()),
        command.words(),
        "{command:?}"
    );
    let value = |word: &&String| word.starts_with('-');
    assert_eq!(command.words().iter().find(value), None, "{command:?}");
    let batch = Batch::new(&Netns::Own, OnError::Stop, vec![command.clone()]);
    assert_eq!(batch.stdin().lines().count(), 1, "{command:?}");
}

/// `sysctl` takes a word with `=` as a change, up to the first one as the key, and the key's first
/// separator as the one that is meant (procps-ng, `src/sysctl.c`, `slashdot`).
fn switches_are_sound(command: &Command) {
    let (option, switches) = command.words().split_first().unwrap();
    assert!(option == "-n" || option == "-qw", "{command:?}");
    for switch in switches {
        let (key, value) = switch.split_once('=').unwrap_or((switch, "0"));
        assert_eq!(switch.contains('='), option == "-qw", "{command:?}");
        assert!(value.parse::<u32>().is_ok(), "{command:?}");
        let slashes = key
            .find(['.', '/'])
            .is_some_and(|at| key[at..].starts_with('/'));
        let parts: Vec<&str> = key.split(if slashes { '/' } else { '.' }).collect();
        assert!(parts.len() == 3 || parts.len() == 5, "{command:?}");
    }
}

/// `nft` gets a question, or one word that is a transaction: statements about a table of ours and no other's,
/// whatever the names in them are; `nft` ends a statement at a `;` outside of quotes and braces.
fn transaction_is_sound(command: &Command) {
    let [script] = command.words() else {
        let question = ["-j", "list", "table"];
        assert_eq!(command.words()[..3], question, "{command:?}");
        return;
    };
    let (mut is_quoted, mut depth) = (false, 0);
    let statements = script.split(|letter| {
        is_quoted ^= letter == '"';
        depth += match letter {
            '{' if !is_quoted => 1,
            '}' if !is_quoted => -1,
            _ => 0,
        };
        letter == ';' && !is_quoted && depth == 0
    });
    for statement in statements {
        let words: Vec<&str> = statement.split_whitespace().collect();
        let [verb, object, family, table] = words[..4] else {
            panic!("{statement}");
        };
        assert!(["add", "flush", "delete"].contains(&verb), "{statement}");
        assert!(["table", "chain", "rule"].contains(&object), "{statement}");
        assert!(["inet", "netdev"].contains(&family), "{statement}");
        assert_eq!(table, "vxlan_cni", "{statement}");
    }
    assert!(!is_quoted && depth == 0, "{command:?}");
}

/// Each step of a plan, and what takes it back.
pub fn are_sound(steps: &[Step]) {
    for step in steps {
        is_sound(&step.command);
        step.undo.iter().for_each(|(_, undo)| is_sound(undo));
        assert!(!step.because.contains(char::is_control), "{step:?}");
    }
}

/// Splits a line as `ip -batch` does (iproute2 6.1, `lib/utils.c`, `makeargs`): at blanks; a word that
/// starts with a quote goes up to the next one; `#` ends the line.
pub fn split_as_ip(line: &str) -> Vec<String> {
    let blank = |c: char| " \t\r\n".contains(c);
    let mut words = Vec::new();
    let mut rest = line.split('#').next().unwrap_or_default();
    loop {
        rest = rest.trim_start_matches(blank);
        let (word, behind) = match rest.chars().next() {
            None => return words,
            Some(quote @ ('"' | '\'')) => rest[1..].split_once(quote).unwrap(),
            Some(_) => rest.split_at(rest.find(blank).unwrap_or(rest.len())),
        };
        words.push(word.to_owned());
        rest = behind;
    }
}
