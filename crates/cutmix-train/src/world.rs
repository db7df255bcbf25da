//! Processes that train one network together.

#[cfg(feature = "mpi")]
pub mod mpi;
mod pairwise;

use std::ops::Range;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;

pub(crate) use pairwise::Pairwise;

/// A sum over all processes that is being computed.
pub type Sum = Box<dyn FnOnce() -> Result<Vec<f32>, Error> + Send>;

/// The processes that train one network together, as one of them sees them.
///
/// Each process makes its parts of every batch ([`TrainerConfig::accumulate`] is their number in all
/// processes), and all make the same optimizer step with the sum of the gradients. All processes call the
/// same methods in the same order.
///
/// [`TrainerConfig::accumulate`]: crate::TrainerConfig::accumulate
pub trait World: Send + Sync {
    /// The number of this process, from 0. Process 0 writes checkpoints.
    fn rank(&self) -> usize;

    /// The number of processes, at least 1.
    fn size(&self) -> usize;

    /// What each process passes, in the order of the processes.
    ///
    /// # Errors
    ///
    /// [`Error::Other`] where a process cannot be reached.
    fn gather(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>, Error>;

    /// Starts to add up the numbers of all processes, which are as many in each, one by one.
    ///
    /// They are added in pairs of neighbours, then pairs of these, and so on: `((0 + 1) + (2 + 3)) + 4`.
    /// Every process gets the same bits, which are those of one process that makes all parts by itself
    /// where each process makes 1, 2, 4, 8, ... parts.
    fn sum(&self, numbers: Vec<f32>) -> Sum;
}

/// A process by itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl World for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn gather(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>, Error> {
        Ok(vec![bytes])
    }

    fn sum(&self, numbers: Vec<f32>) -> Sum {
        Box::new(|| Ok(numbers))
    }
}

/// The values that the processes pass, in the order of the processes.
///
/// # Errors
///
/// Those of [`World::gather`], and [`Error::Other`] where the values of the processes are of other types.
pub fn gather<T: Serialize + DeserializeOwned>(
    world: &dyn World,
    own: &T,
) -> Result<Vec<T>, Error> {
    let mut bytes = Vec::new();
    ciborium::into_writer(own, &mut bytes).map_err(Error::other)?;
    let all = world.gather(bytes)?.into_iter();
    all.map(|bytes| ciborium::from_reader(&*bytes).map_err(Error::other))
        .collect()
}

/// Adds up numbers in the order of [`World::sum`]: those of process 0 come first.
///
/// # Panics
///
/// Where there are none, or they are not as many of each process.
pub fn sum_in_pairs(numbers: impl IntoIterator<Item = Vec<f32>>) -> Vec<f32> {
    let add = |mut first: Vec<f32>, second: Vec<f32>| {
        assert_eq!(first.len(), second.len(), "as many numbers of each process");
        for (first, second) in first.iter_mut().zip(second) {
            *first += second;
        }
        first
    };
    let mut sum = Pairwise::default();
    numbers
        .into_iter()
        .for_each(|numbers| sum.add(numbers, add));
    sum.finish(add).expect("the numbers of a process")
}

/// The batches of a loader that one process makes: of each group of `of` batches those in `take`.
///
/// ```
/// use cutmix_train::Share;
///
/// let share = Share::new(4, 2..4);
/// let own: Vec<_> = (0..8).filter(|batch| share.has(*batch)).collect();
/// assert_eq!(own, [2, 3, 6, 7]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    of: usize,
    take: Range<usize>,
}

impl Share {
    /// The share of a process that makes all batches.
    pub const ALL: Self = Self { of: 1, take: 0..1 };

    /// Of each group of `of` batches, at least 1, those with these numbers in the group.
    pub fn new(of: usize, take: Range<usize>) -> Self {
        Self {
            of: of.max(1),
            take,
        }
    }

    /// The share of a process of the batches in groups of `of`, a multiple of the number of processes:
    /// as many neighbours as each other process has.
    pub fn of(world: &dyn World, of: usize) -> Self {
        if world.size() == 1 {
            return Self::ALL;
        }
        let count = of / world.size();
        let first = world.rank() * count;
        Self::new(of, first..first + count)
    }

    /// Whether the process makes this batch, counted from the start of a group.
    pub fn has(&self, batch: usize) -> bool {
        self.take.contains(&(batch % self.of))
    }

    /// The number of batches of a whole group that the process makes.
    pub fn len(&self) -> usize {
        self.take.len()
    }

    /// Whether the process makes no batch.
    pub fn is_empty(&self) -> bool {
        self.take.is_empty()
    }
}
