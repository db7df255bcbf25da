//! The types of elements, and how they are blended.
//!
//! A blend rounds as Burn's tensors do: after each product and after the sum. The loops for floats,
//! bf16 and integers of up to 32 bits have no branches and no calls, so that they become vector
//! instructions. f16 is converted in pieces, for which processors have instructions.

use std::ops::Add;

use bytemuck::Pod;
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

/// A type of element: `f64`, `f32`, `f16`, `bf16`, and integers of 8 to 64 bits.
pub trait Pixel: Pod + Send + Sync + private::Sealed {
    /// The type that weights are rounded to: the type itself for floats and `f32` for integers.
    type Weight: Pixel;

    /// Returns the nearest element. For integers it is the nearest in range towards 0, and 0 for NaN.
    fn nearest(value: f64) -> Self;

    /// Replaces each element of `own` by itself times the first weight plus the one of `other` times
    /// the second weight.
    fn blend(own: &mut [Self], other: &[Self], weights: [Self::Weight; 2]);
}

/// A [`Pixel`] that is a float.
pub trait FloatPixel: Pixel<Weight = Self> + Add<Output = Self> {}

impl<E: Pixel<Weight = E> + Add<Output = E>> FloatPixel for E {}

mod private {
    /// Elements are those types alone that the kernels are tested with.
    pub trait Sealed {}

    macro_rules! seal {
        ($($element:ty)*) => {
            $(impl Sealed for $element {})*
        };
    }

    seal!(f64 f32 half::f16 half::bf16 i64 i32 i16 i8 u64 u32 u16 u8);
}

macro_rules! floats {
    ($($float:ty),*) => {$(
        impl Pixel for $float {
            type Weight = Self;

            fn nearest(value: f64) -> Self {
                value as Self
            }

            fn blend(own: &mut [Self], other: &[Self], [a, b]: [Self; 2]) {
                for (own, other) in own.iter_mut().zip(other) {
                    *own = *own * a + *other * b;
                }
            }
        }
    )*};
}

floats!(f64, f32);

/// The number of half-precision numbers that are converted together.
const TOGETHER: usize = 64;
/// Fewer half-precision numbers than this are blended one by one.
const FEW: usize = 8;

impl Pixel for f16 {
    type Weight = Self;

    // By way of f32, as Burn converts f64 data.
    fn nearest(value: f64) -> Self {
        f16::from_f32(value as f32)
    }

    fn blend(own: &mut [Self], other: &[Self], weights: [Self; 2]) {
        if own.len() < FEW {
            let [a, b] = weights;
            for (own, &other) in own.iter_mut().zip(other) {
                *own = *own * a + other * b;
            }
            return;
        }
        let [a, b] = weights.map(f32::from);
        let [mut x, mut y] = [[0f32; TOGETHER]; 2];
        let mut rounded = [f16::ZERO; TOGETHER];
        for (own, other) in own.chunks_mut(TOGETHER).zip(other.chunks(TOGETHER)) {
            let count = own.len();
            let (x, y, rounded) = (&mut x[..count], &mut y[..count], &mut rounded[..count]);
            own.convert_to_f32_slice(x);
            other.convert_to_f32_slice(y);
            for (products, weight) in [(&mut *x, a), (&mut *y, b)] {
                products.iter_mut().for_each(|value| *value *= weight);
                rounded.convert_from_f32_slice(products);
                rounded.convert_to_f32_slice(products);
            }
            x.iter_mut().zip(y).for_each(|(x, y)| *x += *y);
            own.convert_from_f32_slice(x);
        }
    }
}

impl Pixel for bf16 {
    type Weight = Self;

    // By way of f32, as Burn converts f64 data.
    fn nearest(value: f64) -> Self {
        bf16::from_f32(value as f32)
    }

    fn blend(own: &mut [Self], other: &[Self], weights: [Self; 2]) {
        /// The bits of the nearest bf16, ties to even, as those of an f32.
        fn round(value: f32) -> u32 {
            let bits = value.to_bits();
            let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
            // A NaN stays a NaN.
            let bits = if value.is_nan() {
                bits | 0x40_0000
            } else {
                rounded
            };
            bits & 0xffff_0000
        }
        let widen = |half: bf16| f32::from_bits(u32::from(half.to_bits()) << 16);
        let [a, b] = weights.map(widen);
        for (own, &other) in own.iter_mut().zip(other) {
            let [x, y] = [widen(*own) * a, widen(other) * b].map(|x| f32::from_bits(round(x)));
            *own = bf16::from_bits((round(x + y) >> 16) as u16);
        }
    }
}

/// Implements the trait for integers, with the function that turns a weighted sum into an integer.
macro_rules! integers {
    ($($int:ty: $from:expr),*) => {$(
        impl Pixel for $int {
            type Weight = f32;

            fn nearest(value: f64) -> Self {
                value as Self
            }

            fn blend(own: &mut [Self], other: &[Self], [a, b]: [f32; 2]) {
                for (own, &other) in own.iter_mut().zip(other) {
                    *own = $from(*own as f32 * a + other as f32 * b);
                }
            }
        }
    )*};
}

integers!(
    i64: |sum| round_ties_even(sum) as i64,
    u64: |sum| round_ties_even(sum) as u64,
    i32: |sum| round_ties_even(sum) as i32,
    u32: |sum| round_ties_even(sum) as u32,
    i16: |sum| nearest_bits(sum) as i16,
    u16: |sum| nearest_bits(sum) as u16,
    i8: |sum| nearest_bits(sum) as i8,
    u8: |sum| nearest_bits(sum) as u8
);

/// Rounds to the nearest integer, ties to even. [`f32::round_ties_even`] is a call for each element on
/// processors whose baseline has no instruction for it.
#[inline]
fn round_ties_even(value: f32) -> f32 {
    // All larger numbers are whole, and the sum of it and a smaller one has no room for a fraction.
    const WHOLE: f32 = (1 << 23) as f32;
    let size = value.abs();
    let rounded = ((size + WHOLE) - WHOLE).copysign(value);
    if size < WHOLE { rounded } else { value }
}

/// Returns bits of which the lower ones are those of the nearest integer, ties to even, for values
/// between `-2^22` and `2^22`.
#[inline]
fn nearest_bits(value: f32) -> u32 {
    // Near the sum, neighbouring numbers differ by 1, and so do their bits.
    const UNIT: f32 = (3 << 22) as f32;
    (value + UNIT).to_bits()
}
