//! `cutmix explain`.

use std::fs;
use std::path::Path;

use image::{GrayImage, RgbImage};

use crate::{cutmix, error, fashion, output, pets, scratch, tiny, trained};

/// The names of the files in a folder.
fn files(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    files
}

/// The pixels that are not grey, as a share of all.
fn coloured(picture: &RgbImage) -> f64 {
    let is_coloured =
        |[red, green, blue]: [u8; 3]| red.abs_diff(blue).max(red.abs_diff(green)) > 24;
    let count = picture.pixels().filter(|pixel| is_coloured(pixel.0));
    count.count() as f64 / f64::from(picture.width() * picture.height())
}

#[test]
fn each_image_becomes_a_picture_of_its_own_name_in_the_run() {
    let folder = scratch();
    let path = folder.path();
    output(path, &tiny(&["--output", "run"]));
    fs::create_dir(path.join("b")).unwrap();
    for (name, index) in [("shirt.png", 0), ("Shirt.PNG", 1), ("b/shirt.png", 2)] {
        fashion(&path.join(name), index);
    }
    let images = ["shirt.png", "Shirt.PNG", "b/shirt.png"];
    let shown = output(path, &[&["explain", "run"], &images[..]].concat());
    let names = ["shirt.map.png", "Shirt-2.map.png", "shirt-3.map.png"];
    for ((line, image), name) in shown.lines().zip(images).zip(names) {
        assert!(line.starts_with(&format!("{image}  ")), "{line}");
        assert!(line.ends_with(&format!(" %  run/explain/{name}")), "{line}");
        let picture = image::open(path.join("run/explain").join(name))
            .unwrap()
            .into_rgb8();
        // The image and its map, 280 pixels each, a gap and margins.
        assert_eq!(picture.width(), 2 * 280 + 16 + 40);
        assert!(coloured(&picture) > 0.05, "{name}");
    }
    assert_eq!(files(&path.join("run/explain")).len(), 3);
}

#[test]
fn maps_are_drawn_for_the_most_likely_classes_or_for_those_that_are_named() {
    let folder = scratch();
    let path = folder.path();
    fashion(&path.join("a.png"), 0);
    let run = trained().join("run");
    let run = run.to_str().unwrap();
    let width = |more: &[&str]| {
        let command = ["explain", run, "a.png", "--output", "maps"];
        output(path, &[&command, more].concat());
        image::open(path.join("maps/a.map.png")).unwrap().width()
    };
    let tile = 280 + 16;
    assert_eq!(width(&["--top", "3"]), width(&[]) + 2 * tile);
    assert_eq!(
        width(&["--class", "Bag", "--class", "Coat"]),
        width(&[]) + tile
    );
    // More than there are classes are all ten, in rows of four.
    assert_eq!(width(&["--top", "99"]), width(&["--top", "3"]));

    let likely = output(path, &["predict", run, "a.png", "--top", "1"]);
    let shown = output(path, &["explain", run, "a.png", "--output", "maps"]);
    assert_eq!(
        shown.trim_end(),
        format!("{}  maps/a.map.png", likely.trim_end())
    );
    let shown = output(
        path,
        &[
            "explain", run, "a.png", "--class", "Bag", "--output", "maps",
        ],
    );
    assert!(shown.starts_with("a.png  Bag "), "{shown}");
    let map = |class: &str| {
        output(
            path,
            &[
                "explain", run, "a.png", "--class", class, "--output", "maps",
            ],
        );
        let picture = image::open(path.join("maps/a.map.png"))
            .unwrap()
            .into_rgb8();
        // Below the caption, which names the class.
        image::imageops::crop_imm(&picture, 20 + tile, 60, 280, 240).to_image()
    };
    assert_eq!(map("Bag"), map("Bag"));
    assert_ne!(map("Bag"), map("Coat"));
    let message = error(path, &["explain", run, "a.png", "--class", "Bagg"]);
    assert!(
        message.starts_with("unknown class `Bagg` (did you mean `Bag`?)"),
        "{message}"
    );
}

#[test]
fn a_bad_image_is_reported_and_the_others_are_drawn() {
    let folder = scratch();
    let path = folder.path();
    pets(path);
    let train = "train --data pets --size 16 --batch-size 8 --duration 1ep --output run";
    output(path, &train.split(' ').collect::<Vec<_>>());
    fs::write(path.join("bad.png"), "no image").unwrap();
    // Other sizes and colours become what the network takes.
    GrayImage::new(50, 9).save(path.join("wide.png")).unwrap();
    let explain = [
        "explain",
        "run",
        "gone.png",
        "bad.png",
        "pets/cat/0.png",
        "wide.png",
    ];
    let mixed = cutmix(path, &explain);
    assert_eq!(mixed.status.code(), Some(1));
    assert_eq!(
        files(&path.join("run/explain")),
        ["0.map.png", "wide.map.png"]
    );
    let message = String::from_utf8(mixed.stderr).unwrap();
    let lines: Vec<_> = message.lines().collect();
    assert!(
        lines[0].contains("gone.png") && lines[1].contains("bad.png"),
        "{message}"
    );
    assert_eq!(lines[2], "error: 2 of 4 images could not be read");
}
