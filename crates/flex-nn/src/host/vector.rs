//! Vectors of f32.

use std::ops::Range;

use pulp::Simd;

use super::arch;

/// The channels of each vector.
pub fn vectors(lanes: usize, channels: usize) -> impl Iterator<Item = Range<usize>> {
    let starts = (0..channels).step_by(lanes);
    starts.map(move |start| start..(start + lanes).min(channels))
}

/// Whether no number is NaN or infinite.
pub fn are_finite(numbers: &[f32]) -> bool {
    const INFINITE: u32 = 0x7f80_0000;
    let largest = arch().dispatch(|| {
        let magnitudes = numbers.iter().map(|x| x.to_bits() & !(1 << 31));
        magnitudes.fold(0, u32::max)
    });
    largest < INFINITE
}

/// Loads a vector, or a part of one where `values` is shorter.
#[inline(always)]
pub fn load<S: Simd>(simd: S, values: &[f32]) -> S::f32s {
    match S::as_simd_f32s(values).0 {
        [whole] => *whole,
        _ => simd.partial_load_f32s(values),
    }
}

/// Stores a vector, or a part of one where `values` is shorter.
#[inline(always)]
pub fn store<S: Simd>(simd: S, values: &mut [f32], vector: S::f32s) {
    match S::as_mut_simd_f32s(values).0 {
        [whole] => *whole = vector,
        _ => simd.partial_store_f32s(values, vector),
    }
}

/// `x`, or 0 where `y` is at most 0. NaN is not.
#[inline(always)]
pub fn masked<S: Simd>(simd: S, y: S::f32s, x: S::f32s) -> S::f32s {
    let zero = simd.splat_f32s(0.0);
    simd.select_f32s(simd.less_than_or_equal_f32s(y, zero), zero, x)
}
