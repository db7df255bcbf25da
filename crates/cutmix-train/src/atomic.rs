//! Files that appear whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const SUFFIX: &str = ".tmp";

/// A file that takes its name when it is complete. Until then it has a random name in the same
/// folder, which starts with a prefix, and is removed if it is dropped.
pub struct AtomicFile {
    file: tempfile::NamedTempFile,
    path: PathBuf,
}

impl AtomicFile {
    /// Starts the file that becomes `path`.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn create(path: &Path, prefix: &str) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(prefix).suffix(SUFFIX);
        // As readable as other files: temporary ones are their owner's alone.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(folder_of(path));
        // Without the name of the temporary file, which `tempfile` adds.
        let plain = |error: io::Error| match error.get_ref().and_then(|inner| inner.source()) {
            Some(source) => io::Error::new(error.kind(), source.to_string()),
            None => error,
        };
        let file = file.map_err(plain)?;
        let path = path.into();
        Ok(Self { file, path })
    }

    /// Gives the file its name. It replaces one that has the name already, with the permissions of
    /// that one, and is then safe from a power failure.
    ///
    /// # Errors
    ///
    /// Those of the system; the file that had the name is then still there.
    pub fn commit(self) -> io::Result<()> {
        let file = self.file.as_file();
        if let Ok(replaced) = fs::symlink_metadata(&self.path)
            && replaced.is_file()
        {
            file.set_permissions(replaced.permissions())?;
        }
        file.sync_all()?;
        self.file.persist(&self.path)?;
        if cfg!(unix) {
            // Makes the new name last.
            File::open(folder_of(&self.path))?.sync_all()?;
        }
        Ok(())
    }

    /// Removes the files that processes have left in `folder` that were killed while they wrote, with
    /// names that start with `prefix`.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn remove_left_over(folder: &Path, prefix: &str) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(prefix) && name.ends_with(SUFFIX) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Not by the wrapper, whose errors name the temporary file.
        self.file.as_file_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_file_mut().flush()
    }
}

fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    folder.unwrap_or(Path::new("."))
}
