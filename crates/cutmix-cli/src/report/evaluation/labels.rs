//! The result for images that may have several classes.

use cutmix_train::{ClassScores, LabelScores};
use cutmix_vision::Split;
use serde::{Deserialize, Serialize};

/// How well each class is recognised by itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MultiLabel {
    /// Mean of the average precisions of the classes that have images; `None` where none has any.
    pub mean_average_precision: Option<f64>,
    /// Set on which the thresholds are the best ones by the F1 score; `None` where these are the images
    /// that were measured, of data that are not divided into sets.
    pub thresholds_of: Option<Split>,
    /// Scores of every class, in the order of the classes.
    pub classes: Vec<LabelRow>,
}

/// How well a class is recognised, where images of at least a threshold are said to have it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LabelRow {
    pub class: String,
    /// Number of images of the class.
    pub images: usize,
    /// `None` where no image has the class.
    pub average_precision: Option<f64>,
    /// Probability from which on an image is said to have the class.
    pub threshold: f64,
    #[serde(flatten)]
    pub scores: ClassScores,
}

impl MultiLabel {
    /// The result of `scores`. The thresholds are those by which `chosen_on`, the scores of this set,
    /// give the best F1 scores.
    pub fn new(
        classes: &[String],
        scores: &LabelScores,
        (thresholds_of, chosen_on): (Option<Split>, &LabelScores),
    ) -> Self {
        let rows = classes.iter().enumerate().map(|(class, name)| {
            // The logit of a probability of one half.
            let threshold = chosen_on.best_threshold(class).unwrap_or(0.0);
            LabelRow {
                class: name.clone(),
                images: scores.positives(class),
                average_precision: scores.average_precision(class),
                threshold: 1.0 / (1.0 + f64::from(-threshold).exp()),
                scores: scores.at(class, threshold),
            }
        });
        Self {
            mean_average_precision: scores.mean_average_precision(),
            thresholds_of,
            classes: rows.collect(),
        }
    }
}
