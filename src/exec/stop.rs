//! SIGTERM as something to look at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::SIGTERM;

/// Tells whether this program was told to end (SIGTERM).
#[derive(Debug, Clone, Default)]
pub struct Stop(pub(super) Option<Arc<AtomicBool>>);

impl Stop {
    /// Listens from now on.
    pub(super) fn on_sigterm() -> Self {
        let told = Arc::new(AtomicBool::new(false));
        // Where the handler cannot be set, SIGTERM kills as ever; records written first still tell DEL what to undo.
        let heard = signal_hook::flag::register(SIGTERM, Arc::clone(&told));
        Self(heard.is_ok().then_some(told))
    }

    /// Whether it was.
    pub fn is_told(&self) -> bool {
        let told = |told: &Arc<AtomicBool>| told.load(Ordering::Relaxed);
        self.0.as_ref().is_some_and(told)
    }
}
