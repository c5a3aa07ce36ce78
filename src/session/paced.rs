//! Lines that are carried out as time goes on, in one process.

use std::time::Duration;

use super::Session;
use crate::cni::CniError;
use crate::ip::IfName;
use crate::ip::batch::OnError;
use crate::plan::{Read, Side};
use crate::session::line::{Line, Outcome};

impl Session<'_> {
    /// Carries out stages of lines in one process that goes on with each after a pause, which begins when the
    /// stage before it is carried out. Every line is tried.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_paced(&self, stages: Vec<(Duration, Vec<Line>)>) -> Result<Outcome, CniError> {
        let mut pauses = Vec::new();
        let mut lines: Vec<Line> = Vec::new();
        for (pause, stage) in stages {
            if !lines.is_empty() {
                lines.push(Line::Read(Read::Link(Side::Host, IfName::loopback())));
                pauses.push((pause, lines.len()));
            }
            lines.extend(stage);
        }
        self.start_paced(lines, OnError::Continue, pauses)?.finish()
    }
}
