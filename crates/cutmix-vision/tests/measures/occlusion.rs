//! The black pixels are counted, and their places are looked at.

use burn::tensor::{Device, Tensor};
use cutmix_train::{Error, WithForward};
use cutmix_vision::Normalize;
use cutmix_vision::measures::{Occlusion, OcclusionConfig};

use super::{Images, Recorder, normalize};

const BLACK: f32 = -2.0;
const WHITE: f32 = 2.0;

/// So many white images.
fn white(count: usize, [height, width]: [usize; 2]) -> Images {
    let pixels = vec![WHITE; count * height * width];
    Images::new([1, height, width], pixels, vec![0; count])
}

/// What a network sees of white images with one share, for each place of the box: the images of all
/// batches, each with its pixels that are black.
fn occluded(config: &OcclusionConfig, images: Images) -> [Vec<Vec<bool>>; 3] {
    let recorder = Recorder::new();
    let (device, size) = (Device::default(), images.shape.iter().product());
    let result = config.measure(&recorder, &images, &normalize(), &device);
    assert_eq!(result.unwrap().shares, config.shares);
    let mut seen = [const { Vec::new() }; 3];
    for (call, pixels) in recorder.seen().into_iter().enumerate() {
        assert!(pixels.iter().all(|pixel| [BLACK, WHITE].contains(pixel)));
        let images = pixels.chunks(size);
        let images = images.map(|image| image.iter().map(|&pixel| pixel == BLACK).collect());
        seen[call % 3].extend(images);
    }
    seen
}

fn share(share: f64) -> OcclusionConfig {
    OcclusionConfig::new().with_shares(vec![share])
}

/// The first row and column of the pixels that are `is_black`, and the number of their rows and columns.
/// They are a box.
fn as_box(image: &[bool], width: usize, is_black: bool) -> [usize; 4] {
    let places: Vec<_> = (0..image.len())
        .filter(|&at| image[at] == is_black)
        .collect();
    let sides = [|at, width| at / width, |at, width| at % width];
    let [rows, columns] = sides.map(|side: fn(usize, usize) -> usize| {
        let side = |&at: &usize| side(at, width);
        let least = places.iter().map(side).min().unwrap();
        (least, places.iter().map(side).max().unwrap() + 1 - least)
    });
    assert_eq!(places.len(), rows.1 * columns.1);
    [rows.0, columns.0, rows.1, columns.1]
}

#[test]
fn a_box_has_its_share_of_the_pixels_and_the_aspect_of_the_image() {
    assert_eq!(OcclusionConfig::new().shares, [0.05, 0.1, 0.25, 0.5, 0.75]);
    for (part, black, left) in [
        (0.0, [0, 0], [28, 28]),
        (0.05, [6, 6], [27, 27]),
        (0.1, [9, 9], [27, 27]),
        (0.25, [14, 14], [24, 24]),
        (0.5, [20, 20], [20, 20]),
        (0.75, [24, 24], [14, 14]),
        (1.0, [28, 28], [0, 0]),
    ] {
        let [random, centre, border] = occluded(&share(part), white(3, [28, 28]));
        let area = |[height, width]: [usize; 2]| height * width;
        let count = |image: &Vec<bool>| image.iter().filter(|is_black| **is_black).count();
        for image in 0..3 {
            assert_eq!(count(&random[image]), area(black), "{part}");
            assert_eq!(count(&centre[image]), area(black), "{part}");
            assert_eq!(count(&border[image]), 28 * 28 - area(left), "{part}");
        }
    }
    let [random, centre, border] = occluded(&share(0.25), white(1, [20, 40]));
    assert_eq!(as_box(&random[0], 40, true)[2..], [10, 20]);
    assert_eq!(as_box(&centre[0], 40, true), [5, 10, 10, 20]);
    // The root of 3/4 is 0.87.
    assert_eq!(as_box(&border[0], 40, false), [2, 3, 17, 35]);
}

#[test]
fn random_places_are_inside_the_image_and_a_function_of_seed_and_image() {
    let random = |config: &OcclusionConfig, images| occluded(config, images)[0].clone();
    let all = random(&share(0.25), white(400, [8, 8]));
    let places: Vec<_> = all.iter().map(|image| as_box(image, 8, true)).collect();
    // 5 x 5 places of a box of 4 x 4 pixels.
    for place in 0..25 {
        let place = [place / 5, place % 5, 4, 4];
        let count = places.iter().filter(|other| **other == place).count();
        assert!((4..=32).contains(&count), "{place:?}: {count}");
    }
    assert_eq!(
        random(&share(0.25), white(400, [8, 8]).in_batches_of(7)),
        all
    );
    assert_ne!(random(&share(0.25).with_seed(1), white(400, [8, 8])), all);
    // A larger box is about the same place.
    let larger = random(&share(0.5), white(400, [8, 8]));
    for (small, large) in all.iter().zip(&larger) {
        let [small, large] = [small, large].map(|image| as_box(image, 8, true));
        for axis in 0..2 {
            assert!(large[axis] <= small[axis] && small[axis] + 4 <= large[axis] + 6);
        }
    }
}

#[test]
fn accuracy_is_that_of_the_images_with_a_box() {
    let device = Device::default();
    // The second class is predicted where more than half of the pixels are black.
    let model = WithForward::new(burn::nn::Relu::new(), |_, images: Tensor<4>| {
        let mean: Tensor<2> = images.mean_dim(3).mean_dim(2).flatten(1, 3);
        Tensor::cat(vec![mean.clone(), mean.neg()], 1)
    });
    let images = Images::new([1, 8, 8], vec![WHITE; 4 * 64], vec![0, 0, 0, 1]);
    let config = OcclusionConfig::new().with_shares(vec![0.1, 0.75]);
    let found = config.measure(&model, &images.in_batches_of(3), &normalize(), &device);
    let expected = Occlusion {
        seed: 0,
        shares: vec![0.1, 0.75],
        random: vec![0.75, 0.25],
        centre: vec![0.75, 0.25],
        border: vec![0.75, 0.25],
    };
    assert_eq!(found.unwrap(), expected);
}

#[test]
fn each_channel_has_its_own_black() {
    let recorder = Recorder::new();
    let normalize = Normalize {
        mean: vec![0.5, 0.25, 0.0],
        std: vec![0.25, 0.5, 1.0],
    };
    let images = Images::new([3, 1, 1], vec![1.0; 3], vec![0]);
    let found = share(1.0).measure(&recorder, &images, &normalize, &Device::default());
    assert_eq!(found.unwrap().centre, [1.0]);
    assert_eq!(recorder.seen(), vec![vec![-2.0, -0.5, 0.0]; 3]);
}

#[test]
fn arguments_out_of_range_are_errors() {
    let device = Device::default();
    let message = |config: OcclusionConfig, images: &Images, normalize: &Normalize| {
        let error = config.measure(&Recorder::new(), images, normalize, &device);
        let error = error.unwrap_err();
        assert!(matches!(error, Error::Argument { .. }));
        error.to_string()
    };
    let images = white(1, [2, 2]);
    for shares in [vec![], vec![0.5, 1.5], vec![f64::NAN]] {
        let config = OcclusionConfig::new().with_shares(shares.clone());
        let expected =
            format!("`shares` is {shares:?}; accepted: at least one number, each in 0..=1");
        assert_eq!(message(config, &images, &normalize()), expected);
    }
    assert_eq!(
        message(OcclusionConfig::new(), &images, &Normalize::imagenet()),
        "`normalize` is mean [0.485, 0.456, 0.406], std [0.229, 0.224, 0.225]; accepted: 1 finite means and 1 \
         deviations above 0"
    );
    assert_eq!(
        message(
            OcclusionConfig::new(),
            &white(0, [2, 2]).in_batches_of(1),
            &normalize()
        ),
        "`loader` is without samples; accepted: at least one sample"
    );
}
