//! The augmentations that can be chosen by name.

use rand_chacha::ChaCha8Rng;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::super::DataError;
use super::text::unknown;
use super::{
    Augmentation, CentreCrop, ColorJitter, Flip, Frame, Grayscale, RandAugment, RandomErasing,
    RandomResizedCrop, Rotate, Shift, Transform, TrivialAugment,
};

/// The names of settings, each with a text that begins with the values that are accepted.
type Descriptions = &'static [(&'static str, &'static str)];

/// What a program shows of an augmentation that can be chosen by name.
pub(super) trait Describe: Default + Serialize + DeserializeOwned {
    /// What the augmentation does, in one line.
    const SUMMARY: &'static str;

    /// The settings.
    const SETTINGS: Descriptions;
}

/// An augmentation that can be chosen by name.
#[derive(Clone, Copy, Debug)]
pub struct AugmentationInfo {
    /// The name: `flip`.
    pub name: &'static str,
    /// What the augmentation does, in one line.
    pub summary: &'static str,
    settings: Descriptions,
    default: fn() -> AugmentationConfig,
    parse: fn(Map<String, Value>) -> Result<AugmentationConfig, DataError>,
}

/// A setting of an augmentation that can be chosen by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The name: `probability`.
    pub name: &'static str,
    /// The values that are accepted, and what the setting does.
    pub description: &'static str,
    /// The value where none is given; `None` for a setting that is off.
    pub default: Option<Value>,
}

impl AugmentationInfo {
    /// The settings, with their defaults.
    pub fn settings(&self) -> Vec<Setting> {
        let mut defaults = self.defaults();
        let settings = self.settings.iter().map(|&(name, description)| Setting {
            name,
            description,
            default: defaults.remove(name),
        });
        settings.collect()
    }

    /// The values of the settings where none is given.
    pub(super) fn defaults(&self) -> Map<String, Value> {
        (self.default)().values()
    }
}

/// Makes settings from values by name; a setting that is not given has its default.
fn from_settings<T: Describe>(settings: Map<String, Value>) -> Result<T, DataError> {
    for (name, value) in &settings {
        let Some((name, accepted)) = T::SETTINGS.iter().find(|(known, _)| known == name) else {
            let names: Vec<_> = T::SETTINGS.iter().map(|(name, _)| *name).collect();
            return Err(unknown("setting", name, &names));
        };
        // One by one, so that the error names the setting.
        let alone = Map::from_iter([(name.to_string(), value.clone())]);
        T::deserialize(Value::Object(alone))
            .map_err(|_| DataError::argument(name, value, accepted))?;
    }
    T::deserialize(Value::Object(settings))
        .map_err(|error| DataError::argument("setting", error, "settings that fit together"))
}

/// Defines [`AugmentationConfig`] and what is known of each of its augmentations.
macro_rules! registry {
    ($($name:literal => $augmentation:ident,)*) => {
        /// The settings of an augmentation that can be chosen by name.
        ///
        /// As data it is a map of the name to the settings:
        ///
        /// ```
        /// use cutmix_vision::data::augment::{AugmentationConfig, Flip};
        ///
        /// let config: AugmentationConfig = serde_json::from_str(r#"{"flip": {"vertical": 0.5}}"#)?;
        /// assert_eq!(config, Flip::new().with_vertical(0.5).into());
        /// # Ok::<(), serde_json::Error>(())
        /// ```
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum AugmentationConfig {
            $(
                #[doc = concat!("The settings of `", $name, "`.")]
                #[serde(rename = $name)]
                $augmentation($augmentation),
            )*
        }

        /// The augmentations that can be chosen by name.
        pub static AUGMENTATIONS: &[AugmentationInfo] = &[
            $(AugmentationInfo {
                name: $name,
                summary: $augmentation::SUMMARY,
                settings: $augmentation::SETTINGS,
                default: || $augmentation::default().into(),
                parse: |settings| from_settings::<$augmentation>(settings).map(Into::into),
            },)*
        ];

        $(
            impl From<$augmentation> for AugmentationConfig {
                fn from(settings: $augmentation) -> Self {
                    Self::$augmentation(settings)
                }
            }
        )*

        impl AugmentationConfig {
            /// The name of the augmentation.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$augmentation(_) => $name,)*
                }
            }

            fn to_json(&self) -> Result<Value, serde_json::Error> {
                match self {
                    $(Self::$augmentation(settings) => serde_json::to_value(settings),)*
                }
            }

            fn augmentation(&self) -> &dyn Augmentation {
                match self {
                    $(Self::$augmentation(settings) => settings,)*
                }
            }
        }
    };
}

registry! {
    "random-resized-crop" => RandomResizedCrop,
    "centre-crop" => CentreCrop,
    "flip" => Flip,
    "shift" => Shift,
    "rotate" => Rotate,
    "color-jitter" => ColorJitter,
    "grayscale" => Grayscale,
    "rand-augment" => RandAugment,
    "trivial-augment" => TrivialAugment,
    "random-erasing" => RandomErasing,
}

impl AugmentationConfig {
    /// The settings of the augmentation `name` with these values, such as numbers or `"0.35..1"`; those
    /// that are not given have their defaults.
    ///
    /// # Errors
    ///
    /// [`DataError::Argument`] for an unknown augmentation or setting, with the known ones, and for a
    /// value that is not accepted.
    pub fn from_settings(name: &str, settings: Map<String, Value>) -> Result<Self, DataError> {
        let Some(info) = AUGMENTATIONS.iter().find(|info| info.name == name) else {
            let names: Vec<_> = AUGMENTATIONS.iter().map(|info| info.name).collect();
            return Err(unknown("augmentation", name, &names));
        };
        let config = (info.parse)(settings)?;
        config.check()?;
        Ok(config)
    }

    /// The values of all settings that are not off.
    pub fn values(&self) -> Map<String, Value> {
        match self.to_json() {
            Ok(Value::Object(settings)) => settings,
            // Structs of numbers and texts become objects.
            other => unreachable!("settings are an object, not {other:?}"),
        }
    }

    /// The description of the augmentation in [`AUGMENTATIONS`].
    pub fn info(&self) -> &'static AugmentationInfo {
        let info = AUGMENTATIONS.iter().find(|info| info.name == self.name());
        info.expect("both come from one list")
    }
}

impl Augmentation for AugmentationConfig {
    fn draw(&self, frame: &Frame, rng: &mut ChaCha8Rng, transforms: &mut Vec<Transform>) {
        self.augmentation().draw(frame, rng, transforms);
    }

    fn resizes(&self) -> bool {
        self.augmentation().resizes()
    }

    fn check(&self) -> Result<(), DataError> {
        self.augmentation().check()
    }
}
