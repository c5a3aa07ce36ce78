//! Lines of a batch: which of them share a process, and what came of each.

use serde_json::Value;

use crate::cni::{CniError, Code};
use crate::ip::batch::{Answers, Batch, OnError, is_read, kind_of, says_absent};
use crate::ip::command::shell_line;
use crate::ip::route::says_no_way;
use crate::ip::stderr::{Failure, Kind};
use crate::ip::{Command, Netns, OLDEST, Program};
use crate::plan::{Observed, Read, Side, Step};

/// One line of a batch.
#[derive(Debug, Clone)]
pub enum Line {
    /// A question.
    Read(Read),
    /// A change.
    Write(Step),
}

impl Line {
    /// The command.
    pub(crate) fn command(&self) -> Command {
        match self {
            Self::Read(read) => read.command(),
            Self::Write(step) => step.command.clone(),
        }
    }

    /// Where it runs.
    pub(crate) fn side(&self) -> Side {
        match self {
            Self::Read(read) => read.side(),
            Self::Write(step) => step.side,
        }
    }
}

/// What came of lines.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The answers to the questions.
    pub seen: Observed,
    /// The changes that were made.
    pub done: Vec<Step>,
    /// What failed: the pasteable command and what it said.
    pub failures: Vec<Failed>,
}

impl Outcome {
    /// The failure after which it is unknown which of the lines ran: the process named none.
    pub fn gave_up(&self) -> Option<&Failed> {
        self.failures
            .iter()
            .find(|failed| failed.failure.line.is_none())
    }

    /// Forgets what it has seen where a list changed while it was read: every line ran, but what was read may lack
    /// something.
    pub fn without_interrupted(mut self) -> Self {
        let all = self.failures.len();
        self.failures.retain(|failed| !failed.is_interrupted());
        if self.failures.len() < all {
            self.seen = Observed::default();
        }
        self
    }
}

/// A command that failed.
#[derive(Debug, Clone)]
pub struct Failed {
    /// The pasteable line.
    pub command: String,
    /// The program that it runs.
    pub program: Program,
    /// What it said.
    pub failure: Failure,
    /// What it was for.
    pub because: Option<String>,
    /// The exit code of the process in which it ran; `None`: killed.
    pub code: Option<i32>,
}

impl Failed {
    /// Whether it failed because something else has what it asked for.
    pub fn is_in_use(&self) -> bool {
        self.failure.kind() == Kind::Busy
    }

    /// Whether an entry of a device's forwarding table that was to go has gone meanwhile.
    pub fn is_gone_entry(&self) -> bool {
        self.program == Program::Bridge && says_absent(&self.failure.message)
    }

    /// Whether it is no more than that a list changed while it was read.
    fn is_interrupted(&self) -> bool {
        self.failure.kind() == Kind::Again && self.failure.line.is_none() && self.code == Some(0)
    }

    /// The error for the runtime, with what to do about it.
    pub fn error(&self, what: &str) -> CniError {
        let because = self
            .because
            .as_deref()
            .map(|fact| format!(" (so that {fact})"))
            .unwrap_or_default();
        let code = match self.failure.kind() {
            Kind::Again => Code::TRY_AGAIN,
            _ => Code::COMMAND_FAILED,
        };
        let exit = self
            .code
            .map_or("killed".to_owned(), |code| format!("exit {code}"));
        CniError::new(code, format!("{what}: {}", self.failure.message)).details(format!(
            "`{}`{because} -> {} ({exit}); {}",
            self.command,
            self.failure.message,
            advice(self.failure.kind(), self.program)
        ))
    }
}

/// What to do where the kernel has no packet filter that could guard a network.
pub const NO_FILTER: &str = "this kernel has no nftables (CONFIG_NF_TABLES_INET): install its modules, or set \"guard\": false, where another \
     firewall keeps pods from sending vxlan";

/// What rules about what leaves a pod need.
pub const EGRESS_NEEDS: &str = "antiSpoof needs nftables 1.0.1 and Linux 5.16 (netdev egress): install them, or leave antiSpoof out";

/// What to do about a kind of failure.
fn advice(kind: Kind, program: Program) -> &'static str {
    match kind {
        // Debian's User-mode Linux 6.1: nf_tables without any family.
        Kind::Unsupported if program == Program::Nft => NO_FILTER,
        Kind::NoDevice => "see which devices there are: ip -br link",
        Kind::NoNetns => "the container is gone; see which namespaces there are: ip netns",
        Kind::Exists => {
            "another program made it: look at it and remove it, or choose another name or number"
        }
        Kind::Busy => {
            "another device has this MAC or port: see `ip -d link` and `ss -ulpn`, choose another one"
        }
        Kind::Denied => "the plugin must run as root with CAP_NET_ADMIN and CAP_SYS_ADMIN",
        Kind::Unreachable => "no route leads there: ip route",
        Kind::Again => "run it again",
        Kind::NotFound | Kind::Unsupported | Kind::Usage | Kind::Other => {
            "run the line by hand to see why; ip -V tells the version"
        }
    }
}

/// Sorts answers to their lines.
pub(crate) fn outcome(
    lines: &[Line],
    netns: &Netns,
    on_error: OnError,
    answers: Answers,
) -> Result<Outcome, CniError> {
    let mut outcome = Outcome::default();
    let code = answers.code;
    let ran = ran(&answers, on_error);
    let answered_last = answers.documents.iter().rposition(Option::is_some);
    let mut documents = answers.documents.into_iter();
    for (index, line) in lines.iter().enumerate() {
        let document = documents.next().flatten();
        let failure = answers
            .failures
            .iter()
            .find(|failure| failure.line == Some(index + 1));
        match (line, failure) {
            (Line::Read(read), Some(failure)) if is_absent(read, &failure.message) => {
                outcome.seen.take(read, None).map_err(unreadable)?;
            }
            (_, Some(failure)) => outcome.failures.push(failed(line, netns, failure, code)),
            (Line::Read(read), None) if document.is_some() => {
                outcome.seen.take(read, document).map_err(unreadable)?;
            }
            (Line::Write(step), None) if ran(index) => outcome.done.push(step.clone()),
            (Line::Read(_) | Line::Write(_), None) => {}
        }
    }
    let whole = answers
        .failures
        .iter()
        .filter(|failure| failure.line.is_none());
    // It failed behind the last question that it answered.
    let answered = answered_last.map_or(0, |index| index + 1);
    let at = lines.get(answered).or(lines.last());
    outcome
        .failures
        .extend(whole.filter_map(|failure| Some(failed(at?, netns, failure, code))));
    Ok(outcome)
}

/// Whether a failed question is answered by "not there".
fn is_absent(read: &Read, message: &str) -> bool {
    let looks_up = matches!(read, Read::Lookup(..) | Read::Source(..));
    says_absent(message) || (looks_up && says_no_way(message))
}

/// Which lines may have run: where `ip` gave up without naming one, any; else a batch that stops ran
/// nothing behind the first that failed, also where what failed is a question and "not there" the answer.
fn ran(answers: &Answers, on_error: OnError) -> impl Fn(usize) -> bool + use<> {
    let gave_up = answers
        .failures
        .iter()
        .any(|failure| failure.line.is_none());
    let first = answers.failures.iter().filter_map(|failure| failure.line);
    let last = first
        .min()
        .filter(|_| on_error == OnError::Stop && !gave_up);
    move |index| last.is_none_or(|line| index + 1 < line)
}

/// `sysctl` answers in the order of the keys and passes over those that are not there, which stderr
/// names; it numbers no line.
pub(crate) fn sysctl_outcome(lines: &[Line], netns: &Netns, answers: Answers) -> Outcome {
    let mut outcome = Outcome::default();
    let code = answers.code;
    let absent = |read: &Read| match (read, answers.failure()) {
        (Read::Sysctl(_, key), Some(failure)) => {
            failure.message.contains(&*key.path().to_string_lossy())
        }
        _ => false,
    };
    let mut values = answers.documents.iter().flatten().cloned();
    for line in lines {
        match (line, answers.failure()) {
            (Line::Read(read), Some(failure))
                if !absent(read) && !says_absent(&failure.message) =>
            {
                outcome.failures.push(Failed {
                    command: whole(lines, netns),
                    ..failed(line, netns, failure, code)
                });
            }
            (Line::Read(read), _) => {
                let value = if absent(read) {
                    None
                } else {
                    values.next().map(text)
                };
                // A text is always taken.
                let _ = outcome.seen.take(read, value);
            }
            (Line::Write(_), Some(failure)) => {
                outcome.failures.push(failed(line, netns, failure, code))
            }
            (Line::Write(step), None) => outcome.done.push(step.clone()),
        }
    }
    outcome
}

/// Questions that share one `sysctl`, as it was run.
fn whole(lines: &[Line], netns: &Netns) -> String {
    let commands = lines.iter().map(Line::command).collect();
    shell_line(&Batch::new(netns, OnError::Stop, commands).argv())
}

/// What came of a line of `nft`, which is all of its process: it is carried out whole, or not at all.
pub(crate) fn nft_outcome(
    lines: &[Line],
    netns: &Netns,
    answers: Answers,
) -> Result<Outcome, CniError> {
    let mut outcome = Outcome::default();
    let code = answers.code;
    let failure = answers.failure().cloned().map(|failure| Failure {
        line: Some(1),
        ..failure
    });
    let document = answers.documents.into_iter().next().flatten();
    for line in lines {
        match (line, &failure) {
            (Line::Read(read), Some(failure)) if says_absent(&failure.message) => {
                outcome.seen.take(read, None).map_err(unreadable)?;
            }
            (line, Some(failure)) => outcome.failures.push(failed(line, netns, failure, code)),
            (Line::Read(read), None) => {
                let document = document.clone();
                outcome.seen.take(read, document).map_err(unreadable)?;
            }
            (Line::Write(step), None) => outcome.done.push(step.clone()),
        }
    }
    Ok(outcome)
}

/// A value of sysctl as text: `1` is also a JSON document.
fn text(document: Value) -> Value {
    match document {
        Value::String(_) => document,
        other => Value::String(other.to_string()),
    }
}

fn failed(line: &Line, netns: &Netns, failure: &Failure, code: Option<i32>) -> Failed {
    let because = match line {
        Line::Write(step) if !step.because.is_empty() => Some(step.because.clone()),
        _ => None,
    };
    Failed {
        command: line.command().shown_in(netns),
        program: line.command().program(),
        failure: failure.clone(),
        because,
        code,
    }
}

/// The change that a line is, if it is one.
pub(crate) fn write(line: &Line) -> Option<Step> {
    match line {
        Line::Write(step) => Some(step.clone()),
        Line::Read(_) => None,
    }
}

/// Whether two lines can share a process. `sysctl` has no batch; only its questions can be put together.
fn together(one: &Line, other: &Line) -> bool {
    let (a, b) = (one.command(), other.command());
    let batched = match a.program() {
        Program::Sysctl => is_read(&a) && is_read(&b),
        Program::Nft => false,
        Program::Ip | Program::Bridge => true,
    };
    one.side() == other.side() && kind_of(&a) == kind_of(&b) && batched
}

/// Questions by process, in any order.
pub(crate) fn group(lines: Vec<Line>) -> Vec<Vec<Line>> {
    let mut groups: Vec<Vec<Line>> = Vec::new();
    for line in lines {
        debug_assert!(is_read(&line.command()));
        match groups.iter_mut().find(|group| together(&group[0], &line)) {
            Some(group) => group.push(line),
            None => groups.push(vec![line]),
        }
    }
    groups
}

/// Changes by process, in their order.
pub(crate) fn runs(lines: Vec<Line>) -> Vec<Vec<Line>> {
    let mut runs: Vec<Vec<Line>> = Vec::new();
    for line in lines {
        match runs.last_mut() {
            Some(run) if together(&run[0], &line) => run.push(line),
            _ => runs.push(vec![line]),
        }
    }
    runs
}

/// The error for an answer that is not what its question gets.
pub(crate) fn unreadable(error: crate::plan::observed::AnswerError) -> CniError {
    let advice = format!("run it by hand; ip -V tells the version, {OLDEST} or newer is needed");
    CniError::new(Code::COMMAND_FAILED, error.to_string()).details(advice)
}
