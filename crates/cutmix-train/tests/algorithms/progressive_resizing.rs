//! The sizes of images over a run.

use burn::optim::SgdConfig;
use burn::tensor::Device;
use cutmix_train::algorithms::{CutMix, ProgressiveResizing, ResizeMode};

use crate::common::{Quiet, values};
use crate::fixtures::{Pooled, images_of_size};
use crate::{BATCH, Probe, Seen, config};

/// Every batch of a run of 10 batches on images of this size.
fn batches(size: [usize; 2], resizing: ProgressiveResizing) -> Vec<Seen> {
    let probe = Probe::default();
    let data = images_of_size(10 * BATCH, BATCH, size);
    (config("1ep").init(Pooled::new(&Device::default()), data.loader()))
        .optimizer(SgdConfig::new().init())
        .logger(Quiet)
        .algorithm(resizing)
        .algorithm(probe.clone())
        .fit()
        .unwrap();
    probe.seen()
}

fn heights(size: [usize; 2], resizing: ProgressiveResizing) -> Vec<usize> {
    batches(size, resizing)
        .iter()
        .map(|seen| seen.spatial[0])
        .collect()
}

#[test]
fn images_grow_from_half_of_their_size_to_all_of_it() {
    // The defaults: half until 0.5 of the run, full from 0.8; multiples of 4 in between.
    let seen = batches([32, 24], ProgressiveResizing::new());
    let sizes: Vec<_> = seen.iter().map(|seen| seen.spatial).collect();
    let [half, two_thirds, most, full] = [[16, 12], [20, 16], [28, 20], [32, 24]];
    assert_eq!(sizes[..5], [half; 5]);
    // Scales of 1/2, 2/3 and 5/6: 16, 21.3 and 26.7 rows.
    assert_eq!(sizes[5..], [half, two_thirds, most, full, full]);
    for seen in &seen {
        let logged = ["height", "width"].map(|side| {
            seen.logged(&format!("progressive-resizing/{side}"))
                .unwrap() as usize
        });
        assert_eq!(logged, seen.spatial);
    }
}

#[test]
fn the_sides_of_a_run_are_known_before_it() {
    let sides = |resizing: ProgressiveResizing, side| resizing.sides(side).collect::<Vec<_>>();
    let resizing = ProgressiveResizing::new().with_size_increment(16);
    assert_eq!(sides(resizing.clone(), 64), [32, 48, 64]);
    // Half of 40 is nearest to 16.
    assert_eq!(sides(resizing, 40), [16, 32, 40]);
    let whole = ProgressiveResizing::new().with_initial_scale(1.0);
    assert_eq!(sides(whole, 30), [30]);
}

#[test]
fn an_increment_of_1_follows_the_scale() {
    let resizing = ProgressiveResizing::new()
        .with_size_increment(1)
        .with_initial_scale(0.25)
        .with_delay_fraction(0.0)
        .with_finetune_fraction(0.5);
    let found = heights([20, 20], resizing);
    assert_eq!(found, [5, 8, 11, 14, 17, 20, 20, 20, 20, 20]);
}

#[test]
fn images_without_time_to_grow_jump_to_their_size() {
    let resizing = ProgressiveResizing::new()
        .with_delay_fraction(0.5)
        .with_finetune_fraction(0.5);
    assert_eq!(
        heights([32, 32], resizing),
        [16, 16, 16, 16, 16, 32, 32, 32, 32, 32]
    );
}

#[test]
fn no_side_becomes_smaller_than_the_increment_or_larger_than_the_image() {
    let tiny = ProgressiveResizing::new().with_initial_scale(0.01);
    assert_eq!(heights([32, 32], tiny)[0], 4);
    let large = ProgressiveResizing::new().with_size_increment(64);
    assert_eq!(heights([32, 32], large), [32; 10]);
}

#[test]
fn resized_images_are_bilinear_averages() {
    let data = images_of_size(10 * BATCH, BATCH, [8, 8]);
    let images = values(data.batch(0).images);
    let seen = &batches([8, 8], ProgressiveResizing::new())[0];
    assert_eq!(seen.spatial, [4, 4]);
    // Half of the size without aligned corners: each pixel is the mean of four.
    for (index, &pixel) in seen.images.iter().enumerate() {
        let (image, row, column) = (index / 16, index / 4 % 4, index % 4);
        let at = |r, c| images[64 * image + 8 * (2 * row + r) + 2 * column + c];
        let mean = (at(0, 0) + at(0, 1) + at(1, 0) + at(1, 1)) / 4.0;
        assert!((pixel - mean).abs() < 1e-6, "{pixel}, not {mean}");
    }
}

#[test]
fn cropped_images_are_parts_at_one_place_for_the_batch() {
    let data = images_of_size(10 * BATCH, BATCH, [8, 8]);
    let seen = batches(
        [8, 8],
        ProgressiveResizing::new().with_mode(ResizeMode::Crop),
    );
    let mut places = Vec::new();
    for (step, seen) in seen[..6].iter().enumerate() {
        assert_eq!(seen.spatial, [4, 4]);
        let images = values(data.batch(step).images);
        let is_at = |(top, left): (usize, usize)| {
            seen.images.iter().enumerate().all(|(index, &pixel)| {
                let (image, row, column) = (index / 16, index / 4 % 4, index % 4);
                pixel == images[64 * image + 8 * (top + row) + left + column]
            })
        };
        let all = (0..=4).flat_map(|top| (0..=4).map(move |left| (top, left)));
        places.push(all.into_iter().find(|&place| is_at(place)).unwrap());
    }
    places.dedup();
    assert!(places.len() > 1, "every batch was cut at {places:?}");
}

#[test]
fn a_mixer_after_progressive_resizing_mixes_the_final_size() {
    let probe = Probe::default();
    let data = images_of_size(2 * BATCH, BATCH, [8, 8]);
    (config("1ep").init(Pooled::new(&Device::default()), data.loader()))
        .optimizer(SgdConfig::new().init())
        .logger(Quiet)
        .algorithm(ProgressiveResizing::new())
        .algorithm(CutMix::new())
        .algorithm(probe.clone())
        .fit()
        .unwrap();
    let lambda = probe.seen()[0].logged("cutmix/lambda").unwrap();
    assert_eq!(
        lambda * 16.0 % 1.0,
        0.0,
        "{lambda} is no share of 4 x 4 pixels"
    );
}
