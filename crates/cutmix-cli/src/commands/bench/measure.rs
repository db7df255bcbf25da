//! Time and memory of calls on a device.

use std::hint::black_box;
use std::time::Instant;

use burn::tensor::{Device, Tensor, s};

use crate::error::Error;

/// The calls between two readings of the clock on a GPU, so that the calls take the time and not the
/// wait for the last one.
const CALLS: u32 = 16;

/// The bytes from which a copy is faster on several threads, as for the operations.
const PARALLEL: usize = 1 << 22;

/// Measures on a device.
pub struct Meter {
    pub device: Device,
    /// Whether the device is the CPU.
    pub is_cpu: bool,
}

impl Meter {
    /// The seconds of one call that turns a value into the next one.
    pub fn time<T>(
        &self,
        mut value: T,
        mut call: impl FnMut(T) -> Result<T, cutmix::Error>,
    ) -> Result<(T, f64), Error> {
        let calls = if self.is_cpu { 1 } else { CALLS };
        self.sync()?;
        let start = Instant::now();
        for _ in 0..calls {
            value = call(value)?;
        }
        self.sync()?;
        Ok((value, start.elapsed().as_secs_f64() / f64::from(calls)))
    }

    /// Makes plain copies of parts of a batch of `batch` bytes.
    pub fn copier(&self, batch: usize) -> Copier<'_> {
        let batch = if self.is_cpu { batch } else { 0 };
        Copier {
            meter: self,
            source: vec![1; batch],
            target: vec![2; batch],
            next: 0,
        }
    }

    /// The bytes that a call allocates, or on a GPU those that are in use after it and were not
    /// before; `None` where they are not known.
    pub fn memory<T>(
        &self,
        call: impl FnOnce() -> Result<T, cutmix::Error>,
    ) -> Result<Option<u64>, Error> {
        let used = || {
            if self.is_cpu {
                allocated()
            } else {
                self.device
                    .memory_pool_usage()
                    .map(|usage| usage.bytes_in_use)
            }
        };
        self.sync()?;
        let before = used();
        let _result = call()?;
        self.sync()?;
        let bytes = used()
            .zip(before)
            .map(|(after, before)| after.saturating_sub(before));
        Ok(bytes)
    }

    fn sync(&self) -> Result<(), Error> {
        let synced = self.device.sync();
        Ok(synced.map_err(cutmix_train::Error::other)?)
    }
}

/// The bytes that the program has allocated so far; counted only with the feature.
fn allocated() -> Option<u64> {
    #[cfg(feature = "count-allocations")]
    let bytes = Some(crate::ALLOCATOR.total_allocated() as u64);
    #[cfg(not(feature = "count-allocations"))]
    let bytes = None;
    bytes
}

/// Copies memory of the device to other memory of it.
pub struct Copier<'a> {
    meter: &'a Meter,
    source: Vec<u8>,
    target: Vec<u8>,
    /// The end of the last copy. The next one starts there, so that its memory is as far from the
    /// caches as the batch of an operation is.
    next: usize,
}

impl Copier<'_> {
    /// The seconds of a copy of `bytes` bytes.
    pub fn seconds(&mut self, bytes: usize) -> Result<f64, Error> {
        if bytes == 0 {
            return Ok(0.0);
        }
        if !self.meter.is_cpu {
            let count = bytes.div_ceil(4);
            let source = Tensor::<1>::ones([count], &self.meter.device);
            let target = Tensor::<1>::zeros([count], &self.meter.device);
            let copy = |target: Tensor<1>| Ok(target.slice_assign(s![..], source.clone()));
            return Ok(self.meter.time(target, copy)?.1);
        }
        if self.next + bytes > self.source.len() {
            self.next = 0;
        }
        let place = self.next..self.next + bytes;
        self.next = place.end;
        let (source, target) = (&self.source[place.clone()], &mut self.target[place]);
        let start = Instant::now();
        if bytes < PARALLEL {
            target.copy_from_slice(source);
        } else {
            let part = bytes.div_ceil(rayon::current_num_threads());
            rayon::in_place_scope(|scope| {
                let mut parts = target.chunks_mut(part).zip(source.chunks(part));
                let own = parts.next();
                parts.for_each(|(to, from)| scope.spawn(|_| to.copy_from_slice(from)));
                own.into_iter()
                    .for_each(|(to, from)| to.copy_from_slice(from));
            });
        }
        let seconds = start.elapsed().as_secs_f64();
        black_box(target);
        Ok(seconds)
    }
}

/// The median of the values.
pub fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
