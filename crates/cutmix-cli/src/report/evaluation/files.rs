//! The folder of an evaluation.

use std::fs;
use std::io;
use std::path::Path;

use cutmix_vision::Split;

use super::mistakes::read_mistakes;
use super::{Evaluation, ImagePrediction, Outcome, SingleLabel, set_name};
use crate::error::Error;
use crate::report::{calibration, confusion};
use crate::run_folder::{csv_bytes, write_whole};
use crate::terminal::warning;

/// The file with all of an evaluation but pictures.
const JSON: &str = "evaluation.json";

/// An evaluation as its folder has it.
pub struct StoredEvaluation {
    /// The name of the folder: that of a set of the run's own data, or a longer one.
    pub name: String,
    pub evaluation: Evaluation,
    /// Pictures of the first mistakes, JPEG files.
    pub mistakes: Vec<Vec<u8>>,
}

impl StoredEvaluation {
    /// Reads the folder of an evaluation; `None` where it has none that can be read.
    pub fn read(folder: &Path) -> Option<Self> {
        let json = fs::read(folder.join(JSON)).ok()?;
        Some(Self {
            name: folder.file_name()?.to_string_lossy().into_owned(),
            evaluation: serde_json::from_slice(&json).ok()?,
            mistakes: read_mistakes(folder),
        })
    }

    /// The set of the run's own data that was measured, if it was one.
    pub fn own_set(&self) -> Option<Split> {
        let set = self.evaluation.set?;
        (self.name == set.to_string()).then_some(set)
    }

    /// What was measured: a set of the run's own data by its name alone.
    pub fn subject(&self) -> String {
        match self.own_set() {
            None => self.evaluation.subject(),
            set => set_name(set).into(),
        }
    }
}

/// The bytes of a file, or the reason why there are none.
type Content = Result<Vec<u8>, String>;

impl Evaluation {
    /// Writes the result, and what the network says of each of these images, to files in `folder`, which
    /// is made. Returns the names of the files. One that cannot be written is a warning.
    pub fn write(&self, folder: &Path, images: &[ImagePrediction]) -> Vec<&'static str> {
        if let Err(error) = fs::create_dir_all(folder) {
            warning(Error::write(folder, error));
            return Vec::new();
        }
        let mut written = Vec::new();
        for (name, content) in self.files(images) {
            let path = folder.join(name);
            let content = content.map_err(|reason| Error::write(&path, io::Error::other(reason)));
            match content.and_then(|bytes| write_whole(&path, &bytes)) {
                Ok(()) => written.push(name),
                Err(error) => warning(error),
            }
        }
        written
    }

    fn files(&self, images: &[ImagePrediction]) -> Vec<(&'static str, Content)> {
        let json = serde_json::to_vec(self).map_err(|error| error.to_string());
        let mut files = vec![(JSON, json)];
        if let Outcome::SingleLabel(result) = &self.result {
            let title = self.heading();
            files.extend([
                ("predictions.csv", csv(|csv| write_predictions(csv, images))),
                ("confusion.csv", csv(|csv| write_confusion(csv, result))),
                ("confusion.png", confusion::png(&title, result)),
                ("calibration.png", calibration::png(&title, result)),
            ]);
        }
        files
    }
}

type CsvWriter = csv::Writer<Vec<u8>>;

fn csv(write: impl FnOnce(&mut CsvWriter) -> csv::Result<()>) -> Content {
    csv_bytes(write).map_err(|error| error.to_string())
}

/// Writes a row for each image.
fn write_predictions(csv: &mut CsvWriter, images: &[ImagePrediction]) -> csv::Result<()> {
    images.iter().try_for_each(|image| csv.serialize(image))
}

/// Writes a row for each class: its name, and the number of its images predicted as each class.
fn write_confusion(csv: &mut CsvWriter, result: &SingleLabel) -> csv::Result<()> {
    let names = || result.classes.iter().map(|row| row.class.as_str());
    csv.write_record(["class"].into_iter().chain(names()))?;
    names().enumerate().try_for_each(|(class, name)| {
        let counts = result.confusion.row(class).iter().map(usize::to_string);
        csv.write_record([name.to_string()].into_iter().chain(counts))
    })
}
