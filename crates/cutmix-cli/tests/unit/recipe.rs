//! Tests of the recipes.

use clap::ValueEnum;
use cutmix_vision::Augment;
use cutmix_vision::data::Size;
use cutmix_vision::data::augment::{Frame, Transform};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use toml::{Table, Value, toml};

use super::RecipeName;
use crate::settings::Settings;

#[test]
fn every_recipe_is_of_settings_that_are_accepted() {
    for recipe in RecipeName::value_variants() {
        let settings: Settings = recipe.published().try_into().unwrap();
        settings.check().unwrap();
    }
}

#[test]
fn recipes_name_their_sources() {
    for recipe in RecipeName::value_variants() {
        let source = recipe.source();
        let place = source.rsplit([' ', ',']).next().unwrap();
        assert!(recipe.text().contains(place), "{recipe}: {source}");
    }
}

/// Checks the keys and values of a recipe, numbers with three digits.
fn check(recipe: RecipeName, expected: Table) {
    let found = recipe.published();
    assert!(found.keys().eq(expected.keys()), "{recipe}: {found}");
    for (key, expected) in &expected {
        match (expected, &found[key]) {
            (Value::Float(expected), Value::Float(found)) => {
                let error = (found - expected).abs();
                assert!(error <= 2e-3 * expected, "{recipe}: {key} is {found}");
            }
            (expected, found) => assert_eq!(found, expected, "{recipe}: {key}"),
        }
    }
}

/// What MosaicML's recipes have in common: github.com/mosaicml/examples, blogs/resnet/recipes,
/// resnet50_mild.yaml and resnet50_medium.yaml.
fn mosaic(scale_schedule_ratio: f64, algorithms: &[&str]) -> Table {
    let (train_batch_size, lr, max_epochs) = (2048.0, 2.048, 90.0);
    let (weight_decay, crop_size, resize_size) = (5e-4, 224.0, 232.0);
    let (half_life, update_interval) = (100.0, 20.0);
    let batch_size = 256.0;
    // This program has a momentum of 0.9.
    let momentum = 0.9;
    let ema = format!(
        "ema:half-life={}sp,update-interval={}sp",
        half_life * train_batch_size,
        update_interval * train_batch_size
    );
    let resizing = "progressive-resizing:mode=resize,initial-scale=0.5,delay-fraction=0.4,\
                    finetune-fraction=0.2,size-increment=4";
    let algorithms = [&[resizing], algorithms, &[&ema]].concat();
    let mut settings = toml! {
        model = "resnet50"
        blur-pool = true
        optimizer = "sgd"
        schedule = "cosine"
        warmup = "8ep"
        size = 176
        eval-size = 224
        augment = "random-resized-crop|flip"
    };
    let epochs = (max_epochs * scale_schedule_ratio) as u32;
    settings.extend([
        ("duration".into(), format!("{epochs}ep").into()),
        ("batch-size".into(), (batch_size as i64).into()),
        (
            "learning-rate".into(),
            (lr * batch_size / train_batch_size).into(),
        ),
        (
            "weight-decay".into(),
            (weight_decay * (1.0 - momentum) / lr).into(),
        ),
        ("crop-share".into(), (crop_size / resize_size).into()),
        ("algorithm".into(), algorithms.into()),
    ]);
    settings
}

#[test]
fn mild_and_medium_have_the_values_of_their_authors() {
    let mild = ["label-smoothing:0.08"];
    check(RecipeName::Mild, mosaic(0.36, &mild));
    let medium = [
        "mixup:alpha=0.2",
        "label-smoothing:0.1",
        "sam:rho=0.5,epsilon=1e-12,interval=10",
    ];
    check(RecipeName::Medium, mosaic(1.0, &medium));
}

/// Rate, decay, batches and epochs of arXiv:1605.07146, section 3; alpha and probability of CutMix in
/// github.com/clovaai/CutMix-PyTorch, README.md, for CIFAR.
#[test]
fn cifar_has_the_values_of_its_authors() {
    let expected = toml! {
        model = "wrn28-10"
        duration = "200ep"
        batch-size = 128
        learning-rate = 0.1
        weight-decay = 0.0005
        optimizer = "sgd"
        schedule = "step:every=60ep,factor=0.2"
        warmup = "0ba"
        augment = "light"
        algorithm = ["cutmix:alpha=1,probability=0.5"]
    };
    check(RecipeName::Cifar, expected);
}

/// arXiv:1912.11370, section 3.3; the warm-up and the crop in github.com/google-research/big_transfer,
/// bit_hyperrule.py (`get_schedule`, `get_resolution`) and bit_pytorch/train.py.
#[test]
fn finetune_has_the_values_of_its_authors() {
    let (warmup, steps) = (100.0, 500.0);
    let mut expected = toml! {
        duration = "500ba"
        batch-size = 512
        learning-rate = 0.003
        weight-decay = 0.0
        optimizer = "sgd"
        schedule = "step:every=0.3dur,factor=0.1"
        augment = "centre-crop:share=1|random-resized-crop:scale=0.8789..0.8789,ratio=1..1|flip"
        crop-share = 1.0
        algorithm = ["none"]
    };
    expected.insert("warmup".into(), format!("{}dur", warmup / steps).into());
    check(RecipeName::Finetune, expected);
}

#[test]
fn finetune_crops_squares_of_480_of_512_pixels_from_images_of_any_shape() {
    let recipe = RecipeName::Finetune.published();
    let augment: Augment = recipe["augment"].as_str().unwrap().parse().unwrap();
    let side = 512;
    for size in [
        Size::new(480, 640),
        Size::new(900, 300),
        Size::new(512, 512),
    ] {
        let frame = Frame {
            size,
            target: Size::new(side, side),
            mean: [0; 3],
        };
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let corners = (0..50).map(|_| {
            let transforms = augment.draw(frame, &mut rng);
            let crop = transforms
                .iter()
                .rev()
                .find_map(|transform| match transform {
                    Transform::Crop { region, .. } => Some(*region),
                    _ => None,
                });
            let region = crop.unwrap();
            assert_eq!(region.size(), Size::new(480, 480), "{size}");
            [region.top, region.left]
        });
        let corners: Vec<_> = corners.collect();
        for axis in [0, 1] {
            let places = corners.iter().map(|corner| corner[axis]);
            assert!(places.clone().min() < Some(8), "{size}: {corners:?}");
            assert!(places.max() > Some(24), "{size}: {corners:?}");
        }
    }
}

#[test]
fn weights_and_a_run_of_the_head_leave_parts_of_a_recipe_out() {
    let plain = RecipeName::Medium.settings_for(&Table::new());
    assert!(plain.keys().eq(RecipeName::Medium.published().keys()));
    // Written out, as config.toml has them.
    assert!(plain["augment"].as_str().unwrap().contains("scale=0.08..1"));

    let with = |text: &str| RecipeName::Medium.settings_for(&text.parse().unwrap());
    let gone = |settings: &Table| {
        let gone = plain.keys().filter(|key| !settings.contains_key(*key));
        gone.cloned().collect::<Vec<_>>()
    };
    assert_eq!(gone(&with("weights = \"p1\"")), ["blur-pool", "model"]);
    let head = with("train = \"head\"");
    assert_eq!(gone(&head), ["augment"]);
    let kept = head["algorithm"].as_array().unwrap().len();
    assert_eq!((kept, plain["algorithm"].as_array().unwrap().len()), (3, 5));
    assert_eq!(gone(&with("train = \"all\"")), [""; 0]);
}
