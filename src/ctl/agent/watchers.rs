//! Who hears of peers all the time: a thread for each DNS name, and one for the nodes of Kubernetes.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use crate::cni::CniError;
use crate::config::{Kubernetes, PeersFrom};
use crate::exec::System;
use crate::kube::nodes::{self, Nodes};
use crate::peers;

/// How often a DNS name is resolved. What it lives for (TTL) the resolver keeps to itself.
const EACH: Duration = Duration::from_secs(5);

/// The first pause behind a source that does not answer; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What a source has to say.
#[derive(Debug)]
pub enum Heard {
    /// The addresses that it tells now.
    Told(PeersFrom, Vec<IpAddr>),
    /// It does not answer; what it told before counts.
    Lost(PeersFrom, CniError),
}

/// The threads.
pub struct Watchers {
    tell: Sender<Heard>,
    running: Vec<Watcher>,
}

struct Watcher {
    from: PeersFrom,
    kubernetes: Kubernetes,
    /// Told to end; it does with its next word.
    over: Arc<AtomicBool>,
}

impl Watchers {
    /// None yet.
    pub fn new(tell: Sender<Heard>) -> Self {
        Self {
            tell,
            running: Vec::new(),
        }
    }

    /// Has one for each of these sources, and no other.
    pub fn follow(&mut self, system: &System, kubernetes: &Kubernetes, sources: &[PeersFrom]) {
        self.running.retain(|one| {
            let is_api = one.from == PeersFrom::Kubernetes;
            let same = !is_api || one.kubernetes == *kubernetes;
            let stays = sources.contains(&one.from) && same;
            one.over.store(!stays, Ordering::Relaxed);
            stays
        });
        for from in sources {
            let is_heard = self.running.iter().any(|one| one.from == *from);
            if !is_heard && from.is_elsewhere() {
                self.start(system, kubernetes, from);
            }
        }
    }

    fn start(&mut self, system: &System, kubernetes: &Kubernetes, from: &PeersFrom) {
        let over = Arc::new(AtomicBool::new(false));
        let listener = Listener {
            system: system.again(),
            kubernetes: kubernetes.clone(),
            from: from.clone(),
            tell: self.tell.clone(),
            over: Arc::clone(&over),
        };
        std::thread::spawn(move || listener.listen());
        self.running.push(Watcher {
            from: from.clone(),
            kubernetes: kubernetes.clone(),
            over,
        });
    }
}

/// One thread.
struct Listener {
    system: System,
    kubernetes: Kubernetes,
    from: PeersFrom,
    tell: Sender<Heard>,
    over: Arc<AtomicBool>,
}

impl Listener {
    /// Listens until it is over.
    fn listen(&self) {
        let mut pause = FIRST_PAUSE;
        while !self.is_over() {
            let heard = match self.from {
                PeersFrom::Kubernetes => self.kubernetes(),
                _ => self.ask(),
            };
            let wait = match heard {
                Ok(()) => {
                    pause = FIRST_PAUSE;
                    EACH
                }
                Err(error) => {
                    self.say(Heard::Lost(self.from.clone(), error));
                    let wait = pause;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    // Nodes that lost it together shall not ask together again.
                    wait + wait.mul_f64(fastrand::f64() / 2.0)
                }
            };
            if self.system.pause(wait).is_err() {
                return;
            }
        }
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed) || self.system.stop().is_told()
    }

    fn ask(&self) -> Result<(), CniError> {
        let found = peers::addresses(&self.system, &self.kubernetes, &self.from)?;
        self.say(Heard::Told(self.from.clone(), found));
        Ok(())
    }

    /// A list, then watches one behind the other.
    fn kubernetes(&self) -> Result<(), CniError> {
        let place = nodes::place(self.kubernetes.config_path.as_deref())?;
        let timeout = self.kubernetes.timeout;
        let told = |nodes: &Nodes| {
            let found = nodes.addresses.values().flatten().copied().collect();
            self.say(Heard::Told(self.from.clone(), found));
        };
        let mut nodes = nodes::list(&self.system, &place, timeout)?;
        told(&nodes);
        while !self.is_over() {
            nodes::watch(&self.system, &place, timeout, &mut nodes, &mut |now| {
                told(now)
            })?;
            // Also where nothing changed: it answers.
            told(&nodes);
            if self.system.pause(FIRST_PAUSE).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn say(&self, heard: Heard) {
        // The loop that hears has ended with the program.
        if !self.over.load(Ordering::Relaxed) {
            let _ = self.tell.send(heard);
        }
    }
}
