//! The files that the paths of the command line stand for.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use cutmix_vision::{DataError, ImageFile, image_files};

/// The path that stands for a list of paths on standard input.
const LIST: &str = "-";

/// The image files of `paths`, in order: files, folders, and `-` for a list on standard input.
pub fn files(paths: Vec<PathBuf>) -> impl Iterator<Item = ImageFile> + Send {
    paths
        .into_iter()
        .flat_map(|path| -> Box<dyn Iterator<Item = ImageFile> + Send> {
            if path.as_os_str() == LIST {
                Box::new(listed().flat_map(|path| path.map_or_else(|bad| vec![bad], expanded)))
            } else {
                Box::new(expanded(path).into_iter())
            }
        })
}

/// A file, or the image files in a folder and below it.
fn expanded(path: PathBuf) -> Vec<ImageFile> {
    if !path.is_dir() {
        return vec![path.into()];
    }
    match image_files(&path) {
        Ok(files) => files.into_iter().map(ImageFile::from).collect(),
        Err(error) => vec![bad(path, error)],
    }
}

/// The paths on standard input, one a line, without empty lines. Where it cannot be read, that is the
/// last one.
fn listed() -> impl Iterator<Item = Result<PathBuf, ImageFile>> + Send {
    // Not a lock of it, which another thread cannot take over.
    let mut input = Some(BufReader::new(std::io::stdin()));
    std::iter::from_fn(move || {
        let mut line = Vec::new();
        match input.as_mut()?.read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => Some(Ok(to_path(line))),
            Err(source) => {
                input = None;
                let path = PathBuf::from("standard input");
                let error = DataError::Io {
                    path: path.clone(),
                    source,
                };
                Some(Err(bad(path, error)))
            }
        }
    })
    .filter(|path| !matches!(path, Ok(path) if path.as_os_str().is_empty()))
}

fn bad(path: PathBuf, error: DataError) -> ImageFile {
    ImageFile {
        path,
        error: Some(error),
    }
}

/// The path in a line, of which the line break of any system is no part.
fn to_path(mut line: Vec<u8>) -> PathBuf {
    if line.pop_if(|byte| *byte == b'\n').is_some() {
        line.pop_if(|byte| *byte == b'\r');
    }
    #[cfg(unix)]
    let path: std::ffi::OsString = std::os::unix::ffi::OsStringExt::from_vec(line);
    #[cfg(not(unix))]
    let path = String::from_utf8_lossy(&line).into_owned();
    path.into()
}
