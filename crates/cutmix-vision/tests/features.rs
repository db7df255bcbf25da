//! Features that are computed once: the same samples, orders and scores as with images.

use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use cutmix::Targets;
use cutmix::loss::CrossEntropy;
use cutmix_train::{Evaluator, Loader};
use cutmix_vision::models::HeadOnly;
use cutmix_vision::{
    AnyNetwork, Classifier, DataConfig, Dataset, FeatureLoader, ImageLoader, LoaderConfig,
    ModelConfig, Normalize, OnBadImage, Sampler, open,
};
use image::GrayImage;

const BATCH: usize = 7;
const SEED: u64 = 5;

fn dataset() -> Dataset {
    cutmix_vision::fashion_mnist().truncate(40).train
}

fn config() -> LoaderConfig {
    let normalize = Normalize {
        mean: vec![0.5],
        std: vec![0.5],
    };
    LoaderConfig::new(BATCH, normalize).with_seed(SEED)
}

fn flat(images: Tensor<4>) -> Tensor<2> {
    images.flatten(1, 3)
}

/// The pixels of the images as their features.
fn pixels() -> FeatureLoader {
    let images = ImageLoader::eval(dataset(), config()).unwrap();
    images.features(&Device::default(), flat, |_| ()).unwrap()
}

/// The numbers and classes of the batches of an epoch.
fn batches(loader: &dyn Loader, epoch: u64, skip: usize) -> Vec<(Vec<f32>, Vec<i64>)> {
    let batches = loader.batches(epoch, skip, &Device::default());
    let batches = batches.map(|batch| {
        let batch = batch.unwrap();
        let Targets::Indices(classes) = batch.targets else {
            panic!("one class each");
        };
        let classes = classes.into_data().iter::<i64>().collect();
        (batch.images.into_data().iter::<f32>().collect(), classes)
    });
    batches.collect()
}

#[test]
fn features_come_in_the_order_of_the_images() {
    for sampler in [Sampler::Shuffled, Sampler::Balanced] {
        let config = config().with_sampler(sampler).with_drop_last(true);
        let images = ImageLoader::train(dataset(), config).unwrap();
        let features = pixels().shuffled(BATCH, sampler, SEED).unwrap();
        assert_eq!(features.num_samples(), images.num_samples());
        assert_eq!(features.num_classes(), 10);
        assert_eq!(features.digest(), images.digest());
        for (epoch, skip) in [(0, 0), (1, 0), (1, 3), (2, 5)] {
            let found = batches(&features, epoch, skip);
            assert_eq!(found.len(), 5 - skip);
            assert_eq!(found, batches(&images, epoch, skip), "{sampler:?} {epoch}");
        }
    }
}

/// Images of 4 x 4 of two classes, 12 and 6, of which every fifth file is damaged.
fn with_bad_images(folder: &Path) -> Dataset {
    for (class, count) in [("a", 12), ("b", 6)] {
        std::fs::create_dir(folder.join(class)).unwrap();
        for index in 0..count {
            let path = folder.join(class).join(format!("{index:02}.png"));
            if index % 5 == 1 {
                std::fs::write(path, "no image").unwrap();
            } else {
                let level = 20 * index + if class == "a" { 3 } else { 9 };
                let image = GrayImage::from_pixel(4, 4, [level].into());
                image.save(path).unwrap();
            }
        }
    }
    let config = DataConfig::new().with_val_fraction(None);
    open(folder, &config).unwrap().train
}

#[test]
fn bad_images_are_left_out_of_every_epoch() {
    let folder = tempfile::TempDir::new().unwrap();
    let set = with_bad_images(folder.path());
    assert_eq!(set.len(), 18);
    let config = config().with_on_bad_image(OnBadImage::Skip);
    let images = ImageLoader::eval(set, config).unwrap();
    let features = || images.features(&Device::default(), flat, |_| ()).unwrap();
    // Three files of the first class and one of the second one are damaged.
    let good = 14;
    assert_eq!(features().num_samples(), good);
    let whole = batches(&features(), 0, 0);
    let known: Vec<f32> = whole.into_iter().flat_map(|(values, _)| values).collect();
    for sampler in [Sampler::Shuffled, Sampler::Balanced] {
        let shuffled = features().shuffled(good, sampler, SEED).unwrap();
        for epoch in 0..4 {
            let found = batches(&shuffled, epoch, 0);
            assert_eq!(found.len(), 1);
            let (values, classes) = &found[0];
            assert_eq!(classes.len(), good, "{sampler:?}");
            assert!(values.iter().all(|value| known.contains(value)));
            let of_second = classes.iter().filter(|class| **class == 1).count();
            match sampler {
                Sampler::Shuffled => assert_eq!(of_second, 5),
                Sampler::Balanced => assert_eq!(of_second, 7),
            }
        }
    }
}

#[test]
fn evaluation_has_every_sample_in_its_order() {
    let images = ImageLoader::eval(dataset(), config()).unwrap();
    let features = pixels();
    assert_eq!(features.num_samples(), 40);
    assert_eq!(batches(&features, 0, 0), batches(&images, 0, 0));
}

#[test]
fn every_image_is_counted_once() {
    let images = ImageLoader::eval(dataset(), config()).unwrap();
    let mut counted = Vec::new();
    let count = |images| counted.push(images);
    images.features(&Device::default(), flat, count).unwrap();
    assert_eq!(counted, [7, 7, 7, 7, 7, 5]);
}

#[test]
fn the_head_has_the_scores_of_the_whole_network() {
    let device = Device::default();
    let network: AnyNetwork = (ModelConfig::new("resnet8", 10).with_channels(1))
        .init(&device.clone().autodiff())
        .unwrap();
    let images = ImageLoader::eval(dataset(), config()).unwrap();
    let plain = network.valid();
    let compute = |images| plain.pool(plain.features(images));
    let features = images.features(&device, compute, |_| ()).unwrap();
    let evaluator = Evaluator::new(CrossEntropy::new());
    let whole = evaluator.run("val", &network, &images, &device).unwrap();
    let head = evaluator.run("val", &HeadOnly(network), &features, &device);
    assert_eq!(head.unwrap(), whole);
}

#[test]
fn a_loader_of_changing_images_and_batches_that_are_too_large_are_refused() {
    let training = ImageLoader::train(dataset(), config()).unwrap();
    let error = training.features(&Device::default(), flat, |_| ());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("a loader of training"), "{error}");
    for size in [0, 41] {
        let error = pixels().shuffled(size, Sampler::Shuffled, 0).unwrap_err();
        assert!(
            error.to_string().contains("1 to the number of samples, 40"),
            "{error}"
        );
    }
}
