//! Frozen parts of a network.

use std::collections::BTreeSet;

use burn::module::Module;

use super::Algorithm;
use crate::parameters::{all_names, is_part_of};
use crate::{Error, Event, State};

/// Leaves parts of a network as they are, while the rest is trained.
///
/// # What it does
///
/// From the start of a batch to its optimizer step, the parameters whose names begin with one of
/// `names` need no gradient: the optimizer does not touch them, neither by weight decay nor by
/// momentum, and nothing is computed for them in the backward pass. Modules in a frozen module work as
/// in evaluation: batch normalisation uses its running statistics and leaves them unchanged, and
/// dropout passes everything on. A normalisation of which single parameters are frozen still counts its
/// statistics. A moving average of the weights has the parameters as they are.
///
/// Where it no longer acts ([`When::with_until`](super::When::with_until)), the parameters are trained
/// from the next batch on. The optimizer then has what it remembers of the batches before they were
/// frozen: nothing, where they were frozen from the start.
///
/// # Starting hyper-parameters
///
/// The whole network but its head, for the first epochs of a run that starts from the weights of
/// another task: a new head sends random gradients at first. For the whole run where the data are few
/// and like those of the other task.
///
/// # Cost
///
/// None. A step is faster, as no gradients are computed up to the first part that is trained.
///
/// # Source
///
/// Yosinski, Clune, Bengio, Lipson: How transferable are features in deep neural networks? NeurIPS
/// 2014, arXiv:1411.1792. Unfreezing after a part of the run is that of Howard and Ruder: Universal
/// Language Model Fine-tuning for Text Classification, ACL 2018, arXiv:1801.06146.
///
/// ```
/// use cutmix_train::algorithms::{Freeze, When};
///
/// let start_with_the_rest = When::new(Freeze::new(["stem", "blocks.0"])).with_until("2ep".parse()?);
/// # Ok::<(), cutmix_train::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Freeze {
    names: Vec<String>,
}

impl Freeze {
    /// Freezes what is in the modules of these names, such as `blocks.0`, and parameters of these
    /// names; at least one.
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let names = names.into_iter().map(Into::into).collect();
        Self { names }
    }

    /// Checks that each name is one of the network.
    fn check_names<M: Module>(&self, model: &M) -> Result<(), Error> {
        let all = all_names(model);
        let is_there = |name: &&String| all.iter().any(|known| is_part_of(known, name));
        match self.names.iter().find(|name| !is_there(name)) {
            Some(unknown) => {
                let top: BTreeSet<_> = all.iter().map(|name| top(name)).collect();
                let top: Vec<_> = top.into_iter().collect();
                let accepted = format!("a part of the network: {}", top.join(", "));
                Err(Error::argument("names", unknown, accepted))
            }
            None => Ok(()),
        }
    }
}

/// The first part of a name.
fn top(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

impl<M: Module, const D: usize> Algorithm<M, D> for Freeze {
    fn name(&self) -> String {
        "freeze".into()
    }

    fn check(&self) -> Result<(), Error> {
        let accepted = "at least one part of the network";
        Error::ensure(!self.names.is_empty(), "names", "empty", accepted)
    }

    fn apply(&mut self, event: Event, state: &mut State<M, D>) -> Result<(), Error> {
        match event {
            Event::FitStart => self.check_names(state.model())?,
            Event::BatchStart => {
                state.freeze(|parameter| self.names.iter().any(|name| is_part_of(parameter, name)));
            }
            _ => {}
        }
        Ok(())
    }
}
