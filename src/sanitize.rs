//! What came from outside, made fit to be shown in a message, a log line or an error.
//!
//! A word that `ip` and `cni` share, so that neither has to know the other.

/// The most characters of a foreign text that are shown.
const MOST: usize = 64;

/// Makes a hostile text safe to show: escapes control characters and cuts it at 64 characters.
pub fn printable(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(MOST)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().count() > MOST {
        shown.push_str("...");
    }
    shown
}

/// Makes a text of many parts one line that no terminal, log or event is taken over by: escapes what
/// controls one and leaves the rest as it is, quotes too; cuts it at `most` characters, as they are shown.
pub fn one_line(text: &str, most: usize) -> String {
    let (mut shown, mut length) = (String::with_capacity(text.len().min(most)), 0);
    for c in text.chars() {
        let escaped = controls(c).then(|| c.escape_debug());
        length += escaped.as_ref().map_or(1, ExactSizeIterator::len);
        if length > most {
            shown.push_str("...");
            break;
        }
        match escaped {
            Some(escaped) => shown.extend(escaped),
            None => shown.push(c),
        }
    }
    shown
}

/// Control characters, and those that end a line or turn around the text behind them (Unicode, UAX #9).
fn controls(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_long_texts_cut() {
        assert_eq!(printable("a\nb\u{1b}[0m"), r"a\nb\u{1b}[0m");
        assert_eq!(printable(&"x".repeat(64)), "x".repeat(64));
        assert_eq!(printable(&"x".repeat(65)), "x".repeat(64) + "...");
    }

    #[test]
    fn a_line_keeps_its_quotes_and_loses_what_takes_over_a_terminal() {
        let text = "`ip link` said \"no\"\n\u{1b}[2J\u{9b}31m\u{202e}txet\u{2028}";
        let shown = r#"`ip link` said "no"\n\u{1b}[2J\u{9b}31m\u{202e}txet\u{2028}"#;
        assert_eq!(one_line(text, 100), shown);
        assert_eq!(one_line("abc", 3), "abc");
        assert_eq!(one_line("abcd", 3), "abc...");
        assert_eq!(one_line(&"\n".repeat(5), 5), "\\n\\n...");
    }
}
