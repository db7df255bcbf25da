//! Changes the regions of a batch row by row, in place or on the way into a new batch.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::grid::{Blocks, Grid, ROW, Rows};
use crate::ops::axes::cycles;

/// What happens inside a region.
pub trait Inside<E>: Sync {
    /// Whether a sample that is its own partner stays as it is.
    const KEEPS_ITSELF: bool;
    /// Whether the partner's row matters.
    const TAKES: bool;

    /// Changes a row of a sample's region; `other` is the same row of its partner.
    fn row(&self, sample: usize, own: &mut [E], other: &[E]);

    /// Changes rows of a sample's region: those elements of `own`, from the same of `other`.
    fn rows(&self, sample: usize, own: &mut [E], other: &[E], spans: &[Range<usize>]) {
        for at in spans {
            self.row(sample, &mut own[at.clone()], &other[at.clone()]);
        }
    }
}

/// Bytes from which on a second thread pays: to wake one can take 100 microseconds.
const PARALLEL: usize = 1 << 22;
/// Parts of the work for each thread, so that one that is late does not keep the others waiting.
const PARTS: usize = 4;

/// Changes a batch where it is: what is read from memory is written over while it is still in the
/// cache, and needs no more room than a block of rows for each thread.
pub fn in_place<E, I>(storage: &mut [E], grid: &Grid, partners: &[usize], inside: &I)
where
    E: Copy + Send + Sync,
    I: Inside<E>,
{
    let cycles = cycles(partners, I::KEEPS_ITSELF);
    grid.visit_blocks(Blocks::Touched, |offset, rows| {
        if rows.offsets.is_empty() {
            return;
        }
        let block = &mut storage[grid.axes.base + offset..];
        let mut samples: Vec<_> = (block
            .chunks_mut(grid.axes.sample_stride)
            .take(grid.axes.batch))
        .map(|sample| {
            let extent = sample.len().min(grid.extent);
            &mut sample[..extent]
        })
        .collect();
        if grid.axes.reversed {
            samples.reverse();
        }
        let count = rows.offsets.len();
        let threads = rayon::current_num_threads();
        if threads == 1 || size_of::<E>() * rows.elements < PARALLEL {
            part(&mut samples, 0, rows, 0..count, &cycles, inside);
            return;
        }
        // Cut between rows, so that every thread has the same rows of all samples.
        let parts = (threads * PARTS).min(count);
        let mut work = Vec::with_capacity(parts);
        let mut taken = 0;
        for index in 0..parts {
            let range = index * count / parts..(index + 1) * count / parts;
            let end = match range.end == count {
                true => grid.extent,
                false => rows.offsets[range.end],
            };
            let slices: Vec<_> = (samples.iter_mut())
                .map(|sample| {
                    sample
                        .split_off_mut(..end - taken)
                        .expect("rows ascend within the sample")
                })
                .collect();
            work.push((slices, taken, range));
            taken = end;
        }
        share(threads, work, |(mut samples, start, range)| {
            part(&mut samples, start, rows, range, &cycles, inside);
        });
    });
}

/// Does the work on so many threads, of which this is one, so that it begins before another has
/// woken.
fn share<W: Send>(threads: usize, work: Vec<W>, run: impl Fn(W) + Sync) {
    let work = Mutex::new(work.into_iter());
    let next = || work.lock().unwrap_or_else(PoisonError::into_inner).next();
    let drain = || {
        while let Some(work) = next() {
            run(work);
        }
    };
    rayon::in_place_scope(|scope| {
        (1..threads).for_each(|_| scope.spawn(|_| drain()));
        drain();
    });
}

/// Changes some of the rows; `samples` hold those of each sample, from the element `start` on.
fn part<E: Copy, I: Inside<E>>(
    samples: &mut [&mut [E]],
    start: usize,
    rows: &Rows,
    range: Range<usize>,
    cycles: &[Vec<usize>],
    inside: &I,
) {
    // Short rows go together.
    let step = ROW / rows.longest;
    let mut kept: Vec<E> = Vec::with_capacity(ROW);
    let [mut spans, mut last_spans] = [Spans::default(), Spans::default()];
    for first_row in range.clone().step_by(step) {
        let block = first_row..(first_row + step).min(range.end);
        if !I::TAKES {
            for &sample in cycles.iter().flatten() {
                for at in spans.of(rows, &block, sample, start) {
                    inside.row(sample, &mut samples[sample][at.clone()], &[]);
                }
            }
            continue;
        }
        for cycle in cycles {
            let (first, last) = (cycle[0], cycle[cycle.len() - 1]);
            // The last sample takes from the first one, which by then has changed.
            kept.clear();
            for at in last_spans.of(rows, &block, last, start) {
                kept.extend_from_slice(&samples[first][at.clone()]);
            }
            for pair in cycle.windows(2) {
                let [own, other] = (samples.get_disjoint_mut([pair[0], pair[1]]))
                    .expect("a cycle meets each sample once");
                inside.rows(pair[0], own, other, spans.of(rows, &block, pair[0], start));
            }
            let mut kept = kept.as_slice();
            for at in last_spans.of(rows, &block, last, start) {
                let (other, rest) = kept.split_at(at.len());
                inside.row(last, &mut samples[last][at.clone()], other);
                kept = rest;
            }
        }
    }
}

/// Where the regions of samples lie in a block of rows.
#[derive(Default)]
struct Spans {
    spans: Vec<Range<usize>>,
    /// What they were computed for.
    of: Option<(Range<usize>, usize)>,
}

impl Spans {
    /// The elements of a sample's region in the rows of `block`, counted from the element `start`.
    fn of(
        &mut self,
        rows: &Rows,
        block: &Range<usize>,
        sample: usize,
        start: usize,
    ) -> &[Range<usize>] {
        let of = (block.clone(), rows.region(sample));
        if self.of.as_ref() != Some(&of) {
            self.spans.clear();
            rows.visit(block.clone(), sample, |at| {
                self.spans.push(at.start - start..at.end - start);
            });
            self.of = Some(of);
        }
        &self.spans
    }
}

/// The changed copy of a dense batch, in the order of its memory, in one pass.
pub fn copy<E, I>(storage: &[E], grid: &Grid, partners: &[usize], inside: &I) -> Vec<E>
where
    E: bytemuck::Zeroable + Copy + Send + Sync,
    I: Inside<E>,
{
    let outer = grid.axes.outer.iter().map(|axis| axis.size);
    let block_length = grid.axes.batch * grid.extent;
    let length = block_length * outer.product::<usize>();
    let storage = &storage[grid.axes.base..][..length];
    let mut copy: Vec<E> = bytemuck::zeroed_vec(length);
    let mut blocks = (copy.chunks_exact_mut(block_length)).zip(storage.chunks_exact(block_length));
    grid.visit_blocks(Blocks::All, |_, rows| {
        let (target, source) = blocks.next().expect("a dense batch is all blocks");
        let place = |sample: usize| match grid.axes.reversed {
            true => grid.axes.batch - 1 - sample,
            false => sample,
        };
        let row_of = |sample: usize| &source[place(sample) * grid.extent..][..grid.extent];
        let change = |(index, target): (usize, &mut [E])| {
            let sample = place(index);
            let (own, other) = (row_of(sample), row_of(partners[sample]));
            copy_sample(target, sample, own, other, rows, inside);
        };
        let samples = target.chunks_exact_mut(grid.extent).enumerate();
        if size_of::<E>() * block_length < PARALLEL {
            samples.for_each(change);
        } else {
            share(rayon::current_num_threads(), samples.collect(), change);
        }
    });
    copy
}

fn copy_sample<E: Copy, I: Inside<E>>(
    target: &mut [E],
    sample: usize,
    own: &[E],
    other: &[E],
    rows: &Rows,
    inside: &I,
) {
    let mut done = 0;
    rows.visit(0..rows.offsets.len(), sample, |at| {
        target[done..at.end].copy_from_slice(&own[done..at.end]);
        inside.row(sample, &mut target[at.clone()], &other[at.clone()]);
        done = at.end;
    });
    target[done..].copy_from_slice(&own[done..]);
}

/// Copies rows. Short ones without a call: two copies of a fixed length, from both ends, which may
/// overlap.
pub fn copy_rows<E: Copy>(target: &mut [E], source: &[E], spans: &[Range<usize>]) {
    fn ends<E: Copy, const N: usize>(target: &mut [E], source: &[E]) -> Option<()> {
        let fits = target.len() == source.len() && target.len() <= 2 * N;
        let (first, last) = (source.first_chunk::<N>()?, source.last_chunk::<N>()?);
        if fits {
            *target.first_chunk_mut()? = *first;
            *target.last_chunk_mut()? = *last;
        }
        fits.then_some(())
    }
    fn each<E: Copy>(
        target: &mut [E],
        source: &[E],
        spans: &[Range<usize>],
        copy: impl Fn(&mut [E], &[E]) -> Option<()>,
    ) {
        for at in spans {
            let (target, source) = (&mut target[at.clone()], &source[at.clone()]);
            if copy(target, source).is_none() {
                target.copy_from_slice(source);
            }
        }
    }
    // Those of a block are of one length, but for the ends of very long rows.
    match spans.first().map_or(0, Range::len) {
        4..8 => each(target, source, spans, ends::<E, 4>),
        8..16 => each(target, source, spans, ends::<E, 8>),
        16..32 => each(target, source, spans, ends::<E, 16>),
        32..=64 => each(target, source, spans, ends::<E, 32>),
        _ => each(target, source, spans, |_, _| None),
    }
}
