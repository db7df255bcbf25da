//! Samples that are kept in memory.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::data::dataset::Read;
use crate::data::source::Content;
use crate::data::{DataError, Image, Size};

/// What a loader keeps of its samples, as far as its memory goes. What does not fit is read and
/// decoded in each epoch.
pub(super) struct Cache {
    /// Number of bytes that are left.
    left: AtomicU64,
    /// Number of samples.
    len: usize,
    /// The samples. There is room for them from the first one on that is kept.
    samples: OnceLock<Vec<OnceLock<Box<[u8]>>>>,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl Cache {
    /// A cache for `len` samples, of `limit` bytes.
    pub fn new(len: usize, limit: u64) -> Self {
        Self {
            left: limit.into(),
            len: if limit == 0 { 0 } else { len },
            samples: OnceLock::new(),
        }
    }

    /// The file of sample `index`, which is read where it is not kept. Decoded images of a source are
    /// in memory already.
    pub fn file<'a>(
        &'a self,
        index: usize,
        read: impl FnOnce() -> Result<Read<'a>, DataError>,
    ) -> Result<Read<'a>, DataError> {
        if let Some(bytes) = self.get(index) {
            return Ok((Content::File(Cow::Borrowed(bytes)), None));
        }
        let read = read()?;
        if let (Content::File(Cow::Owned(bytes)), _) = &read {
            self.keep(index, bytes);
        }
        Ok(read)
    }

    /// The image of sample `index`, which is made where it is not kept. All images have the same
    /// shape `[C, H, W]`.
    pub fn image(
        &self,
        index: usize,
        [channels, height, width]: [usize; 3],
        make: impl FnOnce() -> Result<Image, DataError>,
    ) -> Result<Image, DataError> {
        if let Some(pixels) = self.get(index) {
            return Image::new(Size { height, width }, channels, pixels.to_vec());
        }
        let image = make()?;
        self.keep(index, image.pixels());
        Ok(image)
    }

    /// Whether sample `index` is kept. It stays for good.
    pub fn has(&self, index: usize) -> bool {
        self.get(index).is_some()
    }

    fn get(&self, index: usize) -> Option<&[u8]> {
        self.samples.get()?.get(index)?.get().map(|bytes| &**bytes)
    }

    /// Keeps a copy of `bytes` where it fits.
    fn keep(&self, index: usize, bytes: &[u8]) {
        let room = || (0..self.len).map(|_| OnceLock::new()).collect();
        let Some(sample) = self.samples.get_or_init(room).get(index) else {
            return;
        };
        let len = bytes.len() as u64;
        let take = |left: u64| left.checked_sub(len);
        let taken = (self.left).fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        if taken.is_ok() && sample.set(bytes.into()).is_err() {
            // Another thread was faster.
            self.left.fetch_add(len, Ordering::Relaxed);
        }
    }
}
