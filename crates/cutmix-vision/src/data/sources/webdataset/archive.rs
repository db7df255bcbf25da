//! The files in a tar archive, plain or compressed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use tar::{EntryType, Header, PaxExtensions};

use crate::data::DataError;

/// Size of the blocks of which an archive is made, in bytes.
const BLOCK: usize = 512;
/// Largest header that has a long name or other fields, in bytes.
const MAX_FIELDS: u64 = 1 << 20;

/// A compressed archive is refused that unpacks to more than so many times its size: images hardly
/// shrink, and only a file made to exhaust memory unpacks 100 to 1. Up to `SMALL` bytes any ratio is
/// accepted.
const MAX_RATIO: u64 = 100;
const SMALL: u64 = 64 << 20;

/// A file in an archive.
#[derive(Debug)]
pub struct Member {
    pub name: String,
    /// Number of bytes of the unpacked archive before its content.
    pub offset: u64,
    /// Size of its content in bytes.
    pub bytes: u64,
}

/// An archive that is read from its start.
pub struct Archive {
    path: PathBuf,
    reader: Reader,
    /// Number of bytes of the unpacked archive that were read or passed over.
    position: u64,
    /// Where the last header starts.
    start: u64,
    /// Where the content of the last file ends.
    end: u64,
    /// Size of the unpacked archive, at most.
    limit: u64,
}

/// The unpacked archive.
enum Reader {
    Plain(BufReader<File>),
    Packed(Box<MultiGzDecoder<BufReader<File>>>),
}

impl Archive {
    /// Opens an archive, whose content decides whether it is compressed.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let io = |error| DataError::io(path, error);
        let file = File::open(path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        let mut file = BufReader::with_capacity(64 << 10, file);
        let is_packed = file.fill_buf().map_err(io)?.starts_with(&[0x1f, 0x8b]);
        let (reader, limit) = if is_packed {
            let limit = size.saturating_mul(MAX_RATIO).max(SMALL);
            (Reader::Packed(Box::new(MultiGzDecoder::new(file))), limit)
        } else {
            (Reader::Plain(file), size)
        };
        Ok(Self {
            path: path.into(),
            reader,
            position: 0,
            start: 0,
            end: 0,
            limit,
        })
    }

    /// Whether the archive is compressed.
    pub fn is_packed(&self) -> bool {
        matches!(self.reader, Reader::Packed(_))
    }

    /// The next file; `None` at the end of the archive. Folders, links and files with holes are passed
    /// over.
    pub fn next(&mut self) -> Result<Option<Member>, DataError> {
        let mut fields = Fields::default();
        while let Some(header) = self.header()? {
            let bytes = header.entry_size().map_err(|error| self.damaged(error))?;
            match header.entry_type() {
                EntryType::GNULongName => fields.name = Some(self.field(bytes)?),
                EntryType::XHeader => fields.read(&self.field(bytes)?),
                EntryType::GNULongLink | EntryType::XGlobalHeader => self.pass(bytes)?,
                kind => {
                    let fields = std::mem::take(&mut fields);
                    let bytes = fields.bytes.unwrap_or(bytes);
                    let is_file = is_file(kind) && !fields.is_sparse;
                    if is_file {
                        let name = fields.name.unwrap_or_else(|| header.path_bytes().into());
                        return self.member(&name, bytes).map(Some);
                    }
                    self.pass_holes(&header)?;
                    if !is_empty(kind) {
                        self.pass(bytes)?;
                    }
                }
            }
        }
        Ok(None)
    }

    /// The content of the file that `next` returned last, or of one after it.
    pub fn read(&mut self, member: &Member) -> Result<Vec<u8>, DataError> {
        self.read_at(member.offset, member.bytes)
    }

    /// So many bytes of the unpacked archive from an offset on that has not been passed.
    pub fn read_at(&mut self, offset: u64, bytes: u64) -> Result<Vec<u8>, DataError> {
        self.skip(offset.saturating_sub(self.position))?;
        // What a header promises may not be there.
        let mut content = Vec::with_capacity(bytes.min(1 << 20) as usize);
        let mut part = self.reader.as_read().take(bytes);
        let read = part.read_to_end(&mut content);
        self.position += content.len() as u64;
        read.map_err(|error| self.failed(error))?;
        if content.len() as u64 == bytes {
            Ok(content)
        } else {
            Err(self.cut())
        }
    }

    /// The next header; `None` at the end.
    fn header(&mut self) -> Result<Option<Header>, DataError> {
        self.skip(self.end.saturating_sub(self.position))?;
        let rest = self.position.next_multiple_of(BLOCK as u64) - self.position;
        self.skip(rest)?;
        self.start = self.position;
        let mut block = Vec::with_capacity(BLOCK);
        let read = self
            .reader
            .as_read()
            .take(BLOCK as u64)
            .read_to_end(&mut block);
        read.map_err(|error| self.failed(error))?;
        if block.is_empty() || (block.len() == BLOCK && block.iter().all(|&byte| byte == 0)) {
            return Ok(None);
        }
        if block.len() < BLOCK {
            return Err(self.cut());
        }
        let header = Header::from_byte_slice(&block).clone();
        // The sum is made as if it were itself spaces.
        let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>();
        let expected = sum(&block[..148]) + 8 * u32::from(b' ') + sum(&block[156..]);
        if header.cksum().ok() != Some(expected) {
            return Err(self.damaged("its sum is wrong"));
        }
        self.position += BLOCK as u64;
        self.check(0)?;
        Ok(Some(header))
    }

    fn member(&mut self, name: &[u8], bytes: u64) -> Result<Member, DataError> {
        let member = Member {
            name: String::from_utf8_lossy(name).trim_end_matches('\0').into(),
            offset: self.position,
            bytes,
        };
        self.check(bytes)?;
        self.end = self.position + bytes;
        Ok(member)
    }

    /// The content of a header that has other fields.
    fn field(&mut self, bytes: u64) -> Result<Vec<u8>, DataError> {
        if bytes > MAX_FIELDS {
            return Err(self.damaged(format!("it has {bytes} bytes of names")));
        }
        self.read_at(self.position, bytes)
    }

    /// Passes over the content of what is no file.
    fn pass(&mut self, bytes: u64) -> Result<(), DataError> {
        self.check(bytes)?;
        self.skip(bytes)
    }

    /// Passes over the blocks that tell where a file has holes.
    fn pass_holes(&mut self, header: &Header) -> Result<(), DataError> {
        let is_sparse = header.entry_type() == EntryType::GNUSparse;
        let mut has_more = is_sparse && header.as_gnu().is_some_and(tar::GnuHeader::is_extended);
        while has_more {
            let block = self.read_at(self.position, BLOCK as u64)?;
            has_more = block[504] == 1;
        }
        Ok(())
    }

    fn skip(&mut self, bytes: u64) -> Result<(), DataError> {
        let skipped = match &mut self.reader {
            Reader::Plain(reader) => {
                // A file may be left behind its end.
                if bytes > self.limit.saturating_sub(self.position) {
                    return Err(self.cut());
                }
                reader.seek_relative(bytes as i64).map(|()| bytes)
            }
            Reader::Packed(reader) => io::copy(&mut reader.by_ref().take(bytes), &mut io::sink()),
        };
        let skipped = skipped.map_err(|error| self.failed(error))?;
        self.position += skipped;
        if skipped == bytes {
            Ok(())
        } else {
            Err(self.cut())
        }
    }

    /// Checks that so many bytes may follow.
    fn check(&self, bytes: u64) -> Result<(), DataError> {
        let end = self.position.checked_add(bytes);
        if end.is_some_and(|end| end <= self.limit) {
            Ok(())
        } else if self.is_packed() {
            let limit = self.limit;
            let found = format!("more than {limit} bytes");
            Err(DataError::format(
                &self.path,
                "unpacked size",
                found,
                format!("at most {limit}"),
            ))
        } else {
            Err(self.cut())
        }
    }

    fn cut(&self) -> DataError {
        let found = format!("cut off after {} bytes", self.position);
        DataError::format(&self.path, "tar archive", found, "a whole archive")
    }

    fn damaged(&self, reason: impl ToString) -> DataError {
        let reason = reason.to_string().replace('\n', " ");
        let found = format!("damaged near byte {}: {reason}", self.start);
        DataError::format(&self.path, "tar archive", found, "headers of tar's format")
    }

    fn failed(&self, error: io::Error) -> DataError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => self.cut(),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => self.damaged(error),
            _ => DataError::io(&self.path, error),
        }
    }
}

impl Reader {
    fn as_read(&mut self) -> &mut dyn Read {
        match self {
            Self::Plain(reader) => reader,
            Self::Packed(reader) => reader,
        }
    }
}

/// What other headers say about the next one.
#[derive(Default)]
struct Fields {
    name: Option<Vec<u8>>,
    bytes: Option<u64>,
    is_sparse: bool,
}

impl Fields {
    fn read(&mut self, content: &[u8]) {
        for field in PaxExtensions::new(content).flatten() {
            match field.key_bytes() {
                b"path" => self.name = Some(field.value_bytes().into()),
                b"size" => self.bytes = field.value().ok().and_then(|size| size.parse().ok()),
                key => self.is_sparse |= key.starts_with(b"GNU.sparse."),
            }
        }
    }
}

fn is_file(kind: EntryType) -> bool {
    kind.is_file() || kind.is_contiguous()
}

/// Whether entries of this kind have no content, whatever their header says.
fn is_empty(kind: EntryType) -> bool {
    kind.is_hard_link()
        || kind.is_symlink()
        || kind.is_dir()
        || kind.is_character_special()
        || kind.is_block_special()
        || kind.is_fifo()
}
