//! The pages of a column, unpacked within bounds.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use ::parquet::basic::{Compression, Encoding};
use ::parquet::column::page::{Page, PageReader};
use ::parquet::errors::Result;
use ::parquet::file::metadata::ColumnChunkMetaData;
use ::parquet::file::serialized_reader::SerializedPageReader;
use flate2::read::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;

use super::wrong;

/// The pages of a column of a row group, of which each may have `limit` bytes.
pub struct Pages {
    pages: SerializedPageReader<File>,
    compression: Compression,
    limit: u64,
    /// Number of values that may follow.
    values: u64,
}

/// A page, unpacked.
pub enum Unpacked {
    Data(DataPage),
    Dictionary { values: usize, bytes: Vec<u8> },
}

/// A page of values.
pub struct DataPage {
    /// Number of values, the missing ones included.
    pub values: usize,
    pub encoding: Encoding,
    pub levels: PageLevels,
    pub bytes: Vec<u8>,
}

/// How the levels at the start of a page are stored.
pub enum PageLevels {
    /// Each with its length before it, and with this encoding: of repetition and definition.
    Prefixed([Encoding; 2]),
    /// With these lengths, of repetition and definition.
    Lengths([usize; 2]),
}

/// Whether pages that are packed in this way can be read.
pub fn can_unpack(compression: Compression) -> bool {
    use Compression::{GZIP, SNAPPY, UNCOMPRESSED, ZSTD};
    matches!(compression, UNCOMPRESSED | SNAPPY | GZIP(_) | ZSTD(_))
}

impl Pages {
    pub fn new(file: File, chunk: &ColumnChunkMetaData, rows: usize, limit: u64) -> Result<Self> {
        // A file of images has more bytes than labels. Only one made to exhaust memory has not.
        let values = file.metadata()?.len();
        // As they are stored; they are unpacked here, where their size is bounded.
        let stored = chunk
            .clone()
            .into_builder()
            .set_compression(Compression::UNCOMPRESSED);
        let pages = SerializedPageReader::new(Arc::new(file), &stored.build()?, rows, None)?;
        Ok(Self {
            pages,
            compression: chunk.compression(),
            limit,
            values,
        })
    }

    /// The next page; `None` at the end of the column.
    pub fn next(&mut self) -> Result<Option<Unpacked>> {
        let Some(page) = self.pages.get_next_page()? else {
            return Ok(None);
        };
        Ok(Some(match page {
            Page::DictionaryPage {
                buf, num_values, ..
            } => {
                let values = self.counted(num_values)?;
                let bytes = self.unpack(&buf, 0)?;
                Unpacked::Dictionary { values, bytes }
            }
            Page::DataPage {
                buf,
                num_values,
                encoding,
                def_level_encoding,
                rep_level_encoding,
                ..
            } => Unpacked::Data(DataPage {
                values: self.counted(num_values)?,
                encoding,
                levels: PageLevels::Prefixed([rep_level_encoding, def_level_encoding]),
                bytes: self.unpack(&buf, 0)?,
            }),
            Page::DataPageV2 {
                buf,
                num_values,
                encoding,
                def_levels_byte_len,
                rep_levels_byte_len,
                is_compressed,
                ..
            } => {
                let lengths = [rep_levels_byte_len as usize, def_levels_byte_len as usize];
                let plain = lengths[0].checked_add(lengths[1]);
                let plain = plain.filter(|plain| *plain <= buf.len());
                let plain = plain.ok_or_else(|| wrong("a page is shorter than its levels"))?;
                Unpacked::Data(DataPage {
                    values: self.counted(num_values)?,
                    encoding,
                    levels: PageLevels::Lengths(lengths),
                    bytes: self.unpack(&buf, if is_compressed { plain } else { buf.len() })?,
                })
            }
        }))
    }

    /// Passes over the next page where it has no more than so many rows, in a column of one value for
    /// each row; the number of its rows.
    pub fn skip(&mut self, rows: usize) -> Result<Option<usize>> {
        let page = self.pages.peek_next_page()?;
        let values = page
            .filter(|page| !page.is_dict)
            .and_then(|page| page.num_levels);
        let Some(values) = values.filter(|values| *values <= rows) else {
            return Ok(None);
        };
        self.pages.skip_next_page()?;
        Ok(Some(values))
    }

    /// Counts the values of a page.
    fn counted(&mut self, values: u32) -> Result<usize> {
        let left = self.values.checked_sub(values.into());
        self.values = left.ok_or_else(|| wrong("it has more values than the file has bytes"))?;
        Ok(values as usize)
    }

    /// Unpacks all bytes of a page but its first ones, which are never packed.
    fn unpack(&self, bytes: &[u8], plain: usize) -> Result<Vec<u8>> {
        let (start, packed) = bytes.split_at(plain);
        let mut unpacked = start.to_vec();
        let limit = self.limit;
        let too_large = || wrong(format!("a page has more than {limit} bytes"));
        let fill = |reader: &mut dyn Read, into: &mut Vec<u8>| {
            reader
                .take(limit.saturating_add(1))
                .read_to_end(into)
                .map_err(wrong)
        };
        match self.compression {
            // A page without values.
            _ if packed.is_empty() => {}
            Compression::SNAPPY => {
                let bytes = snap::raw::decompress_len(packed).map_err(wrong)?;
                if bytes as u64 > limit {
                    return Err(too_large());
                }
                unpacked.extend(
                    snap::raw::Decoder::new()
                        .decompress_vec(packed)
                        .map_err(wrong)?,
                );
            }
            Compression::GZIP(_) => {
                fill(&mut MultiGzDecoder::new(packed), &mut unpacked)?;
            }
            Compression::ZSTD(_) => {
                let mut frame = StreamingDecoder::new(packed).map_err(wrong)?;
                fill(&mut frame, &mut unpacked)?;
            }
            // The others were refused when the file was opened.
            _ => unpacked.extend_from_slice(packed),
        }
        if unpacked.len() as u64 > limit {
            return Err(too_large());
        }
        Ok(unpacked)
    }
}
