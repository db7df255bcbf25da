//! The processes that `mpirun` or `srun` has started to train together.

use std::path::Path;
use std::sync::Arc;

#[cfg(feature = "mpi")]
use cutmix_train::mpi::{Mpi, Order};
use cutmix_train::{Alone, World, gather};
use cutmix_vision::{Manifest, Splits};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::run_folder::RunFolder;
use crate::settings::{GradientSum, Settings};
use crate::terminal::warning;

/// Variables that launchers set for each of their processes.
const LAUNCHERS: [&str; 3] = ["OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"];
/// Variables with the number of processes, the last one of them where Slurm has started them.
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
    pub fn add_up(&self, sum: GradientSum) {
        #[cfg(feature = "mpi")]
        if let Some(mpi) = &self.mpi {
            mpi.set_order(match sum {
                GradientSum::Exact => Order::Pairs,
                GradientSum::Fast => Order::Any,
            });
        }
        let _ = sum;
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

    /// Checks that all processes are of one version and have the same settings and data.
    pub fn check(&self, settings: &Settings, splits: &Splits) -> Result<(), Error> {
        if !self.are_several() {
            return Ok(());
        }
        let mut settings = settings.to_table();
        // What may differ from host to host.
        for setting in ["data", "weights", "device", "cache", "decode-memory"] {
            settings.remove(setting);
        }
        let own = Signature {
            version: env!("CARGO_PKG_VERSION").into(),
            settings: settings.into_iter().map(text_of).collect(),
            digest: Manifest::of(splits).digest(),
        };
        let bytes = serde_json::to_vec(&own).expect("texts are JSON");
        let all = self.world.gather(bytes)?;
        let first: Signature =
            serde_json::from_slice(&all[0]).map_err(|error| Error::OtherProcess {
                what: "its build".into(),
                own: error.to_string(),
                expected: "the same build".into(),
            })?;
        own.compare(&first)?;
        // No process goes on before all are known to be the same.
        self.world.gather(Vec::new())?;
        Ok(())
    }

    /// The text of an error, with the process where there are several.
    pub fn describe(&self, error: &Error) -> String {
        if self.are_several() {
            format!("process {} on {}: {error}", self.world.rank(), self.host)
        } else {
            error.to_string()
        }
    }
}

/// What has to be the same in all processes.
#[derive(Serialize, Deserialize)]
struct Signature {
    version: String,
    /// Names and values.
    settings: Vec<(String, String)>,
    digest: String,
}

impl Signature {
    /// Checks that it is that of process 0.
    fn compare(&self, first: &Self) -> Result<(), Error> {
        let differs = |what: &str, own: &str, expected: &str| {
            Err(Error::OtherProcess {
                what: what.into(),
                own: own.into(),
                expected: expected.into(),
            })
        };
        if self.version != first.version {
            return differs("its version", &self.version, &first.version);
        }
        let names = self.settings.iter().chain(&first.settings);
        for (name, _) in names {
            let [own, expected] = [self, first].map(|one| one.setting(name));
            if own != expected {
                return differs(&format!("--{name}"), own, expected);
            }
        }
        if self.digest != first.digest {
            return differs("its data", &self.digest, &first.digest);
        }
        Ok(())
    }

    fn setting(&self, name: &str) -> &str {
        let found = self.settings.iter().find(|(other, _)| other == name);
        found.map_or("not given", |(_, value)| value)
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
