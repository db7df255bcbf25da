//! How well a network does on a set of images.

mod classes;
mod evaluator;
mod more;

use std::path::Path;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::Device;
use cutmix_train::{LabelScores, Loader, Outputs, Prediction, Score, World, gather};
use cutmix_vision::models::Classifier;
use cutmix_vision::{
    AnyNetwork, Dataset, ImageLoader, LoaderConfig, SkippedImage, Split, Splits, to_tensor,
};

use crate::data::eval_batch_size;
use crate::error::Error;
use crate::picture::heat_maps;
use crate::progress::counted;
use crate::report::evaluation::{
    Evaluation, ImagePrediction, MISTAKES, MultiLabel, Outcome, SingleLabel, by_metric, named,
    write_mistakes,
};
use crate::run_folder::ModelCard;
use crate::settings::Settings;
use crate::terminal::warning;

pub use classes::is_numbered;
pub use evaluator::evaluator;
pub use more::{MeasureArgs, measure_more};

/// The network that is measured.
pub struct Subject {
    pub settings: Settings,
    pub card: ModelCard,
    pub model: AnyNetwork,
    pub device: Device,
    /// The processes that measure together.
    pub world: Arc<dyn World>,
}

/// What was found out about a network on a set.
pub struct Measured {
    pub scores: Vec<Score>,
    pub evaluation: Evaluation,
    loader: ImageLoader,
    /// What the network says of each image; none where images have several classes.
    images: Vec<ImagePrediction>,
}

impl Measured {
    /// The images that were measured, and those that were skipped, under the classes of the model.
    pub fn data(&self) -> &Dataset {
        self.loader.dataset()
    }
}

impl Subject {
    /// Measures the network on a set of the data of this name, or on all of data without sets.
    pub fn measure(
        &self,
        set: Option<Split>,
        data: &Dataset,
        splits: &Splits,
        name: String,
    ) -> Result<Measured, Error> {
        let loader = self.loader(data)?;
        let (scores, result, images, skipped) = if self.card.is_multi_label {
            let val = splits.val.as_ref().filter(|val| !val.is_empty());
            let (scores, labels) = self.measure_labels(set, &loader, val)?;
            let skipped = self.skipped_by_all(loader.skipped())?;
            (scores, Outcome::MultiLabel(labels), Vec::new(), skipped)
        } else {
            let (scores, predictions) = self.predictions(set, &loader)?;
            let skipped = self.skipped_by_all(loader.skipped())?;
            let images = named(&loader, &skipped, &predictions, &self.card.classes);
            let classes = SingleLabel::new(&self.card.classes, &predictions, &images);
            (scores, Outcome::SingleLabel(classes), images, skipped)
        };
        Ok(Measured {
            evaluation: Evaluation {
                data: name,
                set,
                images: loader.dataset().len() - skipped.len(),
                skipped,
                is_trained_on: false,
                trained_on_images: 0,
                changes: None,
                scores: by_metric(&scores),
                result,
            },
            scores,
            loader,
            images,
        })
    }

    /// The bad images that any process has left out.
    pub fn skipped_by_all(&self, own: Vec<SkippedImage>) -> Result<Vec<SkippedImage>, Error> {
        let mut all: Vec<_> = gather(self.world.as_ref(), &own)?.concat();
        if self.world.size() > 1 {
            all.sort_by(|one, other| one.name.cmp(&other.name));
            all.dedup_by(|one, other| one.name == other.name);
        }
        Ok(all)
    }

    /// Checks that the images have one class each, or several, as those of the training.
    pub fn check_labels(&self, name: &str, data: &Dataset) -> Result<(), Error> {
        let [found, expected] = [data.is_multi_label(), self.card.is_multi_label];
        if found == expected || data.is_empty() {
            return Ok(());
        }
        let kinds = ["one class each", "any number of classes"];
        let value = format!("{name} with images of {}", kinds[usize::from(found)]);
        let expected = format!("images of {}", kinds[usize::from(expected)]);
        Err(Error::option("data", value, expected))
    }

    /// Writes what was found out to files in `folder`, which is made. Returns the names of the files. What
    /// cannot be written is a warning.
    pub fn write(&self, measured: &Measured, folder: &Path) -> Vec<&'static str> {
        let evaluation = &measured.evaluation;
        let mut files = evaluation.write(folder, &measured.images);
        if let Outcome::SingleLabel(result) = &evaluation.result
            && !files.is_empty()
        {
            match self.write_mistakes(folder, &result.mistakes, measured.data()) {
                Ok(()) if result.mistakes.is_empty() => {}
                Ok(()) => files.push("mistakes/"),
                Err(error) => warning(error.without_advice()),
            }
        }
        files
    }

    /// Writes pictures of the first of these mistakes, of images of `data`, into the folder of an
    /// evaluation.
    fn write_mistakes(
        &self,
        folder: &Path,
        mistakes: &[ImagePrediction],
        data: &Dataset,
    ) -> Result<(), Error> {
        let mistakes = &mistakes[..mistakes.len().min(MISTAKES)];
        if mistakes.is_empty() {
            return write_mistakes(folder, &[]);
        }
        let images = mistakes.iter().map(|mistake| data.image(mistake.index));
        let images = images.collect::<Result<Vec<_>, _>>()?;
        let class = |mistake: &ImagePrediction| {
            let mut known = self.card.classes.iter();
            known
                .position(|class| *class == mistake.predicted)
                .unwrap_or(0)
        };
        let classes: Vec<_> = mistakes.iter().map(class).collect();
        let model = self.model.valid();
        let input = to_tensor(&images, &self.card.normalize, &self.device)?;
        let maps = heat_maps(&model, model.features(input), &classes)?;
        let pictures: Vec<_> = images.into_iter().zip(maps).collect();
        write_mistakes(folder, &pictures)
    }

    /// The loader of a set under the classes of the model.
    fn loader(&self, data: &Dataset) -> Result<ImageLoader, Error> {
        let Self { settings, card, .. } = self;
        let data = data.clone().with_view(card.view)?;
        let numbers = classes::matching(&data, card)?;
        let data = data.with_classes(card.classes.clone(), numbers)?;
        let config = LoaderConfig::new(eval_batch_size(&data), card.normalize.clone())
            .with_on_bad_image(settings.on_bad_image);
        Ok(ImageLoader::eval(data, config)?)
    }

    /// The scores on a set; `observe` is given the outputs of each batch. A terminal shows how far it is.
    fn scores(
        &self,
        set: Option<Split>,
        loader: &ImageLoader,
        mut observe: impl FnMut(&Outputs) -> Result<(), cutmix_train::Error>,
    ) -> Result<Vec<Score>, Error> {
        let evaluator =
            evaluator(&self.settings, &self.card, &self.device).world(self.world.clone());
        let set = set.map_or("data".into(), |set| set.to_string());
        let things = format!("images, evaluating {set}");
        let scores = counted(&things, loader.num_samples(), |progress| {
            evaluator.run_observed(&set, &self.model, loader, &self.device, |outputs| {
                observe(outputs)?;
                progress(outputs.logits.dims()[0]);
                Ok(())
            })
        });
        Ok(scores?)
    }

    fn predictions(
        &self,
        set: Option<Split>,
        loader: &ImageLoader,
    ) -> Result<(Vec<Score>, Vec<Prediction>), Error> {
        let mut predictions = Vec::with_capacity(loader.num_samples());
        let scores = self.scores(set, loader, |outputs| {
            predictions.extend(Prediction::of_batch(outputs)?);
            Ok(())
        })?;
        Ok((scores, predictions))
    }

    /// The thresholds are chosen on the validation set, where there is another one.
    fn measure_labels(
        &self,
        set: Option<Split>,
        loader: &ImageLoader,
        val: Option<&Dataset>,
    ) -> Result<(Vec<Score>, MultiLabel), Error> {
        let measure = |set, loader: &ImageLoader| -> Result<_, Error> {
            let mut labels = LabelScores::new(self.card.classes.len());
            let scores = self.scores(set, loader, |outputs| {
                labels.add(outputs).map_err(cutmix_train::Error::other)
            })?;
            Ok((scores, labels))
        };
        let (scores, labels) = measure(set, loader)?;
        let own = Some(Split::Val);
        let val = val.filter(|_| set != own);
        let chosen = val.map(|val| measure(own, &self.loader(val)?));
        let chosen = chosen.transpose()?;
        let chosen_on = match &chosen {
            Some((_, labels)) => (own, labels),
            None => (set, &labels),
        };
        let result = MultiLabel::new(&self.card.classes, &labels, chosen_on);
        Ok((scores, result))
    }
}
