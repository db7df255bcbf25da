//! The time of each kernel by shape, and the share of the multiplications that the processor could do.
//!
//!     cargo bench -p flex-nn --bench kernels

use std::hint::black_box;
use std::time::Instant;

use flex_nn::host::{Conv, Epilogue, Images, Norm, Statistics, give_back};
use pulp::{Arch, Simd, WithSimd};

/// Images, input and output channels, side, kernel and stride.
const CONVOLUTIONS: [[usize; 6]; 19] = [
    [128, 1, 16, 28, 3, 1],
    [128, 16, 16, 28, 3, 1],
    [128, 16, 32, 28, 3, 2],
    [128, 32, 32, 14, 3, 1],
    [128, 32, 64, 14, 3, 2],
    [128, 64, 64, 7, 3, 1],
    [32, 16, 16, 28, 3, 1],
    [32, 64, 64, 8, 3, 1],
    [32, 64, 64, 32, 3, 1],
    [32, 128, 128, 16, 3, 1],
    [32, 256, 256, 8, 3, 1],
    [8, 3, 64, 224, 7, 2],
    [8, 64, 64, 56, 3, 1],
    [8, 128, 128, 28, 3, 1],
    [8, 256, 256, 14, 3, 1],
    [8, 256, 512, 14, 3, 2],
    [8, 512, 512, 7, 3, 1],
    [8, 512, 2048, 7, 1, 1],
    [8, 64, 256, 56, 1, 1],
];

/// Positions and channels.
const NORMALISATIONS: [[usize; 2]; 5] = [
    [100_352, 16],
    [25_088, 32],
    [6_272, 64],
    [25_088, 64],
    [25_088, 256],
];

/// The median time of a call in milliseconds.
fn median(mut call: impl FnMut()) -> f64 {
    let mut times: Vec<_> = (0..16)
        .map(|_| {
            let start = Instant::now();
            call();
            1e3 * start.elapsed().as_secs_f64()
        })
        .collect();
    // The first call warms up.
    times.remove(0);
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The multiplications and additions that one core does in a second, in units of 1e9.
struct Peak;

impl WithSimd for Peak {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        const ROUNDS: u32 = 20_000_000;
        let mut sums = [simd.splat_f32s(1.0); 12];
        let factor = simd.splat_f32s(black_box(0.999));
        let term = simd.splat_f32s(black_box(0.001));
        let start = Instant::now();
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = simd.mul_add_f32s(*sum, factor, term);
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        black_box(sums.map(|sum| simd.reduce_sum_f32s(sum)));
        2e-9 * f64::from(ROUNDS) * (sums.len() * S::F32_LANES) as f64 / seconds
    }
}

fn main() {
    // `cargo test --benches` runs it once.
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("run by cargo bench");
        return;
    }
    let threads = rayon::current_num_threads();
    let peak = Arch::new().dispatch(Peak) * threads as f64;
    println!("{threads} threads, peak {peak:.0} GF/s");
    println!(
        "n, in, out, side, kernel, stride: forward / input / weights in ms, share of the peak"
    );
    for [n, inputs, outputs, side, kernel, stride] in CONVOLUTIONS {
        let conv = Conv {
            input: [n, inputs, side, side],
            channels: outputs,
            kernel: [kernel, kernel],
            stride: [stride, stride],
            padding: [[kernel / 2; 2]; 2],
            dilation: [1, 1],
            groups: 1,
        };
        let count = |shape: [usize; 4]| shape.iter().product::<usize>();
        let (images, gradient) = (
            vec![0.5; count(conv.input)],
            vec![0.25; count(conv.output())],
        );
        let weights = vec![0.1; inputs * outputs * kernel * kernel];
        let of_input = Images::channels_last(&images, conv.input);
        let of_output = Images::channels_last(&gradient, conv.output());
        let times = [
            median(|| give_back(conv.forward(&of_input, &weights, Epilogue::default()))),
            median(|| give_back(conv.input_gradient(&of_output, &weights, None))),
            median(|| drop(black_box(conv.weight_gradient(&of_input, &of_output)))),
        ];
        let work = 2e-6 * (gradient.len() * inputs * kernel * kernel) as f64;
        let [a, b, c] = times;
        let [x, y, z] = times.map(|time| 100.0 * work / time / peak);
        println!(
            "{n}, {inputs}, {outputs}, {side}, {kernel}, {stride}: {a:.2} / {b:.2} / {c:.2} ms, \
             {x:.0} / {y:.0} / {z:.0} %"
        );
    }
    println!("positions, channels: statistics / forward / backward in ms");
    for [positions, channels] in NORMALISATIONS {
        let images: Vec<_> = (0..positions * channels).map(|i| (i % 97) as f32).collect();
        let statistics = Statistics::of(&images, channels);
        let (gamma, beta) = (vec![1.0; channels], vec![0.0; channels]);
        let norm = Norm::new(&statistics, &gamma, &beta, 1e-5, true);
        let a = median(|| drop(black_box(Statistics::of(&images, channels))));
        let b = median(|| give_back(norm.forward(&images, None)));
        let mut gradient = Some(images.clone());
        let c = median(|| {
            let memory = gradient.take().expect("put back below");
            gradient = Some(
                norm.backward(&statistics, 1e-5, &images, None, memory)
                    .input,
            );
        });
        println!("{positions}, {channels}: {a:.2} / {b:.2} / {c:.2} ms");
    }
}
