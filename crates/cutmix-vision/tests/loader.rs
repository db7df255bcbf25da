//! Batches: order, augmentation, threads, errors.

use std::fs;
use std::sync::Arc;

use burn::tensor::Device;
use cutmix::Targets;
use cutmix_train::{Batch, Batches, Loader, Share};
use cutmix_vision::data::augment::{Flip, Shift};
use cutmix_vision::{
    Augment, Content, DataConfig, DataError, Dataset, Image, ImageLoader, Label, LoaderConfig,
    Normalize, OnBadImage, Sampler, Size, Source, View, open, to_tensor,
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

fn train(count: usize, batch_size: usize, augment: Augment, drop_last: bool) -> ImageLoader {
    let config = LoaderConfig::new(batch_size, raw(1))
        .with_seed(7)
        .with_augment(augment)
        .with_drop_last(drop_last);
    ImageLoader::train(numbered(count), config).unwrap()
}

/// Mirrors, and shifts by up to `pixels`.
fn shifted(pixels: usize) -> Augment {
    Augment::new()
        .with(Flip::new())
        .with(Shift::new().with_pixels(pixels))
}

fn batches(loader: &dyn Loader, epoch: u64) -> Batches<'_> {
    loader.batches(epoch, 0, &Device::default())
}

fn first(loader: &dyn Loader, epoch: u64) -> Batch {
    batches(loader, epoch).next().unwrap().unwrap()
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

/// The sample numbers of a batch.
fn samples(batch: &Batch) -> Vec<usize> {
    let values = values(batch);
    let samples = values.chunks(16).map(|image| {
        let value = image.iter().fold(0.0, |a: f32, &b| a.max(b));
        value.round() as usize - 1
    });
    let samples: Vec<_> = samples.collect();
    let expected: Vec<_> = samples.iter().map(|&sample| (sample % 2) as i64).collect();
    assert_eq!(labels(batch), expected);
    samples
}

/// The sample numbers of an epoch, batch by batch.
fn epoch(loader: &dyn Loader, epoch: u64) -> Vec<Vec<usize>> {
    let batches = batches(loader, epoch);
    batches.map(|batch| samples(&batch.unwrap())).collect()
}

#[test]
fn an_evaluation_loader_hands_out_everything_in_order() {
    let loader = ImageLoader::eval(numbered(10), LoaderConfig::new(4, raw(1))).unwrap();
    assert_eq!((loader.num_samples(), loader.num_classes()), (10, 2));
    let expected = [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]];
    for at in 0..2 {
        assert_eq!(epoch(&loader, at), expected);
    }
    let loader = ImageLoader::eval(numbered(3), LoaderConfig::new(100, raw(1))).unwrap();
    assert_eq!(epoch(&loader, 0), [vec![0, 1, 2]]);
}

#[test]
fn each_epoch_has_its_own_order() {
    let loader = train(50, 8, Augment::new(), false);
    let (first, second) = (epoch(&loader, 0), epoch(&loader, 1));
    assert_ne!(first, second);
    let mut all = second.concat();
    all.sort();
    assert_eq!(all, (0..50).collect::<Vec<_>>());
}

/// Of groups of three batches, in several epochs of which the last batch is short or left out.
#[test]
fn a_share_has_its_batches_in_their_order() {
    for (drop_last, samples) in [(false, 50), (true, 50), (false, 48), (false, 9)] {
        for take in [0..1, 1..2, 2..3, 0..2, 1..3, 0..3] {
            let share = Share::new(3, take);
            let loader = train(samples, 8, Augment::new(), drop_last);
            let whole = train(samples, 8, Augment::new(), drop_last);
            for epoch in 0..3 {
                for skip in 0..5 {
                    let all = whole.batches(epoch, skip, &Device::default());
                    let expected = all.enumerate().filter(|(batch, _)| share.has(*batch));
                    let expected: Vec<_> =
                        expected.map(|(_, batch)| labels(&batch.unwrap())).collect();
                    let own = loader.batches_of(&share, epoch, skip, &Device::default());
                    let own: Vec<_> = own.map(|batch| labels(&batch.unwrap())).collect();
                    assert_eq!(
                        own, expected,
                        "{share:?} of {samples} from {skip} in {epoch}"
                    );
                }
            }
        }
    }
}

/// Of samples that are read one after another, those of the share alone are read.
#[test]
fn a_share_of_runs_reads_its_own_samples() {
    let share = Share::new(2, 1..2);
    let (source, set) = runs(false, 1);
    let loader =
        ImageLoader::train(set, LoaderConfig::new(8, raw(1)).with_drop_last(true)).unwrap();
    let whole: Vec<Vec<usize>> = epoch(&loader, 0);
    source.read.lock().unwrap().clear();
    let (source, set) = runs(false, 1);
    let loader =
        ImageLoader::train(set, LoaderConfig::new(8, raw(1)).with_drop_last(true)).unwrap();
    let own = loader.batches_of(&share, 0, 0, &Device::default());
    assert_eq!(own.count(), 3);
    let expected: Vec<usize> = whole
        .chunks_exact(2)
        .flat_map(|pair| pair[1].clone())
        .collect();
    // The thread reads ahead into the next epoch.
    let read = source.read.lock().unwrap()[..expected.len()].to_vec();
    let mut sorted = [read, expected];
    sorted.iter_mut().for_each(|samples| samples.sort());
    assert_eq!(sorted[0], sorted[1]);
}

#[test]
fn looking_at_a_batch_changes_no_epoch() {
    let loader = train(50, 8, Augment::light(), false);
    let images = |epoch| -> Vec<_> {
        let batches = batches(&loader, epoch);
        batches.map(|batch| values(&batch.unwrap())).collect()
    };
    let (first_epoch, third) = (images(0), images(2));
    first(&loader, 0);
    first(&loader.clone(), 5);
    assert_eq!(images(2), third);
    assert_eq!(images(0), first_epoch);
}

#[test]
fn the_order_of_a_seed_never_changes() {
    let loader = train(10, 5, Augment::new(), false);
    assert_eq!(epoch(&loader, 0), ORDERS[0]);
    assert_eq!(epoch(&loader, 3), ORDERS[1]);
}

// Of seed 7 in the first version of the program.
const ORDERS: [[[usize; 5]; 2]; 2] = [
    [[4, 3, 1, 8, 7], [2, 5, 9, 0, 6]],
    [[7, 1, 0, 6, 5], [3, 8, 9, 2, 4]],
];

#[test]
fn skipped_batches_are_those_at_the_start_of_the_epoch() {
    let loader = train(50, 8, Augment::new(), false);
    let whole = epoch(&loader, 4);
    for skip in 0..10 {
        let rest = loader.batches(4, skip, &Device::default());
        let rest: Vec<_> = rest.map(|batch| samples(&batch.unwrap())).collect();
        assert_eq!(rest, whole[skip.min(whole.len())..]);
    }
    assert_eq!(loader.batches(4, usize::MAX, &Device::default()).count(), 0);
}

#[test]
fn drop_last_leaves_out_the_samples_that_fill_no_batch() {
    let loader = train(50, 8, Augment::new(), true);
    assert_eq!(loader.num_samples(), 48);
    let epoch = epoch(&loader, 0);
    assert!(epoch.iter().all(|batch| batch.len() == 8));
    assert_eq!(epoch.len(), 6);
}

#[test]
fn the_digest_follows_the_samples() {
    let digest = |set: Dataset| {
        let loader = ImageLoader::eval(set, LoaderConfig::new(4, raw(1))).unwrap();
        loader.digest().unwrap()
    };
    let set = numbered(10);
    assert_eq!(digest(set.clone()), digest(numbered(10)));
    assert_ne!(digest(set.clone()), digest(set.truncate(9)));
    assert_ne!(digest(set.clone()), digest(numbered(11)));
    let reversed = set.subset(&[9, 8, 7, 6, 5, 4, 3, 2, 1, 0]).unwrap();
    assert_ne!(digest(set), digest(reversed));
}

#[test]
fn the_digest_of_contents_follows_the_pixels_of_samples_spread_evenly() {
    // Sample `changed` of ten has other pixels.
    let set = |changed: usize| {
        let pixels = (0..10).flat_map(|sample| [u8::from(sample == changed); 4]);
        let labels = vec![0; 10];
        Dataset::new(vec!["one".into()], [1, 2, 2], pixels.collect(), labels).unwrap()
    };
    let is_noticed = |changed, count| {
        let [as_it_was, now] = [10, changed].map(|changed| set(changed).content_digest(count));
        as_it_was != now
    };
    for sample in 0..10 {
        assert!(is_noticed(sample, 10) && is_noticed(sample, 1000));
        assert_eq!(is_noticed(sample, 2), [0, 5].contains(&sample), "{sample}");
    }
    assert!(!is_noticed(0, 0));
    assert_eq!(
        set(3).truncate(0).content_digest(2),
        set(4).content_digest(0)
    );
}

#[test]
fn a_digest_differs_where_one_thing_of_a_sample_does() {
    /// A sample of two black pixels, and one whose properties are given.
    #[derive(Debug)]
    struct Two {
        name: &'static str,
        label: usize,
        bytes: u64,
    }

    impl Source for Two {
        fn len(&self) -> usize {
            2
        }

        fn name(&self, index: usize) -> String {
            ["first.png", self.name][index].into()
        }

        fn label(&self, index: usize) -> Label {
            Label::Class([0, self.label][index])
        }

        fn bytes(&self, index: usize) -> u64 {
            [70, self.bytes][index]
        }

        fn content(&self, _: usize) -> Result<Content<'_>, DataError> {
            Ok(Content::Image(Image::new(Size::new(1, 2), 1, vec![0; 2])?))
        }
    }

    let digest = |name, label, bytes, class: &str| {
        let classes = vec!["cat".to_string(), class.to_string()];
        let source = Arc::new(Two { name, label, bytes });
        Dataset::from_source(classes, View::new([1, 1, 2]), source)
            .unwrap()
            .digest()
    };
    let first = digest("second.png", 1, 71, "dog");
    assert_eq!(digest("second.png", 1, 71, "dog"), first);
    for other in [
        digest("third.png", 1, 71, "dog"),
        digest("second.png", 0, 71, "dog"),
        digest("second.png", 1, 72, "dog"),
        digest("second.png", 1, 71, "wolf"),
    ] {
        assert_ne!(other, first);
    }
}

#[test]
fn iterators_can_be_dropped_at_any_time() {
    let loader = train(200, 1, Augment::new(), false);
    let threads = || {
        fs::read_dir("/proc/self/task")
            .map(|tasks| tasks.count())
            .unwrap_or(0)
    };
    drop(batches(&loader, 0));
    let before = threads();
    for taken in 0..100 {
        let count = batches(&loader, 0).take(taken % 5).count();
        assert_eq!(count, taken % 5);
    }
    // Other tests start and end threads meanwhile; a leak would leave a hundred.
    assert!(threads() < before + 50);
}

/// A folder with six grey images of one pixel, of which `bad` are no images, opened before they
/// were damaged.
fn damaged(bad: &[usize]) -> (tempfile::TempDir, Dataset) {
    let dir = tempfile::tempdir().unwrap();
    let path = |index: usize| {
        dir.path()
            .join(format!("{}/{index}.png", ["a", "b"][index / 3]))
    };
    for index in 0..6 {
        fs::create_dir_all(path(index).parent().unwrap()).unwrap();
        let pixel = image::GrayImage::from_pixel(4, 4, image::Luma([index as u8 + 1]));
        pixel.save(path(index)).unwrap();
    }
    let set = open(dir.path(), &DataConfig::new().with_size(4))
        .unwrap()
        .train;
    bad.iter()
        .for_each(|&index| fs::write(path(index), "no image").unwrap());
    (dir, set)
}

#[test]
fn an_image_that_vanished_is_an_error_item_and_the_last_one() {
    let (dir, set) = damaged(&[]);
    let gone = dir.path().join("a/1.png");
    fs::remove_file(&gone).unwrap();
    let loader = ImageLoader::eval(set, LoaderConfig::new(1, raw(1))).unwrap();
    let mut batches = batches(&loader, 0);
    let first = batches.next().unwrap().unwrap();
    assert_eq!(first.images.mean().into_scalar::<f32>(), 1.0);
    let error = batches.next().unwrap().unwrap_err();
    match error.downcast_ref() {
        Some(DataError::NotFound { path }) => assert_eq!(*path, gone),
        _ => panic!("{error}"),
    }
    assert!(batches.next().is_none());
}

/// The values of the images of an epoch, batch by batch, and how many were skipped.
fn skipping(set: Dataset, batch_size: usize) -> (Vec<Vec<f32>>, Vec<String>) {
    let config = LoaderConfig::new(batch_size, raw(1)).with_on_bad_image(OnBadImage::Skip);
    let loader = ImageLoader::eval(set, config).unwrap();
    let images = |batch: Batch| -> Vec<_> {
        let values = values(&batch);
        let values = values.iter().step_by(16).map(|value| value.round());
        let values: Vec<_> = values.collect();
        let class = |value: &f32| i64::from(*value > 3.0);
        assert_eq!(labels(&batch), values.iter().map(class).collect::<Vec<_>>());
        values
    };
    let found = batches(&loader, 0).map(|batch| images(batch.unwrap()));
    let found = found.collect();
    let skipped = loader.skipped().into_iter();
    (found, skipped.map(|image| image.name).collect())
}

#[test]
fn bad_images_are_left_out_of_their_batch_and_counted() {
    let (_dir, set) = damaged(&[1, 2]);
    let (found, skipped) = skipping(set.clone(), 4);
    assert_eq!(found, [vec![1.0, 4.0], vec![5.0, 6.0]]);
    assert_eq!(skipped, ["a/1.png", "a/2.png"]);
    // A batch of none is left out of an evaluation, also at its end.
    let (found, skipped) = skipping(set, 1);
    assert_eq!(found, [[1.0], [4.0], [5.0], [6.0]]);
    assert_eq!(skipped.len(), 2);
    let (_dir, set) = damaged(&[4, 5]);
    let (found, _) = skipping(set, 2);
    assert_eq!(found, [[1.0, 2.0], [3.0, 4.0]]);
}

#[test]
fn yielded_images_have_the_number_of_their_sample() {
    let (_dir, set) = damaged(&[0, 3, 4]);
    let config = LoaderConfig::new(2, raw(1)).with_on_bad_image(OnBadImage::Skip);
    let loader = ImageLoader::eval(set, config).unwrap();
    let images = batches(&loader, 0).map(|batch| batch.unwrap().size());
    assert_eq!(images.sum::<usize>(), 3);
    assert_eq!([0, 1, 2].map(|place| loader.index_at(place)), [1, 2, 5]);
}

#[test]
fn a_resumed_epoch_skips_the_same_images() {
    let (_dir, set) = damaged(&[0, 4]);
    let config = LoaderConfig::new(2, raw(1))
        .with_seed(3)
        .with_on_bad_image(OnBadImage::Skip);
    let loader = ImageLoader::train(set, config).unwrap();
    let from = |skip| -> Vec<_> {
        let batches = loader.batches(5, skip, &Device::default());
        batches.map(|batch| values(&batch.unwrap())).collect()
    };
    let whole = from(0);
    assert_eq!(whole.len(), 3);
    assert_eq!(from(1), whole[1..]);
    assert_eq!(from(2), whole[2..]);
}

#[test]
fn an_epoch_without_a_good_image_is_an_error() {
    let (_dir, set) = damaged(&[0, 1, 2, 3, 4, 5]);
    let config = LoaderConfig::new(4, raw(1)).with_on_bad_image(OnBadImage::Skip);
    let loader = ImageLoader::eval(set.clone(), config.clone()).unwrap();
    assert!(batches(&loader, 0).next().is_none());
    let loader = ImageLoader::train(set, config).unwrap();
    let error = batches(&loader, 0).next().unwrap().unwrap_err();
    let found = error.downcast_ref();
    assert!(
        matches!(found, Some(DataError::NoGoodImage { count: 6, .. })),
        "{error}"
    );
}

#[test]
fn images_that_are_kept_are_not_read_again() {
    let (dir, set) = damaged(&[]);
    let images = |loader: &ImageLoader| -> Vec<_> {
        let batches = batches(loader, 0).map(|batch| values(&batch.unwrap()));
        batches.collect()
    };
    for augment in ["none", "random-resized-crop"] {
        let config = LoaderConfig::new(2, raw(1))
            .with_augment(augment.parse().unwrap())
            .with_cache(1 << 20);
        let loader = ImageLoader::train(set.clone(), config).unwrap();
        let before = images(&loader);
        fs::rename(dir.path().join("a"), dir.path().join("c")).unwrap();
        assert_eq!(images(&loader), before, "{augment}");
        fs::rename(dir.path().join("c"), dir.path().join("a")).unwrap();
    }
    // What does not fit is read anew.
    let config = LoaderConfig::new(2, raw(1)).with_cache(40);
    let loader = ImageLoader::train(set, config).unwrap();
    images(&loader);
    fs::remove_dir_all(dir.path().join("a")).unwrap();
    assert!(batches(&loader, 0).any(|batch| batch.is_err()));
}

#[test]
fn balanced_epochs_have_as_many_samples_of_every_class() {
    let classes = [vec![0; 40], vec![1; 8], vec![2; 2]].concat();
    let pixels = (1..=50).flat_map(|sample| [sample; 16]).collect();
    let names = ["a", "b", "c"].map(String::from).into();
    let set = Dataset::new(names, [1, 4, 4], pixels, classes).unwrap();
    let config = LoaderConfig::new(50, raw(1)).with_sampler(Sampler::Balanced);
    let loader = ImageLoader::train(set, config).unwrap();
    let samples = |epoch| {
        let batch = first(&loader, epoch);
        let values = values(&batch);
        let samples = values
            .iter()
            .step_by(16)
            .map(|value| value.round() as usize - 1);
        (labels(&batch), samples.collect::<Vec<_>>())
    };
    let (classes, drawn) = samples(0);
    let count = |class| classes.iter().filter(|found| **found == class).count();
    let mut counts = [count(0), count(1), count(2)];
    counts.sort();
    assert_eq!(counts, [16, 17, 17]);
    // None of the eight comes a third time before all have come twice.
    let times = |sample: usize| drawn.iter().filter(|found| **found == sample).count();
    assert!(
        (40..48).all(|sample| (2..=3).contains(&times(sample))),
        "{drawn:?}"
    );
    assert_ne!(samples(1).1, drawn);
    assert_eq!(samples(0).1, drawn);
}

/// Grey images of one value that can only be read in order, in runs.
#[derive(Debug)]
struct Runs {
    runs: Vec<std::ops::Range<usize>>,
    is_in_memory: bool,
    /// Size of a sample, as it is told.
    bytes: u64,
    bad: Option<usize>,
    /// The samples in the order in which they were read.
    read: std::sync::Mutex<Vec<usize>>,
}

impl Source for Runs {
    fn len(&self) -> usize {
        self.runs.last().unwrap().end
    }

    fn name(&self, index: usize) -> String {
        format!("#{index}")
    }

    fn label(&self, index: usize) -> Label {
        Label::Class(index % 2)
    }

    fn content(&self, index: usize) -> Result<Content<'_>, DataError> {
        self.read.lock().unwrap().push(index);
        if self.bad == Some(index) {
            let (path, reason) = ("bad".into(), "bad".into());
            return Err(DataError::Image { path, reason });
        }
        let pixels = vec![index as u8 + 1; 16];
        Ok(Content::Image(Image::new(Size::new(4, 4), 1, pixels)?))
    }

    fn bytes(&self, _: usize) -> u64 {
        self.bytes
    }

    fn is_in_memory(&self) -> bool {
        self.is_in_memory
    }

    fn runs(&self) -> Option<&[std::ops::Range<usize>]> {
        Some(&self.runs)
    }
}

/// A source of three runs with 60 samples, and a set of all of them.
fn runs(is_in_memory: bool, bytes: u64) -> (Arc<Runs>, Dataset) {
    runs_of(Runs {
        runs: vec![0..20, 20..50, 50..60],
        is_in_memory,
        bytes,
        bad: None,
        read: Default::default(),
    })
}

fn runs_of(source: Runs) -> (Arc<Runs>, Dataset) {
    let source = Arc::new(source);
    let names = vec!["even".into(), "odd".into()];
    let set = Dataset::from_source(names, View::new([1, 4, 4]), source.clone()).unwrap();
    (source, set)
}

#[test]
fn runs_are_read_in_order_and_handed_out_in_another() {
    let (source, set) = runs(false, 16);
    let loader = ImageLoader::train(set, LoaderConfig::new(8, raw(1)).with_seed(1)).unwrap();
    // One sample is looked at when the loader asks what the set holds.
    source.read.lock().unwrap().clear();
    let whole = epoch(&loader, 0);
    let read = source.read.lock().unwrap()[..60].to_vec();
    for run in &source.runs {
        let start = read.iter().position(|index| *index == run.start).unwrap();
        assert_eq!(
            read[start..start + run.len()],
            run.clone().collect::<Vec<_>>()
        );
    }
    let drawn = whole.concat();
    assert_ne!(drawn, read);
    let mut all = drawn.clone();
    all.sort();
    assert_eq!(all, (0..60).collect::<Vec<_>>());
    // Resumed, the rest is the same.
    let rest = loader.batches(0, 3, &Device::default());
    let rest: Vec<_> = rest.map(|batch| samples(&batch.unwrap())).collect();
    assert_eq!(rest, whole[3..]);
}

#[test]
fn large_samples_of_runs_are_shuffled_among_few() {
    // How far a sample comes before the place at which it is read.
    let lead = |bytes| {
        let (source, set) = runs(false, bytes);
        let loader = ImageLoader::train(set, LoaderConfig::new(1, raw(1)).with_seed(1)).unwrap();
        source.read.lock().unwrap().clear();
        let drawn = epoch(&loader, 0).concat();
        assert_eq!(epoch(&loader, 0).concat(), drawn);
        let mut all = drawn.clone();
        all.sort();
        assert_eq!(all, (0..60).collect::<Vec<_>>());
        let read = source.read.lock().unwrap();
        let place = |sample: &usize| read.iter().position(|read| read == sample).unwrap();
        let leads = drawn.iter().enumerate();
        leads
            .map(|(at, sample)| place(sample) as i64 - at as i64)
            .max()
    };
    // As many as 256 MiB have room for, of which one is drawn.
    assert_eq!(lead(64 << 20), Some(3));
    assert_eq!(lead(256 << 20), Some(0));
    assert!(lead(16) > Some(30));
}

#[test]
fn a_substitute_of_a_bad_image_does_not_read_the_rest_of_its_epoch() {
    let config = LoaderConfig::new(1, raw(1)).with_on_bad_image(OnBadImage::Skip);
    let (_, set) = runs(false, 64 << 20);
    let loader = ImageLoader::train(set, config.clone()).unwrap();
    let drawn = epoch(&loader, 0).concat();
    let (source, set) = runs_of(Runs {
        runs: vec![0..20, 20..50, 50..60],
        is_in_memory: false,
        bytes: 64 << 20,
        bad: Some(drawn[0]),
        read: Default::default(),
    });
    let loader = ImageLoader::train(set, config).unwrap();
    source.read.lock().unwrap().clear();
    let found = epoch(&loader, 0).concat();
    assert_eq!(found[..2], [drawn[1]; 2]);
    assert_eq!(found[2..], drawn[2..]);
    // The substitute is read again for its own turn, before the samples that come later.
    let read = source.read.lock().unwrap();
    let mut reads = (0..60).filter(|&at| read[at] == drawn[1]);
    assert!(reads.nth(1).is_some_and(|at| at < 10), "{read:?}");
}

/// How often each sample is read in three epochs with a cache.
fn times_read((source, set): (Arc<Runs>, Dataset), cache: u64) -> Vec<usize> {
    let config = LoaderConfig::new(8, raw(1)).with_cache(cache);
    let loader = ImageLoader::train(set, config).unwrap();
    for at in 0..3 {
        let mut samples = epoch(&loader, at).concat();
        samples.sort();
        assert_eq!(samples, (0..60).collect::<Vec<_>>());
    }
    // Ends the thread that reads ahead, after the third epoch.
    drop(loader);
    let read = source.read.lock().unwrap();
    let times = |sample| read.iter().filter(|read| **read == sample).count();
    (0..60).map(times).collect()
}

#[test]
fn samples_of_runs_that_are_kept_are_not_read_again() {
    assert_eq!(times_read(runs(false, 16), 1 << 20), [1; 60]);
    // An image has 16 bytes.
    let times = times_read(runs(false, 16), 16 * 25);
    assert_eq!(times.iter().filter(|times| **times == 1).count(), 25);
}

#[test]
fn images_in_memory_are_not_kept() {
    let times = times_read(runs(true, 16), 1 << 20);
    assert!(times.iter().all(|times| *times >= 3), "{times:?}");
}

#[test]
fn samples_of_several_classes_have_dense_targets() {
    #[derive(Debug)]
    struct Tagged;

    impl Source for Tagged {
        fn len(&self) -> usize {
            3
        }

        fn name(&self, index: usize) -> String {
            format!("#{index}")
        }

        fn label(&self, index: usize) -> Label {
            Label::Classes([vec![], vec![1], vec![0, 2]][index].clone())
        }

        fn content(&self, _: usize) -> Result<Content<'_>, DataError> {
            Ok(Content::Image(Image::new(Size::new(1, 1), 1, vec![0])?))
        }
    }

    let names = ["cat", "dog", "bird"].map(String::from).into();
    let set = Dataset::from_source(names, View::new([1, 1, 1]), Arc::new(Tagged)).unwrap();
    assert!(set.is_multi_label());
    assert_eq!(set.class_counts(), [1, 1, 1]);
    let loader = ImageLoader::eval(set, LoaderConfig::new(3, raw(1))).unwrap();
    match first(&loader, 0).targets {
        Targets::Dense(dense) => {
            let values: Vec<_> = dense.to_data().iter::<f32>().collect();
            assert_eq!(values, [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
        }
        Targets::Indices(_) => panic!("several classes are no index"),
    }
}

#[test]
fn augmentation_flips_and_shifts() {
    let pixels: Vec<u8> = (1..=16).collect();
    let names = vec!["a".into(), "b".into()];
    let set = Dataset::new(names, [1, 4, 4], pixels.repeat(500), vec![0; 500]).unwrap();
    let augment = shifted(1);
    let config = LoaderConfig::new(500, raw(1))
        .with_seed(1)
        .with_augment(augment);
    let loader = ImageLoader::train(set, config).unwrap();
    let images = values(&first(&loader, 0));
    // All that may come out: 2 x 3 x 3 pictures.
    let at = |row: i32, col: i32| {
        if (0..4).contains(&row) && (0..4).contains(&col) {
            (4 * row + col + 1) as f32
        } else {
            0.0
        }
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
    for image in images.chunks(16) {
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

    assert_ne!(images, values(&first(&loader, 1)));
    assert_eq!(images, values(&first(&loader, 0)));
}

#[test]
fn a_sample_is_augmented_alike_in_any_batch() {
    let images = |batch_size| {
        let loader = train(48, batch_size, shifted(1), false);
        let batches = batches(&loader, 0).map(|batch| values(&batch.unwrap()));
        batches.flatten().collect::<Vec<_>>()
    };
    assert_eq!(images(48), images(5));
}

#[test]
fn normalisation_has_mean_0_and_deviation_1() {
    let set = cutmix_vision::fashion_mnist().train;
    let normalize = Normalize::of(&set).unwrap();
    // Published for all 60,000: 0.2860 and 0.3530.
    assert!((normalize.mean[0] - 0.2860).abs() < 2e-3, "{normalize:?}");
    assert!((normalize.std[0] - 0.3530).abs() < 2e-3, "{normalize:?}");
    let loader =
        ImageLoader::eval(set.clone(), LoaderConfig::new(10_000, normalize.clone())).unwrap();
    let images = first(&loader, 0).images;
    let mean = images.clone().mean().into_scalar::<f32>();
    let var = images.clone().powf_scalar(2.0).mean().into_scalar::<f32>();
    assert!(
        mean.abs() < 1e-3 && (var - 1.0).abs() < 1e-3,
        "{mean} {var}"
    );
    let image = set.image(0).unwrap();
    let tensor = to_tensor(&[image], &normalize, &Device::default()).unwrap();
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
fn options_out_of_range_are_errors() {
    let argument = |set: Dataset, config| match ImageLoader::train(set, config) {
        Err(DataError::Argument { argument, .. }) => argument,
        other => panic!("expected an error about an argument, found {other:?}"),
    };
    let config = LoaderConfig::new(4, raw(1));
    assert_eq!(argument(numbered(3), config.clone()), "batch_size");
    let zero = LoaderConfig::new(0, raw(1));
    assert_eq!(argument(numbered(3), zero), "batch_size");
    let empty = numbered(4).truncate(0);
    assert_eq!(argument(empty, config.clone()), "dataset");
    let augment = Augment::new().with(Flip::new().with_horizontal(2.0));
    let flipped = config.with_augment(augment);
    assert_eq!(argument(numbered(4), flipped), "horizontal");
    let coloured = LoaderConfig::new(4, Normalize::imagenet());
    assert_eq!(argument(numbered(4), coloured), "normalize");
    let device = Device::default();
    let image = |height| Image::new(Size::new(height, 2), 1, vec![0; 2 * height]).unwrap();
    assert!(to_tensor(&[image(1), image(2)], &raw(1), &device).is_err());
    assert!(to_tensor(&[], &raw(1), &device).is_err());
}

#[test]
fn a_config_with_the_required_values_alone_has_the_defaults() {
    let text = r#"{"batch-size": 4, "normalize": {"mean": [0.0], "std": [1.0]}}"#;
    let config: LoaderConfig = serde_json::from_str(text).unwrap();
    let normalize = Normalize {
        mean: vec![0.0],
        std: vec![1.0],
    };
    assert_eq!(config, LoaderConfig::new(4, normalize));
    let config: DataConfig = serde_json::from_str("{}").unwrap();
    assert_eq!(config, DataConfig::new());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn every_epoch_has_every_sample_once(count in 1usize..60, batch in 1usize..60, pad in 0usize..3) {
        let loader = train(count, batch.min(count), shifted(pad), false);
        let mut all = epoch(&loader, 0).concat();
        all.sort();
        prop_assert_eq!(all, (0..count).collect::<Vec<_>>());
    }
}
