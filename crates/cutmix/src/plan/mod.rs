//! Everything random about one mixed batch, as plain data.
//!
//! A [`Plan`] says which [`Region`] is cut, which sample it comes from and the exact lambda. It is
//! drawn on the host by a [`Drawer`] from a generator such as [`Stream::at`]; no tensor is
//! involved. It can be printed, compared, stored, given by hand and applied again.

mod beta;
mod drawer;
mod region;
mod sampler;
mod stream;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use drawer::Drawer;
pub use region::Region;
pub use sampler::Sampler;
pub use stream::Stream;

use crate::Error;

/// What is mixed with what: one region and one lambda for a whole minibatch.
///
/// ```
/// use cutmix::plan::{Plan, Region};
///
/// // Two 4 x 4 images swap their upper halves.
/// let plan = Plan::new(vec![1, 0], Region::new([0..2, 0..4]), vec![4, 4])?;
/// assert_eq!(plan.lambda(), 0.5);
/// let json = serde_json::to_string(&plan).unwrap();
/// assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
/// # Ok::<(), cutmix::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Fields")]
pub struct Plan {
    partners: Vec<usize>,
    region: Region,
    spatial: Vec<usize>,
    lambda: f64,
}

impl Plan {
    /// A plan given by hand: sample `i` takes `region` from sample `partners[i]`.
    ///
    /// `partners` is a permutation of `0..N`, `region` lies in an image of the shape `spatial`
    /// (rows and columns for `[N, C, H, W]`).
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for an empty batch, partners that are no permutation, an image without
    /// pixels, or a region that leaves the image.
    pub fn new(partners: Vec<usize>, region: Region, spatial: Vec<usize>) -> Result<Self, Error> {
        check_batch(partners.len())?;
        check_spatial(&spatial)?;
        check_partners(&partners)?;
        region.check(&spatial)?;
        let volume: usize = spatial.iter().product();
        let lambda = 1.0 - region.volume() as f64 / volume as f64;
        Ok(Self {
            partners,
            region,
            spatial,
            lambda,
        })
    }

    /// The permutation: sample `i` takes its patch from sample `partners()[i]`.
    pub fn partners(&self) -> &[usize] {
        &self.partners
    }

    /// The box that is cut from every sample of the batch.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// The spatial shape of the images.
    pub fn spatial(&self) -> &[usize] {
        &self.spatial
    }

    /// The share of each sample that is its own, in `0..=1`: exactly
    /// `1 - region volume / image volume`, never the value that was drawn.
    pub fn lambda(&self) -> f64 {
        self.lambda
    }

    /// The number of samples in the batch.
    pub fn batch(&self) -> usize {
        self.partners.len()
    }

    /// Whether applying the plan changes nothing: an empty region, or every sample is its own
    /// partner.
    pub fn is_identity(&self) -> bool {
        self.region.is_empty() || (self.partners.iter().enumerate()).all(|(i, &p)| i == p)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "region {} of {}, lambda {:.4}, partners {:?}",
            self.region,
            Region::whole(&self.spatial),
            self.lambda,
            self.partners
        )
    }
}

/// A plan as stored, before it is checked.
#[derive(Deserialize)]
struct Fields {
    partners: Vec<usize>,
    region: Region,
    spatial: Vec<usize>,
    lambda: f64,
}

impl TryFrom<Fields> for Plan {
    type Error = Error;

    fn try_from(fields: Fields) -> Result<Self, Error> {
        let plan = Self::new(fields.partners, fields.region, fields.spatial)?;
        // Text formats may lose the last digit.
        let exact = (plan.lambda - fields.lambda).abs() <= 1e-12;
        if !exact {
            return Err(Error::argument(
                "lambda",
                fields.lambda,
                format!("{}, the share outside the region", plan.lambda),
            ));
        }
        Ok(plan)
    }
}

pub(crate) fn check_batch(batch: usize) -> Result<(), Error> {
    match batch {
        0 => Err(Error::argument("batch", 0, "at least one sample")),
        _ => Ok(()),
    }
}

fn check_spatial(spatial: &[usize]) -> Result<(), Error> {
    // Up to where an f64 holds every number of pixels.
    const LARGEST: u64 = 1 << 53;
    let pixels = (spatial.iter()).try_fold(1u64, |pixels, &size| pixels.checked_mul(size as u64));
    if spatial.is_empty() || !matches!(pixels, Some(1..=LARGEST)) {
        return Err(Error::argument(
            "spatial",
            format!("{spatial:?}"),
            "one size of at least 1 for each spatial dimension, up to 2^53 pixels in all",
        ));
    }
    Ok(())
}

fn check_partners(partners: &[usize]) -> Result<(), Error> {
    let mut seen = vec![false; partners.len()];
    for &partner in partners {
        match seen.get_mut(partner) {
            Some(seen) if !*seen => *seen = true,
            _ => {
                return Err(Error::argument(
                    "partners",
                    format!("{partners:?}"),
                    format!("a permutation of 0..{}", partners.len()),
                ));
            }
        }
    }
    Ok(())
}
