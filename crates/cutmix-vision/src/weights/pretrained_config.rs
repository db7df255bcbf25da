//! What published weights expect of their images, as timm writes it.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::Normalize;

/// Network, images and classes that published weights belong to: what timm writes into the
/// `config.json` beside them.
///
/// Fields that a file leaves out have timm's defaults, those of its class `PretrainedCfg`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PretrainedConfig {
    /// timm's name of the network, such as `resnet50`.
    pub architecture: String,
    /// Number of classes, 0 for weights without a head.
    pub num_classes: usize,
    /// Names of the classes in the order of the head's rows, where the file has them.
    pub class_names: Option<Vec<String>>,
    /// Normalisation of the images.
    pub normalize: Normalize,
    /// Channels, height and width of the images in training.
    pub input_size: [usize; 3],
    /// Channels, height and width of the images in evaluation, where these differ.
    pub test_input_size: Option<[usize; 3]>,
    /// Share of an image's shorter side that is kept in evaluation, above 0.
    pub crop: f64,
    /// The same for images of `test_input_size`, where it differs.
    pub test_crop: Option<f64>,
    /// Filter that resizes the images: `bilinear`, `bicubic` or another name that timm knows.
    pub interpolation: String,
}

impl PretrainedConfig {
    /// The configuration in the text of a `config.json`, or nothing where it is an object that names
    /// no `architecture`: that of another library.
    ///
    /// # Errors
    /// An error with its line where the text is no JSON object, or a field has a wrong type or is out
    /// of range.
    ///
    /// ```
    /// use cutmix_vision::weights::PretrainedConfig;
    ///
    /// let text = r#"{ "architecture": "resnet50", "pretrained_cfg": { "crop_pct": 0.95 } }"#;
    /// let config = PretrainedConfig::from_json(text)?.expect("it names an architecture");
    /// assert_eq!(config.crop, 0.95);
    /// assert_eq!(config.input_size, [3, 224, 224]);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn from_json(text: &str) -> serde_json::Result<Option<Self>> {
        let fields: serde_json::Map<_, _> = serde_json::from_str(text)?;
        let is_of_timm = fields.contains_key("architecture");
        is_of_timm.then(|| serde_json::from_str(text)).transpose()
    }
}

impl<'de> Deserialize<'de> for PretrainedConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let file = File::deserialize(deserializer)?;
        // Files of old versions of timm have all fields in one object.
        let images = file.pretrained_cfg.unwrap_or(file.images);
        let config = Self {
            architecture: file.architecture,
            num_classes: file.num_classes.or(images.num_classes).unwrap_or(1000),
            class_names: file.label_names.or(images.label_names).or(file.labels),
            normalize: Normalize {
                mean: images
                    .mean
                    .unwrap_or_else(|| crate::data::IMAGENET_MEAN.into()),
                std: images
                    .std
                    .unwrap_or_else(|| crate::data::IMAGENET_STD.into()),
            },
            input_size: images.input_size.unwrap_or([3, 224, 224]),
            test_input_size: images.test_input_size,
            crop: images.crop_pct.unwrap_or(0.875),
            test_crop: images.test_crop_pct,
            interpolation: images.interpolation.unwrap_or_else(|| "bicubic".into()),
        };
        config.check().map_err(D::Error::custom)?;
        Ok(config)
    }
}

impl PretrainedConfig {
    fn check(&self) -> Result<(), String> {
        let Normalize { mean, std } = &self.normalize;
        let channels = self.input_size[0];
        let sizes = self.test_input_size.unwrap_or(self.input_size);
        let crops = [self.crop, self.test_crop.unwrap_or(1.0)];
        let names = self.class_names.as_ref().map_or(self.num_classes, Vec::len);
        if self.input_size.contains(&0) || sizes.contains(&0) {
            Err("input_size has a 0, expected sizes above 0".into())
        } else if mean.len() != channels || !mean.iter().all(|mean| mean.is_finite()) {
            Err(format!(
                "mean is {mean:?}, expected one number for each of {channels} channels"
            ))
        } else if std.len() != channels || !std.iter().all(|std| std.is_finite() && *std > 0.0) {
            Err(format!(
                "std is {std:?}, expected one number above 0 for each of {channels} channels"
            ))
        } else if !crops.iter().all(|crop| crop.is_finite() && *crop > 0.0) {
            Err(format!(
                "crop_pct is {}, expected a share above 0",
                crops[0].min(crops[1])
            ))
        } else if names != self.num_classes {
            let classes = self.num_classes;
            Err(format!(
                "label_names has {names} names, expected one for each of {classes} classes"
            ))
        } else {
            Ok(())
        }
    }
}

/// `config.json`, field by field.
#[derive(Deserialize)]
struct File {
    architecture: String,
    num_classes: Option<usize>,
    label_names: Option<Vec<String>>,
    /// The old name of `label_names`.
    labels: Option<Vec<String>>,
    pretrained_cfg: Option<Images>,
    #[serde(flatten)]
    images: Images,
}

#[derive(Deserialize)]
struct Images {
    mean: Option<Vec<f32>>,
    std: Option<Vec<f32>>,
    input_size: Option<[usize; 3]>,
    test_input_size: Option<[usize; 3]>,
    crop_pct: Option<f64>,
    test_crop_pct: Option<f64>,
    interpolation: Option<String>,
    num_classes: Option<usize>,
    label_names: Option<Vec<String>>,
}
