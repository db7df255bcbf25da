//! The pictures.

use crate::{error, images, output, pets, scratch, trained};

#[test]
fn preview_has_three_rows_of_tiles() {
    let folder = scratch();
    let path = folder.path();
    let shown = output(path, &["preview"]);
    assert!(shown.starts_with("preview.png: region ["), "{shown}");
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
    assert!(shown.contains("lambda 0.7500"), "{shown}");
}

#[test]
fn preview_shows_every_algorithm_that_changes_images() {
    let folder = scratch();
    let path = folder.path();
    let height = |algorithm: &str, told: &str| {
        let options = ["preview", "--count", "3", "--algorithm", algorithm];
        let shown = output(path, &options);
        assert!(shown.contains(told), "{algorithm}: {shown}");
        image::open(path.join("preview.png")).unwrap().height()
    };
    let cutmix = height("cutmix", "preview.png: region [");
    // Rows of originals, partners and mixtures; CutOut has no partners, a choice one row more.
    let mixup = height("mixup:alpha=1", "preview.png: lambda ");
    assert_eq!(mixup, cutmix);
    assert_eq!(height("mixup:mode=sample", " 0 with 1, lambda "), cutmix);
    assert!(height("cutout", "preview.png: squares [") < cutmix);
    assert!(height("mixup-or-cutmix", "; region [") > cutmix);

    for unseen in ["none", "label-smoothing", "one-of(cutmix|mixup)"] {
        assert_eq!(
            error(path, &["preview", "--algorithm", unseen]),
            format!(
                "--algorithm is {unseen}, expected one that changes images: cutmix, mixup, \
                 mixup-or-cutmix or cutout; of one-of, one choice at a time"
            )
        );
    }
    assert_eq!(
        error(path, &["preview", "--algorithm", "cutout:length=29"]),
        "`length` is 29; accepted: 1 to 28 pixels, the image's smallest side"
    );
    assert_eq!(
        error(path, &["preview", "--output", "preview.jpg"]),
        "--output is preview.jpg, expected a name that ends in .png"
    );
}

#[test]
fn preview_needs_no_more_than_two_images() {
    let folder = scratch();
    let path = folder.path();
    images(&path.join("few/cat"), 1);
    images(&path.join("few/dog"), 1);
    output(path, &["preview", "--data", "few"]);
    let algorithm = ["--algorithm", "cutmix:mode=sample"];
    let shown = output(
        path,
        &[&["preview", "--data", "few"], &algorithm[..]].concat(),
    );
    assert!(shown.starts_with("preview.png: regions of ["), "{shown}");

    std::fs::write(path.join("few/dog/bad.png"), "no image").unwrap();
    let told = error(path, &["preview", "--data", "few"]);
    assert!(
        told.contains("bad.png") && !told.contains("--on-bad-image"),
        "{told}"
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
