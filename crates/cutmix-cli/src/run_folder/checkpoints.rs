//! The checkpoints of a run, from which it resumes, and predicts before its end.

use std::fs;
use std::io::ErrorKind;

use burn::tensor::Device;
use cutmix_train::{Checkpoint, Latest};
use cutmix_vision::AnyNetwork;

use super::{ModelCard, RunFolder, write_whole};
use crate::error::Error;
use crate::terminal::{line, warning};

impl RunFolder {
    /// The newest checkpoint that can be used; `None` where the run was stopped before its first.
    pub fn latest_checkpoint(&self) -> Result<Option<Checkpoint>, Error> {
        let folder = self.checkpoints();
        if !Checkpoint::exists(&folder) {
            if self.model().exists() || (self.has_reports() && !folder.is_dir()) {
                // They were lost; a new start would overwrite the results. This names the folder.
                Checkpoint::latest(&folder)?;
            }
            line("the run was stopped before its first checkpoint, so it starts anew");
            return Ok(None);
        }
        let latest = Checkpoint::latest(&folder)?;
        warn_of_damage(&latest);
        Ok(Some(latest.checkpoint))
    }

    /// Whether the table of the run has a row.
    fn has_reports(&self) -> bool {
        fs::read_to_string(self.metrics()).is_ok_and(|table| table.lines().count() > 1)
    }

    /// The model that the run would end with if it ended at its newest checkpoint: the best one by its
    /// score, or the last. Another process may continue the run meanwhile.
    pub(super) fn model_so_far(&self, device: &Device) -> Result<(ModelCard, AnyNetwork), Error> {
        let folder = self.checkpoints();
        let Some(card) = self.read_card()?.filter(|_| Checkpoint::exists(&folder)) else {
            return Err(Error::Unfinished(self.path().into()));
        };
        let latest = Checkpoint::latest(&folder)?;
        warn_of_damage(&latest);
        let used = latest.best.as_ref().unwrap_or(&latest.checkpoint);
        let model = used.inference_model(card.network(device)?)?;
        let batch = used.batches();
        let which = match latest.checkpoint.best() {
            Some((score, best)) if best == batch => format!("best checkpoint by {score}"),
            _ => "last checkpoint".into(),
        };
        let run = self.path().display();
        warning(format!(
            "the run in {run} is not finished; this is its {which}, after batch {batch}"
        ));
        Ok((card, model))
    }

    /// Writes the card of the model, which is not in the checkpoints.
    pub fn write_card(&self, card: &ModelCard) -> Result<(), Error> {
        write_whole(&self.card(), card.to_json().as_bytes())
    }

    /// The card of the model; `None` where the run was stopped before it was written.
    pub fn read_card(&self) -> Result<Option<ModelCard>, Error> {
        let path = self.card();
        match fs::read(&path) {
            Ok(json) => match ModelCard::from_json(&json) {
                Ok(card) => Ok(Some(card)),
                Err(reason) => Err(Error::CardFile { path, reason }),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::read(&path, error)),
        }
    }
}

fn warn_of_damage(latest: &Latest) {
    for damaged in &latest.damaged {
        warning(format!("{damaged}; it is not used"));
    }
}
