//! Functions that several test programs use.

// Each test program uses a part of them.
#![allow(dead_code)]

use std::fmt::Debug;

use burn::tensor::kind::Basic;
use burn::tensor::{Device, Element, Tensor};
use cutmix::Error;
use cutmix::plan::{Mode, Plan, PlanSampler, RegionSampler, Stream};

pub mod kernels;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// Configures this number of cases, which are the same ones in every run.
pub fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(42),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// The default device without and with autodiff.
pub fn devices() -> [Device; 2] {
    [Device::default(), Device::default().autodiff()]
}

/// Reads the elements in row-major order, converted to `E`.
pub fn values<E: Element, const D: usize, K: Basic>(tensor: &Tensor<D, K>) -> Vec<E> {
    tensor.try_to_vec_as().unwrap()
}

/// Asserts that the result is an [`Error::Argument`] about this argument.
#[track_caller]
pub fn assert_refused<T: Debug>(result: Result<T, Error>, name: &str) {
    let error = result.unwrap_err();
    let is_about_it = matches!(&error, Error::Argument { argument, .. } if *argument == name);
    assert!(is_about_it, "not about `{name}`: {error}");
}

/// Region samplers of every kind, with any parameters.
pub fn samplers() -> impl Strategy<Value = RegionSampler> {
    prop_oneof![
        Just(RegionSampler::Paper),
        Just(RegionSampler::Uniform),
        (0.0..=1.0, 0.0..=1.0).prop_map(|(a, b): (f64, f64)| RegionSampler::MinMax {
            min: a.min(b),
            max: a.max(b)
        }),
        (0.01..=1.0, 0.01..=1.0).prop_map(|(a, b): (f64, f64)| RegionSampler::Scale {
            min: a.min(b),
            max: a.max(b)
        }),
        (0.0..4.0).prop_map(|decay_power| RegionSampler::LowFrequency { decay_power }),
    ]
}

/// Plans of any region sampler and mode, for up to `batch` samples with `rank` spatial dimensions of up
/// to `size` pixels. They include empty regions and whole images.
pub fn plans(batch: usize, rank: usize, size: usize) -> impl Strategy<Value = Plan> {
    let spatial = vec(1..=size, rank);
    let modes = prop_oneof![Just(Mode::Batch), Just(Mode::Pair), Just(Mode::Sample)];
    (1..=batch, spatial, samplers(), modes, 0.1..4.0, 0..u64::MAX).prop_map(
        |(batch, spatial, sampler, mode, alpha, step)| {
            let sampler = PlanSampler::new(alpha)
                .with_region_sampler(sampler)
                .with_mode(mode);
            let mut rng = Stream::new(0).at(step);
            sampler.draw(batch, &spatial, &mut rng).unwrap()
        },
    )
}

/// Returns the first device of a GPU's backend in this build. Without one it prints a line and returns
/// none.
#[cfg(feature = "cube")]
pub fn gpu() -> Option<Device> {
    use burn::tensor::DeviceType;
    let backends = [
        #[cfg(feature = "cuda")]
        DeviceType::Cuda,
        #[cfg(feature = "rocm")]
        DeviceType::Rocm,
        #[cfg(feature = "metal")]
        DeviceType::Metal,
        #[cfg(feature = "vulkan")]
        DeviceType::Vulkan,
        #[cfg(feature = "webgpu")]
        DeviceType::WebGpu,
        #[cfg(feature = "wgpu")]
        DeviceType::Wgpu,
    ];
    let device = backends.into_iter().flat_map(Device::enumerate).next();
    if device.is_none() {
        assert!(std::env::var_os("CUTMIX_REQUIRE_GPU").is_none(), "no GPU");
        println!("SKIPPED: no GPU here");
    }
    device
}
