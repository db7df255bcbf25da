//! The pictures.

use crate::{error, images, output, pets, scratch, tiny, trained};

#[test]
fn preview_has_three_rows_of_tiles() {
    let folder = scratch();
    let path = folder.path();
    let shown = output(path, &["preview"]);
    assert!(shown.starts_with("preview.png: cutmix/lambda "), "{shown}");
    let six = image::open(path.join("preview.png")).unwrap();
    assert_eq!(shown, output(path, &["preview", "--seed", "0"]));

    output(path, &["preview", "--count", "8", "--output", "eight.png"]);
    let eight = image::open(path.join("eight.png")).unwrap();
    assert_eq!(six.height(), eight.height());
    // A tile of 140 pixels and the gap.
    assert_eq!(eight.width() - six.width(), 2 * 152);

    pets(path);
    let algorithm = "cutmix:sampler=min-max:0.5..0.5";
    let options = ["--data", "pets", "--size", "32", "--algorithm", algorithm];
    let shown = output(path, &[&["preview"], &options[..]].concat());
    assert!(shown.contains("cutmix/lambda 0.7500"), "{shown}");
}

#[test]
fn preview_shows_every_algorithm_that_changes_images() {
    let folder = scratch();
    let path = folder.path();
    let height = |algorithm: &str| {
        output(path, &["preview", "--count", "3", "--algorithm", algorithm]);
        image::open(path.join("preview.png")).unwrap().height()
    };
    // Rows of originals, partners and results; without partners one less, and of a choice two
    // more.
    let cutmix = height("cutmix");
    for mixer in [
        "mixup:alpha=1",
        "fmix",
        "resizemix",
        "cutmix:probability=0.5",
        "cutmix:mode=pair",
    ] {
        assert_eq!(height(mixer), cutmix, "{mixer}");
    }
    for alone in ["cutout", "progressive-resizing"] {
        assert!(height(alone) < cutmix, "{alone}");
    }
    for choice in ["mixup-or-cutmix", "one-of(cutmix|fmix)"] {
        assert!(height(choice) > cutmix, "{choice}");
    }
}

#[test]
fn preview_shows_all_classes_of_images_that_have_several() {
    let folder = scratch();
    let path = folder.path();
    images(path, 2);
    // The second preview has images of one class each, all else being equal.
    let height = |labels: [&str; 2]| {
        let [first, second] = labels;
        let list = format!("path,label\n0.png,{first}\n1.png,{second}\n");
        std::fs::write(path.join("list.csv"), list).unwrap();
        let algorithm = "cutmix:sampler=min-max:0.5..0.5";
        let options = [
            "--data",
            "list.csv",
            "--count",
            "2",
            "--algorithm",
            algorithm,
        ];
        output(path, &[&["preview"], &options[..]].concat());
        image::open(path.join("preview.png")).unwrap().height()
    };
    let (several, one) = (height(["cat|grass", "dog|snow"]), height(["cat", "dog"]));
    // A line more below originals and partners, and two below mixed images, which have four classes.
    assert_eq!(several - one, (1 + 1 + 2) * 18);
}

#[test]
fn preview_needs_no_more_than_two_images() {
    let folder = scratch();
    let path = folder.path();
    images(&path.join("few/cat"), 1);
    images(&path.join("few/dog"), 1);
    output(path, &["preview", "--data", "few"]);
    output(
        path,
        &[
            "preview",
            "--data",
            "few",
            "--algorithm",
            "cutmix:mode=sample",
        ],
    );

    std::fs::write(path.join("few/dog/bad.png"), "no image").unwrap();
    let message = error(path, &["preview", "--data", "few"]);
    assert!(
        message.contains("bad.png") && !message.contains("--on-bad-image"),
        "{message}"
    );
}

#[test]
fn a_run_draws_its_curves_and_its_first_batch() {
    let run = trained().join("run");
    let curves = image::open(run.join("curves.png")).unwrap();
    assert_eq!((curves.width(), curves.height()), (1200, 536));
    let batch = image::open(run.join("batch.png")).unwrap();
    // Eight tiles of 140 pixels, gaps and margins.
    assert_eq!(batch.width(), 8 * 152 - 12 + 40);
}

#[test]
fn curves_have_a_panel_for_each_metric() {
    let folder = scratch();
    output(
        folder.path(),
        &tiny(&["--metric", "top5", "--output", "run"]),
    );
    let curves = image::open(folder.path().join("run/curves.png")).unwrap();
    assert_eq!((curves.width(), curves.height()), (1200, 1036));
}
