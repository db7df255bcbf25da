//! The algorithms that can be chosen by name.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    Algorithm, CutMix, CutOut, Ema, FMix, GradientClipping, LabelSmoothing, MixUp, MixUpOrCutMix,
    ProgressiveResizing, ResizeMix, Sam,
};
use crate::network::{Network, WithForward};
use crate::{Error, Event};

/// The names of settings, each with a text that begins with the values that are accepted.
type Descriptions = &'static [(&'static str, &'static str)];

/// What a program shows of an algorithm that can be chosen by name.
pub(super) trait Describe: Default + Serialize + DeserializeOwned {
    /// What the algorithm does, in one line.
    const SUMMARY: &'static str;

    /// The event at which the algorithm acts first.
    const EVENT: Event;

    /// The settings.
    const SETTINGS: Descriptions;

    /// The setting that may be given without its name.
    const UNNAMED: Option<&'static str> = None;

    /// Checks that the algorithm can change images of this spatial shape.
    fn check_images(&self, _spatial: &[usize]) -> Result<(), Error> {
        Ok(())
    }
}

/// The setting `alpha` of the algorithms that mix samples.
pub(super) const ALPHA: (&str, &str) = (
    "alpha",
    "a finite number above 0: lambda is drawn from Beta(alpha, alpha)",
);

/// The setting `mode` of the algorithms that mix samples.
pub(super) const MODE: (&str, &str) = (
    "mode",
    "batch, pair or sample: one lambda for the batch, for each pair or for each sample",
);

/// The setting `interpolate-loss` of the algorithms that mix samples.
pub(super) const INTERPOLATE_LOSS: (&str, &str) = (
    "interpolate-loss",
    "true or false: mixes two losses instead of the targets",
);

/// An algorithm that can be chosen by name.
#[derive(Clone, Copy, Debug)]
pub struct AlgorithmInfo {
    /// The name: `cutmix`.
    pub name: &'static str,
    /// What the algorithm does, in one line.
    pub summary: &'static str,
    /// The event at which the algorithm acts first. Algorithms whose event is earlier act before
    /// others, whatever the order in which they were added.
    pub event: Event,
    /// The setting that may be given without its name: `label-smoothing:0.1`.
    pub unnamed: Option<&'static str>,
    settings: Descriptions,
    default: fn() -> AlgorithmConfig,
    parse: fn(Map<String, Value>) -> Result<AlgorithmConfig, Error>,
}

/// A setting of an algorithm that can be chosen by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The name: `alpha`.
    pub name: &'static str,
    /// The values that are accepted, and what the setting does.
    pub description: &'static str,
    /// The value where none is given; `None` for a setting that is off.
    pub default: Option<Value>,
}

impl AlgorithmInfo {
    /// The settings, with their defaults.
    pub fn settings(&self) -> Vec<Setting> {
        let mut defaults = (self.default)().values();
        let settings = self.settings.iter().map(|&(name, description)| Setting {
            name,
            description,
            default: defaults.remove(name),
        });
        settings.collect()
    }

    /// Whether the algorithm changes images, so that a picture can show what it does.
    pub fn changes_images(&self) -> bool {
        self.event == Event::BeforeForward
    }
}

/// Makes settings from values by name; a setting that is not given has its default. `known` are the
/// names of all settings and what each accepts.
pub(super) fn from_settings<T: DeserializeOwned>(
    known: Descriptions,
    settings: Map<String, Value>,
) -> Result<T, Error> {
    for (name, value) in &settings {
        let Some((name, accepted)) = known.iter().find(|(known, _)| known == name) else {
            let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
            return Err(Error::argument("setting", name, names.join(", ")));
        };
        // One by one, so that the error names the setting.
        let alone = Map::from_iter([(name.to_string(), value.clone())]);
        T::deserialize(Value::Object(alone))
            .map_err(|_| Error::argument(name, value, *accepted))?;
    }
    T::deserialize(Value::Object(settings)).map_err(Error::other)
}

/// Defines [`AlgorithmConfig`] and what is known of each of its algorithms.
macro_rules! registry {
    ($($name:literal => $algorithm:ident,)*) => {
        /// The settings of an algorithm that can be chosen by name.
        ///
        /// As data it is a map of the name to the settings:
        ///
        /// ```
        /// use cutmix_train::algorithms::{AlgorithmConfig, CutMix};
        ///
        /// let config: AlgorithmConfig = serde_json::from_str(r#"{"cutmix": {"alpha": 0.5}}"#)?;
        /// assert_eq!(config, CutMix::new().with_alpha(0.5).into());
        /// # Ok::<(), serde_json::Error>(())
        /// ```
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum AlgorithmConfig {
            $(
                #[doc = concat!("The settings of `", $name, "`.")]
                #[serde(rename = $name)]
                $algorithm($algorithm),
            )*
        }

        /// The names of the algorithms that can be chosen.
        pub const NAMES: &[&str] = &[$($name),*];

        /// The algorithms that can be chosen by name.
        pub static ALGORITHMS: &[AlgorithmInfo] = &[
            $(AlgorithmInfo {
                name: $name,
                summary: $algorithm::SUMMARY,
                event: $algorithm::EVENT,
                unnamed: $algorithm::UNNAMED,
                settings: $algorithm::SETTINGS,
                default: || $algorithm::default().into(),
                parse: |settings| {
                    from_settings::<$algorithm>($algorithm::SETTINGS, settings)
                        .map(AlgorithmConfig::from)
                },
            },)*
        ];

        $(
            impl From<$algorithm> for AlgorithmConfig {
                fn from(settings: $algorithm) -> Self {
                    Self::$algorithm(settings)
                }
            }
        )*

        impl AlgorithmConfig {
            /// The name of the algorithm.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$algorithm(_) => $name,)*
                }
            }

            /// Makes the algorithm with these settings.
            pub fn init<M: Network>(self) -> Box<dyn Algorithm<M>> {
                match self {
                    $(Self::$algorithm(settings) => Box::new(settings),)*
                }
            }

            /// Checks that the algorithm can change images of the spatial shape `spatial`.
            ///
            /// # Errors
            ///
            /// [`Error::Mix`] for squares that are larger than the images.
            pub fn check_images(&self, spatial: &[usize]) -> Result<(), Error> {
                match self {
                    $(Self::$algorithm(settings) => settings.check_images(spatial),)*
                }
            }

            fn to_json(&self) -> Result<Value, serde_json::Error> {
                match self {
                    $(Self::$algorithm(settings) => serde_json::to_value(settings),)*
                }
            }
        }
    };
}

registry! {
    "cutmix" => CutMix,
    "mixup" => MixUp,
    "mixup-or-cutmix" => MixUpOrCutMix,
    "fmix" => FMix,
    "resizemix" => ResizeMix,
    "cutout" => CutOut,
    "progressive-resizing" => ProgressiveResizing,
    "label-smoothing" => LabelSmoothing,
    "sam" => Sam,
    "gradient-clipping" => GradientClipping,
    "ema" => Ema,
}

impl AlgorithmConfig {
    /// The settings of the algorithm `name` with these values, such as numbers, `"0.9dur"` or `true`;
    /// those that are not given have their defaults.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] or [`Error::Mix`] for an unknown algorithm or setting, which lists the
    /// known ones, and for a value that is not accepted.
    ///
    /// ```
    /// use cutmix_train::algorithms::{AlgorithmConfig, CutMix};
    ///
    /// let settings = serde_json::Map::from_iter([("alpha".into(), 0.5.into())]);
    /// let config = AlgorithmConfig::from_settings("cutmix", settings)?;
    /// assert_eq!(config, CutMix::new().with_alpha(0.5).into());
    /// # Ok::<(), cutmix_train::Error>(())
    /// ```
    pub fn from_settings(name: &str, settings: Map<String, Value>) -> Result<Self, Error> {
        match ALGORITHMS.iter().find(|info| info.name == name) {
            Some(info) => {
                let config = (info.parse)(settings)?;
                config.check()?;
                Ok(config)
            }
            None => Err(Error::argument("algorithm", name, NAMES.join(", "))),
        }
    }

    /// The values of all settings that are not off.
    pub fn values(&self) -> Map<String, Value> {
        match self.to_json() {
            Ok(Value::Object(settings)) => settings,
            // Structs of numbers, words and flags become objects.
            other => unreachable!("settings are an object, not {other:?}"),
        }
    }

    /// The description of the algorithm in [`ALGORITHMS`].
    pub fn info(&self) -> &'static AlgorithmInfo {
        let info = ALGORITHMS.iter().find(|info| info.name == self.name());
        info.expect("both come from one list")
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] or [`Error::Mix`] for a setting out of range.
    pub fn check(&self) -> Result<(), Error> {
        // Settings do not depend on the network.
        self.clone().init::<WithForward<bool>>().check()
    }
}
