//! What takes longer to measure, and is measured where it is asked for.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use cutmix_train::{Batches, Loader};
use cutmix_vision::data::sources::unlabelled_folder;
use cutmix_vision::measures::{
    Detection, FgsmConfig, Localisation, LocalisationConfig, OcclusionConfig, confidences,
};
use cutmix_vision::{DataError, Dataset, ImageLoader, LoaderConfig, Rect, Split, Splits};
use serde::{Deserialize, Serialize};

use super::{Measured, Subject};
use crate::data::{eval_batch_size, name, open};
use crate::embedded::{Origin, data_parser};
use crate::error::Error;
use crate::progress::{counted, patiently};
use crate::report::evaluation::{LocalisationAt, Measures, UnlikeDetection};
use crate::settings::Settings;

/// Options of what to measure more.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, clap::Args)]
pub struct MeasureArgs {
    /// What to measure more, of images of one class each: one or several, separated by commas [default:
    /// none]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    measure: Vec<MeasureName>,
    /// Other images, which show none of the classes: measure how well the confidence of the network
    /// tells them apart. Data as for `cutmix train --data`, of which the first of test, val and train
    /// counts, or a folder of images
    #[arg(long, value_name = "DATA", value_parser = data_parser())]
    unlike: Option<PathBuf>,
}

/// A measure beside those of every evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum MeasureName {
    /// Accuracy where a part of each image is black.
    Occlusion,
    /// Accuracy on images that the fast gradient sign method has changed.
    Fgsm,
    /// How often class activation maps find the object, of data with boxes.
    Localisation,
}

/// What is measured more, once its data are open.
pub struct MoreMeasures {
    measures: Vec<MeasureName>,
    unlike: Option<Unlike>,
}

/// Images that show none of the classes.
struct Unlike {
    name: String,
    loader: ImageLoader,
}

impl MeasureArgs {
    /// Checks that all of it can be measured on `data`.
    pub fn check(&self, data: &Dataset) -> Result<(), Error> {
        if data.is_multi_label() {
            self.refuse("none, as images have several classes")?;
        }
        if self.localises() && !data.has_boxes() {
            return Err(no_boxes());
        }
        Ok(())
    }

    /// Whether objects are localised, for which their boxes are needed.
    pub fn localises(&self) -> bool {
        self.measure.contains(&MeasureName::Localisation)
    }

    /// Whether the same is measured, wherever the other images are.
    pub fn are_same(&self, other: &Self) -> bool {
        let has_all =
            |one: &Self, other: &Self| one.measure.iter().all(|name| other.measure.contains(name));
        let have_unlike = self.unlike.is_some() == other.unlike.is_some();
        has_all(self, other) && has_all(other, self) && have_unlike
    }

    /// Takes the place of the other images from `now`, where it is given there.
    pub fn find_unlike(&mut self, now: &Self) {
        if now.unlike.is_some() {
            self.unlike.clone_from(&now.unlike);
        }
    }

    /// The number of passes over the images that it takes, about.
    pub fn passes(&self) -> f64 {
        let passes = self.measure.iter().map(|name| match name {
            MeasureName::Occlusion => 15.0,
            MeasureName::Fgsm => 8.0,
            MeasureName::Localisation => 2.0,
        });
        passes.sum::<f64>() + f64::from(u8::from(self.unlike.is_some()))
    }

    /// The other images, as they are opened with these settings.
    pub fn other_images(&self, settings: &Settings) -> Result<Option<Dataset>, Error> {
        let path = self.unlike.as_deref();
        path.map(|path| unlike_data(path, settings)).transpose()
    }

    /// Makes the path of the other images absolute, so that they are found from another folder.
    pub fn make_path_absolute(&mut self) {
        if let Some(unlike) = &mut self.unlike
            && unlike.exists()
            && let Ok(absolute) = std::path::absolute(&*unlike)
        {
            *unlike = absolute;
        }
    }

    /// Checks that all of it can be measured of a network on `data`, and opens the other images.
    pub fn open(&self, subject: &Subject, data: &Dataset) -> Result<MoreMeasures, Error> {
        self.check(data)?;
        let unlike = self.unlike.as_deref();
        let unlike = unlike.map(|path| Unlike::open(path, subject)).transpose()?;
        Ok(MoreMeasures {
            measures: self.measure.clone(),
            unlike,
        })
    }

    /// The error of the first option that was given, if one was.
    fn refuse(&self, expected: &str) -> Result<(), Error> {
        if let Some(name) = self.measure.first() {
            return Err(Error::option("measure", name.text(), expected));
        }
        match &self.unlike {
            Some(unlike) => Err(Error::option("unlike", unlike.display(), expected)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for MeasureArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.measure.iter().map(|name| name.text());
        let unlike = self.unlike.iter();
        let unlike = unlike.map(|path| format!("other images: {}", path.display()));
        f.write_str(&names.chain(unlike).collect::<Vec<_>>().join(", "))
    }
}

impl MeasureName {
    fn text(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().into())
    }
}

impl Unlike {
    /// Opens data, or a folder of images, as images of the shape that the network takes.
    fn open(path: &Path, subject: &Subject) -> Result<Self, Error> {
        let Subject { settings, card, .. } = subject;
        let data = unlike_data(path, settings)?;
        let data = data.with_view(card.view)?;
        let config = LoaderConfig::new(eval_batch_size(&data), card.normalize.clone())
            .with_on_bad_image(settings.on_bad_image);
        // Its last part: results do not say where things are on a machine.
        let name = match Origin::of(Some(path)) {
            Origin::Embedded(embedded) => embedded.title.into(),
            Origin::Path(path) => {
                (path.file_name().unwrap_or(path.as_os_str()).display()).to_string()
            }
        };
        Ok(Self {
            name,
            loader: ImageLoader::eval(data, config)?,
        })
    }
}

/// The images of data, or of a folder, which show none of the classes.
fn unlike_data(path: &Path, settings: &Settings) -> Result<Dataset, Error> {
    let config = settings.data_config();
    let data = patiently(&format!("listing {}", name(Some(path))), || {
        match open(Some(path), &config) {
            Ok(splits) => Ok(first_set(&splits)),
            // Whatever they show, it is none of the classes.
            Err(DataError::NoClasses { .. } | DataError::OneClass { .. }) if path.is_dir() => {
                unlabelled_folder(path, &config)
            }
            Err(error) => Err(error),
        }
    });
    data.map_err(|error| match error {
        DataError::NotFound { path: missing } if missing == path => Error::option(
            "unlike",
            path.display(),
            "data or a folder of images that is there",
        ),
        error => Error::from(error).without_advice(),
    })
}

/// The first set that there is of test, validation and training set.
fn first_set(splits: &Splits) -> Dataset {
    let sets = [&splits.test, &splits.val].into_iter().flatten();
    let found = sets.into_iter().find(|set| !set.is_empty());
    found.unwrap_or(&splits.train).clone()
}

/// Measures what was asked for on the images of an evaluation, whose data have these sets.
pub fn measure_more(
    subject: &Subject,
    measured: &Measured,
    splits: &Splits,
    more: &MoreMeasures,
) -> Result<Measures, Error> {
    let Subject {
        card,
        model,
        device,
        ..
    } = subject;
    let (loader, normalize) = (&measured.loader, &card.normalize);
    let mut measures = Measures::default();
    for name in &more.measures {
        match name {
            MeasureName::Occlusion => {
                let config = OcclusionConfig::new();
                let found = watched("occluding", loader, |loader| {
                    config.measure(model, loader, normalize, device)
                });
                measures.occlusion = Some(found?);
            }
            MeasureName::Fgsm => {
                let config = FgsmConfig::new();
                let found = watched("changing pixels", loader, |loader| {
                    config.measure(model, loader, normalize, device)
                });
                measures.fgsm = Some(found?);
            }
            MeasureName::Localisation => {
                measures.localisation = Some(localisation(subject, measured, splits)?);
            }
        }
    }
    if let Some(Unlike { name, loader }) = &more.unlike {
        let unlike = watched("predicting other images", loader, |loader| {
            confidences(model, loader, device)
        })?;
        let known: Vec<_> = measured.images.iter().map(|one| one.probability).collect();
        let detection = Detection::new(&known, &unlike);
        measures.detection = detection.map(|detection| UnlikeDetection {
            unlike: name.clone(),
            unlike_skipped: loader.skipped(),
            detection,
        });
    }
    Ok(measures)
}

/// The threshold is chosen on the validation set, where there is one with boxes.
fn localisation(
    subject: &Subject,
    measured: &Measured,
    splits: &Splits,
) -> Result<LocalisationAt, Error> {
    let measure = |config: &LocalisationConfig, loader: &ImageLoader| {
        let boxes = |place| true_box(loader, place);
        let results = watched("localising objects", loader, |loader| {
            config.measure(&subject.model, loader, boxes, &subject.device)
        })?;
        Localisation::best(&results).cloned().ok_or_else(no_boxes)
    };
    let all = LocalisationConfig::new();
    let only = |threshold| LocalisationConfig::new().with_thresholds(vec![threshold]);
    let val = splits.val.as_ref().filter(|val| val.has_boxes());
    let is_val = measured.evaluation.set == Some(Split::Val);
    let (config, threshold_of) = match val {
        _ if is_val => (all, Some(Split::Val)),
        Some(val) => {
            let best = measure(&all, &subject.loader(val)?)?;
            (only(best.threshold), Some(Split::Val))
        }
        None => (only(LocalisationConfig::USUAL_THRESHOLD), None),
    };
    Ok(LocalisationAt {
        threshold_of,
        localisation: measure(&config, &measured.loader)?,
    })
}

/// The box of the object in the image that a loader has yielded as number `place`.
fn true_box(loader: &ImageLoader, place: usize) -> Option<Rect> {
    let found = loader.dataset().object_box(loader.index_at(place));
    // The image has been read, so its size is known.
    found.ok().flatten()
}

fn no_boxes() -> Error {
    let expected = "occlusion or fgsm, as the data have no boxes of objects";
    Error::option("measure", MeasureName::Localisation.text(), expected)
}

/// Measures the images of a loader. A terminal shows how far it is.
fn watched<T>(
    what: &str,
    loader: &ImageLoader,
    measure: impl FnOnce(&dyn Loader) -> Result<T, cutmix_train::Error>,
) -> Result<T, Error> {
    let things = format!("images, {what}");
    let measured = counted(&things, loader.num_samples(), |progress| {
        measure(&Watched { loader, progress })
    });
    Ok(measured?)
}

/// A loader that tells of the images that it has yielded.
struct Watched<'a> {
    loader: &'a ImageLoader,
    progress: &'a (dyn Fn(usize) + Sync),
}

impl Loader for Watched<'_> {
    fn num_samples(&self) -> usize {
        self.loader.num_samples()
    }

    fn num_classes(&self) -> usize {
        self.loader.num_classes()
    }

    fn batches<'a>(
        &'a self,
        epoch: u64,
        skip: usize,
        device: &burn::tensor::Device,
    ) -> Batches<'a> {
        let batches = self.loader.batches(epoch, skip, device);
        Box::new(batches.inspect(|batch| {
            (self.progress)(batch.as_ref().map_or(0, |batch| batch.size()));
        }))
    }
}
