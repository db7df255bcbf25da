//! What a network says of single samples.

use burn::tensor::{Int, Tensor, Transaction};
use cutmix::Targets;

use super::Outputs;
use crate::Error;
use crate::parameters::widen;

/// What a network says of a sample that has one class: the probability of its label, and the most
/// probable classes.
///
/// ```
/// use cutmix_train::Prediction;
///
/// // Probabilities of 1/8, 1/8, 1/4 and 1/2.
/// let logits = [1.0, 1.0, 2.0, 4.0f32].map(f32::ln);
/// let prediction = Prediction::new(2, &logits)?;
/// assert_eq!(prediction.predicted(), 3);
/// assert!((prediction.confidence() - 0.5).abs() < 1e-6);
/// assert!((prediction.margin() - (0.25 - 0.5)).abs() < 1e-6);
/// # Ok::<(), cutmix_train::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    label: usize,
    label_probability: f64,
    top: Vec<(usize, f64)>,
}

impl Prediction {
    /// The number of most probable classes that are kept.
    pub const TOP: usize = 5;

    /// The prediction for a sample of class `label` from its logits, one for each class.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] where `label` is not one of the classes, of which there is none without
    /// logits.
    pub fn new(label: usize, logits: &[f32]) -> Result<Self, Error> {
        let classes = logits.len();
        if label >= classes {
            let accepted = format!("a class, below {classes}");
            return Err(Error::argument("label", label, accepted));
        }
        // Subtracting the largest logit keeps the exponentials finite.
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let exponential = |class: usize| f64::from(logits[class] - largest).exp();
        let sum: f64 = (0..classes).map(exponential).sum();
        let mut top: Vec<_> = (0..classes).collect();
        let by_logit =
            |a: &usize, b: &usize| logits[*b].total_cmp(&logits[*a]).then_with(|| a.cmp(b));
        if classes > Self::TOP {
            top.select_nth_unstable_by(Self::TOP, by_logit);
            top.truncate(Self::TOP);
        }
        top.sort_unstable_by(by_logit);
        let probability = |class: usize| exponential(class) / sum;
        Ok(Self {
            label,
            label_probability: probability(label),
            top: (top.into_iter())
                .map(|class| (class, probability(class)))
                .collect(),
        })
    }

    /// The predictions for the samples of a batch, read from the device at once.
    ///
    /// # Errors
    ///
    /// [`Error::Mix`] where the targets are dense, [`Error::Argument`] for a target that is no class,
    /// and [`Error::Device`] if they cannot be read.
    pub fn of_batch(outputs: &Outputs) -> Result<Vec<Self>, Error> {
        let [_, classes] = outputs.logits.dims();
        let logits = widen(outputs.logits.clone());
        let labels: Tensor<1, Int> = match &outputs.targets {
            Targets::Indices(indices) => indices.clone(),
            dense @ Targets::Dense(_) => dense.clone().into_indices("Prediction::of_batch")?,
        };
        let read = Transaction::default().register(logits).register(labels);
        let read = read.try_execute().map_err(Error::device)?;
        let logits: Vec<f32> = read[0].iter().collect();
        let labels = read[1].iter::<i64>().enumerate();
        let predictions = labels.map(|(row, label)| {
            let logits = &logits[row * classes..][..classes];
            let class = usize::try_from(label);
            let accepted = || format!("a class, below {classes}");
            let class = class.map_err(|_| Error::argument("label", label, accepted()))?;
            Self::new(class, logits)
        });
        predictions.collect()
    }

    /// The class of the sample by its label, from 0.
    pub fn label(&self) -> usize {
        self.label
    }

    /// The probability of the label by the network, in 0..=1.
    pub fn label_probability(&self) -> f64 {
        self.label_probability
    }

    /// The most probable classes with their probabilities, the most probable one first, at most
    /// [`TOP`](Self::TOP). Of classes of equal logits the first comes first.
    pub fn top(&self) -> &[(usize, f64)] {
        &self.top
    }

    /// The most probable class.
    pub fn predicted(&self) -> usize {
        self.top[0].0
    }

    /// The probability of the most probable class, in 0..=1.
    pub fn confidence(&self) -> f64 {
        self.top[0].1
    }

    /// Whether the label is the most probable class.
    pub fn is_right(&self) -> bool {
        self.predicted() == self.label
    }

    /// Whether the label is among the [`TOP`](Self::TOP) most probable classes.
    pub fn is_in_top(&self) -> bool {
        self.top.iter().any(|(class, _)| *class == self.label)
    }

    /// The probability of the label less the highest one of another class, in -1..=1. It is negative
    /// where the prediction is wrong.
    pub fn margin(&self) -> f64 {
        let other = self.top.iter().find(|(class, _)| *class != self.label);
        self.label_probability - other.map_or(0.0, |(_, probability)| *probability)
    }
}
