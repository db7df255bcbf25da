//! Everything that can be wrong with a hub.

use std::path::{Path, PathBuf};

use super::{ENDPOINT, MAX_CONFIG};

/// Reason why weights could not be fetched. Every message is one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The name of a repository is not one.
    #[error(
        "`{}` does not name a repository, expected owner/name or owner/name@revision",
        id.escape_debug()
    )]
    Id {
        /// Name that was given.
        id: String,
    },
    /// The address of the hub is not one.
    #[error(
        "`{}` is not the address of a hub, expected one such as {ENDPOINT}",
        endpoint.escape_debug()
    )]
    Endpoint {
        /// Address of the hub, as it was given.
        endpoint: String,
    },
    /// The token has a control character, such as a line break, in the middle.
    #[error("the token for the hub has a control character, expected one line of text in HF_TOKEN")]
    Token,
    /// The environment names no folder for the files.
    #[error("no folder for downloads is known: set HF_HOME to one")]
    NoCache,
    /// Offline mode is set, and the cache does not have the weights.
    #[error("{repository} is not in {}, and HF_HUB_OFFLINE is set", cache.display())]
    NotCached {
        /// Name that was given.
        repository: String,
        /// Folder of the cache.
        cache: PathBuf,
    },
    /// The hub has no such repository, or shows it only to users with a token.
    #[error("{endpoint} has no repository {repository}; a private one needs HF_TOKEN")]
    NoRepository {
        /// Address of the hub.
        endpoint: String,
        /// Name that was given.
        repository: String,
    },
    /// The repository exists and has no such branch, tag or commit.
    #[error("{repository} has no revision `{revision}`, expected a branch, a tag or a commit")]
    NoRevision {
        /// Name of the repository.
        repository: String,
        /// Revision that was given.
        revision: String,
    },
    /// The hub lists a file and denies access to it.
    #[error("{endpoint} denies access to {repository}: accept its terms there, and set HF_TOKEN")]
    Refused {
        /// Address of the hub.
        endpoint: String,
        /// Name that was given.
        repository: String,
    },
    /// The repository has no file of weights that can be read, or several.
    #[error(
        "{repository} has no single file of weights, expected model.safetensors, \
         pytorch_model.bin or one .safetensors, .pth or .pt file, found {}",
        listed(files)
    )]
    NoWeights {
        /// Name that was given.
        repository: String,
        /// Files that the repository has.
        files: Vec<String>,
    },
    /// The weights are spread over several files.
    #[error("the weights of {repository} are in several parts ({file}), expected one file")]
    Sharded {
        /// Name that was given.
        repository: String,
        /// One of the files.
        file: String,
    },
    /// The hub does not answer.
    #[error("cannot reach {endpoint}: {source}")]
    Unreachable {
        /// Address of the hub.
        endpoint: String,
        /// Error of the connection.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The hub answers with an error that is none of the others.
    #[error("{endpoint} answered with HTTP status {status} for {repository}")]
    Status {
        /// Address of the hub.
        endpoint: String,
        /// Name that was given.
        repository: String,
        /// Code of the status, such as 503.
        status: u16,
    },
    /// The answer is not that of a hub.
    #[error("{endpoint} does not answer as a Hugging Face Hub does: {reason}")]
    NotAHub {
        /// Address of the hub.
        endpoint: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The connection broke or stalled in the middle of a file, in every attempt.
    #[error(
        "the connection to {endpoint} broke {tries} times during {file} of {repository}: {source}; \
         {kept} of {total} bytes are kept, and the next attempt resumes there"
    )]
    Dropped {
        /// Address of the hub.
        endpoint: String,
        /// Name that was given.
        repository: String,
        /// Name of the file.
        file: String,
        /// Number of attempts that were made.
        tries: u32,
        /// Number of bytes that are kept.
        kept: u64,
        /// Number of bytes of the file.
        total: u64,
        /// Error of the last attempt.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file is not what the hub announced; it has been removed.
    #[error("{file} of {repository} arrived damaged: {what} is {found}, expected {expected}")]
    Damaged {
        /// Name that was given.
        repository: String,
        /// Name of the file.
        file: String,
        /// What differs, such as "SHA-256".
        what: &'static str,
        /// Value of the file that arrived.
        found: String,
        /// Value that the hub announced.
        expected: String,
    },
    /// A file of the cache cannot be read or written.
    #[error("cannot use the cache at {}: {source}", path.display())]
    Io {
        /// Folder or file.
        path: PathBuf,
        /// Error of the system, such as "no space left on device".
        source: std::io::Error,
    },
    /// The file that describes the weights has a mistake in it.
    #[error("{}: {source}", path.display())]
    Config {
        /// Path of the file.
        path: PathBuf,
        /// The mistake and its line.
        source: serde_json::Error,
    },
    /// The file that describes the weights is too long to be one.
    #[error("{}: {length} bytes, expected at most {MAX_CONFIG}", path.display())]
    LongConfig {
        /// Path of the configuration.
        path: PathBuf,
        /// Length of the configuration in bytes.
        length: u64,
    },
}

impl HubError {
    /// Whether the same request may succeed a little later.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Dropped { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 429 | 500..),
            _ => false,
        }
    }

    pub(super) fn io(path: &Path, source: std::io::Error) -> Self {
        let path = path.to_path_buf();
        Self::Io { path, source }
    }
}

/// The first of some names, each in one line, and how many more there are.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = names.iter().take(SHOWN);
    let shown: Vec<_> = shown.map(|name| name.escape_debug().to_string()).collect();
    match names.len() {
        0 => "no file".into(),
        count if count > SHOWN => format!("{} and {} more", shown.join(", "), count - SHOWN),
        _ => shown.join(", "),
    }
}
