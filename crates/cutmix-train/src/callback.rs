//! Watching a run from inside.

use crate::{Error, Event, State};

/// A watcher of a run, which changes nothing; a closure is one. An error stops the run, and
/// [`Trainer::fit`](crate::Trainer::fit) returns it.
///
/// Reading a tensor of the state from a GPU makes the run wait for it.
///
/// ```
/// use cutmix_train::{Callback, Error, Event, State, Stop};
///
/// /// Ends a run that has reached an accuracy.
/// struct GoodEnough {
///     accuracy: f64,
///     stop: Stop,
/// }
///
/// impl<M> Callback<M> for GoodEnough {
///     fn on(&mut self, event: Event, state: &State<M>) -> Result<(), Error> {
///         let accuracy = state.history.last("val/accuracy");
///         if event == Event::EvalEnd && accuracy.is_some_and(|value| value >= self.accuracy) {
///             self.stop.request();
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Callback<M, const D: usize = 4>: Send {
    /// Called at every event, after the algorithms.
    ///
    /// # Errors
    ///
    /// An error stops the run.
    fn on(&mut self, event: Event, state: &State<M, D>) -> Result<(), Error>;
}

impl<F, M, const D: usize> Callback<M, D> for F
where
    F: FnMut(Event, &State<M, D>) -> Result<(), Error> + Send,
{
    fn on(&mut self, event: Event, state: &State<M, D>) -> Result<(), Error> {
        self(event, state)
    }
}
