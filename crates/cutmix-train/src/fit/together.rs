//! What the processes of a run agree on.

use std::iter::Peekable;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Run, statistics};
use crate::clock::Counts;
use crate::data::Batches;
use crate::history::Score;
use crate::metrics::{Measured, Numbers, ReadNumbers};
use crate::network::Network;
use crate::state::Logged;
use crate::world::{Share, gather};
use crate::{Batch, Error, parameters};

/// A batch of the run, as far as its sizes are concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outline {
    /// Samples and parts in all processes.
    pub samples: usize,
    pub parts: usize,
    /// The number in the batch of the first part of this process.
    pub first: usize,
    /// Whether the epoch has no other batch, where the processes had to agree on that.
    pub is_last: Option<bool>,
}

/// What the processes of a run have in common at its start.
#[derive(Serialize, Deserialize)]
struct Start {
    counts: Counts,
    /// The digests of the weights, of the moving average and of the best model.
    weights: u64,
    ema: Option<u64>,
    best: Option<u64>,
}

/// What a process knows of the next batch.
#[derive(Serialize, Deserialize)]
struct Coming {
    /// The samples of its parts.
    sizes: Vec<usize>,
    has_more: bool,
}

/// What a process knows of a batch after its backward passes.
#[derive(Serialize, Deserialize)]
struct Done {
    /// Loss, shares and samples of its parts.
    parts: Vec<ReadNumbers>,
    logged: Vec<(String, f64)>,
    is_stopping: bool,
    elapsed: Duration,
}

impl<M: Network<D>, const D: usize> Run<M, D> {
    /// The parts of every batch that this process makes.
    pub(super) fn share(&self) -> Share {
        Share::of(self.world.as_ref(), self.config.accumulate)
    }

    /// The parts that this process makes of the next batch, cut to the sample where the run ends.
    pub(super) fn next_batch(
        &self,
        parts: &mut Peekable<Batches<'_, D>>,
    ) -> Result<(Vec<Batch<D>>, Outline), Error> {
        let most = self.config.accumulate / self.world.size();
        let mut batch = Vec::with_capacity(most);
        let (mut samples, left) = (0, self.state.clock.samples_left());
        // A part that the run does not take stays in the loader, and the epoch is not over.
        while batch.len() < most && samples < left {
            let Some(part) = parts.next() else { break };
            let part: Batch<D> = part.map_err(|source| Error::Data {
                set: "train".into(),
                source,
            })?;
            let part = part.on_device(self.state.device()).truncate(left - samples);
            samples += part.size();
            batch.push(part);
        }
        let alone = Outline {
            samples,
            parts: batch.len(),
            first: 0,
            is_last: None,
        };
        if self.world.size() == 1 {
            return Ok((batch, alone));
        }
        let coming = Coming {
            sizes: batch.iter().map(Batch::size).collect(),
            has_more: parts.peek().is_some(),
        };
        let all = gather(self.world.as_ref(), &coming)?;
        Ok(self.cut(batch, &all, left))
    }

    /// Cuts the parts of this process where the run has `left` samples for the parts of all.
    fn cut(&self, batch: Vec<Batch<D>>, all: &[Coming], left: usize) -> (Vec<Batch<D>>, Outline) {
        let mut outline = Outline {
            samples: 0,
            parts: 0,
            first: 0,
            is_last: None,
        };
        let mut has_more = false;
        let mut own = Vec::new();
        for (rank, coming) in all.iter().enumerate() {
            if rank == self.world.rank() {
                outline.first = outline.parts;
            }
            has_more |= coming.has_more;
            for &size in &coming.sizes {
                let taken = size.min(left - outline.samples);
                // A part that is cut counts as taken, as in one process.
                has_more |= taken == 0;
                outline.samples += taken;
                outline.parts += usize::from(taken > 0);
                if rank == self.world.rank() {
                    own.push(taken);
                }
            }
        }
        outline.is_last = Some(!has_more);
        let taken = batch.into_iter().zip(own);
        let taken = taken.map(|(part, taken)| part.truncate(taken));
        (taken.filter(|part| part.size() > 0).collect(), outline)
    }

    /// The numbers of all parts of a batch. Where there are other processes, the clock and the wish to
    /// stop become those of all, too.
    pub(super) fn agree_on_batch(&mut self, own: Vec<Measured>) -> Result<Vec<Numbers>, Error> {
        let own = own.into_iter().map(|one| Numbers::OnDevice(Box::new(one)));
        if self.world.size() == 1 {
            return Ok(own.collect());
        }
        let logged = self.state.logged.iter();
        let done = Done {
            parts: own.map(Numbers::read).collect::<Result<_, _>>()?,
            logged: logged
                .map(|one| (one.name.to_string(), one.value))
                .collect(),
            is_stopping: self.stop.is_requested(),
            elapsed: self.state.clock.own_elapsed(),
        };
        let all = gather(self.world.as_ref(), &done)?;
        self.state.clock.agree(all[0].elapsed);
        self.is_stopping = all.iter().any(|done| done.is_stopping);
        let mut parts = Vec::new();
        self.state.logged.clear();
        for done in all {
            parts.extend(done.parts.into_iter().map(Numbers::Read));
            let logged = done.logged.into_iter();
            self.state.logged.extend(logged.map(|(name, value)| Logged {
                name: name.into(),
                value,
            }));
        }
        Ok(parts)
    }

    /// Checks that all processes start from the same weights, or resume from the same checkpoint.
    pub(super) fn check_start(&self) -> Result<(), Error> {
        if self.world.size() == 1 {
            return Ok(());
        }
        let digest = |model: &M| statistics::digest(model);
        let own = Start {
            counts: self.state.clock.counts,
            weights: digest(self.state.model())?,
            ema: self.state.ema_model.as_ref().map(digest).transpose()?,
            best: self.best.as_ref().map(digest).transpose()?,
        };
        let all = gather(self.world.as_ref(), &own)?;
        let is_same = |what, is_same| {
            Error::ensure(
                is_same,
                what,
                "different from those of process 0",
                "the same in all processes",
            )
        };
        is_same("elapsed batches", own.counts == all[0].counts)?;
        is_same("weights", own.weights == all[0].weights)?;
        is_same("weights of the moving average", own.ema == all[0].ema)?;
        is_same("weights of the best model", own.best == all[0].best)?;
        // No process goes on before all are known to be the same.
        self.world.gather(Vec::new())?;
        Ok(())
    }

    /// The scores of process 0, by which all of them decide.
    pub(super) fn agree_on_scores(&self, own: Vec<Score>) -> Result<Vec<Score>, Error> {
        if self.world.size() == 1 {
            return Ok(own);
        }
        let mut all = gather(self.world.as_ref(), &own)?;
        Ok(all.swap_remove(0))
    }

    /// Sets the time of all processes to that of the first one.
    pub(super) fn agree_on_time(&mut self) -> Result<(), Error> {
        if self.world.size() > 1 {
            let all = gather(self.world.as_ref(), &self.state.clock.own_elapsed())?;
            self.state.clock.agree(all[0]);
        }
        Ok(())
    }

    /// Whether the run has been asked to stop, in any of its processes.
    pub(super) fn is_stopping(&self) -> bool {
        match self.world.size() {
            1 => self.stop.is_requested(),
            _ => self.is_stopping,
        }
    }

    /// Gives all processes the mean of their running statistics.
    pub(super) fn average_statistics(&mut self) -> Result<(), Error> {
        if self.world.size() == 1 {
            return Ok(());
        }
        let mean = statistics::mean(self.world.as_ref(), self.state.model())?;
        (self.state).map_model(|model| parameters::restore_buffers(model, mean));
        if let Some(ema_model) = self.state.ema_model.take() {
            let mean = statistics::mean(self.world.as_ref(), &ema_model)?;
            self.state.ema_model = Some(parameters::restore_buffers(ema_model, mean));
        }
        Ok(())
    }
}
