//! `vxlan agent`: one process that keeps what this node has true while it runs. It hears of peers that come and go, repairs on a
//! change and on a timer, and tells how it is on loopback. Everything works without it, slower to notice.
//!
//! Threads that wait, and one loop that acts: nothing is repaired by two at once.

mod files;
mod serve;
mod state;
mod watchers;

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use self::files::Files;
use self::state::State;
use self::watchers::{Heard, Watchers};
use super::Said;
use super::args::{AgentOptions, Shared};
use super::node::Node;
use super::repair::{Done, repair, repair_host_sides};
use super::told;
use crate::cni::CniError;
use crate::config::PeersFrom;
use crate::exec::System;
use crate::ops::peers::Told;
use crate::outlet;
use crate::peers::known;

/// How often files are looked at and SIGTERM is listened for: a peer that comes is known within a second.
const TICK: Duration = Duration::from_millis(200);

/// How often the noted lists are marked as known, so that no ADD asks for itself (`ops::peers`: 10 s).
const MARK: Duration = Duration::from_secs(4);

/// How long a node that cannot be looked at is left alone.
const AGAIN: Duration = Duration::from_secs(5);

/// How much is looked at in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Round {
    /// The host sides alone: a source told other peers.
    HostSides,
    /// Everything.
    Whole,
}

/// Runs until SIGTERM.
///
/// # Errors
/// When the address cannot be listened on.
pub fn run(shared: &Shared, options: &AgentOptions) -> Result<Said, CniError> {
    let system = System::until_sigterm();
    let state = State::new(Duration::from_secs(options.every));
    serve::start(&system, shared, options.listen, &state)?;
    let (tell, heard) = channel();
    let mut agent = Agent {
        shared,
        system,
        state,
        told: Told::by_others(),
        watchers: Watchers::new(tell),
        files: Files::default(),
        last_words: String::new(),
    };
    outlet::remark(&format!(
        "vxlan agent: health and metrics on http://{}\n",
        options.listen
    ));
    agent.go_on(&heard, Duration::from_secs(options.every));
    Ok(Said::well(""))
}

struct Agent<'a> {
    shared: &'a Shared,
    system: System,
    state: State,
    told: Told,
    watchers: Watchers,
    files: Files,
    /// What was said last, which is not said again.
    last_words: String,
}

impl Agent<'_> {
    fn go_on(&mut self, heard: &Receiver<Heard>, every: Duration) {
        let mut next = Instant::now();
        let mut marked = Instant::now();
        let (mut again, mut pause) = (None, AGAIN);
        let mut round = None;
        while !self.system.stop().is_told() {
            let now = Instant::now();
            if now >= next {
                round = Some(Round::Whole);
            } else if again.is_some_and(|again| now >= again) {
                round = round.max(Some(Round::HostSides));
            }
            if let Some(how) = round.take() {
                let well = self.round(how);
                if how == Round::Whole {
                    next = Instant::now() + every;
                }
                // What was not taken up is tried again, with growing pauses.
                again = (!well).then(|| Instant::now() + pause);
                pause = if well {
                    AGAIN
                } else {
                    (pause * 2).min(every.max(AGAIN))
                };
            }
            if marked.elapsed() >= MARK && !self.told.is_empty() {
                self.mark();
                marked = Instant::now();
            }
            match heard.recv_timeout(TICK) {
                Ok(what) => round = self.hear(what).then_some(Round::HostSides),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            // What came meanwhile is one change.
            while let Ok(what) = heard.try_recv() {
                if self.hear(what) {
                    round = Some(Round::HostSides);
                }
            }
            round = round.max(self.files.have_changed());
        }
    }

    /// Takes in what a source tells; whether that is news.
    fn hear(&mut self, heard: Heard) -> bool {
        match heard {
            Heard::Told(from, found) => {
                self.state.source(&from, None);
                self.told.hear(from, found)
            }
            Heard::Lost(from, error) => {
                let words = told("vxlan agent", &error);
                if self.state.source(&from, Some(error)) {
                    outlet::remark(&words);
                }
                false
            }
        }
    }

    /// Looks and mends; whether nothing failed.
    fn round(&mut self, how: Round) -> bool {
        let system = self.system.again();
        let node = match Node::open(self.shared) {
            Ok(node) => node,
            Err(error) => {
                self.say(told("vxlan agent", &error));
                if let Some(conf) = &self.shared.conf {
                    self.files.follow([(conf.clone(), Round::Whole)]);
                }
                self.state.failed(&error);
                return false;
            }
        };
        self.follow(&node);
        let node = Node {
            told: self.told.clone(),
            ..node
        };
        let done = match how {
            Round::Whole => repair(&system, &node),
            Round::HostSides => repair_host_sides(&system, &node),
        };
        self.tell(&done);
        self.state.done(&done);
        done.failed.is_empty()
    }

    /// Listens to the sources of the networks that there are now.
    fn follow(&mut self, node: &Node) {
        let known = node.networks.iter().filter_map(|on| on.side.as_ref());
        let kept = known.filter_map(|side| side.network.peers_from.clone());
        let configured = node.config.networks.iter();
        let configured = configured.filter_map(|network| network.peers_from.clone());
        let mut sources: Vec<PeersFrom> = Vec::new();
        for from in configured.chain(kept) {
            if !sources.contains(&from) {
                sources.push(from);
            }
        }
        let lists = sources.iter().filter_map(|from| match from {
            PeersFrom::File(path) => Some((path.clone(), Round::HostSides)),
            _ => None,
        });
        let conf = [(node.file.clone(), Round::Whole)];
        self.files.follow(lists.chain(conf));
        self.watchers
            .follow(&self.system, &node.config.kubernetes, &sources);
        self.told.keep(|from| sources.contains(from));
        self.state.keep_sources(&sources);
    }

    /// Marks the lists that are heard all the time as known, where the network has been made by them.
    fn mark(&self) {
        if let Ok(node) = Node::open(self.shared) {
            for side in node.networks.iter().filter_map(|on| on.side.as_ref()) {
                let network = &side.network;
                let told = self.told.of(network);
                let told = told.map(|(from, found)| known(network, from, found.to_vec()));
                if told.is_some_and(|told| told.is_ok_and(|told| told.peers == network.peers)) {
                    node.store.peers_were_asked_for(&network.name);
                }
            }
        }
    }

    fn tell(&mut self, done: &Done) {
        if done.made.is_empty() && done.failed.is_empty() {
            self.last_words.clear();
            return;
        }
        self.say(done.text());
    }

    /// Says on stderr, where systemd's journal has it, what was not said just before.
    fn say(&mut self, words: String) {
        if words != self.last_words {
            outlet::remark(&words);
            self.last_words = words;
        }
    }
}
