//! `--class-weights`: the weights of the classes in the loss.

use std::path::Path;

use cutmix_vision::Dataset;

use crate::error::Error;

/// The word for weights that follow from the data.
pub const BALANCED: &str = "balanced";

/// The weight of each class of a training set, as `text` says: `balanced`, or a CSV file with a class
/// and its weight in each row. Classes that it does not name have the weight 1.
pub fn class_weights(text: &Path, train: &Dataset) -> Result<Vec<f32>, Error> {
    if text == Path::new(BALANCED) {
        return Ok(balanced(train));
    }
    let wrong = |reason: String| Error::Config {
        path: text.into(),
        reason,
    };
    let file = std::fs::read_to_string(text).map_err(|error| Error::read(text, error))?;
    let mut weights = vec![1.0; train.classes().len()];
    let rows = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(file.as_bytes())
        .into_records()
        .enumerate();
    for (at, row) in rows {
        let row = row.map_err(|error| wrong(error.to_string()))?;
        let line = at + 1;
        let [class, weight] = [row.get(0), row.get(1)].map(Option::unwrap_or_default);
        let number = weight.parse().ok();
        let number = number.filter(|weight: &f32| weight.is_finite() && *weight >= 0.0);
        let known = train.classes().iter().position(|name| name == class);
        match (known, number) {
            (Some(known), Some(weight)) => weights[known] = weight,
            // A heading.
            (None, None) if at == 0 => {}
            (None, _) => {
                let names = train.classes().iter().map(String::as_str);
                let what = format!("class in line {line} of {}", text.display());
                return Err(Error::unknown(what, class, names));
            }
            (_, None) => {
                let reason = format!(
                    "line {line}: weight of `{class}` is {weight}, expected a number of at least 0"
                );
                return Err(wrong(reason));
            }
        }
    }
    if weights.iter().all(|weight| *weight == 0.0) {
        return Err(wrong("all weights are 0, expected one above 0".into()));
    }
    Ok(weights)
}

/// The number of images that each class would have if all had as many, divided by the number that it
/// has.
fn balanced(train: &Dataset) -> Vec<f32> {
    let counts = train.class_counts();
    let total: usize = counts.iter().sum();
    let share = total as f32 / counts.len() as f32;
    counts
        .iter()
        .map(|&count| share / count.max(1) as f32)
        .collect()
}
