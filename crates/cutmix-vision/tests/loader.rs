//! Batches: order, augmentation, threads, errors.

use std::fs;
use std::sync::Arc;

use burn::data::dataloader::DataLoader;
use burn::tensor::Device;
use cutmix::{Batch, Targets};
use cutmix_vision::{
    Augment, CACHE_LIMIT, Dataset, FolderOptions, Loader, LoaderOptions, Normalize, image_folder,
    to_tensor,
};
use proptest::prelude::*;

/// Pixels as they are, in 0..=255.
fn raw(channels: usize) -> Normalize {
    Normalize {
        mean: vec![0.0; channels],
        std: vec![1.0 / 255.0; channels],
    }
}

/// `count` grey images of 4 x 4; all pixels of sample `i` have the value `i + 1`, its class is `i %
/// 2`.
fn numbered(count: usize) -> Dataset {
    let pixels = (0..count)
        .flat_map(|sample| [sample as u8 + 1; 16])
        .collect();
    let labels = (0..count).map(|sample| sample % 2).collect();
    Dataset::new(vec!["even".into(), "odd".into()], [1, 4, 4], pixels, labels).unwrap()
}

fn train(count: usize, batch_size: usize, augment: Augment, drop_last: bool) -> Loader {
    let options = LoaderOptions {
        batch_size,
        seed: 7,
        augment,
        normalize: raw(1),
        drop_last,
    };
    Loader::train(numbered(count), options).unwrap()
}

fn labels(batch: &Batch<4>) -> Vec<i64> {
    match &batch.targets {
        Targets::Indices(indices) => indices.to_data().iter::<i64>().collect(),
        Targets::Dense(_) => panic!("the loader gives indices"),
    }
}

fn values(batch: &Batch<4>) -> Vec<f32> {
    batch.images.to_data().iter::<f32>().collect()
}

/// The sample numbers of the next epoch, batch by batch.
fn epoch(loader: &dyn DataLoader<Batch<4>>) -> Vec<Vec<usize>> {
    let batches = loader.iter().map(Result::unwrap);
    batches
        .map(|batch| {
            let values = values(&batch);
            let samples = values.chunks(16).map(|image| {
                let value = image.iter().fold(0.0, |a: f32, &b| a.max(b));
                value.round() as usize - 1
            });
            let samples: Vec<_> = samples.collect();
            let expected: Vec<_> = samples.iter().map(|&sample| (sample % 2) as i64).collect();
            assert_eq!(labels(&batch), expected);
            samples
        })
        .collect()
}

#[test]
fn eval_hands_out_everything_in_order() {
    let loader = Loader::eval(numbered(10), 4, raw(1)).unwrap();
    let expected = [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]];
    for _ in 0..2 {
        assert_eq!(epoch(&loader), expected);
    }
    assert_eq!(
        epoch(&Loader::eval(numbered(3), 100, raw(1)).unwrap()),
        [vec![0, 1, 2]]
    );
}

#[test]
fn progress_counts_samples() {
    let loader = Loader::eval(numbered(10), 4, raw(1)).unwrap();
    let mut batches = loader.iter();
    let mut seen = Vec::new();
    while batches.next().is_some() {
        seen.push(batches.progress().items_processed);
        assert_eq!(batches.progress().items_total, 10);
    }
    assert_eq!(seen, [4, 8, 10]);
    assert!(batches.progress().is_completed());
}

#[test]
fn each_epoch_has_its_own_order_that_can_be_had_again() {
    let loader = train(50, 8, Augment::NONE, false);
    let first = epoch(&loader);
    let second = epoch(&loader);
    assert_ne!(first, second);
    let mut all = second.concat();
    all.sort();
    assert_eq!(all, (0..50).collect::<Vec<_>>());
    loader.set_epoch(1);
    assert_eq!(epoch(&loader), second);
    // The copies count together.
    let copy = loader.to_device(&Device::default());
    loader.set_epoch(0);
    assert_eq!(epoch(copy.as_ref()), first);
    assert_eq!(epoch(&loader.clone()), second);
}

#[test]
fn drop_last_leaves_out_what_fills_no_batch() {
    let loader = train(50, 8, Augment::NONE, true);
    assert_eq!(loader.num_items(), 48);
    let epoch = epoch(&loader);
    assert!(epoch.iter().all(|batch| batch.len() == 8));
    assert_eq!(epoch.len(), 6);
}

#[test]
fn slices_share_out_each_epoch() {
    let loader = train(50, 8, Augment::NONE, false);
    let parts = [loader.slice(0, 25), loader.slice(25, 50)];
    assert_eq!(parts[0].num_items(), 25);
    let mut shares = Vec::new();
    for _ in 0..2 {
        let share = epoch(parts[0].as_ref()).concat();
        let mut all = [share.clone(), epoch(parts[1].as_ref()).concat()].concat();
        all.sort();
        assert_eq!(all, (0..50).collect::<Vec<_>>());
        shares.push(share);
    }
    assert_ne!(shares[0], shares[1]);
    let eval = Loader::eval(numbered(10), 4, raw(1)).unwrap();
    let part = eval.slice(2, 8).slice(1, 100);
    assert_eq!(epoch(part.as_ref()), [vec![3, 4, 5, 6], vec![7]]);
    assert_eq!(eval.slice(8, 2).num_items(), 0);
    assert!(eval.slice(8, 2).iter().next().is_none());
}

#[test]
fn iterators_can_be_dropped_at_any_time() {
    let loader: Arc<dyn DataLoader<Batch<4>>> = Arc::new(train(200, 1, Augment::NONE, false));
    let threads = || {
        fs::read_dir("/proc/self/task")
            .map(|tasks| tasks.count())
            .unwrap_or(0)
    };
    drop(loader.iter());
    let before = threads();
    for taken in 0..100 {
        assert_eq!(loader.iter().take(taken % 5).count(), taken % 5);
    }
    // Other tests start and end threads meanwhile; a leak would leave a hundred.
    assert!(threads() < before + 50);
}

#[test]
fn an_image_that_vanished_is_an_error_item() {
    // So many large images that they are not kept in memory but decoded in each epoch.
    let dir = tempfile::tempdir().unwrap();
    let pixel = image::GrayImage::from_pixel(1, 1, image::Luma([9]));
    for index in 0..129 {
        let class = dir.path().join(["a", "b"][index / 128]);
        fs::create_dir_all(&class).unwrap();
        pixel.save(class.join(format!("{index:03}.png"))).unwrap();
    }
    let options = FolderOptions {
        size: 4096,
        ..Default::default()
    };
    let set = image_folder(dir.path(), &options).unwrap().train;
    let bytes = (set.len() * set.shape().iter().product::<usize>()) as u64;
    assert!(bytes > CACHE_LIMIT);
    let gone = dir.path().join("a/001.png");
    fs::remove_file(&gone).unwrap();

    let loader = Loader::eval(set, 1, raw(1)).unwrap();
    let mut batches = loader.iter();
    let first = batches.next().unwrap().unwrap();
    assert_eq!(first.images.mean().into_scalar::<f32>(), 9.0);
    let error = batches.next().unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{} does not exist", gone.display())
    );
    assert!(batches.next().is_none());
}

#[test]
fn augmentation_flips_and_shifts() {
    let pixels: Vec<u8> = (1..=16).collect();
    let names = vec!["a".into(), "b".into()];
    let set = Dataset::new(names, [1, 4, 4], pixels.repeat(500), vec![0; 500]).unwrap();
    let options = LoaderOptions {
        batch_size: 500,
        seed: 1,
        augment: Augment {
            flip: true,
            crop_padding: 1,
        },
        normalize: raw(1),
        drop_last: false,
    };
    let loader = Loader::train(set, options).unwrap();
    let first = values(&loader.iter().next().unwrap().unwrap());
    // All that may come out: 2 x 3 x 3 pictures.
    let at = |row: i32, col: i32| match (0..4).contains(&row) && (0..4).contains(&col) {
        true => (4 * row + col + 1) as f32,
        false => 0.0,
    };
    let mut possible = Vec::new();
    for (flip, down, right) in (0..18).map(|i| (i % 2 == 1, i / 2 % 3 - 1, i / 6 - 1)) {
        let pixel = |row: i32, col: i32| {
            let (row, col) = (row - down, col - right);
            if (0..4).contains(&col) {
                at(row, if flip { 3 - col } else { col })
            } else {
                0.0
            }
        };
        let image: Vec<f32> = (0..16).map(|i| pixel(i / 4, i % 4)).collect();
        possible.push((image, 0));
    }
    for image in first.chunks(16) {
        let image: Vec<f32> = image.iter().map(|value| value.round()).collect();
        let entry = possible.iter_mut().find(|(picture, _)| *picture == image);
        entry
            .unwrap_or_else(|| panic!("{image:?} is no shifted picture"))
            .1 += 1;
    }
    // 500 / 18 = 28 of each.
    assert!(
        possible.iter().all(|(_, count)| (10..60).contains(count)),
        "{possible:?}"
    );

    let second = values(&loader.iter().next().unwrap().unwrap());
    assert_ne!(first, second);
    loader.set_epoch(0);
    assert_eq!(first, values(&loader.iter().next().unwrap().unwrap()));
}

#[test]
fn a_sample_is_augmented_alike_in_whatever_batch() {
    let augment = Augment::standard(8);
    assert_eq!(
        augment,
        Augment {
            flip: true,
            crop_padding: 1
        }
    );
    let images = |batch_size| {
        let loader = train(48, batch_size, augment, false);
        let batches = loader.iter().map(|batch| values(&batch.unwrap()));
        batches.flatten().collect::<Vec<_>>()
    };
    assert_eq!(images(48), images(5));
}

#[test]
fn normalisation_has_mean_0_and_deviation_1() {
    let (set, _) = cutmix_vision::fashion_mnist();
    let normalize = Normalize::of(&set).unwrap();
    // Published for all 60,000: 0.2860 and 0.3530.
    assert!((normalize.mean[0] - 0.2860).abs() < 2e-3, "{normalize:?}");
    assert!((normalize.std[0] - 0.3530).abs() < 2e-3, "{normalize:?}");
    let loader = Loader::eval(set.clone(), 10_000, normalize.clone()).unwrap();
    let images = loader.iter().next().unwrap().unwrap().images;
    let mean = images.clone().mean().into_scalar::<f32>();
    let var = images.clone().powf_scalar(2.0).mean().into_scalar::<f32>();
    assert!(
        mean.abs() < 1e-3 && (var - 1.0).abs() < 1e-3,
        "{mean} {var}"
    );
    let first = set.pixels(0).unwrap();
    let tensor = to_tensor(&first, set.shape(), &normalize, &Device::default()).unwrap();
    assert_eq!(tensor.into_data(), images.narrow(0, 0, 1).into_data());
}

#[test]
fn constant_channels_are_not_divided_by_0() {
    let names = vec!["a".into(), "b".into()];
    let set = Dataset::new(names, [1, 2, 2], vec![51; 8], vec![0, 1]).unwrap();
    let normalize = Normalize::of(&set).unwrap();
    assert_eq!((normalize.mean, normalize.std), (vec![0.2], vec![1.0]));
    assert_eq!(Normalize::imagenet().mean.len(), 3);
}

#[test]
fn bad_options_are_errors() {
    let options = LoaderOptions {
        batch_size: 4,
        seed: 0,
        augment: Augment::NONE,
        normalize: raw(1),
        drop_last: false,
    };
    let message = |set: Dataset, options| match Loader::train(set, options) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("bad options were accepted"),
    };
    assert_eq!(
        message(numbered(3), options.clone()),
        "batch_size is 4, expected 1 to the number of samples, 3"
    );
    let bad = LoaderOptions {
        batch_size: 0,
        ..options.clone()
    };
    assert_eq!(
        message(numbered(3), bad),
        "batch_size is 0, expected at least 1"
    );
    assert_eq!(
        message(numbered(4).truncate(0), options.clone()),
        "dataset is empty, expected at least 1 sample"
    );
    let augment = Augment {
        flip: false,
        crop_padding: 5,
    };
    let bad = LoaderOptions {
        augment,
        ..options.clone()
    };
    assert_eq!(
        message(numbered(4), bad),
        "crop_padding is 5, expected at most the shorter side, 4"
    );
    let bad = LoaderOptions {
        normalize: Normalize::imagenet(),
        ..options
    };
    assert!(message(numbered(4), bad).contains("expected 1 finite means"));
    let device = Device::default();
    assert!(to_tensor(&[0; 5], [1, 2, 2], &raw(1), &device).is_err());
    assert!(to_tensor(&[], [1, 2, 2], &raw(1), &device).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn every_epoch_has_every_sample_once(count in 1usize..60, batch in 1usize..60, pad in 0usize..3) {
        let augment = Augment { flip: true, crop_padding: pad };
        let loader = train(count, batch.min(count), augment, false);
        let mut all = epoch(&loader).concat();
        all.sort();
        prop_assert_eq!(all, (0..count).collect::<Vec<_>>());
    }
}
