//! Data as people have them: `check`, augmentation, weights, several classes.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::{cutmix, error, images, output, pets, scratch, usage_error};

const TINY: &str = "train --size 16 --batch-size 8 --duration 2ba --device cpu --output run --data";

fn train(path: &Path, data: &str, more: &[&str]) -> String {
    let options = TINY.split(' ').chain([data]).chain(more.iter().copied());
    output(path, &options.collect::<Vec<_>>())
}

#[test]
fn check_says_what_is_there_what_is_bad_and_what_is_there_twice() {
    let folder = scratch();
    let path = folder.path();
    for (set, count) in [("train", 6), ("val", 3)] {
        images(&path.join("pets").join(set).join("dog"), count);
    }
    image::GrayImage::new(30, 10)
        .save(path.join("pets/train/dog/grey.png"))
        .unwrap();
    fs::create_dir_all(path.join("pets/train/cat")).unwrap();
    for index in 0..2u8 {
        let color = image::Rgb([9, 9, 100 * index]);
        let image = image::RgbImage::from_pixel(20, 16, color);
        image
            .save(path.join(format!("pets/train/cat/{index}.png")))
            .unwrap();
    }
    fs::write(path.join("pets/train/cat/bad.jpg"), "text").unwrap();
    fs::write(path.join("pets/notes.txt"), "text").unwrap();
    let shown = output(path, &["check", "pets"]);
    for line in [
        "train       10 images: cat 3, dog 7",
        "            9 PNG, 1 of them grey; from 10 x 30 to 16 x 20 pixels, most often 16 x 20 (8)",
        "val         3 images: cat 0, dog 3",
        "            3 PNG; all 16 x 20 pixels",
        "not used    1 file that is no image (notes.txt)",
        "bad         1 image",
        "            bad image pets/train/cat/bad.jpg: not a JPEG, PNG, WebP, GIF, TIFF or BMP file",
        "duplicates  3 images with copies",
        "            train/dog/0.png = val/dog/0.png",
        "leaks       3 images in the training set and in another one",
        "would use   12 images",
    ] {
        assert!(shown.lines().any(|found| found == line), "{line}: {shown}");
    }

    let json: Value =
        serde_json::from_str(&output(path, &["check", "pets", "--format", "json"])).unwrap();
    assert_eq!(json["sets"][0]["class-counts"], serde_json::json!([3, 7]));
    assert_eq!(json["sets"][0]["bad"][0]["name"], "train/cat/bad.jpg");
    assert_eq!(json["leaks"].as_array().unwrap().len(), 3);
    assert_eq!(json["unused"][0]["count"], 1);
    let message = error(path, &["check", "nowhere"]);
    assert_eq!(message, "nowhere does not exist");
}

#[test]
fn small_sets_shrink_their_batches_with_a_line() {
    let folder = scratch();
    let path = folder.path();
    images(&path.join("few/cat"), 3);
    images(&path.join("few/dog"), 2);
    let options = "train --data few --size 8 --duration 2ba --val-fraction 0.3 --device cpu";
    let run = cutmix(path, &options.split(' ').collect::<Vec<_>>());
    assert!(run.status.success());
    let warning = String::from_utf8(run.stderr).unwrap();
    assert_eq!(
        warning,
        "warning: batches of 3 instead of 32: there are only 3 training images\n"
    );
}

#[test]
fn what_an_epoch_leaves_out_is_said() {
    let folder = scratch();
    let path = folder.path();
    pets(path);
    let shown = train(path, "pets", &["--val-fraction", "0.25"]);
    let line =
        "each epoch leaves out 2 images, different ones each time, which do not fill a batch";
    assert!(shown.contains(line), "{shown}");
}

#[test]
fn pictures_that_lose_most_of_their_area_are_told() {
    let folder = scratch();
    let path = folder.path();
    for class in ["a", "b"] {
        fs::create_dir_all(path.join("wide").join(class)).unwrap();
        for index in 0..8 {
            let image = image::RgbImage::new(60, 20);
            image
                .save(path.join(format!("wide/{class}/{index}.png")))
                .unwrap();
        }
    }
    let shown = train(path, "wide", &[]);
    let line =
        "evaluation sees 26 % of the area of most images; --fit pad or stretch shows all of it";
    assert!(shown.contains(line), "{shown}");
    fs::remove_dir_all(path.join("run")).unwrap();
    let shown = train(path, "wide", &["--fit", "pad"]);
    assert!(!shown.contains("of the area"), "{shown}");
    assert!(
        shown.contains("evaluation sees the whole image with a border as 16 x 16"),
        "{shown}"
    );
}

#[test]
fn augmentations_are_written_down_and_repeat_the_run() {
    let folder = scratch();
    let path = folder.path();
    pets(path);
    let list = "random-resized-crop:scale=0.35..1|flip|trivial-augment";
    let shown = train(path, "pets", &["--augment", list, "--eval-size", "24"]);
    assert!(
        shown.contains(&format!("augment    {list}; evaluation sees")),
        "{shown}"
    );
    assert!(shown.contains("as 24 x 24"), "{shown}");
    let options = ["train", "--config", "run/config.toml", "--output", "again"];
    output(path, &options);
    let model = |run: &str| fs::read(path.join(run).join("model.safetensors")).unwrap();
    assert_eq!(model("run"), model("again"));
    let picture = [
        "preview",
        "--data",
        "pets",
        "--size",
        "32",
        "--augment",
        "strong",
    ];
    output(path, &picture);
    let drawn = image::open(path.join("preview.png")).unwrap();
    // A row of originals and four of what becomes of them.
    assert!(drawn.height() > 5 * 128, "{}", drawn.height());
    for (list, named) in [
        ("flip|shfit", "did you mean `shift`?"),
        ("flip:horizontal=2", "horizontal"),
        ("rotate:degrees=steep", "degrees"),
        ("strong|", "augmentation"),
    ] {
        let message = usage_error(path, &["train", "--augment", list]);
        assert!(message.contains(named), "{message}");
    }
}

#[test]
fn rare_classes_weigh_more_or_come_more_often() {
    let folder = scratch();
    let path = folder.path();
    images(&path.join("pets/cat"), 20);
    images(&path.join("pets/dog"), 4);
    train(path, "pets", &["--class-weights", "balanced"]);
    let card = |run: &str| {
        let bytes = fs::read(path.join(run).join("model.safetensors")).unwrap();
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        let card = header["__metadata__"]["cutmix"].as_str().unwrap();
        serde_json::from_str::<Value>(card).unwrap()
    };
    // 18 cats and 4 dogs train.
    let weights = card("run")["class-weights"].clone();
    let weights: Vec<f64> = serde_json::from_value(weights).unwrap();
    assert!(
        (weights[0] - 22.0 / 36.0).abs() < 0.1 && weights[1] > 2.0,
        "{weights:?}"
    );
    // The loss of the run is measured with its weights.
    let shown = output(path, &["eval", "run"]);
    let table = fs::read_to_string(path.join("run/metrics.csv")).unwrap();
    let last = table
        .lines()
        .last()
        .unwrap()
        .split(',')
        .nth_back(1)
        .unwrap();
    let loss: f64 = last.parse().unwrap();
    assert!(
        shown.contains(&format!("loss {loss:.4}")),
        "{shown}: {table}"
    );

    fs::write(path.join("weights.csv"), "class,weight\ndog,3\n").unwrap();
    fs::remove_dir_all(path.join("run")).unwrap();
    train(
        path,
        "pets",
        &["--class-weights", "weights.csv", "--sampler", "balanced"],
    );
    assert_eq!(card("run")["class-weights"], serde_json::json!([1.0, 3.0]));
    for (text, named) in [
        ("dogs,3\n", "weights.csv `dogs` (did you mean `dog`?)"),
        (
            "dog,heavy\n",
            "weights.csv: line 1: weight of `dog` is heavy",
        ),
        ("cat,0\ndog,0\n", "weights.csv: all weights are 0"),
        ("dog,-1\n", "weight of `dog` is -1"),
    ] {
        fs::write(path.join("weights.csv"), text).unwrap();
        let options = "train --data pets --batch-size 8 --class-weights weights.csv";
        let message = error(path, &options.split(' ').collect::<Vec<_>>());
        assert!(message.contains(named), "{message}");
    }
}

#[test]
fn images_of_several_classes_are_learned_from_a_list() {
    let folder = scratch();
    let path = folder.path();
    images(&path.join("photos/images"), 24);
    let mut rows = String::from("path,labels,split\n");
    for index in 0..24 {
        let labels = ["cat", "cat|dog", "dog|bird", ""][index % 4];
        let split = ["train", "train", "val", "test"][index / 6];
        rows += &format!("images/{index}.png,{labels},{split}\n");
    }
    fs::write(path.join("photos/labels.csv"), rows).unwrap();
    let shown = train(path, "photos/labels.csv", &[]);
    assert!(
        shown.contains("12 images to train, 6 to validate, 6 to test; 3 classes"),
        "{shown}"
    );
    assert!(shown.contains("val mean-average-precision"), "{shown}");
    let shown = output(path, &["eval", "run"]);
    let heading = "class  images  average precision  threshold  precision    recall  F1 score";
    assert!(shown.contains(heading), "{shown}");
    assert!(shown.contains("test set: 6 images"), "{shown}");
    let shown = output(path, &["predict", "run", "photos/images/0.png"]);
    assert!(shown.contains(" %"), "{shown}");
    let options = "train --data photos/labels.csv --batch-size 8 --metric auroc";
    let message = error(path, &options.split(' ').collect::<Vec<_>>());
    assert!(
        message.contains("mean-average-precision, as images have several classes"),
        "{message}"
    );
    // A list whose rows all have one label, or none, is one of several classes to such a network.
    for (rows, images) in [("0.png,cat\n2.png,dog\n", 2), ("0.png,cat\n3.png,\n", 2)] {
        let list = format!("path,label\n{rows}");
        fs::write(path.join("photos/images/one.csv"), list).unwrap();
        let shown = output(path, &["eval", "run", "--data", "photos/images/one.csv"]);
        assert!(shown.contains(heading), "{shown}");
        assert!(shown.contains(&format!(": {images} images")), "{shown}");
        assert!(shown.contains("mean-average-precision"), "{shown}");
    }
    // Images in folders of one class each are other data: what else they show is not known.
    pets(path);
    let message = error(path, &["eval", "run", "--data", "pets"]);
    assert!(message.contains("any number of classes"), "{message}");
}

#[test]
fn a_run_that_met_a_bad_image_resumes_without_it() {
    let folder = scratch();
    let path = folder.path();
    let pets = pets(path);
    fs::write(pets.join("cat/3.png"), "no image").unwrap();
    let options = "train --data pets --size 16 --batch-size 1 --duration 1ep --val-fraction 0.1 \
                   --save-interval 1ba --device cpu --output run";
    let message = error(
        path,
        &options
            .split(' ')
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>(),
    );
    assert!(message.contains("cutmix train --resume run"), "{message}");
    let shown = output(
        path,
        &["train", "--resume", "run", "--on-bad-image", "skip"],
    );
    assert!(shown.contains("1 bad image skipped"), "{shown}");
}

/// Trains on `pets` in steps of one image.
fn one_by_one<'a>(run: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let options = "train --data pets --size 16 --batch-size 1 --duration 1ep --val-fraction 0.1 \
                   --save-interval 1ba --device cpu --output";
    let options = options.split_whitespace().chain([run]);
    options.chain(more.iter().copied()).collect()
}

#[test]
fn a_bad_image_that_was_removed_is_left_out_of_the_resumed_run() {
    let folder = scratch();
    let path = folder.path();
    let pets = pets(path);
    let bad = pets.join("cat/3.png");
    fs::write(&bad, "no image").unwrap();
    output(path, &one_by_one("whole", &["--on-bad-image", "skip"]));
    error(path, &one_by_one("run", &[]));

    // A repaired image is another one.
    image::RgbImage::new(20, 16).save(&bad).unwrap();
    let message = error(path, &["train", "--resume", "run"]);
    for part in [
        "1 image of another size (cat/3.png); a run needs the images that it started with",
        "move repaired ones elsewhere and leave them out with --on-bad-image skip",
        "or start a new run",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    fs::remove_file(&bad).unwrap();
    let message = error(path, &["train", "--resume", "run"]);
    let advice = "leave out those that are gone with --on-bad-image skip, which keeps the order of the others";
    assert!(message.contains(advice), "{message}");

    let resume = ["train", "--resume", "run", "--on-bad-image", "skip"];
    let resumed = cutmix(path, &resume);
    let warning = String::from_utf8(resumed.stderr).unwrap();
    assert!(
        resumed.status.success() && warning.ends_with("(cat/3.png); left out like bad images\n"),
        "{warning}"
    );
    let shown = String::from_utf8(resumed.stdout).unwrap();
    let skipped = "1 bad image skipped, the first: cat/3.png does not exist";
    assert!(shown.contains(skipped), "{shown}");
    // All others came in the order in which they come where the bad image is skipped.
    assert_eq!(model(path, "run"), model(path, "whole"));
}

fn model(path: &Path, run: &str) -> Vec<u8> {
    fs::read(path.join(run).join("model.safetensors")).unwrap()
}

#[test]
fn bad_images_are_skipped_alike_in_runs_of_one_seed() {
    let folder = scratch();
    let path = folder.path();
    let pets = pets(path);
    fs::write(pets.join("cat/5.png"), "no image").unwrap();
    let good = fs::read(pets.join("dog/7.png")).unwrap();
    fs::write(pets.join("dog/7.png"), &good[..good.len() / 2]).unwrap();
    for run in ["one", "two"] {
        let options = "train --data pets --size 16 --batch-size 8 --duration 3ep --seed 7 --device cpu \
                       --on-bad-image skip --output";
        let options = options.split_whitespace().chain([run]);
        let shown = output(path, &options.collect::<Vec<_>>());
        assert!(
            shown.contains("2 bad images skipped, the first: "),
            "{shown}"
        );
    }
    assert_eq!(model(path, "one"), model(path, "two"));
}

/// The main thread is one of the pool that makes the batches.
#[test]
fn the_number_of_threads_changes_no_weights() {
    let folder = scratch();
    let path = folder.path();
    pets(path);
    let train = |threads: &str| {
        let options = "train --data pets --size 16 --batch-size 5 --duration 3ep --device cpu \
                       --augment strong --cache 0 --output";
        let options = options.split_whitespace().chain([threads]);
        let program = assert_cmd::Command::new(env!("CARGO_BIN_EXE_cutmix"))
            .args(options)
            .current_dir(path)
            .env("RAYON_NUM_THREADS", threads)
            .output();
        let program = program.unwrap();
        assert!(program.status.success(), "{program:?}");
        model(path, threads)
    };
    let alone = train("1");
    for threads in ["2", "3", "8"] {
        assert!(train(threads) == alone, "{threads} threads");
    }
}

#[test]
fn the_time_spent_waiting_for_images_is_told() {
    let folder = scratch();
    let path = folder.path();
    pets(path);
    let shown = train(path, "pets", &["--log", "jsonl"]);
    let share = shown
        .split(" % of the time waiting for images")
        .next()
        .unwrap();
    assert!(share.len() < shown.len(), "{shown}");
    let share: f64 = share.rsplit(' ').next().unwrap().parse().unwrap();
    assert!((0.0..=100.0).contains(&share), "{shown}");

    let log = fs::read_to_string(path.join("run/log.jsonl")).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str(line).unwrap());
    let reports: Vec<Value> = lines
        .filter(|line: &Value| line["kind"] == "report")
        .collect();
    assert!(!reports.is_empty(), "{log}");
    for report in reports {
        let seconds = |name: &str| report[name].as_f64().unwrap();
        let (waiting, training) = (seconds("data_seconds"), seconds("train_seconds"));
        assert!((0.0..=training).contains(&waiting), "{report}");
    }
}

#[test]
fn images_above_the_memory_for_decoding_are_named_with_the_option() {
    let folder = scratch();
    let path = folder.path();
    let pets = pets(path);
    image::RgbImage::new(40, 30)
        .save(pets.join("cat/3.png"))
        .unwrap();
    let large = "cat/3.png is an image of 30 x 40 pixels, which takes 8400 bytes to decode: more than \
                 the 4096 bytes of --decode-memory";
    let shown = output(path, &["check", "pets", "--decode-memory", "4KiB"]);
    assert!(shown.contains("bad         1 image\n"), "{shown}");
    assert!(shown.contains(large), "{shown}");
    let options = [
        "check",
        "pets",
        "--decode-memory",
        "4KiB",
        "--format",
        "json",
    ];
    let json: Value = serde_json::from_str(&output(path, &options)).unwrap();
    let reason = json["sets"][0]["bad"][0]["reason"].as_str().unwrap();
    assert!(reason.contains(large), "{reason}");
    assert!(!output(path, &["check", "pets"]).contains("bad  "));

    let options = one_by_one("run", &["--decode-memory", "4KiB"]);
    let message = error(path, &options);
    let large = "cat/3.png: an image of 30 x 40 pixels, which takes 8400 bytes to decode, more than the \
                 4KiB of --decode-memory";
    assert!(message.contains(large), "{message}");
    let options = one_by_one(
        "skip",
        &["--decode-memory", "4KiB", "--on-bad-image", "skip"],
    );
    let shown = output(path, &options);
    assert!(shown.contains("4096 bytes of --decode-memory"), "{shown}");

    // The option that raises it is one of every command that decodes.
    let commands = [
        &["predict", "skip", "pets/cat/3.png"][..],
        &["eval", "skip", "--split", "train", "--on-bad-image", "fail"],
        &["preview", "--data", "pets", "--size", "8", "--count", "20"],
    ];
    for command in commands {
        let with = |memory| [command, &["--decode-memory", memory]].concat();
        let failed = cutmix(path, &with("4KiB"));
        let message = String::from_utf8(failed.stderr).unwrap();
        assert!(
            !failed.status.success() && message.contains("of --decode-memory"),
            "{command:?}: {message}"
        );
        output(path, &with("1MiB"));
    }
}
