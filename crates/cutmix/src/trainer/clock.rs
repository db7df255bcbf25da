//! Where a run is: the one place that counts, and says when the run is over.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{self, Instant};

use serde::{Deserialize, Serialize};

use crate::time::{Duration, Time};

/// Counts epochs, batches and samples of a run and knows when it is over. Clones are handles on
/// the same clock.
#[derive(Clone, Debug)]
pub struct Clock {
    max: Duration,
    /// Samples in an epoch.
    epoch_samples: u64,
    start: Instant,
    counts: Arc<Mutex<Counts>>,
}

/// What lies behind; all that a checkpoint keeps of a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Counts {
    epochs: u64,
    pub batches: u64,
    samples: u64,
    /// The parts that batches were made of.
    parts: u64,
    /// Samples of the current epoch.
    epoch_samples: u64,
    /// Parts of the current epoch.
    pub epoch_parts: u64,
    /// On the clock, before this process took over.
    elapsed: time::Duration,
}

impl Clock {
    pub(super) fn new(max: Duration, epoch_samples: u64) -> Self {
        Self {
            max,
            epoch_samples,
            start: Instant::now(),
            counts: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // The counts are plain numbers, valid whatever happened to another thread.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counts as they are now, for a checkpoint.
    pub(super) fn counts(&self) -> Counts {
        let counts = *self.lock();
        Counts {
            elapsed: self.elapsed(&counts),
            ..counts
        }
    }

    /// Goes on from a checkpoint.
    pub(super) fn restore(&mut self, counts: Counts) {
        self.start = Instant::now();
        *self.lock() = counts;
    }

    fn elapsed(&self, counts: &Counts) -> time::Duration {
        counts.elapsed + self.start.elapsed()
    }

    /// The time after all that was counted.
    pub fn now(&self) -> Time {
        self.ahead(0, 0)
    }

    /// The number of the next part of a batch.
    pub(super) fn position(&self) -> u64 {
        self.lock().parts
    }

    /// The time after a next batch of so many samples.
    pub(super) fn after(&self, samples: usize) -> Time {
        self.ahead(1, samples as u64)
    }

    /// The time so many batches and samples from now.
    fn ahead(&self, batches: u64, samples: u64) -> Time {
        let counts = self.lock();
        let elapsed = self.elapsed(&counts);
        let (batch, samples) = (counts.batches + batches, counts.samples + samples);
        let epoch_samples = counts.epoch_samples + samples - counts.samples;
        let epoch_progress = (epoch_samples as f64 / self.epoch_samples.max(1) as f64).min(1.0);
        let progress = match self.max {
            Duration::Epochs(max) => (counts.epochs as f64 + epoch_progress) / max as f64,
            Duration::Batches(max) => batch as f64 / max as f64,
            Duration::Samples(max) => samples as f64 / max as f64,
            Duration::Wall(max) => elapsed.as_secs_f64() / max.as_secs_f64(),
            Duration::Share(_) => unreachable!("a run is no share of itself"),
        };
        Time {
            epoch: counts.epochs,
            epoch_progress,
            batch,
            samples,
            progress: progress.clamp(0.0, 1.0),
            elapsed,
        }
    }

    /// How many of the `available` samples of the next batch the run still takes; 0 when it is
    /// over.
    pub(super) fn room(&self, available: usize) -> usize {
        let counts = self.lock();
        let is_over = match self.max {
            Duration::Epochs(max) => counts.epochs >= max,
            Duration::Batches(max) => counts.batches >= max,
            Duration::Samples(max) => {
                let left = max.saturating_sub(counts.samples);
                return available.min(usize::try_from(left).unwrap_or(available));
            }
            Duration::Wall(max) => self.elapsed(&counts) >= max,
            Duration::Share(_) => unreachable!("a run is no share of itself"),
        };
        if is_over { 0 } else { available }
    }

    pub(super) fn is_over(&self) -> bool {
        self.room(1) == 0
    }

    /// Counts a batch that was made of so many parts.
    pub(super) fn count(&self, samples: usize, parts: usize) {
        let mut counts = self.lock();
        counts.batches += 1;
        counts.samples += samples as u64;
        counts.parts += parts as u64;
        counts.epoch_samples += samples as u64;
        counts.epoch_parts += parts as u64;
    }

    /// Counts an epoch.
    pub(super) fn count_epoch(&self) {
        let mut counts = self.lock();
        counts.epochs += 1;
        counts.epoch_samples = 0;
        counts.epoch_parts = 0;
    }
}
