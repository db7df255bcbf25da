//! The sentences of the errors; every other test checks their variant and argument alone.

// The region of a sequence is a single range.
#![allow(clippy::single_range_in_vec_init)]

use burn::tensor::{Device, Int, Tensor};
use cutmix::functional::{check_smoothing, check_value, cutmix_batch, mixup_batch, smooth_labels};
use cutmix::loss::{CrossEntropy, interpolate};
use cutmix::plan::{Length, Mask, Mixture, Mode, Plan, PlanSampler, Region, RegionSampler, Stream};
use cutmix::{Error, Targets, ops};

/// The messages of some calls that are refused, one on each line.
#[derive(Default)]
struct Messages(String);

impl Messages {
    fn add<T: std::fmt::Debug>(&mut self, result: Result<T, Error>) {
        let message = result.unwrap_err().to_string();
        assert!(!message.contains('\n'), "{message}");
        self.0.push_str(&message);
        self.0.push('\n');
    }
}

#[test]
fn messages_name_the_argument_its_value_and_what_is_accepted() {
    let device = Device::default();
    let rng = &mut Stream::new(0).at(0);
    let mut messages = Messages::default();

    let sampler = PlanSampler::new(1.0);
    let mut draw = |sampler: PlanSampler| messages.add(sampler.draw(4, &[8, 6], rng));
    draw(PlanSampler::new(0.0));
    draw(sampler.clone().with_lambda(1.5));
    draw(sampler.clone().with_side(7));
    draw(sampler.clone().with_side(3).with_lambda(0.5));
    draw(sampler.clone().with_partners(vec![0, 0, 1, 2]));
    draw(sampler.clone().with_partners(vec![1, 0]));
    let cycle = sampler.clone().with_partners(vec![1, 2, 3, 0]);
    draw(cycle.with_mode(Mode::Pair));
    draw(sampler.clone().with_region(Region::new([0..9, 0..3])));
    let with = |regions| PlanSampler::new(1.0).with_region_sampler(regions);
    draw(with(RegionSampler::MinMax { min: 0.6, max: 0.5 }));
    draw(with(RegionSampler::Scale { min: 0.0, max: 0.5 }));
    draw(with(RegionSampler::LowFrequency { decay_power: -1.0 }));
    draw(with(RegionSampler::LowFrequency { decay_power: 3.0 }).with_side(3));
    messages.add(sampler.draw(0, &[8, 6], rng));
    messages.add(sampler.draw(4, &[8, 0], rng));
    messages.add(with(RegionSampler::LowFrequency { decay_power: 3.0 }).draw(1, &[2; 4], rng));
    messages.add(sampler.clone().with_side(1).draw_mixture(4, rng));
    messages.add(
        sampler
            .clone()
            .with_mode(Mode::Pair)
            .draw_regions(4, &[8, 6], rng),
    );

    let whole = || Region::whole(&[4]);
    messages.add(Plan::per_sample(vec![1, 0], vec![whole()], vec![4]));
    messages.add(Mixture::new(vec![1, 0], 1.5));
    messages.add(Mixture::per_sample(vec![1, 0], vec![0.5]));
    messages.add(Mask::new(vec![2, 2], [2..3, 0..1]));
    messages.add(Mask::from_pixels(vec![2, 2], &[true]));
    messages.add(Length::Share(1.5).check());
    messages.add(Length::Pixels(9).pixels(&[8, 6]));
    messages.add("each".parse::<Mode>());
    messages.add("box".parse::<RegionSampler>());

    let images = || Tensor::<3>::ones([2, 1, 4], &device);
    let labels = || Tensor::<1, Int>::from_data([0, 3], &device);
    let plan = Plan::new(vec![1, 0], Region::new([1..3]), vec![4]).unwrap();
    messages.add(cutmix_batch(images(), labels(), 3, 1.0, rng));
    messages.add(cutmix_batch(images(), labels(), 0, 1.0, rng));
    messages.add(cutmix_batch(
        Tensor::<2>::ones([2, 4], &device),
        labels(),
        4,
        1.0,
        rng,
    ));
    messages.add(mixup_batch(
        images(),
        Tensor::<2>::ones([2, 3], &device),
        4,
        1.0,
        rng,
    ));
    messages.add(mixup_batch(
        images(),
        Tensor::<2>::ones([3, 4], &device),
        4,
        1.0,
        rng,
    ));
    messages.add(mixup_batch(
        Tensor::<1>::ones([2], &device),
        labels(),
        4,
        1.0,
        rng,
    ));
    messages.add(ops::paste(Tensor::<3>::ones([2, 1, 5], &device), &plan));
    messages.add(ops::blend(images(), &[1, 0], &[], &[0.5]));
    messages.add(ops::blend(images(), &[1, 0], &[whole()], &[0.5, 2.0]));
    messages.add(ops::fill(images(), &[Region::whole(&[2, 1, 4])], 0.0));
    let mask = Mask::new(vec![4], [1..3]).unwrap();
    let masked = Plan::new(vec![1, 0], mask.into(), vec![4]).unwrap();
    messages.add(ops::paste_resized(images(), &masked));
    messages.add(smooth_labels(labels(), 4, 1.0));
    messages.add(check_smoothing(f64::NAN));
    messages.add(check_value(f64::INFINITY));

    let dense = || Targets::from(Tensor::<2>::ones([2, 4], &device));
    messages.add(dense().into_indices("NllLoss"));
    let logits = || Tensor::<2>::ones([2, 3], &device);
    messages.add(CrossEntropy::new().forward(logits(), dense()));
    messages.add(
        CrossEntropy::new()
            .with_smoothing(2.0)
            .forward(logits(), labels()),
    );
    let weights = Tensor::<1>::ones([2], &device);
    messages.add(
        CrossEntropy::new()
            .with_weights(weights)
            .forward(logits(), labels()),
    );
    let loss = |logits, targets| CrossEntropy::new().forward(logits, targets);
    messages.add(interpolate(logits(), labels(), labels(), 1.5, loss));

    #[cfg(feature = "host")]
    {
        use cutmix::ops::host::{self, Layout};
        let elements = &mut [0u8; 8];
        let layout = |strides: [isize; 3]| Layout::new([2, 1, 4], strides, 0).unwrap();
        messages.add(Layout::new([2, 4], [1], 0));
        messages.add(host::paste(elements, &layout([8, 4, 1]), &plan));
        messages.add(host::paste(elements, &layout([0, 4, 1]), &plan));
        let mixture = Mixture::new(vec![1, 0], 0.5).unwrap();
        let rows = Layout::contiguous([2, 4]);
        messages.add(host::mix_classes(
            &[0, 4],
            &mut [0.0f32; 8],
            &rows,
            &mixture,
        ));
        messages.add(host::mix_classes(&[0], &mut [0.0f32; 8], &rows, &mixture));
        messages.add(host::mix_targets(
            &mut [0.0f32; 8],
            &layout([4, 4, 1]),
            &mixture,
        ));
    }
    insta::assert_snapshot!(messages.0);
}
