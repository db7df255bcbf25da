#!/usr/bin/env python3
"""Prints the numbers of crates/cutmix-train/tests/classification.rs, made by scikit-learn and cleanlab.

    pip install scikit-learn==1.9.1 cleanlab==2.9.0
    python scripts/make_classification_golden.py

The samples are those of the test: logits and labels by a formula of their numbers. Class 5 has no samples.
Calibration is that of Guo et al. (arXiv:1706.04599): 15 bins of equal width, closed on the right.
"""

import cleanlab.filter
import numpy
from sklearn import metrics

SAMPLES, CLASSES, BINS = 300, 7, 15

i, k = numpy.mgrid[:SAMPLES, :CLASSES]
logits = ((i * 37 + k * 101 + i * k * 13) % 97 + k / 8) / 16
probabilities = numpy.exp(logits) / numpy.exp(logits).sum(1, keepdims=True)
predicted = probabilities.argmax(1)
i = numpy.arange(SAMPLES)
labels = numpy.where(i % 3 == 0, (i * 5 + i // 7) % CLASSES, predicted)
labels[labels == 5] = 1
classes = numpy.unique(labels)

print("accuracy", metrics.accuracy_score(labels, predicted))
print("top 5", metrics.top_k_accuracy_score(labels, probabilities, k=5, labels=range(CLASSES)))
for average in [None, "macro", "weighted"]:
    scores = metrics.precision_recall_fscore_support(labels, predicted, labels=classes, average=average, zero_division=0)
    for name, values in zip(["precision", "recall", "f1"], scores):
        print(average, name, numpy.asarray(values).tolist())
print("confusion", metrics.confusion_matrix(labels, predicted, labels=range(CLASSES)).tolist())

confidence, right = probabilities.max(1), predicted == labels
bins = numpy.digitize(confidence, numpy.arange(BINS + 1) / BINS, right=True)
error = sum((bins == b).sum() * abs(right[bins == b].mean() - confidence[bins == b].mean()) for b in set(bins))
print("expected calibration error", error / SAMPLES, "of bins", sorted(set(bins)))

errors = cleanlab.filter.find_label_issues(
    labels,
    probabilities,
    filter_by="confident_learning",
    return_indices_ranked_by="self_confidence",
    min_examples_per_class=0,
)
print("label errors", errors.tolist())
