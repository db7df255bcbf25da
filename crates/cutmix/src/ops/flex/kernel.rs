//! Changes the regions of a batch row by row, in place or on the way into a new batch.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use bytemuck::Pod;

use super::grid::{Block, Blocks, Grid, Strip};
use crate::ops::axes::cycles;

/// What happens inside a region.
pub trait Inside<E>: Sync {
    /// Whether the partner's pixels matter.
    const TAKES: bool;
    /// Whether a sample that is its own partner stays as it is.
    const KEEPS_ITSELF: bool = false;

    /// Changes the rows `at` of a sample; `other` has the same ones of its partner, in the rows
    /// `from`.
    fn rows(&self, sample: usize, own: &mut [E], at: Strip, other: &[E], from: Strip);
}

/// Bytes from which on a second thread pays: to wake one can take 100 microseconds.
const PARALLEL: usize = 1 << 22;
/// Parts of the work for each thread, so that one that is late does not keep the others waiting.
const PARTS: usize = 4;

/// Changes a batch where it is: what is read from memory is written over while it is still in the
/// cache, and needs no more room than a tile for each thread.
pub fn in_place<E, I>(storage: &mut [E], grid: &Grid, partners: &[usize], inside: &I)
where
    E: Pod + Send + Sync,
    I: Inside<E>,
{
    let cycles = match I::TAKES {
        true => cycles(partners, I::KEEPS_ITSELF),
        false => Vec::new(),
    };
    grid.visit_blocks(Blocks::Touched, |offset, block| {
        let tiles = block.tiles();
        if tiles == 0 {
            return;
        }
        let mut samples: Vec<_> = (storage[grid.base + offset..]
            .chunks_mut(grid.sample_stride)
            .take(grid.batch))
        .map(|sample| {
            let extent = sample.len().min(grid.extent);
            &mut sample[..extent]
        })
        .collect();
        if grid.reversed {
            samples.reverse();
        }
        let change = |parts: &mut dyn Iterator<Item = Part<E>>| match I::TAKES {
            true => {
                let mut kept = vec![E::zeroed(); block.tile_elements()];
                parts.for_each(|mut part| part.along(&cycles, block, inside, &mut kept));
            }
            false => parts.for_each(|mut part| part.each(block, inside)),
        };
        let threads = rayon::current_num_threads();
        if threads == 1 || size_of::<E>() * block.elements() < PARALLEL {
            let all = Part {
                samples,
                start: 0,
                tiles: 0..tiles,
            };
            return change(&mut std::iter::once(all));
        }
        // Cut between tiles, so that every thread has the same elements of all samples.
        let parts = (threads * PARTS).min(tiles);
        let mut taken = 0;
        let work = (0..parts).map(|index| {
            let range = index * tiles / parts..(index + 1) * tiles / parts;
            let end = match range.end == tiles {
                true => grid.extent,
                false => block.start(&block.tile(range.end)),
            };
            let slices = samples.iter_mut().map(|sample| {
                sample
                    .split_off_mut(..end - taken)
                    .expect("tiles ascend within the sample")
            });
            let part = Part {
                samples: slices.collect(),
                start: taken,
                tiles: range,
            };
            taken = end;
            part
        });
        share(threads, work, change);
    });
}

/// Some tiles of all samples.
struct Part<'a, E> {
    /// The elements that have the tiles, from the element `start` of each sample on.
    samples: Vec<&'a mut [E]>,
    start: usize,
    tiles: Range<usize>,
}

impl<E: Pod> Part<'_, E> {
    /// Changes each sample by its partner, along the cycles of the permutation; `kept` has room for a
    /// tile of one sample.
    fn along(
        &mut self,
        cycles: &[Vec<usize>],
        block: &Block,
        inside: &impl Inside<E>,
        kept: &mut [E],
    ) {
        let Self { samples, start, .. } = self;
        for tile in self.tiles.clone().map(|tile| block.tile(tile)) {
            // With one region for all it is the same for every sample.
            let common = block.strip(&tile, 0, *start);
            let strip = |sample| match block.has_one_region() {
                true => common,
                false => block.strip(&tile, sample, *start),
            };
            for cycle in cycles {
                let (first, last) = (cycle[0], cycle[cycle.len() - 1]);
                // The last sample takes from the first one, which by then has changed.
                let last_strip = strip(last);
                if let Some(at) = last_strip {
                    copy_rows(kept, at.packed(), samples[first], at);
                }
                for pair in cycle.windows(2) {
                    let Some(at) = strip(pair[0]) else { continue };
                    let [own, other] = (samples.get_disjoint_mut([pair[0], pair[1]]))
                        .expect("a cycle meets each sample once");
                    inside.rows(pair[0], own, at, other, at);
                }
                if let Some(at) = last_strip {
                    inside.rows(last, samples[last], at, kept, at.packed());
                }
            }
        }
    }

    /// Changes each sample by itself.
    fn each(&mut self, block: &Block, inside: &impl Inside<E>) {
        for tile in self.tiles.clone().map(|tile| block.tile(tile)) {
            for (sample, own) in self.samples.iter_mut().enumerate() {
                if let Some(at) = block.strip(&tile, sample, self.start) {
                    inside.rows(sample, own, at, &[], at);
                }
            }
        }
    }
}

/// Does the work on so many threads, of which this is one, so that it begins before another has
/// woken. Each runs through what it gets.
fn share<W: Send>(
    threads: usize,
    work: impl Iterator<Item = W> + Send,
    run: impl Fn(&mut dyn Iterator<Item = W>) + Sync,
) {
    let work = Mutex::new(work);
    let next = || work.lock().unwrap_or_else(PoisonError::into_inner).next();
    let drain = || run(&mut std::iter::from_fn(next));
    rayon::in_place_scope(|scope| {
        (1..threads).for_each(|_| scope.spawn(|_| drain()));
        drain();
    });
}

/// The changed copy of a dense batch, in the order of its memory, in one pass.
pub fn copy<E, I>(storage: &[E], grid: &Grid, partners: &[usize], inside: &I) -> Vec<E>
where
    E: Pod + Send + Sync,
    I: Inside<E>,
{
    let batch = grid.batch;
    let block_length = batch * grid.extent;
    let length = block_length * grid.blocks();
    let storage = &storage[grid.base..][..length];
    let mut copy: Vec<E> = bytemuck::zeroed_vec(length);
    let mut blocks = (copy.chunks_exact_mut(block_length)).zip(storage.chunks_exact(block_length));
    grid.visit_blocks(Blocks::All, |_, block| {
        let (target, source) = blocks.next().expect("a dense batch is all blocks");
        let place = |sample: usize| match grid.reversed {
            true => batch - 1 - sample,
            false => sample,
        };
        let elements = |sample: usize| &source[place(sample) * grid.extent..][..grid.extent];
        let tiles: Vec<_> = (0..block.tiles()).map(|tile| block.tile(tile)).collect();
        let change = |(index, target): (usize, &mut [E])| {
            let sample = place(index);
            let (own, other) = (elements(sample), elements(partners[sample]));
            let mut done = 0;
            for at in tiles.iter().filter_map(|tile| block.strip(tile, sample, 0)) {
                let end = at.extent().end;
                target[done..end].copy_from_slice(&own[done..end]);
                inside.rows(sample, target, at, other, at);
                done = end;
            }
            target[done..].copy_from_slice(&own[done..]);
        };
        let samples = target.chunks_exact_mut(grid.extent).enumerate();
        if size_of::<E>() * block_length < PARALLEL {
            samples.for_each(change);
        } else {
            share(rayon::current_num_threads(), samples, |some| {
                some.for_each(change)
            });
        }
    });
    copy
}

/// Copies rows into others; short ones without a call, by a loop for each length.
pub fn copy_rows<E: Pod>(target: &mut [E], at: Strip, source: &[E], from: Strip) {
    fn each<U: Pod, E: Pod>(target: &mut [E], at: Strip, source: &[E], from: Strip) {
        let (target, source) = (
            bytemuck::cast_slice_mut(target),
            bytemuck::cast_slice(source),
        );
        let rows = at.rows_mut::<U>(target).zip(from.rows::<U>(source));
        macro_rules! by_length {
            ($($length:literal)*) => {
                match at.length {
                    $($length => rows.for_each(|(target, source)| {
                        target[..$length].copy_from_slice(&source[..$length]);
                    }),)*
                    _ => rows.for_each(|(target, source)| target.copy_from_slice(source)),
                }
            };
        }
        by_length!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32);
    }
    // The same loops serve all types of a size.
    match size_of::<E>() {
        1 => each::<u8, E>(target, at, source, from),
        2 => each::<u16, E>(target, at, source, from),
        4 => each::<u32, E>(target, at, source, from),
        _ => each::<u64, E>(target, at, source, from),
    }
}
