//! The order of the samples in an epoch.

use std::ops::Range;

use cutmix::plan::Stream;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::data::{DataError, Dataset, Label};

/// Lane of the random stream of the order, far from those of a trainer's algorithms, which start at
/// 0.
const ORDER: u64 = 1 << 32;

/// Number of samples among which those are drawn that can only be read one after another.
const BUFFER: usize = 2048;
/// Size of these samples in bytes, at most. It is no setting: the order would depend on it.
const BUFFER_BYTES: u64 = 256 << 20;

/// The samples of an epoch, as indices into a set.
pub(super) struct Order {
    /// In the order in which they are handed out.
    pub samples: Vec<u32>,
    /// In the order in which they are read, where they can only be read one after another.
    pub reading: Option<Vec<u32>>,
}

impl Order {
    /// All samples in their own order.
    pub fn own(dataset: &Dataset) -> Self {
        Self {
            samples: (0..dataset.len() as u32).collect(),
            reading: None,
        }
    }
}

/// Which samples an epoch of training has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Sampler {
    /// Every sample once.
    #[default]
    Shuffled,
    /// As many samples of every class, so that those of rare classes come several times and some of
    /// common classes not at all. The number of samples in an epoch stays the same.
    Balanced,
}

impl Sampler {
    /// Checks that the sampler fits a set.
    pub(super) fn check(self, dataset: &Dataset) -> Result<(), DataError> {
        let wrong = |expected| Err(DataError::argument("sampler", "balanced", expected));
        if self == Self::Shuffled {
            return Ok(());
        }
        if dataset.source().runs().is_some() {
            return wrong("shuffled, where samples can only be read one after another");
        }
        if dataset.labels().any(|label| label.class().is_none()) {
            return wrong("shuffled, where samples have not exactly one class");
        }
        Ok(())
    }

    /// The samples of an epoch.
    pub(super) fn order(self, dataset: &Dataset, seed: u64, epoch: u64) -> Order {
        self.order_of(dataset, |_| true, seed, epoch)
    }

    /// The samples of an epoch, of those alone that are kept.
    pub(super) fn order_of(
        self,
        dataset: &Dataset,
        is_kept: impl Fn(u32) -> bool,
        seed: u64,
        epoch: u64,
    ) -> Order {
        let mut rng = Stream::new(seed).lane(ORDER).at(epoch);
        let samples = match (self, dataset.source().runs()) {
            (Self::Shuffled, Some(runs)) => {
                let mut order = buffered(dataset, runs, &mut rng);
                order.samples.retain(|sample| is_kept(*sample));
                return order;
            }
            (Self::Shuffled, None) => {
                let mut samples: Vec<_> = (0..dataset.len() as u32).collect();
                samples.shuffle(&mut rng);
                samples.retain(|sample| is_kept(*sample));
                samples
            }
            (Self::Balanced, _) => balanced(dataset, is_kept, &mut rng),
        };
        Order {
            samples,
            reading: None,
        }
    }
}

/// Every class in turn, in an order that is drawn anew for each round; its samples are shuffled and
/// used up before they come again.
fn balanced(dataset: &Dataset, is_kept: impl Fn(u32) -> bool, rng: &mut impl Rng) -> Vec<u32> {
    let mut members = vec![Vec::new(); dataset.classes().len()];
    for (index, label) in (0..).zip(dataset.labels()) {
        if let Label::Class(class) = label
            && is_kept(index)
        {
            members[class].push(index);
        }
    }
    let count = members.iter().map(Vec::len).sum();
    members.retain(|members| !members.is_empty());
    let mut left: Vec<Vec<u32>> = vec![Vec::new(); members.len()];
    let mut classes: Vec<_> = (0..members.len()).collect();
    let mut order = Vec::with_capacity(count);
    while order.len() < count {
        classes.shuffle(rng);
        for &class in &classes {
            if left[class].is_empty() {
                left[class].clone_from(&members[class]);
                left[class].shuffle(rng);
            }
            order.extend(left[class].pop());
        }
    }
    order.truncate(count);
    order
}

/// The runs in a random order; each is read from start to end into a buffer from which samples are
/// drawn.
fn buffered(dataset: &Dataset, runs: &[Range<usize>], rng: &mut impl Rng) -> Order {
    let mut by_run = vec![Vec::new(); runs.len()];
    for (index, &at) in dataset.indices().iter().enumerate() {
        let run = runs.partition_point(|run| run.end <= at as usize);
        by_run[run].push(index as u32);
    }
    by_run.shuffle(rng);
    let reading = by_run.concat();
    let size = |index: u32| {
        let at = dataset.indices()[index as usize];
        dataset.source().bytes(at as usize)
    };
    let mut samples = Vec::with_capacity(reading.len());
    let (mut buffer, mut bytes) = (Vec::with_capacity(BUFFER), 0u64);
    for &index in &reading {
        let room = BUFFER_BYTES.saturating_sub(size(index));
        while buffer.len() == BUFFER || (bytes > room && !buffer.is_empty()) {
            let drawn = buffer.swap_remove(rng.random_range(0..buffer.len()));
            bytes -= size(drawn);
            samples.push(drawn);
        }
        buffer.push(index);
        bytes += size(index);
    }
    buffer.shuffle(rng);
    samples.extend(buffer);
    Order {
        samples,
        reading: Some(reading),
    }
}
