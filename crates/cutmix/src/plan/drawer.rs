//! Draws plans.

use rand::Rng;
use rand::seq::SliceRandom;

use super::beta::symmetric_beta;
use super::sampler::Sides;
use super::{Plan, Region, Sampler, check_batch, check_partners, check_spatial};
use crate::Error;

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
    region: Option<Region>,
    side: Option<usize>,
    lambda: Option<f64>,
    partners: Option<Vec<usize>>,
}

impl Drawer {
    /// Lambda from Beta(alpha, alpha), [`Sampler::Paper`], a random permutation as partners.
    ///
    /// `alpha` is any finite number above 0; 1, the usual choice, makes lambda uniform.
    pub fn new(alpha: f64) -> Self {
        Self {
            alpha,
            sampler: Sampler::default(),
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

    /// Fixes the partners, a permutation of `0..N`.
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
        let region = match &self.region {
            Some(region) => region.clone(),
            None => self.draw_region(spatial, rng)?,
        };
        let partners = match &self.partners {
            Some(partners) if partners.len() == batch => partners.clone(),
            Some(partners) => {
                return Err(Error::argument(
                    "partners",
                    format!("{partners:?}"),
                    format!("one for each of the batch's {batch} samples"),
                ));
            }
            None => {
                let mut partners: Vec<_> = (0..batch).collect();
                partners.shuffle(rng);
                partners
            }
        };
        Plan::new(partners, region, spatial.to_vec())
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
