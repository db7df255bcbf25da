//! The numbers of a study, a row for each of its settings.

use serde::Serialize;

use super::plan::Plan;
use super::result::{Number, RunResult};
use super::statistics::{Difference, Mean};
use crate::metrics;
use crate::terminal::{line, padded, width};

/// All numbers that were measured.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Table {
    pub measures: Vec<Measure>,
}

/// A number that was measured of each run.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Measure {
    pub name: String,
    /// `%`, or nothing.
    pub unit: &'static str,
    pub higher_is_better: bool,
    #[serde(skip)]
    pub is_main: bool,
    pub rows: Vec<MeasuredRow>,
}

/// What the seeds of a row say of a number.
#[derive(Clone, Debug, Serialize)]
pub struct MeasuredRow {
    pub row: String,
    /// Seeds of the study.
    #[serde(skip)]
    pub seeds: usize,
    /// Seeds and values.
    pub values: Vec<(u64, f64)>,
    /// `None` where no run has the number.
    pub mean: Option<Mean>,
    /// To the first row; `None` of the first one, and where no seed has both.
    pub difference: Option<Difference>,
}

impl Table {
    /// Of the results that there are.
    pub fn new(plan: &Plan, results: &[RunResult]) -> Self {
        let mut kinds: Vec<Number> = Vec::new();
        let numbers: Vec<(&RunResult, Vec<Number>)> = results
            .iter()
            .map(|result| (result, result.numbers()))
            .collect();
        for number in numbers.iter().flat_map(|(_, numbers)| numbers) {
            if !kinds.iter().any(|kind| kind.name == number.name) {
                kinds.push(number.clone());
            }
        }
        let measures = kinds.into_iter().map(|kind| {
            let values = |row: &str| {
                let own = numbers.iter().filter(|(result, _)| result.row == row);
                let values = own.filter_map(|(result, numbers)| {
                    let number = numbers.iter().find(|number| number.name == kind.name)?;
                    Some((result.seed, number.value))
                });
                let mut values: Vec<_> = values.collect();
                values.sort_unstable_by_key(|(seed, _)| *seed);
                values
            };
            let first = plan
                .rows
                .first()
                .map(|row| values(&row.name))
                .unwrap_or_default();
            let rows = plan.rows.iter().enumerate();
            let rows = rows.map(|(number, row)| {
                let values = values(&row.name);
                let all: Vec<_> = values.iter().map(|(_, value)| *value).collect();
                let differences = values.iter().filter_map(|(seed, value)| {
                    let (_, other) = first.iter().find(|(other, _)| other == seed)?;
                    Some(value - other)
                });
                let differences: Vec<_> = differences.collect();
                MeasuredRow {
                    row: row.name.clone(),
                    seeds: plan.seeds.len(),
                    mean: Mean::of(&all),
                    difference: Difference::of(&differences).filter(|_| number > 0),
                    values,
                }
            });
            Measure {
                rows: rows.collect(),
                unit: if kind.is_percent { "%" } else { "" },
                name: kind.name,
                higher_is_better: kind.higher_is_better,
                is_main: kind.is_main,
            }
        });
        Self {
            measures: measures.collect(),
        }
    }

    /// The measures of the table that is read first.
    pub fn main(&self) -> impl Iterator<Item = &Measure> {
        self.measures.iter().filter(|measure| measure.is_main)
    }

    /// Prints the main measures.
    pub fn print(&self) {
        for measure in self.main() {
            let better = if measure.higher_is_better {
                "higher"
            } else {
                "lower"
            };
            let title = format!("{}, {better} is better", measure.title());
            let head = [
                title,
                "mean".into(),
                "difference, 95 %".into(),
                "seeds needed".into(),
            ];
            let rows = measure.rows.iter().map(|row| {
                let needed = row.difference.map(|difference| needed(&difference));
                [
                    row.row.clone(),
                    row.mean_text(),
                    row.difference_text(),
                    needed.unwrap_or_default(),
                ]
            });
            let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
            let widths = [0, 1, 2].map(|column| {
                let cells = rows.iter().map(|row| width(&row[column]));
                cells.max().unwrap_or(0)
            });
            line("");
            for row in rows {
                let cells = row
                    .iter()
                    .zip(widths)
                    .map(|(cell, width)| padded(cell, width));
                let cells: Vec<_> = cells.collect();
                line(format!("{}  {}", cells.join("  "), row[3]).trim_end());
            }
        }
    }

    /// Writes all measures as rows of a CSV file.
    pub fn write_csv(&self, csv: &mut csv::Writer<Vec<u8>>) -> csv::Result<()> {
        csv.write_record([
            "measure",
            "unit",
            "row",
            "runs",
            "mean",
            "standard_error",
            "difference",
            "low",
            "high",
            "seeds_needed",
        ])?;
        for measure in &self.measures {
            for row in &measure.rows {
                let mean = row.mean;
                let difference = row.difference;
                let interval = difference.and_then(|difference| difference.interval);
                let cell = |value: Option<f64>| {
                    value.map_or_else(String::new, |value| format!("{value:.6}"))
                };
                csv.write_record([
                    measure.name.clone(),
                    measure.unit.into(),
                    row.row.clone(),
                    mean.map_or(0, |mean| mean.runs).to_string(),
                    cell(mean.map(|mean| mean.mean)),
                    cell(mean.and_then(|mean| mean.standard_error)),
                    cell(difference.map(|difference| difference.mean)),
                    cell(interval.map(|interval| interval[0])),
                    cell(interval.map(|interval| interval[1])),
                    (difference.and_then(|difference| difference.seeds_needed))
                        .map_or_else(String::new, |seeds| seeds.to_string()),
                ])?;
            }
        }
        Ok(())
    }
}

impl Measure {
    /// The name with the unit.
    pub fn title(&self) -> String {
        let name = metrics::label(&self.name).replace("fgsm", "FGSM");
        let first = name.get(..1).unwrap_or_default().to_uppercase();
        let rest = name.get(1..).unwrap_or_default();
        match self.unit {
            "" => format!("{first}{rest}"),
            unit => format!("{first}{rest} ({unit})"),
        }
    }
}

impl MeasuredRow {
    /// The mean with its standard error, and the number of runs where some are missing.
    pub fn mean_text(&self) -> String {
        match self.mean {
            None => "no run yet".into(),
            Some(Mean {
                mean,
                standard_error: Some(error),
                runs,
            }) => {
                let places = places_of(mean);
                let text = format!("{mean:.places$} ± {error:.places$}");
                if runs < self.seeds {
                    format!("{text} ({runs} of {} seeds)", self.seeds)
                } else {
                    text
                }
            }
            Some(Mean { mean, .. }) => format!("{} (one seed)", number(mean)),
        }
    }

    /// The difference with its interval.
    pub fn difference_text(&self) -> String {
        match self.difference {
            None => String::new(),
            Some(Difference {
                mean,
                interval: Some([low, high]),
                ..
            }) => format!("{} [{}, {}]", signed(mean), signed(low), signed(high)),
            Some(Difference { mean, .. }) => format!("{} (one seed)", signed(mean)),
        }
    }
}

/// The number of seeds that a difference needs.
pub fn needed(difference: &Difference) -> String {
    match (difference.interval, difference.seeds_needed) {
        (None, _) => "not known".into(),
        (_, None) => "over 1000".into(),
        (_, Some(seeds)) => seeds.to_string(),
    }
}

/// Two places, or three below 10.
fn number(value: f64) -> String {
    let places = places_of(value);
    format!("{value:.places$}")
}

fn places_of(value: f64) -> usize {
    if value.abs() < 10.0 { 3 } else { 2 }
}

fn signed(value: f64) -> String {
    let text = number(value);
    if value > 0.0 {
        format!("+{text}")
    } else {
        text
    }
}
