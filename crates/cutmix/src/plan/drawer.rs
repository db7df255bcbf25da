//! Draws plans.

use std::fmt;

use rand::Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::beta::symmetric_beta;
use super::sampler::Sides;
use super::{Mixture, Plan, Region, Sampler, check_batch, check_partners, check_spatial};
use crate::Error;

/// How many regions and lambdas a batch has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// One region and one lambda for the batch, a random permutation as partners.
    #[default]
    Batch,
    /// The batch falls into random pairs; the two of a pair swap a region of their own, or share a
    /// lambda. In an odd batch one sample stays as it is.
    Pair,
    /// A region and a lambda for each sample, a random permutation as partners.
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

/// Draws the [`Plan`]s of CutMix, the [`Mixture`]s of MixUp and the regions of CutOut; each random
/// part can be fixed.
///
/// ```
/// use cutmix::plan::{Drawer, Sampler, Stream};
///
/// let drawer = Drawer::new(1.0).sampler(Sampler::Uniform);
/// let plan = drawer.draw(32, &[224, 224], &mut Stream::new(42).at(0))?;
/// assert_eq!(plan.batch(), 32);
/// # Ok::<(), cutmix::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Drawer {
    alpha: f64,
    sampler: Sampler,
    pub(crate) mode: Mode,
    region: Option<Region>,
    side: Option<usize>,
    lambda: Option<f64>,
    partners: Option<Vec<usize>>,
}

impl Drawer {
    /// Lambda from Beta(alpha, alpha), [`Sampler::Paper`], [`Mode::Batch`].
    ///
    /// `alpha` is any finite number above 0; 1, the usual choice, makes lambda uniform.
    pub fn new(alpha: f64) -> Self {
        Self {
            alpha,
            sampler: Sampler::default(),
            mode: Mode::default(),
            region: None,
            side: None,
            lambda: None,
            partners: None,
        }
    }

    /// Changes alpha.
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// Draws regions in another way.
    pub fn sampler(mut self, sampler: Sampler) -> Self {
        self.sampler = sampler;
        self
    }

    /// Draws one region or lambda for the batch, for each pair or for each sample.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Fixes the region.
    pub fn region(mut self, region: Region) -> Self {
        self.region = Some(region);
        self
    }

    /// Fixes the side length of the region in pixels, the same in every dimension, before the
    /// border clips it.
    pub fn side(mut self, side: usize) -> Self {
        self.side = Some(side);
        self
    }

    /// Fixes the lambda that sizes the region, in `0..=1`. The plan's lambda is again the exact
    /// share, which rounding and the border change.
    pub fn lambda(mut self, lambda: f64) -> Self {
        self.lambda = Some(lambda);
        self
    }

    /// Fixes the partners, a permutation of `0..N`; for [`Mode::Pair`] one that only swaps.
    pub fn partners(mut self, partners: Vec<usize>) -> Self {
        self.partners = Some(partners);
        self
    }

    /// Draws the plan of a batch of `batch` images of the spatial shape `spatial`.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if a setting is outside its range (see the methods), does not fit the
    /// batch, or is fixed by another one.
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

    /// Draws the mixture of a batch of `batch` samples; the sampler of regions has no part in it.
    ///
    /// # Errors
    ///
    /// As [`draw`](Self::draw), and [`Error::Argument`] if a region or its size is fixed.
    pub fn draw_mixture(&self, batch: usize, rng: &mut impl Rng) -> Result<Mixture, Error> {
        self.check()?;
        if let Some(part) = self.fixed().find(|part| *part != "lambda") {
            return Err(Error::argument(
                "drawer",
                format!("fixed by {part}"),
                "no region, side or min-max sampler, as samples are mixed as a whole",
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

    /// Draws what the batch, each pair or each sample has of its own.
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

    /// Gives both samples of a pair what was drawn for it, in the order of their first samples, and
    /// `alone` to one that stays as it is.
    fn share_out<T: Clone>(&self, drawn: Vec<T>, partners: &[usize], alone: T) -> Vec<T> {
        if self.mode != Mode::Pair {
            return drawn;
        }
        let mut drawn = drawn.into_iter();
        let mut shared: Vec<T> = Vec::with_capacity(partners.len());
        for (sample, &partner) in partners.iter().enumerate() {
            shared.push(match partner < sample {
                true => shared[partner].clone(),
                false if partner == sample => alone.clone(),
                false => drawn.next().expect("one was drawn for each pair"),
            });
        }
        shared
    }

    fn draw_partners(&self, batch: usize, rng: &mut impl Rng) -> Result<Vec<usize>, Error> {
        if let Some(partners) = &self.partners {
            return match partners.len() == batch {
                true => Ok(partners.clone()),
                false => Err(Error::argument(
                    "partners",
                    format!("{partners:?}"),
                    format!("one for each of the batch's {batch} samples"),
                )),
            };
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
        let sides = match (self.sampler, self.side) {
            (_, Some(side)) => {
                let largest = spatial.iter().copied().min().unwrap_or(0); // `spatial` has been checked
                if side > largest {
                    return Err(Error::argument(
                        "side",
                        side,
                        format!("0..={largest} pixels, the image's smallest side"),
                    ));
                }
                Sides::Fixed(side)
            }
            // Its sides do not come from lambda, so none is drawn.
            (Sampler::MinMax { .. }, None) => Sides::Lambda(1.0),
            (_, None) => Sides::Lambda(self.draw_lambda(rng)),
        };
        Ok(self.sampler.draw(sides, spatial, rng))
    }

    /// Checks what does not depend on the batch, so that a mistake shows before training.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if !(self.alpha.is_finite() && self.alpha > 0.0) {
            return Err(Error::argument(
                "alpha",
                self.alpha,
                "a finite number above 0 (1 is the usual choice)",
            ));
        }
        self.sampler.check()?;
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
                    "a permutation that only swaps, in the mode for pairs",
                ));
            }
        }
        let mut fixed = self.fixed();
        match (fixed.next(), fixed.next()) {
            (Some(first), Some(second)) => Err(Error::argument(
                "drawer",
                format!("fixed by both {first} and {second}"),
                "one of region, side, lambda and the min-max sampler",
            )),
            _ => Ok(()),
        }
    }

    /// Regions without partners have no pairs.
    pub(crate) fn check_no_pairs(&self) -> Result<(), Error> {
        match self.mode {
            Mode::Pair => Err(Error::argument(
                "mode",
                self.mode,
                "batch or sample, as there are no partners",
            )),
            _ => Ok(()),
        }
    }

    /// What decides the size of the regions instead of a lambda that is drawn.
    fn fixed(&self) -> impl Iterator<Item = &'static str> {
        let is_min_max = matches!(self.sampler, Sampler::MinMax { .. });
        let parts = [
            ("region", self.region.is_some()),
            ("side", self.side.is_some()),
            ("lambda", self.lambda.is_some()),
            ("sampler min-max", is_min_max),
        ];
        (parts.into_iter()).filter_map(|(part, is_fixed)| is_fixed.then_some(part))
    }
}
