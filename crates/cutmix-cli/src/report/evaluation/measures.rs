//! What was measured where it was asked for.

use cutmix_vision::measures::{Detection, Fgsm, Localisation, Occlusion};
use cutmix_vision::{SkippedImage, Split};
use serde::{Deserialize, Serialize};

use super::set_name;
use crate::terminal::{count, grouped};

/// Measures beside those of every evaluation; `None` for what was not measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Measures {
    /// Accuracy where a part of each image is black.
    pub occlusion: Option<Occlusion>,
    /// Accuracy on images that the fast gradient sign method has changed.
    pub fgsm: Option<Fgsm>,
    /// How well the confidence tells other images apart.
    pub detection: Option<UnlikeDetection>,
    /// How often class activation maps find the object.
    pub localisation: Option<LocalisationAt>,
}

/// How well the confidence tells images of the classes from those of other data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct UnlikeDetection {
    #[serde(flatten)]
    pub detection: Detection,
    /// The name of the other data.
    pub unlike: String,
    /// Bad images of the other data that were left out.
    pub unlike_skipped: Vec<SkippedImage>,
}

/// How often class activation maps find the object, and where the threshold is from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LocalisationAt {
    #[serde(flatten)]
    pub localisation: Localisation,
    /// Set on which the threshold is the best one; `None` where it is the usual one, as the data have no
    /// validation set with boxes.
    pub threshold_of: Option<Split>,
}

impl Measures {
    /// Whether nothing was measured.
    pub fn are_none(&self) -> bool {
        *self == Self::default()
    }
}

impl UnlikeDetection {
    /// The numbers of the images of both kinds, in words.
    pub fn images(&self) -> String {
        let Detection {
            images,
            unlike_images,
            ..
        } = self.detection;
        let skipped = match self.unlike_skipped.len() {
            0 => String::new(),
            bad => format!(", {} skipped", count(bad, "bad image")),
        };
        format!(
            "{} of the classes, {} of {}{skipped}",
            count(images, "image"),
            grouped(unlike_images),
            self.unlike
        )
    }
}

impl LocalisationAt {
    /// Where the threshold is from, in words, for an evaluation of this set.
    pub fn threshold_from(&self, measured: Option<Split>) -> String {
        match self.threshold_of {
            None => "the usual one, as no validation set has boxes".into(),
            set if set == measured => "the best one for these images themselves".into(),
            set => format!("the best one on the {}", set_name(set)),
        }
    }
}
