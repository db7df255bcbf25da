//! The order of weights in the memory of the kernels.
//!
//! The kernels read weights in blocks of output channels: for each number of a run the weights of all
//! channels of the block. The place of a weight says where it is from the first weight of its output
//! channel on; numbers behind the last channel of the input have none.

use super::gather::output_block;
use super::{lanes, memory, parallel};

/// Weights `[block, number, channel]` from those of `channels` channels, which are `step` apart.
pub fn pack(weights: &[f32], places: &[Option<usize>], channels: usize, step: usize) -> Vec<f32> {
    let width = output_block(lanes(), channels);
    let mut packed = memory::take(channels.div_ceil(width) * places.len() * width);
    let numbers = packed.len();
    let blocks = packed.chunks_mut((places.len() * width).max(1));
    parallel::each(numbers, blocks.enumerate(), |(block, packed)| {
        let count = width.min(channels - block * width);
        let weights = &weights[block * width * step..];
        match (width, count) {
            (16, 16) => pack_block::<16>(packed, weights, places, step),
            (32, 32) => pack_block::<32>(packed, weights, places, step),
            _ => {
                for (packed, place) in packed.chunks_exact_mut(width).zip(places) {
                    packed.fill(0.0);
                    let weights = place.map(|place| weights[place..].iter().step_by(step));
                    let pairs = packed[..count]
                        .iter_mut()
                        .zip(weights.into_iter().flatten());
                    pairs.for_each(|(packed, weight)| *packed = *weight);
                }
            }
        }
    });
    packed
}

/// Packs a block of `W` channels.
fn pack_block<const W: usize>(
    packed: &mut [f32],
    weights: &[f32],
    places: &[Option<usize>],
    step: usize,
) {
    let (packed, _) = packed.as_chunks_mut::<W>();
    for (packed, place) in packed.iter_mut().zip(places) {
        *packed = match place {
            Some(place) => std::array::from_fn(|channel| weights[channel * step + place]),
            None => [0.0; W],
        };
    }
}

/// The opposite of [`pack`]: puts numbers of a block in their places.
pub fn unpack(packed: &[f32], weights: &mut [f32], places: &[Option<usize>], step: usize) {
    let channels = weights.len() / step;
    let width = packed.len() / places.len();
    match (width, channels) {
        (16, 16) => unpack_block::<16>(packed, weights, places, step),
        (32, 32) => unpack_block::<32>(packed, weights, places, step),
        _ => {
            for (packed, place) in packed.chunks_exact(width).zip(places) {
                let weights = place.map(|place| weights[place..].iter_mut().step_by(step));
                let pairs = packed[..channels].iter().zip(weights.into_iter().flatten());
                pairs.for_each(|(packed, weight)| *weight = *packed);
            }
        }
    }
}

/// Unpacks a block of `W` channels.
fn unpack_block<const W: usize>(
    packed: &[f32],
    weights: &mut [f32],
    places: &[Option<usize>],
    step: usize,
) {
    let (packed, _) = packed.as_chunks::<W>();
    for (packed, place) in packed.iter().zip(places) {
        let Some(place) = place else { continue };
        for (channel, packed) in packed.iter().enumerate() {
            weights[channel * step + place] = *packed;
        }
    }
}
