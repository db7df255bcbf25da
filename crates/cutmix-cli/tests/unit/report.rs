use std::collections::HashSet;

use cutmix_train::Prediction;
use cutmix_vision::measures::{Detection, Fgsm, Localisation, Occlusion};
use cutmix_vision::{Label, Manifest, SkippedImage, Split};

use super::page;
use super::run::{Metrics, Run, Status};
use crate::report::batches::BatchNumber;
use crate::report::evaluation::{
    Evaluation, ImagePrediction, LocalisationAt, Measures, Outcome, SingleLabel, StoredEvaluation,
    UnlikeDetection,
};
use crate::settings::Settings;

/// An evaluation of images of which class `c` is predicted as class `c / 2`.
fn evaluated(classes: &[String]) -> StoredEvaluation {
    let predictions = (0..classes.len()).map(|class| {
        let mut logits = vec![0.0; classes.len()];
        logits[class / 2] = 3.0;
        Prediction::new(class, &logits).unwrap()
    });
    let predictions: Vec<_> = predictions.collect();
    let images = predictions
        .iter()
        .enumerate()
        .map(|(index, one)| ImagePrediction {
            name: format!("{}/<b>{index}&\".jpg", classes[one.label()]),
            class: classes[one.label()].clone(),
            predicted: classes[one.predicted()].clone(),
            probability: one.confidence(),
            class_probability: one.label_probability(),
            margin: one.margin(),
            likely_class: (index == 3).then(|| classes[1].clone()),
            index,
        });
    let images: Vec<_> = images.collect();
    let result = SingleLabel::new(classes, &predictions, &images);
    let skipped = SkippedImage {
        name: "<i>".into(),
        reason: "bad image <i>".into(),
    };
    StoredEvaluation {
        name: "test".into(),
        evaluation: Evaluation {
            data: "pets & <others>".into(),
            set: Some(Split::Test),
            images: images.len(),
            skipped: vec![skipped],
            is_trained_on: false,
            trained_on_images: 0,
            changes: Some("<u>".into()),
            scores: [("loss".into(), Some(1.25)), ("accuracy".into(), None)].into(),
            result: Outcome::SingleLabel(result),
        },
        mistakes: vec![b"picture".to_vec(); 3],
    }
}

fn run(classes: Vec<String>) -> Run {
    Run {
        path: "runs/<a>'\"".into(),
        settings: Settings {
            data: Some("pets <all>".into()),
            model: Some("resnet8".into()),
            ..Settings::default()
        },
        version: Some("0.0.0".into()),
        given: Some(
            [("data".to_string(), "pets <all>".into())]
                .into_iter()
                .collect(),
        ),
        parameters: 12_345,
        status: Status::Finished,
        metrics: Metrics::default(),
        batches: vec![BatchNumber {
            batch: 0,
            epoch: 0.0,
            name: "<algorithm>".into(),
            value: 0.5,
        }],
        first_batch: Some(b"picture".to_vec()),
        evaluations: vec![evaluated(&classes)],
        manifest: Manifest {
            samples: vec![cutmix_vision::data::Sample {
                name: "a".into(),
                bytes: 1,
                label: Label::Class(0),
                split: Split::Train,
            }],
            classes,
        },
    }
}

/// The tags of a page, such as `td` and `/td`, in order.
fn tags(html: &str) -> Vec<&str> {
    let pieces = html.split('<').skip(1);
    let names = pieces.map(|piece| {
        let end = piece.find(|letter: char| letter.is_whitespace() || letter == '>');
        &piece[..end.unwrap_or(piece.len())]
    });
    names.collect()
}

#[test]
fn names_from_elsewhere_are_text_and_never_marks() {
    let names = [
        "<script>alert(1)</script>",
        "\"quoted\" & 'such'",
        "Ärmel 袖",
        "</style>",
    ];
    let page = page(&run(names.map(String::from).to_vec())).into_string();
    let known = [
        "!DOCTYPE",
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "h1",
        "h2",
        "h3",
        "p",
        "main",
        "section",
        "div",
        "dl",
        "dt",
        "dd",
        "strong",
        "code",
        "pre",
        "figure",
        "figcaption",
        "svg",
        "path",
        "rect",
        "text",
        "ul",
        "li",
        "img",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "span",
        "i",
        "br",
        "footer",
    ];
    let mut open = Vec::new();
    for tag in tags(&page) {
        assert!(known.contains(&tag.trim_start_matches('/')), "{tag}");
        match tag {
            "!DOCTYPE" | "meta" | "img" | "br" => {}
            _ if tag.starts_with('/') => assert_eq!(open.pop(), Some(&tag[1..])),
            _ => open.push(tag),
        }
    }
    assert_eq!(open, [""; 0]);
    for text in [
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "&quot;quoted&quot; &amp; 'such'",
        "Ärmel 袖",
        "&lt;algorithm&gt;",
    ] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn metrics_have_their_unit_and_are_there_once() {
    let mut run = run((0..6).map(|class| format!("class {class}")).collect());
    let scores = &mut run.evaluations[0].evaluation.scores;
    for (name, value) in [("top5", 83.3333), ("f-score", 5.9852), ("auroc", 52.7344)] {
        scores.insert(name.into(), Some(value));
    }
    let page = page(&run).into_string();
    assert!(page.contains("<dt>Loss</dt><dd>1.2500</dd>"));
    assert!(page.contains("<dt>Area under the ROC curve</dt><dd>52.73 %</dd>"));
    assert_eq!(page.matches("Top-5 accuracy").count(), 1);
    assert!(!page.contains("5.98") && !page.contains("F-score"));
}

/// A run with all measures.
fn measured() -> Run {
    let mut run = run(vec!["a".into(), "b".into()]);
    let Outcome::SingleLabel(result) = &mut run.evaluations[0].evaluation.result else {
        panic!("images have one class");
    };
    result.measures = Measures {
        occlusion: Some(Occlusion {
            seed: 0,
            shares: vec![0.07, 0.5],
            random: vec![0.5, 0.25],
            centre: vec![0.4, 0.125],
            border: vec![0.45, 0.0],
        }),
        fgsm: Some(Fgsm {
            levels: vec![1.0, 8.0],
            accuracy: vec![0.375, 0.0],
        }),
        detection: Some(UnlikeDetection {
            detection: Detection {
                auroc: 0.875,
                images: 1_000,
                unlike_images: 20,
            },
            unlike: "<b>others</b>".into(),
            unlike_skipped: Vec::new(),
        }),
        localisation: Some(LocalisationAt {
            localisation: Localisation {
                images: 8,
                threshold: 0.35,
                known_class: 0.75,
                top1: 0.5,
                mean_overlap: 0.625,
            },
            threshold_of: Some(Split::Val),
        }),
    };
    run
}

#[test]
fn measures_have_tables_and_curves_from_the_images_as_they_are() {
    let page = page(&measured()).into_string();
    for row in [
        "<th scope=\"row\">random place</th><td class=\"n\">50.00</td><td class=\"n\">50.00</td><td class=\"n\">25.00</td>",
        "<th scope=\"row\">border</th><td class=\"n\">50.00</td><td class=\"n\">45.00</td><td class=\"n\">0.00</td>",
        "<th class=\"n\" scope=\"col\">0</th><th class=\"n\" scope=\"col\">7</th><th class=\"n\" scope=\"col\">50</th>",
        "<th class=\"n\" scope=\"col\">0</th><th class=\"n\" scope=\"col\">1</th><th class=\"n\" scope=\"col\">8</th>",
        "ROC curve of 87.50 %: 1,000 images of the classes, 20 of &lt;b&gt;others&lt;/b&gt;.",
        "threshold of the map is 0.35, the best one on the validation set.",
        "<dt>Localised, class known</dt><dd>75.00 %</dd>",
        "random place 25.00, centre 12.50, border 0.00",
    ] {
        assert!(page.contains(row), "{row}: {page}");
    }
}

#[test]
fn numbers_in_sentences_have_three_digits() {
    let numbers = [
        0.09969653386589748,
        0.0018865999,
        87.31,
        1234.5,
        3e-6,
        0.0,
        -2.5,
    ];
    let texts = numbers.map(super::short);
    assert_eq!(
        texts,
        ["0.0997", "0.00189", "87.3", "1234", "3.00e-6", "0", "-2.50"]
    );
}

#[test]
fn a_run_is_said_to_be_stopped_only_where_that_is_known() {
    let words = |status| {
        let mut run = run(vec!["a".into(), "b".into()]);
        run.status = status;
        let page = page(&run).into_string();
        ["stopped before its end", "not finished"].map(|words| page.contains(words))
    };
    assert_eq!(words(Status::Finished), [false, false]);
    assert_eq!(words(Status::Stopped), [true, false]);
    assert_eq!(words(Status::InProgress), [false, true]);
}

#[test]
fn regions_of_several_evaluations_have_names_of_their_own() {
    let classes: Vec<_> = ["a", "b", "c", "d"].map(String::from).into();
    let mut run = run(classes.clone());
    for (name, data, set) in [
        ("val", "pets", Some(Split::Val)),
        ("more-images-0", "old/more", None),
        ("more-images-1", "new/more", None),
        ("more-test-2", "more", Some(Split::Test)),
    ] {
        let mut other = evaluated(&classes);
        other.name = name.into();
        other.evaluation.data = data.into();
        other.evaluation.set = set;
        run.evaluations.push(other);
    }
    let page = page(&run).into_string();
    let labels = page.split("role=\"region\" aria-label=\"").skip(1);
    let labels: Vec<_> = labels
        .map(|label| label.split('"').next().unwrap())
        .collect();
    let distinct: HashSet<_> = labels.iter().collect();
    assert_eq!(labels.len(), 2 + 3 * 5);
    assert_eq!(distinct.len(), labels.len(), "{labels:?}");
    for subject in ["test set", "old/more", "more, test set"] {
        let label = format!("Confusion matrix, {subject}");
        assert!(labels.contains(&label.as_str()), "{labels:?}");
    }
    for heading in ["Validation set: 4 images", "old/more: 4 images"] {
        assert!(page.contains(&format!("<h2>{heading}</h2>")), "{heading}");
    }
    // Cells of a head say what they are the head of.
    let head = page.matches("<thead>").count();
    let cells = page
        .split("<thead>")
        .skip(1)
        .map(|rest| rest.split("</thead>").next().unwrap());
    assert!(
        cells
            .clone()
            .all(|cells| cells.matches("<th").count() == cells.matches("scope=\"col\"").count())
    );
    assert_eq!(head, 1 + 3 * 5);
}

#[test]
fn a_confusion_matrix_has_counts_in_a_table_or_is_a_picture() {
    for (classes, cells, pictures) in [(2, 4, 2), (10, 100, 4), (100, 0, 5)] {
        let names = (0..classes).map(|class| format!("class {class}")).collect();
        let page = page(&run(names)).into_string();
        assert_eq!(page.matches("--share:").count(), cells, "{classes}");
        assert_eq!(page.matches("<img").count(), pictures, "{classes}");
    }
}
