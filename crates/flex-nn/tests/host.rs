//! The kernels against plain loops in f64, over random shapes.

use flex_nn::host::{
    Conv, Epilogue, Images, MaxPool, Norm, Statistics, Subsample, bias_gradient, give_back,
    global_mean, global_mean_gradient,
};
use proptest::prelude::*;

/// Numbers of about 1 that differ, from a counter.
fn numbers(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            ((state >> 40) as f32) / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

/// Size, kernel, stride, padding and dilation.
type Axis = (usize, usize, usize, [usize; 2], usize);

fn conv() -> impl Strategy<Value = Conv> {
    let channels = prop_oneof![1usize..6, Just(8), Just(16), Just(17), Just(24), Just(40)];
    let axis = (
        1usize..12,
        1usize..5,
        1usize..4,
        [0usize..3, 0usize..3],
        1usize..3,
    );
    (
        1usize..5,
        channels.clone(),
        channels,
        [axis.clone(), axis],
        1usize..4,
    )
        .prop_filter_map("the kernel fits", |(n, inputs, outputs, axes, groups)| {
            let get = |of: fn(&Axis) -> usize| [of(&axes[0]), of(&axes[1])];
            let size = get(|axis| axis.0);
            let conv = Conv {
                input: [n, inputs * groups, size[0], size[1]],
                channels: outputs * groups,
                kernel: get(|axis| axis.1),
                stride: get(|axis| axis.2),
                padding: [axes[0].3, axes[1].3],
                dilation: get(|axis| axis.4),
                groups,
            };
            conv.output_size().map(|_| conv)
        })
}

/// Convolutions of each channel by itself.
fn depthwise_conv() -> impl Strategy<Value = Conv> {
    let channels = prop_oneof![2usize..5, Just(16), Just(24), Just(40)];
    (conv(), channels).prop_map(|(conv, channels)| {
        let [n, _, height, width] = conv.input;
        Conv {
            input: [n, channels, height, width],
            channels,
            groups: channels,
            ..conv
        }
    })
}

/// 3 x 3 convolutions with stride 1 that are large enough for Winograd's algorithm.
fn large_conv() -> impl Strategy<Value = Conv> {
    let channels = prop_oneof![
        Just(32usize),
        Just(34),
        Just(48),
        Just(67),
        Just(80),
        Just(160)
    ];
    let size = [9usize..20, 9usize..20];
    let padding = [[0usize..5, 0usize..5], [0usize..5, 0usize..5]];
    (6usize..9, channels.clone(), channels, size, padding).prop_map(
        |(n, inputs, channels, [height, width], padding)| Conv {
            input: [n, inputs, height, width],
            channels,
            kernel: [3, 3],
            stride: [1, 1],
            padding,
            dilation: [1, 1],
            groups: 1,
        },
    )
}

/// Calls `add` with the index of an input, of a weight and of an output that are multiplied.
fn products(conv: &Conv, mut add: impl FnMut(usize, usize, usize)) {
    let [n, c, h, w] = conv.input;
    let [_, o, oh, ow] = conv.output();
    let (ci, co) = (c / conv.groups, o / conv.groups);
    let [kh, kw] = conv.kernel;
    for image in 0..n {
        for output in 0..o {
            for y in 0..oh {
                for x in 0..ow {
                    for channel in 0..ci {
                        for row in 0..kh {
                            for column in 0..kw {
                                let iy = (y * conv.stride[0] + row * conv.dilation[0])
                                    .checked_sub(conv.padding[0][0]);
                                let ix = (x * conv.stride[1] + column * conv.dilation[1])
                                    .checked_sub(conv.padding[1][0]);
                                let (Some(iy), Some(ix)) = (iy, ix) else {
                                    continue;
                                };
                                if iy >= h || ix >= w {
                                    continue;
                                }
                                let from = output / co * ci + channel;
                                add(
                                    ((image * h + iy) * w + ix) * c + from,
                                    ((output * ci + channel) * kh + row) * kw + column,
                                    ((image * oh + y) * ow + x) * o + output,
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The largest difference, relative to the largest number.
fn difference(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected
        .iter()
        .fold(1e-3f64, |largest, x| largest.max(x.abs()));
    let pairs = found.iter().zip(expected);
    let differences = pairs.map(|(a, b)| (f64::from(*a) - b).abs() / largest);
    // NaN is the largest of all.
    differences.max_by(f64::total_cmp).unwrap_or(0.0)
}

/// `[N, H, W, C]` as images `[N, C, H, W]` in the order of PyTorch, with room before and after.
fn planes(data: &[f32], [n, c, h, w]: [usize; 4]) -> (Vec<f32>, [isize; 4], usize) {
    let mut planes = vec![f32::NAN; 5 + n * c * h * w + 3];
    for (index, value) in data.iter().enumerate() {
        let (position, channel) = (index / c, index % c);
        let (image, place) = (position / (h * w), position % (h * w));
        planes[5 + (image * c + channel) * h * w + place] = *value;
    }
    let strides = [c * h * w, h * w, w, 1].map(|stride| stride as isize);
    (planes, strides, 5)
}

/// Gives the memory of a result back, full of NaN, which must not reach the next result.
fn spoil(mut result: Vec<f32>) {
    result.fill(f32::NAN);
    give_back(result);
}

/// Checks a convolution and its gradients against plain loops.
fn check_conv(conv: &Conv, seed: u64) -> Result<(), TestCaseError> {
    let (shape, output) = (conv.input, conv.output());
    let count = |shape: [usize; 4]| shape.iter().product::<usize>();
    let images = numbers(count(shape), seed);
    let weights = numbers(
        conv.channels * shape[1] / conv.groups * conv.kernel.iter().product::<usize>(),
        seed ^ 1,
    );
    let gradient = numbers(count(output), seed ^ 2);
    let bias = numbers(conv.channels, seed ^ 3);
    let scale = numbers(conv.channels, seed ^ 4);
    let residual = numbers(count(output), seed ^ 5);
    let sum = numbers(count(shape), seed ^ 6);
    let mut expected = [
        (0..count(output))
            .map(|i| f64::from(bias[i % conv.channels]))
            .collect::<Vec<_>>(),
        vec![0.0; images.len()],
        vec![0.0; weights.len()],
    ];
    products(conv, |image, weight, output| {
        let [x, w, g] = [images[image], weights[weight], gradient[output]].map(f64::from);
        expected[0][output] += x * w;
        expected[1][image] += g * w;
        expected[2][weight] += g * x;
    });
    let (image_planes, image_strides, start) = planes(&images, shape);
    let (gradient_planes, gradient_strides, _) = planes(&gradient, output);
    let views = [
        (
            Images::channels_last(&images, shape),
            Images::channels_last(&gradient, output),
        ),
        (
            Images::new(&image_planes, shape, image_strides, start),
            Images::new(&gradient_planes, output, gradient_strides, start),
        ),
    ];
    for (images, gradient) in views {
        let epilogue = Epilogue {
            shift: Some(&bias),
            ..Epilogue::default()
        };
        let found = conv.forward(&images, &weights, epilogue);
        prop_assert!(difference(&found, &expected[0]) < 1e-5, "forward");
        spoil(found);
        let epilogue = Epilogue {
            scale: Some(&scale),
            shift: Some(&bias),
            residual: Some(residual.clone()),
            relu: true,
        };
        let found = conv.forward(&images, &weights, epilogue);
        let finished: Vec<_> = (0..count(output))
            .map(|i| {
                let channel = i % conv.channels;
                let [bias, scale, added] =
                    [bias[channel], scale[channel], residual[i]].map(f64::from);
                ((expected[0][i] - bias) * scale + bias + added).max(0.0)
            })
            .collect();
        prop_assert!(difference(&found, &finished) < 1e-5, "epilogue");
        spoil(found);
        let found = conv.input_gradient(&gradient, &weights, None);
        prop_assert!(difference(&found, &expected[1]) < 1e-5, "input");
        spoil(found);
        let found = conv.input_gradient(&gradient, &weights, Some(sum.clone()));
        let added: Vec<_> = expected[1]
            .iter()
            .zip(&sum)
            .map(|(g, s)| g + f64::from(*s))
            .collect();
        prop_assert!(difference(&found, &added) < 1e-5, "input, added");
        spoil(found);
        let found = conv.weight_gradient(&images, &gradient);
        prop_assert!(difference(&found, &expected[2]) < 1e-5, "weights");
        spoil(found);
        let found = bias_gradient(&gradient);
        let mut sums = vec![0.0; conv.channels];
        for (index, g) in gradient.to_channels_last().iter().enumerate() {
            sums[index % conv.channels] += f64::from(*g);
        }
        prop_assert!(difference(&found, &sums) < 1e-5, "bias");
        spoil(found);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn convolutions_and_their_gradients_equal_plain_loops(conv in conv(), seed: u64) {
        check_conv(&conv, seed)?;
    }

    #[test]
    fn depthwise_convolutions_and_their_gradients_equal_plain_loops(
        conv in depthwise_conv(),
        seed: u64,
    ) {
        check_conv(&conv, seed)?;
    }

    #[test]
    fn normalisations_and_their_gradients_equal_plain_loops(
        rows in 1usize..3000,
        channels in prop_oneof![1usize..6, Just(16), Just(24), Just(64), Just(130)],
        relu: bool,
        residual: bool,
        seed: u64,
    ) {
        let images: Vec<_> = numbers(rows * channels, seed).iter().map(|x| 3.0 * x + 5.0).collect();
        let added = numbers(rows * channels, seed ^ 1);
        let gradient = numbers(rows * channels, seed ^ 2);
        let gamma = numbers(channels, seed ^ 3);
        let beta = numbers(channels, seed ^ 4);
        let epsilon = 1e-5;
        let statistics = Statistics::of(&images, channels);
        let norm = Norm::new(&statistics, &gamma, &beta, epsilon, relu);
        let output = norm.forward(&images, residual.then_some(&added));
        let of_sum = residual.then_some(&*output);
        let found = norm.backward(&statistics, epsilon, &images, of_sum, gradient.clone());
        for channel in 0..channels {
            let of = |values: &[f32]| -> Vec<f64> {
                values[channel..].iter().step_by(channels).map(|x| f64::from(*x)).collect()
            };
            let (x, count) = (of(&images), rows as f64);
            let mean = x.iter().sum::<f64>() / count;
            let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
            prop_assert!((f64::from(statistics.mean[channel]) - mean).abs() < 1e-5);
            prop_assert!((f64::from(statistics.variance[channel]) - variance).abs() < 1e-5 * variance.max(1.0));
            let inverse = (variance + epsilon).sqrt().recip();
            let (gamma, beta) = (f64::from(gamma[channel]), f64::from(beta[channel]));
            let normal: Vec<_> = x.iter().map(|x| (x - mean) * inverse).collect();
            let (added, shown) = (of(&added), of(&output));
            let y: Vec<_> = normal.iter().zip(&added).map(|(x, added)| {
                let y = x * gamma + beta + if residual { *added } else { 0.0 };
                if relu { y.max(0.0) } else { y }
            }).collect();
            for (found, expected) in shown.iter().zip(&y) {
                prop_assert!((found - expected).abs() < 2e-4, "{found} {expected}");
            }
            // By the output that was found, so that both agree where it is about 0.
            let g: Vec<_> = of(&gradient).iter().zip(&shown).map(|(g, y)| {
                if relu && *y <= 0.0 { 0.0 } else { *g }
            }).collect();
            let sum = g.iter().sum::<f64>();
            let product: f64 = g.iter().zip(&normal).map(|(g, x)| g * x).sum();
            let scale = 1e-4 * (count + 1.0);
            prop_assert!((f64::from(found.beta[channel]) - sum).abs() < scale);
            prop_assert!((f64::from(found.gamma[channel]) - product).abs() < scale);
            for ((found, g), x) in of(&found.input).iter().zip(&g).zip(&normal) {
                let expected = gamma * inverse * (g - sum / count - x * product / count);
                prop_assert!((found - expected).abs() < 1e-3 * (1.0 + inverse), "{found} {expected}");
            }
            if residual {
                prop_assert_eq!(of(found.residual.as_ref().unwrap()), g);
            } else {
                prop_assert!(found.residual.is_none());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn large_convolutions_and_their_gradients_equal_plain_loops(conv in large_conv(), seed: u64) {
        check_conv(&conv, seed)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn poolings_and_their_gradients_equal_plain_loops(
        shape in [1usize..4, 1usize..40, 1usize..9, 1usize..9],
        kernel in [1usize..4, 1usize..4],
        stride in [1usize..4, 1usize..4],
        padding in [[0usize..3, 0usize..3], [0usize..3, 0usize..3]],
        dilation in [1usize..3, 1usize..3],
        seed: u64,
    ) {
        let pool = MaxPool { input: shape, kernel, stride, padding, dilation };
        let fits = |axis: usize| {
            shape[2 + axis] + padding[axis][0] + padding[axis][1] > dilation[axis] * (kernel[axis] - 1)
        };
        prop_assume!(fits(0) && fits(1));
        let [n, c, h, w] = shape;
        // Whole numbers, so that some are equal, and a few that are not finite.
        let mut images: Vec<_> = numbers(n * c * h * w, seed).iter().map(|x| (4.0 * x).round()).collect();
        let len = images.len();
        (images[len / 2], images[len / 3], images[len / 5]) = (f32::NAN, f32::NEG_INFINITY, f32::INFINITY);
        let [_, _, oh, ow] = pool.output();
        let gradient = numbers(n * c * oh * ow, seed ^ 1);
        let mut expected = vec![f32::NEG_INFINITY; gradient.len()];
        let mut of_images = vec![0.0f64; images.len()];
        for (index, expected) in expected.iter_mut().enumerate() {
            let (position, channel) = (index / c, index % c);
            let (image, y, x) = (position / (oh * ow), position / ow % oh, position % ow);
            let mut largest = None;
            for row in 0..kernel[0] {
                for column in 0..kernel[1] {
                    let iy = (y * stride[0] + row * dilation[0]).checked_sub(padding[0][0]);
                    let ix = (x * stride[1] + column * dilation[1]).checked_sub(padding[1][0]);
                    let (Some(iy), Some(ix)) = (iy, ix) else { continue };
                    if iy >= h || ix >= w {
                        continue;
                    }
                    let place = ((image * h + iy) * w + ix) * c + channel;
                    if largest.is_none() || images[place] > *expected || images[place].is_nan() {
                        (largest, *expected) = (Some(place), images[place]);
                    }
                }
            }
            if let Some(largest) = largest {
                of_images[largest] += f64::from(gradient[index]);
            }
        }
        let bits = |numbers: &[f32]| numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&pool.forward(&images)), bits(&expected));
        prop_assert!(difference(&pool.backward(&images, &gradient), &of_images) < 1e-6);
    }

    #[test]
    fn subsampling_and_its_gradient_equal_plain_loops(
        shape in [1usize..4, 1usize..20, 1usize..9, 1usize..9],
        stride in [1usize..4, 1usize..4],
        more in 0usize..20,
        seed: u64,
    ) {
        let [n, c, h, w] = shape;
        let subsample = Subsample { input: shape, stride, channels: c + more };
        let images = numbers(n * c * h * w, seed);
        let [_, channels, oh, ow] = subsample.output();
        let gradient = numbers(n * channels * oh * ow, seed ^ 1);
        let sum = numbers(images.len(), seed ^ 2);
        let mut expected = vec![0.0f32; gradient.len()];
        let mut of_images = vec![0.0f32; images.len()];
        for (index, expected) in expected.iter_mut().enumerate() {
            let (position, channel) = (index / channels, index % channels);
            let (image, y, x) = (position / (oh * ow), position / ow % oh, position % ow);
            if channel < c {
                let place = ((image * h + y * stride[0]) * w + x * stride[1]) * c + channel;
                *expected = images[place];
                of_images[place] = gradient[index];
            }
        }
        prop_assert_eq!(subsample.forward(&images), expected);
        let added: Vec<_> = of_images.iter().zip(&sum).map(|(a, b)| a + b).collect();
        prop_assert_eq!(subsample.backward(&gradient, Some(sum)), added);
        prop_assert_eq!(subsample.backward(&gradient, None), of_images);
    }
}

/// Checks gradients by the change of a value between two points on both sides, in a direction. `parts`
/// are the variables, each with its gradient; the tolerance is a share of the expected size of a sum of
/// random signs.
fn check_differences(
    what: &str,
    parts: &[(&[f32], &[f32])],
    value: impl Fn(&[Vec<f32>]) -> f64,
    tolerance: f64,
) {
    for (number, (_, gradient)) in parts.iter().enumerate() {
        let direction = numbers(gradient.len(), 77 + number as u64);
        let at = |step: f32| {
            let mut all: Vec<Vec<f32>> = parts.iter().map(|(part, _)| part.to_vec()).collect();
            let pairs = all[number].iter_mut().zip(&direction);
            pairs.for_each(|(x, d)| *x += step * d);
            value(&all)
        };
        let step = 1.0 / 256.0;
        let found = (at(step) - at(-step)) / (2.0 * f64::from(step));
        let expected = dot(gradient, &direction);
        let scale = dot(gradient, gradient).sqrt();
        assert!(
            (found - expected).abs() <= tolerance * scale,
            "{what}, variable {number}: {found} and {expected}, {scale}"
        );
    }
}

/// The sum of the products of two lists.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    let pairs = a.iter().zip(b);
    pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

#[test]
fn gradients_of_convolutions_equal_finite_differences() {
    // Plain, strided, grouped, each channel by itself, and large enough for Winograd's algorithm.
    for (input, channels, kernel, stride, groups) in [
        ([2, 3, 9, 8], 5, 3, 1, 1),
        ([2, 16, 9, 8], 24, 3, 2, 1),
        ([2, 16, 6, 6], 32, 1, 1, 1),
        ([2, 16, 9, 8], 16, 5, 2, 2),
        ([2, 16, 9, 8], 16, 3, 1, 16),
        ([6, 32, 14, 13], 48, 3, 1, 1),
        // Channels that fill no whole block of the copy.
        ([6, 34, 14, 13], 48, 3, 1, 1),
    ] {
        let conv = Conv {
            input,
            channels,
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [[kernel / 2; 2]; 2],
            dilation: [1, 1],
            groups,
        };
        let images = numbers(input.iter().product(), 1);
        let weights = numbers(channels * input[1] / groups * kernel * kernel, 2);
        let gradient = numbers(conv.output().iter().product(), 3);
        let of_output = Images::channels_last(&gradient, conv.output());
        let view = Images::channels_last(&images, input);
        let of_images = conv.input_gradient(&of_output, &weights, None);
        let of_weights = conv.weight_gradient(&view, &of_output);
        let value = |all: &[Vec<f32>]| {
            let images = Images::channels_last(&all[0], input);
            let output = conv.forward(&images, &all[1], Epilogue::default());
            dot(&output, &gradient)
        };
        let parts: [(&[f32], &[f32]); 2] = [(&images, &of_images), (&weights, &of_weights)];
        check_differences(&format!("{conv:?}"), &parts, value, 0.01);
    }
}

#[test]
fn gradients_of_normalisations_equal_finite_differences() {
    let (rows, channels) = (200, 20);
    let [images, residual, gradient] = [4, 7, 8].map(|seed| numbers(rows * channels, seed));
    let [gamma, beta] = [5, 6].map(|seed| numbers(channels, seed));
    for (relu, has_residual) in [(false, false), (false, true), (true, false), (true, true)] {
        let output = |all: &[Vec<f32>]| {
            let statistics = Statistics::of(&all[0], channels);
            let norm = Norm::new(&statistics, &all[1], &all[2], 1e-5, relu);
            let output = norm.forward(&all[0], has_residual.then_some(&all[3]));
            (output, norm, statistics)
        };
        let all = [&images, &gamma, &beta, &residual].map(Clone::clone);
        let (result, norm, statistics) = output(&all);
        let result = has_residual.then_some(&*result);
        let found = norm.backward(&statistics, 1e-5, &images, result, gradient.clone());
        let of_residual = found.residual.unwrap_or_else(|| vec![0.0; residual.len()]);
        let parts: [(&[f32], &[f32]); 4] = [
            (&images, &found.input),
            (&gamma, &found.gamma),
            (&beta, &found.beta),
            (&residual, &of_residual),
        ];
        // A rectifier may turn within the step.
        let tolerance = if relu { 0.1 } else { 0.01 };
        let value = |all: &[Vec<f32>]| dot(&output(all).0, &gradient);
        let what = format!("rectifier {relu}, residual {has_residual}");
        check_differences(&what, &parts, value, tolerance);
    }
}

#[test]
fn gradients_of_poolings_equal_finite_differences() {
    let shape = [2, 20, 6, 5];
    let images = numbers(shape.iter().product(), 9);
    let gradient = numbers(2 * 20, 10);
    let of_images = global_mean_gradient(&gradient, shape);
    let value = |all: &[Vec<f32>]| dot(&global_mean(&all[0], shape), &gradient);
    check_differences("mean", &[(&images, &of_images)], value, 0.01);
    let pool = max_pool(shape);
    let gradient = numbers(pool.output().iter().product(), 11);
    let of_images = pool.backward(&images, &gradient);
    let value = |all: &[Vec<f32>]| dot(&pool.forward(&all[0]), &gradient);
    // Another number may become the largest within the step.
    check_differences("maximum", &[(&images, &of_images)], value, 0.1);
}

fn max_pool(input: [usize; 4]) -> MaxPool {
    MaxPool {
        input,
        kernel: [3, 3],
        stride: [2, 2],
        padding: [[1, 1]; 2],
        dilation: [1, 1],
    }
}

#[test]
fn results_are_the_same_bits_for_any_number_of_threads() {
    // Plain, for Winograd's algorithm, each channel by itself, and so many weights that threads share
    // them.
    for (input, channels, kernel, groups) in [
        ([13, 24, 9, 9], 40, 3, 1),
        ([16, 32, 17, 18], 48, 3, 1),
        ([5, 32, 19, 17], 32, 5, 32),
        ([9, 160, 14, 13], 128, 3, 1),
        ([5, 400, 5, 5], 400, 1, 1),
    ] {
        let conv = Conv {
            input,
            channels,
            kernel: [kernel; 2],
            stride: [1, 1],
            padding: [[kernel / 2; 2]; 2],
            dilation: [1, 1],
            groups,
        };
        let [_, inputs, ..] = input;
        let images = numbers(input.iter().product(), 1);
        let weights = numbers(channels * inputs / groups * kernel * kernel, 2);
        let gradient = numbers(conv.output().iter().product(), 3);
        let all = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| {
                let view = Images::channels_last(&images, input);
                let of_output = Images::channels_last(&gradient, conv.output());
                let statistics = Statistics::of(&images, inputs);
                let (gamma, beta) = (vec![1.0; inputs], vec![0.0; inputs]);
                let norm = Norm::new(&statistics, &gamma, &beta, 1e-5, true);
                let output = norm.forward(&images, None);
                let sum = norm.backward(&statistics, 1e-5, &images, Some(&output), images.clone());
                let backward = norm.backward(&statistics, 1e-5, &images, None, images.clone());
                let pool = max_pool(input);
                [
                    conv.forward(&view, &weights, Epilogue::default()),
                    conv.input_gradient(&of_output, &weights, None),
                    conv.weight_gradient(&view, &of_output),
                    pool.forward(&images),
                    pool.backward(&images, &pool.forward(&images)),
                    sum.input,
                    statistics.variance,
                    backward.input,
                    backward.gamma,
                    global_mean(&images, input),
                ]
                .map(|values| values.into_iter().map(f32::to_bits).collect::<Vec<_>>())
            })
        };
        let one = all(1);
        for threads in [2, 3, 5] {
            assert!(all(threads) == one, "{conv:?}, {threads} threads");
        }
    }
}

/// The tests of this file with the instructions of other processors.
#[test]
fn tests_pass_with_every_kind_of_instructions() {
    if std::env::var_os("FLEX_NN_ARCH").is_some() {
        return;
    }
    // Elsewhere than on x86-64, `avx2` is what the processor has.
    for arch in ["avx2", "scalar"] {
        let tests = std::env::current_exe().unwrap();
        let output = std::process::Command::new(tests)
            .env("FLEX_NN_ARCH", arch)
            .output()
            .unwrap();
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{arch}: {shown}");
    }
}
