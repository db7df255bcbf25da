//! Everything that is random about one mixed batch, as plain data.
//!
//! A [`Plan`] holds the [`Region`]s that are replaced, the partners that the new pixels come from and
//! the exact lambdas. A [`Mixture`], for samples that are mixed as a whole, holds the partners and
//! lambdas alone. A [`PlanSampler`] draws both on the host from a generator such as [`Stream::at`]; no
//! tensor is involved. Plans can be printed, compared, stored, written by hand and applied again.

mod beta;
mod length;
mod low_frequency;
mod mask;
mod mixture;
mod plan_sampler;
mod region;
mod region_sampler;
mod stream;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use length::Length;
pub use mask::Mask;
pub use mixture::Mixture;
pub use plan_sampler::{Mode, PlanSampler};
pub use region::Region;
pub use region_sampler::RegionSampler;
pub use stream::Stream;

use crate::Error;

/// The regions of a batch that are replaced and the partners that the new pixels come from. Cheap to
/// clone.
///
/// A plan has one region for the whole batch, or one for each sample (see [`Mode`]). The regions give
/// the exact lambdas.
///
/// ```
/// use cutmix::plan::{Plan, Region};
///
/// // Two 4 x 4 images swap their upper halves.
/// let plan = Plan::new(vec![1, 0], Region::new([0..2, 0..4]), vec![4, 4])?;
/// assert_eq!(plan.lambda(0), 0.5);
/// let json = serde_json::to_string(&plan).unwrap();
/// assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
/// # Ok::<(), cutmix::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct Plan {
    mixture: Mixture,
    regions: Arc<[Region]>,
    spatial: Arc<[usize]>,
}

impl Plan {
    /// Creates a plan with one region for the batch: sample `i` takes `region` from sample
    /// `partners[i]`.
    ///
    /// `partners` is a permutation of `0..N`. `region` lies in an image of the shape `spatial` (rows
    /// and columns for `[N, C, H, W]`).
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for an empty batch, partners that are no permutation, an image without
    /// pixels, or a region that leaves the image.
    pub fn new(partners: Vec<usize>, region: Region, spatial: Vec<usize>) -> Result<Self, Error> {
        Self::checked(partners, vec![region], spatial)
    }

    /// Creates a plan with a region for each sample: sample `i` takes `regions[i]` from sample
    /// `partners[i]`.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and for another number of regions than of partners.
    pub fn per_sample(
        partners: Vec<usize>,
        regions: Vec<Region>,
        spatial: Vec<usize>,
    ) -> Result<Self, Error> {
        if regions.len() != partners.len() {
            return Err(Error::argument(
                "regions",
                format!("a list of {}", regions.len()),
                format!(
                    "one for each of the {} samples of the batch",
                    partners.len()
                ),
            ));
        }
        Self::checked(partners, regions, spatial)
    }

    /// Creates a plan of one region, or of one for each of `partners`.
    fn checked(
        partners: Vec<usize>,
        regions: Vec<Region>,
        spatial: Vec<usize>,
    ) -> Result<Self, Error> {
        check_batch(partners.len())?;
        check_spatial(&spatial)?;
        regions
            .iter()
            .try_for_each(|region| region.check(&spatial))?;
        let volume: usize = spatial.iter().product();
        let lambdas = (regions.iter()).map(|region| 1.0 - region.volume() as f64 / volume as f64);
        Ok(Self {
            mixture: Mixture::checked(partners, lambdas.collect())?,
            regions: regions.into(),
            spatial: spatial.into(),
        })
    }

    /// The permutation of the samples: sample `i` takes its region from sample `partners()[i]`.
    pub fn partners(&self) -> &[usize] {
        self.mixture.partners()
    }

    /// The one region of the batch, or one region for each sample.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// The lambda of each of [`regions`](Self::regions); see [`lambda`](Self::lambda).
    pub fn lambdas(&self) -> &[f64] {
        self.mixture.lambdas()
    }

    /// The region of a sample that is replaced.
    ///
    /// # Panics
    ///
    /// If `sample` is not in `0..batch()`.
    pub fn region(&self, sample: usize) -> &Region {
        &self.regions[self.mixture.entry(sample)]
    }

    /// The share of a sample that stays its own, in `0..=1`: exactly
    /// `1 - region volume / image volume`, never the value that was drawn.
    ///
    /// # Panics
    ///
    /// If `sample` is not in `0..batch()`.
    pub fn lambda(&self, sample: usize) -> f64 {
        self.mixture.lambda(sample)
    }

    /// The spatial shape of the images.
    pub fn spatial(&self) -> &[usize] {
        &self.spatial
    }

    /// The number of samples in the batch.
    pub fn batch(&self) -> usize {
        self.mixture.batch()
    }

    /// Whether applying the plan changes nothing: each sample is its own partner or its region has
    /// no pixel.
    pub fn is_identity(&self) -> bool {
        self.mixture.is_identity()
    }

    pub(crate) fn shared_partners(&self) -> Arc<[usize]> {
        self.mixture.shared_partners()
    }

    pub(crate) fn shared_regions(&self) -> Arc<[Region]> {
        self.regions.clone()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = Region::whole(&self.spatial);
        if let ([region], [lambda]) = (self.regions(), self.lambdas()) {
            let partners = self.partners();
            return write!(
                f,
                "region {region} of {whole}, lambda {lambda:.4}, partners {partners:?}"
            );
        }
        write!(f, "regions of {whole}:")?;
        (self.partners().iter().enumerate()).try_for_each(|(sample, partner)| {
            let (region, lambda) = (self.region(sample), self.lambda(sample));
            write!(
                f,
                " {sample} takes {region} of {partner}, lambda {lambda:.4};"
            )
        })
    }
}

impl AsRef<Mixture> for Plan {
    fn as_ref(&self) -> &Mixture {
        &self.mixture
    }
}

/// A plan as it is stored, before it is checked.
#[derive(Serialize, Deserialize)]
struct Fields {
    partners: Arc<[usize]>,
    regions: Arc<[Region]>,
    spatial: Arc<[usize]>,
    lambdas: Arc<[f64]>,
}

impl From<Plan> for Fields {
    fn from(plan: Plan) -> Self {
        Self {
            partners: plan.mixture.shared_partners(),
            lambdas: plan.mixture.shared_lambdas(),
            regions: plan.regions,
            spatial: plan.spatial,
        }
    }
}

impl TryFrom<Fields> for Plan {
    type Error = Error;

    fn try_from(fields: Fields) -> Result<Self, Error> {
        let (partners, spatial) = (fields.partners.to_vec(), fields.spatial.to_vec());
        let plan = match &*fields.regions {
            [region] => Self::new(partners, region.clone(), spatial)?,
            regions => Self::per_sample(partners, regions.to_vec(), spatial)?,
        };
        // Text formats may lose the last digit.
        let exact = plan.lambdas().len() == fields.lambdas.len()
            && (plan.lambdas().iter().zip(&*fields.lambdas)).all(|(a, b)| (a - b).abs() <= 1e-12);
        if !exact {
            return Err(Error::argument(
                "lambdas",
                format!("{:?}", fields.lambdas),
                format!("{:?}, the shares outside the regions", plan.lambdas()),
            ));
        }
        Ok(plan)
    }
}

pub(crate) fn check_batch(batch: usize) -> Result<(), Error> {
    if batch == 0 {
        return Err(Error::argument("batch", 0, "at least one sample"));
    }
    Ok(())
}

fn check_spatial(spatial: &[usize]) -> Result<(), Error> {
    // An f64 holds every number of pixels up to this one.
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

pub(crate) fn check_partners(partners: &[usize]) -> Result<(), Error> {
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
