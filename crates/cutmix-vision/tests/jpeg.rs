//! The decoder of JPEG files, on the files and pixels that `scripts/make_jpeg_golden.py` made with
//! libjpeg.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use cutmix_vision::{
    Content, DataError, DecodeConfig, Image, ImageLoader, LoaderConfig, Normalize, Size, View,
    load_image,
};
use image::codecs::jpeg::JpegEncoder;
use image::{ImageReader, Rgb, RgbImage};

use common::{jpeg_files, set_of};

/// The kinds of files: the paths of all of them, and what libjpeg makes of each.
fn kinds() -> Vec<(PathBuf, Image)> {
    let paths = jpeg_files();
    assert_eq!(paths.len(), 45);
    let kind = |path: PathBuf| {
        let pixels = ImageReader::open(path.with_extension("png")).unwrap();
        let pixels = pixels.decode().unwrap();
        let size = Size::new(pixels.height() as usize, pixels.width() as usize);
        let channels = usize::from(pixels.color().channel_count());
        let expected = Image::new(size, channels, pixels.into_bytes()).unwrap();
        (path, expected)
    };
    paths.into_iter().map(kind).collect()
}

fn view(channels: usize, Size { height, width }: Size) -> View {
    View::new([channels, height, width])
}

#[test]
fn the_pixels_are_those_of_libjpeg() {
    for (path, expected) in kinds() {
        let view = view(expected.channels(), expected.size());
        let found = load_image(&path, &view, &DecodeConfig::new()).unwrap();
        assert!(found == expected, "{}", path.display());
    }
}

/// The loader of random parts of an image, of this size.
fn parts(content: Content<'static>, view: View, scale: &str) -> ImageLoader {
    let augment = format!("random-resized-crop:scale={scale}");
    let channels = view.shape[0];
    let normalize = Normalize {
        mean: vec![0.5; channels],
        std: vec![0.2; channels],
    };
    let config = LoaderConfig::new(1, normalize).with_augment(augment.parse().unwrap());
    ImageLoader::train(set_of(content, view), config).unwrap()
}

#[test]
fn parts_have_the_pixels_of_the_whole() {
    for (path, expected) in kinds() {
        let bytes = fs::read(&path).unwrap();
        let view = view(expected.channels(), expected.size());
        let file = parts(Content::File(bytes.into()), view, "0.05..1");
        let image = parts(Content::Image(expected), view, "0.05..1");
        for epoch in 0..50 {
            let (found, expected) = (file.image(epoch, 0), image.image(epoch, 0));
            let same = found.unwrap() == expected.unwrap();
            assert!(same, "{}, epoch {epoch}", path.display());
        }
    }
}

/// Parts that are decoded at 1/2, 1/4 and 1/8 are where those of the whole image are.
#[test]
fn parts_that_are_made_smaller_are_those_of_the_whole() {
    // A shift by a pixel changes the mean by 0.3, at 1/8 by 2.5; that of good files is 0.43 at most.
    let image = RgbImage::from_fn(403, 299, |x, y| {
        let (x, y) = (x as f32 / 402.0, y as f32 / 298.0);
        Rgb([255.0 * x, 255.0 * y, 127.0 * (x + 1.0 - y)].map(|value| value as u8))
    });
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 97);
    encoder.encode_image(&image).unwrap();
    for side in [24, 50, 100] {
        let view = View::new([3, side, side]);
        let file = parts(Content::File(bytes.clone().into()), view, "0.5..1");
        let pixels = Image::new(Size::new(299, 403), 3, image.clone().into_raw()).unwrap();
        let image = parts(Content::Image(pixels), view, "0.5..1");
        for epoch in 0..50 {
            let (found, expected) = (file.image(epoch, 0), image.image(epoch, 0));
            let mean = difference(&found.unwrap(), &expected.unwrap());
            assert!(mean < 0.45, "{side}, epoch {epoch}: {mean}");
        }
    }
}

/// The mean difference of two images.
fn difference(one: &Image, other: &Image) -> f64 {
    let pairs = one.pixels().iter().zip(other.pixels());
    let sum: u32 = pairs
        .map(|(one, other)| u32::from(one.abs_diff(*other)))
        .sum();
    f64::from(sum) / one.pixels().len() as f64
}

#[test]
fn a_color_image_as_a_grey_one_has_its_luminance() {
    for (path, expected) in kinds() {
        let found = load_image(&path, &view(1, expected.size()), &DecodeConfig::new()).unwrap();
        let expected = expected.into_channels(1).unwrap();
        // Colours that no RGB pixel has were cut off before.
        let mean = difference(&found, &expected);
        assert!(mean < 3.0, "{}: {mean}", path.display());
    }
}

#[test]
fn a_file_of_any_kind_that_ends_early_is_bad() {
    for (path, expected) in kinds() {
        let bytes = fs::read(&path).unwrap();
        let whole = view(expected.channels(), expected.size());
        // A part of it does not hide what is wrong with the rest.
        for view in [whole, View::new([3, 4, 4])] {
            for cut in (0..bytes.len() - 2).step_by(7).chain([bytes.len() - 3]) {
                let file = Content::File(bytes[..cut].to_vec().into());
                match set_of(file, view).image(0) {
                    Err(DataError::Image { .. }) => {}
                    Err(error) => panic!("{error}"),
                    Ok(_) => panic!("{} of {} bytes", path.display(), cut),
                }
            }
        }
    }
}

/// The places of the marker and of the end of each scan of a file.
fn scans(bytes: &[u8]) -> Vec<(usize, usize)> {
    let is_scan = |at: &usize| bytes[*at..].starts_with(&[0xff, 0xda]);
    let starts = (0..bytes.len()).filter(is_scan);
    let end = |start: usize| {
        let is_marker = |at: &usize| bytes[*at] == 0xff && bytes[at + 1] != 0;
        (start + 2..bytes.len() - 1).find(is_marker).unwrap()
    };
    starts.map(|start| (start, end(start))).collect()
}

#[test]
fn a_progressive_file_without_one_of_its_scans_is_bad() {
    for name in [
        "420_progressive.jpg",
        "420_spectral_selection.jpg",
        "grey_progressive.jpg",
    ] {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/jpeg_data");
        let bytes = fs::read(dir.join(name)).unwrap();
        let scans = scans(&bytes);
        assert!(scans.len() >= 4, "{name}");
        for (start, end) in scans {
            let file = [&bytes[..start], &bytes[end..]].concat();
            let set = set_of(Content::File(file.into()), View::new([3, 37, 45]));
            assert!(set.image(0).is_err(), "{name} without {start}..{end}");
        }
    }
}

/// All scans of a progressive file together need its coefficients.
#[test]
fn the_memory_of_a_progressive_file_counts() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/jpeg_data");
    let load = |name: &str, memory| {
        let config = DecodeConfig::new().with_memory(memory);
        load_image(dir.join(name), &View::new([3, 37, 45]), &config)
    };
    // Three components of 6 x 5 blocks of 64 samples, and the pixels.
    let samples = 3 * 30 * 64 + 3 * 37 * 45;
    // 2 bytes for each coefficient, and 64 bits for each block.
    let coefficients = 3 * 30 * (2 * 64 + 8);
    for (name, memory) in [
        ("444.jpg", samples),
        ("444_progressive.jpg", samples + coefficients),
    ] {
        assert!(load(name, memory).is_ok(), "{name}");
        let error = load(name, memory - 1).unwrap_err();
        assert!(matches!(error, DataError::TooLarge { .. }), "{error}");
    }
}
