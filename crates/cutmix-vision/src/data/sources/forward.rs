//! Samples that can only be read one after another, for callers that ask for them in about that
//! order.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use crate::data::DataError;

/// Samples that are kept, at most, because they were passed on the way to a later one. Threads that
/// share a batch ask for its samples in any order.
const KEPT: usize = 512;
/// Number of bytes of these samples, at most.
const KEPT_BYTES: usize = 128 << 20;

/// Number of places at which runs are open, at most. Threads that share a set read at one place each.
const OPEN: usize = 16;

/// A file whose samples are read one after another.
pub trait Run {
    /// Reads the next sample.
    fn read(&mut self) -> Result<Vec<u8>, DataError>;

    /// Passes over so many samples.
    fn skip(&mut self, samples: usize) -> Result<(), DataError>;

    /// Whether an error has left it in a place that is not known. It is not used after that.
    fn is_lost(&self) -> bool;
}

/// The runs that are being read, by any number of threads.
#[derive(Debug)]
pub struct Reading<R>(Mutex<Runs<R>>);

#[derive(Debug)]
struct Runs<R> {
    /// The runs that are open, the one that was used last at the end. A run may be open several times,
    /// each at another place.
    open: Vec<Open<R>>,
    kept: HashMap<usize, Vec<u8>>,
    /// The kept samples, the oldest first. Some may have been taken.
    order: VecDeque<usize>,
    /// Number of bytes of the kept samples.
    bytes: usize,
    /// The damaged runs: the first sample of each, and the one that was asked for when the damage was
    /// met.
    damaged: HashMap<usize, usize>,
}

#[derive(Debug)]
struct Open<R> {
    run: R,
    /// The samples that have not been read.
    left: Range<usize>,
}

impl<R> Default for Reading<R> {
    fn default() -> Self {
        Self(Mutex::new(Runs {
            open: Vec::new(),
            kept: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            damaged: HashMap::new(),
        }))
    }
}

impl<R: Run> Reading<R> {
    /// The bytes of a sample of the run that has the samples `samples`. It is read on from the nearest
    /// place before the sample where the run is open; where there is none, it is opened.
    ///
    /// `None` where the run is damaged before the sample: it is not unpacked again for each sample behind
    /// the damage. Only the sample that was asked for then is tried again, as the error may have been
    /// one of the moment.
    pub fn get(
        &self,
        sample: usize,
        samples: &Range<usize>,
        open: impl FnOnce() -> Result<R, DataError>,
    ) -> Result<Option<Vec<u8>>, DataError> {
        // A run is put back only after it was read, so a panic leaves none in a wrong place.
        let mut runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        runs.get(sample, samples, open)
    }
}

impl<R: Run> Runs<R> {
    fn get(
        &mut self,
        sample: usize,
        samples: &Range<usize>,
        open: impl FnOnce() -> Result<R, DataError>,
    ) -> Result<Option<Vec<u8>>, DataError> {
        if let Some(bytes) = self.kept.remove(&sample) {
            self.bytes -= bytes.len();
            return Ok(Some(bytes));
        }
        let damaged = self.damaged.get(&samples.start);
        if damaged.is_some_and(|&damaged| damaged < sample) {
            return Ok(None);
        }
        self.damaged.retain(|_, damaged| *damaged != sample);
        let before = self
            .open
            .iter()
            .enumerate()
            .filter(|(_, open)| open.left.contains(&sample));
        let nearest = before
            .max_by_key(|(_, open)| open.left.start)
            .map(|(at, _)| at);
        let mut current = match nearest {
            Some(nearest) => self.open.remove(nearest),
            None => Open {
                run: open()?,
                left: samples.clone(),
            },
        };
        let far = (sample - current.left.start).saturating_sub(KEPT);
        if let Err(error) = current.run.skip(far) {
            self.damaged.insert(samples.start, sample);
            return Err(error);
        }
        current.left.start += far;
        let bytes = loop {
            let at = current.left.start;
            let bytes = current.run.read();
            current.left.start += 1;
            if current.run.is_lost() {
                self.damaged.insert(samples.start, sample);
                return if at == sample {
                    bytes.map(Some)
                } else {
                    Ok(None)
                };
            }
            if at == sample {
                break bytes;
            }
            // One that cannot be read is read anew when it is asked for.
            if let Ok(bytes) = bytes {
                self.keep(at, bytes);
            }
        };
        if !current.left.is_empty() {
            self.open.push(current);
        }
        if self.open.len() > OPEN {
            self.open.remove(0);
        }
        bytes.map(Some)
    }

    fn keep(&mut self, sample: usize, bytes: Vec<u8>) {
        self.bytes += bytes.len();
        self.order.push_back(sample);
        if let Some(old) = self.kept.insert(sample, bytes) {
            self.bytes -= old.len();
        }
        while self.bytes > KEPT_BYTES || self.order.len() > KEPT {
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            if let Some(old) = self.kept.remove(&oldest) {
                self.bytes -= old.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run of samples that are their own numbers, which counts how often it is opened and read.
    struct Numbers<'a> {
        next: usize,
        read: &'a std::cell::Cell<usize>,
    }

    impl Run for Numbers<'_> {
        fn read(&mut self) -> Result<Vec<u8>, DataError> {
            self.read.set(self.read.get() + 1);
            self.next += 1;
            Ok((self.next - 1).to_le_bytes().into())
        }

        fn skip(&mut self, samples: usize) -> Result<(), DataError> {
            self.next += samples;
            Ok(())
        }

        fn is_lost(&self) -> bool {
            false
        }
    }

    /// Asks for the samples in this order; how often the run was opened and how many were read.
    fn ask(samples: impl IntoIterator<Item = usize>) -> (usize, usize) {
        let (mut opened, read) = (0, std::cell::Cell::new(0));
        let forward = Reading::default();
        for sample in samples {
            let open = || {
                opened += 1;
                let read = &read;
                Ok(Numbers { next: 0, read })
            };
            let bytes = forward.get(sample, &(0..10_000), open).unwrap();
            assert_eq!(bytes.unwrap(), sample.to_le_bytes());
        }
        (opened, read.get())
    }

    #[test]
    fn samples_in_about_their_order_are_read_once() {
        assert_eq!(ask(0..1000), (1, 1000));
        assert_eq!(ask((0..1000).map(|at| at ^ 255)), (1, 1024));
    }

    #[test]
    fn a_sample_that_was_read_before_opens_the_run_anew() {
        // Twice from 0 to 7, then 8; 3 was kept.
        assert_eq!(ask([7, 7, 8, 3]), (2, 17));
    }

    #[test]
    fn readers_at_several_places_do_not_disturb_each_other() {
        let places = (0..100).flat_map(|at| [at, 3000 + at, 6000 + at]);
        let (opened, read) = ask(places);
        // The first reader of a place passes over what the others are waiting for.
        assert!(opened <= 4 && read < 4000, "{opened} {read}");
    }

    #[test]
    fn samples_far_ahead_are_passed_over_unread() {
        assert_eq!(ask([9_999]), (1, KEPT + 1));
    }
}
