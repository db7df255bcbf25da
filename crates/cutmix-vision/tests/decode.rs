//! Image files, good and bad.

mod common;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use cutmix_vision::{
    Content, DataConfig, DataError, Dataset, DecodeConfig, Depth, Image, ImageLoader, Label,
    LoaderConfig, Normalize, Size, Source, View, load_image, open,
};
use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgb, RgbImage, Rgba};
use proptest::prelude::*;
use tempfile::tempdir;

use common::{jpeg_files, set_of};

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

#[test]
fn a_file_larger_than_the_memory_is_not_read() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("large.png");
    // It is no image either, but that is not found out.
    fs::write(&path, vec![0; 5000]).unwrap();
    let config = DecodeConfig::new().with_memory(4999);
    let error = load_image(&path, &View::new([3, 8, 8]), &config).unwrap_err();
    assert!(matches!(error, DataError::TooLarge { memory: 4999, .. }));
    assert!(
        error.to_string().contains("a file of 5000 bytes"),
        "{error}"
    );
}

#[test]
fn files_that_are_read_at_a_time_fit_into_the_memory() {
    /// Files of 600 bytes, by what it says, and the largest number that was read at a time.
    #[derive(Debug, Default)]
    struct Files {
        now: AtomicUsize,
        most: AtomicUsize,
    }

    impl Source for Files {
        fn len(&self) -> usize {
            100
        }

        fn name(&self, index: usize) -> String {
            format!("#{index}")
        }

        fn label(&self, _: usize) -> Label {
            Label::Class(0)
        }

        fn bytes(&self, index: usize) -> u64 {
            [600, 1001][usize::from(index == 99)]
        }

        fn content(&self, index: usize) -> Result<Content<'_>, DataError> {
            assert_ne!(index, 99, "it is larger than the memory");
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            (0..100).for_each(|_| std::thread::yield_now());
            self.now.fetch_sub(1, Ordering::SeqCst);
            Ok(Content::Image(Image::new(Size::new(1, 1), 1, vec![0])?))
        }
    }

    let source = Arc::new(Files::default());
    let set = Dataset::from_source(vec!["a".into()], View::new([1, 1, 1]), source.clone()).unwrap();
    let set = set.with_decoding(DecodeConfig::new().with_memory(1000));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..99).for_each(|index| drop(set.image(index).unwrap())));
        }
    });
    assert_eq!(source.most.load(Ordering::SeqCst), 1);
    let error = set.image(99).unwrap_err();
    assert!(
        error.to_string().contains("a file of 1001 bytes"),
        "{error}"
    );
}

/// A JPEG of this size with details everywhere.
fn jpeg(width: u32, height: u32, quality: u8) -> Vec<u8> {
    let pixel = |x: u32, y: u32| {
        let (x, y) = (f64::from(x), f64::from(y));
        let wave = |phase: f64| 128.0 + 100.0 * ((x / 9.0 + phase).sin() * (y / 7.0).cos());
        Rgb([wave(0.0) as u8, wave(1.0) as u8, wave(2.0) as u8])
    };
    let mut file = Vec::new();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut file, quality);
    encoder
        .encode_image(&RgbImage::from_fn(width, height, pixel))
        .unwrap();
    file
}

/// The largest difference of two images.
fn difference(one: &Image, other: &Image) -> u8 {
    assert_eq!(one.size(), other.size());
    let pairs = one.pixels().iter().zip(other.pixels());
    pairs
        .map(|(one, other)| one.abs_diff(*other))
        .max()
        .unwrap()
}

#[test]
fn a_part_of_a_jpeg_equals_that_part_of_the_whole() {
    let set = in_memory(jpeg(131, 97, 95));
    let whole = set.original(0).unwrap();
    for size in [1, 8, 32, 97] {
        let view = View::new([3, size, size]);
        let expected = in_pixels(whole.clone())
            .with_view(view)
            .unwrap()
            .image(0)
            .unwrap();
        let found = set.clone().with_view(view).unwrap().image(0).unwrap();
        // At less than half of the size a smaller version is decoded.
        let limit = if size > 48 { 0 } else { 48 };
        let worst = difference(&found, &expected);
        assert!(worst <= limit, "{size}: {worst}");
    }
    // Random crops, which are decoded alone.
    for (scale, limit) in [("0.9..1", 0), ("0.3..0.5", 1)] {
        let augment = format!("random-resized-crop:scale={scale}");
        let draw = |set: Dataset, index| {
            let view = View::new([3, 64, 64]);
            let set = set.with_view(view).unwrap();
            let normalize = Normalize::imagenet();
            let config = LoaderConfig::new(1, normalize).with_augment(augment.parse().unwrap());
            ImageLoader::train(set, config)
                .unwrap()
                .image(index, 0)
                .unwrap()
        };
        for epoch in 0..40 {
            let found = draw(set.clone(), epoch);
            let expected = draw(in_pixels(whole.clone()), epoch);
            let worst = difference(&found, &expected);
            assert!(worst <= limit, "{scale}, epoch {epoch}: {worst}");
        }
    }
}

#[test]
fn a_jpeg_that_ends_early_or_lacks_its_middle_is_a_bad_image() {
    let good = jpeg(200, 150, 90);
    let is_bad = |bytes: Vec<u8>| match in_memory(bytes).original(0) {
        Err(DataError::Image { .. }) => true,
        Ok(_) => false,
        Err(error) => panic!("{error}"),
    };
    for share in [30, 60, 90] {
        assert!(
            is_bad(good[..good.len() * share / 100].to_vec()),
            "{share} %"
        );
    }
    let middle = good.len() / 2;
    assert!(is_bad([&good[..middle], &good[middle + 500..]].concat()));
    // What comes after the end is no part of the image.
    assert!(!is_bad([&good[..], b"and more"].concat()));
    assert!(!is_bad([&good[..], &[0; 5000]].concat()));
}

/// Files that `scripts/make_odd_files.py` made: their size, channels and middle pixel, or why they are
/// bad.
#[test]
fn odd_files_are_what_they_are() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/odd_files/images");
    let opened = |name: &str| {
        let bytes = fs::read(dir.join(name)).unwrap();
        in_memory(bytes).original(0)
    };
    let whole = opened("garbage_after_end.jpg").unwrap();
    let Size { height, width } = whole.size();
    for (name, channels) in [
        ("progressive.jpg", 3),
        ("cmyk.jpg", 3),
        ("grey.jpg", 1),
        ("rotated.jpg", 3),
    ] {
        let image = opened(name).unwrap();
        let turned = name == "rotated.jpg";
        let size = if turned {
            Size::new(width, height)
        } else {
            Size::new(height, width)
        };
        assert_eq!((image.size(), image.channels()), (size, channels), "{name}");
        // The same picture, packed with losses.
        let mean = |image: &Image| {
            let grey = image.clone().into_channels(1).unwrap();
            let sum: u64 = grey.pixels().iter().map(|&value| u64::from(value)).sum();
            sum as f64 / size.area() as f64
        };
        assert!((mean(&image) - mean(&whole)).abs() < 3.0, "{name}");
    }
    for name in [
        "cut_30.jpg",
        "cut_60.jpg",
        "cut_90.jpg",
        "hole.jpg",
        "empty.jpg",
        "page.jpg",
    ] {
        let error = opened(name).unwrap_err();
        assert!(matches!(error, DataError::Image { .. }), "{name}: {error}");
    }
    for name in ["claims_60000.jpg", "claims_60000.png"] {
        let error = opened(name).unwrap_err();
        let message = error.to_string();
        assert!(
            matches!(error, DataError::TooLarge { .. }),
            "{name}: {message}"
        );
        assert!(message.contains("60000 x 60000"), "{message}");
    }
    let brightest = |name: &str| *opened(name).unwrap().pixels().iter().max().unwrap();
    // 4080 of 4095, and a value of 16 bits that uses them all.
    assert!(brightest("values_of_12_bits.png") > 240);
    assert_eq!(opened("grey_and_alpha.png").unwrap().channels(), 1);
    assert_eq!(
        opened("palette_and_transparency.png").unwrap().channels(),
        3
    );
    for name in [
        "jpeg.txt",
        "png.jpg",
        "animation.gif",
        "values_of_16_bits.tif",
        "values_of_16_bits.png",
    ] {
        assert!(opened(name).is_ok(), "{name}");
    }
}

/// A good file of each format, and of each kind of JPEG.
fn good_files() -> Vec<Vec<u8>> {
    let image = RgbImage::from_fn(24, 17, |x, y| {
        Rgb([(9 * x) as u8, (13 * y) as u8, (x * y) as u8])
    });
    let formats = [
        ImageFormat::Jpeg,
        ImageFormat::Png,
        ImageFormat::Gif,
        ImageFormat::Tiff,
        ImageFormat::WebP,
        ImageFormat::Bmp,
    ];
    let file = |format| {
        let mut file = std::io::Cursor::new(Vec::new());
        image.write_to(&mut file, format).unwrap();
        file.into_inner()
    };
    let jpegs = jpeg_files().into_iter().map(|path| fs::read(path).unwrap());
    formats.into_iter().map(file).chain(jpegs).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8_000))]
    #[test]
    fn no_bytes_make_a_decoder_panic(
        file in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let files = GOOD.get_or_init(good_files);
        let mut bytes = files[file.index(files.len())].clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let set = in_memory(bytes);
        let augment = "random-resized-crop".parse().unwrap();
        let config = LoaderConfig::new(1, Normalize::imagenet()).with_augment(augment);
        let part = ImageLoader::train(set.clone(), config).unwrap().image(0, 0);
        for image in [set.image(0), set.original(0), part] {
            match image {
                Ok(image) => prop_assert!(image.size().area() > 0),
                Err(error) => prop_assert!(error.is_of_image(), "{}", error),
            }
        }
    }
}

static GOOD: OnceLock<Vec<Vec<u8>>> = OnceLock::new();

/// A set of one file, which is decoded within 16 MiB.
fn in_memory(bytes: Vec<u8>) -> Dataset {
    one(Content::File(bytes.into()))
}

/// A set of one image.
fn in_pixels(image: Image) -> Dataset {
    one(Content::Image(image))
}

fn one(content: Content<'static>) -> Dataset {
    let set = set_of(content, View::new([3, 8, 8]));
    set.with_decoding(DecodeConfig::new().with_memory(16 << 20))
}
