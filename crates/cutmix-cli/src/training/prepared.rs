//! What a run needs besides its folder.

use cutmix_train::algorithms::{Freeze, When};
use cutmix_vision::{AnyNetwork, Dataset, ImageLoader, LoaderConfig, Normalize, Splits};

use crate::class_weights::class_weights;
use crate::data::eval_batch_size;
use crate::device::Chosen;
use crate::error::Error;
use crate::pretrained::Pretrained;
use crate::processes::Processes;
use crate::progress::patiently;
use crate::run_folder::ModelCard;
use crate::settings::{Resolved, Settings, Train};

/// Everything that a run needs besides its folder.
pub(super) struct Prepared {
    pub(super) settings: Settings,
    pub(super) resolved: Resolved,
    pub(super) splits: Splits,
    pub(super) device: Chosen,
    pub(super) card: ModelCard,
    pub(super) train: ImageLoader,
    pub(super) val: Option<ImageLoader>,
    pub(super) model: AnyNetwork,
    pub(super) freezing: Vec<When<Freeze>>,
    /// The weights that the run starts from, in lines.
    pub(super) loaded: Option<Vec<String>>,
    /// Settings, and those of them that were given, which are written once the run has started.
    pub(super) to_store: Option<(Settings, Option<toml::Table>)>,
    /// The processes of the run.
    pub(super) processes: Processes,
}

impl Prepared {
    pub(super) fn new(
        mut settings: Settings,
        splits: Splits,
        device: Chosen,
        pretrained: Option<&Pretrained>,
        colours: Option<Normalize>,
        processes: &Processes,
    ) -> Result<Self, Error> {
        let resolved = settings.resolve(&splits.train)?;
        let classes = splits.train.classes().to_vec();
        let is_multi_label = splits.train.is_multi_label();
        (settings.metric.iter())
            .try_for_each(|metric| metric.check(classes.len(), is_multi_label))?;
        let normalize = match colours {
            Some(normalize) => normalize,
            None => patiently("measuring the colours", || Normalize::of(&splits.train))?,
        };
        let card = ModelCard {
            model: resolved.architecture.name.into(),
            blur_pool: settings.blur_pool,
            classes,
            view: settings.eval_view(&splits.train),
            normalize: normalize.clone(),
            decoding: settings.decoding(),
            is_multi_label,
            class_weights: (settings.class_weights.as_ref())
                .map(|weights| class_weights(weights, &splits.train))
                .transpose()?,
        };
        // Batch normalisation learns nothing good from a last batch of a few.
        let config = |batch_size| {
            LoaderConfig::new(batch_size, normalize.clone())
                .with_on_bad_image(settings.on_bad_image)
        };
        let set = splits.train.clone();
        let train = match settings.train {
            Train::All => {
                let config = config(settings.batch_size / settings.accumulate)
                    .with_seed(settings.seed)
                    .with_augment(settings.augment.clone().unwrap_or_default())
                    .with_sampler(settings.sampler)
                    .with_drop_last(true)
                    .with_cache(cache_share(&settings, &splits, &set));
                ImageLoader::train(set, config)?
            }
            // Each image is read once.
            Train::Head => ImageLoader::eval(set.clone(), config(eval_batch_size(&set)))?,
        };
        let eval = |set: &Option<Dataset>| {
            let loader = set.clone().map(|set| {
                let set = set.with_view(card.view)?;
                let cache = cache_share(&settings, &splits, &set);
                let config = config(eval_batch_size(&set)).with_cache(cache);
                ImageLoader::eval(set, config)
            });
            loader.transpose()
        };
        let drawn_on = device.for_new_weights(settings.precision);
        drawn_on.seed(settings.seed);
        let network = card
            .config()
            .with_stochastic_depth(settings.stochastic_depth);
        let mut model = network.init(&drawn_on.autodiff())?;
        let loaded = pretrained
            .map(|pretrained| pretrained.load(&mut model, &card.classes))
            .transpose()?;
        Ok(Self {
            val: eval(&splits.val)?,
            train,
            loaded: (pretrained.zip(loaded))
                .map(|(pretrained, loaded)| pretrained.describe(&loaded, &card.classes)),
            freezing: settings.freezing(&resolved, &model)?,
            model,
            settings,
            resolved,
            splits,
            device,
            card,
            to_store: None,
            processes: processes.clone(),
        })
    }
}

/// The part of the memory for images that a set may take, by its number of images.
fn cache_share(settings: &Settings, splits: &Splits, set: &Dataset) -> u64 {
    let all: usize = splits.sets().map(Dataset::len).sum();
    (u128::from(settings.cache.0) * set.len() as u128 / all.max(1) as u128) as u64
}
