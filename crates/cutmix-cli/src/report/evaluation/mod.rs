//! What `cutmix eval` measures.

mod files;
mod labels;
mod measures;
mod mistakes;
mod text;

use std::collections::{BTreeMap, HashSet};

use cutmix_train::{
    Calibration, CalibrationBin, ClassScores, ConfusionMatrix, Loader, Prediction, Score,
    label_errors,
};
use cutmix_vision::{ImageLoader, SkippedImage, Split};
use serde::{Deserialize, Serialize};

use crate::terminal::{count, grouped};

pub use files::StoredEvaluation;
pub use labels::MultiLabel;
pub use measures::{LocalisationAt, Measures, UnlikeDetection};
pub use mistakes::{MISTAKES, write_mistakes};

/// All that is known of how well a network does on a set: what `cutmix eval` prints, writes and
/// draws. Shares and probabilities are in 0..=1. The keys of its JSON are described in the help of
/// `cutmix eval`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Evaluation {
    /// Name of the data.
    pub data: String,
    /// Set of the data that was measured; `None` where they are not divided into sets.
    pub set: Option<Split>,
    /// Number of images that were measured.
    pub images: usize,
    /// Bad images that were left out.
    pub skipped: Vec<SkippedImage>,
    /// Whether the network was trained on any of these images.
    pub is_trained_on: bool,
    /// Number of these images that the network was trained on.
    #[serde(default)]
    pub trained_on_images: usize,
    /// What differs from the data of the run, where most of its images are there and some are not.
    pub changes: Option<String>,
    /// Scores as in the metrics.csv of the run; `None` where one is not finite.
    pub scores: BTreeMap<String, Option<f64>>,
    #[serde(flatten)]
    pub result: Outcome,
}

/// What was measured, by the kind of the labels.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "kebab-case")]
// A program has few of them.
#[allow(clippy::large_enum_variant)]
pub enum Outcome {
    SingleLabel(SingleLabel),
    MultiLabel(MultiLabel),
}

/// The result for images of one class each.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SingleLabel {
    /// Share of the images whose class is predicted.
    pub accuracy: f64,
    /// Share of the images whose class is among the five most probable ones; `None` where there are no
    /// more than five classes.
    pub top5_accuracy: Option<f64>,
    /// Mean over the classes that have images.
    pub macro_average: ClassScores,
    /// Mean over the classes, weighted by their images.
    pub weighted_average: ClassScores,
    /// Scores of every class, in the order of the classes.
    pub classes: Vec<ClassRow>,
    /// Number of images of each class (row) that were predicted as each class (column).
    pub confusion: ConfusionMatrix,
    pub calibration: CalibrationSummary,
    /// Images of which another class was predicted, the most confident prediction first.
    pub mistakes: Vec<ImagePrediction>,
    /// Images whose label is likely wrong, by confident learning, the least probable label first.
    pub label_errors: Vec<ImagePrediction>,
    #[serde(flatten)]
    pub measures: Measures,
}

/// How well a class is recognised.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClassRow {
    pub class: String,
    /// Number of images of the class.
    pub images: usize,
    #[serde(flatten)]
    pub scores: ClassScores,
}

/// Whether the probabilities are to be believed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CalibrationSummary {
    /// Expected calibration error.
    pub expected_error: f64,
    /// Mean probability of the predicted class.
    pub mean_confidence: f64,
    pub bins: Vec<CalibrationBin>,
}

/// What the network says of an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ImagePrediction {
    /// Name of the sample in its source.
    pub name: String,
    /// Class that the image is said to have.
    pub class: String,
    /// Most probable class.
    pub predicted: String,
    /// Probability of the most probable class.
    pub probability: f64,
    /// Probability of the class that the image is said to have.
    pub class_probability: f64,
    /// Probability of that class less the highest one of another.
    pub margin: f64,
    /// Class that the image likely has, where that is not the one that it is said to have.
    pub likely_class: Option<String>,
    /// Place of the image in the set, from 0.
    pub index: usize,
}

impl Evaluation {
    /// The data and the set.
    pub fn subject(&self) -> String {
        match self.set {
            None => self.data.clone(),
            set => format!("{}, {}", self.data, set_name(set)),
        }
    }

    /// The data, the set and the number of images, in a line.
    pub fn heading(&self) -> String {
        format!("{}: {}", self.subject(), count(self.images, "image"))
    }

    /// A sentence about images that the network was trained on, where there are some.
    pub fn trained_on(&self) -> Option<String> {
        let known = match self.trained_on_images {
            some if 0 < some && some < self.images => format!("{} of these images", grouped(some)),
            _ => "these images".into(),
        };
        self.is_trained_on.then(|| {
            format!(
                "The network was trained on {known}: it does better on them than on others, and may know \
                 wrong labels by heart."
            )
        })
    }
}

/// The name of a set in a sentence.
pub fn set_name(set: Option<Split>) -> &'static str {
    match set {
        Some(Split::Test) => "test set",
        Some(Split::Val) => "validation set",
        Some(Split::Train) => "training set",
        Some(Split::Unused) | None => "images",
    }
}

/// Scores by the names of their metrics, without that of the set.
pub fn by_metric(scores: &[Score]) -> BTreeMap<String, Option<f64>> {
    let scores = scores.iter().map(|score| {
        let value = Some(score.value).filter(|value| value.is_finite());
        (score.set_and_metric().1.to_string(), value)
    });
    scores.collect()
}

impl SingleLabel {
    /// The result of these predictions, one for each of these images.
    pub fn new(classes: &[String], predictions: &[Prediction], images: &[ImagePrediction]) -> Self {
        let mut confusion = ConfusionMatrix::new(classes.len());
        let mut calibration = Calibration::new();
        for prediction in predictions {
            confusion.count(prediction.label(), prediction.predicted());
            calibration.add(prediction.confidence(), prediction.is_right());
        }
        let in_top = predictions.iter().filter(|one| one.is_in_top()).count();
        let top5_accuracy = in_top as f64 / predictions.len().max(1) as f64;
        let rows = classes.iter().enumerate().map(|(class, name)| ClassRow {
            class: name.clone(),
            images: confusion.samples(class),
            scores: confusion.scores(class),
        });
        let mistakes = predictions.iter().zip(images);
        let mistakes = mistakes.filter(|(prediction, _)| !prediction.is_right());
        let mut mistakes: Vec<_> = mistakes.map(|(_, image)| image.clone()).collect();
        mistakes.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        let mut label_errors: Vec<_> = (images.iter())
            .filter(|image| image.likely_class.is_some())
            .cloned()
            .collect();
        label_errors.sort_by(|a, b| a.class_probability.total_cmp(&b.class_probability));
        Self {
            accuracy: confusion.accuracy(),
            top5_accuracy: (classes.len() > Prediction::TOP).then_some(top5_accuracy),
            macro_average: confusion.macro_average(),
            weighted_average: confusion.weighted_average(),
            classes: rows.collect(),
            calibration: CalibrationSummary {
                expected_error: calibration.expected_error(),
                mean_confidence: calibration.mean_confidence(),
                bins: calibration.bins().collect(),
            },
            confusion,
            mistakes,
            label_errors,
            measures: Measures::default(),
        }
    }
}

/// The predictions for the images that a loader has yielded, with the names of images and classes.
pub fn named(
    loader: &ImageLoader,
    skipped: &[SkippedImage],
    predictions: &[Prediction],
    classes: &[String],
) -> Vec<ImagePrediction> {
    let dataset = loader.dataset();
    let skipped: HashSet<_> = skipped.iter().map(|image| image.name.as_str()).collect();
    let names = (0..loader.num_samples()).map(|index| (index, dataset.name(index)));
    let names = names.filter(|(_, name)| !skipped.contains(name.as_str()));
    let images = names
        .zip(predictions)
        .map(|((index, name), prediction)| ImagePrediction {
            name,
            class: classes[prediction.label()].clone(),
            predicted: classes[prediction.predicted()].clone(),
            probability: prediction.confidence(),
            class_probability: prediction.label_probability(),
            margin: prediction.margin(),
            likely_class: None,
            index,
        });
    let mut images: Vec<_> = images.collect();
    for error in label_errors(predictions) {
        images[error.index].likely_class = Some(classes[error.likely].clone());
    }
    images
}

#[cfg(test)]
#[path = "../../../tests/unit/evaluation.rs"]
mod tests;
