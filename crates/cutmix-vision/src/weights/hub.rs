//! Weights of the Hugging Face Hub, downloaded once and kept in the folder that its Python library
//! uses, too.

mod cache;
mod client;
mod download;
mod error;
mod repository;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hf_hub::Cache;

pub use error::HubError;

use super::PretrainedConfig;
use client::Client;
use download::Downloader;
use repository::Repository;

/// Address of the public hub.
pub const ENDPOINT: &str = "https://huggingface.co";

/// File that describes the weights beside it.
const CONFIG: &str = "config.json";
/// Largest number of bytes of that file.
const MAX_CONFIG: u64 = 1_000_000;

/// A Hugging Face Hub and the folder in which its files are kept.
///
/// ```no_run
/// use cutmix_vision::weights::hub::Hub;
///
/// let mut progress = |file: &str, done, total| println!("{file}: {done} of {total} bytes");
/// let files = Hub::from_env()?.fetch("timm/resnet50.a1_in1k", &mut progress)?;
/// println!("{}", files.weights.display());
/// # Ok::<(), cutmix_vision::weights::hub::HubError>(())
/// ```
#[derive(Clone)]
pub struct Hub {
    endpoint: String,
    cache: PathBuf,
    token: Option<String>,
    is_offline: bool,
    tries: u32,
    pause: Duration,
    timeout: Duration,
}

/// Published weights on this machine.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HubFiles {
    /// File of the weights: `.safetensors`, or a file of PyTorch (`.bin`, `.pth` or `.pt`).
    pub weights: PathBuf,
    /// What the weights expect of their images, where timm has written it.
    pub config: Option<PretrainedConfig>,
    /// Commit of the repository that the files are of.
    pub commit: String,
}

impl Hub {
    /// The public hub, with its files in the folder `cache`.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self {
            endpoint: ENDPOINT.into(),
            cache: cache.into(),
            token: None,
            is_offline: false,
            tries: 5,
            pause: Duration::from_secs(1),
            timeout: Duration::from_secs(30),
        }
    }

    /// The hub that the environment names, by the variables of the Python library
    /// `huggingface_hub`.
    ///
    /// `HF_ENDPOINT` is the address. The files are in `HF_HUB_CACHE`, in `hub` in `HF_HOME`, or in
    /// `~/.cache/huggingface/hub`. `HF_TOKEN`, or the file `token` beside `hub`, opens private
    /// repositories. With `HF_HUB_OFFLINE=1` only the cache is used.
    ///
    /// # Errors
    /// [`HubError::NoCache`] where there is not even a home folder.
    pub fn from_env() -> Result<Self, HubError> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let text = |value: OsString| value.into_string().ok();
        let home = match (set("HF_HOME"), set("XDG_CACHE_HOME"), std::env::home_dir()) {
            (Some(home), ..) => PathBuf::from(home),
            (None, Some(caches), _) => Path::new(&caches).join("huggingface"),
            (None, None, Some(user)) => user.join(".cache").join("huggingface"),
            (None, None, None) => return Err(HubError::NoCache),
        };
        let cache = set("HF_HUB_CACHE").map_or_else(|| home.join("hub"), PathBuf::from);
        let saved_token = || clean(std::fs::read_to_string(home.join("token")).ok()?);
        let endpoint = set("HF_ENDPOINT").and_then(text);
        let is_offline = set("HF_HUB_OFFLINE").and_then(text).is_some_and(|value| {
            let yes = ["1", "on", "yes", "true"];
            yes.iter().any(|yes| value.eq_ignore_ascii_case(yes))
        });
        Ok(Self {
            token: set("HF_TOKEN")
                .and_then(text)
                .and_then(clean)
                .or_else(saved_token),
            ..Self::new(cache)
                .with_endpoint(endpoint.as_deref().unwrap_or(ENDPOINT))
                .with_offline(is_offline)
        })
    }

    /// Sets the address of the hub, such as `http://127.0.0.1:8000`.
    pub fn with_endpoint(self, endpoint: &str) -> Self {
        Self {
            endpoint: endpoint.trim_end_matches('/').into(),
            ..self
        }
    }

    /// Sets the token that opens private repositories. It is sent to the hub alone. A blank token
    /// counts as none.
    pub fn with_token(self, token: impl Into<String>) -> Self {
        Self {
            token: clean(token.into()),
            ..self
        }
    }

    /// Sets whether only the cache is used.
    pub fn with_offline(self, is_offline: bool) -> Self {
        Self { is_offline, ..self }
    }

    /// Sets how often a request is tried, at least once, and the pause before the second try; each
    /// further pause is twice as long. The default is 5 tries, with pauses of 1, 2, 4 and 8 seconds.
    /// Where the cache has the weights, the request for the list of files is tried once.
    pub fn with_tries(self, tries: u32, pause: Duration) -> Self {
        let tries = tries.max(1);
        Self {
            tries,
            pause,
            ..self
        }
    }

    /// Sets how long the hub, or the host that stores its files, may be silent: while it accepts a
    /// connection, before its answer, and between two pieces of a file. The default is 30 seconds.
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The weights of the repository `id`, which is `owner/name` or `owner/name@revision`, with
    /// their configuration.
    ///
    /// What the cache has is not downloaded again, and what an interrupted download has left there is
    /// completed. `progress` gets the name of the file, the number of bytes that have arrived, and
    /// the number of all its bytes. Where the hub does not answer, what the cache has is used.
    ///
    /// The weights are in `model.safetensors`, else in `pytorch_model.bin`, else in the only file
    /// whose name ends in `.safetensors`, `.pth` or `.pt`.
    ///
    /// # Errors
    /// Any [`HubError`].
    pub fn fetch(
        &self,
        id: &str,
        progress: &mut dyn FnMut(&str, u64, u64),
    ) -> Result<HubFiles, HubError> {
        let repository: Repository = id.parse()?;
        if self.is_offline {
            return self
                .cached(&repository)?
                .ok_or_else(|| HubError::NotCached {
                    repository: id.into(),
                    cache: self.cache.clone(),
                });
        }
        let client = Client::new(self)?;
        let is_cached = matches!(self.cached(&repository), Ok(Some(_)));
        let tries = if is_cached { 1 } else { self.tries };
        let (commit, files) = match self.retry(tries, || client.list(&repository)) {
            Err(error) if error.may_pass() => {
                return self.cached(&repository)?.ok_or(error);
            }
            list => list?,
        };
        let weights = repository.weights(&files)?;
        let folder = self.folder(&repository).join("snapshots").join(&commit);
        // First the configuration: where the cache has weights, it has their configuration.
        let mut wanted = vec![weights];
        if files.iter().any(|file| file == CONFIG) {
            wanted.insert(0, CONFIG);
        }
        let downloader = Downloader::new(self, &client, &repository, &commit);
        for file in wanted {
            downloader.download(file, progress)?;
        }
        if self.commit_of(&repository).as_ref() != Some(&commit) {
            let cache = Cache::new(self.cache.clone()).repo(repository.repo());
            let written = cache.create_ref(&commit);
            written.map_err(|source| HubError::io(&self.cache, source))?;
        }
        HubFiles::open(&folder, weights, commit)
    }

    /// Does `work` until it succeeds, fails for good, or has been tried `tries` times.
    fn retry<T>(
        &self,
        tries: u32,
        mut work: impl FnMut() -> Result<T, HubError>,
    ) -> Result<T, HubError> {
        let mut pause = self.pause;
        for _ in 1..tries {
            match work() {
                Err(error) if error.may_pass() => std::thread::sleep(pause),
                result => return result,
            }
            pause *= 2;
        }
        work()
    }

    fn unreachable(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> HubError {
        HubError::Unreachable {
            endpoint: self.endpoint.clone(),
            source: source.into(),
        }
    }

    fn status(&self, status: u16, repository: &Repository) -> HubError {
        HubError::Status {
            endpoint: self.endpoint.clone(),
            repository: repository.to_string(),
            status,
        }
    }

    fn not_a_hub(&self, reason: impl ToString) -> HubError {
        HubError::NotAHub {
            endpoint: self.endpoint.clone(),
            reason: reason.to_string(),
        }
    }
}

/// Without the token.
impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub")
            .field("endpoint", &self.endpoint)
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

impl HubFiles {
    /// The weights and their configuration in a folder of the cache.
    fn open(folder: &Path, weights: &str, commit: String) -> Result<Self, HubError> {
        let path = folder.join(CONFIG);
        let length = cache::bytes_of(&path);
        if length > MAX_CONFIG {
            return Err(HubError::LongConfig { path, length });
        }
        let config = match std::fs::read_to_string(&path) {
            Ok(text) => PretrainedConfig::from_json(&text)
                .map_err(|source| HubError::Config { path, source })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(source) => return Err(HubError::io(&path, source)),
        };
        Ok(Self {
            weights: folder.join(weights),
            config,
            commit,
        })
    }
}

/// A token without the blanks around it, or nothing where it is blank.
fn clean(token: String) -> Option<String> {
    let token = token.trim();
    (!token.is_empty()).then(|| token.to_owned())
}
