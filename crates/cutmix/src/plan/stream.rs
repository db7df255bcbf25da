//! Random numbers as a pure function of seed, lane and step.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// A source of random generators, one for each step of a run.
///
/// The generator of a step depends on the seed, the lane and the step alone. So a run saves no random
/// state to resume, and any step can be drawn again by itself. ChaCha with 8 rounds gives the same
/// numbers on every platform.
///
/// ```
/// use cutmix::plan::Stream;
/// use rand::RngExt;
///
/// let stream = Stream::new(42);
/// assert_eq!(stream.at(7).random::<u64>(), stream.at(7).random::<u64>());
/// assert_ne!(stream.at(7).random::<u64>(), stream.at(8).random::<u64>());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    seed: u64,
    lane: u64,
}

impl Stream {
    /// Creates the stream of a seed, on lane 0.
    pub fn new(seed: u64) -> Self {
        Self { seed, lane: 0 }
    }

    /// Returns the stream of the same seed on another lane. Lanes are independent of each other; each
    /// consumer of a run (an algorithm, the shuffling of the data) has one.
    pub fn lane(self, lane: u64) -> Self {
        Self { lane, ..self }
    }

    /// Returns one of many lanes within this one, for the parts of a consumer.
    pub fn within(self, part: u64) -> Self {
        // The finaliser of SplitMix64 (Steele, Lea, Flood, 2014): different lanes stay different.
        let mut lane = (self.lane)
            .wrapping_add(1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(part);
        lane = (lane ^ (lane >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        lane = (lane ^ (lane >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.lane(lane ^ (lane >> 31))
    }

    /// Returns the generator of one step.
    pub fn at(&self, step: u64) -> ChaCha8Rng {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..16].copy_from_slice(&self.lane.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(step);
        rng
    }
}
