//! The pages of a column, unpacked within bounds.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use ::parquet::basic::{Compression, Encoding};
use ::parquet::column::page::{Page, PageMetadata, PageReader};
use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::metadata::ColumnChunkMetaData;
use ::parquet::file::serialized_reader::SerializedPageReader;
use flate2::read::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;

/// The pages of a column of a row group, of which a page may have so many bytes. What the decoders
/// take on trust is checked here.
pub struct Pages {
    pages: SerializedPageReader<File>,
    compression: Compression,
    limit: u64,
    has_dictionary: bool,
}

/// Whether pages that are packed in this way can be read.
pub fn can_unpack(compression: Compression) -> bool {
    use Compression::{GZIP, SNAPPY, UNCOMPRESSED, ZSTD};
    matches!(compression, UNCOMPRESSED | SNAPPY | GZIP(_) | ZSTD(_))
}

impl Pages {
    pub fn new(file: File, chunk: &ColumnChunkMetaData, rows: usize, limit: u64) -> Result<Self> {
        // As they are stored; they are unpacked here, where their size is bounded.
        let stored = chunk.clone().into_builder().set_compression(Compression::UNCOMPRESSED);
        let pages = SerializedPageReader::new(Arc::new(file), &stored.build()?, rows, None)?;
        Ok(Self {
            pages,
            compression: chunk.compression(),
            limit,
            has_dictionary: false,
        })
    }

    /// Unpacks all bytes of a page but its first ones, which are never packed.
    fn unpack(&self, bytes: &[u8], plain: usize) -> Result<Vec<u8>> {
        let (start, packed) = bytes.split_at(plain);
        let mut unpacked = start.to_vec();
        let limit = self.limit;
        let fill = |reader: &mut dyn Read, into: &mut Vec<u8>| {
            reader.take(limit.saturating_add(1)).read_to_end(into).map_err(wrong)
        };
        match self.compression {
            // A page without values.
            _ if packed.is_empty() => {}
            Compression::UNCOMPRESSED => unpacked.extend_from_slice(packed),
            Compression::SNAPPY => {
                let bytes = snap::raw::decompress_len(packed).map_err(wrong)?;
                if bytes as u64 > limit {
                    return Err(self.too_large());
                }
                unpacked.extend(snap::raw::Decoder::new().decompress_vec(packed).map_err(wrong)?);
            }
            Compression::GZIP(_) => {
                fill(&mut MultiGzDecoder::new(packed), &mut unpacked)?;
            }
            Compression::ZSTD(_) => {
                let mut frame = StreamingDecoder::new(packed).map_err(wrong)?;
                fill(&mut frame, &mut unpacked)?;
            }
            other => return Err(wrong(format!("it is packed by {other}"))),
        }
        if unpacked.len() as u64 > limit {
            return Err(self.too_large());
        }
        Ok(unpacked)
    }

    fn too_large(&self) -> ParquetError {
        wrong(format!("a page has more than {} bytes", self.limit))
    }

    fn check_encoding(&self, encoding: Encoding) -> Result<()> {
        #[expect(deprecated)]
        let is_dictionary = matches!(encoding, Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY);
        if is_dictionary && !self.has_dictionary {
            return Err(wrong("a page has no dictionary"));
        }
        Ok(())
    }

    /// A page of the unpacked bytes.
    fn unpacked(&mut self, mut page: Page) -> Result<Page> {
        match &mut page {
            Page::DataPage { buf, encoding, .. } => {
                self.check_encoding(*encoding)?;
                *buf = self.unpack(buf, 0)?.into();
            }
            Page::DataPageV2 {
                buf,
                encoding,
                def_levels_byte_len,
                rep_levels_byte_len,
                is_compressed,
                ..
            } => {
                self.check_encoding(*encoding)?;
                let levels = u64::from(*def_levels_byte_len) + u64::from(*rep_levels_byte_len);
                if levels > buf.len() as u64 {
                    return Err(wrong("a page is shorter than its levels"));
                }
                if *is_compressed {
                    *buf = self.unpack(buf, levels as usize)?.into();
                }
            }
            Page::DictionaryPage { buf, .. } => {
                *buf = self.unpack(buf, 0)?.into();
                self.has_dictionary = true;
            }
        }
        Ok(page)
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        match self.pages.get_next_page()? {
            Some(page) => self.unpacked(page).map(Some),
            None => Ok(None),
        }
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

fn wrong(reason: impl ToString) -> ParquetError {
    ParquetError::General(reason.to_string())
}
