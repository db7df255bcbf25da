use cutmix_vision::Label;
use cutmix_vision::data::Sample;

use super::*;

/// Samples of a set under a folder, two of each class, of these sizes.
fn samples(front: &str, split: Split, bytes: [u64; 4]) -> Vec<Sample> {
    let names = ["cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"];
    let samples = names.iter().zip(bytes).enumerate();
    let samples = samples.map(|(at, (name, bytes))| Sample {
        name: format!("{front}{name}"),
        bytes,
        label: Label::Class(at / 2),
        split,
    });
    samples.collect()
}

/// A run whose training and validation images have the same names, and two the same size.
fn run() -> Vec<Sample> {
    let train = samples("train/", Split::Train, [10, 11, 12, 13]);
    let val = samples("val/", Split::Val, [10, 11, 22, 23]);
    [train, val].concat()
}

fn count_files(run: &[Sample], measured: &[Sample]) -> usize {
    count(run, &measured.iter().collect::<Vec<_>>(), true)
}

#[test]
fn a_copy_of_a_set_is_known_by_names_and_sizes() {
    let (train, val) = ([10, 11, 12, 13], [10, 11, 22, 23]);
    for front in ["train/", "", "copy/train/"] {
        let copy = samples(front, Split::Train, train);
        assert_eq!(count_files(&run(), &copy), 4, "{front}");
        assert_eq!(count_files(&run(), &copy[1..]), 3, "{front}");
    }
    for front in ["val/", "", "copy/val/"] {
        let copy = samples(front, Split::Train, val);
        assert_eq!(count_files(&run(), &copy), 0, "{front}");
    }
    // Some of the images are others.
    let mixed = samples("", Split::Train, [10, 11, 12, 99]);
    assert_eq!(count_files(&run(), &mixed), 3);
    let others = samples("xtrain/", Split::Train, [90, 91, 92, 93]);
    assert_eq!(count_files(&run(), &others), 0);
}

#[test]
fn the_folder_of_the_training_may_be_one_of_several_now() {
    let run = samples("", Split::Train, [10, 11, 12, 13]);
    let all = [
        samples("old/", Split::Train, [10, 11, 12, 13]),
        samples("new/", Split::Train, [20, 21, 22, 23]),
    ];
    assert_eq!(count_files(&run, &all.concat()), 4);
    // `old-cat/0.png` ends with a name of the run, and is another one.
    let others = samples("old-", Split::Train, [10, 11, 12, 13]);
    assert_eq!(count_files(&run, &others), 0);
}

#[test]
fn samples_with_numbers_are_known_by_their_labels_as_well() {
    let numbered = |labels: [usize; 3]| -> Vec<Sample> {
        let samples = labels.iter().enumerate().map(|(at, label)| Sample {
            name: format!("train#{at}"),
            bytes: 784,
            label: Label::Class(*label),
            split: Split::Train,
        });
        samples.collect()
    };
    let run = numbered([3, 1, 4]);
    let count = |labels| count(&run, &numbered(labels).iter().collect::<Vec<_>>(), false);
    assert_eq!((count([3, 1, 4]), count([3, 1, 5])), (3, 0));
}
