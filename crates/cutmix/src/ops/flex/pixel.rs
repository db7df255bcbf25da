//! The elements of images, and how they are mixed.
//!
//! A blend rounds as Burn's tensors do: after each product and after the sum. The loops for floats,
//! bf16 and integers of up to 32 bits have no branches and no calls, so that they become vector
//! instructions; f16 is converted in pieces, for which processors have instructions.

use burn::tensor::{Element, bf16, f16};
use bytemuck::Pod;
use half::slice::HalfFloatSliceExt;

/// An element and how it is mixed.
pub trait Pixel: Element + Pod + Send + Sync {
    /// What weights are rounded to.
    type Weight: Pixel;

    /// The nearest element.
    fn value(value: f64) -> Self;

    /// Each of `own` times the first weight plus that of `other` times the second one.
    fn blend(own: &mut [Self], other: &[Self], weights: [Self::Weight; 2]);
}

macro_rules! floats {
    ($($float:ty),*) => {$(
        impl Pixel for $float {
            type Weight = Self;

            fn value(value: f64) -> Self {
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

/// Half-precision numbers that are converted together.
const TOGETHER: usize = 64;
/// Fewer are mixed one by one.
const FEW: usize = 8;

impl Pixel for f16 {
    type Weight = Self;

    // By way of f32, as Burn's tensors from f64 data.
    fn value(value: f64) -> Self {
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

    // By way of f32, as Burn's tensors from f64 data.
    fn value(value: f64) -> Self {
        bf16::from_f32(value as f32)
    }

    fn blend(own: &mut [Self], other: &[Self], weights: [Self; 2]) {
        /// The bits of an f32 that is a bf16, the nearest one, ties to even.
        fn round(value: f32) -> u32 {
            let bits = value.to_bits();
            let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
            // A NaN stays one.
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

/// Integers, with how a weighted sum of two becomes one again.
macro_rules! integers {
    ($($int:ty: $from:expr),*) => {$(
        impl Pixel for $int {
            type Weight = f32;

            fn value(value: f64) -> Self {
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

/// As [`f32::round_ties_even`], which is a call for each element on processors that have no
/// instruction for it in their baseline.
#[inline]
fn round_ties_even(value: f32) -> f32 {
    // From here on all numbers are whole; below, the sum with it has no room for a fraction.
    const WHOLE: f32 = (1 << 23) as f32;
    let size = value.abs();
    let rounded = ((size + WHOLE) - WHOLE).copysign(value);
    if size < WHOLE { rounded } else { value }
}

/// Bits of which the lower ones are those of the nearest integer, ties to even; for values between
/// `-2^22` and `2^22`.
#[inline]
fn nearest_bits(value: f32) -> u32 {
    // The sum lies where neighbouring numbers differ by 1, and so do their bits.
    const UNIT: f32 = (3 << 22) as f32;
    (value + UNIT).to_bits()
}
