//! An evaluation as text.

use cutmix_train::{ClassScores, Score};
use cutmix_vision::Split;
use cutmix_vision::measures::Localisation;

use super::{Evaluation, ImagePrediction, Measures, MultiLabel, Outcome, SingleLabel};
use crate::report::summary::{named_scores, print_skipped};
use crate::terminal::{count, line, list, padded, width};

const HEAD: &str = "class";
const MACRO: &str = "macro average";
const WEIGHTED: &str = "weighted average";
/// The heads of the columns of scores.
const SCORES: &str = "precision    recall  F1 score";

impl Evaluation {
    /// Prints the result of these scores for people.
    pub fn print(&self, scores: &[Score]) {
        line(self.heading());
        if let Some(changes) = &self.changes {
            line(format!(
                "these are not the data of the run, though most of its images are among them: {changes}"
            ));
        }
        if let Some(trained_on) = self.trained_on() {
            line(trained_on);
        }
        print_skipped(&self.skipped);
        line(named_scores(scores.iter()));
        line("");
        match &self.result {
            Outcome::SingleLabel(result) => {
                result.print_classes();
                line("");
                result.print_findings();
                if !result.measures.are_none() {
                    line("");
                    result.print_measures(self.set);
                }
            }
            Outcome::MultiLabel(result) => {
                result.print_classes();
                if result.thresholds_of == self.set {
                    line("");
                    line("The thresholds are the best ones for these images themselves.");
                }
            }
        }
    }
}

impl SingleLabel {
    /// Prints a row for each class that has images, and the means.
    fn print_classes(&self) {
        let names = self.classes.iter().map(|row| row.class.as_str());
        let widest = column(names.chain([MACRO, WEIGHTED]));
        let total: usize = self.classes.iter().map(|row| row.images).sum();
        line(format!(
            "{}  images  {SCORES}  most often taken for",
            padded(HEAD, widest)
        ));
        let rows = self.classes.iter().enumerate();
        for (class, row) in rows.filter(|(_, row)| row.images > 0) {
            let name = padded(&row.class, widest);
            let (images, scores) = (row.images, percentages(&row.scores));
            let other = self.most_often_taken_for(class);
            line(format!("{name}  {images:>6}  {scores}  {other}"));
        }
        for (name, scores) in [
            (MACRO, &self.macro_average),
            (WEIGHTED, &self.weighted_average),
        ] {
            let (name, scores) = (padded(name, widest), percentages(scores));
            line(format!("{name}  {total:>6}  {scores}"));
        }
    }

    /// The class that images of `class` are wrongly predicted as most often, the first of equals.
    fn most_often_taken_for(&self, class: usize) -> String {
        let others = self.confusion.row(class).iter().enumerate().rev();
        let wrong = others.filter(|&(other, &count)| other != class && count > 0);
        match wrong.max_by_key(|(_, count)| **count) {
            Some((other, &count)) => {
                let share = 100.0 * count as f64 / self.classes[class].images as f64;
                format!("{} ({share:.1} %)", self.classes[other].class)
            }
            None => "-".into(),
        }
    }

    /// Prints what is to be known besides the classes.
    fn print_findings(&self) {
        if let Some(share) = self.top5_accuracy {
            line(format!(
                "top 5       {:.2} % of the images have their class among the five most probable ones",
                100.0 * share
            ));
        }
        let calibration = &self.calibration;
        line(format!(
            "calibration expected error {:.2} % ({} bins): mean confidence {:.2} %, accuracy {:.2} %",
            100.0 * calibration.expected_error,
            calibration.bins.len(),
            100.0 * calibration.mean_confidence,
            100.0 * self.accuracy,
        ));
        let pairs = self.confusion.confused();
        let what = count(pairs.len(), "pair") + " of classes, the most frequent ones:";
        list("confused", &what, &pairs, |&(class, predicted, images)| {
            let [class, predicted] = [class, predicted].map(|class| &self.classes[class].class);
            format!("{class} taken for {predicted}: {}", count(images, "image"))
        });
        let mistakes = &self.mistakes;
        let what = count(mistakes.len(), "image") + ", the most confident ones:";
        list("mistakes", &what, mistakes, |image| {
            let ImagePrediction {
                name,
                class,
                predicted,
                ..
            } = image;
            let probability = 100.0 * image.probability;
            format!("{name}: {predicted} ({probability:.2} %), labelled {class}")
        });
        let what = count(self.label_errors.len(), "image")
            + " may be labelled wrongly (confident learning), the least probable labels:";
        list("labels", &what, &self.label_errors, |image| {
            let ImagePrediction { name, class, .. } = image;
            let likely = image.likely_class.as_deref().unwrap_or_default();
            let probability = 100.0 * image.class_probability;
            format!("{name}: labelled {class} ({probability:.2} %), likely {likely}")
        });
    }
}

impl SingleLabel {
    /// Prints what was measured where it was asked for, of images of this set.
    fn print_measures(&self, set: Option<Split>) {
        let Measures {
            occlusion,
            fgsm,
            detection,
            localisation,
        } = &self.measures;
        if let Some(occlusion) = occlusion {
            line("occlusion   accuracy (%) where a share of each image is black");
            row("share (%)", &shares(&occlusion.shares), 0);
            row("random", &shares(&occlusion.random), 2);
            row("centre", &shares(&occlusion.centre), 2);
            row("border", &shares(&occlusion.border), 2);
        }
        if let Some(fgsm) = fgsm {
            line(
                "fgsm        accuracy (%) where each value of a pixel moved so that the loss rises",
            );
            row("of 255", &fgsm.levels, 0);
            row("accuracy", &shares(&fgsm.accuracy), 2);
        }
        if let Some(detection) = detection {
            line(format!(
                "detection   area under the ROC curve {:.2} %, by confidence: {}",
                100.0 * detection.detection.auroc,
                detection.images()
            ));
        }
        if let Some(found) = localisation {
            let Localisation {
                images,
                threshold,
                known_class,
                top1,
                mean_overlap,
            } = found.localisation;
            line(format!(
                "localised   {:.2} % of {} by the maps of their classes, {:.2} % and the class predicted; mean \
                 overlap {:.2} %",
                100.0 * known_class,
                count(images, "object"),
                100.0 * top1,
                100.0 * mean_overlap,
            ));
            let from = found.threshold_from(set);
            line(format!("            threshold {threshold:.2}, {from}"));
        }
    }
}

/// Shares in percent.
fn shares(shares: &[f64]) -> Vec<f64> {
    shares.iter().map(|share| 100.0 * share).collect()
}

/// Prints a row of numbers with so many decimal places.
fn row(name: &str, numbers: &[f64], places: usize) {
    let numbers = numbers.iter().map(|number| format!("{number:>8.places$}"));
    line(format!(
        "            {name:<9}{}",
        numbers.collect::<String>()
    ));
}

/// The scores as columns of percentages.
fn percentages(scores: &ClassScores) -> String {
    let ClassScores {
        precision,
        recall,
        f1,
    } = scores;
    let [precision, recall, f1] = [precision, recall, f1].map(|share| 100.0 * share);
    format!("{precision:>7.2} %  {recall:>6.2} %  {f1:>6.2} %")
}

impl MultiLabel {
    /// Prints a row for each class that has images.
    fn print_classes(&self) {
        let widest = column(self.classes.iter().map(|row| row.class.as_str()));
        line(format!(
            "{}  images  average precision  threshold  {SCORES}",
            padded(HEAD, widest)
        ));
        for row in &self.classes {
            let Some(average) = row.average_precision else {
                continue;
            };
            line(format!(
                "{}  {:>6}  {:>15.2} %  {:>9.3}  {}",
                padded(&row.class, widest),
                row.images,
                100.0 * average,
                row.threshold,
                percentages(&row.scores),
            ));
        }
    }
}

/// The columns of a terminal that the names of the rows take.
fn column<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    names.map(width).max().unwrap_or(0).max(HEAD.len())
}
