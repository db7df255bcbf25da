//! Samples that can only be read one after another, for callers that ask for them in about that
//! order.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use crate::data::DataError;

/// Samples that are kept, at most, because they were passed on the way to a later one. Threads that
/// share a batch ask for its samples in any order.
const KEPT: usize = 512;
/// Number of bytes of these samples, at most.
const KEPT_BYTES: usize = 128 << 20;

/// A file whose samples are read one after another.
pub trait Run {
    /// Reads the next sample.
    fn read(&mut self) -> Result<Vec<u8>, DataError>;

    /// Passes over so many samples.
    fn skip(&mut self, samples: usize) -> Result<(), DataError>;
}

/// A run that is being read.
#[derive(Debug)]
pub struct Forward<R> {
    open: Option<Open<R>>,
    kept: HashMap<usize, Vec<u8>>,
    /// The kept samples, the oldest first. Some may have been taken.
    order: VecDeque<usize>,
    bytes: usize,
}

#[derive(Debug)]
struct Open<R> {
    run: R,
    /// The samples that have not been read.
    left: Range<usize>,
}

impl<R> Default for Forward<R> {
    fn default() -> Self {
        Self {
            open: None,
            kept: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
        }
    }
}

impl<R: Run> Forward<R> {
    /// The bytes of a sample of the run that has the samples `samples`, which is opened where it is
    /// not the one that is being read or where the sample was read before.
    pub fn get(
        &mut self,
        sample: usize,
        samples: &Range<usize>,
        open: impl FnOnce() -> Result<R, DataError>,
    ) -> Result<Vec<u8>, DataError> {
        if let Some(bytes) = self.kept.remove(&sample) {
            self.bytes -= bytes.len();
            return Ok(bytes);
        }
        // Taken out, so that after an error the run is opened anew.
        let current = self.open.take().filter(|open| open.left.contains(&sample));
        let mut current = match current {
            Some(current) => current,
            None => Open {
                run: open()?,
                left: samples.clone(),
            },
        };
        let far = (sample - current.left.start).saturating_sub(KEPT);
        current.run.skip(far)?;
        current.left.start += far;
        while current.left.start < sample {
            let bytes = current.run.read();
            // Where this one cannot be read, the next ones may be; it is read anew when it is asked
            // for.
            if let Ok(bytes) = bytes {
                self.keep(current.left.start, bytes);
            }
            current.left.start += 1;
        }
        let bytes = current.run.read()?;
        current.left.start += 1;
        self.open = Some(current);
        Ok(bytes)
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
    }

    /// Asks for the samples in this order; how often the run was opened and how many were read.
    fn ask(samples: impl IntoIterator<Item = usize>) -> (usize, usize) {
        let (mut opened, read) = (0, std::cell::Cell::new(0));
        let mut forward = Forward::default();
        for sample in samples {
            let open = || {
                opened += 1;
                let read = &read;
                Ok(Numbers { next: 0, read })
            };
            let bytes = forward.get(sample, &(0..10_000), open).unwrap();
            assert_eq!(bytes, sample.to_le_bytes());
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
    fn samples_far_ahead_are_passed_over_unread() {
        assert_eq!(ask([9_999]), (1, KEPT + 1));
    }
}
