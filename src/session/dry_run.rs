//! What a dry run makes of lines: the questions among them are asked, and the changes noted.

use super::Session;
use super::line::{Line, Outcome, unreadable};
use crate::cni::CniError;
use crate::exec::{DryRun, Pending};
use crate::ip::Netns;
use crate::ip::batch::{Answers, Batch, OnError};
use crate::ip::stderr::Failure;
use crate::plan::Side;

/// The questions among lines, under way.
pub(super) struct Questions {
    dry: DryRun,
    pod: Netns,
    pending: Option<Pending>,
    /// Where they are among the lines.
    places: Vec<usize>,
}

impl Questions {
    /// Starts them; of the pod's side none, where there is no pod yet.
    pub(super) fn start(
        session: &Session<'_>,
        dry: &DryRun,
        lines: &[Line],
        (netns, on_error): (&Netns, OnError),
    ) -> Result<Self, CniError> {
        let is_asked = |line: &Line| is_read(line) && !is_of_no_pod(dry, line);
        let places = (0..lines.len()).filter(|index| is_asked(&lines[*index]));
        let places: Vec<usize> = places.collect();
        let questions: Vec<_> = places.iter().map(|index| lines[*index].command()).collect();
        let batch = (!questions.is_empty()).then(|| Batch::new(netns, on_error, questions));
        let pending = batch.map(|batch| Pending::start(session.exec, batch));
        Ok(Self {
            dry: dry.clone(),
            pod: session.pod.clone(),
            pending: pending.transpose()?,
            places,
        })
    }

    /// Waits for the answers, which have the places of their lines then. A change has no answer: it would have been made.
    pub(super) fn wait(&mut self, lines: usize) -> Result<Answers, CniError> {
        let mut all = Answers {
            documents: vec![None; lines],
            failures: Vec::new(),
            code: Some(0),
        };
        let Some(pending) = self.pending.take() else {
            return Ok(all);
        };
        let answers = pending.wait()?;
        for (place, document) in self.places.iter().zip(answers.documents) {
            all.documents[*place] = document;
        }
        let place = |line: usize| self.places.get(line.checked_sub(1)?);
        let placed = |failure: Failure| Failure {
            line: failure.line.and_then(place).map(|place| place + 1),
            ..failure
        };
        all.failures = answers.failures.into_iter().map(placed).collect();
        all.code = answers.code;
        Ok(all)
    }

    /// Notes what would have been made, and takes it for made.
    pub(super) fn noted(
        &self,
        mut outcome: Outcome,
        lines: &[Line],
        netns: &Netns,
    ) -> Result<Outcome, CniError> {
        for line in lines.iter().filter(|line| is_of_no_pod(&self.dry, line)) {
            if let Line::Read(read) = line {
                outcome.seen.take(read, None).map_err(unreadable)?;
            }
        }
        self.dry.note(&outcome.done, netns, &self.pod);
        self.dry.suppose(&mut outcome.seen, &self.pod);
        Ok(outcome)
    }
}

fn is_read(line: &Line) -> bool {
    matches!(line, Line::Read(_))
}

fn is_of_no_pod(dry: &DryRun, line: &Line) -> bool {
    line.side() == Side::Pod && !dry.has_pod()
}
