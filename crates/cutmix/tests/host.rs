//! The operations on plain slices, against their definitions element by element.

// The region of a sequence is a single range.
#![allow(clippy::single_range_in_vec_init)]
#![cfg(feature = "host")]

mod common;

use common::{assert_refused, cases, plans};
use cutmix::ops::host::{self, Layout};
use cutmix::plan::{Mask, Mixture, Plan, Region};
use proptest::collection::vec;
use proptest::prelude::*;

/// A batch `[N, C, spatial...]` in a slice, with any order of the dimensions in memory.
#[derive(Clone, Debug)]
struct Case {
    plan: Plan,
    lambdas: Vec<f64>,
    layout: Layout,
    /// The number of elements of the slice.
    length: usize,
}

fn case() -> impl Strategy<Value = Case> {
    let plan = prop_oneof![plans(7, 1, 30), plans(6, 2, 9), plans(4, 3, 5)];
    let numbers = (1usize..4, any::<bool>(), vec(0.0..=1.0, 7));
    (plan, numbers).prop_flat_map(|(plan, (channels, per_sample, mut lambdas))| {
        lambdas.truncate(if per_sample { plan.batch() } else { 1 });
        let shape = [&[plan.batch(), channels], plan.spatial()].concat();
        let order = Just((0..shape.len()).collect::<Vec<_>>()).prop_shuffle();
        // Usually nothing lies between the elements.
        let gaps = prop_oneof![3 => Just((1, 0)), 1 => (1usize..3, 0usize..3)];
        let dims = vec((gaps, any::<bool>()), shape.len());
        (order, dims, any::<bool>()).prop_map(move |(order, dims, may_reverse)| {
            let mut strides = vec![0; shape.len()];
            let (mut length, mut offset) = (1, 0);
            for &dim in order.iter().rev() {
                let ((step, gap), is_reversed) = dims[dim];
                strides[dim] = (length * step) as isize;
                if is_reversed && may_reverse {
                    offset += length * step * (shape[dim] - 1);
                    strides[dim] = -strides[dim];
                }
                length *= shape[dim] * step + gap;
            }
            Case {
                plan: plan.clone(),
                lambdas: lambdas.clone(),
                layout: Layout::new(shape.clone(), strides, offset + 2).unwrap(),
                length: length + 5,
            }
        })
    })
}

impl Case {
    /// The places of the elements of a sample, in row-major order.
    fn places(&self, sample: usize) -> Vec<usize> {
        let (shape, strides) = (self.layout.shape(), self.layout.strides());
        let count: usize = shape[1..].iter().product();
        let place = |mut rest: usize| {
            let mut place = self.layout.offset() as isize + sample as isize * strides[0];
            for (size, stride) in shape.iter().zip(strides).skip(1).rev() {
                place += (rest % size) as isize * stride;
                rest /= size;
            }
            place as usize
        };
        (0..count).map(place).collect()
    }

    /// Calls `change` with each element of a region: its sample, its place and that of the partner.
    fn visit(&self, mut change: impl FnMut(usize, usize, usize)) {
        let spatial = self.plan.spatial();
        for (sample, &partner) in self.plan.partners().iter().enumerate() {
            let pairs = self.places(sample).into_iter().zip(self.places(partner));
            for (element, (place, other)) in pairs.enumerate() {
                let mut pixel = vec![0; spatial.len()];
                let mut rest = element;
                for (index, size) in pixel.iter_mut().zip(spatial).rev() {
                    *index = rest % size;
                    rest /= size;
                }
                if self.plan.region(sample).contains(&pixel) {
                    change(sample, place, other);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn paste_takes_the_elements_of_the_partner(case in case()) {
        let before: Vec<_> = (0..case.length as u16).collect();
        let mut expected = before.clone();
        case.visit(|_, place, other| expected[place] = before[other]);
        let mut elements = before;
        host::paste(&mut elements, &case.layout, &case.plan).unwrap();
        prop_assert_eq!(elements, expected);
    }

    #[test]
    fn blend_takes_the_weighted_sum(case in case()) {
        let before: Vec<_> = (0..case.length).map(|i| (i * 37 % 251) as f32 + 1.0 / 3.0).collect();
        let mut expected = before.clone();
        case.visit(|sample, place, other| {
            let lambda = case.lambdas[sample % case.lambdas.len()];
            let [own, share] = [lambda as f32, (1.0 - lambda) as f32];
            expected[place] = before[place] * own + before[other] * share;
        });
        let mut elements = before;
        let (partners, regions) = (case.plan.partners(), case.plan.regions());
        host::blend(&mut elements, &case.layout, partners, regions, &case.lambdas).unwrap();
        prop_assert_eq!(elements, expected);
    }

    #[test]
    fn fill_sets_the_value(case in case()) {
        let mut expected: Vec<_> = (0..case.length as i64).collect();
        let mut elements = expected.clone();
        case.visit(|_, place, _| expected[place] = -1);
        host::fill(&mut elements, &case.layout, case.plan.regions(), -1).unwrap();
        prop_assert_eq!(elements, expected);
    }
}

#[test]
fn boxes_and_masks_may_stand_in_one_plan() {
    let mask = Mask::new(vec![2, 3], [0..1, 4..6]).unwrap();
    let regions = vec![mask.into(), Region::new([0..2, 1..2])];
    let plan = Plan::per_sample(vec![1, 0], regions, vec![2, 3]).unwrap();
    let mut elements: Vec<u8> = (0..12).collect();
    host::paste(&mut elements, &Layout::contiguous([2, 2, 3]), &plan).unwrap();
    assert_eq!(elements, [6, 1, 2, 3, 10, 11, 6, 1, 8, 9, 4, 11]);
}

/// Regions of more than 4 MiB.
#[test]
fn masks_of_large_batches_are_pasted_by_several_threads() {
    let spatial = vec![300, 400];
    let pixels: Vec<_> = (0..300 * 400).map(|i| i % 400 > 30 && i % 7 > 0).collect();
    let mask = Region::from(Mask::from_pixels(spatial.clone(), &pixels).unwrap());
    let count = 16 * 300 * 400;
    for regions in [vec![mask.clone()], vec![mask; 16]] {
        let partners: Vec<_> = (0..16).map(|sample| (sample + 3) % 16).collect();
        let plan = match regions.as_slice() {
            [region] => Plan::new(partners, region.clone(), spatial.clone()),
            _ => Plan::per_sample(partners, regions, spatial.clone()),
        };
        let before: Vec<_> = (0..count as u32).collect();
        let mut elements = before.clone();
        let layout = Layout::contiguous([16, 300, 400]);
        host::paste(&mut elements, &layout, &plan.unwrap()).unwrap();
        let expected = (0..count).map(|i| {
            let (sample, pixel) = (i / pixels.len(), i % pixels.len());
            let source = if pixels[pixel] {
                (sample + 3) % 16
            } else {
                sample
            };
            (source * pixels.len() + pixel) as u32
        });
        assert!(elements.into_iter().eq(expected));
    }
}

#[test]
fn targets_are_mixed_by_lambda() {
    let mixture = Mixture::per_sample(vec![1, 2, 0], vec![0.75, 1.0, 0.5]).unwrap();
    // The columns are the rows of memory.
    let layout = Layout::new([3, 4], [1, 3], 0).unwrap();
    let mut targets = [7f32; 12];
    host::mix_classes(&[3, 0, 3], &mut targets, &layout, &mixture).unwrap();
    let columns = [
        [0.25, 1.0, 0.0],
        [0.0, 0.0, 0.0],
        [0.0, 0.0, 0.0],
        [0.75, 0.0, 1.0],
    ];
    assert_eq!(targets, columns.as_flattened());

    let mut rows = [1.0, 0.0, 0.0, 1.0, 0.5, 0.5f64];
    host::mix_targets(&mut rows, &Layout::contiguous([3, 2]), &mixture).unwrap();
    assert_eq!(rows, [0.75, 0.25, 0.0, 1.0, 0.75, 0.25]);
}

#[test]
fn layouts_that_do_not_fit_are_refused_and_change_nothing() {
    let plan = Plan::new(vec![1, 0], Region::new([1..3]), vec![3]).unwrap();
    let paste = |layout: Layout| {
        let mut elements = [0, 1, 2, 3, 4, 5u8];
        let result = host::paste(&mut elements, &layout, &plan);
        assert!(result.is_ok() || elements == [0, 1, 2, 3, 4, 5]);
        result
    };
    let strided = |strides: [isize; 2], offset| Layout::new([2, 3], strides, offset).unwrap();
    paste(strided([3, 1], 0)).unwrap();
    paste(strided([-3, -1], 5)).unwrap();
    assert_refused(paste(strided([3, 1], 1)), "layout");
    assert_refused(paste(strided([-3, 1], 2)), "layout");
    assert_refused(paste(strided([isize::MAX, 1], 0)), "layout");
    assert_refused(
        paste(strided([isize::MIN, isize::MIN], usize::MAX)),
        "layout",
    );
    assert_refused(paste(strided([0, 1], 0)), "strides");
    assert_refused(paste(strided([1, 1], 0)), "strides");
    assert_refused(paste(Layout::contiguous([2, 2])), "layout");
    assert_refused(paste(Layout::contiguous([3, 2])), "layout");
    assert_refused(Layout::new([2, 3], [1], 0), "strides");
}

#[test]
fn targets_that_do_not_fit_are_refused_and_change_nothing() {
    let mixture = Mixture::new(vec![1, 0], 0.5).unwrap();
    let classes = |classes: &[i64], layout: Layout| {
        let mut targets = [7f32; 6];
        let result = host::mix_classes(classes, &mut targets, &layout, &mixture);
        assert_eq!(targets, [7.0; 6]);
        result
    };
    let rows = || Layout::contiguous([2, 3]);
    assert_refused(classes(&[0, 3], rows()), "classes");
    assert_refused(classes(&[-1, 0], rows()), "classes");
    assert_refused(classes(&[0], rows()), "classes");
    assert_refused(classes(&[0, 1], Layout::contiguous([3, 2])), "layout");
    assert_refused(classes(&[0, 1], Layout::contiguous([2, 4])), "layout");
    assert_refused(classes(&[0, 1], Layout::contiguous([2])), "layout");
    let shared = Layout::new([2, 3], [0, 1], 0).unwrap();
    assert_refused(classes(&[0, 1], shared), "strides");
}
