//! Algorithms that hold others pass the events on.

use super::{Algorithm, Effects, Step};
use crate::Error;
use crate::time::Time;

/// An algorithm inside another one; the alias makes it `'static`, as a boxed one is.
pub(super) type Inner<const D: usize> = dyn Algorithm<D>;

/// One event of a step.
pub(super) type StepEvent<const D: usize> = fn(&Inner<D>, &mut Step<D>) -> Result<(), Error>;

/// One event outside a step.
pub(super) type TimeEvent<const D: usize> = fn(&Inner<D>, &Time) -> Result<(), Error>;

/// To whom an event is passed on.
pub(super) trait Combinator<const D: usize> {
    fn at_step(&self, step: &mut Step<D>, event: StepEvent<D>) -> Result<(), Error>;

    fn at_time(&self, time: &Time, event: TimeEvent<D>) -> Result<(), Error>;
}

/// Every event of [`Algorithm`], as the [`Combinator`] says; or all `but_before_forward`.
macro_rules! events {
    () => {
        events!(at_step(&mut Step<D>): before_forward);
        events!(but_before_forward);
    };
    (but_before_forward) => {
        events!(at_step(&mut Step<D>): batch_start, after_forward, before_loss, after_loss);
        events!(at_step(&mut Step<D>): before_backward, after_backward);
        events!(at_time(&Time): fit_start, epoch_start, batch_end, epoch_end);
        events!(at_time(&Time): eval_start, eval_end, fit_end);
    };
    ($by:ident($when:ty): $($event:ident),*) => {$(
        fn $event(&self, when: $when) -> Result<(), Error> {
            self.$by(when, Algorithm::$event)
        }
    )*};
}
pub(super) use events;

impl<const D: usize> Combinator<D> for Box<dyn Algorithm<D>> {
    fn at_step(&self, step: &mut Step<D>, event: StepEvent<D>) -> Result<(), Error> {
        event(self.as_ref(), step)
    }

    fn at_time(&self, time: &Time, event: TimeEvent<D>) -> Result<(), Error> {
        event(self.as_ref(), time)
    }
}

impl<const D: usize> Algorithm<D> for Box<dyn Algorithm<D>> {
    fn name(&self) -> String {
        self.as_ref().name()
    }

    fn check(&self) -> Result<(), Error> {
        self.as_ref().check()
    }

    fn effects(&self) -> Effects {
        self.as_ref().effects()
    }

    events!();
}
