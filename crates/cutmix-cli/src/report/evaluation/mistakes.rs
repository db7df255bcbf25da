//! Pictures of the most confident mistakes: each image, and what the network saw in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cutmix_vision::{Image, Size};
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};

use crate::error::Error;
use crate::picture::{Heat, shown};
use crate::run_folder::write_whole;

/// The largest number of mistakes that have pictures.
pub const MISTAKES: usize = 24;
/// The side of an image in pixels, about.
const SIDE: usize = 128;
const QUALITY: u8 = 88;

/// Writes a picture of each image and the map over it into the folder of an evaluation, in place of
/// older ones.
pub fn write_mistakes(folder: &Path, mistakes: &[(Image, Heat)]) -> Result<(), Error> {
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
    for ((image, heat), path) in mistakes.iter().zip(paths(folder)) {
        let bytes = jpeg(&side_by_side(image, heat));
        let bytes = bytes.map_err(|error| Error::write(&path, io::Error::other(error)))?;
        write_whole(&path, &bytes)?;
    }
    Ok(())
}

/// The pictures in the folder of an evaluation, JPEG files, in order.
pub fn read_mistakes(folder: &Path) -> Vec<Vec<u8>> {
    let pictures = paths(folder).map_while(|path| fs::read(path).ok());
    pictures.collect()
}

fn paths(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let folder = folder.join("mistakes");
    (1..=MISTAKES).map(move |number| folder.join(format!("{number:02}.jpg")))
}

/// The image, and at its right the map over it, in its own scale of colours.
fn side_by_side(image: &Image, heat: &Heat) -> Image {
    let left = shown(image, SIDE);
    let right = heat.over(&left, heat.highest());
    let size = left.size();
    let row = 3 * size.width;
    let rows = left.pixels().chunks(row).zip(right.pixels().chunks(row));
    let pixels = rows.flat_map(|(left, right)| left.iter().chain(right).copied());
    let size = Size::new(size.height, 2 * size.width);
    Image::new(size, 3, pixels.collect()).expect("two images of few pixels fit side by side")
}

fn jpeg(image: &Image) -> image::ImageResult<Vec<u8>> {
    let mut bytes = Vec::new();
    let size = image.size();
    let (width, height) = (size.width as u32, size.height as u32);
    let encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
    encoder.write_image(image.pixels(), width, height, ExtendedColorType::Rgb8)?;
    Ok(bytes)
}
