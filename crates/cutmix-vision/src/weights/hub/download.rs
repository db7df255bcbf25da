//! One file on its way from the hub into the cache.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use hf_hub::api::Progress;
use hf_hub::api::sync::{Api, ApiError, ApiRepo, Metadata};
use hf_hub::{Cache, CacheRepo};
use sha2::{Digest, Sha256};

use super::repository::{Repository, is_file_name};
use super::{Hub, HubError};

/// Downloads files of one commit of one repository.
pub(super) struct Downloader<'a> {
    hub: &'a Hub,
    api: &'a Api,
    repository: &'a Repository,
    commit: &'a str,
    remote: ApiRepo,
    cache: CacheRepo,
}

impl<'a> Downloader<'a> {
    pub fn new(hub: &'a Hub, api: &'a Api, repository: &'a Repository, commit: &'a str) -> Self {
        // At the commit, not at the branch, so that all files belong together.
        let repo = repository.at(commit);
        Self {
            hub,
            api,
            repository,
            commit,
            remote: api.repo(repo.clone()),
            cache: Cache::new(hub.cache.clone()).repo(repo),
        }
    }

    /// Brings a file into the cache, where it is not there yet. A part of it that an earlier try has
    /// left is completed. Under its name, a file is never seen before it is whole.
    pub fn bring(
        &self,
        file: &str,
        progress: &mut dyn FnMut(&str, u64, u64),
    ) -> Result<(), HubError> {
        let path = self.cache.pointer_path(self.commit).join(file);
        if path.exists() {
            return Ok(());
        }
        let metadata = self.hub.insist(|| self.metadata(file))?;
        let total = metadata.size() as u64;
        let blob = self.cache.blob_path(metadata.etag());
        if bytes_of(&blob) == total && link(&blob, &path) {
            // Another commit has the same file.
            return Ok(());
        }
        // `hf_hub` keeps what has arrived there, and asks for the rest.
        let part = blob.with_extension("part");
        if bytes_of(&part) >= total {
            // There is no rest to ask for, so an earlier try must have gone wrong.
            remove(&part)?;
        }
        self.hub.insist(|| {
            let forward = Forward {
                file,
                done: 0,
                total,
                progress: &mut *progress,
            };
            let download = self.remote.download_with_progress(file, forward);
            download.map_err(|error| self.error(error, file, Some((&part, total))))
        })?;
        self.check(file, &path, &metadata).inspect_err(|_| {
            let _ = remove(&path);
            let _ = remove(&blob);
        })
    }

    fn metadata(&self, file: &str) -> Result<Metadata, HubError> {
        let metadata = (self.api.metadata(&self.remote.url(file)))
            .map_err(|error| self.error(error, file, None))?;
        // Both become names of files. The tag may begin with `W/`.
        let etag = metadata.etag().trim_start_matches("W/");
        if metadata.commit_hash() != self.commit || !is_file_name(etag) {
            let reason = format!("{file} has the commit or tag of another file");
            return Err(self.hub.not_a_hub(reason));
        }
        Ok(metadata)
    }

    /// Checks the length of a file and, where the hub knows it, the SHA-256.
    fn check(&self, file: &str, path: &Path, metadata: &Metadata) -> Result<(), HubError> {
        let damaged = |what, found: String, expected: String| HubError::Damaged {
            repository: self.repository.to_string(),
            file: file.into(),
            what,
            found,
            expected,
        };
        let (length, expected) = (bytes_of(path), metadata.size() as u64);
        if length != expected {
            return Err(damaged("length", length.to_string(), expected.to_string()));
        }
        // The tag of a large file. That of a small one is another hash.
        let tag = metadata.etag();
        if tag.len() == 64 && tag.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            let hash = sha256(path).map_err(|source| HubError::io(path, source))?;
            if !hash.eq_ignore_ascii_case(tag) {
                return Err(damaged("SHA-256", hash, tag.into()));
            }
        }
        Ok(())
    }

    /// The meaning of an error of `hf_hub`. `part` is the place of what has arrived of the file, and
    /// the number of bytes that it is to have.
    fn error(&self, error: ApiError, file: &str, part: Option<(&PathBuf, u64)>) -> HubError {
        let endpoint = self.hub.endpoint.clone();
        let repository = self.repository.to_string();
        let file = file.to_owned();
        match error {
            ApiError::RequestError(error) => match *error {
                ureq::Error::StatusCode(401 | 403) => HubError::Refused {
                    endpoint,
                    repository,
                },
                ureq::Error::StatusCode(status) => self.hub.status(status, self.repository),
                error => self.broken(error.into(), file, part),
            },
            ApiError::IoError(error) if is_of_connection(error.kind()) => {
                self.broken(error.into(), file, part)
            }
            ApiError::IoError(source) => HubError::io(&self.hub.cache, source),
            ApiError::LockAcquisition(_) => HubError::InUse { repository, file },
            error => self.hub.not_a_hub(error),
        }
    }

    fn broken(
        &self,
        source: Box<dyn std::error::Error + Send + Sync>,
        file: String,
        part: Option<(&PathBuf, u64)>,
    ) -> HubError {
        match part {
            Some((part, total)) => HubError::Dropped {
                endpoint: self.hub.endpoint.clone(),
                repository: self.repository.to_string(),
                file,
                tries: self.hub.tries,
                kept: bytes_of(part),
                total,
                source,
            },
            None => self.hub.unreachable(source),
        }
    }
}

/// Whether an error while a file is copied is one of the connection, not of the file.
fn is_of_connection(kind: ErrorKind) -> bool {
    use ErrorKind::*;
    matches!(
        kind,
        UnexpectedEof | ConnectionReset | ConnectionAborted | TimedOut | InvalidData | Other
    )
}

/// Length of a file, 0 where there is none.
fn bytes_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Gives a file a second name, and returns whether that worked: not every file system can.
fn link(file: &Path, name: &Path) -> bool {
    let folder = name.parent().map(std::fs::create_dir_all);
    folder.is_some_and(|made| made.is_ok()) && std::fs::hard_link(file, name).is_ok()
}

fn remove(path: &Path) -> Result<(), HubError> {
    std::fs::remove_file(path).map_err(|source| HubError::io(path, source))
}

fn sha256(path: &Path) -> std::io::Result<String> {
    let mut hasher = Sha256::new();
    std::io::copy(&mut std::fs::File::open(path)?, &mut hasher)?;
    Ok((hasher.finalize().iter())
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

/// Tells how far a file is.
struct Forward<'a> {
    file: &'a str,
    done: u64,
    total: u64,
    progress: &'a mut dyn FnMut(&str, u64, u64),
}

impl Progress for Forward<'_> {
    fn init(&mut self, _size: usize, _filename: &str) {
        self.done = 0;
    }

    fn update(&mut self, bytes: usize) {
        self.done += bytes as u64;
        (self.progress)(self.file, self.done, self.total);
    }

    fn finish(&mut self) {}
}
