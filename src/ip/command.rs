//! One command as data: printed as the line to paste, handed over as argv, or written into a batch.
//!
//! Commands are built in the sibling modules only, from types that have been checked; here is no
//! way to put a raw string into one.

use std::fmt;

use super::name::Family;
use super::netns::Netns;

/// The programs that are run: those of iproute2 and procps, and nftables' own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Program {
    /// `ip`, iproute2.
    Ip,
    /// `bridge`, iproute2; for forwarding entries (`bridge fdb`).
    Bridge,
    /// `sysctl`, procps; `ip` sets no sysctl.
    Sysctl,
    /// `nft`, nftables.
    Nft,
}

impl Program {
    /// The name it is started by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Bridge => "bridge",
            Self::Sysctl => "sysctl",
            Self::Nft => "nft",
        }
    }
}

/// One command: a program, its address family where the program must be told, and its words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Command {
    program: Program,
    family: Option<Family>,
    detailed: bool,
    words: Vec<String>,
}

impl Command {
    /// Starts a command of a program with its fixed words.
    pub(in crate::ip) fn new(program: Program, words: &[&str]) -> Self {
        Self {
            program,
            family: None,
            detailed: false,
            words: words.iter().map(|&word| word.to_owned()).collect(),
        }
    }

    /// Starts an `ip` command.
    pub(in crate::ip) fn ip(words: &[&str]) -> Self {
        Self::new(Program::Ip, words)
    }

    /// A transaction of `nft`, as one word: what is in it was made of types, and it never gets into a batch.
    pub(crate) fn nft(script: String) -> Self {
        Self {
            words: vec![script],
            ..Self::new(Program::Nft, &[])
        }
    }

    /// `nft -j list table FAMILY NAME`.
    pub(crate) fn nft_list(table: &str) -> Self {
        let words = table.split(' ');
        words.fold(
            Self::new(Program::Nft, &["-j", "list", "table"]),
            Self::word,
        )
    }

    /// Selects the family by option. Only IPv6 rules need it: `ip` reads every other command's
    /// family from its addresses (iproute2 6.1: `ip rule add from fd00::/64` is "Invalid source address").
    pub(in crate::ip) fn family(mut self, family: Family) -> Self {
        self.family = Some(family);
        self
    }

    /// Lets `ip` tell the details of a device's kind. A batch always does; pasted, the line must say so.
    pub(in crate::ip) fn detailed(mut self) -> Self {
        self.detailed = true;
        self
    }

    /// Adds one word; an empty one would vanish from a batch line and is a programming error.
    pub(in crate::ip) fn word(mut self, word: impl ToString) -> Self {
        let word = word.to_string();
        debug_assert!(is_word(&word), "not a word: {word:?}");
        self.words.push(word);
        self
    }

    /// Adds a keyword and its value.
    pub(in crate::ip) fn pair(self, keyword: &str, value: impl ToString) -> Self {
        self.word(keyword).word(value)
    }

    /// Adds a keyword and its value where there is one.
    pub(in crate::ip) fn maybe(self, keyword: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.pair(keyword, value),
            None => self,
        }
    }

    /// Adds a word where a condition holds.
    pub(in crate::ip) fn when(self, condition: bool, word: &str) -> Self {
        if condition { self.word(word) } else { self }
    }

    /// The program that carries it out.
    pub fn program(&self) -> Program {
        self.program
    }

    /// The family that has to be selected by option, if any; such commands share no batch with others.
    pub fn selected_family(&self) -> Option<Family> {
        self.family
    }

    /// The words behind the program's name and its options.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The command as a line of a batch file (`ip -batch`, `bridge -batch`), without the newline.
    ///
    /// A batch file splits at white space, takes a word that starts with a quote up to the next one,
    /// drops everything behind `#`, and knows no escapes (iproute2 `lib/utils.c`, `makeargs`); so a
    /// word with a space is put in quotes, and the types let no quote, `#` or newline get here.
    pub fn batch_line(&self) -> String {
        let quoted = |word: &String| match word.contains(' ') {
            true => format!("\"{word}\""),
            false => word.clone(),
        };
        self.words.iter().map(quoted).collect::<Vec<_>>().join(" ")
    }

    /// The argv that runs it in a namespace, program first: what [`Command::shown_in`] shows.
    pub fn argv_in(&self, netns: &Netns) -> Vec<String> {
        let mut argv = netns.prefix(self.program);
        argv.extend(self.family.map(|family| family.option().to_owned()));
        argv.extend(self.detailed.then(|| "-d".to_owned()));
        argv.extend(self.words.iter().cloned());
        argv
    }

    /// The line that one would paste into a shell to run it in a namespace.
    pub fn shown_in(&self, netns: &Netns) -> String {
        shell_line(&self.argv_in(netns))
    }
}

/// Prints the pasteable line for the namespace in which the reader is.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown_in(&Netns::Own))
    }
}

/// Joins words into one line that a POSIX shell splits into the same words.
pub fn shell_line(words: &[String]) -> String {
    words
        .iter()
        .map(|word| shell_word(word))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The words of a line that [`shell_line`] made; none for a line that a shell would read otherwise.
pub fn shell_words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (word, behind) = first_word(rest)?;
        words.push(word);
        rest = behind;
    }
    Some(words)
}

/// The first word of a line, and what stands behind the space after it.
fn first_word(line: &str) -> Option<(String, &str)> {
    let (mut word, mut rest) = (String::new(), line);
    loop {
        let stop = rest.find(['\'', ' ', '\\']).unwrap_or(rest.len());
        if !rest[..stop].chars().all(is_plain) {
            return None;
        }
        word += &rest[..stop];
        rest = &rest[stop..];
        if let Some(behind) = rest.strip_prefix(r"\'") {
            word.push('\'');
            rest = behind;
        } else if let Some(behind) = rest.strip_prefix('\'') {
            let (quoted, behind) = behind.split_once('\'')?;
            word += quoted;
            rest = behind;
        } else if rest.starts_with('\\') {
            return None;
        } else {
            // Two spaces are one to a shell.
            let read = rest.len() < line.len();
            return read.then(|| (word, rest.strip_prefix(' ').unwrap_or(rest)));
        }
    }
}

/// Whether a shell takes a character for itself wherever it stands in a word.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-./:=,@+%".contains(c)
}

/// Quotes a word for a POSIX shell where it needs it.
fn shell_word(word: &str) -> String {
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// Whether a text can be carried both by argv and by a batch line.
pub(in crate::ip) fn is_word(text: &str) -> bool {
    !text.is_empty()
        && !text
            .chars()
            .any(|c| c.is_control() || "#\"'\\`".contains(c))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sample() -> Command {
        Command::ip(&["link", "set"])
            .pair("dev", "a;b")
            .when(true, "up")
    }

    #[test]
    fn a_command_prints_itself_as_the_line_one_would_paste() {
        assert_eq!(sample().to_string(), "ip link set dev 'a;b' up");
        assert_eq!(sample().batch_line(), "link set dev a;b up");
    }

    #[test]
    fn a_family_that_must_be_selected_stands_before_the_object() {
        let rule = Command::ip(&["rule", "show"]).family(Family::V6);
        assert_eq!(rule.to_string(), "ip -6 rule show");
        assert_eq!(rule.batch_line(), "rule show");
    }

    #[test]
    fn a_shell_gets_back_every_word_as_it_was() {
        let words = ["a b", "it's", "", "$(id)", "x\"y", "plain"].map(String::from);
        assert_eq!(
            shell_line(&words),
            r#"'a b' 'it'\''s' '' '$(id)' 'x"y' plain"#
        );
        assert_eq!(shell_words(&shell_line(&words)).unwrap(), words);
    }

    #[test]
    fn a_line_with_more_than_words_is_not_taken_for_one() {
        for line in [
            "ip link; reboot",
            "ip $(id)",
            "ip `id`",
            "ip > /x",
            "ip 'open",
            "ip a\\ b",
            "ip &",
            "ip \"x\"",
            "ip *",
            "~/x",
            "a  b",
        ] {
            assert_eq!(shell_words(line), None, "{line}");
        }
        assert_eq!(shell_words("").unwrap(), [""; 0]);
    }
}
