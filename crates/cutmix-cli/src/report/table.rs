//! The tables of the classes.

use cutmix_train::LabelScores;

use crate::terminal::{escaped, line, padded, width};

/// Prints a row for each class of images that may have several: its average precision, and precision
/// and recall at the threshold by which `chosen_on` gives the best F1 score.
pub fn label_table(scores: &LabelScores, chosen_on: &LabelScores, classes: &[String]) {
    let widest = column(classes);
    line(format!(
        "{}  images  average precision  threshold  precision   recall  F1 score",
        padded(HEAD, widest)
    ));
    for (class, name) in classes.iter().enumerate() {
        let Some(average) = scores.average_precision(class) else {
            continue;
        };
        // A probability of one half.
        let threshold = chosen_on.best_threshold(class).unwrap_or(0.0);
        let at = scores.at(class, threshold);
        let probability = 1.0 / (1.0 + (-threshold).exp());
        let name = padded(name, widest);
        line(format!(
            "{name}  {:>6}  {:>15.2} %  {probability:>9.3}  {:>7.2} %  {:>6.2} %  {:>6.2} %",
            scores.positives(class),
            100.0 * average,
            100.0 * at.precision,
            100.0 * at.recall,
            100.0 * at.f1,
        ));
    }
}

const HEAD: &str = "class";

/// The columns of a terminal that the names of the classes take.
fn column(classes: &[String]) -> usize {
    let widths = classes.iter().map(|name| width(name));
    widths.max().unwrap_or(0).max(HEAD.len())
}

/// How often images of each class were predicted as each class.
#[derive(Clone, Debug)]
pub struct ClassTable {
    /// Row by row: `counts[class][predicted]`.
    counts: Vec<Vec<usize>>,
}

impl ClassTable {
    pub fn new(classes: usize) -> Self {
        Self {
            counts: vec![vec![0; classes]; classes],
        }
    }

    pub fn count(&mut self, class: usize, predicted: usize) {
        self.counts[class][predicted] += 1;
    }

    /// Prints a row for each class that has images.
    pub fn print(&self, classes: &[String]) {
        let widest = column(classes);
        line(format!(
            "{}  images  accuracy  most often taken for",
            padded(HEAD, widest)
        ));
        for (class, counts) in self.counts.iter().enumerate() {
            let total: usize = counts.iter().sum();
            if total == 0 {
                continue;
            }
            let share = |count: usize| 100.0 * count as f64 / total as f64;
            let name = padded(&classes[class], widest);
            let right = share(counts[class]);
            let other = match self.most_frequent_error(class) {
                Some(other) => {
                    format!(
                        "{} ({:.1} %)",
                        escaped(&classes[other]),
                        share(counts[other])
                    )
                }
                None => "-".into(),
            };
            line(format!("{name}  {total:>6}  {right:>6.2} %  {other}"));
        }
    }

    /// The class that images of `class` are wrongly predicted as most often; the first of equals.
    fn most_frequent_error(&self, class: usize) -> Option<usize> {
        let others = self.counts[class].iter().enumerate();
        let wrong = others.filter(|&(other, &count)| other != class && count > 0);
        wrong
            .rev()
            .max_by_key(|(_, count)| **count)
            .map(|(other, _)| other)
    }
}
