//! How far long work has come: one line on a terminal that is written over, nothing anywhere else.

use std::io::IsTerminal;

use crate::outlet;

/// The widest line that fits everywhere.
const WIDTH: usize = 72;

/// The state of some work.
pub struct Progress {
    done: usize,
    all: usize,
    shown: bool,
}

impl Progress {
    /// Starts; nothing is shown before the first step.
    pub fn new(all: usize) -> Self {
        Self {
            done: 0,
            all,
            shown: std::io::stderr().is_terminal(),
        }
    }

    /// One more is done.
    pub fn step(&mut self, what: &str) {
        self.done += 1;
        if self.shown {
            let line: String = format!("{}/{} {what}", self.done, self.all)
                .chars()
                .take(WIDTH)
                .collect();
            outlet::remark(&format!("\r\x1b[K{line}"));
        }
    }
}

/// The line goes with the work.
impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown && self.done > 0 {
            outlet::remark("\r\x1b[K");
        }
    }
}
