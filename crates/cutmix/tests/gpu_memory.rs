//! Operations in place on a GPU.
//!
//! The test is alone in its program because it counts the memory of the device. It runs as
//! `tests/gpu.rs` does.
#![cfg(all(feature = "cube", feature = "flex"))]

mod common;

use burn::tensor::{Distribution, Tensor};
use cutmix::ops;
use cutmix::plan::{Plan, Region};

use common::gpu;

#[test]
fn a_batch_that_is_owned_alone_changes_in_place_on_a_gpu() {
    let Some(gpu) = gpu() else { return };
    let plan = Plan::new(vec![1, 2, 3, 0], Region::new([1..50, 2..60]), vec![64, 64]).unwrap();
    let in_use = || {
        gpu.sync().unwrap();
        gpu.memory_pool_usage()
            .expect("this backend counts its memory")
            .bytes_in_use
    };
    let batch = 4 * 4 * 3 * 64 * 64;
    for device in [gpu.clone(), gpu.clone().autodiff()] {
        let mut images = Tensor::<4>::random([4, 3, 64, 64], Distribution::Default, &device);
        let before = in_use();
        let whole = [Region::whole(&[64, 64])];
        for _ in 0..4 {
            images = ops::paste(images, &plan).unwrap();
            images = ops::blend(images, plan.partners(), &whole, &[0.25]).unwrap();
            images = ops::fill(images, plan.regions(), 1.0).unwrap();
        }
        let after = in_use();
        assert!(after < before + batch / 2, "{before} bytes, then {after}");
        let copy = ops::paste(images.clone(), &plan).unwrap();
        let after = in_use();
        assert!(after >= before + batch, "{before} bytes, then {after}");
        drop((images, copy));
    }
}
