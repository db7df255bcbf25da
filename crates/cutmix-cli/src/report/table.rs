//! The table of the classes.

use crate::terminal::{escaped, line, padded, width};

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
        const HEAD: &str = "class";
        let widest = classes
            .iter()
            .map(|name| width(name))
            .max()
            .unwrap_or(0)
            .max(HEAD.len());
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
