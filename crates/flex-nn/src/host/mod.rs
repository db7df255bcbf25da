//! The kernels on plain slices of f32; they know nothing of Burn.
//!
//! Images are read with any strides, and written with the channels of a position side by side
//! (`[N, H, W, C]`, "channels last"), so that one vector holds the channels of one position.
//!
//! Sums over the images of a batch are always made from the same parts, so that results have the same
//! bits for any number of threads.

mod conv;
mod depthwise;
mod gather;
mod images;
mod memory;
mod norm;
mod parallel;
mod pool;
mod sgd;
mod subsample;
mod vector;
mod weight_gradient;
mod weights;
mod winograd;
mod winograd_gradient;

pub use conv::{Conv, Epilogue, bias_gradient};
pub use images::{Images, channels_last_strides};
pub use memory::give_back;
pub use norm::{Norm, NormGradient, Statistics};
pub use pool::{MaxPool, global_mean, global_mean_gradient};
pub use sgd::SgdStep;
pub use subsample::Subsample;

use std::sync::LazyLock;

use pulp::Arch;

/// The instructions that the kernels use: the best ones of the processor, or those that the variable
/// `FLEX_NN_ARCH` names (`avx2` or `scalar`), for tests and measurements.
fn arch() -> Arch {
    static ARCH: LazyLock<Arch> = LazyLock::new(|| {
        let best = Arch::new();
        match std::env::var("FLEX_NN_ARCH").as_deref() {
            #[cfg(target_arch = "x86_64")]
            Ok("avx2") => pulp::x86::V3::try_new().map_or(best, Arch::V3),
            Ok("scalar") => Arch::Scalar,
            _ => best,
        }
    });
    *ARCH
}

/// The number of windows along an axis of this size; `None` where none fits.
fn windows(size: usize, kernel: usize, stride: usize, dilation: usize) -> Option<usize> {
    let reach = dilation * (kernel - 1) + 1;
    Some(size.checked_sub(reach)? / stride + 1)
}

/// Whether this processor has vector instructions, without which the kernels would be slow.
pub fn is_available() -> bool {
    lanes() > 1
}

/// The f32 numbers in a vector.
fn lanes() -> usize {
    struct Lanes;

    impl pulp::WithSimd for Lanes {
        type Output = usize;

        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }

    arch().dispatch(Lanes)
}
