//! The library on a GPU, against the CPU.
//!
//! The tests run with the feature `flex` and that of a GPU's backend, such as `--features vulkan,flex`.
//! Without a GPU they pass and print a line. In CI the backend is Vulkan and the GPU is SwiftShader,
//! which is software.
#![cfg(all(feature = "cube", feature = "flex"))]

mod common;

use burn::tensor::{DType, Device, Distribution, Float, FloatDType, Int, Tensor};
use cutmix::functional::{cutmix_apply, cutmix_segmentation};
use cutmix::loss::CrossEntropy;
use cutmix::plan::{Plan, PlanSampler, Region, Stream};
use cutmix::{Targets, ops};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use common::kernels::{Case, Memory, case};
use common::{cases, gpu};

/// Copies a tensor to a device.
fn on<const D: usize>(device: &Device, tensor: &Tensor<D>) -> Tensor<D> {
    Tensor::from_data(tensor.to_data(), device)
}

#[test]
fn a_mixed_batch_equals_that_of_the_cpu_bit_for_bit() {
    let Some(gpu) = gpu() else { return };
    let cpu = Device::flex();
    for (step, shape) in [[1, 1, 3, 3], [5, 3, 6, 9], [8, 3, 32, 32], [7, 2, 17, 5]]
        .into_iter()
        .enumerate()
    {
        let images = Tensor::<4>::random(shape, Distribution::Default, &cpu);
        let classes: Vec<_> = (0..shape[0] as i64).map(|i| i % 4).collect();
        let mut rng = Stream::new(1).at(step as u64);
        let plan = (PlanSampler::new(1.0).draw(shape[0], &shape[2..], &mut rng)).unwrap();

        let run = |device: &Device| {
            let classes = Tensor::<1, Int>::from_data(classes.as_slice(), device);
            let (images, targets) = cutmix_apply(on(device, &images), classes, 4, &plan).unwrap();
            (images.into_data(), targets.into_data())
        };
        assert_eq!(run(&gpu), run(&cpu), "{plan}");
    }
}

/// Runs `check` on random batches.
fn on_cases(count: u32, strategy: impl Strategy<Value = Case>, check: impl Fn(&Case)) {
    TestRunner::new(cases(count))
        .run(&strategy, |case| {
            check(&case);
            Ok(())
        })
        .unwrap();
}

#[test]
fn images_equal_the_reference_on_a_gpu() {
    let Some(gpu) = gpu() else { return };
    let floats = [DType::F32, DType::F16, DType::BF16, DType::F64];
    let ints = [DType::U8, DType::I32, DType::I64];
    let has = |dtype: &DType| gpu.supports_dtype(*dtype);
    let floats: Vec<_> = floats.into_iter().filter(has).collect();
    let ints: Vec<_> = ints.into_iter().filter(has).collect();
    println!("element types of this device: {floats:?} {ints:?}");
    assert!(floats.contains(&DType::F32) && ints.contains(&DType::I32));
    on_cases(60, case(4, 9, 12), |case| {
        for &dtype in &floats {
            case.paste::<4, Float>(&gpu, dtype);
            case.blend::<4>(&gpu, dtype);
            case.fill::<4, Float>(&gpu, dtype);
        }
        for &dtype in &ints {
            case.paste::<4, Int>(&gpu, dtype);
            case.blend_int::<4>(&gpu, dtype);
            case.fill::<4, Int>(&gpu, dtype);
        }
        case.paste_bool::<4>(&gpu);
        case.targets(&gpu);
    });
}

#[test]
fn sequences_and_volumes_equal_the_reference_on_a_gpu() {
    let Some(gpu) = gpu() else { return };
    on_cases(30, case(3, 9, 40), |case| {
        case.paste::<3, Float>(&gpu, DType::F32);
        case.blend::<3>(&gpu, DType::F32);
        case.fill::<3, Int>(&gpu, DType::I32);
    });
    on_cases(30, case(5, 6, 6), |case| {
        case.paste::<5, Int>(&gpu, DType::I32);
        case.blend::<5>(&gpu, DType::F32);
        case.fill::<5, Float>(&gpu, DType::F32);
    });
}

#[test]
fn large_batches_equal_the_reference_on_a_gpu() {
    let Some(gpu) = gpu() else { return };
    on_cases(10, case(4, 40, 96), |case| {
        case.paste::<4, Float>(&gpu, DType::F32);
        case.blend::<4>(&gpu, DType::F32);
        case.fill::<4, Int>(&gpu, DType::I32);
    });
}

#[test]
fn permutations_of_every_kind_equal_the_reference_on_a_gpu() {
    let Some(gpu) = gpu() else { return };
    common::kernels::permutations(&gpu);
}

/// There are so many places that each unit changes all samples.
#[test]
fn a_few_large_samples_equal_the_reference_on_a_gpu() {
    let Some(gpu) = gpu() else { return };
    let sampler = PlanSampler::new(1.0)
        .with_partners(vec![1, 2, 0])
        .with_lambda(0.1);
    let plan = sampler.draw(3, &[600, 700], &mut Stream::new(4).at(0));
    for is_shared in [false, true] {
        let case = Case {
            plan: plan.clone().unwrap(),
            channels: 3,
            lambdas: vec![0.3],
            memory: Memory::Contiguous,
            is_shared,
        };
        case.paste::<4, Float>(&gpu, DType::F32);
        case.blend::<4>(&gpu, DType::F32);
    }
}

/// A part of a larger batch that begins at aligned memory is a view of it.
#[test]
fn a_part_of_a_batch_is_mixed_without_changing_the_rest() {
    let Some(gpu) = gpu() else { return };
    let sampler = PlanSampler::new(1.0)
        .with_partners(vec![1, 2, 3, 0])
        .with_lambda(0.5);
    let plan = sampler
        .draw(4, &[16, 16], &mut Stream::new(6).at(0))
        .unwrap();
    let all = Tensor::<1, Int>::arange(0..8 * 4 * 16 * 16, &gpu).reshape([8, 4, 16, 16]);
    let before = all.clone().into_data();
    let part = || all.clone().slice_dim(0, 2..6);
    let expected = ops::reference::paste(part(), plan.partners(), plan.regions());
    let mixed = ops::paste(part(), &plan).unwrap();
    assert_eq!(mixed.into_data(), expected.into_data());
    assert_eq!(all.into_data(), before);
}

#[test]
fn gradients_equal_the_reference_on_a_gpu() {
    let Some(gpu) = gpu() else { return };
    // Contiguous, because on SwiftShader Burn 0.22.1 gives even `(images * factors).sum()` a wrong
    // gradient where the images are permuted.
    let cases = case(4, 6, 7).prop_map(|case| Case {
        memory: Memory::Contiguous,
        ..case
    });
    on_cases(20, cases, |case| case.gradients::<4>(&gpu));
}

#[test]
fn volumes_and_class_maps_equal_those_of_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let cpu = Device::flex();
    let images = Tensor::<5>::random([3, 2, 4, 5, 6], Distribution::Default, &cpu);
    let maps = Tensor::<4, Int>::random([3, 4, 5, 6], Distribution::Uniform(0.0, 9.0), &cpu);
    let run = |device: &Device| {
        let maps = Tensor::<4, Int>::from_data(maps.to_data(), device);
        let mut rng = Stream::new(2).at(0);
        let (images, maps, _) =
            cutmix_segmentation(on(device, &images), maps, 1.0, &mut rng).unwrap();
        (images.into_data(), maps.into_data().convert::<i32>())
    };
    assert_eq!(run(&gpu), run(&cpu));
}

#[test]
fn gradients_flow_through_the_paste() {
    let Some(gpu) = gpu() else { return };
    let cpu = Device::flex();
    let images = Tensor::<4>::random([4, 1, 5, 5], Distribution::Default, &cpu);
    let weights = Tensor::<4>::random([4, 1, 5, 5], Distribution::Default, &cpu);
    let plan = (PlanSampler::new(1.0).with_lambda(0.5))
        .draw(4, &[5, 5], &mut Stream::new(3).at(0))
        .unwrap();
    let gradient = |device: &Device| {
        let images = on(&device.clone().autodiff(), &images).require_grad();
        let weights = on(&device.clone().autodiff(), &weights);
        let mixed = ops::paste(images.clone(), &plan).unwrap();
        let gradients = (mixed * weights).sum().backward();
        images.grad(&gradients).unwrap().into_data()
    };
    assert_eq!(gradient(&gpu), gradient(&cpu));
}

#[test]
fn the_loss_agrees_with_the_cpu_and_is_nan_for_a_wrong_class() {
    let Some(gpu) = gpu() else { return };
    let cpu = Device::flex();
    cpu.seed(42);
    let logits = Tensor::<2>::random([6, 5], Distribution::Normal(0.0, 3.0), &cpu);
    let loss = |device: &Device| {
        let classes = Tensor::<1, Int>::from_data([0, 1, 2, 3, 4, 0], device);
        let dense = Targets::from(classes).into_dense(5).unwrap();
        let loss = CrossEntropy::new()
            .with_smoothing(0.1)
            .forward(on(device, &logits), dense);
        loss.unwrap().cast(FloatDType::F32).into_scalar::<f32>()
    };
    // The functions of a GPU are less exact than those of the CPU: the errors of `exp` and `log`, some
    // units in the last place, add up.
    let (on_gpu, on_cpu) = (loss(&gpu), loss(&cpu));
    assert!(
        (on_gpu - on_cpu).abs() < 1e-4 * on_cpu,
        "{on_gpu} is not {on_cpu}"
    );

    let wrong = Tensor::<1, Int>::from_data([0, 7], &gpu);
    let logits = Tensor::<2>::zeros([2, 5], &gpu);
    let loss = CrossEntropy::new().forward(logits, wrong.clone()).unwrap();
    assert!(loss.into_scalar::<f32>().is_nan());
    let plan = Plan::new(vec![1, 0], Region::whole(&[2]), vec![2]).unwrap();
    let mixed = Targets::from(wrong.clone()).mix(5, &plan).unwrap();
    assert!(mixed.into_data().iter::<f32>().all(f32::is_nan));
    let dense = Targets::from(wrong).into_dense(5).unwrap();
    let sum = dense.sum_dim(1).into_data().convert::<f32>();
    let sums = sum.try_to_vec::<f32>().unwrap();
    assert!(sums[0] == 1.0 && sums[1].is_nan(), "{sums:?}");
}
