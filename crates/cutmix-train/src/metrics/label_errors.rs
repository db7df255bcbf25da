//! Labels that are likely wrong.

use super::Prediction;

/// A sample whose label is likely wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelError {
    /// The index of its prediction.
    pub index: usize,
    /// The class that it likely has instead.
    pub likely: usize,
}

/// The samples whose labels are likely wrong, by confident learning: the least probable label first.
///
/// The threshold of a class is the mean probability that its own samples have for it. A sample likely
/// has the most probable of the classes whose probability reaches their threshold, but for 1e-6. It is
/// listed where
/// that is not its label, unless its label is predicted. This is the off-diagonal of the confident joint of
/// Northcutt et al., "Confident Learning: Estimating Uncertainty in Dataset Labels", arXiv:1911.00068
/// (2019), and the order is that by self-confidence. Of each sample the [`Prediction::TOP`] most probable
/// classes are considered.
///
/// The probabilities should come from a network that was not trained on the samples, as a network learns
/// the wrong labels of those that it is trained on.
///
/// ```
/// use cutmix_train::{Prediction, label_errors};
///
/// // The logits of class 0 less that of class 1, and the labels.
/// let samples = [(4.0, 0), (3.0, 0), (-4.0, 1), (-3.0, 1), (3.5, 1)];
/// let predictions: Result<Vec<_>, _> = samples
///     .map(|(logit, label)| Prediction::new(label, &[logit, 0.0]))
///     .into_iter()
///     .collect();
/// let errors = label_errors(&predictions?);
/// assert_eq!((errors.len(), errors[0].index, errors[0].likely), (1, 4, 0));
/// # Ok::<(), cutmix_train::Error>(())
/// ```
pub fn label_errors(predictions: &[Prediction]) -> Vec<LabelError> {
    let thresholds = thresholds(predictions);
    let reaches_threshold = |&&(class, probability): &&(usize, f64)| {
        let threshold = thresholds.get(class).copied().flatten();
        // The mean of equal probabilities may be rounded up.
        threshold.is_some_and(|threshold| probability >= threshold - 1e-6)
    };
    let is_doubtful = |&(_, prediction): &(usize, &Prediction)| !prediction.is_right();
    let doubtful = predictions.iter().enumerate().filter(is_doubtful);
    let errors = doubtful.filter_map(|(index, prediction)| {
        let &(likely, _) = prediction.top().iter().find(reaches_threshold)?;
        (likely != prediction.label()).then_some(LabelError { index, likely })
    });
    let mut errors: Vec<_> = errors.collect();
    let probability = |error: &LabelError| predictions[error.index].label_probability();
    errors.sort_by(|a, b| probability(a).total_cmp(&probability(b)));
    errors
}

/// The mean probability of each class for its own samples; `None` where it has none.
fn thresholds(predictions: &[Prediction]) -> Vec<Option<f64>> {
    let mut sums: Vec<(f64, usize)> = Vec::new();
    for prediction in predictions {
        let class = prediction.label();
        if sums.len() <= class {
            sums.resize(class + 1, (0.0, 0));
        }
        sums[class].0 += prediction.label_probability();
        sums[class].1 += 1;
    }
    let mean = |(sum, count): (f64, usize)| (count > 0).then(|| sum / count as f64);
    sums.into_iter().map(mean).collect()
}
