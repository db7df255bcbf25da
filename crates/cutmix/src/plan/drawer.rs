//! Draws plans.

use std::fmt;

use rand::Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::beta::symmetric_beta;
use super::sampler::Sides;
use super::{Plan, Region, Sampler, check_batch, check_partners, check_spatial};
use crate::Error;

/// How many regions a batch has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// One region and one lambda for the batch, a random permutation as partners.
    #[default]
    Batch,
    /// The batch falls into random pairs; the two of a pair swap a region of their own. In an odd
    /// batch one sample stays as it is.
    Pair,
    /// A region for each sample, a random permutation as partners.
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

/// Draws the [`Plan`]s of CutMix; each random part can be fixed.
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
    mode: Mode,
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

    /// Draws one region for the batch, for each pair or for each sample.
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
        let mut regions = Vec::new();
        let count = match self.mode {
            Mode::Batch => 1,
            Mode::Pair => batch.div_ceil(2),
            Mode::Sample => batch,
        };
        for _ in 0..count {
            regions.push(match &self.region {
                Some(region) => region.clone(),
                None => self.draw_region(spatial, rng)?,
            });
        }
        let partners = self.draw_partners(batch, rng)?;
        let spatial = spatial.to_vec();
        match self.mode {
            Mode::Batch => Plan::new(partners, regions.remove(0), spatial),
            Mode::Sample => Plan::per_sample(partners, regions, spatial),
            Mode::Pair => {
                // The pairs take the regions in the order of their first samples.
                let mut drawn = regions.into_iter();
                let mut regions: Vec<Region> = Vec::with_capacity(batch);
                for (sample, &partner) in partners.iter().enumerate() {
                    let region = match partner < sample {
                        true => regions[partner].clone(),
                        // A sample that stays as it is has nothing cut from it.
                        false if partner == sample => Region::new(vec![0..0; spatial.len()]),
                        false => drawn.next().expect("a region was drawn for each pair"),
                    };
                    regions.push(region);
                }
                Plan::per_sample(partners, regions, spatial)
            }
        }
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

    fn draw_region(&self, spatial: &[usize], rng: &mut impl Rng) -> Result<Region, Error> {
        let sides = match (self.sampler, self.side, self.lambda) {
            (_, Some(side), _) => {
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
            (_, None, Some(lambda)) => Sides::Lambda(lambda),
            // Its sides do not come from lambda, so none is drawn.
            (Sampler::MinMax { .. }, None, None) => Sides::Lambda(1.0),
            (_, None, None) => Sides::Lambda(symmetric_beta(self.alpha, rng)),
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
        let fixed = [
            ("region", self.region.is_some()),
            ("side", self.side.is_some()),
            ("lambda", self.lambda.is_some()),
            (
                "sampler min-max",
                matches!(self.sampler, Sampler::MinMax { .. }),
            ),
        ];
        let mut fixed = fixed.iter().filter(|(_, is_fixed)| *is_fixed);
        match (fixed.next(), fixed.next()) {
            (Some((first, _)), Some((second, _))) => Err(Error::argument(
                "drawer",
                format!("fixed by both {first} and {second}"),
                "one of region, side, lambda and the min-max sampler",
            )),
            _ => Ok(()),
        }
    }
}
