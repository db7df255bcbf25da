//! What several of the test programs share.

// Each of them uses a part.
#![allow(dead_code)]

use std::fmt::Debug;

use burn::tensor::kind::Basic;
use burn::tensor::{Device, Element, Tensor};
use cutmix::Error;
use cutmix::plan::{Drawer, Mode, Plan, Sampler, Stream};

pub mod kernels;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// So many cases, the same ones on every run.
pub fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(42),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// A plain device and one that records gradients.
pub fn devices() -> [Device; 2] {
    [Device::default(), Device::default().autodiff()]
}

/// The elements, in row-major order, converted to `E`.
pub fn values<E: Element, const D: usize, K: Basic>(tensor: &Tensor<D, K>) -> Vec<E> {
    tensor.try_to_vec_as().unwrap()
}

/// The result is an error, and its message holds all of these.
#[track_caller]
pub fn assert_refused<T: Debug>(result: Result<T, Error>, parts: &[&str]) {
    let message = result.unwrap_err().to_string();
    for part in parts {
        assert!(message.contains(part), "no `{part}` in: {message}");
    }
}

/// Every sampler, with any setting.
pub fn samplers() -> impl Strategy<Value = Sampler> {
    prop_oneof![
        Just(Sampler::Paper),
        Just(Sampler::Uniform),
        (0.0..=1.0, 0.0..=1.0).prop_map(|(a, b): (f64, f64)| Sampler::MinMax {
            min: a.min(b),
            max: a.max(b)
        }),
    ]
}

/// Plans of any sampler and mode for up to `batch` samples with `rank` spatial dimensions of up to `size`
/// pixels; the empty region and the whole image come up.
pub fn plans(batch: usize, rank: usize, size: usize) -> impl Strategy<Value = Plan> {
    let spatial = vec(1..=size, rank);
    let modes = prop_oneof![Just(Mode::Batch), Just(Mode::Pair), Just(Mode::Sample)];
    (1..=batch, spatial, samplers(), modes, 0.1..4.0, 0..u64::MAX).prop_map(
        |(batch, spatial, sampler, mode, alpha, step)| {
            let drawer = Drawer::new(alpha).sampler(sampler).mode(mode);
            let mut rng = Stream::new(0).at(step);
            drawer.draw(batch, &spatial, &mut rng).unwrap()
        },
    )
}

/// The first Vulkan device, or none, with a line that says so.
#[cfg(feature = "vulkan")]
pub fn vulkan() -> Option<Device> {
    use burn::tensor::{DeviceKind, DeviceType};
    if Device::enumerate(DeviceType::Vulkan).is_empty() {
        assert!(
            std::env::var_os("CUTMIX_REQUIRE_VULKAN").is_none(),
            "no Vulkan adapter"
        );
        println!("SKIPPED: no Vulkan adapter here");
        return None;
    }
    Some(Device::vulkan(DeviceKind::DefaultDevice))
}
