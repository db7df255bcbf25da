//! The processes that `mpirun` or `srun` has started to train together.

use std::hash::{DefaultHasher, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "mpi")]
use cutmix_train::mpi::{Mpi, Order};
use cutmix_train::{Alone, World, gather};
use cutmix_vision::{Manifest, Splits};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::run_folder::{ModelCard, RunFolder};
use crate::settings::{GradientSum, Settings};
use crate::terminal::warning;

/// Variables that launchers set for each of their processes.
const LAUNCHERS: [&str; 3] = ["OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"];
/// Variables that launchers set to the number of processes. Slurm sets the last one.
const SIZES: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", SLURM_TASKS];
const SLURM_TASKS: &str = "SLURM_STEP_NUM_TASKS";

/// This process among those that train together.
#[derive(Clone)]
pub struct Processes {
    pub world: Arc<dyn World>,
    /// The number of this process among those on its host, from 0.
    pub local_rank: usize,
    /// The number of processes on this host that have the same cores.
    pub on_same_cores: usize,
    host: String,
    #[cfg(feature = "mpi")]
    mpi: Option<Arc<Mpi>>,
}

impl Processes {
    /// Joins the processes of the launcher that has started this one, if one has.
    pub fn join() -> Result<Self, Error> {
        let is_set = |name: &str| std::env::var_os(name).is_some();
        if !LAUNCHERS.iter().any(|name| is_set(name)) {
            return Ok(Self::alone());
        }
        launched()
    }

    /// This process without the others, on its own device and cores.
    pub fn apart(&self) -> Self {
        Self {
            world: Arc::new(Alone),
            #[cfg(feature = "mpi")]
            mpi: None,
            ..self.clone()
        }
    }

    fn alone() -> Self {
        Self {
            world: Arc::new(Alone),
            local_rank: 0,
            on_same_cores: 1,
            host: String::new(),
            #[cfg(feature = "mpi")]
            mpi: None,
        }
    }

    /// Checks that all processes are of one build and do the same.
    pub fn check_programs(&self) -> Result<(), Error> {
        if !self.are_several() {
            return Ok(());
        }
        let own = [build(), command()];
        let all = gather(self.world.as_ref(), &own)?;
        let names = ["its build", "its command"];
        for (what, (own, first)) in names.iter().zip(own.iter().zip(&all[0])) {
            if own != first {
                return Err(other_process(what, own, first));
            }
        }
        Ok(())
    }

    /// Warns where this is one of several tasks of Slurm that know nothing of one another.
    pub fn warn_of_tasks(&self) {
        let tasks = std::env::var(SLURM_TASKS).ok().filter(|tasks| tasks != "1");
        if let Some(tasks) = tasks.filter(|_| !self.are_several()) {
            warning(format!(
                "each of {tasks} tasks of srun trains by itself; srun --mpi=pmix lets them train together"
            ));
        }
    }

    /// Sets how gradients are added up.
    #[cfg_attr(not(feature = "mpi"), expect(unused_variables))]
    pub fn set_gradient_sum(&self, sum: GradientSum) {
        #[cfg(feature = "mpi")]
        if let Some(mpi) = &self.mpi {
            mpi.set_order(match sum {
                GradientSum::Exact => Order::Exact,
                GradientSum::Fast => Order::Fast,
            });
        }
    }

    /// Whether this is the process that writes files and text.
    pub fn is_first(&self) -> bool {
        self.world.rank() == 0
    }

    /// Whether there are others.
    pub fn are_several(&self) -> bool {
        self.world.size() > 1
    }

    /// The folder of the run, which the first process makes or opens.
    pub fn folder(
        &self,
        open: impl FnOnce() -> Result<RunFolder, Error>,
    ) -> Result<RunFolder, Error> {
        let own = if self.is_first() { Some(open()?) } else { None };
        let path = own.as_ref().map_or(Path::new(""), RunFolder::path);
        let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
        let mut all = gather(self.world.as_ref(), &path.to_string_lossy().into_owned())?;
        Ok(own.unwrap_or_else(|| RunFolder::of_other(all.swap_remove(0).into())))
    }

    /// Waits before this process writes an error, which ends all of them: an error of several is written by
    /// the first of these.
    pub fn wait_for_others(&self) {
        if !self.is_first() {
            wait(self.world.rank());
        }
    }

    /// Checks that all processes have the same settings, data and card.
    pub fn check(
        &self,
        settings: &Settings,
        splits: &Splits,
        card: &ModelCard,
    ) -> Result<(), Error> {
        if !self.are_several() {
            return Ok(());
        }
        let mut settings = settings.to_table();
        // What may differ from host to host.
        settings.retain(|name, _| !Settings::is_of_machine(name));
        let own = Signature {
            settings: settings.into_iter().map(text_of).collect(),
            digest: Manifest::of(splits).digest(),
            card: card.parts(),
        };
        let all = gather(self.world.as_ref(), &own)?;
        own.compare(&all[0])?;
        // No process goes on before all are known to be the same.
        self.world.gather(Vec::new())?;
        Ok(())
    }

    /// The name of this process among several.
    pub fn name(&self) -> String {
        format!("process {} on {}", self.world.rank(), self.host)
    }
}

/// Waits until the processes of lower ranks have had the time to write the same error.
fn wait(rank: usize) {
    let ranks = u32::try_from(rank.min(100)).unwrap_or(0);
    std::thread::sleep(Duration::from_secs(3) + ranks * Duration::from_millis(150));
}

/// As [`Processes::wait_for_others`], where the processes have not found one another.
pub fn wait_for_first() {
    let rank = LAUNCHERS.iter().find_map(|name| std::env::var(name).ok());
    match rank.and_then(|rank| rank.parse().ok()) {
        None | Some(0) => {}
        Some(rank) => wait(rank),
    }
}

/// The build of this program: the version, and a hash of its file.
fn build() -> String {
    let file = std::env::current_exe().and_then(std::fs::read);
    let mut hasher = DefaultHasher::new();
    hasher.write(&file.unwrap_or_default());
    format!("{} ({:016x})", env!("CARGO_PKG_VERSION"), hasher.finish())
}

/// The command of this process, and whether it resumes a run.
fn command() -> String {
    let arguments = std::env::args_os().skip(1);
    let mut arguments = arguments.map(|argument| argument.to_string_lossy().into_owned());
    let command = arguments.next().unwrap_or_default();
    let resumes = arguments.any(|argument| argument.starts_with("--resume"));
    format!("{command}{}", if resumes { " --resume" } else { "" })
}

/// What has to be the same in all processes.
#[derive(Serialize, Deserialize)]
struct Signature {
    /// The names of the settings with their values.
    settings: Vec<(String, String)>,
    digest: String,
    /// The names of the parts of the model card with their values.
    card: Vec<(String, String)>,
}

impl Signature {
    /// Checks that it is that of process 0.
    fn compare(&self, first: &Self) -> Result<(), Error> {
        let names = self.settings.iter().chain(&first.settings);
        for (name, _) in names {
            let [own, expected] = [self, first].map(|one| one.setting(name));
            if own != expected {
                return Err(other_process(&format!("--{name}"), own, expected));
            }
        }
        if self.digest != first.digest {
            return Err(other_process("its data", &self.digest, &first.digest));
        }
        // Such as weights of classes or colours from other files of these names.
        for (own, first) in self.card.iter().zip(&first.card) {
            if own != first {
                return Err(other_process(&format!("its {}", own.0), &own.1, &first.1));
            }
        }
        Ok(())
    }

    fn setting(&self, name: &str) -> &str {
        let found = self.settings.iter().find(|(other, _)| other == name);
        found.map_or("not given", |(_, value)| value)
    }
}

fn other_process(what: &str, own: &str, expected: &str) -> Error {
    Error::OtherProcess {
        what: what.into(),
        own: own.into(),
        expected: expected.into(),
    }
}

fn text_of((name, value): (String, toml::Value)) -> (String, String) {
    (name, value.to_string())
}

#[cfg(feature = "mpi")]
fn launched() -> Result<Processes, Error> {
    let mpi = Arc::new(Mpi::join()?);
    if mpi.size() == 1
        && let Some(size) = size()
    {
        return Err(Error::OtherMpi(size));
    }
    let (local_rank, host) = (mpi.local_rank(), mpi.host().to_owned());
    let own = (host.clone(), cores());
    let all = gather(mpi.as_ref(), &own)?;
    Ok(Processes {
        on_same_cores: all.iter().filter(|other| **other == own).count(),
        world: mpi.clone(),
        mpi: Some(mpi),
        local_rank,
        host,
    })
}

/// The cores that this process may use, as far as the system tells.
#[cfg(feature = "mpi")]
fn cores() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let allowed = lines.find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    allowed.unwrap_or_default().trim().into()
}

#[cfg(not(feature = "mpi"))]
fn launched() -> Result<Processes, Error> {
    match size() {
        // Each of them would train by itself.
        Some(size) => Err(Error::NoMpi(size)),
        None => Ok(Processes::alone()),
    }
}

/// The number of processes that a launcher has started, where they are several.
fn size() -> Option<String> {
    let size = SIZES.iter().find_map(|name| std::env::var(name).ok());
    size.filter(|size| size != "1")
}
