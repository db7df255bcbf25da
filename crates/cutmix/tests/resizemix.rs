//! ResizeMix.

// The region of a sequence is a single range.
#![allow(clippy::single_range_in_vec_init)]

mod common;

use burn::tensor::kind::Basic;
use burn::tensor::{DType, Device, Distribution, Int, Tensor, TensorData};
use common::{assert_refused, cases, devices, values};
use cutmix::functional::{resizemix_apply, resizemix_batch};
use cutmix::ops;
use cutmix::plan::{Mask, Plan, PlanSampler, Region, RegionSampler, Stream};
use proptest::collection::vec;
use proptest::prelude::*;

fn sampler() -> PlanSampler {
    PlanSampler::new(1.0).with_region_sampler(RegionSampler::Scale { min: 0.1, max: 0.8 })
}

/// The value of an image at the centre of a pixel of the box, by linear interpolation along each
/// dimension.
fn interpolated(image: &[f64], spatial: &[usize], box_shape: &[usize], pixel: &[usize]) -> f64 {
    let Some((&size, inner)) = spatial.split_first() else {
        return image[0];
    };
    let centre = (pixel[0] as f64 + 0.5) * size as f64 / box_shape[0] as f64 - 0.5;
    let centre = centre.clamp(0.0, (size - 1) as f64);
    let stride: usize = inner.iter().product();
    let line = |index: usize| {
        let image = &image[index.min(size - 1) * stride..][..stride];
        interpolated(image, inner, &box_shape[1..], &pixel[1..])
    };
    let before = centre as usize;
    let share = centre - before as f64;
    line(before) * (1.0 - share) + line(before + 1) * share
}

fn by_hand(images: &[f64], dims: &[usize], plan: &Plan) -> Vec<f64> {
    let spatial = plan.spatial();
    let channel: usize = spatial.iter().product();
    let sample = channel * dims[1];
    let region = plan.region(0).as_box().unwrap();
    let box_shape: Vec<_> = region.iter().map(|range| range.len()).collect();
    let value = |place: usize| {
        let mut rest = place % channel;
        let mut pixel = vec![0; spatial.len()];
        for (index, size) in pixel.iter_mut().zip(spatial).rev() {
            *index = rest % size;
            rest /= size;
        }
        if !plan.region(0).contains(&pixel) {
            return images[place];
        }
        let pixel: Vec<_> = pixel
            .iter()
            .zip(region)
            .map(|(index, range)| index - range.start)
            .collect();
        let partner = plan.partners()[place / sample];
        let image = &images[partner * sample + place % sample / channel * channel..][..channel];
        interpolated(image, spatial, &box_shape, &pixel)
    };
    (0..images.len()).map(value).collect()
}

fn check<const R: usize, K: burn::tensor::kind::Numeric + Basic>(
    plan: &Plan,
    dtype: DType,
    tolerance: f64,
) {
    for device in devices() {
        let mut dims = [plan.batch(); R];
        dims[1] = 2;
        dims[2..].copy_from_slice(plan.spatial());
        let count = dims.iter().product::<usize>();
        let host: Vec<_> = (0..count).map(|i| (i * 37 % 113) as f64).collect();
        let data = TensorData::new(host.clone(), dims).convert_dtype(dtype);
        let images = Tensor::<R, K>::from_data(data, (&device, dtype));
        let mixed = ops::paste_resized(images.clone(), plan).unwrap();
        assert_eq!((mixed.dims(), mixed.dtype()), (dims, dtype));
        let found = values::<f64, _, _>(&mixed);
        for (found, expected) in found.iter().zip(by_hand(&host, &dims, plan)) {
            assert!(
                (found - expected).abs() <= tolerance,
                "{plan} {dtype:?}: {found} {expected}"
            );
        }
        assert_eq!(
            values::<f64, _, _>(&images),
            host,
            "the batch that was passed changed"
        );
    }
}

fn plan(rank: usize, size: usize) -> impl Strategy<Value = Plan> {
    (vec(1..=size, rank), 1usize..5, any::<u64>()).prop_map(|(spatial, batch, step)| {
        let scale = RegionSampler::Scale { min: 0.1, max: 1.0 };
        let sampler = PlanSampler::new(1.0).with_region_sampler(scale);
        sampler
            .draw(batch, &spatial, &mut Stream::new(5).at(step))
            .unwrap()
    })
}

proptest! {
    #![proptest_config(cases(80))]

    #[test]
    fn the_box_is_the_resized_image_of_the_partner(
        sequence in plan(1, 30),
        image in plan(2, 12),
        volume in plan(3, 6),
    ) {
        use burn::tensor::Float;
        check::<3, Float>(&sequence, DType::F32, 1e-4);
        check::<4, Float>(&image, DType::F32, 1e-4);
        check::<5, Float>(&volume, DType::F32, 1e-4);
        check::<4, Float>(&image, DType::F64, 1e-11);
        check::<4, Float>(&image, DType::F16, 0.1);
        check::<4, Float>(&image, DType::BF16, 0.5);
        // Rounded to the nearest.
        check::<4, Int>(&image, DType::U8, 0.5 + 1e-4);
    }

    /// The operation is linear, so that its gradient gives back every weighted sum of its results.
    #[test]
    fn gradients_are_right(plan in plan(2, 7)) {
        let device = Device::default().autodiff();
        let dims = [plan.batch(), 2, plan.spatial()[0], plan.spatial()[1]];
        let tensor = |factor: usize| {
            let values = (0..dims.iter().product()).map(|i: usize| (i * factor % 17) as f64 - 8.0);
            let data = TensorData::new(values.collect::<Vec<_>>(), dims);
            Tensor::<4>::from_data(data, (&device, DType::F64))
        };
        let images = tensor(5).require_grad();
        let mixed = ops::paste_resized(images.clone(), &plan).unwrap();
        let gradients = (mixed * tensor(7)).sum().backward();
        let gradient = values::<f64, _, _>(&images.grad(&gradients).unwrap());
        for factor in [3, 11, 13] {
            let other = tensor(factor);
            let products = values::<f64, _, _>(&other).into_iter().zip(&gradient);
            let found: f64 = products.map(|(value, gradient)| value * gradient).sum();
            let mixed = ops::paste_resized(other, &plan).unwrap() * tensor(7);
            let expected: f64 = values::<f64, _, _>(&mixed).iter().sum();
            prop_assert!((found - expected).abs() < 1e-8, "{} {}", found, expected);
        }
    }
}

#[test]
fn resized_values_equal_those_computed_by_hand() {
    let device = Device::default();
    let images = Tensor::<4>::from_data(
        [
            [[[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0]]],
            [[[8.0, 0.0, 8.0, 0.0], [0.0, 8.0, 0.0, 8.0]]],
        ],
        &device,
    );
    // Two columns of one row: the mean of both rows and of two columns each.
    let plan = Plan::new(vec![1, 0], Region::new([1..2, 2..4]), vec![2, 4]).unwrap();
    let mixed = ops::paste_resized(images, &plan).unwrap();
    let expected = [
        0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 4.0, 4.0, // 4 is the mean of the partner
        8.0, 0.0, 8.0, 0.0, 0.0, 8.0, 2.5, 4.5,
    ];
    assert_eq!(values::<f32, _, _>(&mixed), expected);
}

#[test]
fn the_scale_is_uniform_and_the_box_inside() {
    const DRAWS: usize = 50_000;
    let mut sides = Vec::new();
    let mut starts = Vec::new();
    for step in 0..DRAWS as u64 {
        let plan = sampler()
            .draw(1, &[1000, 500], &mut Stream::new(1).at(step))
            .unwrap();
        let [rows, columns] = plan.region(0).as_box().unwrap() else {
            panic!("an image has two dimensions");
        };
        assert!(rows.end <= 1000 && columns.end <= 500);
        assert!(
            (rows.len() as f64 / 2.0 - columns.len() as f64).abs() <= 1.0,
            "{plan}"
        );
        sides.push((rows.len() as f64 - 100.0) / 700.0);
        starts.push((rows.start as f64 + 0.5) / (1001 - rows.len()) as f64);
    }
    // Kolmogorov-Smirnov: the largest distance exceeds 2.5 / sqrt(n) with probability 2 exp(-12.5).
    for mut draws in [sides, starts] {
        draws.sort_by(f64::total_cmp);
        let distance = draws
            .iter()
            .enumerate()
            .map(|(i, x)| (x - i as f64 / DRAWS as f64).abs());
        let distance = distance.fold(0.0, f64::max);
        // Whole pixels move a draw by one in 700 at most.
        assert!(
            distance < 2.5 / (DRAWS as f64).sqrt() + 1.0 / 700.0,
            "{distance}"
        );
    }
}

/// As all plans: recorded and resumed runs rely on it.
#[test]
fn the_boxes_of_a_stream_never_change() {
    let plan = sampler()
        .draw(5, &[224, 224], &mut Stream::new(42).lane(1).at(0))
        .unwrap();
    insta::assert_snapshot!(plan.to_string());
}

#[test]
fn a_box_has_at_least_one_pixel() {
    let plan = sampler()
        .draw(2, &[1, 3], &mut Stream::new(1).at(0))
        .unwrap();
    assert!(!plan.region(0).is_empty());
}

#[test]
fn resizemix_is_a_draw_and_an_apply() {
    for device in devices() {
        let images = Tensor::<4>::random([5, 3, 8, 6], Distribution::Default, &device);
        let labels = || Tensor::<1, Int>::from_data([0, 1, 2, 3, 4], &device);
        let rng = || Stream::new(11).at(4);
        let (mixed, targets) = resizemix_batch(images.clone(), labels(), 5, &mut rng()).unwrap();
        let plan = sampler().draw(5, &[8, 6], &mut rng()).unwrap();
        let expected = resizemix_apply(images, labels(), 5, &plan).unwrap();
        assert_eq!(
            values::<f32, _, _>(&mixed),
            values::<f32, _, _>(&expected.0)
        );
        assert_eq!(
            values::<f32, _, _>(&targets),
            values::<f32, _, _>(&expected.1)
        );
    }
}

#[test]
fn plans_and_scales_that_do_not_fit_are_refused() {
    let device = Device::default();
    let images = || Tensor::<3>::ones([2, 1, 4], &device);
    let paste = |plan: Result<Plan, _>| ops::paste_resized(images(), &plan.unwrap());
    let mask = Region::from(Mask::new(vec![4], [1..2]).unwrap());
    assert_refused(paste(Plan::new(vec![1, 0], mask, vec![4])), "plan");
    let boxes = vec![Region::new(vec![0..1]), Region::new(vec![0..2])];
    assert_refused(paste(Plan::per_sample(vec![1, 0], boxes, vec![4])), "plan");
    assert_refused(
        paste(Plan::new(vec![1, 0], Region::whole(&[3]), vec![3])),
        "tensor",
    );
    for (min, max) in [(0.0, 0.5), (0.6, 0.5), (0.5, 1.1), (f64::NAN, 0.5)] {
        let scale = RegionSampler::Scale { min, max };
        let sampler = PlanSampler::new(1.0).with_region_sampler(scale);
        let refused = sampler.draw(2, &[4], &mut Stream::new(0).at(0));
        assert_refused(refused, "region_sampler");
    }
    let refused = sampler()
        .with_lambda(0.5)
        .draw(2, &[4], &mut Stream::new(0).at(0));
    assert_refused(refused, "plan_sampler");
}
