//! The record of a run's samples, and what it notices.

use std::fs;
use std::path::Path;

use cutmix_vision::data::{Sample, Split};
use cutmix_vision::{Change, Changes, DataConfig, Dataset, Label, Manifest, Splits, open};
use image::{Rgb, RgbImage};
use tempfile::{TempDir, tempdir};

/// Writes an image; larger ones have larger files.
fn save(dir: &Path, path: &str, side: u32) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let image = RgbImage::from_fn(side, side, |x, y| Rgb([x as u8, y as u8, (x * y) as u8]));
    image.save(path).unwrap();
}

/// `train` and `test` with the classes `bird`, `cat` and `dog`.
fn pets() -> TempDir {
    let dir = tempdir().unwrap();
    for (class, side) in [("bird", 4), ("cat", 5), ("dog", 6)] {
        for image in ["a", "b", "c", "d"] {
            save(dir.path(), &format!("train/{class}/{image}.png"), side);
        }
        save(dir.path(), &format!("test/{class}/e.png"), side);
    }
    dir
}

fn config(seed: u64) -> DataConfig {
    DataConfig::new()
        .with_size(2)
        .with_val_fraction(Some(0.25))
        .with_seed(seed)
}

fn opened(dir: &TempDir) -> Splits {
    open(dir.path(), &config(1)).unwrap()
}

fn rename(dir: &TempDir, from: &str, to: &str) {
    fs::rename(dir.path().join(from), dir.path().join(to)).unwrap();
}

fn names(set: &Dataset) -> Vec<String> {
    (0..set.len()).map(|index| set.name(index)).collect()
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

/// The changes that a run on `pets` sees after `change`.
fn changes(change: impl FnOnce(&TempDir)) -> Vec<Change> {
    let dir = pets();
    let manifest = Manifest::of(&opened(&dir));
    change(&dir);
    let (_, changes) = manifest.apply(&opened(&dir));
    changes.iter().cloned().collect()
}

#[test]
fn a_manifest_names_every_sample() {
    let dir = pets();
    let splits = opened(&dir);
    let manifest = Manifest::of(&splits);
    assert_eq!(manifest.classes, ["bird", "cat", "dog"]);
    let counts = [Split::Train, Split::Val, Split::Test, Split::Unused];
    assert_eq!(counts.map(|split| manifest.count(split)), [9, 3, 3, 0]);
    let expected = Sample {
        name: "test/cat/e.png".into(),
        bytes: fs::metadata(dir.path().join("test/cat/e.png"))
            .unwrap()
            .len(),
        label: Label::Class(1),
        split: Split::Test,
    };
    assert!(manifest.samples.contains(&expected));

    let text = serde_json::to_string(&manifest).unwrap();
    let read: Manifest = serde_json::from_str(&text).unwrap();
    assert_eq!(read, manifest);
    assert_eq!(read.digest(), manifest.digest());
    assert_eq!(read.digest().len(), 64);
}

#[test]
fn unchanged_data_have_no_changes() {
    assert_eq!(changes(|_| ()), []);
    // The folder may be somewhere else.
    let manifest = Manifest::of(&opened(&pets()));
    assert_eq!(manifest, Manifest::of(&opened(&pets())));
}

#[test]
fn added_and_removed_images_are_named() {
    let added = changes(|dir| save(dir.path(), "train/cat/z.png", 9));
    assert_eq!(added, [Change::Added(strings(&["train/cat/z.png"]))]);
    let removed = changes(|dir| fs::remove_file(dir.path().join("train/dog/a.png")).unwrap());
    assert_eq!(removed, [Change::Removed(strings(&["train/dog/a.png"]))]);
}

#[test]
fn an_image_that_is_gone_can_keep_its_place() {
    let dir = pets();
    let before = opened(&dir);
    let manifest = Manifest::of(&before);
    let gone = before.train.name(2);
    fs::remove_file(dir.path().join(&gone)).unwrap();
    let (splits, changes) = manifest.apply_with_gone(&opened(&dir)).unwrap();
    let named: Vec<_> = changes.iter().cloned().collect();
    assert_eq!(named, [Change::Removed(vec![gone.clone()])]);
    for split in [Split::Train, Split::Val, Split::Test] {
        let sets = [&before, &splits].map(|splits| splits.set(split).unwrap());
        assert_eq!(names(sets[0]), names(sets[1]));
        assert!(sets[0].labels().eq(sets[1].labels()));
    }
    let error = splits.train.image(2).unwrap_err();
    assert!(error.is_of_image(), "{error}");
    assert_eq!(error.to_string(), format!("{gone} does not exist"));
    assert_eq!(
        splits.train.image(3).unwrap(),
        before.train.image(3).unwrap()
    );
    // Another change is one.
    save(dir.path(), "train/dog/z.png", 20);
    assert!(manifest.apply_with_gone(&opened(&dir)).is_none());
}

#[test]
fn an_image_of_another_size_is_named() {
    let resized = changes(|dir| save(dir.path(), "train/dog/a.png", 20));
    assert_eq!(resized, [Change::Resized(strings(&["train/dog/a.png"]))]);
}

#[test]
fn an_image_in_the_folder_of_another_class_is_relabelled() {
    let relabelled = changes(|dir| rename(dir, "train/dog/a.png", "train/cat/z.png"));
    // Under another file name it is another image.
    let expected = [
        Change::Added(strings(&["train/cat/z.png"])),
        Change::Removed(strings(&["train/dog/a.png"])),
    ];
    assert_eq!(relabelled, expected);
    let relabelled = changes(|dir| {
        fs::remove_file(dir.path().join("train/cat/a.png")).unwrap();
        rename(dir, "train/dog/a.png", "train/cat/a.png");
    });
    let expected = [
        Change::Removed(strings(&["train/dog/a.png"])),
        Change::Resized(strings(&["train/cat/a.png"])),
    ];
    assert_eq!(relabelled, expected);
    let relabelled = changes(|dir| {
        rename(dir, "train/cat/a.png", "train/cat/y.png");
        rename(dir, "train/dog/b.png", "train/cat/a.png");
        rename(dir, "train/cat/a.png", "train/bird/x.png");
        rename(dir, "train/bird/x.png", "train/dog/b.png");
        rename(dir, "train/cat/y.png", "train/cat/a.png");
    });
    assert_eq!(relabelled, []);
}

#[test]
fn a_moved_file_that_keeps_its_name_is_relabelled() {
    let dir = pets();
    save(dir.path(), "train/dog/only.png", 11);
    let manifest = Manifest::of(&opened(&dir));
    rename(&dir, "train/dog/only.png", "train/cat/only.png");
    let (_, changes) = manifest.apply(&opened(&dir));
    let expected = Change::Relabelled(strings(&["train/dog/only.png"]));
    assert_eq!(changes.iter().collect::<Vec<_>>(), [&expected]);
}

#[test]
fn a_renamed_class_is_named_alone() {
    let renamed = changes(|dir| {
        rename(dir, "train/cat", "train/ant");
        rename(dir, "test/cat", "test/ant");
    });
    let expected = Change::RenamedClass {
        from: "cat".into(),
        to: "ant".into(),
    };
    assert_eq!(renamed, [expected]);
}

#[test]
fn classes_that_swap_their_names_are_relabelled() {
    let swapped = changes(|dir| {
        for set in ["train", "test"] {
            rename(dir, &format!("{set}/cat"), &format!("{set}/x"));
            rename(dir, &format!("{set}/dog"), &format!("{set}/cat"));
            rename(dir, &format!("{set}/x"), &format!("{set}/dog"));
        }
    });
    // The files of the two classes differ in size.
    assert!(matches!(&swapped[..], [Change::Resized(names)] if names.len() == 10));
}

#[test]
fn added_and_removed_classes_are_named() {
    let added = changes(|dir| save(dir.path(), "train/emu/a.png", 9));
    let expected = [
        Change::AddedClasses(strings(&["emu"])),
        Change::Added(strings(&["train/emu/a.png"])),
    ];
    assert_eq!(added, expected);
    let removed = changes(|dir| {
        fs::remove_dir_all(dir.path().join("train/cat")).unwrap();
        fs::remove_dir_all(dir.path().join("test/cat")).unwrap();
    });
    assert_eq!(removed[0], Change::RemovedClasses(strings(&["cat"])));
    assert!(matches!(&removed[1..], [Change::Removed(names)] if names.len() == 5));
}

#[test]
fn classes_in_another_order_are_noticed() {
    let set = |classes: [&str; 2], labels: Vec<usize>| {
        Splits::new(Dataset::new(strings(&classes), [1, 1, 1], vec![0; 4], labels).unwrap())
    };
    let manifest = Manifest::of(&set(["a", "b"], vec![0, 0, 1, 1]));
    let (_, changes) = manifest.apply(&set(["b", "a"], vec![1, 1, 0, 0]));
    let changes: Vec<_> = changes.iter().collect();
    assert_eq!(changes, [&Change::ReorderedClasses]);
    let (_, changes) = manifest.apply(&set(["a", "b"], vec![0, 1, 1, 1]));
    let expected = Change::Relabelled(strings(&["#1"]));
    assert_eq!(changes.iter().collect::<Vec<_>>(), [&expected]);
}

#[test]
fn the_sets_of_a_run_are_found_again_whatever_the_seed() {
    let dir = pets();
    let splits = opened(&dir);
    let manifest = Manifest::of(&splits);
    for (other, changed) in [
        (open(dir.path(), &config(2)).unwrap(), false),
        (
            open(dir.path(), &DataConfig::new().with_size(2)).unwrap(),
            true,
        ),
        (splits.clone().truncate(3), true),
    ] {
        let (found, changes) = manifest.apply(&other);
        assert!(changes.is_empty(), "{changes}");
        assert_eq!(Manifest::of(&found), manifest);
        assert_eq!(names(&found.train), names(&splits.train));
        if changed {
            assert!(!manifest.compare(&Manifest::of(&other)).is_empty());
        }
    }
}

#[test]
fn a_run_on_a_part_of_the_data_knows_the_rest() {
    let dir = pets();
    let splits = opened(&dir).truncate(3);
    let manifest = Manifest::of(&splits);
    assert_eq!(manifest.count(Split::Unused), 15 - 9);
    let (found, changes) = manifest.apply(&opened(&dir));
    assert!(changes.is_empty(), "{changes}");
    assert_eq!(names(&found.train), names(&splits.train));
    assert_eq!(found.val.unwrap().len(), 3);
}

#[test]
fn sets_can_be_applied_to_data_that_lost_images() {
    let dir = pets();
    let manifest = Manifest::of(&opened(&dir));
    let before = names(&opened(&dir).train);
    fs::remove_file(dir.path().join(&before[0])).unwrap();
    save(dir.path(), "train/cat/z.png", 9);
    let (found, changes) = manifest.apply(&opened(&dir));
    assert_eq!(changes.iter().count(), 2);
    assert_eq!(names(&found.train), before[1..]);
    assert_eq!(names(&found.test.unwrap()).len(), 3);
}

#[test]
fn changes_are_one_short_line() {
    let dir = pets();
    let manifest = Manifest::of(&opened(&dir));
    rename(&dir, "train/cat", "train/kitten");
    rename(&dir, "test/cat", "test/kitten");
    fs::remove_file(dir.path().join("train/dog/a.png")).unwrap();
    for image in ["w", "x", "y", "z"] {
        save(dir.path(), &format!("train/bird/{image}.png"), 9);
    }
    let (_, changes) = manifest.apply(&opened(&dir));
    let line = changes.to_string();
    assert!(line.len() < 250 && !line.contains('\n'), "{line}");
    for part in ["kitten", "train/dog/a.png", "train/bird/w.png", "4 images"] {
        assert!(line.contains(part), "{line}");
    }
    assert!(!line.contains("train/bird/z.png"), "{line}");
    assert_eq!(Changes::default().to_string(), "");
}
