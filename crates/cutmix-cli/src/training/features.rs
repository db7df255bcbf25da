//! Features of images, on which the head is trained.

use burn::module::Module;
use cutmix_train::Loader;
use cutmix_vision::{Classifier, FeatureLoader, ImageLoader};

use super::prepared::Prepared;
use crate::progress::counted;

impl Prepared {
    /// The features of the training images, in the order of training.
    pub(super) fn train_features(&self) -> Result<FeatureLoader, cutmix_train::Error> {
        let settings = &self.settings;
        let features = self.features("train", &self.train)?;
        let size = settings.batch_size / settings.accumulate;
        let shuffled = features.shuffled(size, settings.sampler, settings.seed);
        shuffled.map_err(|source| cutmix_train::Error::Data {
            set: "train".into(),
            source: source.into(),
        })
    }

    /// The features of a set of images, which a bar counts on a terminal.
    pub(super) fn features(
        &self,
        set: &str,
        images: &ImageLoader,
    ) -> Result<FeatureLoader, cutmix_train::Error> {
        let device = self.device.device.clone().without_autodiff();
        let backbone = self.model.valid().to_device(&device);
        let things = format!("images, computing the features of {set}");
        let compute = |images| backbone.pool(backbone.features(images));
        let features = counted(&things, images.num_samples(), |progress| {
            images.features(&device, compute, progress)
        });
        features.map_err(|source| cutmix_train::Error::Data {
            set: set.into(),
            source,
        })
    }
}
