//! The functional interface of CutMix, against its definition on values of the host.

mod common;

use std::fmt::Debug;

use burn::tensor::kind::Basic;
use burn::tensor::{Bool, DType, Device, Element, Float, Int, Tensor, TensorData, bf16, f16};
use common::{assert_refused, cases, devices, plans, values};
use cutmix::functional::{cutmix_apply, cutmix_batch, cutmix_plan, cutmix_segmentation};
use cutmix::plan::{Plan, PlanSampler, Region, Stream};
use cutmix::{Targets, ops};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    shape: [usize; 4],
    num_classes: usize,
    targets: Vec<i64>,
    permutation: Vec<usize>,
    r#box: Box,
    images_mixed: Vec<f32>,
    lam: f64,
    targets_mixed: Vec<f32>,
}

#[derive(Deserialize)]
struct Box {
    top: usize,
    left: usize,
    bottom: usize,
    right: usize,
}

#[test]
fn cutmix_equals_the_golden_cases_exactly() {
    let golden: Golden = serde_json::from_str(include_str!("data/cutmix.json")).unwrap();
    assert_eq!(golden.cases.len(), 30);
    for (case, device) in golden
        .cases
        .iter()
        .flat_map(|case| devices().map(|d| (case, d)))
    {
        let [n, c, h, w] = case.shape;
        let region = Region::new([
            case.r#box.top..case.r#box.bottom,
            case.r#box.left..case.r#box.right,
        ]);
        let plan = Plan::new(case.permutation.clone(), region, vec![h, w]).unwrap();
        assert_eq!(plan.lambda(0), case.lam);

        let images = Tensor::<1, Int>::arange(0..(n * c * h * w) as i64, &device);
        let images = images.float().reshape(case.shape);
        let targets = Tensor::<1, Int>::from_data(case.targets.as_slice(), &device);
        let (images, targets) = cutmix_apply(images, targets, case.num_classes, &plan).unwrap();
        assert_eq!(values::<f32, _, _>(&images), case.images_mixed, "{plan}");
        assert_eq!(targets.dims(), [n, case.num_classes]);
        assert_eq!(values::<f32, _, _>(&targets), case.targets_mixed, "{plan}");
    }
}

/// Pastes element by element: the value of the partner inside the region, and the old value outside.
/// `dims` is `[N, ..., spatial...]`.
fn paste_by_hand<T: Copy>(values: &[T], dims: &[usize], plan: &Plan) -> Vec<T> {
    let sample_size: usize = dims[1..].iter().product();
    let element = |i: usize| {
        let mut rest = i;
        let region = plan.region(i / sample_size);
        let mut pixel = vec![0; plan.spatial().len()];
        for (index, size) in pixel.iter_mut().zip(plan.spatial()).rev() {
            *index = rest % size;
            rest /= size;
        }
        let (sample, offset) = (i / sample_size, i % sample_size);
        let source = if region.contains(&pixel) {
            plan.partners()[sample]
        } else {
            sample
        };
        values[source * sample_size + offset]
    };
    (0..values.len()).map(element).collect()
}

fn mix_by_hand(rows: &[f64], plan: &Plan) -> Vec<f64> {
    let columns = rows.len() / plan.batch();
    let row = |i: usize| &rows[i * columns..][..columns];
    let mixed = plan
        .partners()
        .iter()
        .enumerate()
        .flat_map(|(i, &partner)| {
            let pairs = row(i).iter().zip(row(partner));
            pairs.map(move |(own, other)| plan.lambda(i) * own + (1.0 - plan.lambda(i)) * other)
        });
    mixed.collect()
}

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let close = (found - expected).abs() <= tolerance;
        assert!(close, "{found}, not {expected}, at {i}");
    }
}

/// Returns numbers without a pattern.
fn scramble(i: usize) -> u64 {
    let x = (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (x ^ (x >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 20
}

fn batch_of<E: Element, K: Basic, const D: usize>(
    dims: [usize; D],
    make: impl Fn(u64) -> E,
    device: &Device,
) -> (Vec<E>, Tensor<D, K>) {
    let host: Vec<_> = (0..dims.iter().product())
        .map(|i| make(scramble(i)))
        .collect();
    let data = TensorData::new(host.clone(), dims);
    (host, Tensor::from_data(data, (device, E::dtype())))
}

/// Applies the plan to a batch `[N, C, spatial...]` of the element type `E` and its indices.
fn check_apply<E: Element + PartialEq + Debug, K: Basic, const D: usize>(
    plan: &Plan,
    make: impl Fn(u64) -> E,
) {
    const CLASSES: usize = 4;
    for (channels, device) in [1, 3].into_iter().zip(devices()) {
        let mut dims = [plan.batch(), channels, 0, 0, 0];
        dims[2..D].copy_from_slice(plan.spatial());
        let dims: [usize; D] = dims[..D].try_into().unwrap();
        let (host, images) = batch_of::<E, K, D>(dims, &make, &device);
        let classes = |value| (value % CLASSES as u64) as i64;
        let (classes, labels) = batch_of::<_, Int, 1>([plan.batch()], classes, &device);

        let (mixed, targets) = cutmix_apply(images.clone(), labels, CLASSES, plan).unwrap();
        assert_eq!((mixed.dims(), mixed.dtype()), (dims, images.dtype()));
        assert_eq!(mixed.device(), device);
        assert_eq!(
            values::<E, _, _>(&mixed),
            paste_by_hand(&host, &dims, plan),
            "{plan}"
        );
        assert_eq!(
            values::<E, _, _>(&images),
            host,
            "the batch that was passed changed"
        );

        let one_hot = classes
            .iter()
            .flat_map(|&class| (0..4).map(move |k| f64::from(k == class)));
        let expected = mix_by_hand(&one_hot.collect::<Vec<_>>(), plan);
        let found = values::<f64, _, _>(&targets);
        assert_close(&found, &expected, 1e-6);
        let sums: Vec<_> = found.chunks(CLASSES).map(|row| row.iter().sum()).collect();
        assert_close(&sums, &vec![1.0; plan.batch()], 1e-6);
    }
}

fn check_every_kind<const D: usize>(plan: &Plan) {
    check_apply::<f32, Float, D>(plan, |x| x as f32 / 1e6);
    check_apply::<f64, Float, D>(plan, |x| x as f64 / 1e6);
    check_apply::<f16, Float, D>(plan, |x| f16::from_f64((x % 4096) as f64 / 64.0));
    check_apply::<bf16, Float, D>(plan, |x| bf16::from_f64((x % 256) as f64 / 16.0));
    check_apply::<i64, Int, D>(plan, |x| x as i64);
    check_apply::<i32, Int, D>(plan, |x| x as i32);
    check_apply::<u8, Int, D>(plan, |x| x as u8);
    check_apply::<bool, Bool, D>(plan, |x| x % 3 == 0);
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn apply_mixes_sequences_images_and_volumes_of_every_kind(
        sequences in plans(6, 1, 30),
        images in plans(7, 2, 10),
        volumes in plans(5, 3, 5),
    ) {
        check_every_kind::<3>(&sequences);
        check_every_kind::<4>(&images);
        check_every_kind::<5>(&volumes);
    }
}

#[test]
fn apply_mixes_edge_cases_of_every_kind() {
    let plan = |partners: &[usize], region: Region| {
        let plan = Plan::new(partners.to_vec(), region, vec![3, 5]).unwrap();
        check_every_kind::<4>(&plan);
    };
    let some = || Region::new([1..3, 0..2]);
    plan(&[0], some()); // a batch of one
    plan(&[2, 0, 1], some()); // an odd batch
    plan(&[2, 0, 1], Region::whole(&[3, 5]));
    plan(&[2, 0, 1], Region::new([1..1, 0..5])); // nothing
    plan(&[0, 1, 2], some()); // every sample is its own partner
    plan(&[1, 0, 2], Region::new([0..1, 0..5])); // a row
    plan(&[1, 0, 2], Region::new([0..3, 4..5])); // a column
    let pixel = Plan::new(vec![1, 0], Region::whole(&[1, 1]), vec![1, 1]).unwrap();
    check_every_kind::<4>(&pixel);
}

fn images(dims: [usize; 4], device: &Device) -> Tensor<4> {
    batch_of(dims, |x| x as f32 / 1e6, device).1
}

fn some_plan() -> Plan {
    Plan::new(vec![2, 0, 1], Region::new([1..4, 2..6]), vec![5, 6]).unwrap()
}

#[test]
fn paste_accepts_views_that_are_not_contiguous() {
    let plan = some_plan();
    let device = Device::default();
    let views = [
        images([3, 5, 6, 2], &device).permute([0, 3, 1, 2]),
        images([2, 3, 6, 5], &device).permute([1, 0, 3, 2]),
        images([5, 4, 9, 8], &device).slice([1..4, 1..3, 2..7, 0..6]),
        images([3, 2, 5, 6], &device).flip([0, 3]),
        // Every sample and channel shares its memory.
        images([1, 1, 5, 6], &device).expand([3, 2, 5, 6]),
        images([3, 2, 1, 6], &device).expand([3, 2, 5, 6]),
    ];
    for view in views {
        let before = values::<f32, _, _>(&view);
        let mixed = ops::paste(view.clone(), &plan).unwrap();
        assert_eq!(
            values::<f32, _, _>(&mixed),
            paste_by_hand(&before, &[3, 2, 5, 6], &plan)
        );
        assert_eq!(values::<f32, _, _>(&view), before);
    }
}

#[test]
fn dense_targets_are_mixed_as_they_are() {
    let plan = some_plan();
    let rows: [&[f64]; 4] = [
        // smoothed
        &[0.9, 0.05, 0.05, 0.05, 0.9, 0.05, 0.05, 0.05, 0.9],
        // several labels at once
        &[1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0],
        // values to regress: one column, then two
        &[-3.5, 12.0, 700.0],
        &[0.25, -1.0, 8.0, 2.0, 0.0, 1e4],
    ];
    for rows in rows {
        let columns = rows.len() / 3;
        for (device, dtype) in devices().into_iter().zip([DType::F32, DType::F64]) {
            let data = TensorData::new(rows.to_vec(), [3, columns]);
            let dense = Tensor::<2>::from_data(data, (&device, dtype));
            let images = images([3, 1, 5, 6], &device);
            let (_, mixed) = cutmix_apply(images, dense.clone(), columns, &plan).unwrap();
            assert_eq!((mixed.dims(), mixed.dtype()), ([3, columns], dtype));
            let largest = rows.iter().fold(1.0, |a: f64, b| a.max(b.abs()));
            let tolerance = if dtype == DType::F32 { 1e-6 } else { 1e-15 };
            assert_close(
                &values::<f64, _, _>(&mixed),
                &mix_by_hand(rows, &plan),
                tolerance * largest,
            );
            assert_close(&values::<f64, _, _>(&dense), rows, tolerance * largest);
        }
    }
}

#[test]
fn indices_of_every_integer_type_become_dense() {
    for dtype in [DType::I64, DType::I32, DType::U8] {
        for device in devices() {
            let labels = Tensor::<1, Int>::from_data([2, 0, 1, 2], (&device, dtype));
            let dense = Targets::from(labels).into_dense(3).unwrap();
            let expected = [0., 0., 1., 1., 0., 0., 0., 1., 0., 0., 0., 1.];
            assert_eq!(values::<f32, _, _>(&dense), expected, "{dtype:?}");
        }
    }
    // More classes than the index type can count.
    let labels = Tensor::<1, Int>::from_data([255, 0], (&Device::default(), DType::U8));
    let dense = values::<f32, _, _>(&Targets::from(labels).into_dense(1000).unwrap());
    let hot: Vec<_> = (0..2000).filter(|&i| dense[i] != 0.0).collect();
    assert_eq!(hot, [255, 1000]);
}

#[test]
fn partners_returns_the_targets_of_the_partners() {
    let plan = some_plan();
    let device = Device::default();
    let labels = Tensor::<1, Int>::from_data([7, 8, 9], &device);
    let partners = Targets::from(labels).partners(&plan).unwrap();
    let labels = partners.into_indices("this test").unwrap();
    assert_eq!(values::<i64, _, _>(&labels), [9, 7, 8]);

    let dense = Tensor::<2>::from_floats([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], &device);
    let partners = Targets::from(dense).partners(&plan).unwrap();
    let dense = partners.into_dense(2).unwrap();
    assert_eq!(values::<f32, _, _>(&dense), [4.0, 5.0, 0.0, 1.0, 2.0, 3.0]);
}

#[test]
fn cutmix_batch_equals_a_draw_and_an_apply() {
    for (step, device) in (0..20).flat_map(|step| devices().map(|device| (step, device))) {
        let images = images([5, 3, 8, 6], &device);
        let labels = Tensor::<1, Int>::from_data([0, 1, 2, 3, 4], &device);
        let rng = || Stream::new(11).at(step);
        let whole = cutmix_batch(images.clone(), labels.clone(), 5, 0.7, &mut rng()).unwrap();

        let plan = cutmix_plan(&PlanSampler::new(0.7), &images, &mut rng()).unwrap();
        assert_eq!(
            plan,
            PlanSampler::new(0.7).draw(5, &[8, 6], &mut rng()).unwrap()
        );
        let halves = cutmix_apply(images, labels, 5, &plan).unwrap();
        assert_eq!(
            values::<f32, _, _>(&whole.0),
            values::<f32, _, _>(&halves.0)
        );
        assert_eq!(
            values::<f32, _, _>(&whole.1),
            values::<f32, _, _>(&halves.1)
        );
    }
}

#[test]
fn a_generator_that_continues_gives_another_mixture() {
    let images = images([8, 1, 32, 32], &Device::default());
    let labels = Tensor::<1, Int>::from_data([0, 1, 2, 3, 4, 5, 6, 7], &Device::default());
    let mut rng = Stream::new(1).at(0);
    let mut mix = || {
        let mixed = cutmix_batch(images.clone(), labels.clone(), 8, 1.0, &mut rng).unwrap();
        values::<f32, _, _>(&mixed.0)
    };
    assert_ne!(mix(), mix());
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn segmentation_cuts_maps_as_it_cuts_images(
        batch in 1usize..6,
        (h, w) in (1usize..12, 1usize..12),
        step in any::<u64>(),
    ) {
        for device in devices() {
            let rng = || Stream::new(3).at(step);
            let dims = [batch, 2, h, w];
            let (host, images) = batch_of::<f32, Float, 4>(dims, |x| x as f32, &device);
            let (classes, flat) = batch_of::<i64, Int, 3>([batch, h, w], |x| x as i64, &device);
            let (mask, deep) = batch_of::<bool, Bool, 4>([batch, 1, h, w], |x| x % 2 == 0, &device);

            let (mixed, flat, plan) =
                cutmix_segmentation(images.clone(), flat, 1.0, &mut rng()).unwrap();
            prop_assert_eq!(&plan, &PlanSampler::new(1.0).draw(batch, &[h, w], &mut rng()).unwrap());
            prop_assert_eq!(flat.dims(), [batch, h, w]);
            prop_assert_eq!(values::<f32, _, _>(&mixed), paste_by_hand(&host, &dims, &plan));
            let expected = paste_by_hand(&classes, &[batch, h, w], &plan);
            prop_assert_eq!(values::<i64, _, _>(&flat), expected);

            let (_, deep, plan) = cutmix_segmentation(images, deep, 1.0, &mut rng()).unwrap();
            prop_assert_eq!(deep.dims(), [batch, 1, h, w]);
            let expected = paste_by_hand(&mask, &[batch, 1, h, w], &plan);
            prop_assert_eq!(values::<bool, _, _>(&deep), expected);
        }
    }

    /// The gradient of sum(w * paste(x)) by a pixel is the sum of w at the places that the pixel is
    /// pasted to.
    #[test]
    fn gradients_reach_the_sample_that_the_pixels_came_from(plan in plans(6, 2, 9)) {
        let device = Device::default().autodiff();
        let [h, w] = plan.spatial().try_into().unwrap();
        let dims = [plan.batch(), 2, h, w];
        let images = images(dims, &device).require_grad();
        let (host, weights) = batch_of::<f32, Float, 4>(dims, |x| (x % 1000) as f32, &device);
        let labels = Tensor::<1, Int>::zeros([plan.batch()], &device);

        let (mixed, _) = cutmix_apply(images.clone(), labels, 1, &plan).unwrap();
        let gradients = (mixed * weights).sum().backward();
        let gradient = images.grad(&gradients).unwrap();
        let places: Vec<_> = (0..host.len()).collect();
        let mut expected = vec![0.0; host.len()];
        for (weight, place) in host.iter().zip(paste_by_hand(&places, &dims, &plan)) {
            expected[place] += weight;
        }
        prop_assert_eq!(values::<f32, _, _>(&gradient), expected);
    }
}

#[test]
fn refused_arguments_leave_the_batch_unchanged() {
    for device in devices() {
        let images = images([3, 2, 5, 6], &device);
        let before = values::<f32, _, _>(&images);
        let indices =
            |classes: &[i64]| Targets::from(Tensor::<1, Int>::from_data(classes, &device));
        let dense = |dims: [usize; 2]| Targets::from(Tensor::<2>::ones(dims, &device));
        let refused = |targets: Targets, num_classes, alpha, argument: &str| {
            let rng = &mut Stream::new(0).at(0);
            let result = cutmix_batch(images.clone(), targets, num_classes, alpha, rng);
            assert_refused(result, argument);
            assert_eq!(values::<f32, _, _>(&images), before);
        };

        refused(indices(&[0, 3, 1]), 3, 1.0, "targets");
        refused(indices(&[0, 1, -1]), 3, 1.0, "targets");
        refused(indices(&[0, 1]), 3, 1.0, "targets");
        refused(indices(&[0, 1, 2, 0]), 3, 1.0, "targets");
        refused(dense([3, 4]), 3, 1.0, "targets");
        refused(dense([2, 3]), 3, 1.0, "targets");
        refused(indices(&[0, 1, 2]), 0, 1.0, "num_classes");
        for alpha in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            refused(indices(&[0, 1, 2]), 3, alpha, "alpha");
        }
    }
}

#[test]
fn images_of_the_wrong_shape_are_refused() {
    let device = Device::default();
    let rng = &mut Stream::new(0).at(0);
    let labels = Tensor::<1, Int>::from_data([0, 1, 2], &device);

    let flat = Tensor::<2>::ones([3, 8], &device);
    assert_refused(
        cutmix_batch(flat.clone(), labels.clone(), 3, 1.0, rng),
        "images",
    );
    assert_refused(cutmix_plan(&PlanSampler::new(1.0), &flat, rng), "images");

    let none = Tensor::<4>::ones([0, 1, 4, 4], &device);
    assert_refused(cutmix_batch(none, labels.clone(), 3, 1.0, rng), "batch");
    let thin = Tensor::<4>::ones([3, 1, 4, 0], &device);
    assert_refused(cutmix_batch(thin, labels.clone(), 3, 1.0, rng), "spatial");

    let plan = some_plan();
    for dims in [[3, 2, 6, 5], [4, 2, 5, 6], [3, 2, 5, 7]] {
        let images = Tensor::<4>::ones(dims, &device);
        assert_refused(cutmix_apply(images, labels.clone(), 3, &plan), "images");
    }
    // The batch dimension is not a spatial one as well.
    assert_refused(
        ops::paste(Tensor::<2>::ones([5, 6], &device), &plan),
        "tensor",
    );
    assert_refused(ops::paste(Tensor::<1>::ones([3], &device), &plan), "tensor");
}

#[test]
fn maps_of_the_wrong_shape_are_refused() {
    let device = Device::default();
    let images = Tensor::<4>::ones([3, 2, 5, 6], &device);
    for dims in [[3, 6, 5], [3, 5, 7], [2, 5, 6]] {
        let maps = Tensor::<3, Int>::ones(dims, &device);
        let rng = &mut Stream::new(0).at(0);
        let refused = cutmix_segmentation(images.clone(), maps, 1.0, rng);
        assert_refused(refused, "maps");
    }
    let maps = Tensor::<3, Int>::ones([3, 5, 6], &device);
    let refused = cutmix_segmentation(images, maps, 0.0, &mut Stream::new(0).at(0));
    assert_refused(refused, "alpha");
}
