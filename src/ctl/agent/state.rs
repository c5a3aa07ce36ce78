//! How the agent is: what health checks and Prometheus are told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::cni::CniError;
use crate::config::PeersFrom;
use crate::ctl::metrics::family::{Family, Kind};
use crate::ctl::repair::Done;

/// What a round may take beside its timer before the loop is called stuck: 200 pods take seconds, a source that does not
/// answer some more.
const SLACK: Duration = Duration::from_secs(120);

/// Shared by the loop and the server.
#[derive(Debug, Clone)]
pub struct State(Arc<Mutex<Known>>);

#[derive(Debug)]
struct Known {
    every: Duration,
    /// When the last round ended.
    last: Instant,
    at: SystemTime,
    rounds: u64,
    changes: u64,
    /// What is wrong, by what it is about.
    failed: Vec<(String, String)>,
    /// The sources that are heard, each with why it does not answer.
    sources: Vec<(PeersFrom, Option<String>)>,
}

impl State {
    /// Before the first round.
    pub fn new(every: Duration) -> Self {
        Self(Arc::new(Mutex::new(Known {
            every,
            last: Instant::now(),
            at: UNIX_EPOCH,
            rounds: 0,
            changes: 0,
            failed: Vec::new(),
            sources: Vec::new(),
        })))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A round that has ended.
    pub fn done(&self, done: &Done) {
        let failed = done.failed.iter();
        let failed = failed.map(|(of, error)| (of.clone(), error.msg.clone()));
        self.ended(failed.collect(), done.made.len());
    }

    /// A round that could not begin.
    pub fn failed(&self, error: &CniError) {
        self.ended(vec![("node".to_owned(), error.msg.clone())], 0);
    }

    fn ended(&self, failed: Vec<(String, String)>, made: usize) {
        let mut known = self.known();
        known.last = Instant::now();
        known.at = SystemTime::now();
        known.rounds += 1;
        known.changes += made as u64;
        known.failed = failed;
    }

    /// How a source is; whether that is news.
    pub fn source(&self, from: &PeersFrom, lost: Option<CniError>) -> bool {
        let mut known = self.known();
        let lost = lost.map(|error| error.msg);
        match known.sources.iter_mut().find(|(known, _)| known == from) {
            Some((_, before)) => {
                let is_news = before.is_some() != lost.is_some();
                *before = lost;
                is_news
            }
            None => {
                known.sources.push((from.clone(), lost));
                true
            }
        }
    }

    /// Forgets sources that are heard no more.
    pub fn keep_sources(&self, sources: &[PeersFrom]) {
        let mut known = self.known();
        known.sources.retain(|(from, _)| sources.contains(from));
    }

    /// Whether the loop goes on, and what it last saw.
    pub fn health(&self) -> (bool, Value) {
        let known = self.known();
        let alive = known.last.elapsed() < known.every + SLACK;
        let failed = known.failed.iter();
        let failed = failed.map(|(of, msg)| json!({"of": of, "msg": msg}));
        let sources = known.sources.iter();
        let sources = sources.map(|(from, lost)| json!({"peers": from.to_string(), "lost": lost}));
        let document = json!({
            "ok": alive,
            "rounds": known.rounds,
            "changes": known.changes,
            "seconds_since_last": known.last.elapsed().as_secs(),
            "failed": failed.collect::<Vec<_>>(),
            "sources": sources.collect::<Vec<_>>(),
        });
        (alive, document)
    }

    /// The same in numbers.
    pub fn families(&self) -> Vec<Family> {
        let known = self.known();
        let one = |kind, name, help, value: f64| {
            Family::new(kind, name, help).with([(Vec::new(), value)])
        };
        let at = known.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let heard = known.sources.iter().map(|(from, lost)| {
            let value = f64::from(u8::from(lost.is_none()));
            (vec![("peers", from.to_string())], value)
        });
        vec![
            one(
                Kind::Counter,
                "vxlan_agent_rounds_total",
                "Rounds of the agent: looks at this node.",
                known.rounds as f64,
            ),
            one(
                Kind::Counter,
                "vxlan_agent_changes_total",
                "Commands by which the agent mended something.",
                known.changes as f64,
            ),
            one(
                Kind::Gauge,
                "vxlan_agent_failed",
                "What the last round could not mend.",
                known.failed.len() as f64,
            ),
            one(
                Kind::Gauge,
                "vxlan_agent_last_round_timestamp_seconds",
                "When the last round ended.",
                at.as_secs_f64(),
            ),
            Family::new(
                Kind::Gauge,
                "vxlan_agent_source_up",
                "Whether what tells the peers of networks answers.",
            )
            .with(heard),
        ]
    }
}
