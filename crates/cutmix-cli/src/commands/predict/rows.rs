//! `--format`: the rows of the images, on standard output.

use std::path::Path;

use clap::ValueEnum;
use serde::Serialize;

use crate::error::Error;
use crate::terminal::{self, escaped, json_line, write_result};

/// What a row looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The path and the classes in percent
    Text,
    /// A table: path, class, probability, class_2, probability_2 and so on, error
    Csv,
    /// In each line an object: path and predictions, or path and error
    Json,
}

/// A class and its probability, in 0..=1.
#[derive(Debug, Serialize)]
pub struct Prediction<'a> {
    pub class: &'a str,
    pub probability: f32,
}

/// What a row says of its image.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome<'a> {
    Predictions(&'a [Prediction<'a>]),
    Error(String),
}

/// The row of an image in JSON.
#[derive(Serialize)]
struct Object<'a> {
    path: &'a str,
    #[serde(flatten)]
    outcome: Outcome<'a>,
}

/// Writes the row of each image as soon as it is known.
pub struct Rows {
    format: Format,
    /// Number of predictions in a row.
    top: usize,
}

impl Rows {
    /// Writes what comes before the first row.
    pub fn start(format: Format, top: usize) -> Result<Self, Error> {
        if format == Format::Csv {
            let first = ["path", "class", "probability"].map(String::from);
            let others = (2..=top).flat_map(|n| [format!("class_{n}"), format!("probability_{n}")]);
            let names = first.into_iter().chain(others);
            write_result(&csv_record(names.chain(["error".into()])))?;
        }
        Ok(Self { format, top })
    }

    /// Writes the row of an image with `top` predictions.
    pub fn predicted(&self, path: &Path, predictions: &[Prediction]) -> Result<(), Error> {
        self.write(path, Outcome::Predictions(predictions))
    }

    /// Writes the row of an image that cannot be read.
    pub fn failed(&self, path: &Path, error: Error) -> Result<(), Error> {
        self.write(path, Outcome::Error(error.to_string()))
    }

    fn write(&self, path: &Path, outcome: Outcome) -> Result<(), Error> {
        let path = &*path.to_string_lossy();
        match (self.format, outcome) {
            (Format::Text, Outcome::Predictions(predictions)) => {
                write_result(&text_line(path, predictions))
            }
            (Format::Text, Outcome::Error(error)) => {
                terminal::error(error);
                Ok(())
            }
            (Format::Csv, outcome) => write_result(&csv_record(self.fields(path, outcome))),
            (Format::Json, outcome) => write_result(&json_line(&Object { path, outcome })),
        }
    }

    /// The fields of a row in CSV.
    fn fields(&self, path: &str, outcome: Outcome) -> impl Iterator<Item = String> {
        let (predictions, error) = match outcome {
            Outcome::Predictions(predictions) => (predictions, String::new()),
            Outcome::Error(error) => (&[][..], error),
        };
        let mut fields = vec![path.into()];
        for one in predictions {
            fields.extend([one.class.into(), one.probability.to_string()]);
        }
        fields.resize(1 + 2 * self.top, String::new());
        fields.into_iter().chain([error])
    }
}

fn text_line(path: &str, predictions: &[Prediction]) -> Vec<u8> {
    let percent = |one: &Prediction| format!("  {} {:.1} %", one.class, 100.0 * one.probability);
    let classes: String = predictions.iter().map(percent).collect();
    (escaped(&format!("{path}{classes}")) + "\n").into_bytes()
}

fn csv_record(fields: impl Iterator<Item = String>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let written = writer.write_record(fields);
    written.expect("one record has no other to differ from, and memory can be written");
    writer.into_inner().expect("memory can be written")
}
