//! The kernels: they change the regions of a batch row by row, in place or on the way into a new
//! batch.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use bytemuck::Pod;

use super::area::{Area, Block, Blocks, Rows};
use crate::ops::axes::cycles;

/// The change of the elements in a region.
pub trait Change<E>: Sync {
    /// Whether the change depends on the elements of the partner.
    const USES_PARTNER: bool;
    /// Whether a sample that is its own partner stays as it is.
    const KEEPS_FIXED_POINTS: bool = false;

    /// Changes the rows `at` of a sample. `other` has the same rows of its partner as the rows `from`.
    fn rows<R: Rows>(&self, sample: usize, own: &mut [E], at: R, other: &[E], from: R);
}

/// The number of bytes from which on a second thread pays. It can take 100 microseconds to wake one.
const PARALLEL: usize = 1 << 22;
/// The number of parts of the work for each thread, so that a late thread does not delay the others.
const PARTS: usize = 4;

/// Changes a batch in place. Elements that are read from memory are overwritten while they are in the
/// cache, and the only extra memory is a tile for each thread.
pub fn in_place<E, A, C>(storage: &mut [E], area: &A, partners: &[usize], change: &C)
where
    E: Pod + Send + Sync,
    A: Area,
    C: Change<E>,
{
    let placement = *area.placement();
    let cycles = if C::USES_PARTNER {
        cycles(partners, C::KEEPS_FIXED_POINTS)
    } else {
        Vec::new()
    };
    area.visit_blocks(Blocks::Touched, |offset, block| {
        let tiles = block.tiles();
        if tiles == 0 {
            return;
        }
        let mut samples: Vec<_> = (storage[placement.base + offset..]
            .chunks_mut(placement.sample_stride)
            .take(placement.batch))
        .map(|sample| {
            let extent = sample.len().min(placement.extent);
            &mut sample[..extent]
        })
        .collect();
        if placement.is_reversed {
            samples.reverse();
        }
        let run = |parts: &mut dyn Iterator<Item = Part<E>>| {
            if C::USES_PARTNER {
                let mut kept = vec![E::zeroed(); block.tile_elements()];
                parts.for_each(|mut part| part.along(&cycles, block, change, &mut kept));
            } else {
                parts.for_each(|mut part| part.each(block, change));
            }
        };
        let threads = rayon::current_num_threads();
        if threads == 1 || size_of::<E>() * block.elements() < PARALLEL {
            let all = Part {
                samples,
                start: 0,
                tiles: 0..tiles,
            };
            return run(&mut std::iter::once(all));
        }
        // Cut between tiles, so that every thread has the same elements of all samples.
        let parts = (threads * PARTS).min(tiles);
        let mut taken = 0;
        let work = (0..parts).map(|index| {
            let range = index * tiles / parts..(index + 1) * tiles / parts;
            let end = if range.end == tiles {
                placement.extent
            } else {
                block.start(&block.tile(range.end))
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
        share(threads, work, run);
    });
}

/// Some tiles of all samples.
struct Part<'a, E> {
    /// The elements of each sample from the element `start` on, which contain the tiles.
    samples: Vec<&'a mut [E]>,
    start: usize,
    tiles: Range<usize>,
}

impl<E: Pod> Part<'_, E> {
    /// Changes each sample by its partner, along the cycles of the permutation. `kept` has room for a
    /// tile of one sample.
    fn along(
        &mut self,
        cycles: &[Vec<usize>],
        block: &impl Block,
        change: &impl Change<E>,
        kept: &mut [E],
    ) {
        let Self { samples, start, .. } = self;
        for tile in self.tiles.clone().map(|tile| block.tile(tile)) {
            // One region is the same for every sample.
            let common = block.rows(&tile, 0, *start);
            let rows = |sample| {
                if block.has_one_region() {
                    common
                } else {
                    block.rows(&tile, sample, *start)
                }
            };
            for cycle in cycles {
                let (first, last) = (cycle[0], cycle[cycle.len() - 1]);
                // The last sample takes from the first one, which has changed by then.
                let last_rows = rows(last);
                if let Some(at) = last_rows {
                    Rows::copy(kept, at.packed(), samples[first], at);
                }
                for pair in cycle.windows(2) {
                    let Some(at) = rows(pair[0]) else { continue };
                    let [own, other] = (samples.get_disjoint_mut([pair[0], pair[1]]))
                        .expect("a cycle meets each sample once");
                    change.rows(pair[0], own, at, other, at);
                }
                if let Some(at) = last_rows {
                    change.rows(last, samples[last], at, kept, at.packed());
                }
            }
        }
    }

    /// Changes each sample by itself.
    fn each(&mut self, block: &impl Block, change: &impl Change<E>) {
        for tile in self.tiles.clone().map(|tile| block.tile(tile)) {
            for (sample, own) in self.samples.iter_mut().enumerate() {
                if let Some(at) = block.rows(&tile, sample, self.start) {
                    change.rows(sample, own, at, &[], at);
                }
            }
        }
    }
}

/// Does the work on this many threads. The current thread is one of them, so that the work begins
/// before another one has woken. Each runs through the work that it takes.
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

/// Returns the changed copy of a dense batch, in the order of its memory, in one pass.
pub fn copy<E, A, C>(storage: &[E], area: &A, partners: &[usize], change: &C) -> Vec<E>
where
    E: Pod + Send + Sync,
    A: Area,
    C: Change<E>,
{
    let placement = *area.placement();
    let (batch, extent) = (placement.batch, placement.extent);
    let block_length = batch * extent;
    let length = block_length * placement.blocks;
    let storage = &storage[placement.base..][..length];
    let mut copy: Vec<E> = bytemuck::zeroed_vec(length);
    let mut blocks = (copy.chunks_exact_mut(block_length)).zip(storage.chunks_exact(block_length));
    area.visit_blocks(Blocks::All, |_, block| {
        let (target, source) = blocks.next().expect("a dense batch is all blocks");
        let place = |sample: usize| {
            if placement.is_reversed {
                batch - 1 - sample
            } else {
                sample
            }
        };
        let elements = |sample: usize| &source[place(sample) * extent..][..extent];
        let tiles: Vec<_> = (0..block.tiles()).map(|tile| block.tile(tile)).collect();
        let fill = |(index, target): (usize, &mut [E])| {
            let sample = place(index);
            let (own, other) = (elements(sample), elements(partners[sample]));
            let mut done = 0;
            for at in tiles.iter().filter_map(|tile| block.rows(tile, sample, 0)) {
                let end = at.extent().end;
                target[done..end].copy_from_slice(&own[done..end]);
                change.rows(sample, target, at, other, at);
                done = end;
            }
            target[done..].copy_from_slice(&own[done..]);
        };
        let samples = target.chunks_exact_mut(extent).enumerate();
        if size_of::<E>() * block_length < PARALLEL {
            samples.for_each(fill);
        } else {
            share(rayon::current_num_threads(), samples, |some| {
                some.for_each(fill)
            });
        }
    });
    copy
}
