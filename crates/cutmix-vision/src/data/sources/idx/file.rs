//! One IDX file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;

use flate2::bufread::GzDecoder;

use crate::data::DataError;

/// A compressed file is refused whose header promises more than so many times its size: MNIST's
/// files are packed 5 to 1, and only a file made to exhaust memory 100 to 1. Up to `SMALL` bytes any
/// ratio is accepted, as a few blank images pack better.
const MAX_RATIO: u128 = 100;
const SMALL: u128 = 64 << 20;

/// An IDX file that is being read, plain or compressed.
pub struct IdxFile {
    pub path: PathBuf,
    /// Size of the file where it is compressed.
    packed: Option<u64>,
    reader: Box<dyn Read>,
}

impl IdxFile {
    pub fn open(path: PathBuf) -> Result<Self, DataError> {
        let io = |error| DataError::io(&path, error);
        let file = File::open(&path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        let mut reader = BufReader::new(file);
        let start = reader.fill_buf().map_err(io)?;
        // The content decides, not the suffix.
        let is_packed = start.starts_with(&[0x1f, 0x8b]);
        let (packed, reader): (_, Box<dyn Read>) = if is_packed {
            (Some(size), Box::new(GzDecoder::new(reader)))
        } else {
            (None, Box::new(reader))
        };
        Ok(Self {
            path,
            packed,
            reader,
        })
    }

    /// The sizes in the header, after a check of the magic number.
    pub fn header<const D: usize>(&mut self, magic: u32) -> Result<[usize; D], DataError> {
        let expected = format!("0x{magic:08x}");
        let Some(found) = self.word()? else {
            return Err(self.wrong("IDX magic number", "missing", expected));
        };
        if found != magic {
            let found = format!("0x{found:08x}");
            return Err(self.wrong("IDX magic number", found, expected));
        }
        let mut sizes = [0; D];
        for (at, size) in sizes.iter_mut().enumerate() {
            let Some(word) = self.word()? else {
                let found = format!("less than {} bytes", 8 + 4 * at);
                return Err(self.wrong("header", found, format!("{} bytes", 4 + 4 * D)));
            };
            *size = word as usize;
        }
        Ok(sizes)
    }

    /// The next number, or `None` where the file ends.
    fn word(&mut self) -> Result<Option<u32>, DataError> {
        let mut word = [0; 4];
        match self.reader.read_exact(&mut word) {
            Ok(()) => Ok(Some(u32::from_be_bytes(word))),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(DataError::io(&self.path, error)),
        }
    }

    /// The bytes after the header, as many as `sizes` promises.
    pub fn body(&mut self, sizes: &[usize]) -> Result<Vec<u8>, DataError> {
        // 128 bits hold the product of three 32-bit sizes.
        let promised: u128 = sizes.iter().map(|&size| size as u128).product();
        self.check_ratio(promised)?;
        let limit = u64::try_from(promised).unwrap_or(u64::MAX);
        let mut bytes = Vec::new();
        let mut body = (&mut self.reader).take(limit.saturating_add(1));
        body.read_to_end(&mut bytes)
            .map_err(|error| DataError::io(&self.path, error))?;
        if bytes.len() as u128 == promised {
            return Ok(bytes);
        }
        let found = if bytes.len() as u128 > promised {
            format!("more than {promised} bytes")
        } else {
            format!("{} bytes", bytes.len())
        };
        let expected = format!("{promised} for {sizes:?}");
        Err(self.wrong("length after the header", found, expected))
    }

    fn check_ratio(&self, promised: u128) -> Result<(), DataError> {
        let Some(packed) = self.packed else {
            return Ok(());
        };
        let most = (u128::from(packed) * MAX_RATIO).max(SMALL);
        if promised <= most {
            return Ok(());
        }
        let expected = format!("at most {most} for {packed} compressed bytes");
        Err(self.wrong("unpacked size", format!("{promised} bytes"), expected))
    }

    /// An error of this file.
    pub fn wrong(
        &self,
        what: &'static str,
        found: impl ToString,
        expected: impl ToString,
    ) -> DataError {
        DataError::format(&self.path, what, found, expected)
    }
}
