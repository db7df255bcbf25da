//! The GPU kernels.
//!
//! A unit of [`mix`] has one place of a sample (a few neighbouring elements), and changes it in some
//! samples of the batch, one after the other. The table of [`mod@super`] has these samples.

use burn_cubecl::cubecl;
use cubecl::prelude::*;
use cubecl::std::FastDivmod;

/// The change of the elements in a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Inside {
    /// They become those of the partner.
    Paste,
    /// They become their weighted sum with those of the partner, in the type of the elements.
    Blend,
    /// They become their weighted sum in f32, rounded to the nearest, ties to even.
    BlendRounded,
    /// They become one value.
    Fill,
}

/// The settings by which the kernel is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Variant {
    pub inside: Inside,
    /// Whether `target` is `source`.
    pub in_place: bool,
    /// Whether there is one region for each sample.
    pub per_sample: bool,
    /// Whether weights are f64, in two words each.
    pub wide_weights: bool,
}

/// Changes a batch in place or on the way into a new one.
///
/// In place, the samples of a cycle of the permutation change in its order, each from the next one.
/// The cycles, one after the other, are cut into as many segments as a cube has rows of units, so that
/// a batch of few places keeps a GPU busy too. A segment reads the elements that it takes from another
/// one before any unit of the cube has written.
#[cube(launch, address_type = "dynamic")]
pub fn mix<E: Numeric, N: Size>(
    source: &Tensor<Vector<E, N>>,
    target: &mut Tensor<Vector<E, N>>,
    table: &[u32],
    value: InputScalar,
    lengths: Sequence<FastDivmod<usize>>,
    starts: Sequence<usize>,
    strides: Sequence<usize>,
    sample_stride: usize,
    places: usize,
    count: usize,
    #[comptime] variant: Variant,
    #[define(E)] _dtype: ElemType,
) {
    let rank = lengths.len().comptime();
    let place = CUBE_POS * CUBE_DIM_X as usize + UNIT_POS_X as usize;
    let is_place = place < places;

    // The index of the place along each axis, the last one first and in vectors.
    let mut rest = place;
    let mut offset = 0usize;
    let mut indices = Sequence::<u32>::new();
    #[unroll]
    for i in 0..rank {
        let axis = rank - i - 1;
        let (before, index) = lengths[axis].div_mod(rest);
        rest = before;
        let index = index + starts[axis];
        offset += index * strides[axis];
        indices.push(index as u32);
    }

    let segments = CUBE_DIM_Y as usize;
    let begin = UNIT_POS_Y as usize * count / segments;
    let end = (UNIT_POS_Y as usize + 1) * count / segments;

    let follows = comptime!(variant.in_place && variant.inside != Inside::Fill);
    let mut first = Vector::<E, N>::new(E::from_int(0));
    let mut after = Vector::<E, N>::new(E::from_int(0));
    if follows {
        if is_place && begin < end {
            // The first sample of the cycle, in whose middle this segment may begin.
            first = source[table[2 * count + begin] as usize * sample_stride + offset];
            // The elements that the last sample of the segment takes.
            after = source[table[count + end - 1] as usize * sample_stride + offset];
        }
        // It orders the memory of the batch, which a plain barrier of the cube need not do.
        sync_storage();
    }

    if is_place {
        for entry in begin..end {
            let sample = table[entry] as usize;
            let partner = table[count + entry] as usize;
            let at = sample * sample_stride + offset;
            let other_at = partner * sample_stride + offset;
            let opening = table[2 * count + entry] as usize;
            if follows {
                if sample == opening {
                    first = source[at];
                }
            }
            let region = if variant.per_sample {
                sample
            } else {
                0usize.runtime()
            };
            let (from, to) = lanes::<N>(&indices, table, 3 * count + region * (2 * rank));
            if from < to {
                let other = if comptime!(variant.inside == Inside::Fill) {
                    Vector::new(value.get::<E>())
                } else if follows {
                    if entry + 1 == end {
                        after
                    } else if partner == opening {
                        first
                    } else {
                        source[other_at]
                    }
                } else {
                    source[other_at]
                };
                let is_blend = comptime!(matches!(
                    variant.inside,
                    Inside::Blend | Inside::BlendRounded
                ));
                let changed = if is_blend {
                    let regions = if variant.per_sample {
                        count
                    } else {
                        1usize.runtime()
                    };
                    let weights = 3 * count + regions * (2 * rank);
                    blend::<E, N>(source[at], other, table, weights, sample, variant)
                } else {
                    other
                };
                if from == 0 && to == N::value() as u32 {
                    target[at] = changed;
                } else {
                    target[at] = choose::<E, N>(source[at], changed, from, to);
                }
            } else if comptime!(!variant.in_place) {
                target[at] = source[at];
            }
        }
    }
}

/// The range of elements of the vector at `indices` in the region whose bounds begin at `at` of the
/// table. It is empty if the first number is not below the second.
#[cube]
fn lanes<N: Size>(indices: &Sequence<u32>, table: &[u32], at: usize) -> (u32, u32) {
    let rank = indices.len().comptime();
    let width = N::value() as u32;
    let mut is_inside = true.runtime();
    #[unroll]
    for i in 1..rank {
        let axis = rank - i - 1;
        let index = indices[i];
        is_inside = is_inside && index >= table[at + 2 * axis] && index < table[at + 2 * axis + 1];
    }
    let first = indices[0] * width;
    let start = table[at + 2 * (rank - 1)];
    let end = table[at + 2 * (rank - 1) + 1];
    let from = max(start, first) - first;
    let to = min(max(end, first) - first, width);
    (from, select(is_inside, to, 0u32))
}

/// The weighted sum of the elements of a sample and of its partner.
#[cube]
fn blend<E: Numeric, N: Size>(
    own: Vector<E, N>,
    other: Vector<E, N>,
    table: &[u32],
    weights: usize,
    sample: usize,
    #[comptime] variant: Variant,
) -> Vector<E, N> {
    // The word before the weights is their number, which differs from that of the regions.
    let count = table[weights] as usize;
    let pair = weights + 1 + 2 * (sample % count);
    if comptime!(variant.inside == Inside::BlendRounded) {
        let a = Vector::<f32, N>::new(f32::reinterpret(table[pair]));
        let b = Vector::<f32, N>::new(f32::reinterpret(table[pair + 1]));
        let sum = Vector::<f32, N>::cast_from(own) * a + Vector::<f32, N>::cast_from(other) * b;
        Vector::cast_from(sum.round())
    } else if comptime!(variant.wide_weights) {
        let pair = weights + 1 + 4 * (sample % count);
        let a = Vector::<E, N>::new(wide::<E>(table[pair], table[pair + 1]));
        let b = Vector::<E, N>::new(wide::<E>(table[pair + 2], table[pair + 3]));
        own * a + other * b
    } else {
        let a = Vector::<E, N>::new(E::cast_from(f32::reinterpret(table[pair])));
        let b = Vector::<E, N>::new(E::cast_from(f32::reinterpret(table[pair + 1])));
        own * a + other * b
    }
}

/// Joins the lower and the upper half of an f64.
#[cube]
fn wide<E: Numeric>(low: u32, high: u32) -> E {
    let bits = u64::cast_from(low) | (u64::cast_from(high) << 32);
    E::cast_from(f64::reinterpret(bits))
}

/// Takes the lanes `from..to` of `inside` and the others of `outside`.
#[cube]
fn choose<E: Numeric, N: Size>(
    outside: Vector<E, N>,
    inside: Vector<E, N>,
    from: u32,
    to: u32,
) -> Vector<E, N> {
    let mut chosen = outside;
    #[unroll]
    for lane in 0..N::value() {
        let is_inside = lane as u32 >= from && (lane as u32) < to;
        chosen.insert(
            lane,
            select(is_inside, inside.extract(lane), outside.extract(lane)),
        );
    }
    chosen
}

/// Mixes class indices into dense rows. A unit writes one element.
///
/// `table` has the partners, then the number of pairs of weights, then the weights.
#[cube(launch, address_type = "dynamic")]
pub fn mix_classes<E: Numeric, C: Numeric, I: Int>(
    classes: &Tensor<C>,
    targets: &mut Tensor<E>,
    table: &[u32],
    nan: InputScalar,
    num_classes: FastDivmod<usize>,
    columns: usize,
    batch: usize,
    #[comptime] wide_weights: bool,
    #[define(E, C, I)] _dtypes: [ElemType; 3],
) {
    let (sample, column) = num_classes.div_mod(ABSOLUTE_POS);
    if sample >= batch {
        terminate!();
    }
    let pairs = table[batch] as usize;
    let weights = batch + 1;
    let (a, b) = if wide_weights {
        let pair = weights + 4 * (sample % pairs);
        (
            wide::<E>(table[pair], table[pair + 1]),
            wide::<E>(table[pair + 2], table[pair + 3]),
        )
    } else {
        let pair = weights + 2 * (sample % pairs);
        (
            E::cast_from(f32::reinterpret(table[pair])),
            E::cast_from(f32::reinterpret(table[pair + 1])),
        )
    };
    let own = I::cast_from(classes[sample * classes.stride(0)]);
    let partner = table[sample] as usize;
    let other = I::cast_from(classes[partner * classes.stride(0)]);
    let (column, columns) = (I::cast_from(column), I::cast_from(columns));
    let (none, zero) = (I::from_int(0), E::from_int(0));
    let value = select(own == column, a, zero) + select(other == column, b, zero);
    let is_class = own >= none && own < columns && other >= none && other < columns;
    targets[ABSOLUTE_POS] = select(is_class, value, nan.get::<E>());
}
