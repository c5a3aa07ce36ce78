//! Several commands in one process: `ip -j -d -N [-force] -batch -`, and what came of each line.
//!
//! Pure: makes the argv and the text for stdin, and reads stdout and stderr afterwards. Commands that
//! need `-6` share no batch with others, and one batch knows one namespace.

use std::time::Duration;

use serde_json::Value;
use thiserror::Error;

use super::command::{Command, Program, shell_line};
use super::json::{self, JsonError};
use super::name::Family;
use super::netns::Netns;
use super::stderr::{Failure, Kind, failures, kind};

/// Lines for one program in one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Where it runs.
    pub netns: Netns,
    /// Whether a failing line ends it.
    pub on_error: OnError,
    lines: Vec<Command>,
    pauses: Vec<Pause>,
    /// Whether its process gets more lines later.
    pub stays_open: bool,
}

/// How long a batch pauses, and how many lines come before: the last of them is [`MARK`].
pub type Pause = (Duration, usize);

/// What tells that everything up to a pause is carried out: `ip -j` prints the answer to `link show dev lo` as
/// soon as it has it (iproute2 flushes behind each document).
pub const MARK: &str = r#""ifname":"lo""#;

/// The last line of each part of a conversation. Not [`MARK`]'s: behind a `link show` `ip` shows no addresses any more
/// (iproute2 5.9 to 7.3: the family that it has set for itself stays for the rest of the batch).
pub const LAST_LINE: &str = "addr show dev lo";

/// What a batch does after a line that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// Stops: earlier lines stay, later ones do not run.
    Stop,
    /// Tries every line (`-force`).
    Continue,
}

/// Why what a batch printed cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BatchError {
    /// Something on stdout is not JSON.
    #[error(transparent)]
    NotJson(#[from] JsonError),
    /// More or fewer documents than lines that read something.
    #[error("`{program} -batch` answered {seen} of {wanted} questions")]
    Shifted {
        /// The program.
        program: &'static str,
        /// Documents printed.
        seen: usize,
        /// Documents expected.
        wanted: usize,
    },
}

/// What came of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// One for each line: the document it printed, if it is one that prints.
    pub documents: Vec<Option<Value>>,
    /// The lines that failed.
    pub failures: Vec<Failure>,
    /// The exit code; `None`: killed.
    pub code: Option<i32>,
}

impl Batch {
    /// Puts lines of one program and family together.
    ///
    /// Empty, or of several kinds, is a programming error.
    pub fn new(netns: &Netns, on_error: OnError, lines: Vec<Command>) -> Self {
        debug_assert!(!lines.is_empty());
        debug_assert!(lines.iter().all(|line| kind_of(line) == kind_of(&lines[0])));
        Self {
            netns: netns.clone(),
            on_error,
            lines,
            pauses: Vec::new(),
            stays_open: false,
        }
    }

    /// The same, with pauses between its lines, in their order.
    pub fn paced(self, pauses: Vec<Pause>) -> Self {
        Self { pauses, ..self }
    }

    /// The same as one part of a conversation, where it can be one: its process waits for more lines. Behind a `link show`
    /// no addresses would be shown ([`LAST_LINE`]).
    pub fn staying_open(self) -> Self {
        let first = self.lines.first().map(Command::program);
        let shows_links = |line: &Command| {
            line.words()
                .starts_with(&["link", "show"].map(str::to_owned))
        };
        Self {
            stays_open: first == Some(Program::Ip) && !self.lines.iter().any(shows_links),
            ..self
        }
    }

    /// The numbers of its lines that print a document, counted from 1.
    pub fn reads(&self) -> Vec<usize> {
        let lines = self.lines.iter().zip(1..);
        let reads = lines.filter(|(line, _)| is_read(line));
        reads.map(|(_, number)| number).collect()
    }

    /// The commands, one a line.
    pub fn lines(&self) -> &[Command] {
        &self.lines
    }

    /// The argv that starts it; it reads its lines from stdin, and `sysctl` and `nft` what they change. These two
    /// answer no batch: several questions to `sysctl` are one line with all their keys, `nft` gets one.
    pub fn argv(&self) -> Vec<String> {
        let Some(first) = self.lines.first() else {
            return Vec::new();
        };
        if !is_read(first) || matches!(first.program(), Program::Ip | Program::Bridge) {
            return argv(&self.netns, kind_of(first), self.on_error);
        }
        let more = self.lines.iter().skip(1);
        let more = more.flat_map(|line| line.words().iter().skip(1).cloned());
        let mut argv = self.netns.entry(first.program());
        argv.extend(first.words().iter().cloned());
        argv.into_iter().chain(more).collect()
    }

    /// The line to paste: that of a change which is read from stdin by itself; of several commands the one that starts them.
    pub fn shown(&self) -> String {
        match &self.lines[..] {
            [line] if matches!(line.program(), Program::Sysctl | Program::Nft) => {
                line.shown_in(&self.netns)
            }
            _ => shell_line(&self.argv()),
        }
    }

    /// What it reads from stdin, up to the first pause.
    pub fn stdin(&self) -> String {
        let end = self
            .pauses
            .first()
            .map_or(self.lines.len(), |(_, end)| *end);
        self.text(0, end)
    }

    /// What it reads behind each pause, and how long that is.
    pub fn later(&self) -> Vec<(Duration, String)> {
        let ends = self.pauses.iter().skip(1).map(|(_, end)| *end);
        let ends = ends.chain([self.lines.len()]);
        let parts = self.pauses.iter().zip(ends);
        parts
            .map(|((pause, start), end)| (*pause, self.text(*start, end)))
            .collect()
    }

    fn text(&self, start: usize, end: usize) -> String {
        let lines = self.lines[start..end].iter();
        lines.map(text).collect()
    }

    /// Tells from stdout, stderr and exit code (`None`: killed) what came of each line.
    ///
    /// A line that failed printed no document, so the documents behind it move up; lines that change
    /// something print none.
    ///
    /// # Errors
    /// [`BatchError`] when the documents cannot be matched to their lines.
    pub fn answers(
        &self,
        code: Option<i32>,
        stdout: &[u8],
        stderr: &str,
    ) -> Result<Answers, BatchError> {
        let failures = self.told_failures(code, stderr);
        let failed = |line: usize| failures.iter().any(|failure| failure.line == Some(line));
        let last = match (self.on_error, failures.first()) {
            (
                OnError::Stop,
                Some(Failure {
                    line: Some(line), ..
                }),
            ) => *line,
            _ => self.lines.len(),
        };
        let mut printed = json::documents(stdout)?.into_iter();
        let (seen, mut wanted) = (printed.len(), 0);
        let mut answer = |(index, line): (usize, &Command)| {
            let reads = is_read(line) && index < last && !failed(index + 1);
            wanted += usize::from(reads);
            reads.then(|| printed.next()).flatten()
        };
        let documents = self.lines.iter().enumerate().map(&mut answer).collect();
        // Where `ip` gave up without naming a line it is unknown how far it came: the failure is told anyway.
        let gave_up = failures.iter().any(|failure| failure.line.is_none());
        match seen == wanted || gave_up {
            true => Ok(Answers {
                documents,
                failures,
                code,
            }),
            false => Err(BatchError::Shifted {
                program: self.lines[0].program().name(),
                seen,
                wanted,
            }),
        }
    }

    /// The failures that stderr tells, less what is no failure; one without a line where the exit
    /// code alone tells of it.
    fn told_failures(&self, code: Option<i32>, stderr: &str) -> Vec<Failure> {
        let mut told = failures(stderr);
        if code == Some(0) {
            // A warning; but an interrupted dump exits 0 and is incomplete (libnetlink, NLM_F_DUMP_INTR).
            told.retain(|failure| failure.line.is_some() || failure.kind() == Kind::Again);
        } else if told.is_empty() {
            let message = match code {
                Some(code) => format!("exit code {code} without a word"),
                None => "killed by a signal".to_owned(),
            };
            told.push(Failure {
                line: None,
                message,
            });
        }
        // `ip` that ends early because a namespace is not there has run no line at all.
        told
    }
}

/// What a process reads for one command; nothing where its argv has all of it.
fn text(line: &Command) -> String {
    match line.program() {
        Program::Sysctl | Program::Nft if is_read(line) => String::new(),
        // Its first word says that it writes.
        Program::Sysctl => line.words()[1..].join("\n") + "\n",
        Program::Nft => line.words().join(" "),
        Program::Ip | Program::Bridge => line.batch_line() + "\n",
    }
}

/// The argv that starts a process for changes, and a batch of `ip` or `bridge`, whatever its lines: it reads them
/// from stdin.
pub fn argv(
    netns: &Netns,
    (program, family): (Program, Option<Family>),
    on_error: OnError,
) -> Vec<String> {
    let mut argv = netns.entry(program);
    let mut option = |word: &str| argv.push(word.to_owned());
    if let Some(words) = match program {
        // `-w` takes its settings from the command line alone.
        Program::Sysctl => Some(["-qp", "-"]),
        Program::Nft => Some(["-f", "-"]),
        Program::Ip | Program::Bridge => None,
    } {
        words.into_iter().for_each(option);
        return argv;
    }
    family.map(Family::option).into_iter().for_each(&mut option);
    option("-j");
    if program == Program::Ip {
        option("-d");
        // Numbers, never the names that /etc/iproute2 gives tables, protocols, scopes and groups: with
        // `192 vxlans` in rt_tables a rule of ours would not be recognised (iproute2 6.1).
        option("-N");
    }
    if on_error == OnError::Continue {
        option("-force");
    }
    ["-batch", "-"].into_iter().for_each(option);
    argv
}

impl Answers {
    /// The first failure, if there is one.
    pub fn failure(&self) -> Option<&Failure> {
        self.failures.first()
    }
}

/// Program and family: what the lines of a batch have in common.
pub fn kind_of(command: &Command) -> (Program, Option<Family>) {
    (command.program(), command.selected_family())
}

/// Whether a command only reads; it then prints one document (`sysctl` a number, which is one too).
pub fn is_read(command: &Command) -> bool {
    match command.program() {
        Program::Sysctl => command.words().first().is_some_and(|word| word == "-n"),
        Program::Nft => command.words().first().is_some_and(|word| word == "-j"),
        _ => matches!(
            command.words().get(1).map(String::as_str),
            Some("show" | "get" | "pids")
        ),
    }
}

/// Whether a failed read says that what was asked for is not there, which is an answer.
pub fn says_absent(message: &str) -> bool {
    matches!(
        kind(message),
        Kind::NoDevice | Kind::NotFound | Kind::Unreachable
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ip::{addr, link};

    fn batch(on_error: OnError) -> Batch {
        let [a, b, c] = ["a", "b", "c"].map(|name| name.parse().unwrap());
        Batch::new(
            &Netns::Named("p".into()),
            on_error,
            vec![
                addr::show(&a),
                link::set(&b, &link::Setting::Up),
                addr::show(&c),
            ],
        )
    }

    #[test]
    fn a_batch_is_one_process_in_one_namespace() {
        assert_eq!(
            batch(OnError::Continue).argv(),
            [
                "nsenter",
                "--net=/var/run/netns/p",
                "ip",
                "-j",
                "-d",
                "-N",
                "-force",
                "-batch",
                "-"
            ]
        );
        assert_eq!(
            batch(OnError::Stop).stdin(),
            "addr show dev a\nlink set dev b up\naddr show dev c\n"
        );
    }

    #[test]
    fn what_is_behind_a_pause_is_said_later() {
        let ms = Duration::from_millis;
        let paced = batch(OnError::Continue).paced(vec![(ms(10), 1), (ms(30), 3)]);
        let later = vec![
            (ms(10), "link set dev b up\naddr show dev c\n".to_owned()),
            (ms(30), String::new()),
        ];
        assert_eq!(paced.stdin(), "addr show dev a\n");
        assert_eq!(paced.later(), later);
    }

    #[test]
    fn documents_go_to_the_lines_that_read() {
        let answers = batch(OnError::Stop)
            .answers(Some(0), b"[1]\n[2]\n", "")
            .unwrap();
        assert_eq!(
            answers.documents,
            [
                Some(serde_json::json!([1])),
                None,
                Some(serde_json::json!([2]))
            ]
        );
        assert_eq!(answers.failure(), None);
    }

    #[test]
    fn a_failed_read_does_not_shift_the_documents_behind_it() {
        let stderr = "Device \"a\" does not exist.\nCommand failed -:1\n";
        let answers = batch(OnError::Continue)
            .answers(Some(1), b"[2]", stderr)
            .unwrap();
        assert_eq!(
            answers.documents,
            [None, None, Some(serde_json::json!([2]))]
        );
    }

    #[test]
    fn a_batch_that_stopped_answers_nothing_behind_the_stop() {
        let stderr = "Cannot find device \"b\"\nCommand failed -:2\n";
        let answers = batch(OnError::Stop)
            .answers(Some(1), b"[1]", stderr)
            .unwrap();
        assert_eq!(
            answers.documents,
            [Some(serde_json::json!([1])), None, None]
        );
        assert_eq!(answers.failure().unwrap().line, Some(2));
    }

    #[test]
    fn a_missing_document_is_an_error_and_never_a_guess() {
        let error = batch(OnError::Stop)
            .answers(Some(0), b"[1]", "")
            .unwrap_err();
        assert_eq!(
            error,
            BatchError::Shifted {
                program: "ip",
                seen: 1,
                wanted: 2
            }
        );
        assert!(matches!(
            batch(OnError::Continue).answers(Some(0), b"[1", ""),
            Err(BatchError::NotJson(_))
        ));
    }

    #[test]
    fn b62_an_interrupted_dump_is_a_failure_though_ip_exits_0() {
        let stderr = "Dump was interrupted and may be inconsistent.\n";
        let answers = batch(OnError::Stop)
            .answers(Some(0), b"[1]\n[2]\n", stderr)
            .unwrap();
        assert_eq!(answers.failure().unwrap().kind(), Kind::Again);
    }

    #[test]
    fn a_remark_beside_a_failure_is_neither_a_failure_nor_a_reason_to_doubt_which_lines_ran() {
        let info = "info: this is new\n";
        let failed = format!("{info}Cannot find device \"b\"\n{info}Command failed -:2\n{info}");
        let answers = batch(OnError::Continue)
            .answers(Some(1), b"[1]\n[2]\n", &failed)
            .unwrap();
        let [failure] = &answers.failures[..] else {
            panic!("{answers:?}")
        };
        let message = "Cannot find device \"b\"";
        assert_eq!((failure.line, &*failure.message), (Some(2), message));
        let answers = batch(OnError::Stop)
            .answers(Some(0), b"[1]\n[2]\n", info)
            .unwrap();
        assert_eq!(answers.failures, []);
        // Nothing but a remark is not a word about the failure.
        let answers = batch(OnError::Stop).answers(Some(2), b"", info).unwrap();
        assert_eq!(
            answers.failure().unwrap().message,
            "exit code 2 without a word"
        );
        let again = format!("{info}Dump was interrupted and may be inconsistent.\n{info}");
        for code in [0, 1] {
            let answers = batch(OnError::Continue)
                .answers(Some(code), b"[1]\n[2]\n", &again)
                .unwrap();
            assert_eq!(answers.failure().unwrap().kind(), Kind::Again);
        }
    }

    #[test]
    fn a_nonzero_exit_without_a_word_is_a_failure() {
        let answers = batch(OnError::Stop).answers(None, b"", "").unwrap();
        assert_eq!(answers.failure().unwrap().message, "killed by a signal");
    }
}
