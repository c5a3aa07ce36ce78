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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_long_texts_cut() {
        assert_eq!(printable("a\nb\u{1b}[0m"), r"a\nb\u{1b}[0m");
        assert_eq!(printable(&"x".repeat(64)), "x".repeat(64));
        assert_eq!(printable(&"x".repeat(65)), "x".repeat(64) + "...");
    }
}
