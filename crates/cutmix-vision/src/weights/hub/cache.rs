//! The folder in which the files of repositories are kept: `models--owner--name` has the content of
//! files in `blobs`, the commit of each revision in `refs`, and links to the files of each commit in
//! `snapshots`.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::repository::Repository;
use super::{Hub, HubError, HubFiles};

impl Hub {
    /// The folder of a repository in the cache.
    pub(super) fn folder(&self, repository: &Repository) -> PathBuf {
        self.cache.join(repository.repo().folder_name())
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

/// Waits until no other process downloads a blob, and keeps others waiting until the file is
/// dropped. The lock is the one of `hf_hub`, so its programs wait, too.
pub(super) fn lock(blob: &Path) -> Result<File, HubError> {
    let path = blob.with_added_extension("lock");
    let lock = || {
        create_parent(&path)?;
        let file = File::create(&path)?;
        file.lock()?;
        Ok(file)
    };
    lock().map_err(|source| HubError::io(&path, source))
}

/// Shows a blob as the file `path` of a snapshot.
pub(super) fn link(blob: &Path, path: &Path) -> Result<(), HubError> {
    let link = || {
        create_parent(path)?;
        if path.exists() {
            return Ok(());
        }
        if path.is_symlink() {
            // What it led to has been deleted.
            std::fs::remove_file(path)?;
        }
        // Not every file system has links.
        symlink(blob, path)
            .or_else(|_| std::fs::hard_link(blob, path))
            .or_else(|_| std::fs::rename(blob, path))
    };
    link().map_err(|source| HubError::io(path, source))
}

/// Length of a file, 0 where there is none.
pub(super) fn bytes_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

fn create_parent(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(
        path.parent()
            .expect("files of the cache lie in its folders"),
    )
}

/// A relative link, so that the cache can be moved.
#[cfg(unix)]
fn symlink(blob: &Path, path: &Path) -> io::Result<()> {
    let name = blob.file_name().expect("a blob has a name");
    std::os::unix::fs::symlink(Path::new("../../blobs").join(name), path)
}

#[cfg(not(unix))]
fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
