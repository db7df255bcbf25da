//! The losses, against their formulas in f64 on the host.

mod common;

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use common::{assert_refused, cases, devices, plans, values};
use cutmix::loss::{BinaryCrossEntropy, CrossEntropy, Reduction, interpolate};
use cutmix::{Error, Targets};
use proptest::collection::vec;
use proptest::prelude::*;

/// These numbers are exact in every element type, f16 and bf16 too.
const LOGITS: [f64; 12] = [
    2.0, -1.5, 0.25, 4.0, 0.0, 0.0, 0.0, 0.0, -8.0, 6.5, 6.0, -0.125,
];
const CLASSES: [i64; 3] = [3, 0, 2];
const ONE_HOT: [f64; 12] = [0., 0., 0., 1., 1., 0., 0., 0., 0., 0., 1., 0.];
const DENSE: [f64; 12] = [0.5, 0.25, 0.25, 0., 0., 0.125, 0., 0.875, 1., 0., 0., 0.];
const WEIGHTS: [f64; 4] = [0.5, 2.0, 1.25, 3.0];
const KINDS: [DType; 4] = [DType::F32, DType::F64, DType::F16, DType::BF16];
const REDUCTIONS: [Reduction; 3] = [Reduction::Mean, Reduction::Sum, Reduction::None];

fn matrix(values: &[f64], columns: usize, dtype: DType, device: &Device) -> Tensor<2> {
    let data = TensorData::new(values.to_vec(), [values.len() / columns, columns]);
    Tensor::from_data(data, (device, dtype))
}

fn indices(classes: &[i64], device: &Device) -> Targets {
    Tensor::<1, Int>::from_data(classes, device).into()
}

fn dense(values: &[f64], columns: usize, device: &Device) -> Targets {
    matrix(values, columns, DType::F32, device).into()
}

fn weights(device: &Device) -> Tensor<1> {
    Tensor::from_data(WEIGHTS.as_slice(), device)
}

fn log_softmax(logits: &[f64]) -> Vec<f64> {
    let max = logits.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
    let sum: f64 = logits.iter().map(|x| (x - max).exp()).sum();
    logits.iter().map(|x| x - max - sum.ln()).collect()
}

/// The loss of each sample: `-sum_k w_k ((1 - s) t_k + s / K) log softmax_k`.
fn cross_entropy(logits: &[f64], targets: &[f64], weights: &[f64], s: f64) -> Vec<f64> {
    let k = weights.len();
    let rows = logits.chunks(k).zip(targets.chunks(k));
    let row = |(logits, targets): (&[f64], &[f64])| -> f64 {
        let terms = log_softmax(logits).into_iter().zip(targets).zip(weights);
        -terms
            .map(|((log_p, t), w)| w * ((1.0 - s) * t + s / k as f64) * log_p)
            .sum::<f64>()
    };
    rows.map(row).collect()
}

/// The loss of each sample: the mean over classes of `-w (t' log p + (1 - t') log(1 - p))`.
fn binary_cross_entropy(logits: &[f64], targets: &[f64], weights: &[f64], s: f64) -> Vec<f64> {
    let k = weights.len();
    let rows = logits.chunks(k).zip(targets.chunks(k));
    let row = |(logits, targets): (&[f64], &[f64])| -> f64 {
        let terms = logits.iter().zip(targets).zip(weights).map(|((x, t), w)| {
            let t = (1.0 - s) * t + s / 2.0;
            // -log p = log(1 + exp(-x)), which for a large negative x is -x.
            let softplus = |x: f64| if x > 30.0 { x } else { x.exp().ln_1p() };
            w * (t * softplus(-x) + (1.0 - t) * softplus(*x))
        });
        terms.sum::<f64>() / k as f64
    };
    rows.map(row).collect()
}

fn reduced(losses: Vec<f64>, reduction: Reduction, divisor: f64) -> Vec<f64> {
    match reduction {
        Reduction::Mean => vec![losses.iter().sum::<f64>() / divisor],
        Reduction::Sum => vec![losses.iter().sum()],
        Reduction::None => losses,
    }
}

/// Asserts that the numbers agree within `tolerance`, relative to numbers above 1.
#[track_caller]
fn assert_close(found: &Tensor<1>, expected: &[f64], tolerance: f64) {
    let found = values::<f64, _, _>(found);
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let close = (found - expected).abs() <= tolerance * expected.abs().max(1.0);
        assert!(close, "{found}, not {expected}");
    }
}

/// The losses are computed in f64 for f64, otherwise in f32.
fn tolerance(dtype: DType) -> f64 {
    if dtype == DType::F64 { 1e-12 } else { 1e-5 }
}

/// Every combination of element type, weights, smoothing, reduction and device.
fn settings() -> impl Iterator<Item = (DType, bool, f64, Reduction, Device)> {
    pairs(KINDS, [false, true]).flat_map(|(dtype, weighted)| {
        pairs([0.0, 0.125, 1.0], REDUCTIONS).flat_map(move |(smoothing, reduction)| {
            devices().map(|device| (dtype, weighted, smoothing, reduction, device))
        })
    })
}

fn pairs<A: Copy, B: Copy, const N: usize, const M: usize>(
    left: [A; N],
    right: [B; M],
) -> impl Iterator<Item = (A, B)> {
    let pairs = move |a| right.into_iter().map(move |b| (a, b));
    left.into_iter().flat_map(pairs)
}

#[test]
fn cross_entropy_equals_its_formula() {
    for (dtype, weighted, smoothing, reduction, device) in settings() {
        let mut loss = CrossEntropy::new()
            .with_smoothing(smoothing)
            .with_reduction(reduction);
        let mut host_weights = [1.0; 4];
        if weighted {
            loss = loss.with_weights(weights(&device));
            host_weights = WEIGHTS;
        }
        let logits = matrix(&LOGITS, 4, dtype, &device);
        let check = |targets: Targets, values: &[f64], divisor: f64| {
            let found = loss.forward(logits.clone(), targets).unwrap();
            let losses = cross_entropy(&LOGITS, values, &host_weights, smoothing);
            assert_close(
                &found,
                &reduced(losses, reduction, divisor),
                tolerance(dtype),
            );
        };
        check(dense(&DENSE, 4, &device), &DENSE, 3.0);
        check(dense(&ONE_HOT, 4, &device), &ONE_HOT, 3.0);
        // As in PyTorch, the mean over indices divides by the sum of the weights of the samples.
        let divisor = CLASSES
            .iter()
            .map(|&class| host_weights[class as usize])
            .sum();
        check(indices(&CLASSES, &device), &ONE_HOT, divisor);
    }
}

#[test]
fn cross_entropy_has_values_that_were_computed_by_hand() {
    let device = Device::default();
    // The softmax of both rows is 3/4, 1/4.
    let three: f64 = 3.0;
    let logits = || matrix(&[three.ln(), 0.0, three.ln(), 0.0], 2, DType::F64, &device);
    let [likely, unlikely] = [(4f64 / 3.0).ln(), 4f64.ln()];
    let check = |loss: CrossEntropy, targets: Targets, expected: f64| {
        assert_close(
            &loss.forward(logits(), targets).unwrap(),
            &[expected],
            1e-12,
        );
    };
    let loss = CrossEntropy::new;
    let weights = || Tensor::<1>::from_floats([1.0, 3.0], &device);
    let labels = || indices(&[0, 1], &device);
    let one_hot = || dense(&[1.0, 0.0, 0.0, 1.0], 2, &device);

    check(loss(), labels(), (likely + unlikely) / 2.0);
    check(
        loss().with_weights(weights()),
        labels(),
        (likely + 3.0 * unlikely) / 4.0,
    );
    check(
        loss().with_weights(weights()),
        one_hot(),
        (likely + 3.0 * unlikely) / 2.0,
    );
    check(
        loss().with_smoothing(1.0),
        labels(),
        (likely + unlikely) / 2.0,
    );
    // The targets are (3/4, 1/4) and (1/4, 3/4).
    check(
        loss().with_smoothing(0.5),
        labels(),
        (likely + unlikely) / 2.0,
    );
    check(
        loss().with_smoothing(0.5),
        indices(&[1, 1], &device),
        0.25 * likely + 0.75 * unlikely,
    );
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn indices_and_their_one_hot_rows_have_the_same_loss(
        (classes, logits) in (1usize..6, 1usize..8).prop_flat_map(|(batch, k)| {
            (vec(0..k as i64, batch), vec(-20.0f64..20.0, batch * k))
        }),
        smoothing in 0.0f64..=1.0,
    ) {
        let device = Device::default();
        let k = logits.len() / classes.len();
        let logits = matrix(&logits, k, DType::F32, &device);
        let one_hot = indices(&classes, &device).into_dense(k).unwrap();
        for reduction in REDUCTIONS {
            let loss = CrossEntropy::new().with_smoothing(smoothing).with_reduction(reduction);
            let by_row = loss.forward(logits.clone(), one_hot.clone()).unwrap();
            let by_index = loss.forward(logits.clone(), indices(&classes, &device)).unwrap();
            assert_close(&by_index, &values::<f64, _, _>(&by_row), 1e-5);
        }
    }

    #[test]
    fn the_interpolated_loss_equals_the_loss_of_mixed_targets(
        plan in plans(6, 2, 20),
        weighted in any::<bool>(),
        smoothing in 0.0f64..=1.0,
    ) {
        // The loss is interpolated by one lambda for the batch.
        prop_assume!(plan.lambdas().len() == 1);
        for device in devices() {
            let k = 4;
            let classes: Vec<_> = (0..plan.batch() as i64).map(|i| i * i % 4).collect();
            let logits: Vec<_> = LOGITS.iter().cycle().take(plan.batch() * k).copied().collect();
            let logits = matrix(&logits, k, DType::F32, &device);
            let own = indices(&classes, &device);
            let partners = own.partners(&plan).unwrap();
            let mixed = own.clone().mix(k, &plan).unwrap();
            for reduction in REDUCTIONS {
                let mut loss = CrossEntropy::new().with_smoothing(smoothing).with_reduction(reduction);
                // The weighted mean of indices divides by another sum of weights.
                if weighted && reduction != Reduction::Mean {
                    loss = loss.with_weights(weights(&device));
                }
                let interpolated = interpolate(
                    logits.clone(),
                    own.clone(),
                    partners.clone(),
                    plan.lambda(0),
                    |logits, targets| loss.forward(logits, targets.into_indices("this test")?),
                );
                let expected = loss.forward(logits.clone(), mixed.clone()).unwrap();
                assert_close(&interpolated.unwrap(), &values::<f64, _, _>(&expected), 1e-5);
            }
        }
    }
}

#[test]
fn cross_entropy_stays_finite_at_the_ends_of_the_range() {
    let ends = [
        (DType::F16, 60000.0),
        (DType::BF16, 1e30),
        (DType::F32, 1e30),
        (DType::F64, 1e300),
    ];
    for ((dtype, end), device) in ends.into_iter().flat_map(|end| devices().map(|d| (end, d))) {
        let logits = matrix(&[end, -end, -end, end, end, end], 2, dtype, &device);
        // The element type rounds them.
        let host = values::<f64, _, _>(&logits);
        let targets = [0.0, 1.0, 0.5, 0.5, 0.25, 0.75];
        let loss = CrossEntropy::new().with_reduction(Reduction::None);
        let found = loss
            .forward(logits.clone(), dense(&targets, 2, &device))
            .unwrap();
        assert!(
            values::<f64, _, _>(&found)
                .iter()
                .all(|loss| loss.is_finite())
        );
        assert_close(
            &found,
            &cross_entropy(&host, &targets, &[1.0, 1.0], 0.0),
            1e-6,
        );
        // Indices give the same. The loss of f16 is larger than f16 can hold.
        let found = loss.forward(logits, indices(&[1, 0, 0], &device)).unwrap();
        let one_hot = [0.0, 1.0, 1.0, 0.0, 1.0, 0.0];
        assert_close(
            &found,
            &cross_entropy(&host, &one_hot, &[1.0, 1.0], 0.0),
            1e-6,
        );
        let wide = if dtype == DType::F64 {
            DType::F64
        } else {
            DType::F32
        };
        assert_eq!(found.dtype(), wide);
    }
}

#[test]
fn binary_cross_entropy_equals_its_formula() {
    for (dtype, weighted, smoothing, reduction, device) in settings() {
        let mut loss = BinaryCrossEntropy::new()
            .with_smoothing(smoothing)
            .with_reduction(reduction);
        let mut host_weights = [1.0; 4];
        if weighted {
            loss = loss.with_weights(weights(&device));
            host_weights = WEIGHTS;
        }
        let check = |targets: Targets, values: &[f64]| {
            let logits = matrix(&LOGITS, 4, dtype, &device);
            let found = loss.forward(logits, targets).unwrap();
            let losses = binary_cross_entropy(&LOGITS, values, &host_weights, smoothing);
            assert_close(&found, &reduced(losses, reduction, 3.0), tolerance(dtype));
        };
        // Any number of labels at once.
        let labels = [1., 1., 0., 1., 0., 0., 0., 0., 0.5, 1., 0.25, 0.75];
        check(dense(&labels, 4, &device), &labels);
        check(indices(&CLASSES, &device), &ONE_HOT);
    }
}

#[test]
fn binary_cross_entropy_stays_finite_at_large_logits() {
    let ends = [
        (DType::F16, 60000.0),
        (DType::F32, 1e30),
        (DType::F64, 1e300),
    ];
    for ((dtype, end), device) in ends.into_iter().flat_map(|end| devices().map(|d| (end, d))) {
        let host = [end, -end, end, -end, end, -end];
        let targets = [1.0, 0.0, 0.0, 1.0, 0.25, 0.25];
        let logits = matrix(&host, 1, dtype, &device);
        let loss = BinaryCrossEntropy::new().with_reduction(Reduction::None);
        let found = loss.forward(logits, dense(&targets, 1, &device)).unwrap();
        assert!(
            values::<f64, _, _>(&found)
                .iter()
                .all(|loss| loss.is_finite())
        );
        assert_close(
            &found,
            &binary_cross_entropy(&host, &targets, &[1.0], 0.0),
            1e-6,
        );
    }
}

#[test]
fn a_confident_correct_answer_has_a_small_binary_cross_entropy() {
    let device = Device::default();
    let logits = matrix(&[20.0, -20.0], 1, DType::F32, &device);
    let loss = BinaryCrossEntropy::new().with_reduction(Reduction::None);
    let found = loss
        .forward(logits, dense(&[1.0, 0.0], 1, &device))
        .unwrap();
    // log(1 + exp(-20)); through 1 + exp(-20) in f32 it would be 0.
    let expected = (-20f64).exp().ln_1p();
    for found in values::<f64, _, _>(&found) {
        assert!(
            (found / expected - 1.0).abs() < 1e-5,
            "{found}, not {expected}"
        );
    }
}

/// The gradient of the mean of the losses is `(softmax - t) / N`.
#[test]
fn gradients_of_cross_entropy_are_right() {
    let device = Device::default().autodiff();
    for dtype in KINDS {
        let logits = matrix(&LOGITS, 4, dtype, &device).require_grad();
        let loss = CrossEntropy::new()
            .forward(logits.clone(), dense(&DENSE, 4, &device))
            .unwrap();
        let gradient = logits.grad(&loss.backward()).unwrap();
        let found = values::<f64, _, _>(&gradient);
        let softmax = LOGITS.chunks(4).flat_map(log_softmax).map(f64::exp);
        let expected = softmax.zip(DENSE).map(|(p, t)| (p - t) / 3.0);
        // Gradients have the type of the logits: 11 bits for f16, 8 for bf16.
        let tolerance = match dtype {
            DType::F16 => 1e-3,
            DType::BF16 => 5e-3,
            _ => 1e-6,
        };
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (found - expected).abs() < tolerance,
                "{dtype:?}: {found}, not {expected}"
            );
        }
        for row in found.chunks(4) {
            assert!(
                row.iter().sum::<f64>().abs() < 4.0 * tolerance,
                "{dtype:?}: {row:?}"
            );
        }
    }
}

/// The gradient of the mean of the losses is `(sigmoid - t) / (N K)`: at 0, where the terms of
/// the stable formula have kinks, as well as far from it.
#[test]
fn gradients_of_binary_cross_entropy_are_right() {
    let device = Device::default().autodiff();
    let host = [0.0, 0.0, 0.0, -0.0, 1.0, -2.5, 60000.0, -60000.0];
    let targets = [0.0, 1.0, 0.25, 1.0, 0.75, 0.0, 0.5, 0.5];
    let logits = matrix(&host, 2, DType::F32, &device).require_grad();
    let loss = BinaryCrossEntropy::new();
    let loss = loss
        .forward(logits.clone(), dense(&targets, 2, &device))
        .unwrap();
    let gradient = logits.grad(&loss.backward()).unwrap();
    let found = values::<f64, _, _>(&gradient);
    for ((found, x), t) in found.iter().zip(host).zip(targets) {
        let expected = (1.0 / (1.0 + (-x).exp()) - t) / 8.0;
        assert!(
            (found - expected).abs() < 1e-6,
            "{found}, not {expected}, at {x}"
        );
    }
}

#[test]
fn gradients_stay_finite_at_the_ends_of_f16() {
    let device = Device::default().autodiff();
    let host = [60000.0, -60000.0, -60000.0, 60000.0, 60000.0, 60000.0];
    let targets = dense(&[0.0, 1.0, 0.5, 0.5, 1.0, 0.0], 2, &device);
    let finite = |loss: &dyn Fn(Tensor<2>) -> Result<Tensor<1>, Error>| {
        let logits = matrix(&host, 2, DType::F16, &device).require_grad();
        let gradient = logits
            .grad(&loss(logits.clone()).unwrap().backward())
            .unwrap();
        let gradient = values::<f64, _, _>(&gradient);
        assert!(gradient.iter().all(|x| x.is_finite()), "{gradient:?}");
        assert!(gradient.iter().any(|&x| x != 0.0));
    };
    finite(&|logits| CrossEntropy::new().forward(logits, targets.clone()));
    finite(&|logits| BinaryCrossEntropy::new().forward(logits, targets.clone()));
}

#[test]
fn indices_may_be_of_any_integer_type() {
    for (dtype, device) in [DType::I64, DType::I32, DType::U8]
        .map(|d| devices().map(|x| (d, x)))
        .concat()
    {
        let logits = matrix(&LOGITS, 4, DType::F32, &device);
        let labels = Tensor::<1, Int>::from_data(CLASSES.as_slice(), (&device, dtype));
        let loss = CrossEntropy::new()
            .with_weights(weights(&device))
            .with_reduction(Reduction::None);
        let found = loss.forward(logits.clone(), labels.clone()).unwrap();
        assert_close(
            &found,
            &cross_entropy(&LOGITS, &ONE_HOT, &WEIGHTS, 0.0),
            1e-5,
        );
        let loss = BinaryCrossEntropy::new().with_reduction(Reduction::None);
        let found = loss.forward(logits, labels).unwrap();
        assert_close(
            &found,
            &binary_cross_entropy(&LOGITS, &ONE_HOT, &[1.0; 4], 0.0),
            1e-5,
        );
    }
}

/// A loss is created once, before the device of the training is known.
#[test]
fn weights_and_targets_may_be_on_the_device_without_autodiff() {
    let [plain, autodiff] = devices();
    let logits = matrix(&LOGITS, 4, DType::F32, &autodiff).require_grad();
    for targets in [dense(&DENSE, 4, &plain), indices(&CLASSES, &plain)] {
        let loss = CrossEntropy::new()
            .with_weights(weights(&plain))
            .with_smoothing(0.1);
        let loss = loss.forward(logits.clone(), targets.clone()).unwrap();
        assert!(logits.grad(&loss.backward()).is_some());
        let loss = BinaryCrossEntropy::new().with_weights(weights(&plain));
        let loss = loss.forward(logits.clone(), targets).unwrap();
        assert!(logits.grad(&loss.backward()).is_some());
    }
}

#[test]
fn into_indices_refuses_dense_targets() {
    let device = Device::default();
    let refused = dense(&DENSE, 4, &device).into_indices("NllLoss");
    let error = refused.unwrap_err();
    assert!(
        matches!(&error, Error::DenseTargets { shape: [3, 4], receiver, .. } if receiver == "NllLoss"),
        "{error}"
    );
    let targets = indices(&CLASSES, &device).into_indices("NllLoss").unwrap();
    assert_eq!(values::<i64, _, _>(&targets), CLASSES);
}

#[test]
fn wrong_arguments_are_refused() {
    for device in devices() {
        let logits = matrix(&LOGITS, 4, DType::F32, &device);
        let good = || dense(&DENSE, 4, &device);
        let refused =
            |smoothing: Option<f64>, weights: Option<usize>, targets: Targets, argument: &str| {
                let mut ce = CrossEntropy::new();
                let mut bce = BinaryCrossEntropy::new();
                if let Some(smoothing) = smoothing {
                    (ce, bce) = (ce.with_smoothing(smoothing), bce.with_smoothing(smoothing));
                }
                if let Some(size) = weights {
                    let weights = Tensor::<1>::ones([size], &device);
                    (ce, bce) = (ce.with_weights(weights.clone()), bce.with_weights(weights));
                }
                assert_refused(ce.forward(logits.clone(), targets.clone()), argument);
                assert_refused(bce.forward(logits.clone(), targets), argument);
            };
        for smoothing in [-0.1, 1.1, f64::NAN] {
            refused(Some(smoothing), None, good(), "smoothing");
        }
        for size in [3, 5] {
            refused(None, Some(size), good(), "weights");
        }
        refused(None, None, dense(&DENSE, 3, &device), "targets");
        refused(None, None, dense(&DENSE, 6, &device), "targets");
        refused(None, None, indices(&[0, 1], &device), "targets");
        refused(None, None, indices(&[0, 4, 1], &device), "targets");
        refused(None, None, indices(&[0, 1, -1], &device), "targets");

        let empty = Tensor::<2>::ones([0, 4], &device);
        let none = || Targets::from(Tensor::<2>::ones([0, 4], &device));
        assert_refused(CrossEntropy::new().forward(empty.clone(), none()), "logits");
        assert_refused(BinaryCrossEntropy::new().forward(empty, none()), "logits");
    }
}

#[test]
fn interpolate_refuses_a_lambda_out_of_range() {
    let device = Device::default();
    for lambda in [-0.1, 1.1, f64::NAN] {
        let logits = matrix(&LOGITS, 4, DType::F32, &device);
        let targets = indices(&CLASSES, &device);
        let loss = |logits, targets| CrossEntropy::new().forward(logits, targets);
        let refused = interpolate(logits, targets.clone(), targets, lambda, loss);
        assert_refused(refused, "lambda");
    }
}

/// Batches in parts: the parts, each times its weight, add up to the whole batch.
#[test]
fn mean_weight_is_the_divisor_of_the_mean() {
    for device in devices() {
        let loss = CrossEntropy::new().with_weights(weights(&device));
        let whole = loss.mean_weight(&indices(&CLASSES, &device)).unwrap();
        let expected: f64 = CLASSES.iter().map(|&class| WEIGHTS[class as usize]).sum();
        assert_close(&whole.unwrap(), &[expected], 1e-6);

        let mut sum = 0.0;
        for (class, logits) in CLASSES.iter().zip(LOGITS.chunks(4)) {
            let targets = indices(&[*class], &device);
            let weight = loss.mean_weight(&targets).unwrap().unwrap();
            let logits = matrix(logits, 4, DType::F32, &device);
            let part = loss.forward(logits, targets).unwrap() * weight;
            sum += values::<f64, _, _>(&part)[0];
        }
        let logits = matrix(&LOGITS, 4, DType::F32, &device);
        let mean = loss.forward(logits, indices(&CLASSES, &device)).unwrap();
        assert_close(&mean, &[sum / expected], 1e-5);
    }
}

#[test]
fn mean_weight_is_none_where_the_mean_divides_by_the_samples() {
    let device = Device::default();
    let labels = indices(&CLASSES, &device);
    let weighted = || CrossEntropy::new().with_weights(weights(&device));
    assert!(CrossEntropy::new().mean_weight(&labels).unwrap().is_none());
    let targets = dense(&DENSE, 4, &device);
    assert!(weighted().mean_weight(&targets).unwrap().is_none());
    let sum = weighted().with_reduction(Reduction::Sum);
    assert!(sum.mean_weight(&labels).unwrap().is_none());
    assert_refused(weighted().mean_weight(&indices(&[4], &device)), "targets");
    assert_eq!(weighted().weights().unwrap().dims(), [4]);
    assert_eq!(sum.reduction(), Reduction::Sum);
}
