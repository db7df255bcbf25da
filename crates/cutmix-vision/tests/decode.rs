//! Image files, good and bad.

use std::fs;
use std::path::Path;

use cutmix_vision::{DataConfig, DataError, DecodeConfig, Depth, Image, View, load_image, open};
use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgb, RgbImage, Rgba};
use tempfile::tempdir;

fn load(path: impl AsRef<Path>, size: usize, channels: usize) -> Result<Image, DataError> {
    let view = View::new([channels, size, size]);
    load_image(path, &view, &DecodeConfig::new())
}

fn pixels(path: impl AsRef<Path>, size: usize, channels: usize) -> Vec<u8> {
    load(path, size, channels).unwrap().into_pixels()
}

#[test]
fn images_are_grey_only_where_all_are_grey() {
    let dir = tempdir().unwrap();
    let path = |name: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    let config = DataConfig::new().with_size(4);
    let grey = image::GrayImage::from_fn(4, 4, |x, y| Luma([(16 * y + x) as u8]));
    grey.save(path("a/1.png")).unwrap();
    let deep = ImageBuffer::<Luma<u16>, _>::from_pixel(4, 4, Luma([0xabcd]));
    deep.save(path("b/1.png")).unwrap();
    let set = open(dir.path(), &config).unwrap().train;
    assert_eq!(set.shape(), [1, 4, 4]);
    assert_eq!(set.image(0).unwrap().pixels(), &grey.clone().into_raw());
    assert_eq!(set.image(1).unwrap().pixels(), [0xab; 16]);

    RgbImage::from_pixel(4, 4, Rgb([1, 2, 3]))
        .save(path("b/2.png"))
        .unwrap();
    let set = open(dir.path(), &config).unwrap().train;
    assert_eq!(set.shape(), [3, 4, 4]);
    let thrice: Vec<_> = grey.iter().flat_map(|&value| [value; 3]).collect();
    assert_eq!(set.image(0).unwrap().pixels(), thrice);
    assert_eq!(set.image(2).unwrap().pixels(), [1, 2, 3].repeat(16));

    let one = config.with_channels(Some(1));
    assert_eq!(open(dir.path(), &one).unwrap().train.shape(), [1, 4, 4]);
}

#[test]
fn the_shorter_side_is_resized_and_the_middle_cut_out() {
    let dir = tempdir().unwrap();
    // Three squares beside each other: the middle one stays.
    let image = RgbImage::from_fn(24, 8, |x, _| Rgb([(x / 8 * 100) as u8; 3]));
    let (wide, tall) = (dir.path().join("wide.png"), dir.path().join("tall.png"));
    image.save(&wide).unwrap();
    image::imageops::rotate90(&image).save(&tall).unwrap();
    assert_eq!(pixels(&wide, 8, 1), [100; 64]);
    assert_eq!(pixels(&tall, 8, 1), [100; 64]);
    assert_eq!(pixels(&tall, 3, 3).len(), 27);
}

#[test]
fn the_exif_orientation_is_applied() {
    let dir = tempdir().unwrap();
    // Left half black, right half white, and an EXIF block that says "rotate by 90 degrees".
    let image = RgbImage::from_fn(16, 16, |x, _| Rgb([if x < 8 { 0 } else { 255 }; 3]));
    let mut jpeg = std::io::Cursor::new(Vec::new());
    DynamicImage::from(image)
        .write_to(&mut jpeg, ImageFormat::Jpeg)
        .unwrap();
    let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let segment = [&[0xff, 0xe1, 0, exif.len() as u8 + 2], &exif[..]].concat();
    let mut bytes = jpeg.into_inner();
    bytes.splice(2..2, segment);
    let path = dir.path().join("turned.jpg");
    fs::write(&path, bytes).unwrap();
    let pixels = pixels(&path, 16, 1);
    let (top, bottom) = (pixels[2 * 16 + 2], pixels[13 * 16 + 13]);
    assert!(top < 20 && bottom > 235, "{top} {bottom}");
    let left_below = pixels[13 * 16 + 2];
    assert!(left_below > 235, "{left_below}");
}

#[test]
fn transparency_is_composited_on_the_background() {
    let dir = tempdir().unwrap();
    let (color, grey) = (dir.path().join("color.png"), dir.path().join("grey.png"));
    let half = ImageBuffer::from_pixel(2, 2, Rgba([200u8, 100, 0, 128]));
    half.save(&color).unwrap();
    ImageBuffer::from_pixel(2, 2, LumaA([100u8, 0]))
        .save(&grey)
        .unwrap();
    let on = |path: &Path, background, channels| {
        let view = View::new([channels, 1, 1]);
        let config = DecodeConfig::new().with_background(background);
        load_image(path, &view, &config).unwrap().into_pixels()
    };
    assert_eq!(pixels(&color, 1, 3), [227, 177, 127]);
    assert_eq!(on(&color, [0; 3], 3), [100, 50, 0]);
    assert_eq!(pixels(&grey, 1, 1), [255]);
    assert_eq!(on(&grey, [10, 20, 30], 3), [10, 20, 30]);
    // A transparent colour of a palette.
    let palette = dir.path().join("palette.png");
    let mut encoder = png::Encoder::new(fs::File::create(&palette).unwrap(), 1, 1);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_palette(vec![9, 9, 9]);
    encoder.set_trns(vec![0]);
    encoder
        .write_header()
        .unwrap()
        .write_image_data(&[0])
        .unwrap();
    assert_eq!(on(&palette, [1, 2, 3], 3), [1, 2, 3]);
}

#[test]
fn twelve_bits_in_a_file_of_sixteen_are_stretched() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("scan.png");
    let save = |values: [u16; 4]| {
        let image = ImageBuffer::<Luma<u16>, _>::from_raw(2, 2, values.to_vec());
        image.unwrap().save(&path).unwrap();
    };
    let with = |depth| {
        let config = DecodeConfig::new().with_depth(depth);
        load_image(&path, &View::new([1, 2, 2]), &config)
            .unwrap()
            .into_pixels()
    };
    save([0, 2048, 4095, 1024]);
    assert_eq!(with(Depth::Auto), [0, 128, 255, 64]);
    assert_eq!(with(Depth::Bits(16)), [0, 8, 16, 4]);
    assert_eq!(with(Depth::Bits(10)), [0, 255, 255, 255]);
    save([0, 2048, 4096, 65_535]);
    assert_eq!(with(Depth::Auto), [0, 8, 16, 255]);
    assert_eq!("12".parse::<Depth>().unwrap(), Depth::Bits(12));
    assert!("8".parse::<Depth>().is_err() && "17".parse::<Depth>().is_err());
}

#[test]
fn other_formats_are_read() {
    let dir = tempdir().unwrap();
    for (name, format) in [
        ("a.gif", ImageFormat::Gif),
        ("a.tiff", ImageFormat::Tiff),
        ("a.webp", ImageFormat::WebP),
        ("a.bmp", ImageFormat::Bmp),
    ] {
        let path = dir.path().join(name);
        let image = RgbImage::from_pixel(5, 5, Rgb([250, 128, 3]));
        image.save_with_format(&path, format).unwrap();
        let found = pixels(&path, 5, 3);
        let close = found.iter().zip([250u8, 128, 3].into_iter().cycle());
        assert!(
            close.clone().all(|(a, b)| a.abs_diff(b) <= 4),
            "{name}: {found:?}"
        );
    }
}

#[test]
fn a_file_that_is_no_image_is_a_bad_image() {
    let dir = tempdir().unwrap();
    let good = dir.path().join("good.png");
    RgbImage::new(20, 20).save(&good).unwrap();
    let bytes = fs::read(&good).unwrap();
    let reason = |bytes: &[u8]| {
        let path = dir.path().join("bad.jpg");
        fs::write(&path, bytes).unwrap();
        match load(&path, 8, 3).unwrap_err() {
            DataError::Image {
                reason,
                path: found,
            } if found == path => reason,
            error => panic!("{error}"),
        }
    };
    assert_eq!(reason(b""), "the file is empty");
    assert_eq!(
        reason(b"hello"),
        "not a JPEG, PNG, WebP, GIF, TIFF or BMP file"
    );
    assert_eq!(
        reason(b"<html><body>404</body></html>"),
        "not a JPEG, PNG, WebP, GIF, TIFF or BMP file"
    );
    assert!(!reason(&bytes[..bytes.len() / 2]).contains('\n'));
}

/// A few bytes that claim to be an image of 12 GB.
#[test]
fn an_image_that_takes_too_much_memory_is_named_with_its_size() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("huge.bmp");
    let mut bytes = b"BM".to_vec();
    for field in [54u32 + 1000, 0, 54, 40, 65_535, 65_535] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend([1, 0, 24, 0]); // planes, bits for each pixel
    bytes.extend([0; 24 + 1000]);
    fs::write(&path, bytes).unwrap();
    let error = load(&path, 8, 3).unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, DataError::TooLarge { .. }), "{message}");
    assert!(message.contains("65535 x 65535 pixels"), "{message}");

    let small = dir.path().join("small.png");
    RgbImage::new(100, 100).save(&small).unwrap();
    let tight = DecodeConfig::new().with_memory(10_000);
    let error = load_image(&small, &View::new([3, 8, 8]), &tight).unwrap_err();
    assert!(
        matches!(error, DataError::TooLarge { memory: 10_000, .. }),
        "{error}"
    );
}
