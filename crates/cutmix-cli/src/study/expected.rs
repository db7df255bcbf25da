//! How long the runs of a study will take.

use std::fs;
use std::path::Path;
use std::time::Instant;

use cutmix_train::{Duration, Stop};
use cutmix_vision::Split;

use super::plan::{Plan, PlannedRun};
use crate::error::Error;
use crate::processes::Processes;
use crate::settings::{Settings, Train};
use crate::training::{Training, View};

/// Batches of each of the two parts of a short run. The second part is measured.
const BATCHES: u64 = 6;
/// Images that are enough to measure evaluation.
const IMAGES: usize = 512;

/// How fast a row trains and evaluates on this machine.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    /// The numbers of images that training and evaluation take in a second. All of the network is
    /// evaluated, also where only its head is trained.
    train: f64,
    eval: f64,
    /// The number of images to train, to validate and to test.
    sets: [usize; 3],
}

impl Speed {
    /// Whether a setting changes the speed.
    pub fn depends_on(name: &str, value: &toml::Value) -> bool {
        // SAM passes each batch twice, and small images take less time; other algorithms cost little beside
        // the network.
        if name == "algorithm" {
            let text = value.to_string();
            let mut words =
                text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
            return words.any(|word| ["sam", "progressive-resizing"].contains(&word));
        }
        let names = [
            "model",
            "size",
            "eval-size",
            "batch-size",
            "accumulate",
            "limit",
            "augment",
            "precision",
            "train",
            "freeze",
            "optimizer",
            "weights",
            "recipe",
            "blur-pool",
            "device",
        ];
        names.contains(&name)
    }

    /// Measures it in a short run below `folder`; the files of the run are removed then.
    pub fn measure(
        plan: &Plan,
        run: PlannedRun,
        processes: &Processes,
        folder: &Path,
    ) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(|error| Error::write(folder, error))?;
        let folder = tempfile::tempdir_in(folder).map_err(|error| Error::write(folder, error))?;
        let mut given = plan.given(run);
        let whole = Settings::from_given(given.clone())?;
        let sets = whole.clone().open_data(None)?;
        let sets = [Some(&sets.train), sets.val.as_ref(), sets.test.as_ref()]
            .map(|set| set.map_or(0, |set| set.len()));
        let limit = IMAGES
            .max(2 * whole.batch_size)
            .min(whole.limit.unwrap_or(usize::MAX));
        for (name, value) in [
            ("duration", format!("{}ba", 2 * BATCHES)),
            ("eval-interval", format!("{BATCHES}ba")),
            ("save-interval", format!("{}ba", 2 * BATCHES)),
        ] {
            given.insert(name.into(), value.into());
        }
        given.insert("limit".into(), toml::Value::Integer(limit as i64));
        let settings = Settings::from_given(given.clone())?;
        let output = folder.path().join("run");
        let training = Training::start(settings, &given, Some(&output), processes)?;
        let trained = training.train(View::Nothing, Stop::new())?;
        let reports = &trained.history.reports;
        let [.., first, second] = &reports[..] else {
            return Err(Error::Unmeasured);
        };
        let images = (second.samples - first.samples) as f64;
        let (subject, splits) = (&trained.subject, &trained.splits);
        let (split, set) = match &splits.val {
            Some(val) if !val.is_empty() => (Split::Val, val),
            _ => (Split::Train, &splits.train),
        };
        let began = Instant::now();
        subject.measure(Some(split), set, splits, whole.data_name())?;
        Ok(Self {
            train: images / second.train_seconds.max(1e-6),
            eval: set.len() as f64 / began.elapsed().as_secs_f64().max(1e-6),
            sets,
        })
    }

    /// Seconds of a run with these settings, and of so many passes over the images that it is measured on.
    pub fn seconds(&self, settings: &Settings, passes: f64) -> f64 {
        let [train, val, test] = self.sets.map(|images| images as f64);
        let batch = settings.batch_size as f64;
        let images = match settings.duration {
            Duration::Epochs(epochs) => epochs as f64 * train,
            Duration::Batches(batches) => batches as f64 * batch,
            Duration::Samples(samples) => samples as f64,
            Duration::Wall(time) => time.as_secs_f64() * self.train,
            Duration::Share(_) => 0.0,
        };
        let evaluations = match settings.eval_interval {
            Duration::Epochs(epochs) => images / train / epochs.max(1) as f64,
            Duration::Batches(batches) => images / batch / batches.max(1) as f64,
            Duration::Samples(samples) => images / samples.max(1) as f64,
            Duration::Share(share) => 1.0 / share.max(1e-3),
            Duration::Wall(time) => images / self.train / time.as_secs_f64().max(1.0),
        };
        let before_the_end = match settings.train {
            Train::All => evaluations * val,
            // For their features. The head then takes next to no time.
            Train::Head => train + val,
        };
        let measured = if test > 0.0 { test } else { val };
        images / self.train + (before_the_end + (1.0 + passes) * measured) / self.eval
    }
}
