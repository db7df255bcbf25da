//! Scores: what is measured on the evaluation sets and on the training batches.

use std::hint::black_box;
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::tensor::Device;
use cutmix::loss::{BinaryCrossEntropy, CrossEntropy};
use cutmix_train::{Batches, Evaluator, Event, Loader, Network, State};

use crate::common::*;

fn evaluate(model: &impl Network, data: &Samples) -> Vec<(String, f64)> {
    let scores = Evaluator::new(CrossEntropy::new());
    let scores = scores.run("val", model, data, &Device::default()).unwrap();
    scores
        .into_iter()
        .map(|score| (score.name, score.value))
        .collect()
}

/// The loss and the accuracy of a model, counted by hand in f64.
fn by_hand(model: &Tiny, data: &Samples) -> [f64; 2] {
    let whole = data.whole();
    let classes: Vec<i64> = data.classes().into_data().try_into_vec_as().unwrap();
    let logits = wide(&values(model.forward(whole.images)));
    let (mut loss, mut hits) = (0.0, 0);
    for (row, &class) in logits.chunks(CLASSES).zip(&classes) {
        let class = class as usize;
        loss += row.iter().map(|logit| logit.exp()).sum::<f64>().ln() - row[class];
        let best = (0..CLASSES)
            .max_by(|&a, &b| row[a].total_cmp(&row[b]))
            .unwrap();
        hits += usize::from(best == class);
    }
    let samples = classes.len() as f64;
    [loss / samples, 100.0 * hits as f64 / samples]
}

#[test]
fn training_lowers_the_loss_and_raises_the_accuracy() {
    let train = Samples::new(90, 10);
    let fit = trainer(config("20ep").with_learning_rate(0.5), train.clone())
        .eval("val", train.loader())
        .fit()
        .unwrap();
    let (first, last) = (&fit.history.reports[0], &fit.history.reports[19]);
    assert!(last.value("train/loss") < first.value("train/loss"));
    assert!(last.value("val/accuracy") > first.value("val/accuracy"));
}

#[test]
fn every_sample_of_a_set_counts_the_same() {
    // Batches of 4, 4 and 3.
    let val = eleven();
    let fit = trainer(config("1ep"), Samples::new(4, 4)).eval("val", val.clone().loader());
    let fit = fit.fit().unwrap();
    let scores = ["val/loss", "val/accuracy"].map(|name| fit.history.last(name).unwrap());
    assert_close(&scores, &by_hand(&fit.model, &val), 1e-5);
    let evaluated: Vec<_> = evaluate(&fit.model, &val)
        .into_iter()
        .map(|score| score.1)
        .collect();
    assert_eq!(evaluated, scores);
}

#[test]
fn accuracy_counts_every_one_of_many_samples() {
    // A mean in f32 of batch means would be off in the last digits.
    let data = Samples::new(10_007, 1_000);
    let model = Tiny::new(&Device::default());
    let [_, expected] = by_hand(&model, &data);
    assert_eq!(
        evaluate(&model, &data)[1],
        ("val/accuracy".into(), expected)
    );
    let fit = trainer(config("1ep").with_learning_rate(1e-30), data)
        .fit()
        .unwrap();
    assert_eq!(fit.history.last("train/accuracy"), Some(expected));
}

#[test]
fn evaluation_uses_the_running_statistics_whatever_device_it_is_given() {
    let device = Device::default();
    let model = Stateful::new(&device).train();
    let evaluator = Evaluator::new(CrossEntropy::new());
    let plain = evaluator
        .run("val", &model.valid(), &eleven(), &device)
        .unwrap();
    let autodiff = evaluator
        .run("val", &model, &eleven(), &device.clone().autodiff())
        .unwrap();
    assert_eq!(plain, autodiff);
    // Neither changed them.
    assert_eq!(model.statistics(), [0.0, 1.0]);
}

#[test]
fn several_sets_have_scores_of_their_own() {
    let fit = trainer(config("2ep"), eleven())
        .eval("val", Samples::new(5, 5).loader())
        .eval("hard", Samples::new(7, 3).loader())
        .fit()
        .unwrap();
    let report = &fit.history.reports[1];
    let names: Vec<_> = report
        .scores
        .iter()
        .map(|score| score.name.as_str())
        .collect();
    let expected = [
        "train/loss",
        "train/accuracy",
        "val/loss",
        "val/accuracy",
        "hard/loss",
        "hard/accuracy",
    ];
    assert_eq!(names, expected);
    for (set, data) in [("val", Samples::new(5, 5)), ("hard", Samples::new(7, 3))] {
        let scores = ["loss", "accuracy"].map(|metric| report.value(&format!("{set}/{metric}")));
        let expected = by_hand(&fit.model, &data);
        assert_close(&scores.map(Option::unwrap), &expected, 1e-5);
    }
}

#[test]
fn evaluation_measures_the_loss_that_is_trained() {
    let val = Samples::new(5, 5);
    let fit = trainer(config("1ep"), eleven())
        .loss(BinaryCrossEntropy::new())
        .eval("val", val.clone().loader())
        .fit()
        .unwrap();
    let evaluator = Evaluator::new(BinaryCrossEntropy::new());
    let scores = evaluator
        .run("val", &fit.model, &val, &Device::default())
        .unwrap();
    assert_eq!(fit.history.last("val/loss"), Some(scores[0].value));
    let other = evaluate(&fit.model, &val)[0].1;
    assert_ne!(fit.history.last("val/loss"), Some(other));
}

#[test]
fn the_scores_of_an_interval_are_those_of_its_batches() {
    let log = LogRecorder::default();
    let config = config("6ba").with_eval_interval(duration("2ba"));
    let fit = trainer(config, eleven().fixed())
        .logger(log.clone())
        .fit()
        .unwrap();
    let sizes = [4.0, 4.0, 3.0, 4.0, 4.0, 3.0];
    let batches = read(&log.batches);
    for (index, report) in fit.history.reports.iter().enumerate() {
        let pair = 2 * index..2 * index + 2;
        let samples = sizes[pair.clone()].iter().sum::<f64>();
        let pairs = || batches[pair.clone()].iter().zip(&sizes[pair.clone()]);
        let loss = pairs().map(|(batch, size)| batch.loss * size).sum::<f64>() / samples;
        let accuracy = pairs()
            .map(|(batch, size)| batch.accuracy * size)
            .sum::<f64>()
            / samples;
        assert!((report.value("train/loss").unwrap() - loss).abs() < 1e-9);
        assert!((report.value("train/accuracy").unwrap() - accuracy).abs() < 1e-9);
    }
}

/// A loader that works for a while before each batch.
struct Slow(Samples, Duration);

impl Loader for Slow {
    fn num_samples(&self) -> usize {
        self.0.num_samples()
    }

    fn num_classes(&self) -> usize {
        CLASSES
    }

    fn batches<'a>(&'a self, epoch: u64, skip: usize, device: &Device) -> Batches<'a> {
        Box::new(
            self.0
                .batches(epoch, skip, device)
                .inspect(|_| busy(self.1)),
        )
    }
}

fn busy(duration: Duration) {
    let start = Instant::now();
    while start.elapsed() < duration {
        black_box(start);
    }
}

#[test]
fn seconds_of_training_are_without_evaluation_and_saving() {
    let folder = tempfile::tempdir().unwrap();
    let slow = Duration::from_millis(400);
    let fit = trainer(config("1ep"), eleven())
        .eval("val", std::sync::Arc::new(Slow(Samples::new(5, 5), slow)))
        .checkpoints(
            cutmix_train::Checkpoints::new(folder.path()).with_save_interval(duration("1ba")),
        )
        .callback(move |event: Event, _: &State<Tiny>| {
            if event == Event::Save {
                busy(slow);
            }
            Ok(())
        })
        .fit()
        .unwrap();
    let report = &fit.history.reports[0];
    assert!(report.seconds >= 3.0 * slow.as_secs_f64(), "{report:?}");
    assert!(
        report.train_seconds > 0.0 && report.train_seconds < slow.as_secs_f64(),
        "{report:?}"
    );
}

#[test]
fn seconds_of_training_include_waiting_for_the_data() {
    let slow = Duration::from_millis(100);
    let train = std::sync::Arc::new(Slow(eleven(), slow));
    let fit = config("1ep")
        .init(
            Tiny::new(&Device::default()),
            train as std::sync::Arc<dyn Loader>,
        )
        .logger(Quiet)
        .fit()
        .unwrap();
    assert!(fit.history.reports[0].train_seconds >= 3.0 * slow.as_secs_f64());
}
