//! The most confident mistakes, each as a picture of the image and what the network saw in it.

use std::fs;
use std::io;
use std::path::Path;

use burn::module::Module;
use burn::tensor::Device;
use cutmix_vision::models::Classifier;
use cutmix_vision::{AnyNetwork, Dataset, Image, to_tensor};
use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use maud::{Markup, html};

use super::run::{Evaluated, mistake_pictures};
use super::{MISTAKES, data_uri, percent};
use crate::commands::explain::heat_maps;
use crate::error::Error;
use crate::picture::{Heat, color, shown};
use crate::report::evaluation::{ImagePrediction, SingleLabel};
use crate::run_folder::{ModelCard, write_whole};

/// The side of an image in pixels, about.
const SIDE: usize = 128;
const QUALITY: u8 = 88;

/// Writes pictures of the first of these mistakes into the folder of an evaluation, in place of older
/// ones. `data` are the images as the network sees them.
pub fn write_pictures(
    folder: &Path,
    mistakes: &[ImagePrediction],
    data: &Dataset,
    (card, model): (&ModelCard, &AnyNetwork),
    device: &Device,
) -> Result<(), Error> {
    let mistakes = &mistakes[..mistakes.len().min(MISTAKES)];
    let place = folder.join("mistakes");
    match fs::remove_dir_all(&place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::write(&place, error));
        }
        _ => {}
    }
    if mistakes.is_empty() {
        return Ok(());
    }
    fs::create_dir_all(&place).map_err(|error| Error::write(&place, error))?;
    let images = mistakes.iter().map(|mistake| data.image(mistake.index));
    let images = images.collect::<Result<Vec<_>, _>>()?;
    let class = |mistake: &ImagePrediction| {
        let mut known = card.classes.iter();
        known
            .position(|class| *class == mistake.predicted)
            .unwrap_or(0)
    };
    let classes: Vec<_> = mistakes.iter().map(class).collect();
    let model = model.valid();
    let features = model.features(to_tensor(&images, &card.normalize, device)?);
    let heats = heat_maps(&model, features, &classes)?;
    for ((image, heat), path) in images.iter().zip(&heats).zip(mistake_pictures(folder)) {
        let bytes = jpeg(&side_by_side(image, heat));
        let bytes = bytes.map_err(|error| Error::write(&path, io::Error::other(error)))?;
        write_whole(&path, &bytes)?;
    }
    Ok(())
}

/// The image, and at its right the map over it, in its own scale of colours.
fn side_by_side(image: &Image, heat: &Heat) -> Image {
    let left = shown(image, SIDE);
    let right = heat.over(&left, heat.highest());
    let size = left.size();
    let row = 3 * size.width;
    let rows = left.pixels().chunks(row).zip(right.pixels().chunks(row));
    let pixels = rows.flat_map(|(left, right)| left.iter().chain(right).copied());
    let size = cutmix_vision::Size::new(size.height, 2 * size.width);
    Image::new(size, 3, pixels.collect()).expect("two images of few pixels fit side by side")
}

fn jpeg(image: &Image) -> image::ImageResult<Vec<u8>> {
    let mut bytes = Vec::new();
    let size = image.size();
    let (width, height) = (size.width as u32, size.height as u32);
    let encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
    image::ImageEncoder::write_image(
        encoder,
        image.pixels(),
        width,
        height,
        ExtendedColorType::Rgb8,
    )?;
    Ok(bytes)
}

/// The most confident mistakes of an evaluation.
pub fn section(evaluated: &Evaluated, result: &SingleLabel) -> Markup {
    let pictures = &evaluated.mistakes;
    if pictures.is_empty() {
        return html! {};
    }
    let all = result.mistakes.len();
    let shown = pictures.len().min(all);
    html! {
        h3 { "Most confident mistakes" }
        p.faint {
            (shown) " of " (all) ", each with its class activation map: bright places spoke for the class that was \
            predicted."
        }
        p.key { "little" i style=(format!("background:linear-gradient(to right,{})", gradient())) {} "much" }
        ul.mistakes {
            @for (mistake, picture) in result.mistakes.iter().zip(pictures) {
                li { (figure(mistake, picture)) }
            }
        }
    }
}

fn figure(mistake: &ImagePrediction, picture: &[u8]) -> Markup {
    let ImagePrediction {
        name,
        class,
        predicted,
        ..
    } = mistake;
    html! {
        figure {
            img src=(data_uri("image/jpeg", picture))
                alt={ "Image " (name) ", and its activation map for " (predicted) };
            figcaption {
                strong { (predicted) } " " (percent(mistake.probability)) br;
                "labelled " (class) br;
                (name)
            }
        }
    }
}

/// The colours of the maps in CSS.
fn gradient() -> String {
    let colors = (0..=8).map(|step| {
        let [red, green, blue] = color(step as f32 / 8.0);
        format!("#{red:02x}{green:02x}{blue:02x}")
    });
    colors.collect::<Vec<_>>().join(",")
}
