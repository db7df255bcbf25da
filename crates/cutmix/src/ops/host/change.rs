//! The changes that the operations make inside a region.

use bytemuck::Pod;

use super::area::Rows;
use super::kernel::Change;
use super::pixel::Pixel;
use crate::ops::check::weights;

/// A region becomes that of the partner.
pub struct Paste;

impl<E: Pod> Change<E> for Paste {
    const USES_PARTNER: bool = true;
    const KEEPS_FIXED_POINTS: bool = true;

    fn rows<R: Rows>(&self, _sample: usize, own: &mut [E], at: R, other: &[E], from: R) {
        R::copy(own, at, other, from);
    }
}

/// A region becomes its weighted sum with that of the partner.
pub struct Blend<E: Pixel> {
    /// The weights of each sample, or one pair for all.
    weights: Vec<[E::Weight; 2]>,
}

impl<E: Pixel> Blend<E> {
    /// Creates the blend of one lambda for the batch or one for each sample.
    pub fn new(lambdas: &[f64]) -> Self {
        Self::weighted(weights(lambdas))
    }

    /// Creates the blend of the weights of samples and of their partners.
    pub fn weighted(weights: impl Iterator<Item = [f64; 2]>) -> Self {
        let weights = weights.map(|weights| weights.map(E::Weight::nearest));
        Self {
            weights: weights.collect(),
        }
    }
}

impl<E: Pixel> Change<E> for Blend<E> {
    // Also for a sample that is its own partner: the weighted sum may differ in the last bit.
    const USES_PARTNER: bool = true;

    fn rows<R: Rows>(&self, sample: usize, own: &mut [E], at: R, other: &[E], from: R) {
        let weights = self.weights[sample % self.weights.len()];
        for (own, other) in at.of_mut(own).zip(from.of(other)) {
            E::blend(own, other, weights);
        }
    }
}

/// A region becomes one value.
pub struct Fill<E>(pub E);

impl<E: Copy + Sync> Change<E> for Fill<E> {
    const USES_PARTNER: bool = false;

    fn rows<R: Rows>(&self, _sample: usize, own: &mut [E], at: R, _other: &[E], _from: R) {
        at.of_mut(own).for_each(|row| row.fill(self.0));
    }
}
