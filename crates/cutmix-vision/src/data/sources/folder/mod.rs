//! Folders of images: one folder per class.

mod sets;
mod tree;
mod unused;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) use self::sets::NAMES as SET_NAMES;
use self::sets::Sets;
use self::tree::Folder;
use super::Layout;
use crate::data::escape::relative_name;
use crate::data::source::{Content, Label};
use crate::data::{DataConfig, DataError, Dataset, Source, Splits};

pub use unused::{Reason, Unused};

pub(super) const LAYOUT: Layout = Layout {
    about: "one folder of images per class, or train/, val/ and test/ with such folders",
    found_in: |path| path.is_dir(),
    read: |dir, config| image_folder(dir, config),
};

/// Reads the images `dir/train/CLASS/**`, `dir/val/CLASS/**` and `dir/test/CLASS/**`, or
/// `dir/CLASS/**` where there is no training folder.
///
/// The folders of the sets may have other usual names in upper or lower case, such as `Training`,
/// `validation`, `dev`, `eval`, `testing` or `seg_train`, and may be in one folder within another, as
/// archives unpack. Images in folders below that of a class belong to it. The content decides what
/// is an image, not the name of the file. The classes are the names of the folders of the training
/// set that hold images, sorted, or [`DataConfig::classes`]; names are compared in Unicode's form
/// NFC. Bytes of a name that are not UTF-8 and control characters become `\xE9` and a backslash
/// becomes `\\`, so that different folders have different names.
///
/// A folder `test` of images without class folders is reported in [`Splits::unlabelled`], and what
/// else is not used in [`Splits::unused`]: hidden files, folders of the system, of archives and of
/// training runs, pictures beside the class folders, folders without images.
///
/// The folders are listed and no image is decoded.
///
/// # Errors
/// [`DataError::NotFound`], [`DataError::NotAFolder`], [`DataError::Io`], [`DataError::NoClasses`],
/// [`DataError::OneClass`] unless the classes are given, [`DataError::UnknownClass`], and
/// [`DataError::Argument`] where an option is out of range.
pub fn image_folder(dir: impl AsRef<Path>, config: &DataConfig) -> Result<Splits, DataError> {
    let dir = dir.as_ref();
    config.check()?;
    let mut unused = Unused::default();
    let known = config.classes.as_deref();
    let root = Folder::read(dir, &mut unused)?;
    let sets = Sets::of(root, known.unwrap_or_default(), &mut unused);
    let classes = match known {
        Some(known) => known.to_vec(),
        None => classes_of(sets.train.as_ref(), dir)?,
    };
    let unlabelled = sets.unlabelled.clone();
    let mut files = ImageFiles::new(dir);
    let mut ranges = [None, None, None];
    for (range, set) in ranges.iter_mut().zip([sets.train, sets.val, sets.test]) {
        if let Some(set) = set {
            let start = files.files.len();
            files.add_set(set, &classes, &mut unused)?;
            *range = Some(start..files.files.len());
        }
    }
    if files.files.is_empty() {
        let path = dir.to_path_buf();
        return Err(DataError::NoClasses { path });
    }
    files.files.shrink_to_fit();
    let all = config.dataset(classes, Arc::new(files))?;
    let [train, val, test] = ranges;
    Ok(Splits {
        val: val.map(|val| all.range(val)),
        test: test.map(|test| all.range(test)),
        unlabelled,
        unused,
        ..Splits::new(all.range(train.unwrap_or_default()))
    })
}

/// The image files in the folder `dir` and in those below it, whatever the names of the folders,
/// sorted by path. Files are known to be images as by [`image_folder`], and hidden ones and folders of
/// the system, of archives and of training runs are left out.
///
/// # Errors
/// [`DataError::NotFound`], [`DataError::NotAFolder`] and [`DataError::Io`] where a folder cannot be
/// listed, [`DataError::NoImages`] where there is no image.
pub fn image_files(dir: impl AsRef<Path>) -> Result<Vec<PathBuf>, DataError> {
    let dir = dir.as_ref();
    let mut folders = vec![Folder::read(dir, &mut Unused::default())?];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        let images = folder.images.iter();
        files.extend(images.map(|image| folder.path.join(&*image.name)));
        folders.extend(folder.folders);
    }
    if files.is_empty() {
        let path = dir.to_path_buf();
        return Err(DataError::NoImages { path });
    }
    files.sort_unstable();
    Ok(files)
}

/// All images in the folder `dir` and in those below it, whatever the names of the folders, as one class
/// with the name of `dir`. Files are known to be images as by [`image_folder`].
///
/// # Errors
/// [`DataError::NotFound`], [`DataError::NotAFolder`] and [`DataError::Io`] where a folder cannot be
/// listed, [`DataError::NoImages`] where there is no image, [`DataError::Argument`] where an option is out
/// of range.
pub fn unlabelled_folder(dir: impl AsRef<Path>, config: &DataConfig) -> Result<Dataset, DataError> {
    let dir = dir.as_ref();
    config.check()?;
    let root = Folder::read(dir, &mut Unused::default())?;
    let class = root.class.clone();
    let mut files = ImageFiles::new(dir);
    files.add_class(root, 0);
    if files.files.is_empty() {
        let path = dir.to_path_buf();
        return Err(DataError::NoImages { path });
    }
    config.dataset(vec![class], Arc::new(files))
}

/// The classes of the training set.
fn classes_of(train: Option<&Folder>, dir: &Path) -> Result<Vec<String>, DataError> {
    let folders = train.into_iter().flat_map(Folder::filled);
    let mut classes: Vec<_> = folders.map(|folder| folder.class.clone()).collect();
    // Two folders may have one name in different forms of Unicode.
    classes.dedup();
    let path = train.map_or(dir, |train| &train.path).to_path_buf();
    match classes.as_slice() {
        [] => Err(DataError::NoClasses { path }),
        [class] => Err(DataError::OneClass {
            class: class.clone(),
            path,
        }),
        _ => Ok(classes),
    }
}

/// Samples that are a file each.
struct ImageFiles {
    /// Folder of the data, to which names are relative.
    root: PathBuf,
    folders: Vec<PathBuf>,
    files: Vec<ImageFile>,
}

/// An image file. There may be millions, so it is small.
struct ImageFile {
    name: Box<OsStr>,
    /// Index of its folder.
    folder: u32,
    label: u32,
    /// Size in bytes.
    bytes: u64,
}

impl ImageFiles {
    fn new(root: &Path) -> Self {
        Self {
            root: root.to_path_buf(),
            folders: Vec::new(),
            files: Vec::new(),
        }
    }

    /// Adds the images of a set, class by class.
    fn add_set(
        &mut self,
        set: Folder,
        classes: &[String],
        unused: &mut Unused,
    ) -> Result<(), DataError> {
        for image in &set.images {
            unused.count(Reason::Stray, &set.path.join(&*image.name));
        }
        for class in set.folders {
            if !class.has_image() {
                unused.count(Reason::EmptyFolder, &class.path);
                continue;
            }
            let Some(label) = classes.iter().position(|known| *known == class.class) else {
                return Err(DataError::UnknownClass {
                    path: set.path,
                    near: near(&class.class, classes),
                    class: class.class,
                });
            };
            self.add_class(class, label as u32);
        }
        Ok(())
    }

    /// Adds the images of a folder and of those below it.
    fn add_class(&mut self, class: Folder, label: u32) {
        let folder = self.folders.len() as u32;
        self.folders.push(class.path);
        self.files
            .extend(class.images.into_iter().map(|image| ImageFile {
                name: image.name,
                folder,
                label,
                bytes: image.bytes,
            }));
        class
            .folders
            .into_iter()
            .for_each(|folder| self.add_class(folder, label));
    }
}

impl std::fmt::Debug for ImageFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImageFiles")
            .field("root", &self.root)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl Source for ImageFiles {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn name(&self, index: usize) -> String {
        relative_name(&self.path(index), &self.root)
    }

    fn label(&self, index: usize) -> Label {
        Label::Class(self.files[index].label as usize)
    }

    fn content(&self, index: usize) -> Result<Content<'_>, DataError> {
        read_image(&self.path(index))
    }

    fn bytes(&self, index: usize) -> u64 {
        self.files[index].bytes
    }

    fn path(&self, index: usize) -> PathBuf {
        let file = &self.files[index];
        self.folders[file.folder as usize].join(&*file.name)
    }
}

/// Reads a file, unless it is a pipe or a device, which might never end.
pub(crate) fn read_image(path: &Path) -> Result<Content<'static>, DataError> {
    let io = |error| DataError::io(path, error);
    if !fs::metadata(path).map_err(io)?.is_file() {
        return Err(DataError::image(path, "not a file"));
    }
    Ok(Content::File(fs::read(path).map_err(io)?.into()))
}

/// Up to three classes whose names look like `class`, or the first three where none does.
pub(super) fn near(class: &str, classes: &[String]) -> Vec<String> {
    let likeness =
        |name: &String| strsim::jaro_winkler(&class.to_lowercase(), &name.to_lowercase());
    let mut like: Vec<_> = (classes.iter())
        .filter(|&name| likeness(name) > 0.7)
        .collect();
    like.sort_by(|a, b| likeness(b).total_cmp(&likeness(a)));
    let like = if like.is_empty() {
        classes.iter().collect()
    } else {
        like
    };
    like.into_iter().take(3).cloned().collect()
}
