//! `cutmix explain`.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::Device;
use clap::value_parser;
use cutmix_vision::models::Classifier;
use cutmix_vision::{AnyNetwork, Image, load_image, to_tensor};

use crate::device;
use crate::error::Error;
use crate::outputs::{most_likely, probabilities};
use crate::picture::{Explanation, heat_maps};
use crate::precision::Precision;
use crate::run_folder::{ModelCard, RunFolder};
use crate::settings::Bytes;
use crate::terminal::{self, line};

/// Draw where in image files a network sees their classes.
///
/// For each image a picture is written: the image as the network sees it, and a class activation map
/// over it. Bright places speak for the class.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// Folder that `cutmix train` wrote, for example runs/001
    run: PathBuf,
    /// Image files: JPEG, PNG, WebP, GIF, TIFF or BMP
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Class to draw a map for; can be given several times [default: the most likely one of each image]
    #[arg(long, value_name = "NAME", conflicts_with = "top")]
    class: Vec<String>,
    /// Number of classes to draw maps for, most likely first
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = value_parser!(u32).range(1..))]
    top: u32,
    /// Folder for the pictures [default: the folder `explain` of the run]
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Memory that all threads together may take to decode images [default: as the run did]
    #[arg(long, value_name = "BYTES")]
    decode_memory: Option<Bytes>,
    /// Where to compute: auto, cpu, vulkan, vulkan:1, cuda, rocm, metal, webgpu or wgpu
    #[arg(long, default_value = "auto")]
    device: String,
}

/// Draws a picture for each image. One that cannot be read is reported, and the others are still
/// drawn.
pub fn run(args: ExplainArgs) -> Result<(), Error> {
    let device = device::choose(&args.device)?.device;
    let folder = RunFolder::open(&args.run)?;
    let (mut card, model) = folder.load_model(&device, Precision::F32)?;
    if let Some(memory) = args.decode_memory {
        card.decoding.memory = memory.0;
    }
    let classes = args.class.iter().map(|name| find_class(name, &card));
    let classes = classes.collect::<Result<Vec<_>, _>>()?;
    let output = (args.output).unwrap_or_else(|| folder.path().join("explain"));
    fs::create_dir_all(&output).map_err(|error| Error::write(&output, error))?;
    let explainer = Explainer {
        model: model.valid(),
        card,
        device,
        classes,
        top: args.top as usize,
    };
    let mut names = Names::default();
    let mut failed = 0;
    for path in &args.images {
        let image = load_image(path, &explainer.card.view, &explainer.card.decoding);
        let image = match image.map_err(Error::from) {
            Ok(image) => image,
            Err(error) => {
                failed += 1;
                terminal::error(error.without_advice());
                continue;
            }
        };
        let explained = explainer.explain(path, image)?;
        let picture = output.join(names.for_image(path));
        let written = explained.draw().write(&picture);
        written.map_err(|error| Error::write(&picture, std::io::Error::other(error)))?;
        let (caption, _) = &explained.maps[0];
        line(format!(
            "{}  {}  {}",
            path.display(),
            caption.join(" "),
            picture.display()
        ));
    }
    if failed > 0 {
        let total = args.images.len();
        return Err(Error::Images { failed, total });
    }
    Ok(())
}

fn find_class(name: &str, card: &ModelCard) -> Result<usize, Error> {
    let known = || card.classes.iter().map(String::as_str);
    let found = known().position(|class| class == name);
    found.ok_or_else(|| Error::unknown("class", name, known()))
}

/// What explains images.
struct Explainer {
    model: AnyNetwork,
    card: ModelCard,
    device: Device,
    /// The classes that were asked for, if any.
    classes: Vec<usize>,
    /// The number of most likely classes that are explained otherwise.
    top: usize,
}

impl Explainer {
    fn explain(&self, path: &Path, image: Image) -> Result<Explanation, Error> {
        let input = to_tensor(
            std::slice::from_ref(&image),
            &self.card.normalize,
            &self.device,
        )?;
        let features = self.model.features(input);
        let logits = self.model.head().forward(self.model.pool(features.clone()));
        let probabilities = probabilities(logits, &self.card)?;
        let mut maps = Vec::new();
        for class in self.explained(&probabilities) {
            let [heat] = heat_maps(&self.model, features.clone(), &[class])?
                .try_into()
                .expect("there is one image");
            let probability = format!("{:.1} %", 100.0 * probabilities[class]);
            maps.push((vec![self.card.classes[class].clone(), probability], heat));
        }
        let title = path.file_name().unwrap_or(path.as_os_str());
        Ok(Explanation {
            title: title.to_string_lossy().into_owned(),
            image,
            maps,
        })
    }

    /// The classes that are explained for an image.
    fn explained(&self, probabilities: &[f32]) -> Vec<usize> {
        if !self.classes.is_empty() {
            return self.classes.clone();
        }
        most_likely(probabilities, self.top)
    }
}

/// Names of pictures, each given once, also where a file system does not tell cases apart.
#[derive(Default)]
struct Names(HashSet<String>);

impl Names {
    /// `cat.map.png` for `photos/cat.jpg`, so that no image is replaced by its own picture;
    /// `cat-2.map.png` where that was given.
    fn for_image(&mut self, path: &Path) -> String {
        let stem = path.file_stem().unwrap_or(path.as_os_str());
        let stem = stem.to_string_lossy();
        let mut numbers = 2..;
        let mut name = format!("{stem}.map.png");
        while !self.0.insert(name.to_lowercase()) {
            let number = numbers.next().expect("there is always another number");
            name = format!("{stem}-{number}.map.png");
        }
        name
    }
}
