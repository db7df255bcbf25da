//! The folder in which the files of repositories are kept: `models--owner--name` has the commit of
//! each revision in `refs` and the files of each commit in `snapshots`. `hf_hub` fills it.

use std::fs::File;
use std::path::PathBuf;

use super::repository::Repository;
use super::{Hub, HubError, HubFiles};

impl Hub {
    /// The folder of a repository in the cache.
    pub(super) fn folder(&self, repository: &Repository) -> PathBuf {
        self.cache.join(repository.repo().folder_name())
    }

    /// Waits until no other process of this program downloads from the repository, and keeps others
    /// waiting until the file is dropped.
    pub(super) fn lock(&self, repository: &Repository) -> Result<File, HubError> {
        let folder = self.cache.join(".locks");
        let path = folder.join(format!("{}.lock", repository.repo().folder_name()));
        let lock = || {
            std::fs::create_dir_all(&folder)?;
            let file = File::create(&path)?;
            file.lock()?;
            Ok(file)
        };
        lock().map_err(|source| HubError::io(&path, source))
    }

    /// The commit that the revision named when it was last fetched.
    pub(super) fn commit_of(&self, repository: &Repository) -> Option<String> {
        let refs = self.folder(repository).join("refs");
        let commit = std::fs::read_to_string(refs.join(&repository.revision)).ok()?;
        Some(commit.trim().to_owned())
    }

    /// The weights that an earlier fetch has left in the cache.
    pub(super) fn cached(&self, repository: &Repository) -> Result<Option<HubFiles>, HubError> {
        let commit = self.commit_of(repository);
        let commit = commit.unwrap_or_else(|| repository.revision.clone());
        let snapshot = self.folder(repository).join("snapshots").join(&commit);
        let Ok(entries) = std::fs::read_dir(&snapshot) else {
            return Ok(None);
        };
        let names = entries.flatten().filter(|entry| entry.path().exists());
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        let files: Vec<_> = names.collect();
        match repository.weights(&files) {
            Ok(weights) => HubFiles::open(&snapshot, weights, commit).map(Some),
            Err(_) => Ok(None),
        }
    }
}
