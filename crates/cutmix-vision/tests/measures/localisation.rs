//! Maps and boxes that are written by hand.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use cutmix_train::{Error, Network};
use cutmix_vision::Size;
use cutmix_vision::data::augment::Rect;
use cutmix_vision::measures::{Localisation, LocalisationConfig, object_box, overlap};
use cutmix_vision::models::{Classifier, Features, upsample};

use super::Images;

const fn rect(top: usize, left: usize, height: usize, width: usize) -> Rect {
    Rect {
        top,
        left,
        height,
        width,
    }
}

/// The box in a map of letters: `#` is 1, `+` is 0.5 and everything else 0.
fn found(rows: &[&str], threshold: f64) -> Option<Rect> {
    let value = |letter: u8| match letter {
        b'#' => 1.0,
        b'+' => 0.5,
        _ => 0.0,
    };
    let map: Vec<f32> = rows.iter().flat_map(|row| row.bytes().map(value)).collect();
    object_box(&map, Size::new(rows.len(), rows[0].len()), threshold)
}

#[test]
fn the_box_is_that_of_the_largest_region() {
    let rows = [
        "##...+", //
        "#....+", //
        "...+++", //
        "......", //
        "##..#.", //
    ];
    assert_eq!(found(&rows, 0.5), Some(rect(0, 3, 3, 3)));
    // Of the two regions with the highest value, the larger one.
    assert_eq!(found(&rows, 0.6), Some(rect(0, 0, 2, 2)));
    // Of equal ones the first.
    assert_eq!(
        found(&["#.##", "#...", "...#"], 0.5),
        Some(rect(0, 0, 2, 1))
    );
    // Corners touch.
    assert_eq!(
        found(&["#...", ".#..", "..#.", "#..."], 0.5),
        Some(rect(0, 0, 3, 3))
    );
    assert_eq!(found(&["#.+"], 0.0), Some(rect(0, 0, 1, 3)));
    assert_eq!(found(&[".##.", "...."], 1.0), Some(rect(0, 1, 1, 2)));
    // The ends of a row and of the next one do not touch.
    assert_eq!(found(&["..#", "#..", "#.."], 0.5), Some(rect(1, 0, 2, 1)));
}

#[test]
fn maps_are_scaled_before_the_threshold() {
    let map = [-3.0, -1.0, 0.9, 1.0];
    let found = |threshold| object_box(&map, Size::new(1, 4), threshold);
    assert_eq!(found(0.5), Some(rect(0, 1, 1, 3)));
    assert_eq!(found(0.51), Some(rect(0, 2, 1, 2)));
    assert_eq!(found(0.98), Some(rect(0, 3, 1, 1)));
}

#[test]
fn an_even_map_has_no_object() {
    for value in [0.0, -2.0, 5.0, f32::NAN, f32::INFINITY] {
        assert_eq!(object_box(&[value; 6], Size::new(2, 3), 0.2), None);
    }
    assert_eq!(
        object_box(&[0.0, f32::NAN, 1.0], Size::new(1, 3), 0.2),
        None
    );
    assert_eq!(object_box(&[1.0], Size::new(1, 1), 0.2), None);
}

#[test]
fn the_overlap_is_the_shared_part_of_both_boxes() {
    let square = rect(2, 2, 4, 4);
    for (other, expected) in [
        (square, 1.0),
        (rect(2, 2, 4, 2), 0.5),
        (rect(4, 4, 4, 4), 4.0 / 28.0),
        (rect(0, 0, 8, 8), 0.25),
        (rect(6, 2, 1, 4), 0.0),
        (rect(0, 0, 0, 0), 0.0),
    ] {
        assert_eq!(overlap(square, other), expected, "{other}");
        assert_eq!(overlap(other, square), expected, "{other}");
    }
    assert_eq!(overlap(rect(0, 0, 0, 3), rect(1, 1, 2, 0)), 0.0);
}

#[test]
fn upsampled_maps_are_bilinear() {
    let map = upsample(&[0.0, 4.0, 8.0, 12.0], Size::new(2, 2), Size::new(4, 4));
    let rows = [0.0, 2.0, 6.0, 8.0];
    let expected = rows.map(|row| [0.0, 1.0, 3.0, 4.0].map(|column| row + column));
    assert_eq!(map, expected.as_flattened());
    let same = [1.0, -2.0, 3.0];
    assert_eq!(upsample(&same, Size::new(3, 1), Size::new(3, 1)), same);
    assert_eq!(upsample(&[7.0], Size::new(1, 1), Size::new(2, 3)), [7.0; 6]);
}

/// A network whose activation map of a class is a channel of the image, at half its size.
#[derive(Module, Debug)]
struct Channels {
    head: Linear,
}

impl Channels {
    fn new(device: &Device) -> Self {
        let mut head = LinearConfig::new(2, 2).with_bias(false).init(device);
        let own = [[1.0, 0.0], [0.0, 1.0]];
        head.weight = (head.weight).map(|old| Tensor::from_floats(own, &old.device()));
        Self { head }
    }
}

impl Network for Channels {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.head.forward(self.pool(self.features(images)))
    }
}

impl Classifier for Channels {
    fn features(&self, images: Tensor<4>) -> Features {
        let [count, channels, height, width] = images.dims();
        let halves = images
            .reshape([count, channels, height / 2, 2, width])
            .mean_dim(3);
        let quarters = halves
            .reshape([count, channels, height / 2, width / 2, 2])
            .mean_dim(4);
        quarters
            .reshape([count, channels, height / 2, width / 2])
            .into()
    }

    fn pool(&self, features: Features) -> Tensor<2> {
        features.map.mean_dim(3).mean_dim(2).flatten(1, 3)
    }

    fn head(&self) -> &Linear {
        &self.head
    }
}

/// An image of 8 x 8 pixels and two channels, each with a bright box.
fn image(boxes: [Rect; 2], bright: f32) -> Vec<f32> {
    let mut pixels = vec![0.0; 2 * 64];
    for (channel, part) in pixels.chunks_exact_mut(64).zip(boxes) {
        for row in part.top..part.top + part.height {
            channel[8 * row + part.left..][..part.width].fill(bright);
        }
    }
    pixels
}

const CORNER: Rect = rect(0, 0, 4, 4);
const LARGE: Rect = rect(2, 2, 6, 6);
const NOTHING: Rect = rect(0, 0, 0, 0);

fn measure(thresholds: &[f64], boxes: impl Fn(usize) -> Option<Rect>) -> Vec<Localisation> {
    let device = Device::default();
    let pixels = [
        // The first class is predicted in all but the second image, where it is hardly there.
        image([LARGE, CORNER], 1.0),
        image([CORNER, LARGE], 1.0),
        image([LARGE, NOTHING], 1.0),
        image([CORNER, NOTHING], 1.0),
    ];
    let images = Images::new([2, 8, 8], pixels.concat(), vec![0, 0, 1, 0]).in_batches_of(3);
    let config = LocalisationConfig::new().with_thresholds(thresholds.to_vec());
    config
        .measure(&Channels::new(&device), &images, boxes, &device)
        .unwrap()
}

#[test]
fn the_share_of_localised_objects_is_that_of_maps_that_agree_with_the_boxes() {
    // The map of the third image is even, so nothing is localised, although it is all one object.
    let boxes = |image: usize| [Some(LARGE), Some(CORNER), Some(rect(0, 0, 8, 8)), None][image];
    // Half of the value of a bright place is reached in the middle between it and its neighbour, so the
    // boxes are exact.
    let [found] = measure(&[0.5], boxes).try_into().unwrap();
    let expected = Localisation {
        images: 3,
        threshold: 0.5,
        known_class: 2.0 / 3.0,
        top1: 1.0 / 3.0,
        mean_overlap: 2.0 / 3.0,
    };
    assert_eq!(found, expected);
    // The true box has a quarter, and then half of the place of the map.
    let quarter = |image: usize| (image == 3).then_some(rect(0, 0, 8, 8));
    let half = |image: usize| (image == 3).then_some(rect(0, 0, 4, 2));
    for (boxes, overlap, is_localised) in [
        (&quarter as &dyn Fn(usize) -> Option<Rect>, 0.25, 0.0),
        (&half, 0.5, 1.0),
    ] {
        let [found] = measure(&[0.5], boxes).try_into().unwrap();
        assert_eq!((found.images, found.mean_overlap), (1, overlap));
        assert_eq!(
            (found.known_class, found.top1),
            (is_localised, is_localised)
        );
    }
}

#[test]
fn the_best_threshold_is_the_first_with_the_most_localised_objects() {
    let boxes = |image: usize| (image == 3).then_some(CORNER);
    let thresholds = LocalisationConfig::new().thresholds;
    assert_eq!(thresholds.len(), 19);
    assert_eq!(
        (thresholds[0], thresholds[3], thresholds[18]),
        (0.05, 0.2, 0.95)
    );
    let results = measure(&thresholds, boxes);
    let best = Localisation::best(&results).unwrap();
    assert_eq!(best.known_class, 1.0);
    let first = results
        .iter()
        .find(|result| result.known_class == 1.0)
        .unwrap();
    assert_eq!(best, first);
    // Beyond the middle the box becomes smaller.
    let at = |threshold: f64| {
        results
            .iter()
            .find(|one| one.threshold == threshold)
            .unwrap()
    };
    assert!(at(0.5).mean_overlap == 1.0 && at(0.95).mean_overlap < 1.0);
    assert_eq!(Localisation::best(&measure(&[0.5], |_| None)), None);
}

#[test]
fn images_without_boxes_do_not_count() {
    let expected = Localisation {
        images: 0,
        threshold: 0.2,
        known_class: 0.0,
        top1: 0.0,
        mean_overlap: 0.0,
    };
    assert_eq!(measure(&[0.2], |_| None), [expected]);
}

#[test]
fn thresholds_out_of_range_are_errors() {
    let device = Device::default();
    let images = Images::new([2, 8, 8], vec![0.0; 128], vec![0]);
    for thresholds in [vec![], vec![-0.1], vec![1.1], vec![f64::NAN]] {
        let config = LocalisationConfig::new().with_thresholds(thresholds.clone());
        let error = config.measure(&Channels::new(&device), &images, |_| None, &device);
        let error = error.unwrap_err();
        assert!(matches!(error, Error::Argument { .. }));
        let expected =
            format!("`thresholds` is {thresholds:?}; accepted: at least one number, each in 0..=1");
        assert_eq!(error.to_string(), expected);
    }
}
