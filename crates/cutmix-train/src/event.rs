//! The moments of a training run.

use std::fmt;

/// A moment of a training run, at which algorithms act and callbacks watch. The events of a batch are
/// ordered as they occur.
///
/// ```text
/// FitStart
///   for each epoch: EpochStart
///     for each batch: BatchStart
///       for each part of the batch: BeforeForward, AfterForward, BeforeLoss, AfterLoss,
///                                   BeforeBackward, AfterBackward
///       BeforeStep, (optimizer step), BatchEnd
///   EpochEnd
///   at the end of each evaluation interval: EvalStart, EvalEnd; where it is due: Save
/// FitEnd
/// ```
///
/// A batch has one part unless gradients are accumulated over several
/// ([`TrainerConfig::with_accumulate`](crate::TrainerConfig::with_accumulate)). Evaluation passes
/// no batch to an algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// Training starts; the model is on its device.
    FitStart,
    /// An epoch starts.
    EpochStart,
    /// The batch is on the device; of a batch of several parts, the first one of this process is, unless it
    /// makes none.
    BatchStart,
    /// The network is about to see the images: the last moment to change images and targets.
    BeforeForward,
    /// The logits have been computed.
    AfterForward,
    /// The loss is about to be computed: the last moment to change logits and targets.
    BeforeLoss,
    /// The loss has been computed.
    AfterLoss,
    /// The gradients are about to be computed: the last moment to change the loss.
    BeforeBackward,
    /// The gradients of a part have been computed.
    AfterBackward,
    /// The gradients of the whole batch have been computed, and the optimizer is about to use them.
    BeforeStep,
    /// The optimizer has changed the weights, unless the batch was skipped.
    BatchEnd,
    /// An epoch, or the part of it that the run takes, has ended.
    EpochEnd,
    /// An evaluation interval has elapsed, and the evaluation sets, if any, are about to be measured.
    EvalStart,
    /// The scores of an evaluation interval are in the history.
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
