//! Watching a run from inside.

use super::Report;
use crate::Error;
use crate::algorithms::Step;
use crate::time::Time;

/// A moment of a run, with what there is to see.
///
/// They are the events of [algorithms](crate::algorithms), in the same order, and
/// [`Report`](Self::Report). At each, callbacks follow the algorithms.
#[allow(missing_docs)] // as the methods of `Algorithm`, which say what they are
#[derive(Clone, Copy, Debug)]
pub enum Event<'a, const D: usize = 4> {
    FitStart(&'a Time),
    EpochStart(&'a Time),
    BatchStart(&'a Step<D>),
    BeforeForward(&'a Step<D>),
    AfterForward(&'a Step<D>),
    BeforeLoss(&'a Step<D>),
    AfterLoss(&'a Step<D>),
    BeforeBackward(&'a Step<D>),
    AfterBackward(&'a Step<D>),
    BatchEnd(&'a Time),
    EpochEnd(&'a Time),
    EvalStart(&'a Time),
    EvalEnd(&'a Time),
    /// Scores are there: at the end of each evaluation interval.
    Report(&'a Report),
    FitEnd(&'a Time),
}

/// Something that watches a run and changes nothing; a closure is one. An error stops the run, and
/// [`Trainer::fit`](super::Trainer::fit) returns it.
///
/// Reading a tensor of a step back from a GPU makes the run wait for it.
///
/// ```
/// use cutmix::trainer::{Callback, Event, Stop};
/// use cutmix::Error;
///
/// /// Ends a run that has learned enough.
/// struct GoodEnough {
///     accuracy: f64,
///     stop: Stop,
/// }
///
/// impl Callback for GoodEnough {
///     fn event(&mut self, event: Event) -> Result<(), Error> {
///         if let Event::Report(report) = event
///             && report.eval.is_some_and(|eval| eval.accuracy >= self.accuracy)
///         {
///             self.stop.request();
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Callback<const D: usize = 4>: Send {
    /// Called at every event.
    ///
    /// # Errors
    ///
    /// Whatever is to stop the run.
    fn event(&mut self, event: Event<'_, D>) -> Result<(), Error>;
}

impl<F, const D: usize> Callback<D> for F
where
    F: FnMut(Event<'_, D>) -> Result<(), Error> + Send,
{
    fn event(&mut self, event: Event<'_, D>) -> Result<(), Error> {
        self(event)
    }
}
