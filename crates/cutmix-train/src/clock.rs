//! The count of epochs, batches and samples of a run.

use std::time::{self, Instant};

use serde::{Deserialize, Serialize};

use crate::time::{Duration, Time};

/// Counts what has elapsed of a run, and decides when the run is over.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    pub max: Duration,
    /// Samples in an epoch.
    epoch_samples: u64,
    started: Instant,
    /// The wall-clock time on which the processes of the run agreed, where there are several.
    agreed: Option<time::Duration>,
    pub counts: Counts,
}

/// The counts of a run, as a checkpoint stores them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub epochs: u64,
    pub batches: u64,
    pub samples: u64,
    /// Parts that the batches were made of.
    pub parts: u64,
    /// Samples of the current epoch.
    epoch_samples: u64,
    /// Parts of the current epoch.
    pub epoch_parts: u64,
    /// Wall-clock time before this process started.
    elapsed: time::Duration,
}

impl Clock {
    pub fn new(max: Duration, epoch_samples: usize, counts: Counts) -> Self {
        Self {
            max,
            epoch_samples: epoch_samples as u64,
            started: Instant::now(),
            agreed: None,
            counts,
        }
    }

    /// Sets the wall-clock time until the next call.
    pub fn agree(&mut self, elapsed: time::Duration) {
        self.agreed = Some(elapsed);
    }

    /// The wall-clock time by the clock of this process.
    pub fn own_elapsed(&self) -> time::Duration {
        self.counts.elapsed + self.started.elapsed()
    }

    /// The counts with the wall-clock time up to now.
    pub fn counts(&self) -> Counts {
        Counts {
            elapsed: self.elapsed(),
            ..self.counts
        }
    }

    /// The position at which a run of this length had these counts.
    pub fn at(&self, counts: Counts) -> Time {
        self.position(counts, 0, 0, counts.elapsed)
    }

    fn elapsed(&self) -> time::Duration {
        self.agreed.unwrap_or_else(|| self.own_elapsed())
    }

    /// The position of the run now.
    pub fn now(&self) -> Time {
        self.ahead(0, 0)
    }

    /// The position after a next batch of `samples` samples.
    pub fn after(&self, samples: usize) -> Time {
        self.ahead(1, samples as u64)
    }

    fn ahead(&self, batches: u64, samples: u64) -> Time {
        self.position(self.counts, batches, samples, self.elapsed())
    }

    /// The position `batches` and `samples` after these counts.
    fn position(
        &self,
        counts: Counts,
        batches: u64,
        samples: u64,
        elapsed: time::Duration,
    ) -> Time {
        let (batch, total) = (counts.batches + batches, counts.samples + samples);
        let epoch_samples = counts.epoch_samples + samples;
        let epoch_progress = (epoch_samples as f64 / self.epoch_samples.max(1) as f64).min(1.0);
        let progress = match self.max {
            Duration::Epochs(max) => (counts.epochs as f64 + epoch_progress) / max as f64,
            Duration::Batches(max) => batch as f64 / max as f64,
            Duration::Samples(max) => total as f64 / max as f64,
            Duration::Wall(max) => elapsed.as_secs_f64() / max.as_secs_f64(),
            Duration::Share(_) => unreachable!("`TrainerConfig::check` refuses a share"),
        };
        Time {
            epoch: counts.epochs,
            epoch_progress,
            batch,
            samples: total,
            progress: progress.clamp(0.0, 1.0),
            elapsed,
        }
    }

    pub fn is_over(&self) -> bool {
        let counts = self.counts;
        match self.max {
            Duration::Epochs(max) => counts.epochs >= max,
            Duration::Batches(max) => counts.batches >= max,
            Duration::Samples(max) => counts.samples >= max,
            Duration::Wall(max) => self.elapsed() >= max,
            Duration::Share(_) => unreachable!("`TrainerConfig::check` refuses a share"),
        }
    }

    /// The number of samples that the run still takes; unlimited unless it lasts a number of samples.
    pub fn samples_left(&self) -> usize {
        match self.max {
            Duration::Samples(max) => {
                let left = max.saturating_sub(self.counts.samples);
                usize::try_from(left).unwrap_or(usize::MAX)
            }
            _ => usize::MAX,
        }
    }

    pub fn count_batch(&mut self, samples: usize, parts: usize) {
        let counts = &mut self.counts;
        counts.batches += 1;
        counts.samples += samples as u64;
        counts.parts += parts as u64;
        counts.epoch_samples += samples as u64;
        counts.epoch_parts += parts as u64;
    }

    pub fn count_epoch(&mut self) {
        self.counts.epochs += 1;
        self.counts.epoch_samples = 0;
        self.counts.epoch_parts = 0;
    }
}
