//! Random plans.

use std::fmt;
use std::str::FromStr;

use rand::Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::beta::symmetric_beta;
use super::region_sampler::Size;
use super::{Mixture, Plan, Region, RegionSampler, check_batch, check_partners, check_spatial};
use crate::Error;

/// The number of regions and lambdas in a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The batch has one region and one lambda, and a random permutation as partners.
    #[default]
    Batch,
    /// The batch falls into random pairs. The two samples of a pair swap a region of their own, or
    /// share a lambda. In an odd batch one sample stays as it is.
    Pair,
    /// Each sample has its own region and lambda, and the partners are a random permutation.
    Sample,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Batch => "batch",
            Self::Pair => "pair",
            Self::Sample => "sample",
        })
    }
}

impl FromStr for Mode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "batch" => Ok(Self::Batch),
            "pair" => Ok(Self::Pair),
            "sample" => Ok(Self::Sample),
            _ => Err(Error::argument(
                "mode",
                format!("{text:?}"),
                "batch, pair or sample",
            )),
        }
    }
}

/// Draws the [`Plan`]s of CutMix, FMix and ResizeMix, the [`Mixture`]s of MixUp and the regions of
/// CutOut. Each random part can be fixed.
///
/// ```
/// use cutmix::plan::{PlanSampler, RegionSampler, Stream};
///
/// let sampler = PlanSampler::new(1.0).with_region_sampler(RegionSampler::Uniform);
/// let plan = sampler.draw(32, &[224, 224], &mut Stream::new(42).at(0))?;
/// assert_eq!(plan.batch(), 32);
/// # Ok::<(), cutmix::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PlanSampler {
    alpha: f64,
    region_sampler: RegionSampler,
    mode: Mode,
    region: Option<Region>,
    side: Option<usize>,
    lambda: Option<f64>,
    partners: Option<Vec<usize>>,
}

impl PlanSampler {
    /// Creates a sampler that draws lambda from Beta(alpha, alpha) and regions by
    /// [`RegionSampler::Paper`] in [`Mode::Batch`].
    ///
    /// `alpha` is finite and above 0; 1, the usual choice, makes lambda uniform.
    pub fn new(alpha: f64) -> Self {
        Self {
            alpha,
            region_sampler: RegionSampler::default(),
            mode: Mode::default(),
            region: None,
            side: None,
            lambda: None,
            partners: None,
        }
    }

    /// Sets alpha.
    pub fn with_alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// Sets the rule by which regions are drawn.
    pub fn with_region_sampler(mut self, region_sampler: RegionSampler) -> Self {
        self.region_sampler = region_sampler;
        self
    }

    /// Sets whether the batch, each pair or each sample has a region or lambda of its own.
    pub fn with_mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Fixes the region.
    pub fn with_region(mut self, region: Region) -> Self {
        self.region = Some(region);
        self
    }

    /// Fixes the side length of the box in pixels. It is the same in every dimension and holds before
    /// the border clips the box.
    pub fn with_side(mut self, side: usize) -> Self {
        self.side = Some(side);
        self
    }

    /// Fixes the lambda that sizes the region, in `0..=1`. The lambda of the plan is the exact share
    /// of pixels, which rounding and the border change.
    pub fn with_lambda(mut self, lambda: f64) -> Self {
        self.lambda = Some(lambda);
        self
    }

    /// Fixes the partners: a permutation of `0..N`, for [`Mode::Pair`] one that only swaps.
    pub fn with_partners(mut self, partners: Vec<usize>) -> Self {
        self.partners = Some(partners);
        self
    }

    /// The number of regions and lambdas in a batch.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Draws the plan of `batch` images of the spatial shape `spatial`.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if a setting is out of range (see the methods), does not fit the batch, or
    /// contradicts another one.
    pub fn draw(&self, batch: usize, spatial: &[usize], rng: &mut impl Rng) -> Result<Plan, Error> {
        self.check()?;
        check_batch(batch)?;
        check_spatial(spatial)?;
        let regions = self.draw_each(batch, rng, |rng| self.draw_region(spatial, rng))?;
        let partners = self.draw_partners(batch, rng)?;
        let nothing = Region::new(vec![0..0; spatial.len()]);
        let regions = self.share_out(regions, &partners, nothing);
        Plan::checked(partners, regions, spatial.to_vec())
    }

    /// Draws the mixture of `batch` samples. Region samplers have no effect on it.
    ///
    /// # Errors
    ///
    /// As [`draw`](Self::draw), and [`Error::Argument`] if a region or its size is fixed.
    pub fn draw_mixture(&self, batch: usize, rng: &mut impl Rng) -> Result<Mixture, Error> {
        self.check()?;
        if let Some(part) = self.fixed().find(|part| *part != "lambda") {
            return Err(Error::argument(
                "plan_sampler",
                format!("fixed by {part}"),
                "no region, side, min-max or scale, as samples are mixed as a whole",
            ));
        }
        check_batch(batch)?;
        let lambdas = self.draw_each(batch, rng, |rng| Ok(self.draw_lambda(rng)))?;
        let partners = self.draw_partners(batch, rng)?;
        let lambdas = self.share_out(lambdas, &partners, 1.0);
        Mixture::checked(partners, lambdas)
    }

    /// Draws regions without partners: one for the batch or one for each of its `batch` samples.
    ///
    /// # Errors
    ///
    /// As [`draw`](Self::draw), and [`Error::Argument`] for [`Mode::Pair`].
    pub fn draw_regions(
        &self,
        batch: usize,
        spatial: &[usize],
        rng: &mut impl Rng,
    ) -> Result<Vec<Region>, Error> {
        self.check()?;
        self.check_no_pairs()?;
        check_batch(batch)?;
        check_spatial(spatial)?;
        self.draw_each(batch, rng, |rng| self.draw_region(spatial, rng))
    }

    /// Draws one value for the batch, for each pair or for each sample.
    fn draw_each<T, R: Rng>(
        &self,
        batch: usize,
        rng: &mut R,
        draw: impl Fn(&mut R) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let count = match self.mode {
            Mode::Batch => 1,
            Mode::Pair => batch.div_ceil(2),
            Mode::Sample => batch,
        };
        (0..count).map(|_| draw(rng)).collect()
    }

    /// Gives the values of the pairs, in the order of their first samples, to both samples of a pair,
    /// and `alone` to a sample that stays as it is.
    fn share_out<T: Clone>(&self, drawn: Vec<T>, partners: &[usize], alone: T) -> Vec<T> {
        if self.mode != Mode::Pair {
            return drawn;
        }
        let mut drawn = drawn.into_iter();
        let mut shared: Vec<T> = Vec::with_capacity(partners.len());
        for (sample, &partner) in partners.iter().enumerate() {
            let value = if partner < sample {
                shared[partner].clone()
            } else if partner == sample {
                alone.clone()
            } else {
                drawn.next().expect("one was drawn for each pair")
            };
            shared.push(value);
        }
        shared
    }

    fn draw_partners(&self, batch: usize, rng: &mut impl Rng) -> Result<Vec<usize>, Error> {
        if let Some(partners) = &self.partners {
            if partners.len() != batch {
                return Err(Error::argument(
                    "partners",
                    format!("{partners:?}"),
                    format!("one for each of the {batch} samples of the batch"),
                ));
            }
            return Ok(partners.clone());
        }
        let mut order: Vec<_> = (0..batch).collect();
        order.shuffle(rng);
        if self.mode != Mode::Pair {
            return Ok(order);
        }
        let mut partners: Vec<_> = (0..batch).collect();
        for pair in order.chunks_exact(2) {
            partners.swap(pair[0], pair[1]);
        }
        Ok(partners)
    }

    fn draw_lambda(&self, rng: &mut impl Rng) -> f64 {
        (self.lambda).unwrap_or_else(|| symmetric_beta(self.alpha, rng))
    }

    fn draw_region(&self, spatial: &[usize], rng: &mut impl Rng) -> Result<Region, Error> {
        if let Some(region) = &self.region {
            region.check(spatial)?;
            return Ok(region.clone());
        }
        let size = if let Some(side) = self.side {
            let largest = spatial.iter().copied().min().unwrap_or(0); // `spatial` has been checked
            if side > largest {
                return Err(Error::argument(
                    "side",
                    side,
                    format!("0..={largest} pixels, the smallest side of the image"),
                ));
            }
            Size::Side(side)
        } else if self.region_sampler.uses_lambda() {
            Size::Lambda(self.draw_lambda(rng))
        } else {
            // No number is drawn that has no effect.
            Size::Lambda(1.0)
        };
        self.region_sampler.draw(size, spatial, rng)
    }

    /// Checks everything that does not depend on the batch, so that a mistake shows before training.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if a setting is out of range or contradicts another one.
    pub fn check(&self) -> Result<(), Error> {
        if !(self.alpha.is_finite() && self.alpha > 0.0) {
            return Err(Error::argument(
                "alpha",
                self.alpha,
                "a finite number above 0 (1 is the usual choice)",
            ));
        }
        self.region_sampler.check()?;
        if let Some(lambda) = self.lambda
            && !(0.0..=1.0).contains(&lambda)
        {
            return Err(Error::argument("lambda", lambda, "a number in 0..=1"));
        }
        if let Some(partners) = &self.partners {
            check_partners(partners)?;
            let swaps = |(sample, &partner): (usize, &usize)| partners[partner] == sample;
            if self.mode == Mode::Pair && !partners.iter().enumerate().all(swaps) {
                return Err(Error::argument(
                    "partners",
                    format!("{partners:?}"),
                    "a permutation that only swaps, in the mode `pair`",
                ));
            }
        }
        self.check_no_contradiction()
    }

    /// Checks that the size of the regions is fixed once at most.
    fn check_no_contradiction(&self) -> Result<(), Error> {
        let mut fixed = self.fixed();
        if let (Some(first), Some(second)) = (fixed.next(), fixed.next()) {
            return Err(Error::argument(
                "plan_sampler",
                format!("fixed by both {first} and {second}"),
                "one of region, side, lambda, min-max and scale",
            ));
        }
        if let (Some(side), RegionSampler::LowFrequency { .. }) = (self.side, self.region_sampler) {
            return Err(Error::argument(
                "side",
                side,
                format!("no side, as {} draws masks", self.region_sampler),
            ));
        }
        Ok(())
    }

    /// Checks that the mode is not [`Mode::Pair`], for regions without partners.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for [`Mode::Pair`].
    pub fn check_no_pairs(&self) -> Result<(), Error> {
        match self.mode {
            Mode::Pair => Err(Error::argument(
                "mode",
                self.mode,
                "batch or sample, as there are no partners",
            )),
            Mode::Batch | Mode::Sample => Ok(()),
        }
    }

    /// The settings that give the size of the regions in place of a random lambda.
    fn fixed(&self) -> impl Iterator<Item = &'static str> {
        let sampler = self.region_sampler;
        let parts = [
            ("region", self.region.is_some()),
            ("side", self.side.is_some()),
            ("lambda", self.lambda.is_some()),
            ("min-max", matches!(sampler, RegionSampler::MinMax { .. })),
            ("scale", matches!(sampler, RegionSampler::Scale { .. })),
        ];
        (parts.into_iter()).filter_map(|(part, is_fixed)| is_fixed.then_some(part))
    }
}
