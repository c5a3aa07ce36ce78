//! The only file that starts a process.
//!
//! A child's stdin, stdout and stderr are memory files: nothing fills up, nothing has to be drained by
//! a thread while it runs, and what it printed is read once it has ended. Every wait is bounded. A
//! SIGTERM ends the wait for what is under way and refuses what would be started next; the clean-up
//! that follows runs through [`System::uninterruptible`]. What takes something off is carried through, but
//! then no single process is waited for long.

mod conversation;
mod dry_run;
mod ending;
mod error;
mod invocation;
mod pacer;
pub mod search;
mod stop;

use std::fs::File;
use std::io::{self, PipeWriter, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};

use crate::ip::batch::{Answers, Batch};
use crate::ip::sysctl::SysctlKey;
use conversation::{Conversations, Past};
pub use dry_run::{DryRun, Noted};
pub use error::ExecError;
pub use invocation::{Invocation, Output, Stderr, Stdin};
use pacer::Pacer;
pub use stop::Stop;

/// How long a command of iproute2 or sysctl may take. One takes milliseconds; where a node is so busy
/// that this passes, the runtime's own time is running out too.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a process may go on once this program was told to end and carries through what it does:
/// a runtime that sends SIGTERM sends SIGKILL next, often ten seconds later.
const HURRY: Duration = Duration::from_secs(5);

/// How often a wait looks whether it shall end; only matters once SIGTERM came.
const TICK: Duration = Duration::from_millis(50);

/// A started process.
pub trait Running {
    /// Waits for its end, as long as its invocation allows; of a part of a conversation until that is carried out.
    ///
    /// # Errors
    /// [`ExecError`] when it did not end in time or this program was told to end.
    fn wait(self: Box<Self>) -> Result<Output, ExecError>;
}

/// Starts processes.
pub trait Exec {
    /// Starts one; it runs while the caller does something else.
    ///
    /// # Errors
    /// [`ExecError`] when it cannot be started.
    fn start(&self, invocation: &Invocation) -> Result<Box<dyn Running>, ExecError>;

    /// The value of a switch of this program's own namespace; `None` where it is not there. A file
    /// below `/proc/sys`, so no process is needed.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    fn sysctl(&self, key: &SysctlKey) -> io::Result<Option<String>>;

    /// What keeps what would be written, where nothing is.
    fn dry_run(&self) -> Option<&DryRun> {
        None
    }

    /// Starts one and waits for its end.
    ///
    /// # Errors
    /// [`ExecError`].
    fn run(&self, invocation: &Invocation) -> Result<Output, ExecError> {
        self.start(invocation)?.wait()
    }
}

/// A batch under way.
pub struct Pending {
    batch: Batch,
    running: Box<dyn Running>,
}

impl Pending {
    /// Starts a batch.
    ///
    /// # Errors
    /// [`ExecError`] when it cannot be started.
    pub fn start(exec: &dyn Exec, batch: Batch) -> Result<Self, ExecError> {
        let running = exec.start(&Invocation::from(&batch))?;
        Ok(Self { batch, running })
    }

    /// Waits for its end and tells what came of each line.
    ///
    /// # Errors
    /// [`ExecError`].
    pub fn wait(self) -> Result<Answers, ExecError> {
        let output = self.running.wait()?;
        self.batch
            .answers(output.code, &output.stdout, &output.stderr)
            .map_err(|source| ExecError::Unreadable {
                line: self.batch.shown(),
                source,
            })
    }
}

/// Runs a batch to its end.
///
/// # Errors
/// [`ExecError`].
pub fn run_batch(exec: &dyn Exec, batch: Batch) -> Result<Answers, ExecError> {
    Pending::start(exec, batch)?.wait()
}

/// What a SIGTERM does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum OnSigterm {
    /// It ends what is under way, and nothing more is started.
    #[default]
    Cancel,
    /// What is begun is carried through, in a hurry.
    Finish,
}

/// The real thing.
#[derive(Debug, Clone, Default)]
pub struct System {
    stop: Stop,
    on_sigterm: OnSigterm,
    /// Until when everything must have ended, whatever a single process may take.
    deadline: Option<Instant>,
    conversations: Conversations,
    dry: Option<DryRun>,
}

impl System {
    /// One that ends what it does when SIGTERM comes.
    pub fn until_sigterm() -> Self {
        Self {
            stop: Stop::on_sigterm(),
            ..Self::default()
        }
    }

    /// One that reads and does not write, until SIGTERM comes.
    pub fn only_reading(dry: DryRun) -> Self {
        Self {
            dry: Some(dry),
            ..Self::until_sigterm()
        }
    }

    /// The same where nothing that counts is written: what asks the wire is carried out in a dry run too.
    pub fn asking(&self) -> Self {
        Self {
            dry: None,
            ..self.clone()
        }
    }

    /// Another one that ends what it does at the same SIGTERM, for work of its own.
    pub fn again(&self) -> Self {
        Self {
            stop: self.stop.clone(),
            on_sigterm: self.on_sigterm,
            ..Self::default()
        }
    }

    /// One that carries through what it does when SIGTERM comes: for what takes something off, which a
    /// runtime would only have to ask for again.
    pub fn through_sigterm() -> Self {
        Self::until_sigterm().uninterruptible()
    }

    /// The same, but nothing lasts longer than until then.
    pub fn with_deadline(self, deadline: Instant) -> Self {
        Self {
            deadline: Some(deadline),
            ..self
        }
    }

    /// The same, but carrying through what it does whatever comes, without its deadline: for undoing.
    pub fn uninterruptible(&self) -> Self {
        Self {
            stop: self.stop.clone(),
            on_sigterm: OnSigterm::Finish,
            deadline: None,
            conversations: Conversations::default(),
            dry: self.dry.clone(),
        }
    }

    /// What tells that waiting for something other than a process shall end; never, where everything is
    /// carried through.
    pub fn stop(&self) -> Stop {
        match self.on_sigterm {
            OnSigterm::Cancel => self.stop.clone(),
            OnSigterm::Finish => Stop::default(),
        }
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// [`ExecError::Interrupted`] when this program is told to end meanwhile.
    pub fn pause(&self, time: Duration) -> Result<(), ExecError> {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if self.is_cancelled() {
                let line = format!("sleep {:.3}", left.as_secs_f64());
                return Err(ExecError::Interrupted { line });
            }
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(TICK));
        }
    }

    /// Whether everything ends now.
    fn is_cancelled(&self) -> bool {
        self.on_sigterm == OnSigterm::Cancel && self.stop.is_told()
    }

    /// Whether what is begun is carried through, in a hurry.
    fn is_hurried(&self) -> bool {
        self.on_sigterm == OnSigterm::Finish && self.stop.is_told()
    }

    /// Starts a process.
    fn spawn(&self, invocation: &Invocation) -> Result<Child, ExecError> {
        let start = |source| ExecError::Start {
            line: invocation.line(),
            source,
        };
        let (program, args) = invocation
            .argv
            .split_first()
            .ok_or_else(|| start(io::ErrorKind::InvalidInput.into()))?;
        let program = find(program)?;
        let (stdin, feed, pacer) = stdin(&invocation.stdin).map_err(start)?;
        let (stdout, stderr) = (memory(b"").map_err(start)?, memory(b"").map_err(start)?);
        let mut expression = duct::cmd(program, args)
            .stdin_file(stdin)
            .stdout_file(stdout.try_clone().map_err(start)?)
            .unchecked();
        if invocation.stderr == Stderr::Read {
            expression = expression.stderr_file(stderr.try_clone().map_err(start)?);
        }
        for (name, value) in &invocation.variables {
            expression = expression.env(name.as_ref(), value);
        }
        if invocation.stderr == Stderr::PassedOn {
            // A plugin starts programs of its own, which must end with it: one that is left could
            // claim an address after everything was released.
            expression = expression.before_spawn(|command| {
                command.process_group(0);
                Ok(())
            });
        }
        Ok(Child {
            handle: expression.start().map_err(start)?,
            feed,
            past: Past::default(),
            stdout,
            stderr,
            pacer,
            started: Instant::now(),
            deadline: self.deadline_of(invocation),
            interrupted_at: invocation
                .interrupted_after
                .map(|time| Instant::now() + time),
            line: invocation.line(),
            group: invocation.stderr == Stderr::PassedOn,
            system: self.alone(),
        })
    }

    fn deadline_of(&self, invocation: &Invocation) -> Instant {
        let own = Instant::now() + invocation.timeout;
        self.deadline.map_or(own, |whole| whole.min(own))
    }
}

impl Exec for System {
    fn start(&self, invocation: &Invocation) -> Result<Box<dyn Running>, ExecError> {
        if self.is_cancelled() {
            return Err(ExecError::Interrupted {
                line: invocation.line(),
            });
        }
        if let Stdin::Part(text, reads) = &invocation.stdin {
            return self.tell(invocation, text, reads);
        }
        let child = match self.take_open(invocation)? {
            Some(child) => child,
            None => self.spawn(invocation)?,
        };
        Ok(Box::new(child))
    }

    fn dry_run(&self) -> Option<&DryRun> {
        self.dry.as_ref()
    }

    fn sysctl(&self, key: &SysctlKey) -> io::Result<Option<String>> {
        match std::fs::read_to_string(key.path()) {
            Ok(text) => Ok(Some(text.trim_end().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A process under way.
struct Child {
    handle: duct::Handle,
    /// The end of a pipe that is its stdin, while it waits for what to do.
    feed: Option<PipeWriter>,
    past: Past,
    stdout: File,
    stderr: File,
    /// What it is still to be told.
    pacer: Pacer,
    started: Instant,
    deadline: Instant,
    /// When it gets a SIGINT.
    interrupted_at: Option<Instant>,
    line: String,
    /// Whether it leads a process group.
    group: bool,
    system: System,
}

impl Running for Child {
    fn wait(mut self: Box<Self>) -> Result<Output, ExecError> {
        loop {
            let tick = Instant::now() + TICK;
            let due = [self.pacer.next(), self.interrupted_at];
            let next = due.into_iter().flatten().fold(tick, Instant::min);
            if let Some(code) = self.ended_by(next)? {
                return self.output(code);
            }
            self.go_on()?;
        }
    }
}

impl Child {
    fn start(&self, source: io::Error) -> ExecError {
        ExecError::Start {
            line: self.line.clone(),
            source,
        }
    }

    /// What there is to do while it runs: tell it more, and end it where it must.
    fn go_on(&mut self) -> Result<(), ExecError> {
        self.interrupt();
        let told = self.pacer.tell(&self.stdout, &self.stderr);
        told.map_err(|source| self.start(source))?;
        if self.system.is_hurried() {
            self.deadline = self.deadline.min(Instant::now() + HURRY);
        }
        if self.system.is_cancelled() {
            self.end()?;
            let line = self.line.clone();
            return Err(ExecError::Interrupted { line });
        }
        if Instant::now() >= self.deadline {
            self.end()?;
            return Err(ExecError::Timeout {
                allowed: self.deadline.saturating_duration_since(self.started),
                line: self.line.clone(),
            });
        }
        Ok(())
    }

    /// Its exit code if it ends until then, or until it must.
    fn ended_by(&self, then: Instant) -> Result<Option<Option<i32>>, ExecError> {
        let ended = self.handle.wait_deadline(then.min(self.deadline));
        let ended = ended.map_err(|source| self.start(source))?;
        Ok(ended.map(|output| output.status.code()))
    }
}

/// The end from which a process reads its stdin, and what hands over what it is still to be told.
fn stdin(what: &Stdin) -> io::Result<(OwnedFd, Option<PipeWriter>, Pacer)> {
    match what {
        Stdin::Bytes(bytes) => Ok((memory(bytes)?.into(), None, Pacer::default())),
        Stdin::Later | Stdin::Part(..) => {
            let (reader, writer) = io::pipe()?;
            Ok((reader.into(), Some(writer), Pacer::default()))
        }
        Stdin::Paced(first, later) => {
            let (reader, pacer) = Pacer::by_pipe(first, later)?;
            Ok((reader, None, pacer))
        }
    }
}

/// A file in memory that holds some bytes and is read from its start.
fn memory(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("vxlan-cni", MemfdFlags::CLOEXEC)?);
    if !bytes.is_empty() {
        file.write_all(bytes)?;
        io::Seek::rewind(&mut file)?;
    }
    Ok(file)
}

/// What is in a memory file from there on, wherever the child that wrote it left the position.
fn content(file: &File, from: usize) -> io::Result<Vec<u8>> {
    let whole = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let mut bytes = vec![0; whole.saturating_sub(from)];
    file.read_exact_at(&mut bytes, from as u64)?;
    Ok(bytes)
}

/// Finds a program in PATH and behind it in the folders every system has.
fn find(program: &str) -> Result<PathBuf, ExecError> {
    if program.contains('/') {
        return Ok(program.into());
    }
    search::program(program, search::folders()).map_err(|missing| ExecError::NotInstalled {
        program: program.to_owned(),
        missing,
    })
}

/// Whether a program can be found.
pub fn is_installed(program: &str) -> bool {
    find(program).is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    fn sh(script: &str, stdin: &str, timeout: Duration) -> Invocation {
        Invocation {
            argv: ["sh", "-c", script].map(String::from).to_vec(),
            shown: None,
            stdin: Stdin::Bytes(stdin.into()),
            variables: vec![("LC_ALL".into(), "C".into())],
            stderr: Stderr::Read,
            timeout,
            interrupted_after: None,
        }
    }

    #[test]
    fn a_process_that_is_interrupted_sums_up_what_it_knows() {
        let script = "trap 'echo heard; exit 3' INT; while :; do sleep 0.01; done";
        let mut invocation = Invocation {
            interrupted_after: Some(Duration::from_millis(50)),
            ..sh(script, "", COMMAND_TIMEOUT)
        };
        // A shell traps no signal that is ignored where it is started, as behind an `&`.
        let default = ["env", "--default-signal=INT"].map(String::from);
        invocation.argv.splice(..0, default);
        let output = System::default().run(&invocation).unwrap();
        assert_eq!(
            (output.code, &output.stdout[..]),
            (Some(3), &b"heard\n"[..])
        );
    }

    #[test]
    fn a_process_gets_its_stdin_and_leaves_everything_it_printed() {
        let megabyte = "x".repeat(1 << 20);
        let output = System::default()
            .run(&sh("cat; cat >&2 <&-; exit 7", &megabyte, COMMAND_TIMEOUT))
            .unwrap();
        assert_eq!((output.code, output.stdout.len()), (Some(7), 1 << 20));
        assert!(!output.stderr.is_empty());
    }

    #[test]
    fn what_a_process_is_told_later_comes_after_its_pause_however_much_that_is() {
        let mark = "\"ifname\":\"lo\"\n";
        let much = "x".repeat(1 << 17) + "\n" + mark;
        let pause = Duration::from_millis(20);
        let later = vec![
            (pause, much.clone().into_bytes()),
            (pause, b"the last\n".to_vec()),
        ];
        let again = Invocation {
            stdin: Stdin::Paced(mark.into(), later),
            ..sh(
                "while read -r line; do echo \"$line\"; done",
                "",
                COMMAND_TIMEOUT,
            )
        };
        let started = Instant::now();
        let output = System::default().run(&again).unwrap();
        assert!(started.elapsed() >= pause);
        assert!(output.stdout == format!("{mark}{much}the last\n").as_bytes());
    }

    #[test]
    fn a_process_that_ends_or_hangs_before_it_is_told_everything_is_no_reason_to_wait() {
        let later = || vec![(Duration::from_secs(600), b"never\n".to_vec())];
        let ends = Invocation {
            stdin: Stdin::Paced(Vec::new(), later()),
            ..sh("exit 3", "", COMMAND_TIMEOUT)
        };
        assert_eq!(System::default().run(&ends).unwrap().code, Some(3));
        // It never says that the first part is carried out.
        let hangs = Invocation {
            stdin: Stdin::Paced(vec![b'x'; 1 << 20], later()),
            ..sh("exec sleep 60", "", Duration::from_millis(50))
        };
        let error = System::default().run(&hangs).unwrap_err();
        assert!(matches!(error, ExecError::Timeout { .. }), "{error}");
    }

    #[test]
    fn a_process_that_was_started_early_is_told_what_its_invocation_says_and_no_other_one() {
        let file = std::env::temp_dir().join(format!("vxlan-cni-early-{}", std::process::id()));
        let system = System::default();
        let script = format!("echo $$ >> {}; cat", file.display());
        let argv: Vec<String> = ["sh", "-c", &script].map(String::from).to_vec();
        system.open(argv.clone());
        let other = sh("cat", "other\n", COMMAND_TIMEOUT);
        assert_eq!(system.run(&other).unwrap().stdout, b"other\n");
        let with = |stdin: &str| Invocation {
            stdin: Stdin::Bytes(stdin.into()),
            ..Invocation::own(argv.clone(), COMMAND_TIMEOUT)
        };
        // More than a pipe holds.
        let much = "x".repeat(1 << 20);
        assert_eq!(system.run(&with(&much)).unwrap().stdout, much.as_bytes());
        let started = || std::fs::read_to_string(&file).unwrap().lines().count();
        assert_eq!(started(), 1);
        assert_eq!(system.run(&with("again")).unwrap().stdout, b"again");
        assert_eq!(started(), 2);
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn a_process_that_was_started_early_in_vain_ends_with_its_runner_and_not_with_its_clones() {
        let file = std::env::temp_dir().join(format!("vxlan-cni-vain-{}", std::process::id()));
        let system = System::default();
        let script = format!("echo $$ > {}; cat", file.display());
        system.open(["sh", "-c", &script].map(String::from).to_vec());
        let pid = || std::fs::read_to_string(&file).unwrap_or_default();
        while !pid().ends_with('\n') {
            std::thread::yield_now();
        }
        let process = Path::new("/proc").join(pid().trim_end());
        drop(system.uninterruptible());
        assert!(process.exists());
        drop(system);
        assert!(!process.exists());
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn a_process_that_does_not_end_is_killed_and_named() {
        let error = System::default()
            .run(&sh("sleep 60", "", Duration::from_millis(20)))
            .unwrap_err();
        assert!(matches!(&error, ExecError::Timeout { .. }), "{error}");
        assert!(error.to_string().contains("sh -c 'sleep 60'"), "{error}");
    }

    #[test]
    fn b59_a_sigterm_ends_the_wait_and_refuses_the_next_start_but_not_the_undoing() {
        let stop = Arc::new(AtomicBool::new(false));
        let system = System {
            stop: Stop(Some(Arc::clone(&stop))),
            ..System::default()
        };
        let running = system.start(&sh("sleep 60", "", COMMAND_TIMEOUT)).unwrap();
        stop.store(true, Ordering::Relaxed);
        assert!(matches!(running.wait(), Err(ExecError::Interrupted { .. })));
        assert!(matches!(
            system.run(&sh("true", "", COMMAND_TIMEOUT)),
            Err(ExecError::Interrupted { .. })
        ));
        let undoing = system
            .uninterruptible()
            .run(&sh("true", "", COMMAND_TIMEOUT))
            .unwrap();
        assert_eq!(undoing.code, Some(0));
    }

    #[test]
    fn a_process_that_nobody_waits_for_any_more_is_ended() {
        let file = std::env::temp_dir().join(format!("vxlan-cni-exec-pid-{}", std::process::id()));
        let script = format!("echo $$ > {}; exec sleep 60", file.display());
        let running = System::default().start(&sh(&script, "", COMMAND_TIMEOUT));
        let pid = || std::fs::read_to_string(&file).unwrap_or_default();
        while !pid().ends_with('\n') {
            std::thread::yield_now();
        }
        drop(running);
        assert!(!Path::new("/proc").join(pid().trim_end()).exists());
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn what_is_ended_is_asked_first_and_can_take_back_what_it_did() {
        let dir = std::env::temp_dir().join(format!("vxlan-cni-exec-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (made, taken_back) = (dir.join("made"), dir.join("taken-back"));
        let script = format!(
            "trap 'echo > {}; exit' TERM; echo > {}; while :; do sleep 0.01; done",
            taken_back.display(),
            made.display()
        );
        let stop = Arc::new(AtomicBool::new(false));
        let system = System {
            stop: Stop(Some(Arc::clone(&stop))),
            ..System::default()
        };
        let running = system.start(&sh(&script, "", COMMAND_TIMEOUT)).unwrap();
        while !made.exists() {
            std::thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
        assert!(matches!(running.wait(), Err(ExecError::Interrupted { .. })));
        assert!(taken_back.exists());
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn what_a_plugin_had_started_ends_with_it() {
        let dir = std::env::temp_dir().join(format!("vxlan-cni-group-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("pid");
        let script = format!(
            "sleep 600 & echo $! > {0}.new; mv {0}.new {0}; wait",
            file.display()
        );
        let stop = Arc::new(AtomicBool::new(false));
        let system = System {
            stop: Stop(Some(Arc::clone(&stop))),
            ..System::default()
        };
        let plugin = Invocation {
            stderr: Stderr::PassedOn,
            ..sh(&script, "", COMMAND_TIMEOUT)
        };
        let running = system.start(&plugin).unwrap();
        while !file.exists() {
            std::thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
        assert!(matches!(running.wait(), Err(ExecError::Interrupted { .. })));
        let pid = std::fs::read_to_string(&file).unwrap();
        let stat = Path::new("/proc").join(pid.trim()).join("stat");
        // The process that takes orphans in may not have taken note of its end.
        let runs = std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(" Z "));
        assert!(!runs);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_missing_program_is_named_with_the_folders_that_were_searched() {
        let invocation = Invocation {
            argv: vec!["no-such-program".into()],
            ..sh("", "", COMMAND_TIMEOUT)
        };
        let error = System::default().run(&invocation).unwrap_err().to_string();
        assert!(
            error.contains("no-such-program") && error.contains("/usr/sbin"),
            "{error}"
        );
    }
}
