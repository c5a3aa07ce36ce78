//! A process that is told what to do as time goes on.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, PipeWriter, Write};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::content;
use crate::ip::batch::MARK;

/// How soon it is looked at the least and at the most whether a part is carried out: the longer that takes the more
/// seldom, since a node that is busy has no time for it.
const LOOK: (Duration, Duration) = (Duration::from_micros(500), Duration::from_millis(25));

/// The other end of a process's stdin; none once everything is told.
#[derive(Debug, Default)]
pub(super) struct Pacer {
    pipe: Option<PipeWriter>,
    telling: VecDeque<u8>,
    parts: VecDeque<(Duration, Vec<u8>)>,
    /// How many parts were told, and how many lines that are.
    told: usize,
    lines: usize,
    /// When the last one was due; none before the process has shown that it runs.
    at: Option<Instant>,
    /// When that was told.
    waits_since: Option<Instant>,
    /// When the next one is, once what comes before it is carried out.
    due: Option<Instant>,
    /// Whether the pipe stays open behind the last part.
    stays_open: bool,
}

impl Pacer {
    /// A pipe to read from, and what is to be written to it: the first part at once, each later one so long
    /// after the one before was carried out.
    ///
    /// # Errors
    /// The operating system's.
    pub fn by_pipe(first: &[u8], later: &[(Duration, Vec<u8>)]) -> io::Result<(OwnedFd, Self)> {
        let (stdin, pipe) = io::pipe()?;
        Ok((stdin.into(), Self::on(pipe, first, later)?))
    }

    /// The same on the pipe of a process that runs already.
    ///
    /// # Errors
    /// The operating system's.
    pub fn on(pipe: PipeWriter, first: &[u8], later: &[(Duration, Vec<u8>)]) -> io::Result<Self> {
        // A process that hangs and reads nothing must not keep this one waiting.
        fcntl_setfl(&pipe, fcntl_getfl(&pipe)? | OFlags::NONBLOCK)?;
        let mut pacer = Self {
            pipe: Some(pipe),
            telling: first.iter().copied().collect(),
            parts: later.iter().cloned().collect(),
            told: 1,
            lines: count_lines(first),
            at: None,
            waits_since: Some(Instant::now()),
            due: None,
            stays_open: false,
        };
        pacer.write()?;
        Ok(pacer)
    }

    /// The same, but the lines are one part of a conversation.
    pub fn staying_open(self) -> Self {
        Self {
            stays_open: true,
            ..self
        }
    }

    /// Whether more may be told later.
    pub fn stays_open(&self) -> bool {
        self.stays_open
    }

    /// Tells no more behind what is being told.
    pub fn end(&mut self) {
        self.stays_open = false;
    }

    /// The pipe, for the next part.
    pub fn take_pipe(&mut self) -> Option<PipeWriter> {
        self.pipe.take()
    }

    /// When there may be something to tell.
    pub fn next(&self) -> Option<Instant> {
        self.pipe.as_ref()?;
        let now = Instant::now();
        let waited = self.waits_since.map_or(LOOK.0, |since| now - since);
        let look = (waited / 2).clamp(LOOK.0, LOOK.1);
        Some(self.due.unwrap_or(now + look))
    }

    /// Tells what its time has come for, and behind the last of it that there is no more.
    ///
    /// # Errors
    /// The operating system's.
    pub fn tell(&mut self, stdout: &File, stderr: &File) -> io::Result<()> {
        while self.pipe.is_some() && self.write()? {
            match (self.parts.front(), self.due) {
                (None, _) if self.stays_open => return Ok(()),
                (None, _) => self.pipe = None,
                (Some((pause, _)), None) => {
                    let pause = *pause;
                    if !self.is_done(stdout, stderr)? {
                        return Ok(());
                    }
                    self.due = Some(self.since(pause) + pause);
                }
                (Some(_), Some(due)) if due > Instant::now() => return Ok(()),
                (Some(_), Some(_)) => {
                    self.at = self.due.take();
                    self.waits_since = Some(Instant::now());
                    self.told += 1;
                    let part = self.parts.pop_front().map_or(Vec::new(), |(_, part)| part);
                    self.lines += count_lines(&part);
                    self.telling.extend(part);
                }
            }
        }
        Ok(())
    }

    /// From when on a pause counts: from when what came before it was due, so that many pauses are no longer than
    /// their sum; but where it took its time until that was carried out, from now on.
    fn since(&self, pause: Duration) -> Instant {
        let now = Instant::now();
        let at = self.at.filter(|at| now - *at <= pause / 2);
        at.unwrap_or(now)
    }

    /// Whether what was told is carried out: the last of its lines has printed its answer, or failed.
    fn is_done(&self, stdout: &File, stderr: &File) -> io::Result<bool> {
        let marks = count(&content(stdout, 0)?, MARK);
        let failed = format!("Command failed -:{}\n", self.lines);
        Ok(marks >= self.told || count(&content(stderr, 0)?, &failed) > 0)
    }

    /// Writes what is being told; tells whether that is all of it. A process that has ended is told nothing.
    fn write(&mut self) -> io::Result<bool> {
        while let (Some(pipe), false) = (self.pipe.as_mut(), self.telling.is_empty()) {
            match pipe.write(self.telling.make_contiguous()) {
                Ok(written) => drop(self.telling.drain(..written)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::BrokenPipe => self.pipe = None,
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// How often a text is in what a process has printed.
fn count(printed: &[u8], text: &str) -> usize {
    let windows = printed.windows(text.len());
    windows.filter(|window| *window == text.as_bytes()).count()
}

fn count_lines(told: &[u8]) -> usize {
    told.iter().filter(|byte| **byte == b'\n').count()
}
