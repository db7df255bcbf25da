//! Where a run is: the one place that counts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::time::{Duration, Time};

/// Counts epochs, batches and samples of a run and knows when it is over. Clones are handles on
/// the same clock.
#[derive(Clone, Debug)]
pub struct Clock {
    max: Duration,
    /// Samples in an epoch.
    epoch_samples: u64,
    counts: Arc<Mutex<Counts>>,
}

/// What lies behind.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    epochs: u64,
    batches: u64,
    samples: u64,
    /// Samples of the current epoch.
    of_epoch: u64,
    /// Size of the last batch.
    last: u64,
}

impl Clock {
    pub(super) fn new(max: Duration, epoch_samples: u64) -> Self {
        Self {
            max,
            epoch_samples,
            counts: Arc::default(),
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // The counts are plain numbers, valid whatever happened to another thread.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time after all that was counted.
    pub fn now(&self) -> Time {
        let counts = *self.counts();
        Time {
            epoch: counts.epochs,
            batch: counts.batches,
            samples: counts.samples,
            progress: self.progress(&counts, counts.samples as f64, counts.batches as f64),
            ..Time::default()
        }
    }

    /// The time at the start of the last batch.
    pub(super) fn last_batch(&self) -> Time {
        let counts = *self.counts();
        let (batch, samples) = (
            counts.batches.saturating_sub(1),
            counts.samples - counts.last,
        );
        Time {
            epoch: counts.epochs,
            batch,
            samples,
            progress: self.progress(&counts, samples as f64, batch as f64),
            ..Time::default()
        }
    }

    /// The progress of the run in the middle of the last batch.
    pub(super) fn middle_of_last_batch(&self) -> f64 {
        let counts = *self.counts();
        self.progress(
            &counts,
            counts.samples as f64 - 0.5 * counts.last as f64,
            counts.batches as f64 - 0.5,
        )
    }

    fn progress(&self, counts: &Counts, samples: f64, batches: f64) -> f64 {
        let progress = match self.max {
            Duration::Epochs(max) => {
                // Loaders may drop a last short batch: whole epochs count by number.
                let before_epoch = (counts.samples - counts.of_epoch) as f64;
                let epoch = (samples - before_epoch) / self.epoch_samples.max(1) as f64;
                (counts.epochs as f64 + epoch) / max as f64
            }
            Duration::Batches(max) => batches / max as f64,
            Duration::Samples(max) => samples / max as f64,
            Duration::Share(_) | Duration::Wall(_) => 0.0,
        };
        progress.clamp(0.0, 1.0)
    }

    /// How many of the `available` samples of the next batch the run still takes; 0 when it is
    /// over.
    pub(super) fn room(&self, available: usize) -> usize {
        let counts = *self.counts();
        match self.max {
            Duration::Epochs(max) if counts.epochs >= max => 0,
            Duration::Batches(max) if counts.batches >= max => 0,
            Duration::Samples(max) => {
                let left = max.saturating_sub(counts.samples);
                available.min(usize::try_from(left).unwrap_or(available))
            }
            _ => available,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.room(1) == 0
    }

    /// Counts a batch; gives the time at its start.
    pub(super) fn batch(&self, samples: usize) -> Time {
        {
            let mut counts = self.counts();
            counts.batches += 1;
            counts.samples += samples as u64;
            counts.of_epoch += samples as u64;
            counts.last = samples as u64;
        }
        self.last_batch()
    }

    /// Counts an epoch, unless the run ended inside it.
    pub(super) fn end_epoch(&self) {
        let cut_short = self.is_over();
        let mut counts = self.counts();
        if !cut_short || counts.of_epoch >= self.epoch_samples {
            counts.epochs += 1;
            counts.of_epoch = 0;
        }
    }

    /// The most epochs that the run can have, the unit that Burn's learner counts in; the run ends
    /// earlier where this clock says so.
    pub(super) fn max_epochs(&self) -> usize {
        // An epoch has at least a batch, and that a sample; a loader that drops a last short batch
        // gives fewer than it has.
        match self.max {
            Duration::Epochs(max) | Duration::Batches(max) | Duration::Samples(max) => {
                usize::try_from(max).unwrap_or(usize::MAX)
            }
            Duration::Share(_) | Duration::Wall(_) => usize::MAX,
        }
    }
}
