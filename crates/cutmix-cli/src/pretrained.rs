//! `--weights`: what a run starts from.

use std::path::Path;

use cutmix_vision::models::{self, Architecture};
#[cfg(feature = "hub")]
use cutmix_vision::weights::hub::Hub;
use cutmix_vision::weights::{self, Head, Loaded, Weights};
use cutmix_vision::{AnyNetwork, Normalize};

use crate::error::Error;
use crate::precision::Precision;
#[cfg(feature = "hub")]
use crate::progress::downloading;
use crate::run_folder::{ModelCard, RunFolder};
use crate::settings::Settings;
use crate::terminal::count;

/// The side of the images that published weights were trained on, where they do not say.
const SIZE: usize = 224;
/// How many names of unused tensors are listed.
const LISTED: usize = 5;

/// Weights that were trained before, with what belongs to them.
#[derive(Debug)]
pub struct Pretrained {
    /// The text of `--weights`.
    name: String,
    weights: Weights,
    /// The network that they belong to.
    pub architecture: &'static Architecture,
    /// The colours that they were trained with, for images of three channels.
    normalize: Normalize,
    /// The side of the images that they were trained on.
    pub size: usize,
    /// Whether they are of a network that blurs images in front of layers with a stride.
    blur_pool: bool,
    /// The names of the classes of their head, where that is known.
    classes: Option<Vec<String>>,
}

impl Pretrained {
    /// Opens a file, the folder of a run, or a repository of the hub. `model` is the network that was
    /// asked for; without it the weights decide.
    pub fn open(name: &str, model: Option<&str>) -> Result<Self, Error> {
        let path = Path::new(name);
        let source = if path.is_dir() {
            Source::of_run(path)?
        } else if path.exists() || looks_like_file(path) || !looks_like_repository(name) {
            Source::of_file(path)?
        } else {
            Source::of_hub(name)?
        };
        let architecture = match model.map(models::find).transpose()? {
            Some(asked) => asked,
            None => source.architecture()?,
        };
        let normalize = source.normalize.unwrap_or_else(|| {
            let [mean, std] = architecture.colours.map(Vec::from);
            Normalize { mean, std }
        });
        Ok(Self {
            name: name.into(),
            weights: source.weights,
            architecture,
            normalize,
            size: source.size.unwrap_or(SIZE),
            blur_pool: source.blur_pool,
            classes: source.classes,
        })
    }

    /// Puts the weights into a network for these classes.
    pub fn load(&self, network: &mut AnyNetwork, classes: &[String]) -> Result<Loaded, Error> {
        let loaded = if self.has_other_classes(classes) {
            let backbone = self.weights.clone().without(self.architecture.head);
            backbone.load(self.architecture, network)
        } else {
            self.weights.load(self.architecture, network)
        };
        Ok(loaded?)
    }

    /// Whether the head is known to be for other classes than these.
    fn has_other_classes(&self, classes: &[String]) -> bool {
        (self.classes.as_deref()).is_some_and(|known| known != classes)
    }

    /// The colours for images of this number of channels.
    pub fn normalize(&self, channels: usize) -> Normalize {
        if channels == self.normalize.mean.len() {
            return self.normalize.clone();
        }
        let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
        Normalize {
            mean: vec![mean(&self.normalize.mean); channels],
            std: vec![mean(&self.normalize.std); channels],
        }
    }

    /// What was done, in lines.
    pub fn describe(&self, loaded: &Loaded, classes: &[String]) -> Vec<String> {
        let number = format!("{} classes", classes.len());
        let head = match loaded.head {
            Head::Taken if self.classes.is_some() => "with its head".into(),
            Head::Taken => format!("with its head, which is for {number} too"),
            Head::OtherClasses(others) => {
                format!("a new head for {number} in place of that for {others}")
            }
            Head::Missing => match &self.classes {
                Some(others) if others != classes => {
                    let others = others.len();
                    format!("a new head for {number} in place of that for {others} others")
                }
                _ => format!("a new head for {number}"),
            },
        };
        let mut lines = vec![format!(
            "{}, {}, {head}",
            self.name,
            count(loaded.tensors, "tensor")
        )];
        if let Some(channels) = loaded.other_channels {
            let way = if channels == 1 {
                "is divided among the"
            } else {
                "is added up over its"
            };
            let channels = count(channels, "channel");
            lines.push(format!(
                "the first layer, for images of {channels}, {way} colours"
            ));
        }
        if !loaded.prefix.is_empty() {
            lines.push(format!("those that begin with {}", loaded.prefix));
        }
        if !loaded.unused.is_empty() {
            let mut names = loaded.unused[..loaded.unused.len().min(LISTED)].join(", ");
            if loaded.unused.len() > LISTED {
                names += &format!(" and {} more", loaded.unused.len() - LISTED);
            }
            lines.push(format!("not used: {names}"));
        }
        lines
    }
}

impl Settings {
    /// The weights that a new run starts from. They decide the network where nothing else does.
    pub fn pretrained(&mut self) -> Result<Option<Pretrained>, Error> {
        let Some(weights) = &self.weights else {
            return Ok(None);
        };
        let pretrained = Pretrained::open(weights, self.model.as_deref())?;
        self.model = Some(pretrained.architecture.name.into());
        self.blur_pool |= pretrained.blur_pool;
        Ok(Some(pretrained))
    }
}

/// What a place of weights says of them.
struct Source {
    weights: Weights,
    /// The name of their network.
    model: Option<String>,
    normalize: Option<Normalize>,
    size: Option<usize>,
    blur_pool: bool,
    classes: Option<Vec<String>>,
}

impl Source {
    fn of_file(path: &Path) -> Result<Self, Error> {
        let weights = Weights::read(path)?;
        let card = ModelCard::of(&weights).ok();
        Ok(Self::with_card(weights, card))
    }

    fn with_card(weights: Weights, card: Option<ModelCard>) -> Self {
        let size = |card: &ModelCard| card.view.shape[1].max(card.view.shape[2]);
        Self {
            weights,
            size: card.as_ref().map(size),
            model: card.as_ref().map(|card| card.model.clone()),
            blur_pool: card.as_ref().is_some_and(|card| card.blur_pool),
            classes: card.as_ref().map(|card| card.classes.clone()),
            normalize: card.map(|card| card.normalize),
        }
    }

    /// A run that is not finished has the weights of its best or last checkpoint.
    fn of_run(path: &Path) -> Result<Self, Error> {
        let (card, network) =
            RunFolder::open(path)?.load_model(&weights::device(), Precision::F32)?;
        Ok(Self::with_card(Weights::of(&network, path), Some(card)))
    }

    #[cfg(feature = "hub")]
    fn of_hub(name: &str) -> Result<Self, Error> {
        let files = downloading(|progress| Hub::from_env()?.fetch(name, progress))?;
        let mut source = Self::of_file(&files.weights)?;
        if let Some(config) = files.config {
            let size = config.test_input_size.unwrap_or(config.input_size);
            source.size = Some(size[1].max(size[2]));
            source.model = Some(config.architecture.replace('_', "-"));
            source.normalize = Some(config.normalize);
            source.classes = config.class_names;
        }
        Ok(source)
    }

    #[cfg(not(feature = "hub"))]
    fn of_hub(name: &str) -> Result<Self, Error> {
        let expected =
            "a file or the folder of a run; build with --features hub to download weights";
        Err(Error::option("weights", name, expected))
    }

    /// The network by its name or, where that is not one of ours, by the tensors.
    fn architecture(&self) -> Result<&'static Architecture, Error> {
        let named = self
            .model
            .as_deref()
            .and_then(|name| models::find(name).ok());
        named
            .or_else(|| self.weights.architecture())
            .ok_or_else(|| Error::UnknownWeights {
                weights: self.weights.path().into(),
            })
    }
}

/// Whether a path has the end of a file of weights.
fn looks_like_file(path: &Path) -> bool {
    let ends = ["safetensors", "pth", "pt", "bin", "ckpt"];
    path.extension()
        .is_some_and(|extension| ends.iter().any(|end| extension.eq_ignore_ascii_case(end)))
}

/// Whether a text is `owner/name` or `owner/name@revision`.
fn looks_like_repository(text: &str) -> bool {
    let is_part = |part: &str| {
        let is_usual = |letter: char| letter.is_ascii_alphanumeric() || "-_.@".contains(letter);
        !part.is_empty() && !part.starts_with('.') && part.chars().all(is_usual)
    };
    text.split_once('/')
        .is_some_and(|(owner, name)| is_part(owner) && is_part(name))
}
