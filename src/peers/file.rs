//! Peers in a file: one address a line; what is behind a `#`, and an empty line, is no address.

use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::Path;

use crate::cni::{CniError, Code};
use crate::sanitize::printable;

/// The longest file in bytes: an address has at most 39, so these are a hundred thousand nodes.
const LONGEST: u64 = 4 << 20;

/// Reads the addresses.
///
/// # Errors
/// Code 11 for a file that cannot be read, 7 for a line that is no address.
pub fn read(path: &Path) -> Result<Vec<IpAddr>, CniError> {
    let text = text(path).map_err(|error| {
        let msg = format!("cannot read {}: {error}", path.display());
        CniError::new(Code::TRY_AGAIN, msg).details(format!("ls -l {}", path.display()))
    })?;
    addresses(&text).map_err(|(line, seen)| {
        let shown = printable(&seen);
        let msg = format!(
            "{}:{line}: wanted the address of a node on the underlay, seen `{shown}`",
            path.display()
        );
        let advice = "one address a line, without a length; # begins a comment";
        CniError::new(Code::INVALID_CONFIGURATION, msg).details(advice)
    })
}

/// A link is followed, as those are by which Kubernetes mounts a ConfigMap; a FIFO is not waited for.
fn text(path: &Path) -> io::Result<String> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut text = String::new();
    File::open(path)?
        .take(LONGEST + 1)
        .read_to_string(&mut text)?;
    match text.len() as u64 > LONGEST {
        false => Ok(text),
        true => Err(io::Error::other("it is longer than any list of nodes")),
    }
}

/// The addresses, or the first line that is none, with its number from 1.
fn addresses(text: &str) -> Result<Vec<IpAddr>, (usize, String)> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let bare = line.split('#').next().unwrap_or_default().trim();
        match bare.parse() {
            _ if bare.is_empty() => {}
            Ok(address) => found.push(address),
            Err(_) => return Err((index + 1, bare.to_owned())),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_line_is_an_address_or_a_comment_and_what_is_neither_is_named_with_its_line() {
        let wanted: Vec<IpAddr> =
            vec!["198.18.0.1".parse().unwrap(), "198.18.0.2".parse().unwrap()];
        let text = "# nodes\n198.18.0.1\r\n\n  198.18.0.2 # second";
        assert_eq!(addresses(text), Ok(wanted));
        let wrong = addresses("198.18.0.1\n198.18.0.2/24\n");
        assert_eq!(wrong, Err((2, "198.18.0.2/24".to_owned())));
        assert!(
            read(Path::new("/proc"))
                .unwrap_err()
                .msg
                .contains("regular file")
        );
        assert!(
            read(Path::new("/nowhere"))
                .unwrap_err()
                .msg
                .contains("/nowhere")
        );
    }
}
