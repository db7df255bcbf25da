//! Features of images, on which the head is trained.

use burn::module::Module;
use cutmix_train::{Loader, Stop};
use cutmix_vision::{Classifier, FeatureLoader, ImageLoader};

use super::prepared::Prepared;
use crate::progress::counted;
use crate::signals::STOPPED;

impl Prepared {
    /// The features of the training images, in the order of training.
    pub(super) fn train_features(&self, stop: &Stop) -> Result<FeatureLoader, cutmix_train::Error> {
        let settings = &self.settings;
        let features = self.features("train", &self.train, stop)?;
        let size = settings.batch_size / settings.accumulate;
        let shuffled = features.shuffled(size, settings.sampler, settings.seed);
        shuffled.map_err(|source| cutmix_train::Error::Data {
            set: "train".into(),
            source: source.into(),
        })
    }

    /// The features of a set of images, which a bar counts on a terminal. The process ends where `stop` is
    /// requested.
    pub(super) fn features(
        &self,
        set: &str,
        images: &ImageLoader,
        stop: &Stop,
    ) -> Result<FeatureLoader, cutmix_train::Error> {
        let device = self.device.device.clone().without_autodiff();
        let backbone = self.model.valid().to_device(&device);
        let things = format!("images, computing the features of {set}");
        let compute = |images| {
            if stop.is_requested() {
                // Nothing is lost: features are computed again.
                std::process::exit(STOPPED.into());
            }
            backbone.pool(backbone.features(images))
        };
        let features = counted(&things, images.num_samples(), |progress| {
            images.features(&device, compute, progress)
        });
        features.map_err(|source| cutmix_train::Error::Data {
            set: set.into(),
            source,
        })
    }
}
