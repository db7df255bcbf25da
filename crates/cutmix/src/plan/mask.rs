//! A region of any form.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::check_spatial;
use crate::Error;

/// A set of pixels of an image, as runs of consecutive pixels. Cheap to clone.
///
/// Pixels are numbered in row-major order over the spatial shape. The runs are sorted, not empty and
/// do not touch each other, so that equal sets of pixels are equal masks.
///
/// ```
/// use cutmix::plan::Mask;
///
/// // A diagonal of a 3 x 3 image.
/// let mask = Mask::new(vec![3, 3], [0..1, 4..5, 8..9])?;
/// assert_eq!(mask.volume(), 3);
/// assert!(mask.contains(&[1, 1]) && !mask.contains(&[1, 2]));
/// # Ok::<(), cutmix::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct Mask {
    spatial: Arc<[usize]>,
    runs: Arc<[Range<usize>]>,
}

impl Mask {
    /// Creates the mask of an image of the spatial shape `spatial` from runs of pixels.
    ///
    /// The runs are sorted and do not overlap. Empty runs are dropped, and runs that touch become one.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for an image without pixels, and for runs that overlap, are out of order
    /// or leave the image.
    pub fn new(
        spatial: Vec<usize>,
        runs: impl IntoIterator<Item = Range<usize>>,
    ) -> Result<Self, Error> {
        check_spatial(&spatial)?;
        let pixels: usize = spatial.iter().product();
        let mut joined: Vec<Range<usize>> = Vec::new();
        for run in runs {
            let covered = joined.last().map_or(0, |before| before.end);
            if run.start < covered || run.end < run.start || run.end > pixels {
                return Err(Error::argument(
                    "runs",
                    format!("{run:?} after a run that ends at {covered}"),
                    format!("sorted ranges within 0..{pixels} that do not overlap"),
                ));
            }
            match joined.last_mut() {
                Some(before) if before.end == run.start => before.end = run.end,
                _ if run.is_empty() => {}
                _ => joined.push(run),
            }
        }
        Ok(Self {
            spatial: spatial.into(),
            runs: joined.into(),
        })
    }

    /// Creates the mask of the pixels that are `true`, in row-major order.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for an image without pixels, and for another number of values than the
    /// image has pixels.
    pub fn from_pixels(spatial: Vec<usize>, pixels: &[bool]) -> Result<Self, Error> {
        check_spatial(&spatial)?;
        if pixels.len() != spatial.iter().product::<usize>() {
            return Err(Error::argument(
                "pixels",
                format!("a list of {}", pixels.len()),
                format!("one value for each pixel of the shape {spatial:?}"),
            ));
        }
        let mut start = 0;
        let runs = pixels.chunk_by(|a, b| a == b).filter_map(|chunk| {
            let run = start..start + chunk.len();
            start = run.end;
            chunk[0].then_some(run)
        });
        Ok(Self {
            runs: runs.collect(),
            spatial: spatial.into(),
        })
    }

    /// The spatial shape of the images that the mask is for.
    pub fn spatial(&self) -> &[usize] {
        &self.spatial
    }

    /// The runs of pixels, sorted and separated by at least one pixel.
    pub fn runs(&self) -> &[Range<usize>] {
        &self.runs
    }

    /// The number of pixels in the mask.
    pub fn volume(&self) -> usize {
        self.runs.iter().map(Range::len).sum()
    }

    /// Whether the mask contains the pixel with this index along each spatial dimension.
    pub fn contains(&self, pixel: &[usize]) -> bool {
        let mut pairs = pixel.iter().zip(&*self.spatial);
        if pixel.len() != self.spatial.len() || pairs.any(|(index, size)| index >= size) {
            return false;
        }
        let pairs = pixel.iter().zip(&*self.spatial);
        let pixel = pairs.fold(0, |pixel, (index, size)| pixel * size + index);
        let after = self.runs.partition_point(|run| run.end <= pixel);
        (self.runs.get(after)).is_some_and(|run| run.contains(&pixel))
    }

    /// One value for each pixel, in row-major order.
    pub fn to_pixels(&self) -> Vec<bool> {
        let mut pixels = vec![false; self.spatial.iter().product()];
        for run in &*self.runs {
            pixels[run.clone()].fill(true);
        }
        pixels
    }

    /// Returns the smallest box that contains the mask: one range for each spatial dimension.
    pub fn bounds(&self) -> Vec<Range<usize>> {
        if self.runs.is_empty() {
            return vec![0..0; self.spatial.len()];
        }
        // The least index and the end of each dimension.
        let mut bounds = vec![(usize::MAX, 0); self.spatial.len()];
        for run in &*self.runs {
            let (mut first, mut last) = (run.start, run.end - 1);
            for ((least, end), &size) in bounds.iter_mut().zip(&*self.spatial).rev() {
                let mut covered = (first % size, last % size + 1);
                (first, last) = (first / size, last / size);
                // A run that continues in the next row covers the whole width.
                if first != last {
                    covered = (0, size);
                }
                (*least, *end) = ((*least).min(covered.0), (*end).max(covered.1));
            }
        }
        bounds.into_iter().map(|(least, end)| least..end).collect()
    }
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mask of {} pixels in {:?}", self.volume(), self.spatial)
    }
}

/// A mask as it is stored, before it is checked.
#[derive(Serialize, Deserialize)]
struct Fields {
    spatial: Vec<usize>,
    /// First pixel and end of each run.
    runs: Vec<[usize; 2]>,
}

impl From<Mask> for Fields {
    fn from(mask: Mask) -> Self {
        Self {
            spatial: mask.spatial.to_vec(),
            runs: mask.runs.iter().map(|run| [run.start, run.end]).collect(),
        }
    }
}

impl TryFrom<Fields> for Mask {
    type Error = Error;

    fn try_from(fields: Fields) -> Result<Self, Error> {
        let runs = fields.runs.into_iter().map(|[start, end]| start..end);
        Self::new(fields.spatial, runs)
    }
}
