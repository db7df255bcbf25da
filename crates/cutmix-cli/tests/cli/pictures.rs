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
    assert_eq!(
        error(path, &["preview", "--algorithm", "none"]),
        "--algorithm is none, expected one that mixes images, such as cutmix"
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
