//! Settings that depend on the network and the data.

use cutmix_vision::models::{self, Architecture, Optimizer};
use cutmix_vision::{Augment, Dataset, View};

use super::Settings;
use crate::error::Error;
use crate::metrics::MetricName;
use crate::terminal::{count, warning};

/// Settings of a run that depend on the network and the data.
#[derive(Clone, Copy, Debug)]
pub struct Resolved {
    pub architecture: &'static Architecture,
    pub optimizer: Optimizer,
    pub learning_rate: f64,
    pub weight_decay: f64,
}

/// The largest side of images for which small networks are made.
const SMALL: usize = 64;

impl Settings {
    /// Fills in what depends on the network and on the training set, and checks what depends on them.
    pub fn resolve(&mut self, train: &Dataset) -> Result<Resolved, Error> {
        let [channels, height, width] = train.shape();
        let small = height.max(width) <= SMALL;
        let usual = if small { "resnet8" } else { "resnet18" };
        let architecture = models::find(self.model.as_deref().unwrap_or(usual))?;
        self.check_sizes(architecture, [height, width])?;
        self.shrink_batches(train.len())?;
        let optimizer = self.optimizer.unwrap_or(architecture.optimizer);
        let recipe = architecture.recipe(optimizer);
        let resolved = Resolved {
            architecture,
            optimizer,
            learning_rate: (self.learning_rate)
                .unwrap_or_else(|| rounded(recipe.learning_rate_for(self.batch_size))),
            weight_decay: self.weight_decay.unwrap_or(recipe.weight_decay),
        };
        // Mirrored digits or letters are other signs, and most grey data sets are of those.
        let augment = self.augment.take().unwrap_or_else(|| match channels {
            1 => Augment::new(),
            _ if train.is_of_files() => Augment::standard(),
            _ => Augment::light(),
        });
        let usual_share = if augment.resizes() { 0.875 } else { 1.0 };
        self.crop_share = Some(self.crop_share.unwrap_or(usual_share));
        self.augment = Some(augment);
        if train.is_multi_label() && !self.metric.contains(&MetricName::MeanAveragePrecision) {
            self.metric.push(MetricName::MeanAveragePrecision);
        }
        self.model = Some(architecture.name.into());
        self.optimizer = Some(resolved.optimizer);
        self.learning_rate = Some(resolved.learning_rate);
        self.weight_decay = Some(resolved.weight_decay);
        self.warmup = Some(self.warmup.unwrap_or(self.schedule.default_warmup()));
        for spec in &self.algorithm {
            spec.check_images(&[height, width])?;
        }
        Ok(resolved)
    }

    /// Checks that the network takes the images of training, of this height and width, and those of
    /// evaluation.
    fn check_sizes(&self, architecture: &Architecture, training: [usize; 2]) -> Result<(), Error> {
        let eval = self.eval_size.map(|side| ("eval-size", side));
        let sides = training.map(|side| ("size", side)).into_iter().chain(eval);
        for (option, side) in sides {
            check_side(architecture, side)
                .map_err(|expected| Error::option(option, side, expected))?;
        }
        self.algorithm
            .iter()
            .try_for_each(|spec| spec.check_sizes(architecture, training))
    }

    /// Makes batches no larger than the training set.
    fn shrink_batches(&mut self, samples: usize) -> Result<(), Error> {
        if self.batch_size <= samples {
            return Ok(());
        }
        let parts = self.accumulate;
        let size = samples - samples % parts;
        if size == 0 {
            let expected = format!("at most the number of training images, {samples}");
            return Err(Error::option("accumulate", parts, expected));
        }
        warning(format!(
            "batches of {size} instead of {}: there are only {}",
            self.batch_size,
            count(samples, "training image")
        ));
        self.batch_size = size;
        Ok(())
    }

    /// How the images of evaluation become those that the network takes, by resolved settings.
    pub fn eval_view(&self, train: &Dataset) -> View {
        let [channels, height, width] = train.shape();
        let (height, width) = self.eval_size.map_or((height, width), |size| (size, size));
        View::new([channels, height, width])
            .with_fit(self.fit)
            .with_crop_share(self.crop_share.unwrap_or(1.0))
    }
}

/// Checks that a network takes images with this height or width; the error is what it takes.
pub(super) fn check_side(architecture: &Architecture, side: usize) -> Result<(), String> {
    let Architecture { name, sizes, .. } = architecture;
    if sizes.contains(side) {
        return Ok(());
    }
    let near: Vec<_> = sizes.near(side).iter().map(usize::to_string).collect();
    Err(format!("{sizes} for {name}, such as {}", near.join(" or ")))
}

/// A number with three digits, which can be read and typed.
fn rounded(number: f64) -> f64 {
    format!("{number:.2e}").parse().unwrap_or(number)
}
