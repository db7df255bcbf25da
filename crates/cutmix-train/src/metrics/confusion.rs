//! The confusion matrix, and the scores that follow from it.

use serde::{Deserialize, Serialize};

use crate::Error;

/// How well one class is recognised, or the mean of several classes. All are in 0..=1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClassScores {
    /// Share of the samples predicted as the class that have it; 0 where there are none.
    pub precision: f64,
    /// Share of the samples that have the class that are predicted as it; 0 where there are none.
    pub recall: f64,
    /// F1 score: the harmonic mean of precision and recall; 0 where both are.
    pub f1: f64,
}

impl ClassScores {
    /// The scores of a class that `positives` samples have and that `predicted` samples are predicted
    /// as, of which `right` have it.
    pub fn of_counts(right: usize, predicted: usize, positives: usize) -> Self {
        let share = |part: usize, of: usize| {
            if of > 0 { part as f64 / of as f64 } else { 0.0 }
        };
        Self {
            precision: share(right, predicted),
            recall: share(right, positives),
            f1: share(2 * right, predicted + positives),
        }
    }

    /// The mean of scores by their weights; all 0 where the weights are.
    fn mean(weighted: impl Iterator<Item = (f64, Self)>) -> Self {
        let (mut sum, mut total) = (Self::default(), 0.0);
        for (weight, scores) in weighted {
            sum.precision += weight * scores.precision;
            sum.recall += weight * scores.recall;
            sum.f1 += weight * scores.f1;
            total += weight;
        }
        let total = if total > 0.0 { total } else { 1.0 };
        Self {
            precision: sum.precision / total,
            recall: sum.recall / total,
            f1: sum.f1 / total,
        }
    }
}

/// How often samples of each class were predicted as each class. Its memory grows with the square of
/// the number of classes.
///
/// ```
/// use cutmix_train::ConfusionMatrix;
///
/// let mut matrix = ConfusionMatrix::new(2);
/// for (class, predicted) in [(0, 0), (0, 1), (1, 1), (1, 1)] {
///     matrix.count(class, predicted);
/// }
/// assert_eq!(matrix.row(0), [1, 1]);
/// assert_eq!(matrix.accuracy(), 0.75);
/// assert_eq!(matrix.scores(1).precision, 2.0 / 3.0);
/// assert_eq!(matrix.confused(), [(0, 1, 1)]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Vec<usize>>", into = "Vec<Vec<usize>>")]
pub struct ConfusionMatrix {
    /// Row by row: `counts[class][predicted]`.
    counts: Vec<Vec<usize>>,
}

/// The matrix of these counts, `counts[class][predicted]`.
impl TryFrom<Vec<Vec<usize>>> for ConfusionMatrix {
    type Error = Error;

    fn try_from(counts: Vec<Vec<usize>>) -> Result<Self, Error> {
        let classes = counts.len();
        match counts.iter().position(|row| row.len() != classes) {
            Some(class) => {
                let value = format!("{} in row {class}", counts[class].len());
                let accepted = format!("{classes} in each row, as there are rows");
                Err(Error::argument("counts", value, accepted))
            }
            None => Ok(Self { counts }),
        }
    }
}

impl From<ConfusionMatrix> for Vec<Vec<usize>> {
    fn from(matrix: ConfusionMatrix) -> Self {
        matrix.counts
    }
}

impl ConfusionMatrix {
    /// The matrix of so many classes before any sample.
    pub fn new(classes: usize) -> Self {
        Self {
            counts: vec![vec![0; classes]; classes],
        }
    }

    /// Counts a sample of `class` that was predicted as `predicted`.
    ///
    /// # Panics
    ///
    /// Where one of them is not below the number of classes, as a slice does.
    pub fn count(&mut self, class: usize, predicted: usize) {
        self.counts[class][predicted] += 1;
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.counts.len()
    }

    /// For each class, the number of samples of `class` that were predicted as it.
    ///
    /// # Panics
    ///
    /// Where `class` is not below the number of classes, as a slice does.
    pub fn row(&self, class: usize) -> &[usize] {
        &self.counts[class]
    }

    /// The number of samples of a class.
    ///
    /// # Panics
    ///
    /// As [`row`](Self::row).
    pub fn samples(&self, class: usize) -> usize {
        self.row(class).iter().sum()
    }

    /// The share of all samples that were predicted as their class; 0 where there are none.
    pub fn accuracy(&self) -> f64 {
        let total: usize = self.counts.iter().flatten().sum();
        let right: usize = (0..self.classes())
            .map(|class| self.row(class)[class])
            .sum();
        right as f64 / total.max(1) as f64
    }

    /// The scores of a class.
    ///
    /// # Panics
    ///
    /// As [`row`](Self::row).
    pub fn scores(&self, class: usize) -> ClassScores {
        let predicted = self.counts.iter().map(|row| row[class]).sum();
        ClassScores::of_counts(self.row(class)[class], predicted, self.samples(class))
    }

    /// The mean of the scores of the classes that have samples, in which each class counts as much.
    pub fn macro_average(&self) -> ClassScores {
        ClassScores::mean(
            self.classes_with_samples()
                .map(|(class, _)| (1.0, self.scores(class))),
        )
    }

    /// The mean of the scores of the classes, in which each counts by its samples.
    pub fn weighted_average(&self) -> ClassScores {
        let weighted = self.classes_with_samples();
        ClassScores::mean(weighted.map(|(class, samples)| (samples as f64, self.scores(class))))
    }

    /// The classes that have samples, with their number.
    fn classes_with_samples(&self) -> impl Iterator<Item = (usize, usize)> {
        let classes = (0..self.classes()).map(|class| (class, self.samples(class)));
        classes.filter(|(_, samples)| *samples > 0)
    }

    /// The pairs of a class and another that its samples were predicted as, with the number of these
    /// samples, most first. Pairs of equal numbers are in the order of the classes.
    pub fn confused(&self) -> Vec<(usize, usize, usize)> {
        let cells = self.counts.iter().enumerate().flat_map(|(class, row)| {
            let cells = row.iter().enumerate();
            cells.map(move |(predicted, &count)| (class, predicted, count))
        });
        let mut pairs: Vec<_> = cells
            .filter(|&(class, predicted, count)| class != predicted && count > 0)
            .collect();
        pairs.sort_by_key(|(.., count)| std::cmp::Reverse(*count));
        pairs
    }
}
