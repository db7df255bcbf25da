//! IDX files: the format of MNIST, Fashion-MNIST, KMNIST and EMNIST.

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use super::{Dataset, Source, Splits, check_labels};
use crate::DataError;

const IMAGES_MAGIC: u32 = 0x0803;
const LABELS_MAGIC: u32 = 0x0801;

/// Reads a data set of grey images in IDX files, the format of <http://yann.lecun.com/exdb/mnist/>:
/// `train-images-idx3-ubyte` and `train-labels-idx1-ubyte` in the folder `dir`, and as validation
/// set `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte` where they are there. Each may be
/// compressed and end in `.gz`. The format has no class names: they are `0`, `1` and so on up to
/// the highest label of the training set.
///
/// # Errors
/// [`DataError::NotFound`] and [`DataError::Io`]; [`DataError::Format`] where a header or length is
/// wrong; [`DataError::Label`] where the validation set has a label above those of the training
/// set; [`DataError::OneClass`].
pub fn idx(dir: impl AsRef<Path>) -> Result<Splits, DataError> {
    let dir = dir.as_ref();
    let train = read_pair(dir, "train", None)?;
    let classes = train.classes().len();
    let val = match find(dir, "t10k-images-idx3-ubyte") {
        Some(_) => Some(read_pair(dir, "t10k", Some(classes))?),
        None => None,
    };
    if let Some(val) = &val
        && val.shape() != train.shape()
    {
        let path = dir.join("t10k-images-idx3-ubyte");
        let (found, expected) = (format!("{:?}", val.shape()), format!("{:?}", train.shape()));
        return Err(DataError::format(&path, "image shape", found, expected));
    }
    Ok(Splits {
        train,
        val,
        skipped: Vec::new(),
    })
}

pub(super) fn found_in(dir: &Path) -> bool {
    find(dir, "train-images-idx3-ubyte").is_some()
}

fn read_pair(dir: &Path, split: &str, classes: Option<usize>) -> Result<Dataset, DataError> {
    let images = format!("{split}-images-idx3-ubyte");
    let (path, bytes) = read(dir, &images)?;
    let [count, height, width] = header(&path, &bytes, IMAGES_MAGIC)?;
    if height == 0 || width == 0 {
        let found = format!("{height} x {width}");
        return Err(DataError::format(
            &path,
            "image size",
            found,
            "at least 1 x 1",
        ));
    }
    let pixels = bytes[16..].to_vec();

    let labels = format!("{split}-labels-idx1-ubyte");
    let (path, bytes) = read(dir, &labels)?;
    let [label_count] = header(&path, &bytes, LABELS_MAGIC)?;
    if label_count != count {
        let expected = format!("{count}, one for each image");
        return Err(DataError::format(
            &path,
            "number of labels",
            label_count,
            expected,
        ));
    }
    let labels: Vec<usize> = bytes[8..].iter().map(|&label| label.into()).collect();
    let Some(highest) = labels.iter().max() else {
        return Err(DataError::format(
            &path,
            "number of labels",
            0,
            "at least 1",
        ));
    };
    let classes = classes.unwrap_or(highest + 1);
    if classes == 1 {
        let class = "0".to_string();
        return Err(DataError::OneClass { path, class });
    }
    check_labels(&labels, classes, || path.display().to_string())?;
    Ok(Dataset::whole(Source {
        classes: (0..classes).map(|class| class.to_string()).collect(),
        labels,
        shape: [1, height, width],
        pixels: Some(pixels),
        paths: Vec::new(),
    }))
}

/// The sizes in the header, after checking the magic number and that the body is as long as they
/// say.
fn header<const D: usize>(path: &Path, bytes: &[u8], magic: u32) -> Result<[usize; D], DataError> {
    let word = |at: usize| {
        let word = bytes.get(4 * at..4 * at + 4)?;
        Some(
            word.iter()
                .fold(0u32, |word, &byte| word << 8 | u32::from(byte)),
        )
    };
    let found = word(0).map_or("missing".into(), |found| format!("0x{found:08x}"));
    if word(0) != Some(magic) {
        let expected = format!("0x{magic:08x}");
        return Err(DataError::format(path, "IDX magic number", found, expected));
    }
    let mut sizes = [0; D];
    for (at, size) in sizes.iter_mut().enumerate() {
        let found = format!("{} bytes", bytes.len());
        let expected = format!("{} bytes", 4 + 4 * D);
        *size = word(at + 1).ok_or_else(|| DataError::format(path, "header", found, expected))?
            as usize;
    }
    // 128 bits hold the product of three 32-bit sizes.
    let expected: u128 = sizes.iter().map(|&size| size as u128).product();
    let found = bytes.len() - 4 - 4 * D;
    if found as u128 != expected {
        let (found, expected) = (
            format!("{found} bytes"),
            format!("{expected} for {sizes:?}"),
        );
        return Err(DataError::format(
            path,
            "length after the header",
            found,
            expected,
        ));
    }
    Ok(sizes)
}

fn find(dir: &Path, name: &str) -> Option<PathBuf> {
    let plain = dir.join(name);
    let packed = dir.join(format!("{name}.gz"));
    [plain, packed].into_iter().find(|path| path.exists())
}

fn read(dir: &Path, name: &str) -> Result<(PathBuf, Vec<u8>), DataError> {
    let path = find(dir, name).ok_or_else(|| DataError::NotFound {
        path: dir.join(name),
    })?;
    let mut bytes = std::fs::read(&path).map_err(|error| DataError::io(&path, error))?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut unpacked = Vec::new();
        GzDecoder::new(bytes.as_slice())
            .read_to_end(&mut unpacked)
            .map_err(|error| DataError::io(&path, error))?;
        bytes = unpacked;
    }
    Ok((path, bytes))
}
