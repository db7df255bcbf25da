//! A new run, and one that continues.

use std::path::Path;

use cutmix_vision::Manifest;

use super::Training;
use super::prepared::Prepared;
use crate::data::own_splits;
use crate::device;
use crate::error::Error;
use crate::processes::Processes;
use crate::run_folder::RunFolder;
use crate::settings::{RecipeName, Settings};

/// Options that can be given with `--resume`.
const WITH_RESUME: [&str; 7] = [
    "duration",
    "data",
    "on-bad-image",
    "cache",
    "decode-memory",
    "device",
    "on-nan",
];

/// Those of them that later commands need as well.
const KEPT: [&str; 4] = ["duration", "data", "on-bad-image", "decode-memory"];

impl Training {
    /// A new run in the folder `output`, or in the next free one. `given` are those of its settings that
    /// were given.
    pub fn start(
        mut settings: Settings,
        given: &toml::Table,
        output: Option<&Path>,
        processes: &Processes,
    ) -> Result<Self, Error> {
        settings.divide(processes.world.size())?;
        processes.set_gradient_sum(settings.gradient_sum);
        settings.check()?;
        settings.make_paths_absolute();
        let device = device::choose_of(&settings.device, processes.local_rank)?;
        if processes.is_first() {
            RunFolder::check(output)?;
        }
        settings.precision.set(&device)?;
        let pretrained = settings.pretrained()?;
        let splits = settings.open_data(pretrained.as_ref().map(|pretrained| pretrained.size))?;
        settings.device = device.setting(&settings.device);
        let colours = pretrained
            .as_ref()
            .map(|pretrained| pretrained.normalize(splits.train.shape()[0]));
        let prepared = Prepared::new(
            settings,
            splits,
            device,
            pretrained.as_ref(),
            colours,
            processes,
        )?;
        processes.check(&prepared.settings, &prepared.splits, &prepared.card)?;
        let folder = processes.folder(|| {
            let folder = RunFolder::create(output)?;
            folder.start(&prepared.settings, given, &Manifest::of(&prepared.splits))?;
            Ok(folder)
        })?;
        Ok(Self {
            folder,
            prepared,
            checkpoint: None,
        })
    }

    /// The run in this folder, from its last checkpoint. `given` are settings that were given for the rest
    /// of it.
    pub fn resume(run: &Path, given: toml::Table, processes: &Processes) -> Result<Self, Error> {
        if let Some(other) = given
            .keys()
            .find(|key| !WITH_RESUME.contains(&key.as_str()))
        {
            return Err(Error::ResumeSetting(other.clone()));
        }
        let folder = processes.folder(|| RunFolder::resume(run))?;
        let mut settings = Settings::read_with(&folder.config(), &given)?;
        let given_before = folder.read_given();
        settings.recipe = given_before.as_ref().and_then(RecipeName::of);
        settings.check_parts(processes.world.size())?;
        processes.set_gradient_sum(settings.gradient_sum);
        settings.check()?;
        let device = device::choose_of(&settings.device, processes.local_rank)?;
        settings.device = device.setting(&settings.device);
        if processes.is_first() {
            folder.remove_temporary();
        }
        let checkpoint = folder.latest_checkpoint()?;
        let instead = if given.contains_key("data") {
            "give --data the place where those of the run are now"
        } else {
            "start a new run"
        };
        let splits = own_splits(&mut settings, &folder.read_manifest()?, instead)?;
        settings.precision.set(&device)?;
        let pretrained = match checkpoint {
            Some(_) => None,
            None => settings.pretrained()?,
        };
        // Those of the start, which came from the weights or from the data as they were.
        let colours = folder.read_card()?.map(|card| card.normalize);
        let mut prepared = Prepared::new(
            settings,
            splits,
            device,
            pretrained.as_ref(),
            colours,
            processes,
        )?;
        if KEPT.iter().any(|setting| given.contains_key(*setting)) {
            let stored = Settings::read(&folder.config())?;
            let now = &prepared.settings;
            let settings = Settings {
                duration: now.duration,
                data: now.data.clone(),
                on_bad_image: now.on_bad_image,
                decode_memory: now.decode_memory,
                recipe: now.recipe,
                ..stored
            };
            let given_now = given
                .into_iter()
                .filter(|(name, _)| KEPT.contains(&name.as_str()));
            let given = given_before.map(|before| before.into_iter().chain(given_now).collect());
            prepared.to_store = Some((settings, given));
        }
        processes.check(&prepared.settings, &prepared.splits, &prepared.card)?;
        Ok(Self {
            folder,
            prepared,
            checkpoint,
        })
    }
}
