//! The moments of a training run.

use std::fmt;

/// A moment of a training run, at which algorithms act and callbacks watch.
///
/// ```text
/// FitStart
///   for each epoch: EpochStart
///     for each batch: BatchStart
///       for each part of the batch: BeforeForward, AfterForward, BeforeLoss, AfterLoss,
///                                   BeforeBackward, AfterBackward
///       BeforeStep, (optimizer step), BatchEnd
///   EpochEnd
///   whenever they are due: EvalStart, EvalEnd; Save
/// FitEnd
/// ```
///
/// A batch has one part unless gradients are accumulated over several
/// ([`TrainerConfig::with_accumulate`](crate::TrainerConfig::with_accumulate)). Evaluation passes
/// no batch to an algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Training starts; the model is on its device.
    FitStart,
    /// An epoch starts.
    EpochStart,
    /// The batch is on the device; of a batch of several parts, the first one is.
    BatchStart,
    /// The network is about to see the images: the last moment to change images and targets.
    BeforeForward,
    /// The logits are there.
    AfterForward,
    /// The loss is about to be computed: the last moment to change logits and targets.
    BeforeLoss,
    /// The loss is there.
    AfterLoss,
    /// The gradients are about to be computed: the last moment to change the loss.
    BeforeBackward,
    /// The gradients of a part are there.
    AfterBackward,
    /// The gradients of the whole batch are there, and the optimizer is about to use them.
    BeforeStep,
    /// The optimizer has changed the weights, unless the batch was skipped.
    BatchEnd,
    /// An epoch, or the part of it that the run takes, has ended.
    EpochEnd,
    /// An evaluation starts.
    EvalStart,
    /// An evaluation has ended, and its scores are in the history.
    EvalEnd,
    /// A checkpoint is about to be written.
    Save,
    /// Training has ended.
    FitEnd,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
