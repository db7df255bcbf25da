//! The operations. The kernels of the CPU equal plain tensor calls bit for bit for any shape, memory
//! layout, element type and plan, and arguments that do not fit are refused.

mod common;

use burn::tensor::{DType, Device, Float, Int, Tensor, TensorData, bf16, f16};
use cutmix::ops;
use cutmix::plan::{Mode, Plan, PlanSampler, Region, RegionSampler, Stream};
use proptest::prelude::*;

use common::kernels::{Case, Memory, case};
use common::{assert_refused, cases, values};

const FLOATS: [DType; 4] = [DType::F32, DType::F16, DType::BF16, DType::F64];
const INTS: [DType; 3] = [DType::U8, DType::I64, DType::I16];

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn images_equal_the_reference(case in case(4, 9, 12)) {
        let device = Device::flex();
        for dtype in FLOATS {
            case.paste::<4, Float>(&device, dtype);
            case.blend::<4>(&device, dtype);
            case.fill::<4, Float>(&device, dtype);
        }
        for dtype in INTS {
            case.paste::<4, Int>(&device, dtype);
            case.blend_int::<4>(&device, dtype);
            case.fill::<4, Int>(&device, dtype);
        }
        case.paste_bool::<4>(&device);
        case.targets(&device);
    }

    #[test]
    fn sequences_and_volumes_equal_the_reference(
        (sequence, volume) in (case(3, 9, 40), case(5, 6, 6))
    ) {
        let device = Device::flex();
        sequence.paste::<3, Float>(&device, DType::F32);
        sequence.blend::<3>(&device, DType::F16);
        sequence.fill::<3, Int>(&device, DType::U8);
        volume.paste::<5, Int>(&device, DType::U8);
        volume.blend::<5>(&device, DType::F32);
        volume.fill::<5, Float>(&device, DType::BF16);
    }

    #[test]
    fn gradients_equal_the_reference(case in case(4, 6, 7)) {
        case.gradients::<4>(&Device::flex());
    }
}

proptest! {
    #![proptest_config(cases(24))]

    /// Some rows are longer than a tile.
    #[test]
    fn large_batches_equal_the_reference(
        (images, sequence) in (case(4, 40, 96), case(3, 12, 12_000))
    ) {
        let device = Device::flex();
        images.paste::<4, Float>(&device, DType::F32);
        images.blend::<4>(&device, DType::F32);
        images.fill::<4, Int>(&device, DType::U8);
        sequence.paste::<3, Int>(&device, DType::U8);
        sequence.blend::<3>(&device, DType::F32);
        sequence.fill::<3, Float>(&device, DType::F32);
    }
}

/// Several threads work on regions of 4 MiB and more.
#[test]
fn work_of_several_threads_equals_the_reference() {
    use Memory::*;
    let device = Device::flex();
    let memories = [
        Contiguous,
        ChannelsLast,
        ChannelsFirst,
        Flipped,
        Part,
        Strided,
        Expanded,
    ];
    for (number, (memory, mode)) in memories
        .into_iter()
        .flat_map(|memory| [Mode::Batch, Mode::Sample].map(|mode| (memory, mode)))
        .enumerate()
    {
        // With the channels first, each channel of the batch is a block of its own.
        let (batch, channels_of_a_block) = match memory {
            ChannelsFirst => (48, 1),
            _ => (16, 3),
        };
        let sampler = PlanSampler::new(1.0)
            .with_mode(mode)
            .with_region_sampler(RegionSampler::MinMax { min: 0.8, max: 1.0 });
        let plan = |spatial: &[usize]| {
            let plan = sampler.draw(batch, spatial, &mut Stream::new(7).at(number as u64));
            let plan = plan.unwrap();
            let pixels: usize = (0..batch).map(|sample| plan.region(sample).volume()).sum();
            assert!(4 * channels_of_a_block * pixels >= 1 << 22);
            plan
        };
        for is_shared in [false, true] {
            let case = |plan: Plan| Case {
                lambdas: vec![0.3; if mode == Mode::Batch { 1 } else { batch }],
                plan,
                channels: 3,
                memory,
                is_shared,
            };
            let images = case(plan(&[190, 200]));
            images.paste::<4, Float>(&device, DType::F32);
            images.blend::<4>(&device, DType::F32);
            images.fill::<4, Float>(&device, DType::F32);
            // Each row has several tiles.
            let sequences = case(plan(&[28_000]));
            sequences.paste::<3, Float>(&device, DType::F32);
            sequences.blend::<3>(&device, DType::F32);
        }
    }
}

#[test]
fn permutations_of_every_kind_equal_the_reference() {
    common::kernels::permutations(&Device::flex());
}

#[test]
fn a_tensor_that_is_owned_alone_changes_in_place() {
    for device in common::devices() {
        let images = Tensor::<4>::zeros([4, 3, 8, 8], &device);
        let address = |images: &Tensor<4>| {
            use burn::backend::{DispatchTensorKind, flex::FlexTensor};
            fn flex(kind: DispatchTensorKind) -> FlexTensor {
                match kind {
                    DispatchTensorKind::Flex(burn::backend::BackendTensor::Float(t)) => t,
                    DispatchTensorKind::Flex(tensor) => tensor.autodiff_inner(),
                    DispatchTensorKind::Autodiff(inner) => flex(*inner),
                    #[allow(unreachable_patterns)] // depends on the backends that are compiled in
                    _ => panic!("the tensor is not on the CPU"),
                }
            }
            flex(images.clone().into_dispatch().kind).bytes().as_ptr()
        };
        let before = address(&images);
        let plan = Plan::new(vec![1, 2, 3, 0], Region::new([1..5, 2..8]), vec![8, 8]).unwrap();
        let images = ops::paste(images, &plan).unwrap();
        let whole = [Region::whole(&[8, 8])];
        let images = ops::blend(images, plan.partners(), &whole, &[0.25]).unwrap();
        let images = ops::fill(images, plan.regions(), 1.0).unwrap();
        assert_eq!(address(&images), before);

        let shared = images.clone();
        let images = ops::paste(images, &plan).unwrap();
        assert_eq!(address(&shared), before);
        assert_ne!(address(&images), before);
    }
}

/// A batch whose samples are innermost in memory has as many blocks as pixels.
#[test]
fn a_batch_with_the_samples_innermost_equals_the_reference() {
    let device = Device::flex();
    let plan = PlanSampler::new(1.0)
        .with_mode(Mode::Sample)
        .with_lambda(0.5);
    let plan = plan.draw(6, &[20, 30], &mut Stream::new(5).at(0)).unwrap();
    let images = || {
        let stored = Tensor::<1, Int>::arange(0..3 * 20 * 30 * 6, &device);
        stored.reshape([3, 20, 30, 6]).permute([3, 0, 1, 2])
    };
    let expected = ops::reference::paste(images(), plan.partners(), plan.regions());
    for keep in [false, true] {
        let images = images();
        let kept = keep.then(|| images.clone());
        let mixed = ops::paste(images, &plan).unwrap();
        assert!(mixed.into_data() == expected.clone().into_data());
        drop(kept);
    }
}

#[test]
fn a_fill_value_becomes_the_nearest_of_the_type() {
    let device = Device::flex();
    let whole = [Region::whole(&[2])];
    for (value, u8s, i16s) in [
        (-3.7, 0u8, -3i16),
        (300.0, 255, 300),
        (f64::NAN, 0, 0),
        (1e9, 255, i16::MAX),
        (7.9, 7, 7),
    ] {
        let fill = |dtype| {
            let images = Tensor::<2, Int>::zeros([1, 2], (&device, dtype));
            ops::fill(images, &whole, value).unwrap()
        };
        assert_eq!(values::<u8, 2, _>(&fill(DType::U8)), [u8s; 2], "{value}");
        assert_eq!(values::<i16, 2, _>(&fill(DType::I16)), [i16s; 2], "{value}");
    }
}

/// Here each sample has a box of its own.
#[test]
fn an_infinite_gradient_does_not_spread() {
    let device = Device::flex().autodiff();
    let images = Tensor::<3>::zeros([2, 1, 4], &device).require_grad();
    let regions = vec![Region::new([0..1, 0..1]), Region::new([0..1, 2..3])];
    let plan = Plan::per_sample(vec![1, 0], regions, vec![1, 4]).unwrap();
    let factors = [[[1.0, 2.0, 3.0, f32::INFINITY]], [[5.0, 6.0, 7.0, 8.0]]];
    let factors = Tensor::<3>::from_data(factors, &device);
    let mixed = ops::paste(images.clone(), &plan).unwrap();
    let gradients = (mixed * factors).sum().backward();
    let gradient = images.grad(&gradients).unwrap();
    let expected = [0.0, 2.0, 3.0 + 7.0, f32::INFINITY, 5.0 + 1.0, 6.0, 0.0, 8.0];
    assert_eq!(values::<f32, 3, _>(&gradient), expected);
}

/// They include zeros, denormals, infinities and NaN.
#[test]
fn blends_of_all_half_precision_numbers_equal_the_reference() {
    let device = Device::flex();
    let all = || 0..=u16::MAX;
    // Each number is blended with another one that shares few of its bits.
    let other = || all().map(|bits| bits.wrapping_mul(40_503).rotate_left(5));
    for dtype in [DType::F16, DType::BF16] {
        let value = |bits: u16| match dtype {
            DType::F16 => f16::from_bits(bits).to_f32(),
            _ => bf16::from_bits(bits).to_f32(),
        };
        let images = || {
            let values: Vec<_> = all().chain(other()).map(value).collect();
            let data = TensorData::new(values, [2, 1 << 16]).convert_dtype(dtype);
            Tensor::<2>::from_data(data, (&device, dtype))
        };
        for lambda in [0.3, 0.5, 1.0 / 3.0, 1.0] {
            let whole = [Region::whole(&[1 << 16])];
            let blended = ops::blend(images(), &[1, 0], &whole, &[lambda]).unwrap();
            let weights = [[lambda, 1.0 - lambda]];
            let expected = ops::reference::blend(images(), &[1, 0], &whole, &weights);
            let [blended, expected] = [blended, expected].map(|t| values::<f32, 2, _>(&t));
            let same = |a: f32, b: f32| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
            let differ = (0..1 << 17).find(|&i| !same(blended[i], expected[i]));
            assert_eq!(differ, None, "{dtype:?} {lambda}");
        }
    }
}

#[test]
fn blends_of_all_bytes_and_of_extreme_integers_equal_the_reference() {
    let device = Device::flex();
    let compare = |own: Vec<i64>, other: Vec<i64>, dtype: DType| {
        let count = own.len();
        let images = || {
            let data = TensorData::new([own.clone(), other.clone()].concat(), [2, count]);
            Tensor::<2, Int>::from_data(data.convert_dtype(dtype), (&device, dtype))
        };
        for lambda in [0.5, 0.3, 0.75, 0.0] {
            let whole = [Region::whole(&[count])];
            let blended = ops::blend(images(), &[1, 0], &whole, &[lambda]).unwrap();
            let weights = [[lambda, 1.0 - lambda]];
            let expected = ops::reference::blend_int(images(), &[1, 0], &whole, &weights);
            assert!(
                blended.into_data() == expected.into_data(),
                "{dtype:?} {lambda}"
            );
        }
    };
    let bytes = |low: i64| {
        let pairs = (0..1 << 16).map(|i| (low + i / 256, low + i % 256));
        pairs.unzip::<i64, i64, Vec<_>, Vec<_>>()
    };
    for (low, dtype) in [(0, DType::U8), (-128, DType::I8)] {
        let (own, other) = bytes(low);
        compare(own, other, dtype);
    }
    // All numbers of two bytes are blended with another one.
    for (low, dtype) in [(0, DType::U16), (-(1 << 15), DType::I16)] {
        let own = (0..1 << 16).map(|i| low + i).collect();
        let other = (0..1 << 16)
            .map(|i: i64| low + i * 40_503 % (1 << 16))
            .collect();
        compare(own, other, dtype);
    }
    // These are near the numbers from which on an f32 has no fractions, and near the ends of the types.
    let ends = |most: i64| {
        let powers = [1 << 22, 1 << 23, 1 << 24, most / 2, most - 2];
        let around = powers.into_iter().flat_map(|power| power - 2..=power + 2);
        around.flat_map(|n| [n, -n]).collect::<Vec<_>>()
    };
    let types = [
        ((1 << 31) - 2, DType::I32),
        (1 << 62, DType::I64),
        ((1 << 32) - 2, DType::U32),
        (1 << 62, DType::U64),
    ];
    for (most, dtype) in types {
        let mut own = ends(most);
        if dtype.is_uint() {
            own.retain(|&n| n >= 0);
        }
        let other = own.iter().rev().map(|n| n + 1).collect();
        compare(own, other, dtype);
    }
}

#[test]
fn a_blend_of_integers_is_rounded_to_the_nearest() {
    let device = Device::flex();
    let images =
        Tensor::<3, Int>::from_data([[[0u8, 255, 1]], [[255, 0, 2]]], (&device, DType::U8));
    let mixed = ops::blend(images, &[1, 0], &[Region::whole(&[3])], &[0.5]).unwrap();
    // 127.5 and 1.5 are between two integers and become the even one.
    assert_eq!(values::<u8, 3, _>(&mixed), [128, 128, 2, 128, 128, 2]);
}

/// Under autodiff too, where samples and partners with unlike regions take another way.
#[test]
fn boxes_and_masks_in_one_plan_equal_the_reference() {
    let device = Device::flex();
    let masks = PlanSampler::new(1.0)
        .with_mode(Mode::Sample)
        .with_region_sampler(RegionSampler::LowFrequency { decay_power: 1.0 });
    for (step, memory) in [Memory::Contiguous, Memory::ChannelsLast, Memory::BatchLast]
        .into_iter()
        .enumerate()
    {
        let plan = masks.draw(6, &[7, 9], &mut Stream::new(8).at(step as u64));
        let plan = plan.unwrap();
        let mut regions = plan.regions().to_vec();
        regions[1] = Region::new([2..6, 0..9]);
        regions[4] = Region::new([3..3, 0..9]);
        let partners = plan.partners().to_vec();
        for is_shared in [false, true] {
            let case = Case {
                plan: Plan::per_sample(partners.clone(), regions.clone(), vec![7, 9]).unwrap(),
                channels: 2,
                lambdas: vec![0.3],
                memory,
                is_shared,
            };
            case.paste::<4, Float>(&device, DType::F32);
            case.blend::<4>(&device, DType::BF16);
            case.fill::<4, Int>(&device, DType::U8);
            case.gradients::<4>(&device);
        }
    }
}

#[test]
fn arguments_that_do_not_fit_are_refused() {
    let images = || Tensor::<4>::zeros([2, 1, 4, 4], &Device::flex());
    let whole = [Region::whole(&[4, 4])];
    let blend = |partners: &[usize], regions: &[Region], lambdas: &[f64]| {
        ops::blend(images(), partners, regions, lambdas)
    };
    assert_refused(blend(&[0, 0], &whole, &[0.5]), "partners");
    assert_refused(blend(&[0], &whole, &[0.5]), "partners");
    assert_refused(blend(&[1, 0], &[], &[0.5]), "regions");
    assert_refused(
        blend(&[1, 0], &vec![whole[0].clone(); 3], &[0.5]),
        "regions",
    );
    assert_refused(blend(&[1, 0], &whole, &[]), "lambdas");
    let none = || Tensor::<4>::zeros([0, 1, 4, 4], &Device::flex());
    assert_refused(ops::blend(none(), &[], &whole, &[0.5]), "batch");
    assert_refused(ops::fill(none(), &whole, 0.5), "batch");
    assert_refused(blend(&[1, 0], &whole, &[0.5, 1.5]), "lambdas");
    assert_refused(blend(&[1, 0], &whole, &[f64::NAN]), "lambdas");
    assert_refused(
        blend(&[1, 0], &[common::kernels::wrong_region()], &[0.5]),
        "region",
    );
    let line = [Region::new([])];
    assert_refused(ops::fill(images(), &line, 0.0), "regions");
    let volume = [Region::whole(&[2, 1, 4, 4])];
    assert_refused(ops::fill(images(), &volume, 0.0), "regions");
    assert_refused(
        ops::fill(images(), &[common::kernels::wrong_region()], 0.0),
        "region",
    );
}
