//! `cutmix eval`.

mod data;
mod trained_on;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::module::Module;
use cutmix_train::Alone;
use cutmix_vision::{OnBadImage, Split};

use self::data::open_data;
use super::Format;
use crate::data::name;
use crate::device;
use crate::digest::sha256;
use crate::embedded::{Origin, data_parser};
use crate::error::Error;
use crate::evaluate::{MeasureArgs, Subject, measure_more};
use crate::precision::Precision;
use crate::report::evaluation::Outcome;
use crate::report::html;
use crate::run_folder::RunFolder;
use crate::settings::{Bytes, Settings};
use crate::terminal::{json, line, warning};

const JSON_KEYS: &str = "\
Files in RUN/eval/SET/, or for other data with --data in RUN/eval/NAME-SET-DIGEST/, whose digest is
that of the path, and whose set is `images` where the data are not divided into sets:
  evaluation.json  what --format json prints
  predictions.csv  a row for each image: its class, what was predicted, and both
                   probabilities.
                   Names are written as they are; one that starts with = is a formula to a
                   spreadsheet
  confusion.csv    how many images of each class (row) were predicted as each class (column)
  confusion.png    the same as a picture
  calibration.png  accuracy over confidence
  mistakes/        pictures of the most confident mistakes, each with its class activation map
Where images have several classes, there is evaluation.json alone. RUN/report.html is written anew.

Keys of the JSON document (shares and probabilities are in 0 to 1, those in scores in percent):
  data, set, images  what was measured; set is test, val or train, or null where the data are not
                     divided into sets
  skipped            bad images that were left out: name, reason
  is-trained-on      whether the network was trained on any of these images
  trained-on-images  how many of them: where the data are others, those with the name and the size
                     in bytes of an image of the training set. Folders in front of the names may
                     differ. An image that was renamed or edited counts as another one
  changes            how the data differ from those of the run, or null
  scores             the metrics of the run as in its metrics.csv: loss, and all others in percent
  task               single-label or multi-label

  single-label:
  accuracy           share of the images whose class is predicted (top 1)
  top5-accuracy      share whose class is among the five most probable; null up to five classes
  classes            a row for each class: class, images, precision, recall, f1
  macro-average      mean of precision, recall and f1 over the classes that have images
  weighted-average   the same, weighted by images
  confusion          counts; a row for each class, a column for each predicted class
  calibration        expected-error, mean-confidence, and bins: from (excluded), to, samples,
                     confidence, accuracy. The expected calibration error is the mean over the
                     images of the distance between accuracy and mean confidence of their bin, in 15
                     bins of equal width (Guo et al., arXiv:1706.04599)
  mistakes           all images of which another class was predicted, the most confident first
  label-errors       images whose label is likely wrong, the least probable label first: those of
                     which another class was predicted, and of whose five most probable classes
                     one is as probable as on average for its own images. The most probable such
                     class is the likely one (confident learning, Northcutt et al.,
                     arXiv:1911.00068)
    each: name, class, predicted, probability, class-probability, margin (probability of the
    class less the highest other one), likely-class (or null), index in the set
  occlusion          null without --measure occlusion: seed; shares of the area that are black; for
                     each share the accuracy where the black box has a random place (random), is in
                     the middle (centre), and where all but a box in the middle is black (border).
                     Boxes have the aspect ratio of the images (Yun et al., arXiv:1905.04899)
  fgsm               null without --measure fgsm: levels, of 255, by which each value of a pixel
                     moves so that the loss rises; accuracy for each (fast gradient sign method,
                     Goodfellow et al., arXiv:1412.6572)
  detection          null without --unlike: auroc, the area under the ROC curve by which the highest
                     probability tells images of the classes from those of --unlike, where equal
                     ones count half (Hendrycks and Gimpel, arXiv:1610.02136); images; unlike, the
                     name of the other data; unlike-images; unlike-skipped, bad images of them
  localisation       null without --measure localisation: images with a box; threshold, from 0 (the
                     lowest value of a class activation map) to 1 (the highest); known-class, the
                     share of the images in which the box of the largest region above the threshold
                     has an overlap (intersection over union) of at least 0.5 with the true box;
                     top1, the share in which moreover the class is predicted; mean-overlap;
                     threshold-of, the set on which the threshold is the best one by known-class, or
                     null where it is 0.2, as no validation set has boxes (Choe et al.,
                     arXiv:2001.07437)

  multi-label:
  mean-average-precision
  thresholds-of      the set on which the thresholds give the best F1 scores; null where these are
                     the images themselves, of data without sets
  classes            a row for each class: class, images, average-precision, threshold,
                     precision, recall, f1";

/// Measure a trained network: loss, accuracy, scores of each class, calibration, mistakes, and labels
/// that are likely wrong
#[derive(Debug, clap::Args)]
#[command(after_long_help = JSON_KEYS)]
pub struct EvalArgs {
    /// Folder that `cutmix train` wrote, for example runs/001
    run: PathBuf,
    /// Set to measure on [default: the first of test, val and train that there is]
    #[arg(long, value_name = "SET", value_parser = ["test", "val", "train"])]
    split: Option<String>,
    /// Where the data of the run are now, or other data to measure on: as for `cutmix train --data`;
    /// all images count where they are not divided into sets
    #[arg(long, value_name = "DATA", value_parser = data_parser())]
    data: Option<PathBuf>,
    #[command(flatten)]
    more: MeasureArgs,
    /// What to do with an image that cannot be decoded: end with an error, or leave it out and count it
    /// [default: as the run did]
    #[arg(long, value_name = "fail|skip", hide_possible_values = true)]
    on_bad_image: Option<OnBadImage>,
    /// Memory that all threads together may take to decode images [default: as the run did]
    #[arg(long, value_name = "BYTES")]
    decode_memory: Option<Bytes>,
    /// Where to compute: auto, cpu, vulkan, vulkan:1, cuda, rocm, metal, webgpu or wgpu
    #[arg(long, default_value = "auto")]
    device: String,
    /// How to print the result
    #[arg(
        long,
        value_name = "text|json",
        default_value = "text",
        hide_possible_values = true
    )]
    format: Format,
}

/// Measures a trained network, prints the result and writes it to the folder of the run.
pub fn run(args: EvalArgs) -> Result<(), Error> {
    let folder = RunFolder::open(&args.run)?;
    let mut subject = open_subject(&args, &folder)?;
    let opened = open_data(&args, &mut subject.settings, &folder, &subject.card)?;
    let (set, data) = opened.choose_set(args.split.as_deref())?;
    let data_name = name(args.data.as_deref().or(subject.settings.data.as_deref()));
    subject.check_labels(&data_name, data)?;
    let more = args.more.open(&subject, data)?;
    let mut measured = subject.measure(set, data, &opened.splits, data_name)?;
    let measures = measure_more(&subject, &measured, &opened.splits, &more)?;
    let trained_on = opened.trained_on(&measured);
    let evaluation = &mut measured.evaluation;
    evaluation.is_trained_on = trained_on > 0;
    evaluation.trained_on_images = trained_on;
    evaluation.changes = opened.changes.as_ref().map(ToString::to_string);
    if let Outcome::SingleLabel(result) = &mut evaluation.result {
        result.measures = measures;
    }
    // Files are written as well where the result cannot be.
    let printed = match args.format {
        Format::Text => {
            evaluation.print(&measured.scores);
            Ok(())
        }
        Format::Json => json(evaluation),
    };
    let other = args.data.as_deref().filter(|_| !opened.is_of_run);
    let place = folder.evaluation(&folder_name(set, other));
    let files = subject.write(&measured, &place);
    html::write(&folder, subject.model.num_params());
    if args.format == Format::Text && !files.is_empty() {
        line("");
        line(format!("{}/  {}", place.display(), files.join("  ")));
    }
    printed
}

/// The name of the folder for a set of the run's data, or of other data, which may have the name of others
/// in another place.
fn folder_name(set: Option<Split>, other: Option<&Path>) -> String {
    let set = set.map_or("images".into(), |set| set.to_string());
    let Some(data) = other else {
        return set;
    };
    // Of `.` or `..` only the absolute path has a name. Patterns of several files are no path, and
    // embedded data are the same in every folder.
    let path = match Origin::of(other) {
        Origin::Embedded(_) => Ok(data.into()),
        Origin::Path(_) => (data.canonicalize()).or_else(|_| std::path::absolute(data)),
    };
    let path = path.as_deref().unwrap_or(data);
    let name = path.file_name().unwrap_or("data".as_ref());
    let digest = sha256(path.as_os_str().as_encoded_bytes());
    format!("{}-{set}-{}", name.to_string_lossy(), &digest[..8])
}

/// Reads the network of a run.
fn open_subject(args: &EvalArgs, folder: &RunFolder) -> Result<Subject, Error> {
    let chosen = device::choose(&args.device)?;
    let mut settings = Settings::read(&folder.config())?;
    if let Some(what) = args.on_bad_image {
        settings.on_bad_image = what;
    }
    if let Some(memory) = args.decode_memory {
        settings.decode_memory = memory;
    }
    // Scores are those of the training only in its own type.
    let precision = settings.precision;
    if precision.is_supported(&chosen) {
        precision.set(&chosen)?;
    } else {
        let name = &chosen.name;
        warning(format!(
            "device {name} does not have {precision}, the type of the run; f32 is used"
        ));
        settings.precision = Precision::F32;
    }
    let device = chosen.device;
    let (card, model) = folder.load_model(&device, settings.precision)?;
    Ok(Subject {
        settings,
        card,
        model,
        device,
        world: Arc::new(Alone),
    })
}
