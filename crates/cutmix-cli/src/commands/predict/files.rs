//! The files that the paths of the command line stand for.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use cutmix_vision::{DataError, ImageFile, image_files};

/// The path that stands for a list of paths on standard input.
const LIST: &str = "-";

type Files = Box<dyn Iterator<Item = ImageFile> + Send>;

/// The image files of `paths`, in order: files, folders, and `-` for a list on standard input.
pub fn files(paths: Vec<PathBuf>) -> impl Iterator<Item = ImageFile> + Send {
    paths.into_iter().flat_map(|path| -> Files {
        if path.as_os_str() == LIST {
            Box::new(listed())
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

/// The files of the paths on standard input, one path a line. Empty lines are left out. The list ends with the
/// first line that cannot be read.
fn listed() -> impl Iterator<Item = ImageFile> + Send {
    let mut is_broken = false;
    let lines = BufReader::new(std::io::stdin()).split(b'\n');
    lines
        .take_while(move |line| !std::mem::replace(&mut is_broken, line.is_err()))
        .flat_map(|line| match line.map(to_path) {
            Ok(path) if path.as_os_str().is_empty() => Vec::new(),
            Ok(path) => expanded(path),
            Err(source) => {
                let path = PathBuf::from("standard input");
                let error = DataError::Io {
                    path: path.clone(),
                    source,
                };
                vec![bad(path, error)]
            }
        })
}

fn bad(path: PathBuf, error: DataError) -> ImageFile {
    ImageFile {
        path,
        error: Some(error),
    }
}

/// The path in a line, which ends with a carriage return where a list is from Windows.
fn to_path(mut line: Vec<u8>) -> PathBuf {
    line.pop_if(|byte| *byte == b'\r');
    #[cfg(unix)]
    let path: std::ffi::OsString = std::os::unix::ffi::OsStringExt::from_vec(line);
    #[cfg(not(unix))]
    let path = String::from_utf8_lossy(&line).into_owned();
    path.into()
}
