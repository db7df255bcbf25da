//! Ending a run from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A handle with which another thread, or a signal, ends a run. The batch or evaluation in progress
/// is finished, a checkpoint is written where there is a folder for them, and
/// [`Trainer::fit`](crate::Trainer::fit) returns. Clones are handles on the same run.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// A handle for [`Trainer::stop`](crate::Trainer::stop).
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the run to end.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the run has been asked to end.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
