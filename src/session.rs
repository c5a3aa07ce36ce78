//! Observe, plan, apply, observe again: the one way in which facts become true.
//!
//! Commands of one namespace, program and family share a process; processes that do not wait for each
//! other run side by side; every changing command is in the journal before it runs.

mod broken;
mod dry_run;
pub mod line;
mod paced;
pub mod release;

use serde_json::Value;

use crate::cni::{CniError, Code};
use crate::config::Network;
use crate::exec::{Exec, Pending};
use crate::ip::batch::{Answers, Batch, OnError, Pause, says_absent};
use crate::ip::stderr::Kind;
use crate::ip::{Command, Netns, Program};
use crate::journal::Journal;
use crate::plan::{self, Fact, Observed, Plan, Probe, Read, Side, Step, host};
use crate::session::dry_run::Questions;
use crate::session::line::{
    Failed, Line, Outcome, group, nft_outcome, outcome, runs, sysctl_outcome, unreadable, write,
};
pub use broken::{as_it_is, not_true, refuse_foreign, told};

/// How often a plan is made and applied: downing a link drops its routes, so one repair can bring
/// another to light, but not for ever.
const ROUNDS: usize = 3;

/// How often a list that changes while it is read is read again.
const LOOKS: usize = 5;

/// What carries commands out: the runner, the journal, and where the container is.
#[derive(Clone, Copy)]
pub struct Session<'a> {
    /// Starts processes.
    pub exec: &'a dyn Exec,
    /// Names what changes before it does.
    pub journal: &'a Journal,
    /// The container's namespace; [`Netns::Own`] where there is none to go to.
    pub pod: &'a Netns,
    /// Whether its batches are parts of conversations, one for each namespace, or processes of their own.
    pub converses: bool,
}

/// Lines under way.
pub struct Started {
    lines: Vec<Line>,
    netns: Netns,
    on_error: OnError,
    answering: Answering,
}

/// What answers lines.
enum Answering {
    /// A process that carries them out.
    Process(Pending),
    /// What there is already.
    DryRun(Questions),
}

impl<'a> Session<'a> {
    /// Starts each batch as a process of its own.
    pub fn new(exec: &'a dyn Exec, journal: &'a Journal, pod: &'a Netns) -> Self {
        Self {
            exec,
            journal,
            pod,
            converses: false,
        }
    }

    /// The same hands with another runner.
    pub fn with(self, exec: &'a dyn Exec) -> Self {
        Self { exec, ..self }
    }

    /// The same, but the process of a batch is kept for the next one of its namespace and kind.
    pub fn conversing(self) -> Self {
        Self {
            converses: true,
            ..self
        }
    }

    /// Writes a remark into the journal; of a dry run, beside what would be written.
    pub fn remark(&self, text: &str) {
        match self.exec.dry_run() {
            Some(dry) => dry.remark(text),
            None => self.journal.remark(text),
        }
    }

    fn netns(&self, side: Side) -> &Netns {
        side.netns(self.pod)
    }

    /// Starts lines that share a namespace, a program and a family.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start(&self, lines: Vec<Line>, on_error: OnError) -> Result<Started, CniError> {
        self.start_paced(lines, on_error, Vec::new())
    }

    fn start_paced(
        &self,
        lines: Vec<Line>,
        on_error: OnError,
        pauses: Vec<Pause>,
    ) -> Result<Started, CniError> {
        let netns = lines
            .first()
            .map_or(Netns::Own, |line| self.netns(line.side()).clone());
        if let Some(dry) = self.exec.dry_run() {
            let questions = Questions::start(self, dry, &lines, (&netns, on_error))?;
            return Ok(Started {
                lines,
                netns,
                on_error,
                answering: Answering::DryRun(questions),
            });
        }
        let commands: Vec<Command> = lines.iter().map(Line::command).collect();
        let writes = lines.iter().filter(|line| matches!(line, Line::Write(_)));
        let shown: Vec<String> = writes.map(|line| line.command().shown_in(&netns)).collect();
        self.journal.commands(&shown);
        let batch = Batch::new(&netns, on_error, commands).paced(pauses);
        let batch = match self.converses {
            true => batch.staying_open(),
            false => batch,
        };
        let pending = Pending::start(self.exec, batch)?;
        Ok(Started {
            lines,
            netns,
            on_error,
            answering: Answering::Process(pending),
        })
    }

    /// Carries removing commands out at once, each in a process of its own: for those that do not wait for each other.
    /// Every one is tried; what is not there is removed already.
    pub fn remove_at_once(&self, commands: Vec<(Side, Command)>) -> Vec<String> {
        let lines: Vec<Vec<Line>> = commands
            .into_iter()
            .map(|(side, command)| vec![removing(side, command)])
            .collect();
        let started = lines
            .into_iter()
            .map(|lines| self.start(lines, OnError::Continue));
        let started: Vec<_> = started.collect();
        let outcomes = started
            .into_iter()
            .map(|started| started.and_then(Started::finish));
        outcomes
            .flat_map(|outcome| match outcome {
                Err(error) => vec![error.msg],
                Ok(outcome) => outcome.failures.iter().filter_map(still_there).collect(),
            })
            .collect()
    }

    /// Carries lines out.
    ///
    /// # Errors
    /// When the process cannot be run or what it printed cannot be read.
    pub fn run(&self, lines: Vec<Line>, on_error: OnError) -> Result<Outcome, CniError> {
        self.start(lines, on_error)?.finish()
    }

    /// Starts every question; those that cannot share a process run side by side.
    ///
    /// # Errors
    /// When a process cannot be started.
    pub fn ask(&self, reads: Vec<Read>) -> Result<Asked, CniError> {
        let (files, questions): (Vec<Read>, Vec<Read>) = reads
            .into_iter()
            .partition(|read| matches!(read, Read::Sysctl(Side::Host, _)));
        let lines = questions.into_iter().map(Line::Read).collect();
        let started = group(lines)
            .into_iter()
            .map(|lines| self.start(lines, OnError::Continue));
        Ok(Asked {
            started: started.collect::<Result<_, _>>()?,
            switches: self.host_switches(&files)?,
        })
    }

    /// Asks questions and waits for the answers; asks again where the kernel's lists changed while they
    /// were read.
    ///
    /// # Errors
    /// When a question failed other than by "not there".
    pub fn observe(&self, reads: Vec<Read>) -> Result<Observed, CniError> {
        for _ in 1..LOOKS {
            match self.ask(reads.clone())?.once() {
                Err(Unanswered::Changed(_)) => {}
                Err(Unanswered::Failed(error)) => return Err(error),
                Ok(seen) => return Ok(seen),
            }
        }
        self.ask(reads)?.answers()
    }

    /// Looks at the host side of a network, and at what only the first look tells to ask; each read once.
    ///
    /// # Errors
    /// As [`Self::observe`].
    pub fn observe_host(
        &self,
        network: &Network,
        mut reads: Vec<Read>,
    ) -> Result<Observed, CniError> {
        reads.sort();
        reads.dedup();
        let mut seen = self.observe(reads)?;
        for _ in 1..LOOKS {
            let behind = host::reads_behind(network, &seen);
            if behind.is_empty() {
                break;
            }
            seen.absorb(self.observe(behind)?);
        }
        Ok(seen)
    }

    /// Reads the host's switches, which are files.
    pub fn host_switches(&self, reads: &[Read]) -> Result<Observed, CniError> {
        let mut seen = Observed::default();
        for read in reads {
            let Read::Sysctl(_, key) = read else { continue };
            let value = self.exec.sysctl(key).map_err(|error| {
                CniError::new(
                    Code::IO,
                    format!("cannot read {}: {error}", key.path().display()),
                )
            })?;
            seen.take(read, value.map(Value::String))
                .map_err(unreadable)?;
        }
        Ok(seen)
    }

    /// Makes facts true and tells what was seen in the end.
    ///
    /// # Errors
    /// What failed, after undoing what this call had made; or, code 101, the facts that still do not
    /// hold after every command succeeded.
    pub fn converge(
        &self,
        facts: &[Fact],
        mut seen: Observed,
        done: &mut Vec<Step>,
    ) -> Result<Observed, CniError> {
        for _ in 0..ROUNDS {
            let steps = plan::plan(facts, &seen, self.pod);
            if steps.is_empty() {
                return Ok(seen);
            }
            // Making it again would only say that it is there already.
            let foreign = plan::foreign(facts, &seen);
            if !foreign.is_empty() {
                return Err(not_true(&foreign, self.pod));
            }
            self.apply(steps, done)?;
            seen.absorb(self.observe(plan::reads(facts, Probe::List))?);
        }
        match plan::broken(facts, &seen) {
            broken if broken.is_empty() => Ok(seen),
            broken => Err(not_true(&broken, self.pod)),
        }
    }

    /// Carries lines out up to the first that fails. What was made, or may have been, is added to `done`. Nothing is seen
    /// where a list changed while it was read.
    ///
    /// # Errors
    /// When the process cannot be run, or did not say which of its lines ran.
    pub fn make(&self, lines: Vec<Line>, done: &mut Vec<Step>) -> Result<Outcome, CniError> {
        let all: Vec<Step> = lines.iter().filter_map(write).collect();
        let outcome = self
            .run(lines, OnError::Stop)
            .map(Outcome::without_interrupted)
            // How far it came is unknown; undoing what was not made does no harm.
            .inspect_err(|_| done.extend(all))?;
        done.extend(outcome.done.iter().cloned());
        match outcome.gave_up() {
            Some(failed) => Err(failed.error("a command failed")),
            None => Ok(outcome),
        }
    }

    /// Carries a plan out in order and stops at the first failure. What was made is added to `done`.
    ///
    /// # Errors
    /// The command that failed.
    pub fn apply(&self, steps: Plan, done: &mut Vec<Step>) -> Result<(), CniError> {
        for lines in runs(steps.into_iter().map(Line::Write).collect()) {
            match self.make(lines, done)?.failures.first() {
                None => {}
                // What was learnt ages by itself: what is still to be done, the next look tells.
                Some(failed) if failed.is_gone_entry() => return Ok(()),
                Some(failed) => return Err(failed.error("a command failed")),
            }
        }
        Ok(())
    }

    /// Takes steps back, the last one first, every one tried. Tells what could not be taken back.
    pub fn undo(&self, done: &[Step]) -> Vec<String> {
        let back = done.iter().rev().filter_map(|step| step.undo.clone());
        self.remove(back.collect())
    }

    /// Carries removing commands out, every one tried; what is not there is removed already.
    pub fn remove(&self, commands: Vec<(Side, Command)>) -> Vec<String> {
        let lines = commands
            .into_iter()
            .map(|(side, command)| removing(side, command));
        let runs = runs(lines.collect());
        runs.into_iter()
            .flat_map(|lines| self.try_all(lines))
            .collect()
    }

    /// Carries removing lines out in one process. Some commands end it when they fail (`ip neigh`,
    /// iproute2 6.1, even with `-force`): then each line gets a process of its own.
    fn try_all(&self, lines: Vec<Line>) -> Vec<String> {
        match self.run(lines.clone(), OnError::Continue) {
            Err(error) => vec![error.msg],
            Ok(outcome) if outcome.gave_up().is_some() && lines.len() > 1 => lines
                .into_iter()
                .flat_map(|line| self.try_all(vec![line]))
                .collect(),
            Ok(outcome) => outcome.failures.iter().filter_map(still_there).collect(),
        }
    }
}

/// A line that removes something.
fn removing(side: Side, command: Command) -> Line {
    Line::Write(Step {
        side,
        command,
        undo: None,
        makes: Vec::new(),
        because: String::new(),
    })
}

/// A failed removal, unless what was to be removed is not there.
fn still_there(failed: &Failed) -> Option<String> {
    let gone = says_absent(&failed.failure.message) || failed.failure.kind() == Kind::NoNetns;
    (!gone).then(|| format!("`{}` -> {}", failed.command, failed.failure.message))
}

/// Questions under way.
pub struct Asked {
    started: Vec<Started>,
    switches: Observed,
}

/// Why questions have no answers.
enum Unanswered {
    /// A list changed while it was read: worth another try.
    Changed(CniError),
    /// Something else.
    Failed(CniError),
}

impl Asked {
    /// Waits for the answers.
    ///
    /// # Errors
    /// When a question failed other than by "not there".
    pub fn answers(self) -> Result<Observed, CniError> {
        self.once().map_err(|unanswered| match unanswered {
            Unanswered::Changed(error) | Unanswered::Failed(error) => error,
        })
    }

    fn once(self) -> Result<Observed, Unanswered> {
        let mut seen = self.switches;
        for started in self.started {
            let outcome = started.finish().map_err(Unanswered::Failed)?;
            if let Some(failed) = outcome.failures.first() {
                let error = failed.error("cannot read the state");
                return Err(match failed.failure.kind() {
                    Kind::Again => Unanswered::Changed(error),
                    _ => Unanswered::Failed(error),
                });
            }
            seen.absorb(outcome.seen);
        }
        Ok(seen)
    }
}

impl Started {
    /// Waits for the end.
    ///
    /// # Errors
    /// When the process did not end, or what it printed cannot be read.
    pub fn finish(self) -> Result<Outcome, CniError> {
        let Self {
            lines,
            netns,
            on_error,
            answering,
        } = self;
        match answering {
            Answering::Process(pending) => sorted(&lines, &netns, on_error, pending.wait()?),
            Answering::DryRun(mut questions) => {
                let answers = questions.wait(lines.len())?;
                let outcome = sorted(&lines, &netns, on_error, answers)?;
                questions.noted(outcome, &lines, &netns)
            }
        }
    }
}

/// Sorts answers to their lines, as the program gives them.
fn sorted(
    lines: &[Line],
    netns: &Netns,
    on_error: OnError,
    answers: Answers,
) -> Result<Outcome, CniError> {
    match lines.first().map(|line| line.command().program()) {
        Some(Program::Sysctl) => Ok(sysctl_outcome(lines, netns, answers)),
        Some(Program::Nft) => nft_outcome(lines, netns, answers),
        _ => outcome(lines, netns, on_error, answers),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::cell::RefCell;
    use std::path::Path;

    use super::*;
    use crate::exec::{ExecError, Invocation, Output, Running};
    use crate::ip::sysctl::SysctlKey;
    use crate::ip::{Family, IfName};

    /// Starts nothing: each process says what is next in the list.
    struct Scripted(RefCell<Vec<Output>>);

    struct Ended(Output);

    impl Running for Ended {
        fn wait(self: Box<Self>) -> Result<Output, ExecError> {
            Ok(self.0)
        }
    }

    impl Exec for Scripted {
        fn start(&self, _: &Invocation) -> Result<Box<dyn Running>, ExecError> {
            Ok(Box::new(Ended(self.0.borrow_mut().remove(0))))
        }

        fn sysctl(&self, _: &SysctlKey) -> std::io::Result<Option<String>> {
            Ok(None)
        }
    }

    fn says(code: i32, stdout: &str, stderr: &str) -> Output {
        Output {
            code: Some(code),
            stdout: stdout.into(),
            stderr: stderr.into(),
        }
    }

    fn observe(outputs: Vec<Output>) -> (Result<Observed, CniError>, usize) {
        let exec = Scripted(RefCell::new(outputs));
        let journal = Journal::new(Path::new("/dev/null"), "", "");
        let session = Session::new(&exec, &journal, &Netns::Own);
        let seen = session.observe(vec![Read::Rules(Family::V4, 19200)]);
        (seen, exec.0.into_inner().len())
    }

    const INTERRUPTED: &str = "Dump was interrupted and may be inconsistent.\n";

    #[test]
    fn b62_a_list_that_changed_while_it_was_read_is_read_again() {
        let rule = r#"[{"priority":19200,"src":"all","table":"192"}]"#;
        let (seen, left) = observe(vec![says(0, "[]", INTERRUPTED), says(0, rule, "")]);
        assert_eq!(seen.unwrap().rules(Family::V4, 19200).unwrap().len(), 1);
        assert_eq!(left, 0);
        let (seen, left) = observe(vec![says(0, "[]", INTERRUPTED); LOOKS]);
        assert_eq!((seen.unwrap_err().code, left), (Code::TRY_AGAIN, 0));
    }

    #[test]
    fn b62_what_is_made_beside_a_list_that_changed_is_made_and_nothing_is_seen() {
        let rule = r#"[{"priority":19200,"src":"all","table":"192"}]"#;
        let exec = Scripted(RefCell::new(vec![says(0, rule, INTERRUPTED)]));
        let journal = Journal::new(Path::new("/dev/null"), "", "");
        let session = Session::new(&exec, &journal, &Netns::Own);
        let Line::Write(step) =
            removing(Side::Host, crate::ip::link::del(&IfName::new("a").unwrap()))
        else {
            panic!("a change")
        };
        let (rules, mut done) = (Read::Rules(Family::V4, 19200), Vec::new());
        let lines = vec![Line::Read(rules), Line::Write(step.clone())];
        let outcome = session.make(lines, &mut done).unwrap();
        assert_eq!((done, outcome.done.len()), (vec![step], 1));
        assert!(outcome.failures.is_empty());
        assert!(outcome.seen.rules(Family::V4, 19200).is_none());
    }

    #[test]
    fn another_failure_is_told_at_once_with_its_exit_code() {
        let denied = "RTNETLINK answers: Operation not permitted\nCommand failed -:1\n";
        let (seen, left) = observe(vec![says(1, "", denied), says(0, "[]", "")]);
        let error = seen.unwrap_err();
        assert_eq!((error.code, left), (Code::COMMAND_FAILED, 1));
        let words =
            "`ip rule show pref 19200` -> RTNETLINK answers: Operation not permitted (exit 1)";
        assert!(error.details.starts_with(words), "{error:?}");
    }
}
