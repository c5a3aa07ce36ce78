//! Processes that are talked with: started before what they shall do is known, and told more than once.

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::pacer::Pacer;
use super::{
    COMMAND_TIMEOUT, Child, ExecError, Invocation, Output, Running, Stdin, System, content,
};
use crate::ip::batch::LAST_LINE;
use crate::ip::json;
use crate::ip::stderr::{failures, renumbered};

/// How soon it is looked at the least and at the most whether a part is carried out.
const LOOK: (Duration, Duration) = (Duration::from_micros(50), Duration::from_millis(5));

/// How long an answer may take before the process gets no more: a script in the place of `ip` may answer only at the end
/// of its input, and `ip` itself takes milliseconds.
const PATIENCE: Duration = Duration::from_millis(250);

/// Those that wait for commands, by their argv. Ended with the last that knows of them.
#[derive(Clone, Default)]
pub(super) struct Conversations(Arc<Mutex<Vec<Waiting>>>);

/// One, with its argv.
type Waiting = (Vec<String>, Child);

impl Conversations {
    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One with this argv; none for a plugin, which is never talked with.
    fn take(&self, argv: &[String]) -> Option<Child> {
        let mut waiting = self.waiting();
        let at = waiting.iter().position(|(own, _)| own == argv)?;
        Some(waiting.swap_remove(at).1)
    }
}

impl fmt::Debug for Conversations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Conversations")
    }
}

/// How much of what a process was told and has printed belongs to earlier parts of the conversation.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Past {
    stdout: usize,
    stderr: usize,
    lines: usize,
}

impl System {
    /// Starts a process that gets its commands later, by [`super::Exec::start`] with the same argv: its start is half of
    /// what a short process costs, and can run beside something else. One that gets none does nothing. Where it
    /// cannot be started [`super::Exec::start`] says why. A dry run has nothing to tell it.
    pub fn open(&self, argv: Vec<String>) {
        if self.dry.is_some() {
            return;
        }
        let invocation = Invocation {
            stdin: Stdin::Later,
            ..Invocation::own(argv, COMMAND_TIMEOUT)
        };
        if let Ok(child) = self.spawn(&invocation) {
            self.conversations.waiting().push((invocation.argv, child));
        }
    }

    /// Ends the processes that wait for commands. They do nothing, but what this program had open when they were
    /// started they have too, locks among it.
    pub fn close(&self) {
        self.conversations.waiting().clear();
    }

    /// A process that waits for commands and gets those of an invocation now; its time counts from now on. None
    /// where none waits, or where the invocation has no commands yet.
    pub(super) fn take_open(&self, invocation: &Invocation) -> Result<Option<Child>, ExecError> {
        let (first, later) = match &invocation.stdin {
            Stdin::Bytes(bytes) => (bytes, &[][..]),
            Stdin::Paced(first, later) => (first, &later[..]),
            Stdin::Later | Stdin::Part(..) => return Ok(None),
        };
        let Some(mut child) = self.conversations.take(&invocation.argv) else {
            return Ok(None);
        };
        if let Some(pipe) = child.feed.take() {
            let pacer = Pacer::on(pipe, first, later);
            child.pacer = pacer.map_err(|source| child.start(source))?;
        }
        child.begins(self.deadline_of(invocation));
        // Where no line is left its input ends now: it may wait for that.
        child.go_on()?;
        Ok(Some(child))
    }

    /// Tells a process one part of a conversation: one that waits, or one that is started now.
    pub(super) fn tell(
        &self,
        invocation: &Invocation,
        text: &[u8],
        reads: &[usize],
    ) -> Result<Box<dyn Running>, ExecError> {
        let waits = self.conversations.take(&invocation.argv);
        let mut child = match waits {
            Some(child) => child,
            None => self.spawn(&Invocation {
                stdin: Stdin::Later,
                ..invocation.clone()
            })?,
        };
        child.begins(self.deadline_of(invocation));
        let marked = [text, LAST_LINE.as_bytes(), b"\n"].concat();
        let lines = marked.iter().filter(|byte| **byte == b'\n').count();
        if let Some(pipe) = child.feed.take() {
            let pacer = Pacer::on(pipe, &marked, &[]);
            child.pacer = pacer.map_err(|source| child.start(source))?.staying_open();
        }
        Ok(Box::new(Part {
            child,
            argv: invocation.argv.clone(),
            lines,
            reads: reads.iter().copied().chain([lines]).collect(),
            conversations: self.conversations.clone(),
        }))
    }

    /// What a process needs of it: not the processes that wait, which would keep themselves.
    pub(super) fn alone(&self) -> Self {
        Self {
            conversations: Conversations::default(),
            ..self.clone()
        }
    }
}

/// A part of a conversation that is being carried out.
struct Part {
    child: Child,
    argv: Vec<String>,
    /// How many lines it is, with the last, which tells that all are carried out.
    lines: usize,
    /// The numbers of those that print a document.
    reads: Vec<usize>,
    conversations: Conversations,
}

impl Running for Part {
    fn wait(mut self: Box<Self>) -> Result<Output, ExecError> {
        let since = Instant::now();
        loop {
            let output = self.child.output(Some(0))?;
            if self.goes_on_after(&output) {
                return self.wait_for_more(output);
            }
            if let Some(code) = self.child.ended_by(Instant::now())? {
                let output = self.child.output(code)?;
                return Ok(self.without_last(output));
            }
            if since.elapsed() >= PATIENCE {
                self.child.pacer.end();
            }
            self.child.go_on()?;
            std::thread::sleep((since.elapsed() / 4).clamp(LOOK.0, LOOK.1));
        }
    }
}

impl Part {
    /// Lets the process wait for the next part.
    fn wait_for_more(self, output: Output) -> Result<Output, ExecError> {
        let output = Output {
            // A process that ends behind a line that failed ends with 1 (iproute2, `do_batch`).
            code: Some(i32::from(has_failed(&output))),
            ..self.without_last(output)
        };
        let Self {
            mut child,
            argv,
            lines,
            conversations,
            ..
        } = self;
        child.past = child.past(lines)?;
        child.feed = child.pacer.take_pipe();
        conversations.waiting().push((argv, child));
        Ok(output)
    }

    /// Whether all is carried out and the process waits for more: without `-force` it ends at a line that fails.
    fn goes_on_after(&self, output: &Output) -> bool {
        let is_forced = self.argv.iter().any(|word| word == "-force");
        let ends = !is_forced && has_failed(output);
        self.child.pacer.stays_open() && !ends && self.is_carried_out(output)
    }

    /// Whether there is a document, or a failure, for each line that reads.
    fn is_carried_out(&self, output: &Output) -> bool {
        printed(&output.stdout) == Some(self.answered_by(output).len())
    }

    /// The lines that read and have not failed.
    fn answered_by(&self, output: &Output) -> Vec<usize> {
        let failed: Vec<_> = failures(&output.stderr)
            .into_iter()
            .map(|failed| failed.line)
            .collect();
        let reads = self.reads.iter().copied();
        reads
            .filter(|line| !failed.contains(&Some(*line)))
            .collect()
    }

    /// What was asked, without the answer to the last line: a document on a line of its own. There is none where a pod has
    /// given its loopback device another name.
    fn without_last(&self, mut output: Output) -> Output {
        if self.is_carried_out(&output) && self.answered_by(&output).last() == Some(&self.lines) {
            let lines = output.stdout.strip_suffix(b"\n").unwrap_or(&output.stdout);
            let before = lines.iter().rposition(|byte| *byte == b'\n');
            output.stdout.truncate(before.map_or(0, |at| at + 1));
        }
        output
    }
}

/// Whether a line has failed.
fn has_failed(output: &Output) -> bool {
    let mut failures = failures(&output.stderr).into_iter();
    failures.any(|failed| failed.line.is_some())
}

/// How many documents there are; none where the last is not whole.
fn printed(stdout: &[u8]) -> Option<usize> {
    let is_whole = stdout.is_empty() || stdout.ends_with(b"\n");
    json::documents(stdout)
        .ok()
        .filter(|_| is_whole)
        .map(|documents| documents.len())
}

impl Child {
    /// Its time counts from now on.
    fn begins(&mut self, deadline: Instant) {
        self.started = Instant::now();
        self.deadline = deadline;
    }

    /// How far it has come with so many lines more.
    fn past(&self, lines: usize) -> Result<Past, ExecError> {
        let size = |file: &File| {
            let size = file.metadata().map_err(|source| self.start(source))?.len();
            Ok::<_, ExecError>(usize::try_from(size).unwrap_or(usize::MAX))
        };
        Ok(Past {
            stdout: size(&self.stdout)?,
            stderr: size(&self.stderr)?,
            lines: self.past.lines + lines,
        })
    }

    /// What it has left so far, without what belongs to earlier parts of the conversation.
    pub(super) fn output(&self, code: Option<i32>) -> Result<Output, ExecError> {
        let start = |source: io::Error| self.start(source);
        let stdout = content(&self.stdout, self.past.stdout).map_err(start)?;
        let stderr = content(&self.stderr, self.past.stderr).map_err(start)?;
        Ok(Output {
            code,
            stdout,
            stderr: renumbered(&String::from_utf8_lossy(&stderr), self.past.lines),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::Exec;
    use super::*;

    /// Answers as `ip -j -force -batch -` does: a document for each line, but for those that fail.
    const IP: &str = r#"number=0
while read -r line; do
  number=$((number + 1))
  case $line in
    fail*) printf 'no %s\nCommand failed -:%s\n' "$line" $number >&2 ;;
    silent*) ;;
    *) echo "[\"$line $$\"]" ;;
  esac
done"#;

    fn part(script: &str, text: &str, reads: &[usize]) -> Invocation {
        let argv = ["sh", "-c", script, "-force"].map(String::from).to_vec();
        Invocation {
            stdin: Stdin::Part(text.into(), reads.to_vec()),
            ..Invocation::own(argv, COMMAND_TIMEOUT)
        }
    }

    fn pid(output: &Output) -> String {
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        text.trim_end_matches("\"]\n")
            .rsplit(' ')
            .next()
            .unwrap()
            .to_owned()
    }

    #[test]
    fn parts_of_a_conversation_are_answered_by_one_process_each_with_line_numbers_of_its_own() {
        let system = System::default();
        let first = system.run(&part(IP, "a\nsilent\nb\n", &[1, 3])).unwrap();
        let pid_of = pid(&first);
        let said = format!("[\"a {pid_of}\"]\n[\"b {pid_of}\"]\n");
        assert_eq!(
            (first.code, &*first.stdout, &*first.stderr),
            (Some(0), said.as_bytes(), "")
        );
        let second = system
            .run(&part(IP, "c\nfail\nfail it\nd\n", &[1, 2, 4]))
            .unwrap();
        let said = format!("[\"c {pid_of}\"]\n[\"d {pid_of}\"]\n");
        assert_eq!((second.code, &*second.stdout), (Some(1), said.as_bytes()));
        assert_eq!(
            second.stderr,
            "no fail\nCommand failed -:2\nno fail it\nCommand failed -:3\n"
        );
        // What needs no answer is carried out all the same when the part has come to its end, and the last part ends it.
        let nothing = system.run(&part(IP, "silent\n", &[])).unwrap();
        assert_eq!((nothing.code, &*nothing.stdout), (Some(0), &b""[..]));
        let last = Invocation {
            stdin: Stdin::Bytes("e\nfail\n".into()),
            ..part(IP, "", &[])
        };
        let last = system.run(&last).unwrap();
        assert_eq!(last.stdout, format!("[\"e {pid_of}\"]\n").as_bytes());
        assert_eq!(last.stderr, "no fail\nCommand failed -:2\n");
        let other = system.run(&part(IP, "f\n", &[1])).unwrap();
        assert_ne!(pid(&other), pid_of);
    }

    #[test]
    fn a_script_that_answers_only_at_the_end_of_its_input_is_given_that_end() {
        let late = format!(
            "lines=$(cat); printf '%s\\n' \"$lines\" | sh -c '{}'",
            IP.replace('\'', r"'\''")
        );
        let output = System::default()
            .run(&part(&late, "a\nfail\n", &[1, 2]))
            .unwrap();
        assert!(
            output.stdout.starts_with(b"[\"a ")
                && output.stdout.iter().filter(|byte| **byte == b'\n').count() == 1
        );
        assert_eq!(output.stderr, "no fail\nCommand failed -:2\n");
    }

    #[test]
    fn a_process_that_ends_within_a_part_has_said_what_it_has_said() {
        let ends = "read -r line; echo '[1]'; echo 'no more' >&2; exit 7";
        let output = System::default()
            .run(&part(ends, "a\nb\n", &[1, 2]))
            .unwrap();
        assert_eq!(
            (output.code, &*output.stdout, &*output.stderr),
            (Some(7), &b"[1]\n"[..], "no more\n")
        );
    }

    #[test]
    fn a_process_that_ends_at_a_line_that_fails_is_told_nothing_more() {
        let ends = IP.replace(">&2 ;;", ">&2; exit 1 ;;");
        let at = |text: &str, reads: &[usize]| {
            let mut part = part(&ends, text, reads);
            part.argv.pop();
            part
        };
        let system = System::default();
        let first = system.run(&at("a\nfail\nb\n", &[1, 3])).unwrap();
        let of_first = pid(&first);
        assert_eq!(
            (first.code, &*first.stderr),
            (Some(1), "no fail\nCommand failed -:2\n")
        );
        let second = system.run(&at("c\n", &[1])).unwrap();
        assert_ne!(pid(&second), of_first);
    }

    #[test]
    fn a_loopback_device_of_another_name_ends_no_conversation() {
        let renamed = IP.replace("fail*)", "'addr show dev lo')");
        let system = System::default();
        let first = system.run(&part(&renamed, "a\n", &[1])).unwrap();
        let second = system.run(&part(&renamed, "b\n", &[1])).unwrap();
        assert_eq!(pid(&first), pid(&second));
        assert!(second.stdout.starts_with(b"[\"b "));
    }
}
