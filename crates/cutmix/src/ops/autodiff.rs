//! Gradients of the operations.
//!
//! The gradient of the elements that a sample took belongs to its partner. Where both have the same
//! region, the gradient of an operation is the operation itself with the inverse permutation.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{BoolTensor, FloatTensor, IntTensor};
use burn::backend::{Autodiff, AutodiffBackend, FloatDType, TensorMetadata, get_device_settings};
use burn::tensor::{Shape, TensorData};

use super::backend::{MixOps, Partners, Regions, Weights};

impl<B: MixOps, C: CheckpointStrategy> MixOps for Autodiff<B, C> {
    fn float_paste(
        images: FloatTensor<Self>,
        partners: Partners,
        regions: Regions,
    ) -> FloatTensor<Self> {
        let (images, node) = images.into_parts();
        let adjoint = Adjoint {
            partners: partners.clone(),
            regions: regions.clone(),
            weights: Arc::new([[0.0, 1.0]]),
            is_paste: true,
        };
        match Mix.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                prep.finish(adjoint, B::float_paste(images, partners, regions))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::float_paste(images, partners, regions)),
        }
    }

    fn int_paste(images: IntTensor<Self>, partners: Partners, regions: Regions) -> IntTensor<Self> {
        B::int_paste(images, partners, regions)
    }

    fn bool_paste(
        images: BoolTensor<Self>,
        partners: Partners,
        regions: Regions,
    ) -> BoolTensor<Self> {
        B::bool_paste(images, partners, regions)
    }

    fn float_blend(
        images: FloatTensor<Self>,
        partners: Partners,
        regions: Regions,
        weights: Weights,
    ) -> FloatTensor<Self> {
        let (images, node) = images.into_parts();
        let adjoint = Adjoint {
            partners: partners.clone(),
            regions: regions.clone(),
            weights: weights.clone(),
            is_paste: false,
        };
        match Mix.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                prep.finish(adjoint, B::float_blend(images, partners, regions, weights))
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::float_blend(images, partners, regions, weights))
            }
        }
    }

    fn int_blend(
        images: IntTensor<Self>,
        partners: Partners,
        regions: Regions,
        weights: Weights,
    ) -> IntTensor<Self> {
        B::int_blend(images, partners, regions, weights)
    }

    fn float_fill(images: FloatTensor<Self>, regions: Regions, value: f64) -> FloatTensor<Self> {
        let (images, node) = images.into_parts();
        match Fill.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                prep.finish(regions.clone(), B::float_fill(images, regions, value))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::float_fill(images, regions, value)),
        }
    }

    fn int_fill(images: IntTensor<Self>, regions: Regions, value: f64) -> IntTensor<Self> {
        B::int_fill(images, regions, value)
    }

    fn mix_classes(
        classes: IntTensor<Self>,
        num_classes: usize,
        partners: Partners,
        weights: Weights,
        dtype: FloatDType,
    ) -> FloatTensor<Self> {
        Self::from_inner(B::mix_classes(
            classes,
            num_classes,
            partners,
            weights,
            dtype,
        ))
    }
}

/// The arguments of an operation, from which its gradient follows.
#[derive(Clone, Debug)]
struct Adjoint {
    partners: Partners,
    regions: Regions,
    weights: Weights,
    is_paste: bool,
}

/// Backward of `float_paste` and `float_blend`.
#[derive(Debug)]
struct Mix;

impl<B: MixOps> Backward<B, 1> for Mix {
    type State = Adjoint;

    fn backward(self, ops: Ops<Adjoint, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [parent] = ops.parents;
        let gradient = grads.consume::<B>(&ops.node);
        if let Some(parent) = parent {
            grads.register::<B>(parent.id, ops.state.apply::<B>(gradient));
        }
    }
}

impl Adjoint {
    fn apply<B: MixOps>(self, gradient: FloatTensor<B>) -> FloatTensor<B> {
        let mut inverse = vec![0; self.partners.len()];
        for (sample, &partner) in self.partners.iter().enumerate() {
            inverse[partner] = sample;
        }
        let regions = &self.regions;
        let same = regions.len() == 1
            || (self.partners.iter().enumerate()).all(|(i, &p)| regions[i] == regions[p]);
        if !same {
            return self.apply_each::<B>(gradient, &inverse);
        }
        if self.is_paste {
            return B::float_paste(gradient, inverse.into(), self.regions);
        }
        let weights = |sample: usize| self.weights[sample % self.weights.len()];
        let weights = match self.weights.len() {
            1 => self.weights.clone(),
            batch => (0..batch)
                .map(|i| [weights(i)[0], weights(inverse[i])[1]])
                .collect(),
        };
        B::float_blend(gradient, inverse.into(), self.regions, weights)
    }

    /// The gradient where regions differ: the weighted part that stayed plus the part that was taken by
    /// another sample.
    fn apply_each<B: MixOps>(self, gradient: FloatTensor<B>, inverse: &[usize]) -> FloatTensor<B> {
        let device = gradient.device();
        let dtype = gradient.dtype();
        let stayed = B::float_fill(gradient.clone(), self.regions.clone(), 0.0);
        // By a mask, because a product would spread gradients that are not finite.
        let ones = B::float_ones(gradient.shape(), &device, dtype.into());
        let outside = B::float_fill(ones, self.regions.clone(), 0.0);
        let bool_dtype = get_device_settings::<B>(&device).bool_dtype;
        let outside = B::float_equal_elem(outside, 1.0.into(), bool_dtype);
        let inside = B::float_mask_fill(gradient, outside, 0.0.into());
        let batch = inverse.len();
        let weigh = |side: usize| {
            let weights = (0..batch).map(|i| self.weights[i % self.weights.len()][side]);
            let mut shape = vec![1; inside.rank()];
            shape[0] = batch;
            let data = TensorData::new(weights.collect::<Vec<_>>(), Shape::from(shape));
            let weights = B::float_from_data(data.convert_dtype(inside.dtype()), &device);
            B::float_mul(inside.clone(), weights)
        };
        let given = weigh(1);
        // Every backend has this type.
        let indices: Vec<_> = inverse.iter().map(|&index| index as i32).collect();
        let indices = B::int_from_data(TensorData::from(indices.as_slice()), &device);
        let given = B::float_select(given, 0, indices);
        if self.is_paste {
            B::float_add(stayed, given)
        } else {
            B::float_add(B::float_add(stayed, weigh(0)), given)
        }
    }
}

/// Backward of `float_fill`.
#[derive(Debug)]
struct Fill;

impl<B: MixOps> Backward<B, 1> for Fill {
    type State = Regions;

    fn backward(self, ops: Ops<Regions, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [parent] = ops.parents;
        let gradient = grads.consume::<B>(&ops.node);
        if let Some(parent) = parent {
            grads.register::<B>(parent.id, B::float_fill(gradient, ops.state, 0.0));
        }
    }
}
