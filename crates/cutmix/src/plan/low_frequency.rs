//! The masks of FMix: low-frequency noise, cut at the level that gives the wanted share.
//!
//! Harris, Marcu, Painter, Niranjan, Prügel-Bennett, Hare: FMix: Enhancing Mixed Sample Data
//! Augmentation. arXiv:2002.12047, 2020.
//!
//! Only additions, multiplications, square roots and functions of `libm` take part, so that a mask is
//! the same on every platform.

use std::f64::consts::PI;

use rand::{Rng, RngExt};

use super::{Mask, Region};
use crate::Error;

/// The largest prime factor of a side of the grid that noise is drawn on.
const LARGEST_PRIME: usize = 7;
const PRIMES: [usize; 4] = [2, 3, 5, LARGEST_PRIME];

/// Draws a mask that has the share `share` of the pixels, rounded to the nearest.
pub(super) fn mask(
    share: f64,
    decay_power: f64,
    spatial: &[usize],
    rng: &mut impl Rng,
) -> Result<Region, Error> {
    if spatial.len() > 3 {
        return Err(Error::argument(
            "spatial",
            format!("{spatial:?}"),
            "one to three spatial dimensions, as masks are drawn for no more",
        ));
    }
    let noise = noise(decay_power, spatial, rng);
    // `libm`: the rounding of `f64::round` is exact as well, but a call on some platforms.
    let count = libm::round(share * noise.len() as f64) as usize;
    let mut order: Vec<_> = (0..noise.len()).collect();
    // Equal values, which a single pixel and a constant have, are taken in the order of the pixels.
    let highest_first = |a: &usize, b: &usize| noise[*b].total_cmp(&noise[*a]).then(a.cmp(b));
    let mut pixels = vec![false; noise.len()];
    if count > 0 {
        let (before, last, _) = order.select_nth_unstable_by(count - 1, highest_first);
        for &mut pixel in before.iter_mut().chain([last]) {
            pixels[pixel] = true;
        }
    }
    Mask::from_pixels(spatial.to_vec(), &pixels).map(Region::Mask)
}

type Complex = [f64; 2];

fn product(a: Complex, b: Complex) -> Complex {
    [a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]]
}

/// The real part of the inverse Fourier transform of white noise whose amplitude is
/// `frequency^-decay_power`, in row-major order.
///
/// A grid whose sides have small prime factors alone, for which the transform is fast, contains the
/// image at its origin.
fn noise(decay_power: f64, spatial: &[usize], rng: &mut impl Rng) -> Vec<f64> {
    let mut image = [1; 3];
    image[3 - spatial.len()..].copy_from_slice(spatial);
    let grid = image.map(smooth);
    // A real signal needs half of the frequencies of one axis.
    let half = grid[2] / 2 + 1;
    let mut spectrum = spectrum(decay_power, grid, half, rng);

    let [planes, rows, columns] = grid;
    let transform = Transform::new(planes);
    for line in 0..rows * half {
        transform.apply(&mut spectrum, line, rows * half);
    }
    let transform = Transform::new(rows);
    for plane in 0..image[0] {
        for column in 0..half {
            transform.apply(&mut spectrum, plane * rows * half + column, half);
        }
    }
    let transform = Transform::new(columns);
    let mut line = vec![[0.0; 2]; columns];
    let mut noise = Vec::with_capacity(image.iter().product());
    for plane in 0..image[0] {
        for row in 0..image[1] {
            // Frequencies that have a mirror image count twice.
            line.fill([0.0; 2]);
            line[..half].copy_from_slice(&spectrum[(plane * rows + row) * half..][..half]);
            for (frequency, value) in line[..half].iter_mut().enumerate() {
                if frequency > 0 && 2 * frequency != columns {
                    *value = value.map(|part| 2.0 * part);
                }
            }
            transform.apply(&mut line, 0, 1);
            noise.extend(line[..image[2]].iter().map(|value| value[0]));
        }
    }
    noise
}

/// Complex white noise, scaled by the decay. The last axis has `half` frequencies.
fn spectrum(decay_power: f64, grid: [usize; 3], half: usize, rng: &mut impl Rng) -> Vec<Complex> {
    let squares = |size: usize, index: usize| {
        let frequency = index.min(size - index) as f64 / size as f64;
        frequency * frequency
    };
    let largest = grid.into_iter().max().unwrap_or(1) as f64; // there are three axes
    let lowest = 1.0 / (largest * largest);
    let mut spectrum = Vec::with_capacity(grid[0] * grid[1] * half);
    for plane in 0..grid[0] {
        for row in 0..grid[1] {
            let others = squares(grid[0], plane) + squares(grid[1], row);
            for column in 0..half {
                let square = (others + squares(grid[2], column)).max(lowest);
                // Relative to the lowest frequency, so that no decay overflows.
                let scale = libm::pow(lowest / square, 0.5 * decay_power);
                // Two normal numbers (Box and Muller, 1958).
                let uniform: f64 = 1.0 - rng.random::<f64>(); // in (0, 1]
                let radius = scale * (-2.0 * libm::log(uniform)).sqrt();
                let (sine, cosine) = libm::sincos(2.0 * PI * rng.random::<f64>());
                spectrum.push([radius * cosine, radius * sine]);
            }
        }
    }
    spectrum
}

/// The smallest number from `size` on without a prime factor above [`LARGEST_PRIME`].
fn smooth(size: usize) -> usize {
    let is_smooth = |&candidate: &usize| {
        let rest = PRIMES.iter().fold(candidate, |mut rest, prime| {
            while rest.is_multiple_of(*prime) {
                rest /= prime;
            }
            rest
        });
        rest == 1
    };
    (size..).find(is_smooth).unwrap_or(size) // there is a power of two
}

/// An inverse Fourier transform, without its factor, of a smooth number of values.
struct Transform {
    /// The prime factors of the number of values.
    factors: Vec<usize>,
    /// The roots of unity.
    roots: Vec<Complex>,
}

impl Transform {
    fn new(size: usize) -> Self {
        let mut factors = Vec::new();
        let mut rest = size;
        for prime in PRIMES {
            while rest.is_multiple_of(prime) {
                factors.push(prime);
                rest /= prime;
            }
        }
        let root = |index| {
            let (sine, cosine) = libm::sincos(2.0 * PI * index as f64 / size as f64);
            [cosine, sine]
        };
        Self {
            factors,
            roots: (0..size).map(root).collect(),
        }
    }

    /// Transforms the line of values from `start` on at a distance of `stride`.
    fn apply(&self, values: &mut [Complex], start: usize, stride: usize) {
        if self.roots.len() == 1 {
            return;
        }
        let mut line = vec![[0.0; 2]; self.roots.len()];
        self.recurse(&values[start..], stride, &mut line, &self.factors);
        for (value, transformed) in values[start..].iter_mut().step_by(stride).zip(line) {
            *value = transformed;
        }
    }

    /// The recursion of Cooley and Tukey (1965): the transforms of every p-th value, then their sums.
    fn recurse(&self, from: &[Complex], stride: usize, into: &mut [Complex], factors: &[usize]) {
        let [prime, factors @ ..] = factors else {
            into[0] = from[0];
            return;
        };
        let (prime, length) = (*prime, into.len() / prime);
        for (part, into) in into.chunks_exact_mut(length).enumerate() {
            self.recurse(&from[part * stride..], stride * prime, into, factors);
        }
        // The roots of unity of this length are every `step`-th of all.
        let step = self.roots.len() / (prime * length);
        let mut parts = [[0.0; 2]; LARGEST_PRIME];
        for index in 0..length {
            for (part, value) in parts[..prime].iter_mut().enumerate() {
                *value = product(into[part * length + index], self.roots[part * index * step]);
            }
            for turn in 0..prime {
                let mut sum = parts[0];
                for (part, value) in parts[..prime].iter().enumerate().skip(1) {
                    let root = self.roots[part * turn % prime * length * step];
                    let term = product(*value, root);
                    sum = [sum[0] + term[0], sum[1] + term[1]];
                }
                into[turn * length + index] = sum;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Stream;

    #[test]
    fn the_transform_equals_its_definition() {
        for size in [1, 2, 3, 5, 7, 8, 12, 30, 63, 70, 224] {
            let values: Vec<Complex> = (0..size)
                .map(|i| [(i * 37 % 101) as f64 - 50.0, (i * 53 % 97) as f64 - 48.0])
                .collect();
            let mut transformed = values.clone();
            Transform::new(size).apply(&mut transformed, 0, 1);
            for (index, found) in transformed.iter().enumerate() {
                let expected = values.iter().enumerate().fold([0.0; 2], |sum, (i, value)| {
                    let angle = 2.0 * PI * (i * index % size) as f64 / size as f64;
                    let term = product(*value, [angle.cos(), angle.sin()]);
                    [sum[0] + term[0], sum[1] + term[1]]
                });
                for (found, expected) in found.iter().zip(expected) {
                    assert!((found - expected).abs() < 1e-9 * size as f64, "{size}");
                }
            }
        }
    }

    /// The correlation of neighbours, and of pixels that are half of the image apart.
    fn correlations(decay_power: f64) -> [f64; 2] {
        let mut sums = [0.0; 3];
        for step in 0..200 {
            let noise = noise(decay_power, &[16, 20], &mut Stream::new(1).at(step));
            let mean = noise.iter().sum::<f64>() / noise.len() as f64;
            let at = |row: usize, column: usize| noise[row % 16 * 20 + column % 20] - mean;
            for (row, column) in (0..16).flat_map(|row| (0..20).map(move |column| (row, column))) {
                let other = [
                    at(row, column),
                    at(row, column + 1),
                    at(row + 8, column + 10),
                ];
                for (sum, other) in sums.iter_mut().zip(other) {
                    *sum += at(row, column) * other;
                }
            }
        }
        [sums[1] / sums[0], sums[2] / sums[0]]
    }

    #[test]
    fn a_larger_decay_makes_smoother_noise() {
        let [white, _] = correlations(0.0);
        assert!(white.abs() < 0.02, "{white}");
        let [smooth, opposite] = correlations(3.0);
        assert!(smooth > 0.9 && opposite < -0.2, "{smooth} {opposite}");
        let [between, _] = correlations(1.0);
        assert!(white < between && between < smooth, "{between}");
    }
}
