//! Augmentations: pixels, magnitudes and distributions beside those of torchvision, geometry of images
//! and maps, text forms, errors. `scripts/make_augment_golden.py` makes the data.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cutmix_vision::data::augment::{
    AUGMENTATIONS, Augment, Augmentation, AugmentationConfig, CentreCrop, ColorJitter, Fit, Flip,
    Frame, Grayscale, Interval, LISTS, RandAugment, RandomErasing, RandomResizedCrop, Rect, Rotate,
    Shift, Transform, TrivialAugment,
};
use cutmix_vision::data::{ClassMap, DataError, Image, Size};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use serde::de::DeserializeOwned;

const MEAN: [u8; 3] = [124, 116, 104];
const DRAWS: usize = 20_000;

fn data(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/augment_data", name]
        .iter()
        .collect()
}

fn read<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_slice(&std::fs::read(data(name)).unwrap()).unwrap()
}

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn frame(size: Size, target: Size) -> Frame {
    Frame {
        size,
        target,
        mean: MEAN,
    }
}

fn crop(region: Rect, to: Size) -> Transform {
    Transform::Crop { region, to }
}

fn place(canvas: Size, [top, left]: [isize; 2], fill: [u8; 3]) -> Transform {
    Transform::Place {
        canvas,
        top,
        left,
        fill,
    }
}

fn rect([top, left, height, width]: [usize; 4]) -> Rect {
    Rect {
        top,
        left,
        height,
        width,
    }
}

fn apply(transforms: &[Transform], image: Image) -> Image {
    Transform::apply_all(transforms, image).unwrap()
}

// Beside torchvision: pixels.

#[derive(Deserialize)]
struct Golden {
    fill: [u8; 3],
    inputs: Vec<Input>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Input {
    name: String,
    size: Size,
}

#[derive(Deserialize)]
struct Case {
    input: String,
    transform: Described,
    size: Size,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Described {
    Transform(Transform),
    Rotation(f64),
    ShearHorizontally(f64),
    ShearVertically(f64),
    CentreCrop { target: Size, share: f64 },
}

impl Described {
    fn transforms(&self, size: Size, fill: [u8; 3]) -> Vec<Transform> {
        match *self {
            Self::Transform(ref transform) => vec![transform.clone()],
            Self::Rotation(degrees) => vec![Transform::rotation(degrees, size, fill)],
            Self::ShearHorizontally(shear) => vec![Transform::shear_horizontally(shear, fill)],
            Self::ShearVertically(shear) => vec![Transform::shear_vertically(shear, fill)],
            Self::CentreCrop { target, share } => {
                Fit::Crop.transforms(&frame(size, target), share).unwrap()
            }
        }
    }

    /// The levels of 255 by which a value may differ.
    fn tolerance(&self) -> u8 {
        match self {
            Self::Transform(Transform::Crop { .. } | Transform::Hue(_))
            | Self::CentreCrop { .. } => 1,
            _ => 0,
        }
    }
}

/// Cuts images of these sizes, one below the other, out of a sheet.
fn sheet(name: &str, channels: usize, sizes: impl Iterator<Item = Size>) -> Vec<Image> {
    let sheet = image::open(data(name)).unwrap();
    assert_eq!(usize::from(sheet.color().channel_count()), channels);
    let row = sheet.width() as usize * channels;
    let mut rows = sheet.as_bytes().chunks_exact(row);
    let mut cut = |size: Size| {
        let rows = rows.by_ref().take(size.height);
        let pixels = rows.flat_map(|row| &row[..size.width * channels]).copied();
        Image::new(size, channels, pixels.collect()).unwrap()
    };
    sizes.map(&mut cut).collect()
}

#[test]
fn transforms_equal_torchvision_exactly_and_resizing_within_one_level() {
    let golden: Golden = read("transforms.json");
    for (name, channels) in [("color.png", 3), ("grey.png", 1)] {
        let sizes = golden.inputs.iter().map(|input| input.size);
        let sizes = sizes.chain(golden.cases.iter().map(|case| case.size));
        let mut images = sheet(name, channels, sizes).into_iter();
        let inputs: BTreeMap<_, _> = (golden.inputs.iter().map(|input| &input.name))
            .zip(images.by_ref())
            .collect();
        for (case, expected) in golden.cases.iter().zip(images) {
            let input = inputs[&case.input].clone();
            let changed = apply(&case.transform.transforms(input.size(), golden.fill), input);
            assert_eq!(changed.size(), expected.size(), "{:?}", case.transform);
            let pairs = changed.pixels().iter().zip(expected.pixels());
            let worst = pairs.map(|(a, b)| a.abs_diff(*b)).max();
            assert!(
                worst <= Some(case.transform.tolerance()),
                "{worst:?} levels: {:?}, {name}",
                case.transform
            );
        }
    }
}

#[test]
fn grey_values_equal_those_of_pillow() {
    let golden: Golden = read("transforms.json");
    let sizes = || golden.inputs.iter().map(|input| input.size);
    let pairs = sheet("color.png", 3, sizes())
        .into_iter()
        .zip(sheet("grey.png", 1, sizes()));
    for (color, grey) in pairs {
        assert_eq!(color.into_channels(1).unwrap(), grey);
        let color = grey.clone().into_channels(3).unwrap();
        assert_eq!(color.into_channels(1).unwrap(), grey);
    }
}

// Beside torchvision: magnitudes.

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Magnitudes {
    size: Size,
    rand_augment: BTreeMap<String, Operation>,
    trivial_augment: BTreeMap<String, Operation>,
}

#[derive(Deserialize)]
struct Operation {
    magnitudes: Vec<f64>,
    signed: bool,
}

impl Operation {
    fn transforms(&self, name: &str, index: usize, size: Size) -> Vec<Transform> {
        let magnitude = self.magnitudes[index.min(self.magnitudes.len() - 1)];
        let signs: &[f64] = if self.signed { &[1.0, -1.0] } else { &[1.0] };
        let transform = |sign: &f64| {
            let signed = sign * magnitude;
            // In single precision 16 pixels become 15.999999.
            let pixels = (signed + sign * 1e-4) as isize;
            Some(match name {
                "Identity" => return None,
                "ShearX" => Transform::shear_horizontally(signed, MEAN),
                "ShearY" => Transform::shear_vertically(signed, MEAN),
                "TranslateX" => place(size, [0, pixels], MEAN),
                "TranslateY" => place(size, [pixels, 0], MEAN),
                "Rotate" => Transform::rotation(signed, size, MEAN),
                "Brightness" => Transform::Brightness(1.0 + signed),
                "Color" => Transform::Saturation(1.0 + signed),
                "Contrast" => Transform::Contrast(1.0 + signed),
                "Sharpness" => Transform::Sharpness(1.0 + signed),
                "Posterize" => Transform::Posterize(magnitude as u8),
                "Solarize" => Transform::Solarize(magnitude.ceil() as u8),
                "AutoContrast" => Transform::AutoContrast,
                "Equalize" => Transform::Equalize,
                other => panic!("{other} is not known"),
            })
        };
        signs.iter().filter_map(transform).collect()
    }
}

/// A transform as text, with numbers rounded: tables have five decimals, and JSON may lose the last bit.
fn rounded(transform: &Transform) -> String {
    let round = |value: f64| (value * 1000.0).round() / 1000.0 + 0.0;
    let transform = match *transform {
        Transform::Affine { matrix, fill } => Transform::Affine {
            matrix: matrix.map(round),
            fill,
        },
        Transform::Hue(share) => Transform::Hue(round(share)),
        Transform::Brightness(factor) => Transform::Brightness(round(factor)),
        Transform::Saturation(factor) => Transform::Saturation(round(factor)),
        Transform::Contrast(factor) => Transform::Contrast(round(factor)),
        Transform::Sharpness(factor) => Transform::Sharpness(round(factor)),
        ref other => other.clone(),
    };
    format!("{transform:?}")
}

/// Checks that an augmentation draws these transforms and no others.
fn check_draws(augment: &Augment, size: Size, expected: &[Transform]) {
    let mut expected: Vec<_> = expected.iter().map(rounded).collect();
    let mut rng = rng(1);
    let draw = |_| augment.draw(frame(size, size), &mut rng);
    let mut drawn: Vec<_> = (0..DRAWS)
        .flat_map(draw)
        .map(|transform| rounded(&transform))
        .collect();
    for transforms in [&mut expected, &mut drawn] {
        transforms.sort();
        transforms.dedup();
    }
    assert_eq!(drawn, expected);
}

#[test]
fn magnitudes_of_rand_augment_equal_torchvision() {
    let Magnitudes {
        size,
        rand_augment: space,
        ..
    } = read("magnitudes.json");
    for magnitude in [0, 1, 9, 15, 30] {
        let transforms =
            |(name, operation): (&String, &Operation)| operation.transforms(name, magnitude, size);
        let expected: Vec<_> = space.iter().flat_map(transforms).collect();
        let one = RandAugment {
            operations: 1,
            magnitude,
        };
        check_draws(&Augment::new().with(one), size, &expected);
    }
}

#[test]
fn magnitudes_of_trivial_augment_equal_torchvision() {
    let Magnitudes {
        size,
        trivial_augment: space,
        ..
    } = read("magnitudes.json");
    let transforms = |(name, operation): (&String, &Operation)| -> Vec<_> {
        (0..=30)
            .flat_map(|index| operation.transforms(name, index, size))
            .collect()
    };
    let expected: Vec<_> = space.iter().flat_map(transforms).collect();
    check_draws(&Augment::new().with(TrivialAugment::new()), size, &expected);
}

// Distributions.

/// The statistic of Kolmogorov and Smirnov: the largest distance of two distributions.
fn distance(mut a: Vec<f64>, mut b: Vec<f64>) -> f64 {
    a.sort_by(f64::total_cmp);
    b.sort_by(f64::total_cmp);
    let share = |values: &[f64], at| {
        values.partition_point(|&value| value <= at) as f64 / values.len() as f64
    };
    let both = a.iter().chain(&b);
    both.map(|&at| (share(&a, at) - share(&b, at)).abs())
        .fold(0.0, f64::max)
}

/// Values that are uniform between two numbers.
fn uniform(min: f64, max: f64) -> Vec<f64> {
    let at = |index| (index as f64 + 0.5) / DRAWS as f64;
    (0..DRAWS)
        .map(|index| min + (max - min) * at(index))
        .collect()
}

/// Changes that are drawn for many images.
fn drawn(augment: impl Into<AugmentationConfig>, frame: Frame) -> Vec<Transform> {
    let augment = Augment::new().with(augment);
    let mut rng = rng(2);
    (0..DRAWS)
        .flat_map(|_| augment.draw(frame, &mut rng))
        .collect()
}

/// With this many draws, a correct distribution is further away once in a thousand times.
fn critical() -> f64 {
    1.95 / (DRAWS as f64).sqrt()
}

#[derive(Deserialize)]
struct Distribution {
    size: Size,
    scale: Interval,
    ratio: Interval,
    quantiles: BTreeMap<String, Vec<f64>>,
}

#[test]
fn random_resized_crop_is_distributed_as_in_torchvision() {
    for expected in read::<Vec<Distribution>>("distributions.json") {
        let (size, to) = (expected.size, Size::new(9, 9));
        let crop = RandomResizedCrop::new()
            .with_scale(expected.scale)
            .with_ratio(expected.ratio);
        let region = |transform| match transform {
            Transform::Crop { region, to: size } if size == to => region,
            other => panic!("{other:?}"),
        };
        let regions: Vec<_> = drawn(crop, frame(size, to))
            .into_iter()
            .map(region)
            .collect();
        let values = |value: &dyn Fn(&Rect) -> f64| regions.iter().map(value).collect::<Vec<_>>();
        let rounded = |value: f64| (value * 1e6).round() / 1e6;
        let of = |name: &str| match name {
            "area" => values(&|r| rounded(r.size().area() as f64 / size.area() as f64)),
            "log-ratio" => values(&|r| rounded((r.width as f64 / r.height as f64).ln())),
            _ => values(&|r| {
                let middle = (r.top + r.left) as f64 + (r.height + r.width) as f64 / 2.0;
                rounded(middle / (size.height + size.width) as f64)
            }),
        };
        for (name, expected) in expected.quantiles {
            let distance = distance(of(&name), expected);
            // The quantiles have an error of their own.
            assert!(
                distance < critical() + 0.003,
                "{name} at {size}: {distance}"
            );
        }
    }
}

#[test]
fn color_jitter_draws_uniform_factors_in_a_random_order() {
    let jitter = ColorJitter::new().with_brightness(1.5).with_hue(0.2);
    let transforms = drawn(jitter, frame(Size::new(8, 8), Size::new(8, 8)));
    assert_eq!(transforms.len(), 4 * DRAWS);
    let mut factors = [const { Vec::new() }; 4];
    let mut first = [0; 4];
    for (index, transform) in transforms.into_iter().enumerate() {
        let (kind, factor) = match transform {
            Transform::Brightness(factor) => (0, factor),
            Transform::Contrast(factor) => (1, factor),
            Transform::Saturation(factor) => (2, factor),
            Transform::Hue(share) => (3, share),
            other => panic!("{other:?}"),
        };
        factors[kind].push(factor);
        first[kind] += usize::from(index % 4 == 0);
    }
    let bounds = [(0.0, 2.5), (0.6, 1.4), (0.6, 1.4), (-0.2, 0.2)];
    for (factors, (min, max)) in factors.into_iter().zip(bounds) {
        assert_eq!(factors.len(), DRAWS);
        assert!(distance(factors, uniform(min, max)) < critical());
    }
    first.into_iter().for_each(|count| check_count(count, 0.25));
}

#[test]
fn shifts_are_uniform_over_whole_pixels() {
    let size = Size::new(40, 64);
    let (mut down, mut right) = (Vec::new(), Vec::new());
    for transform in drawn(Shift::new(), frame(size, size)) {
        match transform {
            Transform::Place {
                canvas,
                top,
                left,
                fill,
            } => {
                assert_eq!((canvas, fill), (size, MEAN));
                down.push(top as f64);
                right.push(left as f64);
            }
            other => panic!("{other:?}"),
        }
    }
    // One of 121 shifts does nothing.
    check_count(DRAWS - down.len(), 1.0 / 121.0);
    let unmoved = DRAWS - down.len();
    for mut shifts in [down, right] {
        shifts.extend(vec![0.0; unmoved]);
        let expected = (-5..=5).map(f64::from).collect();
        assert!(distance(shifts, expected) < critical());
    }
}

#[test]
fn rotations_are_uniform_and_erased_boxes_have_the_wanted_area() {
    let size = Size::new(1000, 800);
    let angle = |transform| match transform {
        Transform::Affine {
            matrix: [cosine, _, _, sine, ..],
            ..
        } => sine.atan2(cosine).to_degrees(),
        other => panic!("{other:?}"),
    };
    let angles = drawn(Rotate::new().with_degrees(40.0), frame(size, size))
        .into_iter()
        .map(angle);
    assert!(distance(angles.collect(), uniform(-40.0, 40.0)) < critical());

    let erasing = RandomErasing::new()
        .with_probability(1.0)
        .with_scale(0.02..=0.2);
    let share = |transform| match transform {
        Transform::Erase { region, fill: MEAN } => region.size().area() as f64 / size.area() as f64,
        other => panic!("{other:?}"),
    };
    let shares = drawn(erasing, frame(size, size)).into_iter().map(share);
    assert!(distance(shares.collect(), uniform(0.02, 0.2)) < critical());
}

/// Checks that something of this probability happened `count` times of [`DRAWS`].
fn check_count(count: usize, probability: f64) {
    let expected = DRAWS as f64 * probability;
    let deviation = (expected * (1.0 - probability)).sqrt();
    let distance = (count as f64 - expected).abs();
    assert!(distance <= 4.0 * deviation, "{count} instead of {expected}");
}

#[test]
fn probabilities_are_kept() {
    let at = frame(Size::new(32, 32), Size::new(32, 32));
    let count = |transforms: &[Transform], wanted: &Transform| {
        transforms
            .iter()
            .filter(|&transform| transform == wanted)
            .count()
    };
    let flipped = drawn(Flip::new().with_horizontal(0.5).with_vertical(0.2), at);
    check_count(count(&flipped, &Transform::MirrorHorizontally), 0.5);
    check_count(count(&flipped, &Transform::MirrorVertically), 0.2);
    check_count(drawn(Grayscale::new(), at).len(), 0.1);
    check_count(
        drawn(RandomErasing::new().with_probability(0.25), at).len(),
        0.25,
    );
    for (probability, count) in [(0.0, 0), (1.0, DRAWS)] {
        let flip = Flip::new().with_horizontal(probability);
        assert_eq!(drawn(flip, at).len(), count);
    }
}

// Geometry.

fn sizes(sides: std::ops::Range<usize>) -> impl Strategy<Value = Size> {
    (sides.clone(), sides).prop_map(|(height, width)| Size::new(height, width))
}

fn images() -> impl Strategy<Value = Image> {
    (sizes(1..20), prop_oneof![Just(1), Just(3)]).prop_flat_map(|(size, channels)| {
        let pixels = prop::collection::vec(any::<u8>(), size.area() * channels);
        pixels.prop_map(move |pixels| Image::new(size, channels, pixels).unwrap())
    })
}

fn rects(size: Size) -> impl Strategy<Value = Rect> {
    (0..size.height, 0..size.width).prop_flat_map(move |(top, left)| {
        let sides = (1..=size.height - top, 1..=size.width - left);
        sides.prop_map(move |(height, width)| rect([top, left, height, width]))
    })
}

/// Changes of geometry that take each pixel from one place.
fn moves(size: Size) -> impl Strategy<Value = Transform> {
    let fill = [255; 3];
    prop_oneof![
        Just(Transform::MirrorHorizontally),
        Just(Transform::MirrorVertically),
        (sizes(1..30), [-40..40_isize, -40..40_isize])
            .prop_map(move |(canvas, corner)| place(canvas, corner, fill)),
        (-360.0..360.0).prop_map(move |degrees| Transform::rotation(degrees, size, fill)),
        (-2.0..2.0).prop_map(move |shear| Transform::shear_horizontally(shear, fill)),
        (-2.0..2.0).prop_map(move |shear| Transform::shear_vertically(shear, fill)),
        rects(size).prop_map(|region| crop(region, region.size())),
    ]
}

fn transforms(size: Size) -> impl Strategy<Value = Transform> {
    let factors = 0.0..3.0;
    prop_oneof![
        moves(size),
        (rects(size), sizes(1..20)).prop_map(|(region, to)| crop(region, to)),
        sizes(1..60)
            .prop_flat_map(|to| rects(to).prop_map(move |window| Transform::Resize { to, window })),
        factors.clone().prop_map(Transform::Brightness),
        factors.clone().prop_map(Transform::Contrast),
        factors.clone().prop_map(Transform::Saturation),
        factors.prop_map(Transform::Sharpness),
        (-0.5..=0.5).prop_map(Transform::Hue),
        (1..=8_u8).prop_map(Transform::Posterize),
        any::<u8>().prop_map(Transform::Solarize),
        Just(Transform::AutoContrast),
        Just(Transform::Equalize),
        Just(Transform::Invert),
        Just(Transform::Grayscale),
        rects(size).prop_map(|region| Transform::Erase { region, fill: MEAN }),
    ]
}

proptest! {
    #[test]
    fn transforms_give_the_size_that_they_announce_and_survive_json(
        (image, transform) in images().prop_flat_map(|image| {
            let transform = transforms(image.size());
            (Just(image), transform)
        })
    ) {
        let size = transform.output_size(image.size());
        let map = ClassMap::new(image.size(), vec![7; image.size().area()], 255).unwrap();
        prop_assert_eq!(transform.apply_to_map(map).unwrap().size(), size);
        let channels = image.channels();
        let changed = transform.apply(image).unwrap();
        prop_assert_eq!((changed.size(), changed.channels()), (size, channels));
        let text = serde_json::to_string(&transform).unwrap();
        let read: Transform = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(rounded(&read), rounded(&transform));
    }

    #[test]
    fn images_and_maps_move_together(
        (size, transform) in sizes(1..20).prop_flat_map(|size| (Just(size), moves(size))),
        colored in any::<bool>(),
    ) {
        // The value of each pixel is its class; what is uncovered has 255 in both.
        let classes: Vec<_> = (0..size.area()).map(|pixel| (pixel % 255) as u8).collect();
        let map = classes.iter().map(|&class| u16::from(class)).collect();
        let map = ClassMap::new(size, map, 255).unwrap();
        let image = Image::new(size, 1, classes).unwrap();
        let image = image.into_channels(if colored { 3 } else { 1 }).unwrap();
        let image = transform.apply(image).unwrap().into_channels(1).unwrap();
        let map = transform.apply_to_map(map).unwrap();
        let classes: Vec<_> = map.classes().iter().map(|&class| class as u8).collect();
        prop_assert_eq!(image.pixels(), classes);
    }

    #[test]
    fn resized_images_and_maps_agree_within_the_width_of_a_pixel(
        size in sizes(1..100),
        to in sizes(1..100),
        share in 0.2..=1.0,
    ) {
        // The value of each pixel is its column.
        let columns: Vec<_> = (0..size.area()).map(|pixel| (pixel % size.width) as u8).collect();
        let transforms = Fit::Crop.transforms(&frame(size, to), share).unwrap();
        for transform in transforms.into_iter().chain(Fit::Stretch.transforms(&frame(size, to), 1.0).unwrap()) {
            let wide = match transform {
                Transform::Resize { to, .. } | Transform::Crop { to, .. } => size.width as f64 / to.width as f64,
                _ => unreachable!("{transform:?} is no resizing"),
            };
            let map = columns.iter().map(|&column| u16::from(column)).collect();
            let map = transform.apply_to_map(ClassMap::new(size, map, 255).unwrap()).unwrap();
            let image = transform.apply(Image::new(size, 1, columns.clone()).unwrap()).unwrap();
            for (&value, &class) in image.pixels().iter().zip(map.classes()) {
                let distance = (f64::from(value) - f64::from(class)).abs();
                prop_assert!(distance <= wide + 1.0, "{value} and {class}: {transform:?}");
            }
        }
    }

    #[test]
    fn every_fit_gives_the_target_size(
        image in images(),
        target in sizes(1..40),
        share in 0.1..=1.0,
    ) {
        for fit in [Fit::Crop, Fit::Pad, Fit::Stretch] {
            let transforms = fit.transforms(&frame(image.size(), target), share).unwrap();
            prop_assert_eq!(apply(&transforms, image.clone()).size(), target);
        }
    }

    #[test]
    fn draws_fit_their_images_and_depend_on_the_generator_alone(
        size in prop_oneof![sizes(1..4), sizes(1..70), (1..=5000_usize).prop_map(|side| Size::new(1, side))],
        target in sizes(1..40),
        seed in any::<u64>(),
    ) {
        for info in AUGMENTATIONS {
            let augment: Augment = info.name.parse().unwrap();
            let transforms = augment.draw(frame(size, target), &mut rng(seed));
            prop_assert_eq!(&transforms, &augment.draw(frame(size, target), &mut rng(seed)));
            let image = apply(&transforms, Image::filled(size, 3, MEAN).unwrap());
            prop_assert_eq!(image.size(), if augment.resizes() { target } else { size });
        }
    }
}

#[test]
fn crops_of_the_same_size_keep_the_memory_of_the_image() {
    let size = Size::new(5, 7);
    let image = Image::filled(size, 3, MEAN).unwrap();
    let before = image.pixels().as_ptr();
    let whole = crop(Rect::whole(size), size);
    assert_eq!(whole.apply(image).unwrap().pixels().as_ptr(), before);
    assert_eq!(Fit::Pad.transforms(&frame(size, size), 1.0).unwrap(), []);
    assert_eq!(Fit::Crop.transforms(&frame(size, size), 1.0).unwrap(), []);
}

#[test]
fn padding_puts_the_whole_image_in_the_middle_of_the_mean_colour() {
    let image = Image::filled(Size::new(4, 8), 3, [9; 3]).unwrap();
    let transforms = Fit::Pad
        .transforms(&frame(image.size(), Size::new(8, 8)), 1.0)
        .unwrap();
    let padded = apply(&transforms, image);
    let rows: Vec<_> = padded.pixels().chunks(8 * 3).collect();
    for (index, row) in rows.into_iter().enumerate() {
        let color = if (2..6).contains(&index) {
            [9; 3]
        } else {
            MEAN
        };
        assert_eq!(row, color.repeat(8), "row {index}");
    }
}

#[test]
fn later_augmentations_see_the_size_after_earlier_ones() {
    let augment = Augment::new()
        .with(RandomResizedCrop::new())
        .with(Shift::new().with_pixels(3));
    let (size, target) = (Size::new(50, 60), Size::new(20, 30));
    let mut rng = rng(3);
    for _ in 0..50 {
        for transform in &augment.draw(frame(size, target), &mut rng)[1..] {
            assert!(matches!(transform, Transform::Place { canvas, .. } if *canvas == target));
        }
    }
}

// Text.

#[derive(Debug)]
struct Negative;

impl Augmentation for Negative {
    fn draw(&self, _frame: &Frame, _rng: &mut ChaCha8Rng, transforms: &mut Vec<Transform>) {
        transforms.push(Transform::Invert);
    }
}

#[test]
fn lists_have_names() {
    let lists = [
        Augment::new(),
        Augment::light(),
        Augment::standard(),
        Augment::strong(),
    ];
    assert_eq!(LISTS.len(), lists.len());
    for ((name, text), list) in LISTS.iter().zip(lists) {
        assert_eq!(name.parse::<Augment>().unwrap(), list);
        if !text.is_empty() {
            assert_eq!(list.to_string(), *text);
        }
    }
    assert_eq!(Augment::new().to_string(), "none");
    let longer: Augment = "standard|rotate".parse().unwrap();
    assert_eq!(longer, Augment::standard().with(Rotate::new()));
}

#[test]
fn texts_give_the_same_augmentations_back() {
    let augment = Augment::new()
        .with(
            RandomResizedCrop::new()
                .with_scale(0.35..=1.0)
                .with_ratio(0.9..=1.1),
        )
        .with(CentreCrop::new().with_share(0.5))
        .with(Shift::new().with_pixels(4))
        .with(ColorJitter::new().with_hue(0.1))
        .with(RandAugment::new().with_magnitude(15))
        .with(TrivialAugment::new());
    let text = "random-resized-crop:ratio=0.9..1.1,scale=0.35..1|centre-crop:share=0.5|shift:pixels=4\
                |color-jitter:hue=0.1|rand-augment:magnitude=15|trivial-augment";
    assert_eq!(augment.to_string(), text);
    assert_eq!(text.parse::<Augment>().unwrap(), augment);
    assert_eq!(format!("{augment:#}").parse::<Augment>().unwrap(), augment);
    let stored = serde_json::to_string(&augment).unwrap();
    assert!(stored.contains("shift:pixels=4,share=0.125|"), "{stored}");
    assert_eq!(serde_json::from_str::<Augment>(&stored).unwrap(), augment);
}

#[test]
fn own_augmentations_act_and_have_no_text_form() {
    let augment = Augment::new()
        .with(Flip::new().with_horizontal(1.0))
        .with_own(Negative);
    let size = Size::new(3, 3);
    let transforms = augment.draw(frame(size, size), &mut rng(4));
    assert_eq!(
        transforms,
        [Transform::MirrorHorizontally, Transform::Invert]
    );
    assert_eq!(augment.to_string(), "flip:horizontal=1|Negative");
    assert!(augment.to_string().parse::<Augment>().is_err());
    assert_eq!(augment, augment.clone());
    assert_ne!(
        augment,
        Augment::new()
            .with(Flip::new().with_horizontal(1.0))
            .with_own(Negative)
    );
}

#[test]
fn every_setting_is_described_with_its_default() {
    for info in AUGMENTATIONS {
        let config: AugmentationConfig =
            serde_json::from_str(&format!("{{\"{}\":{{}}}}", info.name)).unwrap();
        assert_eq!(config.name(), info.name);
        assert!(!info.summary.is_empty());
        let settings = info.settings();
        let known: Vec<_> = settings.iter().map(|setting| setting.name).collect();
        for (name, value) in config.values() {
            let setting = settings.iter().find(|setting| setting.name == name);
            let setting = setting.unwrap_or_else(|| panic!("{name} is not in {known:?}"));
            assert_eq!(setting.default.as_ref(), Some(&value));
        }
    }
}

// Errors.

#[test]
fn wrong_texts_are_refused_with_what_is_accepted() {
    let names = "none, light, standard, strong, random-resized-crop, centre-crop, flip, shift, rotate, \
                 color-jitter, grayscale, rand-augment, trivial-augment, random-erasing";
    for (text, message) in [
        ("flp", format!("augmentation is `flp` (did you mean `flip`?), expected {names}")),
        ("standard||flip", format!("augmentation is ``, expected {names}")),
        (
            "flip:vertcal=1",
            "setting is `vertcal` (did you mean `vertical`?) in flip, expected horizontal, vertical".into(),
        ),
        ("flip:0.5", "setting is `0.5` in flip, expected NAME=VALUE".into()),
        (
            "flip:vertical=1,vertical=0",
            "setting is `vertical` twice in flip, expected each setting once".into(),
        ),
        ("trivial-augment:a=1", "setting is `a` in trivial-augment, expected no settings".into()),
        (
            "random-erasing:probability=1.5",
            "probability is 1.5 in random-erasing, expected a number in 0..=1".into(),
        ),
        (
            "random-resized-crop:scale=1..0.5",
            "scale is 1..0.5 in random-resized-crop, expected MIN..MAX with 0 < MIN <= MAX <= 1".into(),
        ),
    ] {
        assert_eq!(text.parse::<Augment>().unwrap_err().to_string(), message);
    }
    let error = "rand-augment:magnitude=2.5".parse::<Augment>().unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("magnitude is 2.5 in rand-augment, expected a whole number")
    );
}

#[test]
fn settings_out_of_range_are_refused_and_never_panic() {
    let nan = ColorJitter::new().with_contrast(f64::NAN);
    let read = |text: &str| -> AugmentationConfig { serde_json::from_str(text).unwrap() };
    for (name, config) in [
        (
            "scale",
            read(r#"{"random-resized-crop": {"scale": "0..1"}}"#),
        ),
        (
            "scale",
            read(r#"{"random-resized-crop": {"scale": "0.5..1.1"}}"#),
        ),
        (
            "ratio",
            read(r#"{"random-resized-crop": {"ratio": "NaN..2"}}"#),
        ),
        ("ratio", read(r#"{"random-erasing": {"ratio": "2..1"}}"#)),
        ("share", read(r#"{"centre-crop": {"share": 0}}"#)),
        ("horizontal", read(r#"{"flip": {"horizontal": 1.1}}"#)),
        ("vertical", read(r#"{"flip": {"vertical": -0.1}}"#)),
        ("share", read(r#"{"shift": {"share": 1e300}}"#)),
        ("degrees", read(r#"{"rotate": {"degrees": 181}}"#)),
        ("contrast", nan.into()),
        ("hue", read(r#"{"color-jitter": {"hue": 0.6}}"#)),
        ("probability", read(r#"{"grayscale": {"probability": 2}}"#)),
        ("operations", read(r#"{"rand-augment": {"operations": 0}}"#)),
        ("magnitude", read(r#"{"rand-augment": {"magnitude": 31}}"#)),
    ] {
        let augment = Augment::new().with(config);
        match augment.check() {
            Err(DataError::Argument { argument, .. }) => assert_eq!(argument, name),
            other => panic!("{augment}: {other:?}"),
        }
        for size in [Size::new(0, 0), Size::new(1, 9), Size::new(40, 30)] {
            augment.draw(frame(size, Size::new(8, 8)), &mut rng(5));
        }
    }
}

#[test]
fn changes_that_do_not_fit_are_refused() {
    let size = Size::new(4, 6);
    let tiny = Fit::Crop
        .transforms(&frame(size, size), 1e-300)
        .unwrap()
        .remove(0);
    let (outside, to, empty) = (rect([2, 0, 3, 1]), Size::new(2, 2), Size::new(0, 1));
    for (name, transform) in [
        ("region", crop(outside, to)),
        ("region", crop(rect([0, 0, 0, 1]), to)),
        ("region", crop(rect([usize::MAX, 0, 2, 1]), to)),
        ("size of the crop", crop(Rect::whole(size), empty)),
        (
            "window",
            Transform::Resize {
                to,
                window: outside,
            },
        ),
        ("size after resizing", tiny),
        ("canvas", place(empty, [0, 0], MEAN)),
        ("matrix", Transform::shear_vertically(f64::NAN, MEAN)),
        ("brightness", Transform::Brightness(-1.0)),
        ("contrast", Transform::Contrast(f64::INFINITY)),
        ("saturation", Transform::Saturation(f64::NAN)),
        ("sharpness", Transform::Sharpness(-0.1)),
        ("hue", Transform::Hue(0.51)),
        ("bits", Transform::Posterize(0)),
        ("bits", Transform::Posterize(9)),
        (
            "region",
            Transform::Erase {
                region: outside,
                fill: MEAN,
            },
        ),
    ] {
        let image = Image::filled(size, 3, MEAN).unwrap();
        match transform.apply(image) {
            Err(DataError::Argument { argument, .. }) => assert_eq!(argument, name),
            other => panic!("{transform:?}: {other:?}"),
        }
    }
    for corner in [[isize::MIN, isize::MAX], [isize::MAX, isize::MIN]] {
        let image = Image::filled(size, 1, [0; 3]).unwrap();
        let away = place(size, corner, [9; 3]);
        assert_eq!(away.apply(image).unwrap().pixels(), [9; 24]);
    }
}

#[test]
fn wrong_images_maps_and_shares_are_refused() {
    let size = Size::new(2, 3);
    let at = frame(size, size);
    for (error, message) in [
        (
            Image::new(size, 3, vec![0; 17]).err(),
            "pixels is 17 values, expected 18 values",
        ),
        (
            Image::filled(size, 2, MEAN).err(),
            "channels is 2, expected 1 (grey) or 3 (RGB)",
        ),
        (
            Image::new(Size::new(0, 3), 1, vec![]).err(),
            "size is 0 x 3, expected sides of 1 to 32767 pixels",
        ),
        (
            ClassMap::new(size, vec![0; 5], 255).err(),
            "classes is 5 values, expected 6 values",
        ),
        (
            Fit::Crop.transforms(&at, 1.5).err(),
            "share is 1.5, expected a number above 0 and up to 1",
        ),
    ] {
        assert_eq!(error.unwrap().to_string(), message);
    }
}
