//! Metrics of Burn's and of a user's own on evaluation sets, against values computed by hand.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorReadError};
use burn::train::metric::{
    AccuracyMetric, AurocMetric, ClassReduction, FBetaScoreMetric, LossMetric, Metric,
    MetricAttributes, MetricMetadata, MetricName, Numeric, NumericAttributes, NumericEntry,
    PrecisionMetric, RecallMetric, SerializedEntry, TopKAccuracyMetric,
};
use cutmix::loss::CrossEntropy;
use cutmix_train::{Evaluator, Network, Outputs};

use crate::common::*;

/// A model that knows a little, with 23 samples in batches of 6, the last one of 5.
fn setting() -> (Tiny, Samples) {
    let data = Samples::new(23, 6);
    let fit = trainer(config("3ep"), data.clone()).fit().unwrap();
    (fit.model, data)
}

/// The logits and the class of each sample.
fn outputs(model: &Tiny, data: &Samples) -> Vec<(Vec<f64>, usize)> {
    let logits = wide(&values(model.forward(data.whole().images)));
    let classes: Vec<i64> = data.classes().into_data().try_into_vec_as().unwrap();
    let rows = logits.chunks(CLASSES).map(<[f64]>::to_vec);
    rows.zip(classes.iter().map(|&class| class as usize))
        .collect()
}

fn softmax(row: &[f64]) -> Vec<f64> {
    let sum: f64 = row.iter().map(|logit| logit.exp()).sum();
    row.iter().map(|logit| logit.exp() / sum).collect()
}

fn best(row: &[f64]) -> usize {
    (0..CLASSES)
        .max_by(|&a, &b| row[a].total_cmp(&row[b]))
        .unwrap()
}

fn value(evaluator: Evaluator, model: &Tiny, data: &Samples) -> f64 {
    let scores = evaluator
        .run("val", model, data, &Device::default())
        .unwrap();
    let names: Vec<_> = scores.iter().map(|score| score.name.as_str()).collect();
    assert_eq!(names, ["val/loss", "val/accuracy", "val/metric"]);
    scores[2].value
}

fn evaluator() -> Evaluator {
    Evaluator::new(CrossEntropy::new())
}

#[test]
fn top_2_accuracy_equals_an_exact_count() {
    let (model, data) = setting();
    let outputs = outputs(&model, &data);
    let in_top_2 = |(row, class): &&(Vec<f64>, usize)| {
        row.iter().filter(|&logit| *logit > row[*class]).count() < 2
    };
    let hits = outputs.iter().filter(in_top_2).count();
    assert!(0 < hits && hits < outputs.len());
    let expected = 100.0 * hits as f64 / outputs.len() as f64;
    let found = value(
        evaluator().metric("metric", TopKAccuracyMetric::new(2)),
        &model,
        &data,
    );
    assert!((found - expected).abs() < 1e-9, "{found} {expected}");
}

#[test]
fn burns_loss_and_accuracy_are_those_of_every_run() {
    let (model, data) = setting();
    for metric in ["accuracy", "loss"] {
        let evaluator = if metric == "accuracy" {
            evaluator().metric("metric", AccuracyMetric::new())
        } else {
            evaluator().metric("metric", LossMetric::new())
        };
        let scores = evaluator
            .run("val", &model, &data, &Device::default())
            .unwrap();
        let name = format!("val/{metric}");
        let own = scores.iter().find(|score| score.name == name).unwrap();
        assert!((scores[2].value - own.value).abs() < 1e-5, "{scores:?}");
        assert_eq!(scores[2].higher_is_better, own.higher_is_better);
    }
}

/// True positives, false positives and false negatives of each class.
fn confusion(outputs: &[(Vec<f64>, usize)]) -> [[f64; 3]; CLASSES] {
    let mut counts = [[0.0; 3]; CLASSES];
    for (row, class) in outputs {
        let predicted = best(row);
        if predicted == *class {
            counts[*class][0] += 1.0;
        } else {
            counts[predicted][1] += 1.0;
            counts[*class][2] += 1.0;
        }
    }
    counts
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<_> = values.collect();
    100.0 * values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn f_beta_precision_and_recall_are_those_of_the_confusion_counts() {
    let (model, data) = setting();
    let counts = confusion(&outputs(&model, &data));
    assert!(counts.iter().all(|[hits, ..]| *hits > 0.0), "{counts:?}");
    let f2 = |[tp, fp, fn_]: [f64; 3]| 5.0 * tp / (5.0 * tp + 4.0 * fn_ + fp);
    let f_beta = FBetaScoreMetric::multiclass(2.0, 1, ClassReduction::Macro);
    let found = value(evaluator().metric("metric", f_beta), &model, &data);
    assert!(
        (found - mean(counts.into_iter().map(f2))).abs() < 1e-3,
        "{found}"
    );

    let precision = |[tp, fp, _]: [f64; 3]| tp / (tp + fp);
    let metric = PrecisionMetric::multiclass(1, ClassReduction::Macro);
    let found = value(evaluator().metric("metric", metric), &model, &data);
    assert!(
        (found - mean(counts.into_iter().map(precision))).abs() < 1e-3,
        "{found}"
    );

    let recall = |[tp, _, fn_]: [f64; 3]| tp / (tp + fn_);
    let metric = RecallMetric::multiclass(1, ClassReduction::Macro);
    let found = value(evaluator().metric("metric", metric), &model, &data);
    assert!(
        (found - mean(counts.into_iter().map(recall))).abs() < 1e-3,
        "{found}"
    );
}

#[test]
fn auroc_is_the_share_of_pairs_in_the_right_order() {
    let (model, data) = setting();
    let outputs: Vec<_> = (outputs(&model, &data).into_iter())
        .map(|(row, class)| (softmax(&row), class))
        .collect();
    let of_class = |class: usize| {
        let scores = |is_class: bool| {
            let of = outputs
                .iter()
                .filter(move |(_, own)| (*own == class) == is_class);
            of.map(|(row, _)| row[class]).collect::<Vec<_>>()
        };
        let (positive, negative) = (scores(true), scores(false));
        let pairs = positive
            .iter()
            .flat_map(|a| negative.iter().map(move |b| a > b));
        let right = pairs.filter(|&right| right).count() as f64;
        right / (positive.len() * negative.len()) as f64
    };
    let expected = mean((0..CLASSES).map(of_class));
    let auroc = AurocMetric::multiclass(ClassReduction::Macro);
    let found = value(evaluator().metric("metric", auroc), &model, &data);
    assert!((found - expected).abs() < 1e-6, "{found} {expected}");
}

/// The largest logit of the set.
#[derive(Clone)]
struct LargestLogit(f64);

impl Metric for LargestLogit {
    type Input = Outputs;

    fn name(&self) -> MetricName {
        Arc::new("Largest Logit".into())
    }

    fn attributes(&self) -> MetricAttributes {
        let attributes = NumericAttributes {
            unit: None,
            higher_is_better: false,
        };
        attributes.into()
    }

    fn update(
        &mut self,
        outputs: &Outputs,
        _: &MetricMetadata,
    ) -> Result<SerializedEntry, TensorReadError> {
        let largest: f64 = outputs.logits.clone().max().try_into_scalar()?;
        self.0 = self.0.max(largest);
        self.compute()
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        Ok(SerializedEntry::new(self.0.to_string(), self.0.to_string()))
    }

    fn clear(&mut self) {
        self.0 = f64::NEG_INFINITY;
    }
}

impl Numeric for LargestLogit {
    fn value(&self) -> Option<NumericEntry> {
        Some(NumericEntry::Value(self.0))
    }

    fn running_value(&self) -> Option<NumericEntry> {
        self.value()
    }

    fn final_value(&self) -> NumericEntry {
        NumericEntry::Value(self.0)
    }
}

fn largest(model: &Tiny, data: &Samples) -> f64 {
    let rows = outputs(model, data).into_iter().flat_map(|(row, _)| row);
    rows.fold(f64::NEG_INFINITY, f64::max)
}

#[test]
fn a_metric_of_the_users_own_takes_the_outputs() {
    let (model, data) = setting();
    let found = value(
        evaluator().metric("metric", LargestLogit(0.0)),
        &model,
        &data,
    );
    assert!((found - largest(&model, &data)).abs() < 1e-6);
}

#[test]
fn a_metric_starts_afresh_on_every_set_and_at_every_report() {
    let sets = [("val", Samples::new(5, 5)), ("other", Samples::new(2, 2))];
    let mut trainer = trainer(config("2ep"), eleven())
        .metric("largest", TopKAccuracyMetric::new(3))
        // A metric of the same name replaces the one before it.
        .metric("largest", LargestLogit(1e9));
    for (name, data) in &sets {
        trainer = trainer.eval(*name, data.clone().loader());
    }
    let fit = trainer.fit().unwrap();
    for (name, data) in &sets {
        let score = fit.history.reports[1]
            .score(&format!("{name}/largest"))
            .unwrap();
        assert!(
            (score.value - largest(&fit.model, data)).abs() < 1e-6,
            "{name}"
        );
        assert!(!score.higher_is_better);
    }
    let names = fit.history.reports[0]
        .scores
        .iter()
        .filter(|score| score.name.contains("largest"));
    assert_eq!(names.count(), 2);
}

#[test]
fn metrics_take_dense_targets() {
    let (model, data) = setting();
    let dense = data.whole().targets.into_dense(CLASSES).unwrap();
    let dense = data.clone().with_targets(dense);
    let run = |data: &Samples| {
        evaluator()
            .metric("top2", TopKAccuracyMetric::new(2))
            .metric(
                "f1",
                FBetaScoreMetric::multiclass(1.0, 1, ClassReduction::Micro),
            )
            .metric("auroc", AurocMetric::multiclass(ClassReduction::Macro))
            .run("val", &model, data, &Device::default())
            .unwrap()
    };
    for (a, b) in run(&data).iter().zip(&run(&dense)) {
        assert_eq!(a.name, b.name);
        assert!((a.value - b.value).abs() < 1e-5, "{a:?} {b:?}");
    }
}

#[test]
fn targets_of_another_width_than_the_logits_have_no_accuracy() {
    let device = Device::default();
    let targets: Tensor<2> = random([5, 2], 3, &device);
    let data = Samples::new(5, 5).with_targets(targets);
    let loss = cutmix_train::LossFn::mean(|logits: Tensor<2>, targets: cutmix::Targets| {
        let error = logits.slice_dim(1, 0..2) - targets.into_dense(2)?;
        Ok(error.powi_scalar(2).mean())
    });
    let scores = Evaluator::new(loss)
        .run("val", &Tiny::new(&device), &data, &device)
        .unwrap();
    assert!(scores[0].value.is_finite() && scores[1].value.is_nan());
}
