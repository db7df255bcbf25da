//! Scores of samples that may have several classes.

use std::sync::Arc;

use burn::tensor::TensorReadError;
use burn::train::metric::{
    Metric, MetricAttributes, MetricMetadata, MetricName, Numeric, NumericAttributes, NumericEntry,
    SerializedEntry,
};

use super::{ClassScores, Outputs};
use crate::parameters::widen;

/// The logits of each class, each with whether the sample has the class: what precision and recall
/// are computed from.
///
/// ```
/// use cutmix_train::LabelScores;
///
/// let mut scores = LabelScores::new(1);
/// for (logit, has_class) in [(2.0, true), (1.0, false), (0.0, true), (-1.0, false)] {
///     scores.push(0, logit, has_class);
/// }
/// // At recall 1/2 the precision is 1, at recall 1 it is 2/3.
/// assert_eq!(scores.average_precision(0), Some(0.5 * 1.0 + 0.5 * 2.0 / 3.0));
/// assert_eq!(scores.best_threshold(0), Some(0.0));
/// ```
#[derive(Clone, Debug, Default)]
pub struct LabelScores {
    /// For each class.
    scores: Vec<Vec<(f32, bool)>>,
}

impl LabelScores {
    /// No samples of so many classes.
    pub fn new(classes: usize) -> Self {
        Self {
            scores: vec![Vec::new(); classes],
        }
    }

    /// Adds a sample of one class.
    pub fn push(&mut self, class: usize, logit: f32, has_class: bool) {
        if self.scores.len() <= class {
            self.scores.resize(class + 1, Vec::new());
        }
        self.scores[class].push((logit, has_class));
    }

    /// Adds the samples of a batch. A dense target of at least one half is a class.
    ///
    /// # Errors
    ///
    /// The error of a device from which they cannot be read.
    pub fn add(&mut self, outputs: &Outputs) -> Result<(), TensorReadError> {
        let [_, classes] = outputs.logits.dims();
        let logits = widen(outputs.logits.clone()).try_into_data()?;
        let labels = outputs.labels().int().try_into_data()?;
        let pairs = logits.iter::<f32>().zip(labels.iter::<i64>());
        for (at, (logit, label)) in pairs.enumerate() {
            self.push(at % classes, logit, label != 0);
        }
        Ok(())
    }

    /// Number of samples that have a class.
    pub fn positives(&self, class: usize) -> usize {
        let has_class = |scores: &Vec<(f32, bool)>| scores.iter().filter(|(_, has)| *has).count();
        self.scores.get(class).map_or(0, has_class)
    }

    /// The average precision of a class: the sum of its precisions, each times the recall that is
    /// gained there, over all thresholds from the highest; `None` where no sample has the class.
    ///
    /// Samples of equal logits are beyond a threshold together, as in scikit-learn's
    /// `average_precision_score`.
    pub fn average_precision(&self, class: usize) -> Option<f64> {
        let positives = self.positives(class) as f64;
        let mut average = 0.0;
        let mut before = 0;
        for step in self.steps(class) {
            let precision = step.right as f64 / step.predicted as f64;
            average += precision * (step.right - before) as f64 / positives;
            before = step.right;
        }
        (positives > 0.0).then_some(average)
    }

    /// The mean of the average precisions of the classes that some sample has; `None` where none has
    /// any.
    pub fn mean_average_precision(&self) -> Option<f64> {
        let all = (0..self.scores.len()).filter_map(|class| self.average_precision(class));
        let (sum, count) = all.fold((0.0, 0), |(sum, count), one| (sum + one, count + 1));
        (count > 0).then(|| sum / f64::from(count))
    }

    /// The least logit at which to predict that a sample has a class, for the highest F1 score; of
    /// several, the highest. `None` where no sample has the class.
    pub fn best_threshold(&self, class: usize) -> Option<f32> {
        let positives = self.positives(class);
        let mut best = None;
        let mut most = 0.0;
        for step in self.steps(class) {
            let f1 = 2.0 * step.right as f64 / (step.predicted + positives) as f64;
            if f1 > most {
                (best, most) = (Some(step.logit), f1);
            }
        }
        best
    }

    /// The scores of a class where samples of at least this logit are predicted to have it.
    pub fn at(&self, class: usize, threshold: f32) -> ClassScores {
        let beyond = self.steps(class).into_iter();
        let last = beyond.take_while(|step| step.logit >= threshold).last();
        let (right, predicted) = last.map_or((0, 0), |step| (step.right, step.predicted));
        ClassScores::of_counts(right, predicted, self.positives(class))
    }

    /// How many samples are predicted to have a class, and have it, at each of its logits, from the
    /// highest.
    fn steps(&self, class: usize) -> Vec<Step> {
        let mut scores = self.scores.get(class).cloned().unwrap_or_default();
        scores.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut steps: Vec<Step> = Vec::new();
        let mut right = 0;
        for (at, (logit, has_class)) in scores.into_iter().enumerate() {
            right += usize::from(has_class);
            let step = Step {
                logit,
                predicted: at + 1,
                right,
            };
            match steps.last_mut() {
                Some(last) if last.logit == logit => *last = step,
                _ => steps.push(step),
            }
        }
        steps
    }
}

/// The samples of at least one logit.
#[derive(Clone, Copy)]
struct Step {
    logit: f32,
    /// Number of the samples.
    predicted: usize,
    /// Number of those that have the class.
    right: usize,
}

/// The mean over the classes of their average precision, in percent, as a metric of Burn's; see
/// [`LabelScores`]. Classes that no sample has are left out.
///
/// ```no_run
/// # fn with(trainer: cutmix_train::Trainer<impl cutmix_train::Network>) {
/// use cutmix_train::MeanAveragePrecision;
///
/// let trainer = trainer.metric("mean-average-precision", MeanAveragePrecision::new());
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct MeanAveragePrecision {
    scores: LabelScores,
}

impl MeanAveragePrecision {
    /// Creates the metric before any sample.
    pub fn new() -> Self {
        Self::default()
    }

    /// NaN where no sample has a class.
    fn percent(&self) -> f64 {
        let mean = self.scores.mean_average_precision();
        mean.map_or(f64::NAN, |mean| 100.0 * mean)
    }
}

impl Metric for MeanAveragePrecision {
    type Input = Outputs;

    fn name(&self) -> MetricName {
        Arc::new("Mean average precision".into())
    }

    fn attributes(&self) -> MetricAttributes {
        NumericAttributes {
            unit: Some("%".into()),
            higher_is_better: true,
        }
        .into()
    }

    fn update(
        &mut self,
        outputs: &Outputs,
        _metadata: &MetricMetadata,
    ) -> Result<SerializedEntry, TensorReadError> {
        self.scores.add(outputs)?;
        // All samples have to be sorted, which one batch is not worth.
        Ok(SerializedEntry::new(String::new(), String::new()))
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        let value = self.percent();
        Ok(SerializedEntry::new(
            format!("{value:.2} %"),
            value.to_string(),
        ))
    }

    fn clear(&mut self) {
        self.scores = LabelScores::default();
    }
}

impl Numeric for MeanAveragePrecision {
    fn value(&self) -> Option<NumericEntry> {
        None
    }

    fn running_value(&self) -> Option<NumericEntry> {
        None
    }

    fn final_value(&self) -> NumericEntry {
        NumericEntry::Value(self.percent())
    }
}
