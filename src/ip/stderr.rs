//! What `ip`, `bridge` and `sysctl` say on stderr, told apart (`LC_ALL=C`).
//!
//! The same text can mean different things (`File exists` is said of links, addresses and routes), so
//! a kind is never more than a hint: what to do is decided by reading the state again.

/// What kind of failure a message tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The device is not there.
    NoDevice,
    /// The namespace is not there.
    NoNetns,
    /// The route, address, rule, table or sysctl is not there.
    NotFound,
    /// It is already there.
    Exists,
    /// Not permitted.
    Denied,
    /// No route leads there.
    Unreachable,
    /// Something else uses the device, the port or the MAC.
    Busy,
    /// A dump was interrupted: the same command may go through.
    Again,
    /// The kernel was built without it.
    Unsupported,
    /// A word was not understood; in a batch, `ip` gave up the rest.
    Usage,
    /// Anything else.
    Other,
}

/// One failed line of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The line of the batch, counted from 1; `None` where `ip` named none.
    pub line: Option<usize>,
    /// What it said, joined to one line.
    pub message: String,
}

impl Failure {
    /// What kind of failure it is.
    pub fn kind(&self) -> Kind {
        kind(&self.message)
    }
}

/// Kinds and the words of their messages, first match wins; `*` is any text in between. Each was seen with
/// iproute2 6.1.0 on Linux 6.18 (tests/golden/stderr). No regular expressions: these would take a millisecond to
/// compile, and an ADD meets a message each time, since the interface is not there yet.
const KINDS: [(Kind, &[&str]); 10] = [
    (Kind::Again, &["interrupted", "Interrupted"]),
    (Kind::Busy, &["Device or resource busy", "already in use"]),
    (
        Kind::NoNetns,
        &[
            "Cannot open network namespace",
            "setting the network namespace *Invalid",
            "nsenter: cannot open",
            "nsenter: reassociate *Invalid",
            "Invalid \"netns\" value",
        ],
    ),
    (
        Kind::NoDevice,
        &[
            "Cannot find device",
            "Device * does not exist",
            "No such device",
        ],
    ),
    (
        Kind::Exists,
        &["File exists", "already exists", "already assigned"],
    ),
    (
        Kind::Denied,
        &[
            "Operation not permitted",
            "Permission denied",
            "permission denied",
        ],
    ),
    (Kind::Unsupported, &["Operation not supported"]),
    (
        Kind::Unreachable,
        &["Network is unreachable", "No route to host"],
    ),
    (
        Kind::NotFound,
        &[
            "Not found",
            "not found",
            "No such process",
            "No such file or directory",
            "does not exist",
            "Cannot assign requested",
        ],
    ),
    (
        Kind::Usage,
        &[
            "is wrong",
            "is expected rather",
            "is unknown",
            "garbage",
            "duplicate",
            "is invalid",
        ],
    ),
];

/// Whether a message has these words, in their order.
fn has(message: &str, words: &str) -> bool {
    let mut rest = message;
    words.split('*').all(|part| match rest.split_once(part) {
        Some((_, behind)) => {
            rest = behind;
            true
        }
        None => false,
    })
}

/// What kind of failure a message tells of.
pub fn kind(message: &str) -> Kind {
    let says = |(_, all): &&(Kind, &[&str])| all.iter().any(|words| has(message, words));
    KINDS
        .iter()
        .find(says)
        .map_or(Kind::Other, |(kind, _)| *kind)
}

/// A line that is said beside the matter by a command that goes on: the kernel's warnings of what it has done all the
/// same (`Warning: ...`), iproute2's own (`WARNING: 'a' matches 'address' by prefix.`), and `info: ...` (6.16 and later).
const REMARKS: [&str; 3] = ["info: ", "note: ", "warning: "];

/// The lines that tell of a failure. A list that was interrupted is one, however it is told.
fn told(stderr: &str) -> impl Iterator<Item = &str> {
    let is_remark = |line: &str| {
        let starts = |remark: &&str| {
            line.get(..remark.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(remark))
        };
        REMARKS.iter().any(starts) && kind(line) != Kind::Again
    };
    stderr
        .lines()
        .map(str::trim)
        .filter(move |line| !line.is_empty() && !is_remark(line))
}

/// What a single command says of its failure, joined to one line.
pub fn message(stderr: &str) -> String {
    join(&mut told(stderr).collect())
}

/// Reads the failures of a batch: the lines up to each `Command failed -:N` belong to line N, but for what is said
/// beside the matter, which may be of another line.
///
/// What follows the last of them belongs to no line; `ip` ends so when it cannot read a word.
pub fn failures(stderr: &str) -> Vec<Failure> {
    let mut failures = Vec::new();
    let mut said = Vec::new();
    for line in told(stderr) {
        match failed_line(line) {
            Some(number) => failures.push(Failure {
                line: Some(number),
                message: match &said[..] {
                    [] => "it failed without a word".to_owned(),
                    _ => join(&mut said),
                },
            }),
            None => said.push(line),
        }
    }
    if !said.is_empty() {
        failures.push(Failure {
            line: None,
            message: join(&mut said),
        });
    }
    failures
}

/// The number in `Command failed -:7`: the seventh line of a batch read from stdin.
fn failed_line(line: &str) -> Option<usize> {
    let (_, number) = line.strip_prefix("Command failed ")?.split_once(':')?;
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| number.parse().ok())?
}

/// The same text with the lines of a batch counted from behind the first so many: they belong to what was asked before.
pub fn renumbered(stderr: &str, before: usize) -> String {
    if before == 0 {
        return stderr.to_owned();
    }
    let line = |line: &str| match failed_line(line.trim_end_matches('\n')) {
        Some(number) => format!("Command failed -:{}\n", number.saturating_sub(before)),
        None => line.to_owned(),
    };
    stderr.split_inclusive('\n').map(line).collect()
}

/// Takes what was said so far as one line.
fn join(said: &mut Vec<&str>) -> String {
    std::mem::take(said).join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failed_line_of_a_batch_gets_what_was_said_before_it() {
        let stderr = "Device \"nope\" does not exist.\nCommand failed -:1\n\
                      RTNETLINK answers: File exists\nCommand failed -:12\n";
        let found = failures(stderr);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].line, found[0].kind()), (Some(1), Kind::NoDevice));
        assert_eq!((found[1].line, found[1].kind()), (Some(12), Kind::Exists));
    }

    #[test]
    fn a_namespace_that_is_going_is_told_from_a_command_that_is_wrong() {
        for message in [
            "Cannot open network namespace \"p\": No such file or directory",
            // `ip netns del` has unmounted it and not yet removed its file.
            "setting the network namespace \"p\" failed: Invalid argument",
            "nsenter: cannot open /proc/17/ns/net: No such file or directory",
            "nsenter: reassociate to namespace 'ns/net' failed: Invalid argument",
        ] {
            assert_eq!(kind(message), Kind::NoNetns, "{message}");
        }
    }

    #[test]
    fn a_message_without_a_line_is_not_lost() {
        let found = failures("Error: any valid prefix is expected rather than \"10.1.0.1/99\".\n");
        assert_eq!((found[0].line, found[0].kind()), (None, Kind::Usage));
    }

    #[test]
    fn what_is_said_beside_the_matter_is_no_failure_and_in_no_failures_message() {
        for remark in [
            "info: something is not as it was",
            "Warning: device already configured with other options.",
            "WARNING: 'addr' matches 'address' by prefix.",
            "Note: the table is large",
        ] {
            assert_eq!(failures(remark), []);
            assert_eq!(message(remark), "");
            let stderr = format!(
                "{remark}\nCannot find device \"a\"\n{remark}\nCommand failed -:2\n{remark}\n\
                 {remark}\nCommand failed -:4\n{remark}\n"
            );
            let told = |line, message: &str| Failure {
                line: Some(line),
                message: message.to_owned(),
            };
            let wanted = [
                told(2, "Cannot find device \"a\""),
                told(4, "it failed without a word"),
            ];
            assert_eq!(failures(&stderr), wanted);
            // A list that changed while it was read has to be read again.
            let interrupted = format!("{remark}\nDump was interrupted and may be inconsistent.\n");
            assert_eq!(failures(&interrupted)[0].kind(), Kind::Again);
        }
        let warned = "Warning: the dump was interrupted.";
        assert_eq!(failures(warned)[0].kind(), Kind::Again);
        // It only looks like one.
        assert_eq!(failures("info is unknown").len(), 1);
    }

    #[test]
    fn words_of_a_kind_come_in_their_order() {
        assert!(has(
            "Device \"a\" does not exist",
            "Device * does not exist"
        ));
        assert!(!has(
            "it does not exist: Device ",
            "Device * does not exist"
        ));
        assert_eq!(failed_line("Command failed -:12"), Some(12));
        for other in [
            "Command failed -:",
            "Command failed -:x",
            "Command failed -:1 ",
            "Command failed",
        ] {
            assert_eq!(failed_line(other), None, "{other:?}");
        }
    }
}
