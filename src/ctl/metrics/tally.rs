//! The verbs that ran since the node booted, counted from its journal.
//!
//! A journal that grows too large loses its oldest verbs, and a counter that goes down counts all over again for
//! Prometheus. So the counts are kept beside the locks, with how far the journal was read: it is read once.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::family::{Family, Kind, Labels};
use crate::cni::CniError;
use crate::config::Config;
use crate::ctl::journals::unreadable;
use crate::deed::{Deed, End, Heard, Reader};
use crate::journal::since::{Place, since};
use crate::store::{boot_id, present};

/// The file of the counts, in `runDir`.
const FILE: &str = "verbs.json";

/// The bounds of the histogram, in seconds: a warm ADD takes hundredths, one that waits for others seconds.
const BOUNDS: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The most series: the configuration names the networks, and it may be edited over and over.
const MOST: usize = 256;

/// What is counted together beyond that.
const OTHER: &str = "other";

/// The counts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Of which boot.
    boot: String,
    /// How far the journal was read.
    place: Option<Place>,
    verbs: Vec<Counted>,
}

/// One verb on one network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Counted {
    verb: String,
    network: String,
    ok: u64,
    failed: u64,
    seconds: f64,
    /// How many took at most each of [`BOUNDS`].
    within: [u64; BOUNDS.len()],
}

impl Tally {
    /// The counts up to now; kept for the next time where that can be.
    ///
    /// # Errors
    /// When the journal is there and cannot be read.
    pub fn up_to_now(config: &Config) -> Result<Self, CniError> {
        let file = config.run_dir.join(FILE);
        let mut tally = Self::kept(&file);
        let before = tally.place.take();
        let booted = booted();
        let mut reader = Reader::default();
        let read = since(&config.log_file, before.as_ref(), |line| {
            if let Heard::Over(deed) = reader.hear(line) {
                tally.count(&deed, &booted);
            }
        });
        let place = read.map_err(|error| unreadable(&config.log_file, &error))?;
        tally.place = Some(place);
        if tally.place != before {
            // Where they cannot be kept, the journal is read again: as an operator who is not root would.
            let _ = tally.keep(&file);
        }
        Ok(tally)
    }

    fn kept(file: &Path) -> Self {
        let boot = boot_id();
        let kept = present(std::fs::read(file)).ok().flatten();
        let kept: Option<Self> = kept.and_then(|text| serde_json::from_slice(&text).ok());
        kept.filter(|kept| kept.boot == boot)
            .unwrap_or_else(|| Self {
                boot,
                ..Self::default()
            })
    }

    /// Whole or not at all: of two at the same moment either is right.
    fn keep(&self, file: &Path) -> io::Result<()> {
        let draft = file.with_extension(std::process::id().to_string());
        let written = write(&draft, &serde_json::to_vec(self)?, 0o600);
        written
            .and_then(|()| std::fs::rename(&draft, file))
            .inspect_err(|_| drop(std::fs::remove_file(&draft)))
    }

    fn count(&mut self, deed: &Deed, booted: &str) {
        let Some(end) = deed.end.as_ref().filter(|end| end.time.as_str() >= booted) else {
            return;
        };
        // A verb that could not tell its network has a dash there.
        let network = deed.on().filter(|network| *network != "-");
        self.of(&deed.verb, network.unwrap_or_default()).add(end);
    }

    fn of(&mut self, verb: &str, network: &str) -> &mut Counted {
        let is = |one: &Counted, network: &str| one.verb == verb && one.network == network;
        let network = match self.verbs.iter().any(|one| is(one, network)) {
            false if self.verbs.len() >= MOST => OTHER,
            _ => network,
        };
        let known = self.verbs.iter().position(|one| is(one, network));
        let place = known.unwrap_or_else(|| {
            self.verbs.push(Counted {
                verb: verb.to_owned(),
                network: network.to_owned(),
                ..Counted::default()
            });
            self.verbs.len() - 1
        });
        &mut self.verbs[place]
    }

    /// How many verbs ended how, and how long they took.
    pub fn families(&self) -> [Family; 2] {
        let mut total = Family::new(
            Kind::Counter,
            "vxlan_verbs_total",
            "Verbs of the journal that ended since the node booted, by outcome.",
        );
        let mut took = Family::new(
            Kind::Histogram,
            "vxlan_verb_duration_seconds",
            "How long these took.",
        );
        for one in &self.verbs {
            one.put(&mut total, &mut took);
        }
        [total, took]
    }
}

impl Counted {
    fn add(&mut self, end: &End) {
        let seconds = match end.milliseconds.is_finite() {
            true => end.milliseconds.max(0.0) / 1e3,
            false => 0.0,
        };
        match end.ok {
            true => self.ok += 1,
            false => self.failed += 1,
        }
        self.seconds += seconds;
        for (within, bound) in self.within.iter_mut().zip(BOUNDS) {
            *within += u64::from(seconds <= bound);
        }
    }

    fn put(&self, total: &mut Family, took: &mut Family) {
        let labels = |more: Option<(&'static str, &str)>| -> Labels {
            let own = [("network", &*self.network), ("verb", &*self.verb)];
            let all = own.into_iter().chain(more);
            all.map(|(name, value)| (name, value.to_owned())).collect()
        };
        for (outcome, count) in [("ok", self.ok), ("failed", self.failed)] {
            total.put(labels(Some(("outcome", outcome))), count as f64);
        }
        let all = (self.ok + self.failed) as f64;
        for (within, bound) in self.within.iter().zip(BOUNDS) {
            let bound = bound.to_string();
            took.put_part("_bucket", labels(Some(("le", &bound))), *within as f64);
        }
        took.put_part("_bucket", labels(Some(("le", "+Inf"))), all);
        took.put_part("_sum", labels(None), self.seconds);
        took.put_part("_count", labels(None), all);
    }
}

/// Writes a file anew: what a process of that number left there when it was killed goes, and a link is not followed.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, text: &[u8], mode: u32) -> io::Result<()> {
    present(std::fs::remove_file(path))?;
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text)
}

/// When the node booted, as the journal writes times; the beginning of all times where the kernel does not tell.
fn booted() -> String {
    // `btime`: seconds since the epoch (proc(5), /proc/stat).
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "));
    let seconds = line.and_then(|seconds| seconds.trim().parse().ok());
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(seconds.unwrap_or(0)));
    humantime::format_rfc3339_millis(time.unwrap_or(UNIX_EPOCH)).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ctl::metrics::family;

    fn of(text: &str, booted: &str) -> Tally {
        let (mut tally, mut reader) = (Tally::default(), Reader::default());
        for line in text.lines() {
            if let Heard::Over(deed) = reader.hear(line) {
                tally.count(&deed, booted);
            }
        }
        tally
    }

    fn has(tally: &Tally, lines: &[&str]) {
        let text = family::text(&tally.families());
        for line in lines {
            assert!(text.lines().any(|one| one == *line), "{line}\n{text}");
        }
    }

    #[test]
    fn verbs_are_counted_by_network_and_outcome_and_those_of_an_earlier_boot_are_not() {
        let text = "\
# 2031-05-02T09:00:00.100Z ADD blue z/eth0 ok 7.0 ms
# 2031-05-02T10:00:00.100Z ADD blue a/eth0 pod=shop/web
ip link add vx_blue type vxlan id 100
# 2031-05-02T10:00:00.107Z ADD blue a/eth0 ok 7.9 ms 10.1.0.23/16
# 2031-05-02T10:00:00.200Z ADD blue b/eth0 failed 3000.0 ms 11: try again
# 2031-05-02T10:00:00.300Z DEL - c/eth0 ok NaN ms
# 2031-05-02T10:00:00.400Z STATUS ok 1.0 ms
# 2031-05-02T10:00:01.000Z ADD blue going/eth0
";
        let mut tally = of(text, "2031-05-02T09:30:00.000Z");
        has(
            &tally,
            &[
                "vxlan_verbs_total{network=\"blue\",verb=\"ADD\",outcome=\"ok\"} 1",
                "vxlan_verbs_total{network=\"blue\",verb=\"ADD\",outcome=\"failed\"} 1",
                "vxlan_verb_duration_seconds_bucket{network=\"blue\",verb=\"ADD\",le=\"0.01\"} 1",
                "vxlan_verb_duration_seconds_bucket{network=\"blue\",verb=\"ADD\",le=\"2.5\"} 1",
                "vxlan_verb_duration_seconds_bucket{network=\"blue\",verb=\"ADD\",le=\"5\"} 2",
                "vxlan_verb_duration_seconds_bucket{network=\"blue\",verb=\"ADD\",le=\"+Inf\"} 2",
                "vxlan_verb_duration_seconds_count{network=\"blue\",verb=\"ADD\"} 2",
                "vxlan_verbs_total{network=\"\",verb=\"DEL\",outcome=\"ok\"} 1",
                "vxlan_verb_duration_seconds_sum{network=\"\",verb=\"DEL\"} 0",
                "vxlan_verbs_total{network=\"\",verb=\"STATUS\",outcome=\"ok\"} 1",
            ],
        );
        let seconds = tally.of("ADD", "blue").seconds;
        assert!((seconds - 3.0079).abs() < 1e-9, "{seconds}");
    }

    #[test]
    fn names_without_end_make_no_series_without_end() {
        let line = |number| format!("# 2031-05-02T10:00:00.100Z ADD n{number} a/eth0 ok 1.0 ms\n");
        let text: String = (0..2 * MOST).map(line).collect();
        let tally = of(&text, "");
        assert_eq!(tally.verbs.len(), MOST + 1);
        let counted: u64 = tally.verbs.iter().map(|one| one.ok).sum();
        assert_eq!(counted, 2 * MOST as u64);
    }
}
